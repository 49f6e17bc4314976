"""Weights files: written the same every time, found in a run's folder and in anyone's wrappers, refused in one sentence."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import random
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from youku import contest, system_errors
from youku.__main__ import main
from youku.engines import pickles, weights
from youku.models import MODELS
from youku.training import fields
from youku.training.config import TrainConfig

CPU = torch.device("cpu")
STATE = MODELS["espcn"].build(2).state_dict()
THEIRS = {"head.0": "first_part.0", "body.0": "first_part.2", "upscale.0.layer": "last_part.0"}
PLAIN = {f"{THEIRS[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in STATE.items()}
OTHERS = {key: value * 0 for key, value in PLAIN.items()}


def complaint(path: Path) -> str:
    """The one sentence that loading ends in."""
    with pytest.raises(ValueError) as caught:
        weights.load(path, None, None, CPU)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def under(*names: str) -> dict[str, Tensor]:
    """The state dict with dotted prefixes."""
    return {".".join((*names, key)): value for key, value in PLAIN.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("module",), ("_orig_mod",), ("generator",), ("net_g",), ("model",), ("params_ema",), ("state_dict", "model"),
        ("params", "_orig_mod"), ("module", "_orig_mod"), ("_orig_mod", "module"), ("model_state_dict", "module"),
        ("state_dict", "model", "net"), ("ema", "module"), ("netG",), ("anything", "else"),
    ],
    ids=".".join,
)  # fmt: skip
@pytest.mark.parametrize("form", ["flat.safetensors", "flat.pth", "nested.pth"])
def test_weights_are_found_under_any_wrapper(tmp_path: Path, names: tuple[str, ...], form: str) -> None:
    """Prefixes of keys and dicts in dicts, in any order, in both kinds of file: one mechanism takes them off."""
    path = tmp_path / form
    if form == "flat.safetensors":
        save_file(under(*names), path)
    elif form == "flat.pth":
        torch.save({**under(*names), "epoch": 3}, path)
    else:
        content: dict = PLAIN
        for name in reversed(names):
            content = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}, name: content}
        torch.save(content, path)
    loaded, _ = weights.read_known(path)
    assert set(loaded) == set(STATE) and all(torch.equal(loaded[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("name", ["w.pth", "w.zip", "w"])
@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_checkpoint_is_known_by_its_bytes(tmp_path: Path, name: str, is_legacy: bool) -> None:
    """Whatever it was renamed to but .safetensors, and safetensors under a checkpoint's name too."""
    torch.save(PLAIN, tmp_path / name, _use_new_zipfile_serialization=not is_legacy)
    assert torch.equal(weights.read_known(tmp_path / name)[0]["head.0.weight"], STATE["head.0.weight"])
    save_file(PLAIN, tmp_path / name)
    assert torch.equal(weights.read_known(tmp_path / name)[0]["head.0.weight"], STATE["head.0.weight"])


@pytest.mark.parametrize("name", ["w.safetensors", "w.SafeTensors"])
@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_checkpoint_named_safetensors_is_refused(tmp_path: Path, name: str, is_legacy: bool) -> None:
    """Who takes that name for a file that can hold no code is told what it is and what to do."""
    torch.save(PLAIN, tmp_path / name, _use_new_zipfile_serialization=not is_legacy)
    told = complaint(tmp_path / name)
    assert "refused: is a torch checkpoint (a pickle), named as if" in told and "rename it to .pth" in told


@pytest.mark.parametrize(
    "line",
    [
        "predict {clip} out.y4m --weights w.safetensors", "evaluate {folder} --weights w.safetensors",
        "inspect w.safetensors", "export w.safetensors out.pt2", "soup w.safetensors w2.safetensors --val-run {folder}",
        "train --data {folder} --model espcn --patch-px 12 --init-from w.safetensors",
        "train --data {folder} --model espcn --patch-px 12 --teacher w.safetensors",
        "train --data {folder} --model espcn --patch-px 12 --loss vgg19:relu2_2 --vgg-weights w.safetensors",
    ],
)  # fmt: skip
def test_no_verb_takes_a_checkpoint_named_safetensors(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """Exit 1 and the one sentence, wherever weights are opened; nothing is left."""
    monkeypatch.chdir(pairs.parent)
    for name in ("w.safetensors", "w2.safetensors"):
        torch.save(PLAIN, name)
    (pairs / "config.toml").write_text(fields.to_toml(TrainConfig(data=(str(pairs),)), {}))
    before = set(pairs.parent.rglob("*"))
    assert main(line.format(folder=pairs, clip=pairs / contest.low_name(0)).split()) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "(a pickle), named as if" in line] == told[-1:]
    assert {path for path in set(pairs.parent.rglob("*")) - before if "runs" not in path.parts} == set()


@pytest.mark.parametrize(("average", "last"), [("params_ema", "params"), ("ema", "net"), ("net_g_ema", "net_g")])
def test_an_average_comes_before_the_last_step(tmp_path: Path, average: str, last: str) -> None:
    """Whatever stands first in the file."""
    torch.save({last: OTHERS, average: PLAIN}, tmp_path / "w.pth")
    assert torch.equal(weights.read_known(tmp_path / "w.pth")[0]["head.0.weight"], STATE["head.0.weight"])


def test_data_beside_the_weights_is_left_out(tmp_path: Path) -> None:
    """numpy's scalars and arrays, arguments and paths are no reason to refuse; nothing of theirs is called."""
    beside = {"psnr": np.float64(31.2), "array": np.zeros(3), "args": argparse.Namespace(lr=1), "file": Path("x")}
    torch.save({"state_dict": PLAIN, **beside}, tmp_path / "w.pth")
    assert weights.load(tmp_path / "w.pth", None, None, CPU).spec.name == "espcn"
    content = pickles.read(tmp_path / "w.pth")
    assert all(type(content[key]) is pickles.LeftOut for key in beside)


def test_a_wrapped_network_of_this_kit_is_named_by_the_caller(tmp_path: Path) -> None:
    """Keys of no published form: the wrappers that are known by name are taken off."""
    state = {f"state_dict.module.{key}": value for key, value in MODELS["fsrcnn-s"].build(2).state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    assert weights.load(tmp_path / "w.safetensors", "fsrcnn-s", 2, CPU).spec.name == "fsrcnn-s"


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    """Processes of other hash seeds write one file, in which the metadata is in order."""
    code = (
        "import sys, torch; from youku.engines import weights\n"
        "about = {name: name for name in 'step loss validation input_mean note'.split()} | {'quote': '\\u00e9\\n\\\"'}\n"
        "weights.save(sys.argv[1], {'b': torch.ones(3), 'a': torch.zeros(2, 2).half()}, 'fsrcnn', 4, about)\n"
    )
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    command = [sys.executable, "-c", code, str(first)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", str(second)])
        exec(code)
    assert first.read_bytes() == second.read_bytes()
    for number in range(8):  # the library's own order is another one in every file
        weights.save(tmp_path / "again", {"a": torch.ones(3)}, "m", 4, {str(key): "x" for key in range(number, 20)})
        about = list(weights._read_safetensors(tmp_path / "again")[1])
        header = (tmp_path / "again").read_bytes()
        assert sorted(about) == sorted(about, key=lambda key: header.index(f'"{key}":'.encode()))


def test_a_run_folder_stands_for_its_weights(tmp_path: Path) -> None:
    """The best where there is one, else the last; a folder without any says which two were looked for."""
    said = complaint(tmp_path)
    assert "neither best.safetensors nor last.safetensors" in said
    for name in ("last", "best"):
        weights.save(tmp_path / f"{name}.safetensors", STATE, "espcn", 2, {})
        network = weights.load(tmp_path, None, None, CPU)
        assert network.path == tmp_path / f"{name}.safetensors"
    os.mkfifo(tmp_path / "pipe")
    assert "something that is no file" in complaint(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_std", "nan"), ("input_std", "0"), ("input_std", "inf"), ("input_std", "-1"), ("input_std", ""),
        ("input_mean", ""), ("input_mean", "nan"), ("input_mean", "-inf"), ("input_mean", "x\ny"), ("scale", "0"),
        ("scale", ""), ("scale", "-2"), ("scale", "\u00b2"), ("scale", "9" * 5000),
    ],
)  # fmt: skip
def test_metadata_that_makes_no_sense_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """One sentence with the key, its value and the file."""
    save_file(STATE, tmp_path / "w.safetensors", {"model": "espcn", "scale": "2", key: value})
    said = complaint(tmp_path / "w.safetensors")
    assert f"metadata is wrong: {key} = {value[:20]!r}: expected" in said and len(said) < 400


def test_a_scale_that_the_network_lacks_names_the_file(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors", {"model": "espcn", "scale": "7"})
    assert "has scales 2, 3, 4, not 7" in complaint(tmp_path / "w.safetensors")


def rewritten(path: Path, change: object, compression: int = zipfile.ZIP_STORED) -> Path:
    """The members of a torch file put into a new zip, through `change(name, data)`."""
    with zipfile.ZipFile(path) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, data in members:
            new.writestr(name, change(name, data))  # type: ignore[operator]
    return path


def test_checksums_are_looked_at(tmp_path: Path) -> None:
    """One bit of a weight flipped: torch would load it and draw other pictures."""
    torch.save(PLAIN, tmp_path / "w.pth")
    data = bytearray((tmp_path / "w.pth").read_bytes())
    place = data.index(PLAIN["first_part.0.weight"].numpy().tobytes()[:16])
    data[place + 3] ^= 1
    (tmp_path / "w.pth").write_bytes(data)
    assert "checksum of" in complaint(tmp_path / "w.pth")


@pytest.mark.parametrize("damage", ["attributes", "size", "twice"])
def test_torch_and_python_read_the_same_members(tmp_path: Path, damage: str) -> None:
    """What torch alone takes for a folder, it leaves as the memory was: other weights, without a word."""
    path = tmp_path / "w.pth"
    torch.save(PLAIN, path)
    data, name = bytearray(path.read_bytes()), b"w/data/0"
    entry = data.rindex(name) - 46  # of the directory
    if damage == "attributes":
        data[entry + 38 : entry + 42] = b"\xff" * 4
    elif damage == "size":
        data[entry + 24] += 8  # unpacked; the packed size stays
    else:
        data[(other := data.rindex(b"w/data/1")) : other + len(name)] = name
    path.write_bytes(data)
    assert "expected a whole torch checkpoint, got something else or a damaged one (" in complaint(path)


def test_nothing_is_made_that_a_file_merely_claims(tmp_path: Path) -> None:
    """Compressed members, tensors larger than their bytes and repeated ones are refused before anything is copied."""
    torch.save(PLAIN, tmp_path / "packed.pth")
    rewritten(tmp_path / "packed.pth", lambda name, data: data, zipfile.ZIP_DEFLATED)
    assert "members are compressed" in complaint(tmp_path / "packed.pth")
    torch.save({"first_part.0.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "repeated.pth")
    assert "tensors of 4000000000000 bytes in a file of" in complaint(tmp_path / "repeated.pth")
    torch.save({"w": torch.zeros(0x0101)}, tmp_path / "claimed.pth")
    pickled = b"M\x01\x01"  # 257 as a pickle has it -> 16843009
    rewritten(tmp_path / "claimed.pth", lambda name, data: data.replace(pickled, b"J\x01\x01\x01\x01"))
    assert "expected a whole torch checkpoint" in complaint(tmp_path / "claimed.pth")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.bin"])
def test_a_pickle_under_any_name_is_never_run(tmp_path: Path, name: str) -> None:
    """By its bytes it is a pickle, whatever its suffix and protocol; what it would run is named."""

    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    for protocol in range(2, 6):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Trap()}, protocol))
        assert "refused: loading it would run posix.mkdir" in complaint(tmp_path / name)
        torch.save({"a": Trap(), **PLAIN}, tmp_path / name, pickle_protocol=protocol)
        assert "refused: loading it would run posix.mkdir" in complaint(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    assert "is a bare pickle" in complaint(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_dict_that_holds_itself_ends(tmp_path: Path) -> None:
    """Recursion in a pickle is data as well."""
    inside: dict = dict(PLAIN)
    inside["model"], inside["list"] = inside, [inside]
    torch.save({"params": inside}, tmp_path / "w.pth")
    assert weights.load(tmp_path / "w.pth", None, None, CPU).scale == 2


def test_a_checkpoint_of_a_run_names_the_file_to_give(tmp_path: Path) -> None:
    torch.save({"format": 2, "average": PLAIN}, tmp_path / "last.pt")
    assert "give last.safetensors beside it, or the folder" in complaint(tmp_path / "last.pt")


def test_integers_are_no_weights(tmp_path: Path) -> None:
    """Quantised tensors of the right shape would load silently and draw other pictures."""
    torch.save({key: (value * 100).to(torch.int8) for key, value in PLAIN.items()}, tmp_path / "w.pth")
    assert "has type torch.int8, expected floating point" in complaint(tmp_path / "w.pth")


def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    """A write that fails gives the system's own error, which the command line words."""
    path = tmp_path / "w.safetensors"
    weights.save(path, STATE, "espcn", 2, {})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1]))  # Python ignores the signal
    try:
        with pytest.raises(OSError, match="File too large"):
            weights.save(path, {"a": torch.zeros(10000)}, "m", 4, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert system_errors.explain(OSError(28, "No space left on device")).startswith("the disk is full")


def test_damage_is_always_one_sentence(tmp_path: Path) -> None:
    """Bytes changed at random in each kind of file: the file loads whole or is refused, in no other way."""
    weights.save(tmp_path / "a.safetensors", STATE, "espcn", 2, {"input_mean": "0.5"})
    torch.save(PLAIN, tmp_path / "b.pth")
    torch.save(PLAIN, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    draw = random.Random(0)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        head = min(len(whole), 2500)
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(draw.choice((1, 4))):
                data[draw.choice((draw.randrange(head), draw.randrange(len(data) - head, len(data))))] = draw.randrange(
                    256
                )
            path.write_bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])
            try:
                weights.load(path, None, None, CPU)
            except ValueError as error:
                assert str(path) in str(error)


def test_damage_inside_checked_members_is_one_sentence_too(tmp_path: Path) -> None:
    """The pickle changed at random, its checksum made anew."""
    draw = random.Random(1)
    kept = io.BytesIO()
    torch.save(PLAIN, kept)

    def changed(name: str, data: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return data
        made = bytearray(data)
        for _ in range(draw.choice((1, 3))):
            made[draw.randrange(len(made))] = draw.randrange(256)
        return bytes(made)

    path = tmp_path / "w.pth"
    for _ in range(60):
        path.write_bytes(kept.getvalue())
        rewritten(path, changed)
        try:
            weights.load(path, None, None, CPU)
        except ValueError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("key", ["a\nb", "\x1b[2J\x1b[31m", "long" * 5000, "\ud800"])
def test_what_a_file_calls_its_tensors_stays_in_a_sentence(tmp_path: Path, key: str) -> None:
    """A key of thousands of letters or that would act on the terminal is shown short and harmless."""
    torch.save({**PLAIN, key: torch.zeros(1)}, tmp_path / "more.pth")
    torch.save({key: [1], "y": key}, tmp_path / "none.pth")
    for name in ("more.pth", "none.pth"):
        said = complaint(tmp_path / name)
        assert said.isprintable() and len(said) < 1000


def test_a_tail_that_was_not_trained_is_not_run(tmp_path: Path) -> None:
    """CARN-M has one for each factor: a run says which learnt; VDSR, which has none, is for every factor."""
    for name in ("carn-m", "vdsr"):
        path = tmp_path / f"{name}.safetensors"
        weights.save(path, MODELS[name].build(4).state_dict(), name, 4, {"scales": "3,4"})
        assert weights.load(path, None, 4, CPU).scale == 4 and weights.load(path, None, 3, CPU).scale == 3
    assert weights.load(path, None, 2, CPU).scale == 2
    with pytest.raises(ValueError, match=r"carn-m.safetensors: its tail for x2 was not trained; give --scale 3 or 4"):
        weights.load(tmp_path / "carn-m.safetensors", None, 2, CPU)

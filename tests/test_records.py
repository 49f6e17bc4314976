"""What is up to date is told by content; names, records and networks that cannot be used get one sentence."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from tests.test_films import decoded
from tests.test_predict import clip_of, network, run, save_weights
from youku import evaluate, files, predict, train
from youku.engines import half, variants, weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline, records
from youku.inference.pipeline import Options
from youku.models import MODELS
from youku.models.colours import Tensors
from youku.training import fields
from youku.training.config import TrainConfig
from youku.video import segments, y4m

BICUBIC = ("--model", "bicubic", "--scale", "2")


def flip(path: Path, stays: bool = True) -> None:
    """Change one byte of the last frame in place; size and time of writing stay."""
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        byte = file.read(1)
        file.seek(-9, os.SEEK_END)
        file.write(bytes([byte[0] ^ 255]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)


def test_a_record_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or a pipe in its place is one sentence that says what to do; one that cannot be read is made anew."""
    clip, out, record = (
        clip_of(tmp_path / "in.y4m", width=32, height=24),
        tmp_path / "out.y4m",
        tmp_path / ".out.y4m.json",
    )
    for make in (Path.mkdir, os.mkfifo):
        make(record)
        assert run(str(clip.path), str(out), *BICUBIC) == 1
        told = "is no file, and lies where the record of out.y4m belongs; move it away"
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {record}: {told}"
        record.rmdir() if record.is_dir() else record.unlink()
    assert run(str(clip.path), str(out), *BICUBIC) == 0

    def refuse(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "", str(path))

    with monkeypatch.context() as patched:  # root may read all
        patched.setattr(Path, "read_bytes", refuse)
        assert run(str(clip.path), str(out), *BICUBIC) == 0 and "3 frames" in capsys.readouterr().err
    assert run(str(clip.path), str(out), *BICUBIC) == 0
    assert "out.y4m: up to date" in capsys.readouterr().err


def test_a_claim_ends_with_what_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails or is stopped over somebody's file leaves no record that would let the next run replace it."""
    clip, out = clip_of(tmp_path / "in.y4m", width=32, height=24), tmp_path / "out.y4m"
    for is_own in (False, True):
        if is_own:
            assert run(str(clip.path), str(out), *BICUBIC, "--force") == 0
        else:
            shutil.copy(clip.path, out)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        for error in (ValueError("wrong"), KeyboardInterrupt()):
            with monkeypatch.context() as patched:
                patched.setattr(pipeline, "upscale_frames", lambda *_, error=error: (_ for _ in ()).throw(error))
                assert run(str(clip.path), str(out), *BICUBIC, "--force") in (1, 130)
            assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["out.y4m", "out.mkv"])
@pytest.mark.parametrize("damaged", ["in.y4m", "out"])
def test_a_file_changed_at_its_size_and_time_is_not_up_to_date(
    tmp_path: Path, name: str, damaged: str, capsys: pytest.CaptureFixture
) -> None:
    """An output damaged in place, or an input changed, is made again; a copy of both is up to date."""
    clip = clip_of(tmp_path / "in.y4m", width=32, height=24)
    out = tmp_path / name
    command = (str(clip.path), str(out), *BICUBIC)
    assert run(*command) == 0
    whole = decoded(out)
    flip(out if damaged == "out" else clip.path)
    capsys.readouterr()
    assert run(*command) == 0
    assert f"{out}: 3 frames" in capsys.readouterr().err
    assert (decoded(out) == whole) == (damaged == "out")
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert run(str(tmp_path / "copy" / "in.y4m"), str(tmp_path / "copy" / name), *BICUBIC) == 0
    assert "up to date" in capsys.readouterr().err


def test_content_is_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp of a file that nobody wrote to is enough."""
    clip = clip_of(tmp_path / "in.y4m")
    command = (str(clip.path), str(tmp_path / "out.y4m"), *BICUBIC)
    assert run(*command) == 0

    def unread(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(segments, "digest_of", unread)
    assert run(*command) == 0


def test_a_tiny_clip_waits_for_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its frames, before they get their name; its notes may be lost by a power cut, and it is made again then."""
    clip = clip_of(tmp_path / "in.y4m", width=32, height=24)
    num_syncs, sync = [0], os.fsync
    monkeypatch.setattr("os.fsync", lambda number: num_syncs.append(sync(number)))
    assert run(str(clip.path), str(tmp_path / "out.y4m"), *BICUBIC) == 0
    assert len(num_syncs) - 1 == 1


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[1]", b"null", b'{"made_by": 3, "input": 4, "output": [5]}', b"[" * 99999]
)
def test_a_damaged_record_is_made_again(tmp_path: Path, record: bytes, capsys: pytest.CaptureFixture) -> None:
    """Never an error about a file that the user did not make."""
    clip, out, hidden = clip_of(tmp_path / "in.y4m"), tmp_path / "out.y4m", tmp_path / ".out.y4m.json"
    for expected in ("3 frames", "up to date"):
        if expected == "3 frames":
            assert run(str(clip.path), str(out), *BICUBIC) == 0
            hidden.write_bytes(record)
            capsys.readouterr()
        assert run(str(clip.path), str(out), *BICUBIC) == 0
        assert f"{out}: {expected}" in capsys.readouterr().err


def test_the_input_is_never_the_output(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """By whatever name, with a record there or --force."""
    clip = clip_of(tmp_path / "in.y4m")
    before = clip.path.read_bytes()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.y4m").symlink_to(clip.path)
    (tmp_path / "hard.y4m").hardlink_to(clip.path)
    (tmp_path / ".in.y4m.json").write_text("{}")
    for name in ("in.y4m", "sub/../in.y4m", "link.y4m", "hard.y4m"):
        assert run(str(clip.path), f"{tmp_path}/{name}", *BICUBIC, "--force") == 1
        assert "is the input itself" in capsys.readouterr().err
    assert clip.path.read_bytes() == before


def test_names_of_outputs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """OUT.Y4M is a y4m; a name that leaves no room for the record's is refused before the work, the longest works."""
    clip = clip_of(tmp_path / "in.y4m")
    assert run(str(clip.path), str(tmp_path / "OUT.Y4M"), *BICUBIC) == 0
    assert y4m.Clip(tmp_path / "OUT.Y4M").num_frames == 3
    for letter in ("a", "\u89c6"):
        longest = letter * (245 // len(letter.encode()))
        longest += "b" * (245 - len(longest.encode()))
        assert run(str(clip.path), f"{tmp_path}/{longest}.y4m", *BICUBIC) == 0
        assert run(str(clip.path), f"{tmp_path}/{longest}c.y4m", *BICUBIC) == 1
        assert "its name is 250 bytes long; with the hidden record beside it 249 fit" in capsys.readouterr().err


@pytest.mark.parametrize("value", [3e38, -3e38])
@pytest.mark.parametrize(("flags", "number"), [([], 0), (["--frames", "2"], 2)])
def test_an_output_that_is_not_finite_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture, value: float, flags: list[str], number: int
) -> None:
    """Never black frames: one sentence with clip and frame."""
    clip, path = clip_of(tmp_path / "in.y4m"), tmp_path / "w.safetensors"
    state = network().module.state_dict()
    state["last.weight"].fill_(value)  # as such it is finite
    weights.save(path, state, "fsrcnn", 4, {})
    assert run(str(clip.path), str(tmp_path / "out.y4m"), "--weights", str(path), *flags) == 1
    told = capsys.readouterr().err
    assert f"error: {clip.path}: frame {number}: the network's output is not finite" in told and "Traceback" not in told
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.y4m", "w.safetensors"]
    bad = weights.load(path, None, None, torch.device("cpu"))
    with pytest.raises(pipeline.NotFiniteError):
        pipeline.run_network(bad, (torch.rand(1, 1, 8, 8),), Options())


@pytest.mark.parametrize("flag", ["--amp", "--half"])
def test_dtype_has_older_names(flag: str, tmp_path: Path) -> None:
    """They say `--dtype auto` to every verb that runs a network, and a run's older config.toml says so too."""
    for make_parser, given in (
        (predict.main.parser, ["a", "b"]),
        (evaluate.main.parser, ["a"]),
        (train.main.parser, []),
    ):
        assert make_parser().parse_args([*given, flag]).dtype == "auto"
    (tmp_path / "config.toml").write_text("amp = true\n")
    assert fields.read(tmp_path / "config.toml", TrainConfig) == {"dtype": "auto"}
    (tmp_path / "config.toml").write_text("amp = 1\n")
    with pytest.raises(ValueError, match="unknown key amp"):
        fields.read(tmp_path / "config.toml", TrainConfig)


def test_dtype_is_one_that_the_device_is_fast_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """auto takes bf16 to train in, whose range is wide, and fp16 to run in, which is finer; what is not there is told."""
    for name, device, able, kind in (
        ("fp16", "mps", half.FOR_TRAINING, "fp16"), ("fp16", "cpu", half.FOR_TRAINING, "float32"),
        ("auto", "cuda", half.FOR_TRAINING, "bf16"), ("auto", "cuda", half.FOR_RUNNING, "fp16"),
        ("bf16", "cuda", half.FOR_RUNNING, "bf16"), ("float32", "cpu", half.FOR_RUNNING, "float32"),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        told: list[str] = []
        assert half.chosen(name, torch.device(device), told.append, able) == kind
        assert bool(told) == (kind == "float32" != name)


@pytest.mark.parametrize(("apart_codes", "is_taken"), [(0.9, True), (1.1, False), (float("nan"), False)])
def test_fp16_is_taken_by_the_first_picture(apart_codes: float, is_taken: bool) -> None:
    """Within a code of float32's it is kept for the clip; else float32 is, and one line says so either way."""

    @dataclass(frozen=True)
    class Shifted:
        dtype: str = "float32"
        name, device = "shifted", torch.device("cuda")

        def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
            return tuple(part + (apart_codes / 255 if self.dtype == "fp16" else 0) for part in x), ()

    told: list[str] = []
    network = Network(MODELS["fsrcnn"], 4, Shifted())  # type: ignore[arg-type]
    engine = variants.picked(network, told.append).engine
    for _ in range(2):
        (made,), _ = engine.step((torch.zeros(1, 1, 4, 4),), ())
        assert float(made.max()) == (pytest.approx(apart_codes / 255) if is_taken else 0)
    assert [line.startswith("computing in fp16") for line in told] == [is_taken]
    damaged = variants.picked(network, told.append).engine
    damaged.step((torch.full((1, 1, 4, 4), float("nan")),), ())
    assert len(told) == 1


def test_fp16_is_for_networks_on_a_gpu() -> None:
    """Not on a processor, and not where what a network remembers would carry roundings on."""
    for name in ("fsrcnn", "recurrent-t", "bicubic"):
        network = Network(MODELS[name], 4, TorchEngine(torch.nn.Identity(), torch.device("cpu")))
        assert variants.picked(network, str) is network
        there = replace(network, engine=TorchEngine(torch.nn.Identity(), torch.device("cuda")))
        assert (variants.picked(there, str).dtype == "auto") == (name == "fsrcnn")


@pytest.mark.parametrize("half_sec", [0.5, 3.0])
def test_half_that_is_slower_is_told_by_its_figure(half_sec: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the network at hand: the clock is moved by what each step takes."""
    now = [0.0]
    monkeypatch.setattr(variants.time, "process_time", lambda: now[0])
    monkeypatch.setattr(
        TorchEngine,
        "step",
        lambda self, x, memory: now.__setitem__(0, now[0] + (half_sec if self.dtype == "bf16" else 1.0)),
    )
    told: list[str] = []
    variants.warn_if_slower(weights.load(None, "fsrcnn", 4, torch.device("cpu"), "bf16"), told.append)
    assert [("3.0 times as long as float32 with fsrcnn" in line) for line in told] == [True] * (half_sec > 1)


def test_half_is_left_out_where_it_would_be_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A CPU without bf16 computes in 32 bit, and says so; one that has it does as asked."""
    clip, path = clip_of(tmp_path / "in.y4m"), save_weights(tmp_path / "w.safetensors")
    command = (str(clip.path), str(tmp_path / "half.y4m"), "--weights", str(path), "--half")
    for has_bf16 in (False, True):
        monkeypatch.setattr(half, "cpu_has_bf16", lambda has_bf16=has_bf16: has_bf16)
        assert run(*command) == 0
        told = capsys.readouterr().err
        assert ("--dtype auto: cpu has no fast fp16 or bf16 arithmetic" in told) == (not has_bf16)
        assert "half.y4m: 3 frames" in told


def test_a_new_clip_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a large y4m has the digest that its writer made, and it is the file's."""
    source, target = clip_of(tmp_path / "low.y4m", width=640, height=480, num_frames=5), tmp_path / "high.y4m"
    read: list[Path] = []
    whole = segments.digest_of
    monkeypatch.setattr(segments, "digest_of", lambda path: (read.append(Path(path)), whole(path))[1])
    assert predict.main([str(source.path), str(target), *BICUBIC]) == 0
    assert target not in read and source.path in read
    assert records.read(records.record_of(target))["output"]["digest"] == whole(target)


@pytest.mark.parametrize("num_bytes", [0, 5, (3 << 20) - 7])
def test_a_digest_is_that_of_what_is_in_the_file(tmp_path: Path, num_bytes: int) -> None:
    """The same written in any parts or read from the disk; another where one byte differs."""
    data = np.random.default_rng(0).integers(0, 256, num_bytes, np.uint8).tobytes()
    with open(tmp_path / "a", "w+b") as file:
        made = segments.Hashed(file)
        for at in range(0, len(data), 300_001):
            made.write(data[at : at + 300_001])
        made.sync()
        assert (tmp_path / "a").read_bytes() == data
        assert made.digest.hexdigest() == segments.digest_of(tmp_path / "a")
    (tmp_path / "b").write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else b"x")
    assert segments.digest_of(tmp_path / "b") != segments.digest_of(tmp_path / "a")


def test_a_refused_record_names_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that one may not write to, the error is of the file that was asked for, not of a hidden one."""

    def refuse(path: Path, *_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "", str(path))

    monkeypatch.setattr(files, "write_json", refuse)
    with pytest.raises(PermissionError) as caught:
        records.write(tmp_path / "out.y4m", {}, durable=False)
    assert caught.value.filename == str(tmp_path / "out.y4m")

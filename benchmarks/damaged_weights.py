"""Kinds of `fuzz`: weights and checkpoints. Tensors that are taken are those that the file holds, and all are numbers."""

from __future__ import annotations

import io
import json
import math
import zipfile
from argparse import Namespace
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.damage import WRONG, Kind, damage_tree, named, scramble
from benchmarks.damaged_media import damage_zip
from youku import files
from youku.engines import published, shipped, weights
from youku.inference import pipeline
from youku.looking import feature_maps, weights_summary
from youku.training import config, state, vgg

CPU = torch.device("cpu")
SHIPPED = shipped.FOLDER / "fsrcnn_x2.safetensors"
PORT = next(form for form in published.PUBLISHED if form.model == "fsrcnn")
ABOUT = {"scale": (*WRONG, "3", "99", "x2"), "model": ("bicubic", "x", "")}
ABOUT |= dict.fromkeys(("input_mean", "input_std"), ("nan", "0", "-1", "inf", "''", "1e-300", 1))
ODD_TENSORS = (
    torch.zeros(0), torch.zeros(3, 3), torch.tensor(math.nan), torch.zeros(1).expand(1 << 40), torch.zeros(1, 2).to_sparse(),
    torch.zeros(2, dtype=torch.int8), torch.zeros(2, dtype=torch.cfloat), torch.zeros(3, device="meta"),
)  # fmt: skip
ODD = (*WRONG, *ODD_TENSORS, np.zeros(2), Path("x"), 1j, b"x", (), {5: 5})
COUNTED = ("step", "best", "since_best", "validated")
CONFIG = config.TrainConfig(model="srcnn", data=("x",), steps=10, batch=1, patch_px=8)


@cache
def _shipped() -> dict[str, torch.Tensor]:
    return load_file(SHIPPED)


def _safetensors() -> list[bytes]:
    about = {**weights.read(SHIPPED)[1], "input_mean": "0.4", "input_std": "0.2"}
    with files.temporary_folder("/tmp/weights") as folder:
        weights.save(folder / "own", _shipped(), about.pop("model"), int(about.pop("scale")), about)
        return [SHIPPED.read_bytes(), (folder / "own").read_bytes()]


def _damage_safetensors(data: bytes, rng: Random) -> bytes:
    num_bytes = int.from_bytes(data[:8], "little")
    head, body = data[8 : 8 + num_bytes], data[8 + num_bytes :]
    at = rng.randrange(len(body) // 4) * 4
    match rng.randrange(6):
        case 0:
            num_bytes += rng.choice((-num_bytes, -8, -1, 1, 8, 1 << 30, 1 << 62))
        case 1:
            head = scramble(head, rng)[:num_bytes].ljust(num_bytes)
        case 2:
            body = scramble(body, rng)
        case 3:
            value = np.float32(rng.choice((math.nan, math.inf, 3e38, -3e38, 1e-45, 0))).tobytes()
            body = body[:at] + value + body[at + 4 :]
        case kind:
            tree = json.loads(head)
            if kind == 4:
                key = rng.choice(list(ABOUT))
                tree["__metadata__"][key] = rng.choice(ABOUT[key])
            else:
                names = ("F16", "I32", "F64", "BF16", "F8_E5M2", [1 << 62, 4], [4, 0], [0, 48])
                tree = damage_tree(tree, rng, (*WRONG, *names))
            head = json.dumps(tree, skipkeys=True).encode()
            num_bytes = len(head)
    return num_bytes.to_bytes(8, "little") + head + body


def _read_safetensors(path: Path) -> bool:
    """The tensors that are taken are the bytes between the offsets that the head tells."""
    _run_network(path, None)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start])
    places = {key: entry["data_offsets"] for key, entry in entries.items() if key != "__metadata__"}
    told = {key: data[start + first : start + stop] for key, (first, stop) in places.items()}
    return all(told[key] == value.numpy().tobytes() for key, value in weights.read(path)[0].items())


def _run_network(path: Path, scale: int | None) -> None:
    """What `inspect` and `predict` do with weights; an output that is no picture is refused there by clip and frame."""
    network = weights.load(path, None, scale, CPU, look=True)
    seen = weights_summary.summarise_weights(network, weights.read(path)[1], "", False)
    assert weights_summary.weights_text(seen, True).replace("\n", "").isprintable()
    if not all(bool(torch.isfinite(value).all()) for value in network.module.state_dict().values()):
        weights.load(path, None, scale, CPU)
        raise AssertionError("loaded weights that are not finite")
    try:
        pipeline.run_network(
            network,
            (torch.linspace(0, 1, 64).view(1, 1, 8, 8).expand(-1, network.spec.channels, -1, -1),),
            pipeline.Options(),
        )
    except pipeline.NotFiniteError as error:
        raise ValueError(f"{path}: {error}") from None


def _pth() -> list[bytes]:
    own = {PORT.their_key(key): value for key, value in _shipped().items()}
    wrapped = {f"module.{key}": value for key, value in own.items()}
    about = {"epoch": np.float64(3), "args": Namespace(a=1), "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}}
    return [_saved(own), _saved({"params_ema": wrapped, **about}), _saved(own, is_zip=False)]


def _saved(content: Any, is_zip: bool = True) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=is_zip)
    return out.getvalue()


def _damage_torch(data: bytes, rng: Random) -> bytes:
    return damage_zip(data, rng) if rng.random() < 0.7 else scramble(data, rng)


def _damage_content(data: bytes, rng: Random) -> bytes:
    """Another content under checksums that are right: a tree that was changed, or the pickle's own bytes."""
    if rng.random() < 0.5:
        content = torch.load(io.BytesIO(data), weights_only=False)
        with suppress(NotImplementedError, RuntimeError):  # what torch cannot save
            return _saved(damage_tree(content, rng, ODD), is_zip=rng.random() < 0.9)
    if not data.startswith(b"PK"):
        return scramble(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as bundle, zipfile.ZipFile(out, "w") as made:
        for name in bundle.namelist():
            own = bundle.read(name)
            made.writestr(name, scramble(own, rng) if name.endswith(".pkl") or rng.random() < 0.03 else own)
    return out.getvalue()


def _read_pth(path: Path, is_content_own: bool) -> bool:
    """From a zip come the tensors that went in, where it was the zip that was damaged."""
    _run_network(path, 2)
    taken = weights.read(path)[0]
    is_own = all(torch.equal(taken[PORT.their_key(key)], value) for key, value in _shipped().items())
    return is_own or not is_content_own or not path.read_bytes().startswith(b"PK")


@cache
def _content() -> dict[str, Any]:
    """What a last.pt holds after a step."""
    made = _after_a_step(state.make_state(CONFIG, CPU))
    parts = ("module", "average", "optimizer", "precision", "adversary")
    content = {key: getattr(made, key) for key in COUNTED} | {key: getattr(made, key).state_dict() for key in parts}
    return {"format": state.FORMAT, **content, "torch_rng": torch.get_rng_state()}


def _after_a_step(made: state.RunState) -> state.RunState:
    for group in made.optimizer.param_groups:
        group["lr"] = 1e-9 * group["factor"]
    for parameter in made.module.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.optimizer.step()
    return made


def _read_checkpoint(path: Path, is_content_own: bool) -> bool:
    """A state that is taken can go on, and is the one that went in where it was the zip that was damaged."""
    made = state.make_state(CONFIG, CPU, resume=True)
    state.restore(made, path)
    own = _content()
    is_own = all(torch.equal(value, own["module"][key]) for key, value in made.module.state_dict().items())
    is_own &= all(getattr(made, key) == own[key] for key in COUNTED)
    _after_a_step(made)
    return (is_own or not is_content_own) and made.step >= 0 and not math.isnan(made.best)


def _npz() -> list[bytes]:
    found = []
    for save, more in ((np.savez, {}), (np.savez_compressed, {"normalisation": "torchvision"})):
        out = io.BytesIO()
        save(out, **_vgg(), **more)
        found.append(out.getvalue())
    return found


@cache
def _vgg() -> dict[str, np.ndarray]:
    """The first layer of VGG, as TensorFlow has it."""
    rng = np.random.default_rng(0)
    return {"conv1_1_W": rng.normal(size=(3, 3, 3, 64)).astype("f4"), "conv1_1_b": rng.normal(size=64).astype("f4")}


def _read_npz(path: Path) -> bool:
    """A loss looks through it, `inspect` into it."""
    with named(path):
        assert feature_maps.loss_network_of(str(path)) is not None
        first = vgg.load("vgg19", path, ["relu1_1"]).features[0]
    return np.array_equal(first.weight.detach().numpy().transpose(2, 3, 1, 0), _vgg()["conv1_1_W"])


KINDS = {
    "safetensors": Kind(_safetensors, _damage_safetensors, _read_safetensors),
    "pth": Kind(_pth, _damage_torch, partial(_read_pth, is_content_own=True)),
    "pth content": Kind(_pth, _damage_content, partial(_read_pth, is_content_own=False)),
    "npz": Kind(_npz, _damage_torch, _read_npz, 3_000, 100, place="vgg.npz"),
    "last.pt": Kind(lambda: [_saved(_content())], _damage_torch, partial(_read_checkpoint, is_content_own=True)),
    "last.pt content": Kind(
        lambda: [_saved(_content())], _damage_content, partial(_read_checkpoint, is_content_own=False)
    ),
}

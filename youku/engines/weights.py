"""Network weights as safetensors files that name their model and scale; loading is strict and lists the keys at fault.

The file's metadata holds "model", "scale" and free text about training. Files of others (safetensors, .pth, .pt) have
none: `published` knows their network by its keys under any wrapper, and mostly the scale; the caller names what they do
not tell. A run's folder stands for its best weights, or its last ones. The same tensors give the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from youku.engines import half, shipped
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine, center, fitted, range_of
from youku.files import atomic_write, printable
from youku.models import MODELS, check_scale, spec_of
from youku.models.spec import ModelSpec

if TYPE_CHECKING:
    from youku.engines.published import Published

CPU = torch.device("cpu")


EDGES = ("zero", "replicate")
"""What lies beyond a picture's edges to a network, as metadata "edges" says: its own zero padding, or the edge repeated."""


def save(
    path: str | Path, module_state: dict[str, torch.Tensor], model: str, scale: int, about: dict[str, str]
) -> None:
    """Write weights whole or not at all; `about` is kept as text beside the model's name and scale."""
    from safetensors.torch import save as to_bytes

    state = {key: value.detach().cpu().contiguous() for key, value in module_state.items()}
    data = memoryview(to_bytes(state, {"model": model, "scale": str(scale), **about}))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))  # the library's order differs from run to run
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(data[start:])


def find(path: str | Path) -> Path:
    """The weights file that `path` names; of a run's folder best.safetensors, or last.safetensors before there is one."""
    path = Path(path)
    if path.is_dir():
        there = [path / name for name in ("best.safetensors", "last.safetensors") if (path / name).is_file()]
        if not there:
            raise ValueError(
                f"{path}: expected a weights file or a run's folder, found neither best.safetensors nor "
                "last.safetensors in it; `python -m youku train` writes both into runs/NAME"
            )
        return there[0]
    if not path.is_file():
        found = "something that is no file" if path.exists() else "no such weights file"
        raise ValueError(f"{path}: {found}; `python -m youku train` writes runs/NAME/best.safetensors")
    if path.suffix.lower() == ".pt2":
        raise ValueError(f"{path}: is a network exported for other programs; give its weights, or export it as .onnx")
    return path


def is_graph(path: Path) -> bool:
    """Whether a file is an exported network, by its name: ONNX has no mark of its own."""
    return path.suffix.lower() == ".onnx"


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(state dict, metadata) of a safetensors file or a torch checkpoint (no metadata); ValueError for anything else.

    What others wrap their weights in ("module.", "params_ema" ...) is taken off, in both kinds of file alike.
    """
    path = find(path)
    if is_graph(path):
        raise ValueError(f"{path}: is an exported network for predict and evaluate; give the weights it was made from")
    pickled = is_pickle(path)
    state, about = ({}, {}) if pickled else _read_safetensors(path)
    if "model" in about:
        return state, about
    from youku.engines import pickles, published  # which files of this kit do without

    if pickled:
        state = pickles.tensors_of(path, pickles.read(path))
    return pickles.unwrapped(state, lambda inner: published.recognise(inner) is not None), about


def is_pickle(path: Path) -> bool:
    """True for a torch checkpoint by its first bytes (zip or bare pickle) or its name.

    A safetensors file begins with the length of its header, whose first byte may be a pickle's, and then "{".
    """
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return False
    return head[:4] == b"PK\x03\x04" or head[:1] == b"\x80" or path.suffix in (".pth", ".pt")


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except MemoryError:
        raise
    except Exception:  # the library's own error, and others of Python for types that torch does not have
        with path.open("rb") as file:
            found = "an HDF5 file" if file.read(4) == b"\x89HDF" else "something else or a damaged one"
        told = f"expected a whole safetensors file, got {found}; use best.safetensors of a run, or train again"
        raise ValueError(f"{path}: {told}") from None
    wrong = []
    if "model" in about and not re.fullmatch("[1-9][0-9]?", about.get("scale", "1")):
        wrong.append(f"scale = {about['scale'][:20]!r}: expected a whole number above 0")
    if not math.isfinite(_to_number(about.get("input_mean", "0"))):
        wrong.append(f"input_mean = {about['input_mean'][:20]!r}: expected a number")
    if not 0 < _to_number(about.get("input_std", "1")) < math.inf:
        wrong.append(f"input_std = {about['input_std'][:20]!r}: expected a positive number")
    if not range_of(about):
        wrong.append(f"input_range = {about['input_range'][:20]!r}: expected two code values, as 16-235")
    if about.get("edges", "zero") not in EDGES:
        wrong.append(f"edges = {about['edges'][:20]!r}: expected {' or '.join(EDGES)}")
    if wrong:
        raise ValueError(f"{path}: its metadata is wrong: {'; '.join(wrong)}; fetch the file again, or train again")
    return state, about


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_known(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """`read`, published weights under this kit's keys and with "model" and, where shapes tell it, "scale" filled in."""
    state, about, _ = _read_form(path)
    return state, about


def load(
    weights: str | Path | None = None,
    model: str | None = None,
    scale: int | None = None,
    device: torch.device = CPU,
    dtype: str = half.FLOAT32,
    look: bool = False,
    trained_on: str = shipped.CLEAN,
) -> Network:
    """Build the network that a weights file names (or `model` at `scale` where it names none) and load it strictly.

    Without a file: the kit's own weights of `model` (None: of balanced quality) for the input that they were `trained_on`,
    "clean" pictures or coded "video" (what `predict` takes for a clip), or a model that needs none. Values that are not
    finite are refused unless the network is only to be looked at (`look`). Published networks see clipped input.
    """
    own = shipped.find((model,) if model else shipped.QUALITIES[shipped.DEFAULT], scale or 4, trained_on)
    weights = find(weights) if weights else own.path if own else None
    if weights is None:
        spec, factor = spec_of(model or shipped.QUALITIES[shipped.DEFAULT][0], scale or 4), scale or 4
        if spec.trainable:
            raise ValueError(
                f"model {spec.name}: the kit has no trained weights for it at x{factor}; "
                "give --weights runs/NAME/best.safetensors, or take --model bicubic"
            )
        return _ready(spec, factor, spec.build(factor), device, dtype, None)
    if is_graph(weights) and not look:
        from youku.engines import onnx_file

        return onnx_file.load(weights, model, scale, dtype)
    state, about, form = _read_form(weights)
    name, factor = _named(str(weights), state, about, form, model, scale)
    try:
        spec = check_scale(form.spec, factor) if form else spec_of(name, factor)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from None
    module = spec.build(factor)
    what = f"{weights}: as {name} x{factor}" + (f" of {form.source}" if form else "")
    load_strictly(module, state, what, form.their_key if form else str)
    broken = [key for key, value in module.state_dict().items() if not bool(torch.isfinite(value).all())]
    if broken and not look:
        raise ValueError(f"{weights}: {_few(broken)} hold NaN or infinite values; train again, or fetch the file again")
    module = center(module, float(about.get("input_mean", 0)), float(about.get("input_std", 1)))
    if form:
        about = {"input_range": "0-255", **about}
    module = fitted(module, spec, factor, about, str(weights))
    return _ready(spec, factor, module, device, dtype, weights, about.get("step") == "0")


def load_strictly(
    module: nn.Module, state: dict[str, torch.Tensor], what: str, shown: Callable[[str], str] = str
) -> None:
    """Load a state dict or raise ValueError with every key that is missing, unknown or of another shape.

    `shown` turns a key of the module into the name that the user's file has for it.
    """
    own = module.state_dict()
    wrong = [f"missing {shown(key)}" for key in own if key not in state]
    wrong += [f"unknown {printable(key)}" for key in state if key not in own]
    for key in [key for key in own if key in state]:
        if own[key].shape != state[key].shape:
            wrong.append(f"{shown(key)} has shape {tuple(state[key].shape)}, expected {tuple(own[key].shape)}")
        if own[key].is_floating_point() and not state[key].is_floating_point():  # quantised ones need their factors
            wrong.append(f"{shown(key)} has type {state[key].dtype}, expected floating point")
    if wrong:
        raise ValueError(f"{what}: the weights do not fit this network: {'; '.join(wrong)}")
    module.load_state_dict(state)


def _read_form(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str], Published | None]:
    """`read_known`, and the published form that the file has, if any."""
    state, about = read(path)
    if "model" in about:
        return state, about, None
    from youku.engines import published

    form = published.recognise(state)
    if form is None:
        return state, about, None
    scale = form.scale(state)
    known = {"model": form.model, **({"scale": str(scale)} if scale else {}), "source": form.source}
    return form.in_our_names(state, str(path)), {**about, **known}, form


def _named(
    path: str,
    state: dict[str, torch.Tensor],
    about: dict[str, str],
    form: Published | None,
    model: str | None,
    scale: int | None,
) -> tuple[str, int]:
    """Model and scale from the file, checked against what the caller asked for."""
    if "model" not in about:
        return _named_by_caller(path, state, model, scale)
    name, factor = about["model"], about.get("scale", "")
    spec = form.spec if form else MODELS.get(name)
    if spec is None:
        raise ValueError(
            f"{path}: says it is {printable(name)!r}, which is no network of this kit; `python -m youku models` lists them"
        )
    if model is not None and model != name:
        raise ValueError(f"{path}: holds weights of {name}, not of {model}; drop --model or give other weights")
    if spec.any_scale and scale is not None:  # what the file says is the scale of training
        trained = about.get("scales", str(scale)).split(",")
        if str(scale) not in trained and any(key.startswith(f"upscale.{scale}.") for key in state):
            raise ValueError(f"{path}: its tail for x{scale} was not trained; give --scale {' or '.join(trained)}")
        return name, scale
    if not re.fullmatch("[0-9]{1,2}", factor):
        if scale is None:
            scales = ", ".join(map(str, spec.scales))
            raise ValueError(f"{path}: holds weights of {name}, which do not tell a scale; name it: --scale {scales}")
        return name, scale
    if scale is not None and scale != int(factor):
        raise ValueError(f"{path}: is for x{factor}, not x{scale}; give another --scale or other weights")
    return name, int(factor)


def _named_by_caller(
    path: str, state: dict[str, torch.Tensor], model: str | None, scale: int | None
) -> tuple[str, int]:
    """Model and scale of a file that does not say them and is of no published form."""
    if model is not None and scale is not None:
        return model, scale
    from youku.engines import published

    if near := published.near_miss(state):
        raise ValueError(f"{path}: the weights {near}; if this kit trained it, name it with --model and --scale")
    looks = f"its keys ({_few(list(state))}) are of no network known"
    known = ", ".join(dict.fromkeys(form.model for form in published.PUBLISHED))
    raise ValueError(
        f"{path}: does not say which network it is, and {looks}; if this kit trained it, name it with --model and "
        f"--scale; published weights are known of {known}"
    )


def _few(names: list[str]) -> str:
    shown = [printable(name) for name in names[:3]]  # a key may hold anything
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _ready(
    spec: ModelSpec, scale: int, module: nn.Module, device: torch.device, dtype: str, path: Path | None,
    is_as_begun: bool = False,
) -> Network:  # fmt: skip
    if dtype == "bf16" and not spec.bf16_safe:
        raise ValueError(f"model {spec.name}: loses accuracy in bf16; run it without --dtype (--half)")
    memory_format = torch.contiguous_format if device.type == "cuda" and spec.is_planar else torch.channels_last
    module = module.to(device).eval().requires_grad_(False).to(memory_format=memory_format)  # type: ignore[call-overload]
    return Network(spec, scale, TorchEngine(module, device, dtype, memory_format), path, (), is_as_begun)

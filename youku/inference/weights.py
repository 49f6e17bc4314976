"""Network weights as safetensors files that name their model and scale; loading is strict and lists the keys at fault.

The file's metadata holds "model", "scale" and free text about training; files of others have none, so the model and
scale are then named by the caller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from youku.files import atomic_path
from youku.models import spec_of
from youku.models.spec import ModelSpec


@dataclass(frozen=True)
class Network:
    """A network ready to run: eval mode, channels-last, on its device."""

    spec: ModelSpec
    scale: int
    module: nn.Module
    device: torch.device
    half: bool = False
    """Run convolutions in bf16 (autocast)."""


def pick_device(name: str) -> torch.device:
    """ "auto" = cuda, then mps, then cpu; ValueError where the named device is absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device {name}: not available here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return device


def save(
    path: str | Path, module_state: dict[str, torch.Tensor], model: str, scale: int, about: dict[str, str]
) -> None:
    """Write weights whole or not at all; `about` is kept as text beside the model's name and scale."""
    from safetensors.torch import save_file

    state = {key: value.detach().cpu().contiguous() for key, value in module_state.items()}
    with atomic_path(path) as temporary:
        save_file(state, os.fspath(temporary), metadata={"model": model, "scale": str(scale), **about})


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(state dict, metadata) of a safetensors file; ValueError for anything else."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a weights file, found a folder; name the best.safetensors in it")
    if not path.exists():
        raise ValueError(f"{path}: no such weights file; `python -m youku train` writes runs/NAME/best.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a whole safetensors file, got something else or a damaged one ({error}); "
            "use best.safetensors of a run, or train again"
        ) from None


def load(
    weights: str | Path | None, model: str | None, scale: int | None, device: torch.device, half: bool = False
) -> Network:
    """Build the network that a weights file names (or `model` at `scale` where it names none) and load it strictly."""
    if weights is None:
        spec, factor = spec_of(model or "bicubic", scale or 4), scale or 4
        if spec.trainable:
            raise ValueError(f"model {spec.name}: needs trained weights; give --weights runs/NAME/best.safetensors")
        return _ready(spec, factor, spec.build(factor), device, half)
    state, about = read(weights)
    name, factor = _named(str(weights), about, model, scale)
    spec = spec_of(name, factor)
    module = spec.build(factor)
    load_strictly(module, state, f"{weights}: as {name} x{factor}")
    return _ready(spec, factor, module, device, half)


def load_strictly(module: nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Load a state dict or raise ValueError with every key that is missing, unknown or of another shape."""
    own = module.state_dict()
    wrong = [f"missing {key}" for key in own if key not in state]
    wrong += [f"unknown {key}" for key in state if key not in own]
    for key in own:
        if key in state and own[key].shape != state[key].shape:
            wrong.append(f"{key} has shape {tuple(state[key].shape)}, expected {tuple(own[key].shape)}")
    if wrong:
        listed = "; ".join(wrong[:8]) + (f"; and {len(wrong) - 8} more" if len(wrong) > 8 else "")
        raise ValueError(f"{what}: the weights do not fit this network: {listed}")
    module.load_state_dict(state)


def _named(path: str, about: dict[str, str], model: str | None, scale: int | None) -> tuple[str, int]:
    """Model and scale from the file, checked against what the caller asked for."""
    if "model" not in about or not about.get("scale", "").isdigit():
        if model is None or scale is None:
            raise ValueError(f"{path}: does not say which network it is; name it with --model and --scale")
        return model, scale
    if model is not None and model != about["model"]:
        raise ValueError(
            f"{path}: holds weights of {about['model']}, not of {model}; drop --model or give other weights"
        )
    if scale is not None and scale != int(about["scale"]):
        raise ValueError(f"{path}: is for x{about['scale']}, not x{scale}; drop --scale or give other weights")
    return about["model"], int(about["scale"])


def _ready(spec: ModelSpec, scale: int, module: nn.Module, device: torch.device, half: bool) -> Network:
    if half and not spec.half_safe:
        raise ValueError(f"model {spec.name}: loses accuracy in 16 bit; run it without --half")
    module = module.to(device).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Network(spec, scale, module.requires_grad_(False), device, half)

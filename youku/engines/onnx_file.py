"""Exported networks: an .onnx file with all that a runner must know in its metadata, checked before it is written.

Network -> file, and file -> Network that any runtime installed here runs (chosen.py). The metadata's keys: youku.model,
scale, colours, frames, aligned, halo_px, local, bytes_per_px and precision, which are what the kit needs to run it whatever
networks it has itself; and for people range, layout, source, licence, card (the metadata of the weights file as JSON).
ValueError in one sentence for a file that is not ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from youku import files
from youku.engines import half
from youku.engines.chosen import ChosenEngine
from youku.engines.graph import OPSET
from youku.engines.graph_engine import RUNTIMES, Runtime, open_engine
from youku.engines.network import AGREE_CODES, Network
from youku.models import MODELS
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.video import standin

SUFFIX, PACKAGE_SUFFIX = ".onnx", ".pt2"
PRECISIONS = {"fp32": AGREE_CODES, "fp16": 2.0}
"""How many codes the file's output may lie from torch's float32: fp16 has steps of 1/8 code at its border alone."""
PICTURES = (("astronaut", 96, 64), ("coffee", 61, 47), ("chelsea", 33, 17))  # photograph, width, height
RANGE = "floats, 0 is black and 1 is white, neither input nor output clipped"
PLANES_RANGE = "uint8 codes, studio range, rounded half up and clipped to 0-255"
PLANES_LAYOUT = "y (batch, height, width), u and v (batch, half of both, rounded up): 4:2:0 sited left, matrix BT.{}"
NUMBERS = {"scale": 1, "frames": 1, "aligned": 0, "halo_px": 0, "local": 0, "bytes_per_px": 1}  # and the least of each
NO_LICENCE = "not stated by the weights file"


@dataclass(frozen=True)
class Parity:
    """How far one runtime is from torch on one picture."""

    picture: str
    runtime: str
    codes: float
    """The largest difference, before rounding."""
    rounded: float
    """Share of the samples that round to another code."""


def installed() -> list[Runtime]:
    return [one for one in RUNTIMES.values() if one.is_installed]


def about(
    network: Network, card: dict[str, str], precision: str, licence: str | None, planes: str = ""
) -> dict[str, str]:
    """The metadata of a network's file; `card` is that of its weights, `planes` the matrix of a file of planes."""
    spec = network.spec
    told = licence or card.get("licence") or card.get("license") or NO_LICENCE
    weights = {"file": network.path.name, "sha256": files.sha256(network.path)} if network.path else {}
    x = _picture(network, *PICTURES[-1])
    shapes = [f"(batch, {part.shape[1]}, height, width)" for part in x[:1]]
    shapes += [f"(batch, {part.shape[1]}, half the height and width, rounded up)" for part in x[1:]]
    form = {"youku.planes": planes, "range": PLANES_RANGE, "layout": PLANES_LAYOUT.format(planes)} if planes else {}
    return {
        "youku.model": spec.name,
        "youku.scale": str(network.scale),
        "youku.colours": spec.colours.name,
        "youku.frames": str(spec.num_frames),
        "youku.aligned": str(int(spec.aligned)),
        "youku.halo_px": str(spec.halo_px(network.scale)),
        "youku.local": str(int(spec.local)),
        "youku.bytes_per_px": str(math.ceil(network.engine.bytes_per_px(x))),
        "youku.precision": precision,
        "range": RANGE,
        "layout": f"{' and '.join(shapes)}, {spec.num_frames} frame(s), oldest first",
        "source": spec.source,
        "licence": told,
        "card": json.dumps({**card, **weights}, sort_keys=True),
        **form,
    }


def parity(network: Network, data: bytes, runtimes: Sequence[Runtime]) -> list[Parity]:
    """Runtimes against torch on parts of three photographs, one of odd size; ValueError where one fails."""
    found = []
    for runtime in runtimes:
        engine = open_engine(runtime, data, network.scale, network.engine.bytes_per_px)
        for name, width, height in PICTURES:
            x = _picture(network, name, width, height)
            expected, made = (
                torch.cat([part.flatten() for part in one.step(x, ())[0]]) for one in (network.engine, engine)
            )
            codes, rounded = float((made - expected).abs().max()) * 255, _codes(made) != _codes(expected)
            found.append(Parity(f"{name} {width}x{height}", runtime.name, codes, float(rounded.float().mean())))
    return found


def require_parity(found: list[Parity], precision: str, rounding: float = 0.0) -> None:
    """ValueError where a picture differs by more than the precision allows; `rounding` is what codes add to it."""
    worst = max(found, key=lambda one: (one.codes != one.codes, one.codes))
    if not worst.codes <= int(rounding) + PRECISIONS[precision]:
        raise ValueError(
            f"{worst.picture} in {worst.runtime} differs from torch by {worst.codes:.3g} codes, and {precision} may by "
            f"{PRECISIONS[precision]}; nothing was written{'; take --precision fp32' if precision != 'fp32' else ''}"
        )


def load(path: Path, model: str | None, scale: int | None, dtype: str) -> Network:
    """The network of a file, run by whichever runtime is installed; ValueError says what is wrong with it or missing."""
    if dtype != half.FLOAT32:
        raise ValueError(f"{path}: computes in its own precision; drop --dtype (--half)")
    told = read_about(path)
    if "youku.model" not in told:
        raise ValueError(
            f"{path}: is an ONNX file that this kit did not write, so its colours, range and scale are unknown; "
            "give the weights themselves, or a file of `python -m youku export`"
        )
    if "youku.planes" in told:
        raise ValueError(
            f"{path}: takes planes for other programs (export --planes); give the weights, or export without"
        )
    numbers = {key: told.get(f"youku.{key}", "") for key in NUMBERS}
    colours = next((spec.colours for spec in MODELS.values() if spec.colours.name == told.get("youku.colours")), None)
    wrong = [key for key, text in numbers.items() if not re.fullmatch("[0-9]{1,9}", text) or int(text) < NUMBERS[key]]
    if wrong or colours is None:
        raise ValueError(
            f"{path}: its metadata lacks {', '.join(wrong) or 'colours'} as this version has it; export it again"
        )
    value = {key: int(text) for key, text in numbers.items()}
    name, factor = told["youku.model"], value["scale"]
    if (model or name) != name or (scale or factor) != factor:
        raise ValueError(f"{path}: holds {name} x{factor}; drop --model and --scale, or give another file")
    spec = ModelSpec(
        name=name, build=_no_layers, colours=colours, halo_px=lambda scale: value["halo_px"], scales=(factor,),
        num_frames=value["frames"], aligned=bool(value["aligned"]), local=bool(value["local"]),
        source=told.get("source", ""),
    )  # fmt: skip
    engine = ChosenEngine(
        spec=spec, scale=factor, graph=path.read_bytes, runtimes=tuple(installed()), reference=None,
        file=path, px_bytes=value["bytes_per_px"],
    )  # fmt: skip
    return Network(spec, factor, engine, path)


def _no_layers(scale: int) -> nn.Module:
    raise AssertionError("a graph has no layers to build")


def read_about(path: Path) -> dict[str, str]:
    """The metadata of an ONNX file, by the first runtime that reads it."""
    if not installed():
        pip_lines = " or ".join(f"pip install {one.package}" for one in RUNTIMES.values())
        raise ValueError(f"{path}: an ONNX file needs a package to run it; run {pip_lines}")
    for runtime in installed():
        with suppress(Exception):  # the runtime's own kinds, which name its code, not the file's fault
            return runtime.open_graph(path.read_bytes(), 1).about
    names = " and ".join(runtime.name for runtime in installed())
    raise ValueError(
        f"{path}: expected a whole ONNX file, and {names} cannot read it: it is damaged, or of an opset or version that they "
        f"do not know; export it again (--opset {OPSET}), or update them"
    )


def _picture(network: Network, name: str, width: int, height: int) -> Tensors:
    """The middle of a photograph as network input, later frames each a pixel further to the right."""
    photo = standin.load_photo(name)
    top, left = ((whole - part) // 2 for whole, part in zip(photo.shape, (height, width), strict=False))
    frames = []
    for index in range(network.spec.num_frames):
        part = photo[top : top + height, left + index : left + index + width]
        frames.append(network.spec.colours.from_picture(np.ascontiguousarray(part)))
    return tuple(torch.cat(parts, dim=1) for parts in zip(*frames, strict=True))  # T x (1, C, h, w) -> (1, T C, h, w)


def _codes(output: torch.Tensor) -> torch.Tensor:
    return (output * 255 + 0.5).floor().clamp(0, 255)

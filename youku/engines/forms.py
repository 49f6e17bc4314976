"""What a published form of a network is: how it is told, its sizes from shapes, and its keys in this kit's names.

A `Family` is one way in which authors name a network's layers; its `form` for given sizes is a `Published`: the network
to build, whatever its width and depth, and the keys. The families stand in families.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from youku.models import span
from youku.models.spec import ModelSpec

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published form of a network."""

    source: str
    spec: ModelSpec
    """The network; of the table, or one of its networks at other sizes."""
    layers: dict[str, str]
    """Our layer -> theirs; the last part of a key (weight, bias) is the same, where a whole key does not say otherwise."""
    scale: Callable[[State], int | None] = lambda state: None
    """The factor, from shapes; None where they do not tell."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """Keys of theirs that are no parameters of ours: they must hold these values."""
    branched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Layers of theirs that come as the branches they were trained in, with their planes in and out: merged on reading."""

    @property
    def model(self) -> str:
        return self.spec.name

    def their_key(self, own: str) -> str:
        """Name in the file of a key of ours."""
        return renamed(own, self.layers)

    def faults(self, state: State) -> list[str]:
        """A phrase for every key, in their names, that a state dict lacks, has too much or in another shape."""
        wrong = span.faults(self.branched, state) if self.branched else []
        if not wrong:
            state = span.merge_state(state) if self.branched else state
            scale = self.scale(state)
            with torch.device("meta"):
                module = self.spec.build(scale if scale in self.spec.scales else min(self.spec.scales))
            own = {self.their_key(key): value.shape for key, value in module.state_dict().items()}
            wrong += [f"missing {key}" for key in own if key not in state]
            wrong += [f"unknown {key}" for key in state if key not in own and key not in self.constants]
            wrong += [
                f"{key} has shape {tuple(state[key].shape)}, expected {tuple(shape)}"
                for key, shape in own.items()
                if key in state and state[key].shape != shape
            ]
        return wrong


@dataclass(frozen=True, kw_only=True)
class Family:
    """One way of naming a network's layers, whatever its sizes."""

    marks: tuple[str, ...]
    """Keys that together only this form has."""
    sizes: Callable[[State], tuple[int, ...]]
    """What `form` takes, from a state dict that has the marks."""
    form: Callable[..., Published]
    usual: tuple[tuple[int, ...], ...]
    """Sizes of the table's networks."""


def renamed(key: str, names: Mapping[str, str]) -> str:
    """A key by the name of itself or of its layer."""
    layer, _, kind = key.rpartition(".")
    return names.get(key) or f"{names.get(layer, layer)}.{kind}"


def sized(
    spec: ModelSpec, sizes: tuple[int, ...], build: Callable[[int], nn.Module], halo_px: int | None = None
) -> ModelSpec:
    """A network of the table at sizes that the table does not have, which its name ends in."""
    name = "-".join([re.sub(r"-\d+$", "", spec.name), *map(str, sizes)])
    return replace(spec, name=name, build=build, halo_px=spec.halo_px if halo_px is None else lambda scale: halo_px)


def number(state: State, pattern: str) -> int:
    """How many different values the group of a pattern takes among the keys that begin so."""
    found = (re.match(pattern, key) for key in state)
    return len({match.group(1) for match in found if match})


def width(key: str, axis: int = 0) -> Callable[[State], int]:
    """Size of an axis of the tensor of that name, 0 where it has none."""
    return lambda state: state[key].shape[axis] if state[key].ndim > axis else 0


def split_width(key: str, parts: int) -> Callable[[State], int]:
    """`width` of a layer whose channels are divided by up to `parts`, 0 where they are fewer."""
    return lambda state: found if (found := width(key)(state)) >= parts else 0


def shuffle_scale(key: str, num_planes: int) -> Callable[[State], int | None]:
    """The factor of a network that ends in `key`, a convolution to num_planes * scale^2 channels."""

    def scale(state: State) -> int | None:
        channels = width(key)(state)
        factor = math.isqrt(channels // num_planes)
        return factor if factor * factor * num_planes == channels else None

    return scale


def mean_shifts(layer: str, mean: Tensor) -> dict[str, Tensor]:
    """Constants of the two layers, "sub" and "add" in their name, that take a mean (3) off a picture and add it."""
    identity = {f"{layer.format(kind)}.weight": torch.eye(3) for kind in ("sub", "add")}
    return {**identity, f"{layer.format('sub')}.bias": -mean, f"{layer.format('add')}.bias": mean}


def two_stage_scale(first: str, second: str) -> Callable[[State], int | None]:
    """The factor of a sub-pixel upsampler: x4 has a second stage, x2 and x3 end after the first."""

    def scale(state: State) -> int | None:
        return 4 if second in state else math.isqrt(width(first)(state) // max(1, width(first, 1)(state)))

    return scale

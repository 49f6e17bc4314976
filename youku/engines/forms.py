"""What a published form of a network is: how it is told, its sizes from shapes, and its keys in this kit's names.

A `Family` is one way in which authors name a network's layers; its `form` for given sizes is a `Published`: the network
to build, whatever its width and depth, and the keys. `published` has all families.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from youku.models import span
from youku.models.spec import ModelSpec

State = dict[str, Tensor]
Size = Callable[[State], int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """One way of naming a network's layers, whatever its sizes."""

    source: str
    marks: tuple[str, ...]
    """Keys that together only this form has."""
    sizes: tuple[Size, ...] = ()
    """What `spec` takes, from a state dict that has the marks."""
    spec: Callable[..., ModelSpec]
    """The network of those sizes: of the table, or one of its networks at other sizes."""
    usual: tuple[tuple[int, ...], ...] = ((),)
    """Sizes of the table's networks."""
    layers: Mapping[str, str]
    """Our layer -> theirs, or whole keys; * stands for a number, in theirs + for one more and ++ for two."""
    ends: Callable[..., dict[str, str]] = lambda *sizes: {}
    """More of them, whose numbers come from the sizes."""
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    """Keys of theirs that are no parameters of ours: they must hold these values."""
    branched: Callable[..., dict[str, tuple[int, int]]] = lambda *sizes: {}
    """Layers of theirs that come as the branches they were trained in, with their planes in and out: merged on reading."""

    def form(self, *sizes: int) -> Published:
        return _form(self, sizes)


@dataclass(frozen=True, eq=False)
class Published:
    """A family at given sizes."""

    family: Family
    spec: ModelSpec
    layers: Mapping[re.Pattern[str], str]
    branched: Mapping[str, tuple[int, int]]

    @property
    def source(self) -> str:
        return self.family.source

    @property
    def model(self) -> str:
        return self.spec.name

    def their_key(self, own: str) -> str:
        """Name in the file of a key of ours."""
        layer, _, kind = own.rpartition(".")
        for ours, theirs in self.layers.items():
            for name, rest in ((own, ""), (layer, f".{kind}")):
                if found := ours.fullmatch(name):
                    return _filled(theirs, map(int, found.groups())) + rest
        return own

    def scale(self, state: State) -> int | None:
        """The factor, from shapes; None where they do not tell."""
        fitting = self._fitting(self._merged(state))
        return fitting[0] if len(fitting) == 1 else None

    def faults(self, state: State) -> list[str]:
        """A phrase for every key, in their names, that a state dict lacks, has too much or in another shape."""
        if wrong := span.faults(self.branched, state):
            return wrong
        state = self._merged(state)
        return min((self._misfits(state, scale) for scale in self.spec.scales), key=len)

    def in_our_names(self, state: State, what: str) -> State:
        """A state dict without faults under our keys, branches merged, the form's constants checked and gone.

        ValueError, of `what`, says which constant differs.
        """
        for key, expected in self.family.constants.items():
            if key in state and not torch.allclose(state[key].float().reshape(-1), expected.reshape(-1), atol=1e-2):
                raise ValueError(
                    f"{what}: {key} is {_short(state[key])}, expected {_short(expected)}: "
                    "the network was trained on another colour mean or range than this kit's; give other weights"
                )
        state = self._merged(state)
        return {own: state[their] for their, (own, _) in _keys(self, self._fitting(state)[0]).items()}

    def _merged(self, state: State) -> State:
        return span.merge_state(state) if self.branched else state

    def _fitting(self, state: State) -> list[int]:
        return [scale for scale in self.spec.scales if not self._misfits(state, scale)]

    def _misfits(self, state: State, scale: int) -> list[str]:
        """`faults` for a scale."""
        known = _keys(self, scale)
        wrong = [f"missing {key}" for key in known if key not in state]
        wrong += [f"unknown {key}" for key in state if key not in known and key not in self.family.constants]
        wrong += [
            f"{key} has shape {tuple(state[key].shape)}, expected {tuple(shape)}"
            for key, (_, shape) in known.items()
            if key in state and state[key].shape != shape
        ]
        return wrong


def _filled(theirs: str, numbers: Iterator[int]) -> str:
    """A name of `Family.layers` with its numbers."""
    return re.sub(r"\*|\++", lambda sign: str(next(numbers) + len(sign[0].strip("*"))), theirs)


@cache
def _form(family: Family, sizes: tuple[int, ...]) -> Published:
    layers = {
        re.compile(re.escape(ours).replace(r"\*", r"(\d+)")): theirs
        for ours, theirs in {**family.ends(*sizes), **family.layers}.items()
    }
    return Published(family, family.spec(*sizes), layers, family.branched(*sizes))


@cache
def _keys(form: Published, scale: int) -> dict[str, tuple[str, torch.Size]]:
    """Their key -> (ours, shape) of the network for a scale."""
    with torch.device("meta"):
        own = form.spec.build(scale).state_dict()
    return {form.their_key(key): (key, value.shape) for key, value in own.items()}


def of_table(
    build: Callable[..., nn.Module],
    base: ModelSpec,
    known: Mapping[Any, ModelSpec],
    halo_px: Callable[..., int] | None = None,
) -> Callable[..., ModelSpec]:
    """A `Family.spec`: a network of the table, or for other sizes `base` with what they change; its name ends in them."""

    def spec(*sizes: int) -> ModelSpec:
        name = "-".join([re.sub(r"-\d+$", "", base.name), *map(str, sizes)])
        reach = base.halo_px if halo_px is None else lambda scale: halo_px(*sizes)
        return known.get(sizes) or replace(base, name=name, build=lambda scale: build(scale, *sizes), halo_px=reach)

    return spec


def count(pattern: str, beside: int = 0, each: int = 1) -> Size:
    """How many different values the group of a pattern takes among the keys that begin so, less some, over some."""

    def size(state: State) -> int:
        found = (re.match(pattern, key) for key in state)
        return (len({match.group(1) for match in found if match}) - beside) // each

    return size


def width(key: str, axis: int = 0, least: int = 1) -> Size:
    """Size of an axis of the tensor of that name, 0 where it has none or fewer than `least`."""

    def size(state: State) -> int:
        found = state[key].shape[axis] if state[key].ndim > axis else 0
        return found if found >= least else 0

    return size


def mean_shifts(layer: str, mean: Tensor) -> dict[str, Tensor]:
    """Constants of the two layers, "sub" and "add" in their name, that take a mean (3) off a picture and add it."""
    identity = {f"{layer.format(kind)}.weight": torch.eye(3) for kind in ("sub", "add")}
    return {**identity, f"{layer.format('sub')}.bias": -mean, f"{layer.format('add')}.bias": mean}


def _short(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:.2f}" for value in values.reshape(-1)[:3].tolist()) + "]"

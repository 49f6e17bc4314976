"""Patches that were cut from training pairs become a batch on the device: as tensors, turned, damaged, in windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from youku.models import colours
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.training.cuts import Cut, Place
from youku.training.pairs import Pair
from youku.video.y4m import Planes

FLAT_STD = 2.0  # code values; flatter patches (bars, black) are mostly drawn again


@dataclass(frozen=True)
class Patch:
    """A place of a pair for the network of `spec`, cut out when it is looked at."""

    pair: Pair
    place: Place
    spec: ModelSpec
    is_backwards: bool = False
    """In time."""

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return f"{self.pair.name} frame {self.place.frame}"

    @cached_property
    def cut(self) -> Cut:
        """The planes there that the network needs; a picture is one plane (3, h, w)."""
        made = self.pair.cut(self.place)
        low, high, taught = (
            [self.spec.colours.needed(planes) for planes in frames[:: -1 if self.is_backwards else 1]]
            for frames in (made.low, made.high, made.taught or [])
        )
        return Cut(low, high, taught or None)


def is_flat(low: Sequence[Planes]) -> bool:
    """Whether the luma of the middle frame hardly varies: n sum(x^2) - sum(x)^2 < (n FLAT_STD)^2, exact in float64."""
    x = low[len(low) // 2][0].astype(np.float64)
    return bool(x.size * (x**2).sum() - x.sum() ** 2 < (x.size * FLAT_STD) ** 2)


@dataclass(frozen=True)
class Batch:
    """Network input (N, T C, h, w) and target (N, C, s h, s w) on the device, and where each patch came from.

    Of a network with memory N is moments x patches: all patches at the first moment, then all at the second. `exact` (N)
    says of each target tensor after the first which turns left it in place: half-size chroma moves with most.
    """

    low: Tensors
    high: Tensors
    names: tuple[str, ...]
    scale: int
    exact: Tensors = ()
    num_moments: int = 1
    taught: Tensor | None = None
    """What a teacher makes of `low`, as the first of `high`; the truth where it makes nothing."""

    @property
    def tensors(self) -> list[Tensor]:
        """All that a step reads."""
        return [*self.low, *self.high, *self.exact, *([] if self.taught is None else [self.taught])]

    def target(self, pred: Tensors) -> Tensors:
        """What `pred` shall become: the truth, and where that is not exact, itself, from which nothing is learned."""
        rest = zip(pred[1:], self.high[1:], self.exact, strict=True)
        return self.high[0], *(
            torch.where(exact[:, None, None, None], high, own.detach().float()) for own, high, exact in rest
        )


Change = Callable[[Tensors, list[Tensors]], tuple[Tensors, list[Tensors]]]
"""(low frames, [high ones, a teacher's]) -> the same, damaged or stretched."""


@dataclass(frozen=True)
class Stacked:
    """Patches of one kind as float planes on the device, (F N, h, w) each: all patches at the first time, then at the second."""

    pair: Pair
    """One of them, for its layout."""
    names: tuple[str, ...]
    low: list[Tensor]
    high: list[Tensor]
    taught: Tensor | None = None
    """(F N, C, s h, s w): a teacher's output, the truth where there is none."""
    are_taught: tuple[bool, ...] = ()
    """Which of the N have a teacher's output; where it is empty, none."""


def stacked(patches: Sequence[Patch], device: torch.device) -> Stacked:
    """Patches of one kind, sent to the device."""
    pair, cuts = patches[0].pair, [patch.cut for patch in patches]
    are_taught = tuple(bool(one.taught) for one in cuts)
    low, high, taught = (
        [planes for at_once in zip(*frames, strict=True) for planes in at_once]
        for frames in zip(*((one.low, one.high, one.taught or one.high) for one in cuts), strict=True)
    )
    return Stacked(
        pair,
        tuple(patch.name for patch in patches),
        colours.to_tensors(low, pair.depth, device),
        colours.to_tensors(high, pair.depth, device),
        pair.first_of(taught, patches[0].spec.colours, device) if any(are_taught) else None,
        are_taught,
    )


def finish(
    made: Stacked, spec: ModelSpec, turns: Sequence[int], change: Change = lambda low, truths: (low, truths),
    num_batches: int = 1,
) -> list[Batch]:  # fmt: skip
    """Planes as equal batches of what the network of `spec` takes and makes, which share their memory.

    Each patch is flipped and rotated as its entry of `turns` says. `change` sees the frames (F N, C, h, w), all patches at
    the first time, then at the second, before they are windows.
    """
    number, num_moments = len(made.names), len(made.high[0]) // len(made.names)

    def as_turned(x: Tensors) -> Tensors:
        return tuple(turned(part, [*turns] * (len(part) // number)) for part in x) if any(turns) else x

    def split(x: Tensors) -> list[Tensors]:  # (moments N, ...) -> of each batch (moments N / batches, ...)
        by_batch = (part.unflatten(0, (num_moments, num_batches, -1)).transpose(0, 1).flatten(0, 2) for part in x)
        packed = (part.contiguous(memory_format=torch.channels_last).chunk(num_batches) for part in by_batch)
        return [*zip(*packed, strict=True)]

    high = as_turned(made.pair.to_input(made.high, spec.colours))  # (F N, C, s h, s w) each
    truths = [high]
    if made.taught is not None:
        truths.append((*as_turned((made.taught,)), *high[1:]))
    low, (high, *others) = change(as_turned(made.pair.to_input(made.low, spec.colours)), truths)
    low = tuple(  # of every moment its window: (F N, C, h, w) -> (moments N, T C, h, w)
        torch.cat([part[at * number :][: num_moments * number] for at in range(spec.num_frames)], dim=1) for part in low
    )
    of_turns = np.array([spec.colours.kept(turn, *high[0].shape[-2:]) for turn in range(colours.NUM_TURNS)])
    kept = np.tile(of_turns[[*turns]].reshape(num_batches, -1, len(high)), (1, num_moments, 1)).swapaxes(1, 2)[:, 1:]
    exact = sent(torch.from_numpy(kept.copy()), high[0].device)  # (batches, tensors - 1, moments N)
    lows, highs, owns = split(low), split(high), split(others[0][:1]) if others else []
    batches = []
    for index in range(num_batches):
        own = slice(index * number // num_batches, (index + 1) * number // num_batches)
        batches.append(
            Batch(
                lows[index], highs[index], made.names[own], made.pair.scale, tuple(exact[index]), num_moments,
                owns[index][0] if any(made.are_taught[own]) else None,
            )
        )  # fmt: skip
    return batches


def stack(patches: Sequence[Patch], device: torch.device) -> Batch:
    """Upright patches of one kind as a batch on the device."""
    return finish(stacked(patches, device), patches[0].spec, [0] * len(patches))[0]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The same on the device, which is not waited for: a GPU reads it where torch keeps it as long as that takes."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def turned(x: Tensor, turns: Sequence[int]) -> Tensor:
    """Squares (N, C, h, h), each by one of the 8 flips and rotations."""
    if x.device.type == "cpu":  # in half of the time that it takes there at once
        return torch.stack([colours.RGB.turned((one,), turn)[0] for one, turn in zip(x, turns, strict=True)])
    return turned_at_once(x, turns)


def turned_at_once(x: Tensor, turns: Sequence[int]) -> Tensor:
    """The same in three kernels and not N, which a GPU would wait for."""
    sources = _sources(x.shape[-1], x.device)[sent(torch.tensor(turns), x.device)]  # (N, h h)
    return x.flatten(2).gather(2, sources[:, None].expand(-1, x.shape[1], -1)).view_as(x)


@lru_cache(maxsize=16)
def _sources(side_px: int, device: torch.device) -> Tensor:
    """(8, side side): where each sample of a square comes from at each turn."""
    upright = (torch.arange(side_px**2).view(1, 1, side_px, side_px),)
    made = torch.stack([colours.RGB.turned(upright, turn)[0].flatten() for turn in range(colours.NUM_TURNS)])
    return made.to(device)  # which waits: any stream may read it

"""The patches that a network trains on, cut from pairs and stacked into batches.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.inference import stages
from youku.models import colours
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.threads import own_threads
from youku.training.config import PatchSettings
from youku.training.cuts import DEFAULT_RESIZER, Place
from youku.training.pairs import Pair
from youku.video.y4m import Planes

FLAT_STD = 2.0  # code values; flatter patches (bars, black) are mostly drawn again
FLAT_REDRAW = 0.7  # models.md section 9: rejection probability
Items = TypeVar("Items", list, np.ndarray)


@dataclass(frozen=True)
class Ranks:
    """Who else trains this run: rank 0 of 1, for which each call does nothing; `distributed.Processes` has the same calls."""

    is_writer: bool = True
    """Whether this process writes the run's files."""

    def share(self, items: Items) -> Items:
        """This process's slice of what all of them work on."""
        return items

    def mean(self, value: float) -> float:
        """The mean over all processes."""
        return value

    def most(self, *values: int) -> tuple[int, ...]:
        """The largest of each over all processes."""
        return values

    def gather(self, items: list) -> list:
        """What all of them made of their slices, in order."""
        return items

    def average(self, module: nn.Module) -> None:
        """Gradients become their mean over all processes."""

    def share_statistics(self, module: nn.Module) -> None:
        """Batch norms see the patches of all processes from now on."""

    def barrier(self) -> None:
        """Wait until all are here."""


ONE_PROCESS = Ranks()


@dataclass(frozen=True)
class Patch:
    """The planes of one place of a pair, oldest first: low-resolution frames, and the high ones (`cuts.Cut`)."""

    pair: Pair
    frame: int
    low: list[Planes]
    high: list[Planes]
    taught: list[Planes] | None = None


@dataclass(frozen=True)
class Batch:
    """Network input (N, T C, h, w) and target (N, C, s h, s w) on the device, and where each patch came from.

    Of a network with memory N is moments x patches: all patches at the first moment, then all at the second. `exact` (N)
    says of each target tensor which turns left it in place: half-size chroma moves with most.
    """

    low: Tensors
    high: Tensors
    names: tuple[str, ...]
    scale: int
    exact: tuple[Tensor | None, ...] = (None,)
    """None: all of them."""
    num_moments: int = 1
    taught: Tensor | None = None
    """What a teacher makes of `low`, as the first of `high`; the truth where it makes nothing."""

    def target(self, pred: Tensors) -> Tensors:
        """What `pred` shall become: the truth, and where that is not exact, itself, from which nothing is learned."""
        return tuple(
            high if exact is None else torch.where(exact[:, None, None, None], high, own.detach().float())
            for own, high, exact in zip(pred, self.high, self.exact, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws batches of one scale for the network of `spec`."""

    pairs: Sequence[Pair]
    spec: ModelSpec
    patches: PatchSettings
    seed: int
    device: torch.device
    every: int = 1
    """Only every N-th frame of a clip is used."""
    ranks: Ranks = ONE_PROCESS

    def __post_init__(self) -> None:
        if all(min(pair.size) < self.patches.patch_px for pair in self.pairs):
            raise ValueError(f"every clip is smaller than a patch of {self.patches.patch_px} px; lower --patch-px")
        fixed = [pair.name for pair in self.pairs if pair.has_own_low]
        if fixed and self.patches.resizers != (DEFAULT_RESIZER,):
            raise ValueError(f"--resizers has no effect on {fixed[0]}, which brings its own low resolution; drop it")
        if self.patches.cutblur and not (fixed or self.patches.noise or self.patches.resizers != (DEFAULT_RESIZER,)):
            raise ValueError("--cutblur has no effect on pictures that are shrunk cleanly; add --noise, or drop it")

    def draw(self, step: int) -> Batch:
        """The batch of one step: the same for the same seed and step, whoever asks and when."""
        rng = np.random.default_rng((self.seed, step))
        cuts: list[Patch] = []
        turns: list[int] = []
        while len(cuts) < self.patches.batch:
            patch = self._cut_somewhere(rng)
            if patch is None or (rng.random() < FLAT_REDRAW and is_flat(patch)):
                continue
            cuts.append(patch)
            turns.append(int(rng.integers(colours.NUM_TURNS)) if self.patches.augment else 0)
        return stack(
            self.ranks.share(cuts), self.spec, self.device, self.ranks.share(turns),
            lambda low, truths: self._cut_blur(*self._add_noise(*self._stretch(low, truths, rng), rng), rng),
        )  # fmt: skip

    def _cut_somewhere(self, rng: np.random.Generator) -> Patch | None:
        """A patch of a pair, frame and place drawn at random; None of a pair that is too small."""
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        side_px, resizers = self.patches.patch_px, self.patches.resizers
        height, width = pair.size
        if min(height, width) < side_px:
            return None
        frame = self.every * int(rng.integers(-(-pair.num_frames // self.every)))
        top, left = (2 * int(rng.integers((side - side_px) // 2 + 1)) for side in (height, width))
        resizer = resizers[int(rng.integers(len(resizers)))] if len(resizers) > 1 else resizers[0]
        if not self.spec.memory:
            return cut(pair, self.spec, frame, top, left, side_px, resizer)
        moments, camera = self.patches.sequence, int(rng.integers(2**62))
        patch = cut(pair, self.spec, frame, top, left, side_px, resizer, moments, camera)
        is_turned = self.patches.augment and bool(rng.integers(2))  # in time
        if not is_turned:
            return patch
        taught = patch.taught and patch.taught[::-1]
        return replace(patch, low=patch.low[::-1], high=patch.high[::-1], taught=taught)

    def _stretch(self, low: Tensors, truths: list[Tensors], rng: np.random.Generator) -> tuple[Tensors, list[Tensors]]:
        """Some patches as full-range video would hold them: pictures' luma never leaves 16-235, real clips' does."""
        if not self.patches.full_range:
            return low, truths
        chosen = self.ranks.share(rng.random(self.patches.batch) < self.patches.full_range)

        def stretched(x: Tensors) -> Tensors:
            where = torch.from_numpy(np.tile(chosen, len(x[0]) // len(chosen))).to(self.device)[:, None, None, None]
            return tuple(torch.where(where, *pair) for pair in zip(self.spec.colours.to_full_range(x), x, strict=True))

        return stretched(low), [*map(stretched, truths)]

    def _add_noise(
        self, low: Tensors, truths: list[Tensors], rng: np.random.Generator
    ) -> tuple[Tensors, list[Tensors]]:
        """Noise on every frame of the input, the same wherever the frame is seen."""
        if not self.patches.noise:
            return low, truths
        noisy = []
        for part in low:
            num_times = len(part) // len(self.ranks.share(list(range(self.patches.batch))))
            shape = (self.patches.batch, num_times, *part.shape[1:])
            values = self.ranks.share(rng.normal(0, self.patches.noise / 255, shape).astype(np.float32))
            noisy.append(part + torch.from_numpy(values).to(self.device).transpose(0, 1).flatten(0, 1))
        return tuple(noisy), truths

    def _cut_blur(self, low: Tensors, truths: list[Tensors], rng: np.random.Generator) -> tuple[Tensors, list[Tensors]]:
        """Some patches clean inside of a rectangle or around it, in their first tensor: where to mend, and how much.

        Source: Yoo et al. 2020, CutBlur, arXiv:2004.00448, whose networks see low resolution enlarged; ours as it is.
        """
        if not self.patches.cutblur:
            return low, truths
        number, side_px = self.patches.batch, low[0].shape[-1]
        spans = rng.uniform(0.25, 0.75, (number, 2, 1)) * side_px
        begins = rng.random((number, 2, 1)) * (side_px - spans)
        at = np.arange(side_px)
        inside = (at >= begins) & (at < begins + spans)  # (N, 2, side)
        clean = (inside[:, 0, :, None] & inside[:, 1, None]) ^ (rng.random((number, 1, 1)) < 0.5)
        clean &= rng.random((number, 1, 1)) < self.patches.cutblur
        shrunk = F.interpolate(truths[0][0], low[0].shape[-2:], mode="bicubic", antialias=True)  # a = -0.5, as MATLAB's
        where = torch.from_numpy(self.ranks.share(clean)).to(self.device)[:, None]
        return (torch.where(where, shrunk, low[0]), *low[1:]), truths


def cut(
    pair: Pair,
    spec: ModelSpec,
    frame: int,
    top: int,
    left: int,
    side_px: int,
    resizer: str = DEFAULT_RESIZER,
    num_moments: int = 1,
    camera: int = 0,
) -> Patch:
    """One place in low-resolution pixels: the planes that the network of `spec` needs."""
    made = pair.cut(
        Place(
            frame=frame, top=top, left=left, side_px=side_px, num_frames=spec.num_frames, num_moments=num_moments,
            aligned=spec.aligned, resizer=resizer, camera=camera,
        )
    )  # fmt: skip
    low, high, taught = (  # a picture is one plane (3, h, w)
        [spec.colours.needed(planes) for planes in frames] for frames in (made.low, made.high, made.taught or [])
    )
    return Patch(pair, frame, low, high, taught or None)


def is_flat(patch: Patch) -> bool:
    """Whether the luma of the middle frame hardly varies."""
    return bool(patch.low[len(patch.low) // 2][0].std() < FLAT_STD)


Change = Callable[[Tensors, list[Tensors]], tuple[Tensors, list[Tensors]]]
"""(low frames, [high ones, a teacher's]) -> the same, damaged or stretched."""


def stack(
    patches: Sequence[Patch], spec: ModelSpec, device: torch.device, turns: Sequence[int] = (),
    change: Change = lambda low, truths: (low, truths),
) -> Batch:  # fmt: skip
    """Patches of one kind as a batch on the device, each flipped and rotated as its entry of `turns` says.

    `change` sees the frames (F N, C, h, w), all patches at the first time, then at the second, before they are windows.
    """
    pair, number, num_moments = patches[0].pair, len(patches), len(patches[0].high)

    def in_order(frames: Sequence[Sequence[Planes]]) -> list[Planes]:
        return [planes for at_once in zip(*frames, strict=True) for planes in at_once]

    def as_turned(x: Tensors) -> Tensors:
        if not any(turns):
            return x
        return tuple(torch.stack([turned(patch, turns[at % number]) for at, patch in enumerate(part)]) for part in x)

    def to_input(frames: Sequence[Sequence[Planes]]) -> Tensors:
        x = colours.to_tensors(in_order(frames), pair.depth, device)
        return as_turned(pair.to_input(x, spec.colours))  # (F N, C, h, w) each

    high = to_input([patch.high for patch in patches])
    truths = [high]
    if any(patch.taught for patch in patches):
        taught = in_order([patch.taught or patch.high for patch in patches])
        truths.append((*as_turned((pair.first_of(taught, spec.colours, device),)), *high[1:]))
    low, (high, *others) = change(to_input([patch.low for patch in patches]), truths)
    low = tuple(  # of every moment its window: (F N, C, h, w) -> (moments N, T C, h, w)
        torch.cat([part[at * number :][: num_moments * number] for at in range(spec.num_frames)], dim=1) for part in low
    )
    names = tuple(f"{patch.pair.name} frame {patch.frame}" for patch in patches)
    kept = zip(*(spec.colours.kept(turn, *high[0].shape[-2:]) for turn in [*turns] * num_moments), strict=True)
    exact = tuple(None if all(part) else torch.tensor(part, device=device) for part in kept) or (None,) * len(high)
    own = _packed(others[0][:1])[0] if others else None
    return Batch(_packed(low), _packed(high), names, pair.scale, exact, num_moments, own)


def _packed(x: Tensors) -> Tensors:
    return tuple(part.contiguous(memory_format=torch.channels_last) for part in x)


def turned(patch: Tensor, turn: int) -> Tensor:
    """One of the 8 flips and rotations of (C, h, w)."""
    patch = torch.rot90(patch, turn % 4, (-2, -1))
    return torch.flip(patch, (-1,)) if turn >= 4 else patch


def in_turn(samplers: Sequence[Sampler]) -> Callable[[int], Batch]:
    """Draw from several samplers, one after the other."""
    return lambda index: samplers[index % len(samplers)].draw(index // len(samplers))


def batches(draw: Callable[[int], Batch], first: int, num_workers: int) -> Generator[Batch, None, None]:
    """Batches number `first`, `first` + 1, ... without end, cut in threads ahead of the consumer, in order."""
    own_threads()  # the network keeps all of its threads, the workers take one each
    yield from stages.side_by_side(draw, itertools.count(first), num_workers)

"""The patches that a network trains on, cut from pairs and stacked into batches.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from youku import stops
from youku.models import colours
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.threads import limit_threads, own_threads
from youku.training.config import PatchSettings
from youku.training.pairs import DEFAULT_RESIZER, Pair
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
    """The planes of one place of a pair: T low-resolution frames, oldest first, and the high one."""

    pair: Pair
    frame: int
    low: list[Planes]
    high: Planes


@dataclass(frozen=True)
class Batch:
    """Network input (N, T C, h, w) and target (N, C, s h, s w) on the device, and where each patch came from.

    `exact` (N) says of each target tensor, which patches' turns left it in place: half-size chroma moves with most.
    """

    low: Tensors
    high: Tensors
    names: tuple[str, ...]
    scale: int
    exact: tuple[Tensor | None, ...] = (None,)
    """None: all of them."""

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
        batch = stack(self.ranks.share(cuts), self.spec, self.device, self.ranks.share(turns))
        return self._add_noise(self._stretch(batch, rng), rng)

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
        return cut(pair, self.spec, frame, top, left, side_px, resizer)

    def _stretch(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Some patches as full-range video would hold them: pictures' luma never leaves 16-235, real clips' does."""
        if not self.patches.full_range:
            return batch
        chosen = self.ranks.share(rng.random(self.patches.batch) < self.patches.full_range)
        where = torch.from_numpy(chosen).to(self.device)[:, None, None, None]  # (N, 1, 1, 1)
        low, high = (
            tuple(torch.where(where, *pair) for pair in zip(self.spec.colours.to_full_range(x), x, strict=True))
            for x in (batch.low, batch.high)
        )
        return replace(batch, low=_packed(low), high=_packed(high))

    def _add_noise(self, batch: Batch, rng: np.random.Generator) -> Batch:
        if not self.patches.noise:
            return batch
        low = []
        for part in batch.low:
            shape = (self.patches.batch, *part.shape[1:])
            values = self.ranks.share(rng.normal(0, self.patches.noise / 255, shape).astype(np.float32))
            low.append(part + torch.from_numpy(values).to(self.device))
        return replace(batch, low=tuple(low))


def cut(
    pair: Pair, spec: ModelSpec, frame: int, top: int, left: int, side_px: int, resizer: str = DEFAULT_RESIZER
) -> Patch:
    """One place in low-resolution pixels: the planes that the network of `spec` needs."""
    low, high = pair.cut(frame, top, left, side_px, spec.num_frames, resizer)
    needed = spec.colours.needed  # a picture is one plane (3, h, w)
    return Patch(pair, frame, [needed(picture) for picture in low], needed(high))


def is_flat(patch: Patch) -> bool:
    """Whether the luma of the middle frame hardly varies."""
    return bool(patch.low[len(patch.low) // 2][0].std() < FLAT_STD)


def stack(patches: Sequence[Patch], spec: ModelSpec, device: torch.device, turns: Sequence[int] = ()) -> Batch:
    """Patches of one kind as a batch on the device, each flipped and rotated as its entry of `turns` says."""
    pair = patches[0].pair

    def to_input(places: Sequence[Planes]) -> Tensors:
        x = pair.to_input(colours.to_tensors(places, pair.depth, device), spec.colours)  # (N, C, h, w) each
        if not any(turns):
            return x
        return tuple(torch.stack([turned(*entry) for entry in zip(part, turns, strict=True)]) for part in x)

    frames = [to_input(places) for places in zip(*(patch.low for patch in patches), strict=True)]
    low = tuple(torch.cat(parts, dim=1) for parts in zip(*frames, strict=True))  # T of (N, C, h, w) -> (N, T C, h, w)
    high = to_input([patch.high for patch in patches])
    names = tuple(f"{patch.pair.name} frame {patch.frame}" for patch in patches)
    kept = zip(*(spec.colours.kept(turn, *high[0].shape[-2:]) for turn in turns), strict=True)
    exact = tuple(None if all(part) else torch.tensor(part, device=device) for part in kept) or (None,) * len(high)
    return Batch(_packed(low), _packed(high), names, pair.scale, exact)


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
    with stops.workers(num_workers, "patches", limit_threads, (1,)) as (pool, _):
        waiting: deque = deque()
        index = first
        while True:
            while len(waiting) < 2 * num_workers:
                waiting.append(pool.submit(draw, index))
                index += 1
            yield waiting.popleft().result()

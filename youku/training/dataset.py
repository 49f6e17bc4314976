"""The patches that a network trains on, drawn from pairs and made into batches (`batch`) ahead of the network.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F

from youku.inference import stages
from youku.models import colours
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.threads import own_threads
from youku.training.batch import Batch, Patch, cut, finish, is_flat, stack
from youku.training.cuts import DEFAULT_RESIZER, Place
from youku.training.pairs import Pair
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.training.resident import Resident
from youku.training.settings import PatchSettings

FLAT_REDRAW = 0.7  # models.md section 9: rejection probability


@dataclass(frozen=True)
class Drawn:
    """A place of a pair for the network of `spec`, cut out when it is looked at."""

    pair: Pair
    place: Place
    spec: ModelSpec
    is_backwards: bool
    """In time."""

    @cached_property
    def patch(self) -> Patch:
        return cut(self.pair, self.spec, self.place, self.is_backwards)


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
    resident: Resident | None = None
    """The same pairs in the memory of the device, where they fit."""

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
        found: list[Drawn] = []
        turns: list[int] = []
        while len(found) < self.patches.batch:
            drawn = self._somewhere(rng)
            if drawn is None or (rng.random() < FLAT_REDRAW and self._is_flat(drawn)):
                continue
            found.append(drawn)
            turns.append(int(rng.integers(colours.NUM_TURNS)) if self.patches.augment else 0)
        own, turns = self.ranks.share(found), self.ranks.share(turns)

        def change(low: Tensors, truths: list[Tensors]) -> tuple[Tensors, list[Tensors]]:
            return self._cut_blur(*self._add_noise(*self._stretch(low, truths, rng), rng), rng)

        if self.resident is None:
            return stack([drawn.patch for drawn in own], self.spec, self.device, turns, change)
        made = self.resident.stacked([(drawn.pair, drawn.place, drawn.is_backwards) for drawn in own])
        return finish(made, self.spec, turns, change)

    def _somewhere(self, rng: np.random.Generator) -> Drawn | None:
        """A pair, frame and place drawn at random; None of a pair that is too small."""
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        side_px, resizers = self.patches.patch_px, self.patches.resizers
        height, width = pair.size
        if min(height, width) < side_px:
            return None
        frame = self.every * int(rng.integers(-(-pair.num_frames // self.every)))
        top, left = (2 * int(rng.integers((side - side_px) // 2 + 1)) for side in (height, width))
        resizer = resizers[int(rng.integers(len(resizers)))] if len(resizers) > 1 else resizers[0]
        has_memory, moments, camera = self.spec.memory, 1, 0
        if has_memory:
            moments, camera = self.patches.sequence, int(rng.integers(2**62))
        place = Place(
            frame=frame, top=top, left=left, side_px=side_px, num_frames=self.spec.num_frames, num_moments=moments,
            aligned=self.spec.aligned, resizer=resizer, camera=camera,
        )  # fmt: skip
        is_backwards = has_memory and self.patches.augment and bool(rng.integers(2))
        return Drawn(pair, place, self.spec, is_backwards)

    def _is_flat(self, drawn: Drawn) -> bool:
        known = self.resident.is_flat(drawn.pair, drawn.place, drawn.is_backwards) if self.resident else None
        return is_flat(drawn.patch) if known is None else known

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


def in_turn(samplers: Sequence[Sampler]) -> Callable[[int], Batch]:
    """Draw from several samplers, one after the other."""
    return lambda index: samplers[index % len(samplers)].draw(index // len(samplers))


def batches(
    draw: Callable[[int], Batch], first: int, num_workers: int, device: torch.device | None = None
) -> Generator[Batch, None, None]:
    """Batches number `first`, `first` + 1, ... without end, made in threads ahead of the consumer, in order.

    On a GPU they are made on a stream of their own, beside the network, which waits there and not here.
    """
    own_threads()  # the network keeps all of its threads, the workers take one each
    if device is None or device.type != "cuda":
        yield from stages.side_by_side(draw, itertools.count(first), num_workers)
        return

    stream = torch.cuda.Stream(device)

    def beside(index: int) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            batch = draw(index)
            return batch, stream.record_event()

    for batch, made in stages.side_by_side(beside, itertools.count(first), num_workers):
        current = torch.cuda.current_stream(device)
        current.wait_event(made)
        for part in batch.tensors:  # their memory is the network's until it is through with them
            part.record_stream(current)
        yield batch

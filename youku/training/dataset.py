"""The patches that a network trains on, drawn from pairs and made into batches (`batch`) ahead of the network.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from youku.inference import stages
from youku.models import colours
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.threads import own_threads
from youku.training.batch import Batch, Patch, finish, is_flat, sent, stacked
from youku.training.cuts import DEFAULT_RESIZER, Place
from youku.training.pairs import Pair
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.training.settings import PatchSettings

if TYPE_CHECKING:
    from youku.training.resident import Resident

FLAT_REDRAW = 0.7  # models.md section 9: rejection probability
AT_ONCE_BYTES = 64 << 20  # of truths in float32, in a few hundred patches: launches are shared, memory stays small
MOST_AT_ONCE = 16  # steps
Rngs = Sequence[np.random.Generator]
"""One for each step that is drawn."""


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

    @property
    def at_once(self) -> int:
        """How many steps are drawn at once: where patches are gathered as many as AT_ONCE_BYTES hold, where they are cut one."""
        if self.resident is None:
            return 1
        side_px, moments = self.patches.patch_px * self.pairs[0].scale, self.patches.sequence if self.spec.memory else 1
        samples = self.patches.batch * moments * sum(map(math.prod, self.spec.colours.shapes(side_px, side_px)))
        return min(MOST_AT_ONCE, max(1, AT_ONCE_BYTES // (4 * samples)))

    def draw(self, step: int) -> Batch:
        """The batch of one step: the same for the same seed and step, whoever asks and when."""
        return self.draw_all([step])[0]

    def draw_all(self, steps: Sequence[int]) -> list[Batch]:
        """The batches of several steps, made at once, each the same as alone."""
        rngs = [np.random.default_rng((self.seed, step)) for step in steps]
        drawn = [one for rng in rngs for one in self.ranks.share(self._patches(rng))]
        patches = [patch for patch, _ in drawn]

        def change(low: Tensors, truths: list[Tensors]) -> tuple[Tensors, list[Tensors]]:
            return self._cut_blur(*self._add_noise(*self._stretch(low, truths, rngs), rngs), rngs)

        made = self.resident.stacked(patches) if self.resident else stacked(patches, self.device)
        return finish(made, self.spec, [turn for _, turn in drawn], change, len(steps))

    def _patches(self, rng: np.random.Generator) -> list[tuple[Patch, int]]:
        """The patches of all processes' batch, and how each is turned."""
        found: list[tuple[Patch, int]] = []
        while len(found) < self.patches.batch:
            patch = self._somewhere(rng)
            if patch is None or (rng.random() < FLAT_REDRAW and self._is_flat(patch)):
                continue
            found.append((patch, int(rng.integers(colours.NUM_TURNS)) if self.patches.augment else 0))
        return found

    def _somewhere(self, rng: np.random.Generator) -> Patch | None:
        """A pair, frame and place drawn at random; None of a pair that is too small."""
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        side_px, resizers = self.patches.patch_px, self.patches.resizers
        height, width = pair.size
        if min(height, width) < side_px:
            return None
        frame = self.every * int(rng.integers(-(-pair.num_frames // self.every)))
        top = 2 * int(rng.integers((height - side_px) // 2 + 1))
        left = 2 * int(rng.integers((width - side_px) // 2 + 1))
        resizer = resizers[int(rng.integers(len(resizers)))] if len(resizers) > 1 else resizers[0]
        has_memory, moments, camera = self.spec.memory, 1, 0
        if has_memory:
            moments, camera = self.patches.sequence, int(rng.integers(2**62))
        place = Place(
            frame=frame, top=top, left=left, side_px=side_px, num_frames=self.spec.num_frames, num_moments=moments,
            aligned=self.spec.aligned, resizer=resizer, camera=camera,
        )  # fmt: skip
        is_backwards = has_memory and self.patches.augment and bool(rng.integers(2))
        return Patch(pair, place, self.spec, is_backwards)

    def _is_flat(self, patch: Patch) -> bool:
        return self.resident.is_flat(patch) if self.resident else is_flat(patch.cut.low)

    def _stretch(self, low: Tensors, truths: list[Tensors], rngs: Rngs) -> tuple[Tensors, list[Tensors]]:
        """Some patches as full-range video would hold them: pictures' luma never leaves 16-235, real clips' does."""
        if not self.patches.full_range:
            return low, truths
        chosen = self._of_all(rngs, lambda rng: rng.random(self.patches.batch) < self.patches.full_range)

        def stretched(x: Tensors) -> Tensors:
            where = chosen.repeat(len(x[0]) // len(chosen))[:, None, None, None]
            return tuple(torch.where(where, *pair) for pair in zip(self.spec.colours.to_full_range(x), x, strict=True))

        return stretched(low), [*map(stretched, truths)]

    def _add_noise(self, low: Tensors, truths: list[Tensors], rngs: Rngs) -> tuple[Tensors, list[Tensors]]:
        """Noise on every frame of the input, the same wherever the frame is seen."""
        if not self.patches.noise:
            return low, truths
        number = len(self.ranks.share([*range(self.patches.batch)])) * len(rngs)

        def noisy(part: Tensor) -> Tensor:
            shape = (self.patches.batch, len(part) // number, *part.shape[1:])  # (N, F, C, h, w)
            values = self._of_all(rngs, lambda rng: rng.normal(0, self.patches.noise / 255, shape).astype(np.float32))
            return part + values.transpose(0, 1).flatten(0, 1)

        return tuple(map(noisy, low)), truths

    def _cut_blur(self, low: Tensors, truths: list[Tensors], rngs: Rngs) -> tuple[Tensors, list[Tensors]]:
        """Some patches clean inside of a rectangle or around it, in their first tensor: where to mend, and how much.

        Source: Yoo et al. 2020, CutBlur, arXiv:2004.00448, whose networks see low resolution enlarged; ours as it is.
        """
        if not self.patches.cutblur:
            return low, truths
        number, side_px = self.patches.batch, low[0].shape[-1]

        def clean(rng: np.random.Generator) -> np.ndarray:
            spans = rng.uniform(0.25, 0.75, (number, 2, 1)) * side_px
            begins = rng.random((number, 2, 1)) * (side_px - spans)
            at = np.arange(side_px)
            inside = (at >= begins) & (at < begins + spans)  # (N, 2, side)
            chosen = (inside[:, 0, :, None] & inside[:, 1, None]) ^ (rng.random((number, 1, 1)) < 0.5)
            return chosen & (rng.random((number, 1, 1)) < self.patches.cutblur)

        shrunk = F.interpolate(truths[0][0], low[0].shape[-2:], mode="bicubic", antialias=True)  # a = -0.5, as MATLAB's
        where = self._of_all(rngs, clean)[:, None]
        return (torch.where(where, shrunk, low[0]), *low[1:]), truths

    def _of_all(self, rngs: Rngs, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        """What is drawn for the batch of each step, this process's patches of it, one batch after the other."""
        return sent(torch.from_numpy(np.concatenate([self.ranks.share(draw(rng)) for rng in rngs])), self.device)


def in_turn(samplers: Sequence[Sampler]) -> Callable[[int], Batch]:
    """Draw from several samplers, one after the other."""
    return lambda index: samplers[index % len(samplers)].draw(index // len(samplers))


def batches(samplers: Sequence[Sampler], first: int, num_workers: int) -> Generator[Batch, None, None]:
    """What `in_turn` draws as number `first`, `first` + 1, ... without end, made in threads ahead of the consumer, in order.

    On a GPU they are made on a stream of their own, beside the network, which waits there and not here.
    """
    own_threads()  # the network keeps all of its threads, the workers take one each
    number, device = len(samplers), samplers[0].device
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def numbers() -> Iterator[range]:
        """Of what is made at once: each group twice as long as the one before, so that the first come soon."""
        begin, length, longest = first, number, number * min(sampler.at_once for sampler in samplers)
        while True:
            yield range(begin, begin + length)
            begin, length = begin + length, min(2 * length, longest)

    def group(indices: range) -> tuple[list[Batch], torch.cuda.Event | None]:
        with torch.cuda.stream(stream) if stream else nullcontext():
            drawn = [
                iter(sampler.draw_all([index // number for index in indices if index % number == own]))
                for own, sampler in enumerate(samplers)
            ]
            return [next(drawn[index % number]) for index in indices], stream.record_event() if stream else None

    for made, done in stages.side_by_side(group, numbers(), num_workers):
        if done:
            torch.cuda.current_stream(device).wait_event(done)
        for batch in made:
            for part in batch.tensors if done else ():  # their memory is the network's until it is through with them
                part.record_stream(torch.cuda.current_stream(device))
            yield batch

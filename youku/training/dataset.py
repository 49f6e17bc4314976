"""The patches that a network trains on, cut from pairs and stacked into batches.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from youku.inference.stages import limit_threads, own_threads
from youku.models import colours
from youku.models.spec import ModelSpec
from youku.training.pairs import DEFAULT_RESIZER, ClipPair, Pair, PicturePair
from youku.video.y4m import Planes

FLAT_STD = 2.0  # code values; flatter patches (bars, black) are mostly drawn again
FLAT_REDRAW = 0.7  # models.md section 9: rejection probability


@dataclass(frozen=True)
class Cut:
    """The planes of one patch: T low-resolution frames, oldest first, and the high one."""

    low: list[Planes]
    high: Planes
    name: str


@dataclass(frozen=True)
class Batch:
    """Network input (N, T C, h, w) and target (N, C, s h, s w) on the device, and where each patch came from."""

    low: Tensor
    high: Tensor
    names: tuple[str, ...]
    scale: int


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws batches of one scale for the network of `spec`."""

    pairs: Sequence[Pair]
    scale: int
    spec: ModelSpec
    patch_px: int
    batch: int
    augment: bool
    seed: int
    device: torch.device
    every: int = 1
    """Only every N-th frame of a clip is used."""
    resizers: tuple[str, ...] = (DEFAULT_RESIZER,)
    """How pictures are shrunk: one of these for each patch."""
    full_range: float = 0.0
    """Share of a luma network's patches that are stretched from 16-235 to 0-255."""
    noise: float = 0.0
    """Sigma of Gaussian noise on the input, in code values."""

    def __post_init__(self) -> None:
        small = [pair.name for pair in self.pairs if min(pair.size) < self.patch_px]
        if len(small) == len(self.pairs):
            raise ValueError(f"every clip is smaller than a patch of {self.patch_px} px; lower --patch-px")
        mixed = self.resizers != (DEFAULT_RESIZER,)
        fixed = [pair.name for pair in self.pairs if isinstance(pair, ClipPair) or pair.low_path is not None]
        if mixed and fixed:
            raise ValueError(f"--resizers has no effect on {fixed[0]}, which brings its own low resolution; drop it")

    def draw(self, step: int) -> Batch:
        """The batch of one step: the same for the same seed and step, whoever asks and when."""
        rng = np.random.default_rng((self.seed, step))
        cuts: list[Cut] = []
        turns: list[int] = []
        while len(cuts) < self.batch:
            pair = self.pairs[int(rng.integers(len(self.pairs)))]
            height, width = pair.size
            if min(height, width) < self.patch_px:
                continue
            frame = self.every * int(rng.integers(-(-pair.num_frames // self.every)))
            top, left = (2 * int(rng.integers((side - self.patch_px) // 2 + 1)) for side in (height, width))
            resizer = (
                self.resizers[int(rng.integers(len(self.resizers)))] if len(self.resizers) > 1 else self.resizers[0]
            )
            cut = self.cut(pair, frame, top, left, resizer)
            if rng.random() < FLAT_REDRAW and cut.low[len(cut.low) // 2][0].std() < FLAT_STD:
                continue
            cuts.append(cut)
            turns.append(int(rng.integers(8)) if self.augment else 0)
        batch = self._stretch(self.stack(cuts, turns), rng)
        return replace(batch, low=self._add_noise(batch.low, rng))

    def cut(self, pair: Pair, frame: int, top: int, left: int, resizer: str = DEFAULT_RESIZER) -> Cut:
        """One place in low-resolution pixels: the planes that the network needs."""
        low, high = pair.cut(frame, top, left, self.patch_px, self.spec.num_frames, resizer)
        needed = self.spec.colours.needed  # a picture is one plane (3, h, w)
        return Cut([needed(picture) for picture in low], needed(high), f"{pair.name} frame {frame}")

    def stack(self, cuts: Sequence[Cut], turns: Sequence[int] = ()) -> Batch:
        """Cuts as one batch on the device, each flipped and rotated as its entry of `turns` says."""
        frames = [self._to_model(patches, turns) for patches in zip(*(cut.low for cut in cuts), strict=True)]
        low = frames[0] if len(frames) == 1 else torch.cat(frames, dim=1)  # T of (N, C, h, w) -> (N, T C, h, w)
        high = self._to_model([cut.high for cut in cuts], turns)
        return Batch(_packed(low), _packed(high), tuple(cut.name for cut in cuts), self.scale)

    def _to_model(self, patches: Sequence[Planes], turns: Sequence[int]) -> Tensor:
        kind = self.pairs[0]
        tensors = colours.to_tensors(patches, kind.depth, self.device)
        if isinstance(kind, PicturePair):
            (x,) = self.spec.colours.from_rgb(tensors[0])
        else:
            (x,) = self.spec.colours.from_planes(tensors, kind.layout)
        if any(turns):
            x = torch.stack([_turn(patch, turn) for patch, turn in zip(x, turns, strict=True)])
        return x

    def _stretch(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Some patches as full-range video would hold them: pictures' luma never leaves 16-235, real clips' does."""
        if not self.full_range:
            return batch
        chosen = torch.from_numpy(rng.random(len(batch.names)) < self.full_range).to(self.device)[:, None, None, None]
        low, high = (torch.where(chosen, self.spec.colours.to_full_range(x), x) for x in (batch.low, batch.high))
        return replace(batch, low=_packed(low), high=_packed(high))

    def _add_noise(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        if not self.noise:
            return x
        values = rng.normal(0, self.noise / 255, x.shape).astype(np.float32)
        return x + torch.from_numpy(values).to(x.device)


def _packed(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _turn(patch: Tensor, turn: int) -> Tensor:
    """One of the 8 flips and rotations of (C, h, w)."""
    patch = torch.rot90(patch, turn % 4, (-2, -1))
    return torch.flip(patch, (-1,)) if turn >= 4 else patch


def in_turn(samplers: Sequence[Sampler]) -> Callable[[int], Batch]:
    """Draw from several samplers, one after the other."""
    return lambda index: samplers[index % len(samplers)].draw(index // len(samplers))


def batches(draw: Callable[[int], Batch], first: int, num_workers: int) -> Iterator[Batch]:
    """Batches number `first`, `first` + 1, ... without end, cut in threads ahead of the consumer, in order."""
    own_threads()  # the network keeps all of its threads, the workers take one each
    with ThreadPoolExecutor(num_workers, "patches", limit_threads, (1,)) as pool:
        waiting: deque = deque()
        index = first
        try:
            while True:
                while len(waiting) < 2 * num_workers:
                    waiting.append(pool.submit(draw, index))
                    index += 1
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

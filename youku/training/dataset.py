"""Training pairs and the patches cut from them: y4m clips by memory map, or picture folders with on-the-fly bicubic.

A batch is a pure function of (seed, step), so a resumed run sees exactly what an unbroken one would have seen.
Clip pairs are Youku_NNNNN_l.y4m / Youku_NNNNN_h_GT.y4m in one folder; pictures are the high resolution, shrunk by
MATLAB's imresize (resize.imresize).
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from youku import contest
from youku.inference import border
from youku.inference.pipeline import limit_threads
from youku.video import color, pictures, resize
from youku.video.y4m import Clip

FLAT_STD = 2.0  # code values; flatter patches (bars, black) are mostly drawn again
FLAT_REDRAW = 0.7  # models.md section 9: rejection probability
PICTURE_CACHE = 512  # decoded pictures kept


@dataclass(frozen=True)
class ClipPair:
    """A low-resolution clip and its ground truth, both mapped; patches are planes in the clips' own layout."""

    low: Clip
    high: Clip

    @property
    def name(self) -> str:
        return self.low.path.name

    @property
    def num_frames(self) -> int:
        return self.low.num_frames

    @property
    def size(self) -> tuple[int, int]:
        return self.low.header.height, self.low.header.width

    @property
    def layout(self) -> border.Layout:
        return self.low.header.layout

    @property
    def depth(self) -> int:
        return self.low.header.depth

    def cut(self, frame: int, top: int, left: int, patch_px: int, scale: int) -> tuple[tuple[np.ndarray, ...], ...]:
        """(low planes, high planes) of a box given in low-resolution luma pixels."""
        low = self.low.patch(frame, top, left, patch_px, patch_px)
        high = self.high.patch(frame, top * scale, left * scale, patch_px * scale, patch_px * scale)
        return low, high


@dataclass(frozen=True)
class PicturePair:
    """A picture file and its MATLAB-bicubic reduction; patches are (3, h, w) uint8 RGB."""

    path: Path
    scale: int
    num_frames = 1
    layout = (1, 1, "rgb")
    depth = 8

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size(self) -> tuple[int, int]:
        return load_picture_pair(self.path, self.scale)[0].shape[:2]

    def cut(self, frame: int, top: int, left: int, patch_px: int, scale: int) -> tuple[tuple[np.ndarray, ...], ...]:
        low, high = load_picture_pair(self.path, self.scale)
        box = low[top : top + patch_px, left : left + patch_px]
        big = high[top * scale : (top + patch_px) * scale, left * scale : (left + patch_px) * scale]
        return (box.transpose(2, 0, 1),), (big.transpose(2, 0, 1),)


Pair = ClipPair | PicturePair


@functools.lru_cache(maxsize=PICTURE_CACHE)
def load_picture_pair(path: Path, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) uint8 RGB pictures (H, W, 3); high is cropped to a multiple of the scale."""
    picture = pictures.read_rgb(path)
    height, width = picture.shape[0] // scale * scale, picture.shape[1] // scale * scale
    if not height or not width:
        raise ValueError(f"{path}: {picture.shape[1]}x{picture.shape[0]} is smaller than the factor; remove it")
    high = np.ascontiguousarray(picture[:height, :width])
    return resize.imresize(high, height // scale, width // scale), high


def find_pairs(folders: Sequence[str], scale: int) -> list[Pair]:
    """All pairs of the folders in name order; every fault of every clip is reported at once."""
    pairs: list[Pair] = []
    faults: list[str] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            faults.append(
                f"{folder}: no such folder of clips or pictures; run make download, or name yours with --data"
            )
            continue
        entries = sorted(folder.iterdir())
        lows = [path for path in entries if (name := contest.parse_name(path.name)) and name[1] == "l"]
        stills = [path for path in entries if path.suffix.lower() in pictures.SUFFIXES]
        if lows and stills:
            faults.append(f"{folder}: holds clips and pictures; put them into two folders")
        elif not lows and not stills:
            faults.append(
                f"{folder}: expected clips named {contest.low_name(0)} or pictures, found neither; "
                "make pairs with python -m youku degrade"
            )
        for path in lows:
            try:
                pairs.append(_open_pair(path, scale))
            except ValueError as error:
                faults.append(str(error))
        pairs += [PicturePair(path, scale) for path in stills]
    kinds = {(pair.layout, pair.depth) for pair in pairs}
    if len(kinds) > 1:
        kinds_text = " and ".join(f"{layout} {depth} bit" for layout, depth in sorted(kinds))
        faults.append(
            f"one run takes pairs of one kind, got {kinds_text}; train in two runs, the second with --init-from"
        )
    if faults:
        raise ValueError("; ".join(faults))
    return pairs


def _open_pair(path: Path, scale: int) -> ClipPair:
    name = contest.parse_name(path.name)
    assert name is not None
    high_path = path.with_name(contest.high_name(name[0]))
    if not high_path.exists():
        raise ValueError(f"{path}: its ground truth {high_path.name} is missing; download labels or remove the clip")
    low, high = Clip(path), Clip(high_path)
    expected = (low.header.width * scale, low.header.height * scale)
    if (high.header.width, high.header.height) != expected:
        raise ValueError(
            f"{high_path}: expected {expected[0]}x{expected[1]} (x{scale} of {path.name}), "
            f"got {high.header.width}x{high.header.height}; check --scale and the pair"
        )
    if low.num_frames != high.num_frames:
        raise ValueError(
            f"{high_path}: has {high.num_frames} frames, {path.name} has {low.num_frames}; fetch both again"
        )
    if (low.header.layout, low.header.depth) != (high.header.layout, high.header.depth):
        raise ValueError(f"{high_path}: C{high.header.chroma} against C{low.header.chroma} of {path.name}; convert one")
    return ClipPair(low, high)


def split_pairs(pairs: Sequence[Pair], num_val: int) -> tuple[list[Pair], list[Pair]]:
    """(training, validation): whole clips held out, spread evenly over the sorted names."""
    if len(pairs) < 2:
        raise ValueError(f"found {len(pairs)} pair; expected 2 or more, one to hold out (or give --val-data)")
    num_val = min(num_val, len(pairs) // 2)
    held = {(2 * index + 1) * len(pairs) // (2 * num_val) for index in range(num_val)}
    train = [pair for index, pair in enumerate(pairs) if index not in held]
    return train, [pairs[index] for index in sorted(held)]


@dataclass(frozen=True)
class Batch:
    """Network input (N, C, h, w) and target (N, C, s h, s w) on the device, and where each patch came from."""

    low: Tensor
    high: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws batches; `colours` is the network's (models.ModelSpec)."""

    pairs: Sequence[Pair]
    scale: int
    patch_px: int
    batch: int
    colours: str
    augment: bool
    seed: int
    device: torch.device

    def __post_init__(self) -> None:
        small = [pair.name for pair in self.pairs if min(pair.size) < self.patch_px]
        if len(small) == len(self.pairs):
            raise ValueError(f"every clip is smaller than a patch of {self.patch_px} px; lower --patch-px")

    def draw(self, step: int) -> Batch:
        """The batch of one step: the same for the same seed and step, whoever asks and when."""
        rng = np.random.default_rng((self.seed, step))
        lows: list[tuple[np.ndarray, ...]] = []
        highs: list[tuple[np.ndarray, ...]] = []
        names: list[str] = []
        turns: list[int] = []
        while len(lows) < self.batch:
            pair = self.pairs[int(rng.integers(len(self.pairs)))]
            height, width = pair.size
            if min(height, width) < self.patch_px:
                continue
            frame = int(rng.integers(pair.num_frames))
            top, left = (2 * int(rng.integers((side - self.patch_px) // 2 + 1)) for side in (height, width))
            low, high = pair.cut(frame, top, left, self.patch_px, self.scale)
            if rng.random() < FLAT_REDRAW and low[0].std() < FLAT_STD:
                continue
            planes = 1 if self.colours == "y" and isinstance(pair, ClipPair) else None
            lows.append(low[:planes])
            highs.append(high[:planes])
            names.append(f"{pair.name} frame {frame}")
            turns.append(int(rng.integers(8)) if self.augment else 0)
        return Batch(self._to_model(lows, turns), self._to_model(highs, turns), tuple(names))

    def _to_model(self, patches: Sequence[tuple[np.ndarray, ...]], turns: Sequence[int]) -> Tensor:
        kind = self.pairs[0]
        tensors = border.to_tensors(patches, kind.depth, self.device)
        if isinstance(kind, PicturePair):
            x = tensors[0] if self.colours == "rgb" else color.rgb_to_yuv444(tensors[0])[:, :1]
        else:
            x = border.to_model(tensors, kind.layout, self.colours)
        if any(turns):
            x = torch.stack([_turn(patch, turn) for patch, turn in zip(x, turns, strict=True)])
        return x.contiguous(memory_format=torch.channels_last)


def _turn(patch: Tensor, turn: int) -> Tensor:
    """One of the 8 flips and rotations of (C, h, w)."""
    patch = torch.rot90(patch, turn % 4, (-2, -1))
    return torch.flip(patch, (-1,)) if turn >= 4 else patch


def batches(sampler: Sampler, first_step: int, num_workers: int) -> Iterator[Batch]:
    """Batches of `first_step`, `first_step` + 1, ... without end, cut in threads ahead of the consumer, in order."""
    torch.get_num_threads()  # see limit_threads: the network keeps all of its threads, the workers take one each
    with ThreadPoolExecutor(num_workers, "patches", limit_threads, (1,)) as pool:
        waiting: deque = deque()
        step = first_step
        try:
            while True:
                while len(waiting) < 2 * num_workers:
                    waiting.append(pool.submit(sampler.draw, step))
                    step += 1
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

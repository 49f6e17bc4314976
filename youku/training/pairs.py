"""Training pairs: y4m clips by memory map, picture folders shrunk on the fly or with a low-resolution folder of their own.

Clip pairs are Youku_NNNNN_l.y4m / Youku_NNNNN_h_GT.y4m in one folder; picture folders are what `video.picture_sets`
finds: plain, Set5-style or DIV2K's layout. Folders -> pairs; a pair gives its two patches of a box.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from youku import contest
from youku.inference import border, window
from youku.video import picture_sets, pictures, resize
from youku.video.picture_sets import PictureFiles
from youku.video.y4m import Clip, Planes

DEFAULT_RESIZER = "matlab-bicubic"


@dataclass(frozen=True)
class ClipPair:
    """A low-resolution clip and its ground truth, both mapped; patches are planes in the clips' own layout."""

    low: Clip
    high: Clip

    @property
    def name(self) -> str:
        return self.low.path.name

    @property
    def source(self) -> Path:
        """The file that tells this pair from others."""
        return self.low.path.resolve()

    @property
    def num_frames(self) -> int:
        return self.low.num_frames

    @property
    def size(self) -> tuple[int, int]:
        return self.low.header.height, self.low.header.width

    @property
    def scale(self) -> int:
        return self.high.header.width // self.low.header.width

    @property
    def layout(self) -> border.Layout:
        return self.low.header.layout

    @property
    def depth(self) -> int:
        return self.low.header.depth

    def cut(
        self, frame: int, top: int, left: int, patch_px: int, num_frames: int = 1, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[Planes], Planes]:
        """(`num_frames` low-resolution patches around `frame`, the high one) of a box in low-resolution luma pixels."""
        scale = self.scale
        high = self.high.patch(frame, top * scale, left * scale, patch_px * scale, patch_px * scale)
        if num_frames == 1:
            return [self.low.patch(frame, top, left, patch_px, patch_px)], high
        return window.cut_window(self.low, frame, num_frames, top, left, patch_px, patch_px), high


@dataclass(frozen=True)
class PicturePair:
    """A picture file and its reduction; patches are (3, h, w) uint8 RGB. To a multi-frame network it stands still."""

    path: Path
    scale: int
    low_path: Path | None = None
    """Its low resolution where the set brings one; otherwise it is shrunk here."""
    zoom: float = 1.0
    """Size at which the picture is used."""
    num_frames = 1
    layout = (1, 1, "rgb")
    depth = 8

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def source(self) -> Path:
        return self.path.resolve()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the low resolution, from the file's head alone."""
        if self.low_path is not None:
            return _size_of(self.low_path)
        height, width = _size_of(self.path)
        return int(height * self.zoom) // self.scale, int(width * self.zoom) // self.scale

    def cut(
        self, frame: int, top: int, left: int, patch_px: int, num_frames: int = 1, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[Planes], Planes]:
        """As ClipPair's; `resizer` says how the picture is shrunk (video.resize)."""
        low, high = load_picture_pair(self, resizer)
        scale = self.scale
        box = low[top : top + patch_px, left : left + patch_px]
        big = high[top * scale : (top + patch_px) * scale, left * scale : (left + patch_px) * scale]
        return [(box.transpose(2, 0, 1),)] * num_frames, (big.transpose(2, 0, 1),)


Pair = ClipPair | PicturePair

_size_of = functools.lru_cache(maxsize=None)(pictures.read_size)  # asked for every patch that is drawn


class _PictureCache:
    """Decoded picture pairs, the last used kept up to a number of bytes; threads share it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self.kept: OrderedDict[tuple[PicturePair, str], tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
        key = (pair, resizer)
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        made = _read_pair(pair, resizer)
        with self.lock:
            if key not in self.kept:
                self.kept[key] = made
                self.num_bytes += made[0].nbytes + made[1].nbytes
            while self.num_bytes > self.max_bytes and len(self.kept) > 1:
                _, old = self.kept.popitem(last=False)
                self.num_bytes -= old[0].nbytes + old[1].nbytes
        return made


_CACHE = _PictureCache(max_bytes=2 << 30)


def load_picture_pair(pair: PicturePair, resizer: str = DEFAULT_RESIZER) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) uint8 RGB pictures (H, W, 3); high is cropped to a multiple of the scale."""
    return _CACHE.get(pair, resizer)


def _read_pair(pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
    if pair.zoom == 1:
        return picture_sets.load(PictureFiles(pair.path, pair.low_path), pair.scale, None if pair.low_path else resizer)
    picture = pictures.read_rgb(pair.path)
    height, width = (max(1, int(side * pair.zoom)) for side in picture.shape[:2])
    return picture_sets.reduce(resize.imresize(picture, height, width), pair.path, pair.scale, resizer)


def find_pairs(folders: Sequence[str], scale: int, lr_type: str = "bicubic") -> list[Pair]:
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
        if lows and any(path.suffix.lower() in pictures.SUFFIXES for path in entries):
            faults.append(f"{folder}: holds clips and pictures; put them into two folders")
        for path in lows:
            try:
                pairs.append(_open_pair(path, scale))
            except ValueError as error:
                faults.append(str(error))
        if not lows and not any(path.is_dir() or path.suffix.lower() in pictures.SUFFIXES for path in entries):
            faults.append(
                f"{folder}: expected clips named {contest.low_name(0)} or pictures, found neither; "
                "make pairs with python -m youku degrade"
            )
        elif not lows:
            try:
                pairs += [
                    PicturePair(found.high, scale, found.low) for found in picture_sets.find(folder, scale, lr_type)
                ]
            except ValueError as error:
                faults.append(str(error))
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


def thin(pairs: Sequence[Pair], wanted: int) -> list[Pair]:
    """`wanted` of the pairs, spread evenly; all of them for 0."""
    if not wanted:
        return list(pairs)
    if wanted > len(pairs):
        raise ValueError(f"--num-pairs {wanted}: found {len(pairs)} pairs to train on; ask for as many or fewer")
    return [pairs[index * len(pairs) // wanted] for index in range(wanted)]


def at_zooms(pairs: Sequence[Pair], zooms: Sequence[float]) -> list[Pair]:
    """Each picture once at every size of `zooms`; clips, and pictures with a low resolution of their own, have one."""
    if tuple(zooms) == (1.0,):
        return list(pairs)
    fixed = [pair.name for pair in pairs if isinstance(pair, ClipPair) or pair.low_path is not None]
    if fixed:
        raise ValueError(f"--rescale: {fixed[0]} brings its own low resolution, which has one size; drop --rescale")
    return [dataclasses.replace(pair, zoom=zoom) for pair in pairs for zoom in zooms if isinstance(pair, PicturePair)]

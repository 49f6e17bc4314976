"""Training pairs: y4m clips, read in place, and pictures (`picture_pair`); folders -> pairs.

Clip pairs are Youku_NNNNN_l.y4m / Youku_NNNNN_h_GT.y4m in one folder; picture folders are what `video.picture_sets`
finds: plain, Set5-style or DIV2K's layout. Both kinds answer the same calls: what lies at a place (`cuts`), what a
network takes of that, how well a network does on the pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from youku import contest
from youku.engines.network import Network
from youku.inference import pipeline, window
from youku.metrics import psnr, vmaf
from youku.models.colours import Colours, Layout, Tensors, to_tensors
from youku.training.cuts import DEFAULT_RESIZER, Cut, Place
from youku.video import file_names, interpolate
from youku.video.y4m import Clip, Planes

if TYPE_CHECKING:
    from youku.training.picture_pair import PicturePair, PictureStore


@dataclass(frozen=True)
class ClipPair:
    """A low-resolution clip and its ground truth, both mapped; patches are planes in the clips' own layout."""

    low: Clip
    high: Clip
    taught: Clip | None = None
    """What a teacher makes of `low`."""
    has_own_low = True
    """Its low resolution is a file: it can be neither shrunk otherwise nor used at another size."""

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
        """Height and width of the low resolution."""
        return self.low.header.height, self.low.header.width

    @property
    def scale(self) -> int:
        return self.high.header.width // self.low.header.width

    @property
    def layout(self) -> Layout:
        return self.low.header.layout

    @property
    def depth(self) -> int:
        return self.low.header.depth

    @property
    def lacks_vmaf(self) -> str:
        """Why VMAF cannot be measured on it, in words; else ""."""
        return vmaf.lacks(self.high.header)

    def cut(self, place: Place) -> Cut:
        """The planes at a place; beyond the ends of its shot the nearest frame of the shot stands in."""
        numbers = self.numbers(place.frame, place.num_lows)
        box = (place.top, place.left, place.side_px, place.side_px)
        low = window.cut_frames(self.low, numbers, place.frame, *box, place.aligned)
        middle = numbers[place.num_frames // 2 :][: place.num_moments]
        big = tuple(px * self.scale for px in box)
        high, taught = (
            [clip.patch(number, *big) for number in middle] if clip else None for clip in (self.high, self.taught)
        )
        return Cut(low, high or [], taught)

    def numbers(self, frame: int, length: int) -> list[int]:
        """Which frames are seen around one."""
        return window.around(self.low, frame, length)

    def whole(self, number: int, resizer: str) -> Cut:
        """All of one frame."""
        low, high, taught = ([clip.frame(number)] if clip else None for clip in (self.low, self.high, self.taught))
        return Cut(low or [], high or [], taught)

    def to_input(self, planes: Sequence[Tensor], colours: Colours) -> Tensors:
        """Stacked planes of patches, (N, h, w) each, to what a network of these colours takes: (N, C, h, w) each."""
        return colours.from_planes(planes, self.layout)

    def first_of(self, frames: Sequence[Planes], colours: Colours, device: torch.device) -> Tensor:
        """Frames of a teacher, or the truth's, as the first tensor of what a network of these colours makes."""
        return self.to_input(to_tensors(frames, self.depth, device), colours)[0]

    def measure(
        self, network: Network, num_frames: int, with_vmaf: bool, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[float], float]:
        """(PSNR over all 4:2:0 samples of `num_frames` frames, spread evenly; mean VMAF or nan) of a network on it."""
        num_frames = min(num_frames, self.num_frames)
        indices = [index * self.num_frames // num_frames for index in range(num_frames)]
        # a network of several frames sees each frame among its true neighbours
        frames, wanted = (self.low, indices) if network.spec.needs_neighbours else (map(self.low.frame, indices), None)
        preds = list(pipeline.upscale_frames(network, self.low.header, frames, pipeline.Options(), wanted))
        highs = [self.high.frame(index) for index in indices]
        psnrs = [psnr.yuv(pred, high, self.depth) for pred, high in zip(preds, highs, strict=True)]
        if not with_vmaf:
            return psnrs, math.nan
        return psnrs, float(np.mean(vmaf.measure(preds, highs, self.high.header, with_neg=False).vmaf))


Pair: TypeAlias = "ClipPair | PicturePair"


def find_pairs(
    folders: Sequence[str], scale: int, lr_type: str = "bicubic", store: PictureStore | None = None
) -> list[Pair]:
    """All pairs of the folders in name order, pictures sharing `store`; every fault of every clip is reported at once."""
    pairs: list[Pair] = []
    faults: list[str] = []
    for folder in map(Path, folders):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        lows = [(path, name[0]) for path in entries if (name := contest.parse_name(path.name)) and name[1] == "l"]
        has_pictures = any(path.suffix.lower() in file_names.PICTURE_SUFFIXES for path in entries)
        if not folder.is_dir():
            advice = "make pairs FROM=... or make download brings clips there; or name yours with --data"
            lack = "is a file, no" if folder.exists() else "no such"
            faults.append(f"{folder}: {lack} folder of clips or pictures; {advice}")
        elif lows:
            if has_pictures:
                faults.append(f"{folder}: holds clips and pictures; put them into two folders")
            for path, number in lows:
                try:
                    pairs.append(_open_pair(path, path.with_name(contest.high_name(number)), scale))
                except ValueError as error:
                    faults.append(str(error))
        elif has_pictures or any(path.is_dir() for path in entries):
            from youku.training.picture_pair import PicturePair, PictureStore
            from youku.video import picture_sets

            store = store or PictureStore()
            try:
                found = picture_sets.find(folder, scale, lr_type)
                pairs += [PicturePair(files.high, scale, files.low, store=store) for files in found]
            except ValueError as error:
                faults.append(str(error))
        else:
            expected = f"expected clips named {contest.low_name(0)} or pictures, found neither"
            faults.append(f"{folder}: {expected}; make pairs with python -m youku degrade")
    kinds = {(pair.layout, pair.depth) for pair in pairs}
    if len(kinds) > 1:
        kinds_text = " and ".join(f"{layout} {depth} bit" for layout, depth in sorted(kinds))
        faults.append(
            f"one run takes pairs of one kind, got {kinds_text}; train in two runs, the second with --init-from"
        )
    if faults:
        raise ValueError("; ".join(faults))
    return pairs


def store_of(pairs: Sequence[Pair]) -> PictureStore | None:
    """Where their pictures are kept; None where they are clips."""
    return next((pair.store for pair in pairs if not isinstance(pair, ClipPair)), None)


def _open_pair(path: Path, high_path: Path, scale: int) -> ClipPair:
    if not high_path.exists():
        raise ValueError(f"{path}: its ground truth {high_path.name} is missing; download labels or remove the clip")
    low, high = Clip(path, is_mapped=True), Clip(high_path, is_mapped=True)
    expected, got = interpolate.scaled_header(low.header, scale).size, high.header.size
    if got != expected:
        raise ValueError(
            f"{high_path}: expected {expected} (x{scale} of {path.name}), got {got}; check --scale and the pair"
        )
    if low.num_frames != high.num_frames:
        raise ValueError(
            f"{high_path}: has {high.num_frames} frames, {path.name} has {low.num_frames}; fetch both again"
        )
    if (low.header.layout, low.header.depth) != (high.header.layout, high.header.depth):
        raise ValueError(f"{high_path}: C{high.header.chroma} against C{low.header.chroma} of {path.name}; convert one")
    return ClipPair(low, high)

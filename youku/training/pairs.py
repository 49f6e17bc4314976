"""Training pairs: y4m clips by memory map, picture folders shrunk on the fly or with a low-resolution folder of their own.

Clip pairs are Youku_NNNNN_l.y4m / Youku_NNNNN_h_GT.y4m in one folder; picture folders are what `video.picture_sets`
finds: plain, Set5-style or DIV2K's layout. Folders -> pairs; both kinds answer the same calls: two patches of a box,
what a network takes of them, how well a network does on the pair.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from youku import contest
from youku.engines.network import Network
from youku.inference import evaluation, pipeline, window
from youku.metrics import psnr, vmaf
from youku.models.colours import Colours, Layout, Tensors
from youku.video import picture_sets, pictures, resize
from youku.video.picture_sets import PictureFiles
from youku.video.y4m import Clip, Planes

DEFAULT_RESIZER = "matlab-bicubic"


@dataclass(frozen=True)
class ClipPair:
    """A low-resolution clip and its ground truth, both mapped; patches are planes in the clips' own layout."""

    low: Clip
    high: Clip
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
    def suits_vmaf(self) -> bool:
        """Whether it is video with chroma."""
        return self.layout[0] > 0

    def zoomed(self, zoom: float) -> ClipPair:
        """The same at another size."""
        _check_zoom(self, zoom)
        return self

    def shrunk_afresh(self) -> ClipPair:
        """The same without a low resolution of its own."""
        raise ValueError("clips bring their own low resolution; give pictures with --val-data")

    def cut(
        self, frame: int, top: int, left: int, patch_px: int, num_frames: int = 1, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[Planes], Planes]:
        """(`num_frames` low-resolution patches around `frame`, the high one) of a box in low-resolution luma pixels."""
        scale = self.scale
        high = self.high.patch(frame, top * scale, left * scale, patch_px * scale, patch_px * scale)
        if num_frames == 1:
            return [self.low.patch(frame, top, left, patch_px, patch_px)], high
        return window.cut_window(self.low, frame, num_frames, top, left, patch_px, patch_px), high

    def to_input(self, planes: Sequence[Tensor], colours: Colours) -> Tensors:
        """Stacked planes of patches, (N, h, w) each, to what a network of these colours takes: (N, C, h, w) each."""
        return colours.from_planes(planes, self.layout)

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


@dataclass(frozen=True)
class PicturePair:
    """A picture file and its reduction; patches are (3, h, w) uint8 RGB. To a multi-frame network it stands still."""

    path: Path
    scale: int
    low_path: Path | None = None
    """Its low resolution where the set brings one; otherwise it is shrunk here."""
    zoom: float = 1.0
    """Size at which the picture is used."""
    store: PictureStore = field(default_factory=lambda: PictureStore(), compare=False, repr=False)
    """Where decoded pictures are kept, shared by the pairs of a run."""
    num_frames = 1
    layout = (1, 1, "rgb")
    depth = 8
    suits_vmaf = False

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def source(self) -> Path:
        return self.path.resolve()

    @property
    def has_own_low(self) -> bool:
        return self.low_path is not None

    @property
    def size(self) -> tuple[int, int]:
        """From the file's head alone."""
        if self.low_path is not None:
            return self.store.size(self.low_path)
        height, width = self.store.size(self.path)
        return int(height * self.zoom) // self.scale, int(width * self.zoom) // self.scale

    def zoomed(self, zoom: float) -> PicturePair:
        _check_zoom(self, zoom)
        return replace(self, zoom=zoom)

    def shrunk_afresh(self) -> PicturePair:
        return replace(self, low_path=None)

    def cut(
        self, frame: int, top: int, left: int, patch_px: int, num_frames: int = 1, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[Planes], Planes]:
        """As ClipPair's; `resizer` says how the picture is shrunk (video.resize)."""
        low, high = self.store.pictures(self, resizer)
        scale = self.scale
        box = low[top : top + patch_px, left : left + patch_px]
        big = high[top * scale : (top + patch_px) * scale, left * scale : (left + patch_px) * scale]
        return [(box.transpose(2, 0, 1),)] * num_frames, (big.transpose(2, 0, 1),)  # (h, w, 3) -> (3, h, w)

    def to_input(self, planes: Sequence[Tensor], colours: Colours) -> Tensors:
        return colours.from_rgb(planes[0])  # (N, 3, h, w) -> (N, C, h, w) each

    def measure(
        self, network: Network, num_frames: int, with_vmaf: bool, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[float], float]:
        """As ClipPair's, but of the one picture under the protocol y_crop_s, as `evaluate` measures it."""
        low, high = self.store.pictures(self, resizer)
        pred = evaluation.enlarge(network, low, pipeline.Options())
        return [evaluation.error(pred, evaluation.read_picture(high), "y_crop_s", self.scale).psnr], math.nan


class PictureStore:
    """Decoded picture pairs, the last used kept up to a number of bytes, and sizes of files; threads share it."""

    def __init__(self, max_bytes: int = 2 << 30) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self.kept: OrderedDict[tuple[PicturePair, str], tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self.sizes: dict[Path, tuple[int, int]] = {}
        self.lock = threading.Lock()

    def size(self, path: Path) -> tuple[int, int]:
        """Height and width from a file's head; they are asked for at every patch that is drawn."""
        if path not in self.sizes:
            self.sizes[path] = pictures.read_size(path)
        return self.sizes[path]

    def pictures(self, pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) uint8 RGB pictures (H, W, 3); high is cropped to a multiple of the scale."""
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


Pair = ClipPair | PicturePair


def _check_zoom(pair: Pair, zoom: float) -> None:
    if pair.has_own_low and zoom != 1:
        raise ValueError(f"--rescale: {pair.name} brings its own low resolution, which has one size; drop --rescale")


def _read_pair(pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
    if pair.zoom == 1:
        return picture_sets.load(PictureFiles(pair.path, pair.low_path), pair.scale, None if pair.low_path else resizer)
    picture = pictures.read_rgb(pair.path)
    height, width = (max(1, int(side * pair.zoom)) for side in picture.shape[:2])
    return picture_sets.reduce(resize.imresize(picture, height, width), pair.path, pair.scale, resizer)


def find_pairs(
    folders: Sequence[str], scale: int, lr_type: str = "bicubic", store: PictureStore | None = None
) -> list[Pair]:
    """All pairs of the folders in name order, pictures sharing `store`; every fault of every clip is reported at once."""
    pairs: list[Pair] = []
    faults: list[str] = []
    store = store or PictureStore()
    for folder in map(Path, folders):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        lows = [path for path in entries if (name := contest.parse_name(path.name)) and name[1] == "l"]
        has_pictures = any(path.suffix.lower() in pictures.SUFFIXES for path in entries)
        if not folder.is_dir():
            advice = "run make download, or name yours with --data"
            faults.append(f"{folder}: no such folder of clips or pictures; {advice}")
        elif lows:
            if has_pictures:
                faults.append(f"{folder}: holds clips and pictures; put them into two folders")
            for path in lows:
                try:
                    pairs.append(_open_pair(path, scale))
                except ValueError as error:
                    faults.append(str(error))
        elif has_pictures or any(path.is_dir() for path in entries):
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

"""A picture file as a training pair: shrunk on the fly or with a low resolution of its own, still or seen by a camera.

Pictures are decoded once and kept while memory lasts (`PictureStore`). A network with memory sees them through a camera
that moves (`video.camera`): every view is cut out of the high resolution and shrunk, so that both move alike.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from youku.engines.network import Network
from youku.inference import pipeline, still
from youku.models.colours import Colours, Tensors, to_tensors
from youku.training.cuts import DEFAULT_RESIZER, Cut, Place
from youku.video import camera, picture_sets, pictures, resize
from youku.video.picture_sets import PictureFiles
from youku.video.y4m import Planes

GRAY_CODES = 2  # what coding leaves between the channels of a gray picture
MARGIN_PX = 3  # around a view in low-resolution pixels: what its shrinking reads


@dataclass(frozen=True)
class PicturePair:
    """A picture file and its reduction; patches are (3, h, w) uint8 RGB. Its moments are a camera's, its neighbours still."""

    path: Path
    scale: int
    low_path: Path | None = None
    """Its low resolution where the set brings one; otherwise it is shrunk here."""
    zoom: float = 1.0
    """Size at which the picture is used."""
    taught: tuple[tuple[str, Path], ...] = ()
    """(resizer, what a teacher makes of the picture so shrunk); one with a low resolution of its own has one entry."""
    store: PictureStore = field(default_factory=lambda: PictureStore(), compare=False, repr=False)
    """Where decoded pictures are kept, shared by the pairs of a run."""
    num_frames = 1
    layout = (1, 1, "rgb")
    depth = 8
    lacks_vmaf = "a picture, and VMAF is for clips"

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

    def cut(self, place: Place) -> Cut:
        """The planes at a place; of several moments each where the camera is then, wherever `place` is."""
        low, high = self.store.pictures(self, place.resizer)
        if place.num_moments > 1 and not self.has_own_low:
            return self._seen(high, place)
        top, left, side, scale = place.top, place.left, place.side_px, self.scale
        box = low[top : top + side, left : left + side]
        box_of_high = (slice(top * scale, (top + side) * scale), slice(left * scale, (left + side) * scale))
        taught = self._of_teacher(place.resizer)
        return Cut(
            [_plane(box)] * place.num_lows,
            [_plane(high[box_of_high])] * place.num_moments,
            None if taught is None else [_plane(taught[box_of_high])] * place.num_moments,
        )

    def _of_teacher(self, resizer: str) -> np.ndarray | None:
        made = dict(self.taught).get("" if self.has_own_low else resizer)
        return self.store.picture(made) if made else None

    def _seen(self, high: np.ndarray, place: Place) -> Cut:
        scale, margin_px = self.scale, min(MARGIN_PX, (min(self.size) - place.side_px) // 2)
        inner_px, skipped_px = place.side_px * scale, margin_px * scale
        view_px = inner_px + 2 * skipped_px
        rng = np.random.default_rng(place.camera)
        path = camera.path(rng, place.num_lows, view_px, high.shape[0], high.shape[1], unit_px=scale)
        views = [camera.view(high, where, view_px) for where in path]
        inner = slice(margin_px, margin_px + place.side_px)
        lows = [_plane(resize.shrink(seen, scale, place.resizer)[inner, inner]) for seen in views]
        big = slice(skipped_px, skipped_px + inner_px)
        middle = views[place.num_frames // 2 :][: place.num_moments]
        return Cut(lows, [_plane(seen[big, big]) for seen in middle])

    def numbers(self, frame: int, length: int) -> list[int]:
        return [frame] * length

    def whole(self, number: int, resizer: str) -> Cut:
        (low, high), taught = self.store.pictures(self, resizer), self._of_teacher(resizer)
        return Cut([_plane(low)], [_plane(high)], None if taught is None else [_plane(taught)])

    def to_input(self, planes: Sequence[Tensor], colours: Colours) -> Tensors:
        return colours.from_rgb(planes[0])  # (N, 3, h, w) -> (N, C, h, w) each

    def first_of(self, frames: Sequence[Planes], colours: Colours, device: torch.device) -> Tensor:
        """Pictures of a teacher, or the truth's, as the first tensor of what a network of these colours makes."""

        def of(picture: Tensor) -> Tensor:
            is_luma = len(picture) == colours.channels == 1
            return picture[None] if is_luma else colours.from_rgb(picture.expand(3, -1, -1)[None])[0]

        return torch.cat([of(to_tensors([planes], 8, device)[0][0]) for planes in frames])  # (N, C, h, w)

    def measure(
        self, network: Network, num_frames: int, with_vmaf: bool, resizer: str = DEFAULT_RESIZER
    ) -> tuple[list[float], float]:
        """As ClipPair's, but of the one picture under the protocol y_crop_s, as `evaluate` measures it."""
        from youku.inference import evaluation  # of pictures alone

        low, high = self.store.pictures(self, resizer)
        pred = still.enlarge(network, low, pipeline.Options(), str(self.source))
        return [evaluation.error(pred, still.read_picture(high), "y_crop_s", self.scale).psnr], math.nan


class PictureStore:
    """Decoded picture pairs, the last used kept up to a number of bytes, and sizes of files; threads share it."""

    def __init__(self, max_bytes: int = 2 << 30) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self.kept: OrderedDict[Hashable, tuple[np.ndarray, ...]] = OrderedDict()
        self.sizes: dict[Path, tuple[int, int]] = {}
        self.lock = threading.Lock()

    def size(self, path: Path) -> tuple[int, int]:
        """Height and width from a file's head; they are asked for at every patch that is drawn."""
        if path not in self.sizes:
            self.sizes[path] = pictures.read_size(path)
        return self.sizes[path]

    def pictures(self, pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) uint8 RGB pictures (H, W, 3); high is cropped to a multiple of the scale."""
        low, high = self._get((pair, resizer), lambda: _read_pair(pair, resizer))
        return low, high

    def picture(self, path: Path) -> np.ndarray:
        """One file as uint8 RGB (H, W, 3), or luma (H, W, 1) where all its channels are the same."""
        return self._get(path, lambda: (_read_gray_too(path),))[0]

    def _get(self, key: Hashable, make: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        made = make()
        with self.lock:
            if key not in self.kept:
                self.kept[key] = made
                self.num_bytes += sum(part.nbytes for part in made)
            while self.num_bytes > self.max_bytes and len(self.kept) > 1:
                _, old = self.kept.popitem(last=False)
                self.num_bytes -= sum(part.nbytes for part in old)
        return made


def _plane(box: np.ndarray) -> Planes:
    """A box (h, w, 3) as the one plane (3, h, w) that a picture has."""
    return (box.transpose(2, 0, 1),)


def _read_pair(pair: PicturePair, resizer: str) -> tuple[np.ndarray, np.ndarray]:
    if pair.zoom == 1:
        return picture_sets.load(PictureFiles(pair.path, pair.low_path), pair.scale, None if pair.low_path else resizer)
    picture = pictures.read_rgb(pair.path)
    height, width = (max(1, int(side * pair.zoom)) for side in picture.shape[:2])
    return picture_sets.reduce(resize.imresize(picture, height, width), pair.path, pair.scale, resizer)


def _read_gray_too(path: Path) -> np.ndarray:
    rgb = pictures.read_rgb(path)
    return rgb[..., 1:2] if int(np.ptp(rgb, axis=2).max()) <= GRAY_CODES else rgb

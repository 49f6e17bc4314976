"""Training data in the memory of a GPU: frames and pictures as their bytes, sent when first drawn, and patches out of them.

Places of patches -> float planes, which for every patch of several batches are gathered at once. The values are those of
patches cut on the CPU, bit for bit. For pairs whose frames are used as they are: no camera that moves over a still picture,
no neighbours that are compensated; and where all of them fit into SHARE of what is free.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from youku.inference import tiles
from youku.models.colours import Colours
from youku.models.spec import ModelSpec
from youku.training.batch import FLAT_STD, Patch, Stacked, sent
from youku.training.pairs import ClipPair, Pair
from youku.training.settings import PatchSettings
from youku.video.y4m import Planes

SHARE = 0.25  # of the memory that is free when a run begins

Boxes = np.ndarray
"""(planes, 3): where each begins in the memory, samples from row to row, and from channel to channel."""


@dataclass(frozen=True)
class Frame:
    """A frame in the memory: its planes in low and in high resolution, and where it is flat."""

    low: Boxes
    high: Boxes
    taught: Boxes
    """A teacher's, else those of `high`; gray pictures have no way from channel to channel."""
    has_teacher: bool
    flat: np.ndarray
    """(places, places): whether the patch at twice that row and column is."""


class Resident:
    """The frames of pairs of one kind that were drawn so far; threads share it."""

    def __init__(self, device: torch.device, num_samples: int, depth: int, side_px: int, colours: Colours) -> None:
        self._codes = torch.empty(num_samples, dtype=torch.uint8 if depth == 8 else torch.int16, device=device)
        self._unit = torch.tensor(
            float(255 << (depth - 8)), device=device
        )  # there: a GPU divides by a number inexactly
        self._colours, self._side_px = colours, side_px
        self._frames: dict[tuple[int, int, str], Frame] = {}
        self._end = 0
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], spec: ModelSpec, patches: PatchSettings, device: torch.device, every: int = 1
    ) -> Resident | None:
        """Room for the pairs on a GPU; None where they do not fit or are not plain."""
        if not pairs or not all(is_plain(pair, spec) for pair in pairs):
            return None
        needed = sum(samples_of(pair, spec, patches, every) for pair in pairs)
        sample_bytes = 1 if pairs[0].depth == 8 else 2
        if needed * sample_bytes > SHARE * tiles.free_gpu_bytes(device):
            return None
        return cls(device, needed, pairs[0].depth, patches.patch_px, spec.colours)

    def is_flat(self, patch: Patch) -> bool:
        """`batch.is_flat` of it."""
        place = patch.place
        frame = self._frame(patch.pair, _numbers(patch)[place.num_lows // 2], place.resizer)
        return bool(frame.flat[place.top // 2, place.left // 2])

    def stacked(self, patches: Sequence[Patch]) -> Stacked:
        """`batch.stacked` of them."""
        pair, place = patches[0].pair, patches[0].place
        windows = [
            [self._frame(patch.pair, number, patch.place.resizer) for number in _numbers(patch)] for patch in patches
        ]
        moments = [window[place.num_frames // 2 :][: place.num_moments] for window in windows]
        low, high = (
            [frame for at_once in zip(*frames, strict=True) for frame in at_once] for frames in (windows, moments)
        )
        corners = np.array([(patch.place.top, patch.place.left) for patch in patches])
        wanted = [([frame.low for frame in low], 1), ([frame.high for frame in high], pair.scale)]
        are_taught = tuple(frames[0].has_teacher for frames in moments)
        if any(are_taught):
            wanted.append(([frame.taught for frame in high], pair.scale))
        lows, highs, *taughts = self._planes(wanted, corners, pair)
        taught = None
        for codes in taughts:
            taught = pair.to_input(codes, self._colours)[0]
            is_gray = [frame.taught[0, 2] == 0 for frame in high]
            if self._colours.channels == 1 and any(is_gray):  # it is the luma
                chosen = sent(torch.tensor(is_gray), taught.device)[:, None, None, None]
                taught = torch.where(chosen, codes[0][:, :1], taught)
        return Stacked(pair, tuple(patch.name for patch in patches), lows, highs, taught, are_taught)

    def _planes(self, wanted: Sequence[tuple[list[Boxes], int]], corners: np.ndarray, pair: Pair) -> list[list[Tensor]]:
        """Squares at corners (N, 2) times a scale out of whole planes, F N boxes each: float (F N, [3,] h, w) of each plane."""
        across, down, _ = pair.layout
        begins, sides = [], []
        for boxes, scale in wanted:
            at = np.tile(corners * scale, (len(boxes) // len(corners), 1))
            for index, (begin, row, channel) in enumerate(np.moveaxis(np.stack(boxes), 0, -1)):  # (F N) each
                per_row, per_column = (down, across) if index else (1, 1)  # chroma has fewer rows and columns
                rows = np.arange(self._side_px * scale // per_row) + at[:, :1] // per_row  # (F N, h)
                first = begin[:, None] + row[:, None] * rows + at[:, 1:] // per_column
                if not isinstance(pair, ClipPair):
                    first = first[:, None] + channel[:, None, None] * np.arange(3)[:, None]  # (F N, 3, h)
                begins.append(first)
                sides.append(self._side_px * scale // per_column)
        whole = sent(torch.from_numpy(np.concatenate([first.reshape(-1) for first in begins])), self._codes.device)
        parts = zip(whole.split([first.size for first in begins]), begins, sides, strict=True)
        made = (self._values(part.view(first.shape), side_px) for part, first, side_px in parts)
        return [[next(made) for _ in boxes[0]] for boxes, _ in wanted]

    def _values(self, begins: Tensor, number: int) -> Tensor:
        """So many samples from each of those on, as colours.to_tensors has them."""
        codes = self._codes.unfold(0, number, 1)[begins]
        wide = codes if codes.dtype == torch.uint8 else codes.int() & 0xFFFF
        return wide / self._unit

    def _frame(self, pair: Pair, number: int, resizer: str) -> Frame:
        key = (id(pair), number, resizer)
        if key not in self._frames:
            whole = pair.whole(number, resizer)
            parts = (whole.low[0], whole.high[0], *(whole.taught or []))
            needed = [self._colours.needed(planes) for planes in parts]
            with self._lock:
                if key not in self._frames:
                    low, high, *taught = [self._send(planes) for planes in needed]
                    flat = self._flat(low, needed[0][0])
                    self._frames[key] = Frame(low, high, taught[0] if taught else high, bool(taught), flat)
        return self._frames[key]

    def _send(self, planes: Planes) -> Boxes:
        boxes = []
        for plane in planes:
            own = np.array(plane, np.uint8 if plane.dtype == np.uint8 else np.uint16, order="C").reshape(-1)
            codes = torch.from_numpy(own if own.dtype == np.uint8 else own.view(np.int16))
            assert self._end + len(codes) <= len(self._codes), "samples_of counts too few"
            self._codes[self._end : self._end + len(codes)].copy_(codes)
            channel = 0 if plane.ndim == 3 and len(plane) == 1 else plane.shape[-2] * plane.shape[-1]
            boxes.append((self._end, plane.shape[-1], channel))
            self._end += len(codes)
        if self._codes.device.type == "cuda":  # other streams read it from now on
            torch.cuda.current_stream(self._codes.device).synchronize()
        return np.array(boxes)

    def _flat(self, boxes: Boxes, plane: np.ndarray) -> np.ndarray:
        """`Frame.flat` of the first plane, by the formula of `batch.is_flat`."""
        codes = self._codes[boxes[0, 0] :][: plane.size].view(1, -1, *plane.shape[-2:])  # (1, C, h, w)
        x = (codes if codes.dtype == torch.uint8 else codes.int() & 0xFFFF).double()
        total, squares = (
            F.avg_pool2d(part, self._side_px, stride=2, divisor_override=1).sum(1)[0] for part in (x, x**2)
        )
        number = x.shape[1] * self._side_px**2
        return (number * squares - total**2 < (number * FLAT_STD) ** 2).cpu().numpy()


def is_plain(pair: Pair, spec: ModelSpec) -> bool:
    """Whether the network of `spec` sees the frames of a pair as they are."""
    if isinstance(pair, ClipPair):
        return not spec.aligned
    return not spec.memory or pair.has_own_low


def samples_of(pair: Pair, spec: ModelSpec, patches: PatchSettings, every: int = 1) -> int:
    """How many samples of a pair a run may look at: all of the frames where a network sees neighbours."""
    height, width = pair.size
    shapes = pair.low.header.plane_shapes if isinstance(pair, ClipPair) else [(3 * height, width)]
    low = sum(rows * columns for rows, columns in spec.colours.needed(shapes))
    num_frames = pair.num_frames if spec.needs_neighbours else -(-pair.num_frames // every)
    num_high = 2 if pair.taught else 1
    return num_frames * len(patches.resizers) * (low + num_high * pair.scale**2 * low)


def _numbers(patch: Patch) -> list[int]:
    """The frames that it is cut out of."""
    frame, number = patch.place.frame, patch.place.num_lows
    return [frame] if number == 1 else patch.pair.numbers(frame, number)[:: -1 if patch.is_backwards else 1]

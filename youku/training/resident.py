"""Training data in the memory of a GPU: frames and pictures as their bytes, sent when first drawn, and patches out of them.

Places of patches -> float planes, which for every patch of a batch are gathered at once. The values are those of patches
cut on the CPU, bit for bit. For pairs whose frames are used as they are: no camera that moves over a still picture, no
neighbours that are compensated; and where all of them fit into SHARE of what is free.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from youku.models.colours import Colours
from youku.models.spec import ModelSpec
from youku.training.batch import FLAT_STD, Stacked, name_of
from youku.training.cuts import Place
from youku.training.pairs import ClipPair, Pair
from youku.training.settings import PatchSettings
from youku.video.y4m import Planes

SHARE = 0.25  # of the memory that is free when a run begins
UNSURE = 2  # so near the bound that rounding decides

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
    """(places, places): whether the patch at twice that row and column is, or UNSURE."""


class Resident:
    """The frames of pairs of one kind that were drawn so far; threads share it."""

    def __init__(self, device: torch.device, num_samples: int, depth: int, side_px: int, colours: Colours) -> None:
        self._codes = torch.empty(num_samples, dtype=torch.uint8 if depth == 8 else torch.int16, device=device)
        self._colours, self._depth, self._side_px = colours, depth, side_px
        self._frames: dict[tuple[int, int, str], Frame] = {}
        self._end = 0
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], spec: ModelSpec, patches: PatchSettings, device: torch.device, every: int = 1
    ) -> Resident | None:
        """Room for the pairs on a GPU; None elsewhere, and where they do not fit or are not plain."""
        if device.type != "cuda" or not pairs or not all(is_plain(pair, spec) for pair in pairs):
            return None
        needed = sum(samples_of(pair, spec, patches, every) for pair in pairs)
        sample_bytes = 1 if pairs[0].depth == 8 else 2
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, which holds it
        if needed * sample_bytes > SHARE * (torch.cuda.mem_get_info(device)[0] + unused):
            return None
        return cls(device, needed, pairs[0].depth, patches.patch_px, spec.colours)

    def is_flat(self, pair: Pair, place: Place, is_backwards: bool) -> bool | None:
        """`batch.is_flat` of a patch there; None where only the patch itself can tell."""
        frame = self._frame(pair, _numbers(pair, place, is_backwards)[place.num_lows // 2], place.resizer)
        found = int(frame.flat[place.top // 2, place.left // 2])
        return None if found == UNSURE else bool(found)

    def stacked(self, drawn: Sequence[tuple[Pair, Place, bool]]) -> Stacked:
        """The patches at places of pairs, backwards in time where that says so."""
        pair, low, high = drawn[0][0], [], []
        for own, place, is_backwards in drawn:
            frames = [self._frame(own, number, place.resizer) for number in _numbers(own, place, is_backwards)]
            low.append(frames)
            high.append(frames[place.num_frames // 2 :][: place.num_moments])
        corners = np.array([(place.top, place.left) for _, place, _ in drawn])

        def planes(boxes_of: Callable[[Frame], Boxes], patches: list[list[Frame]], scale: int) -> list[Tensor]:
            boxes = np.stack([boxes_of(frame) for at_once in zip(*patches, strict=True) for frame in at_once])
            return self._planes(boxes, np.tile(corners * scale, (len(patches[0]), 1)), pair, self._side_px * scale)

        taught = None
        if any(frames[0].has_teacher for frames in high):
            codes = planes(lambda frame: frame.taught, high, pair.scale)
            taught = pair.to_input(codes, self._colours)[0]
            is_gray = torch.tensor([one.taught[0, 2] == 0 for at_once in zip(*high, strict=True) for one in at_once])
            if self._colours.channels == 1 and bool(is_gray.any()):  # it is the luma
                taught = torch.where(is_gray.to(taught.device)[:, None, None, None], codes[0][:, :1], taught)
        return Stacked(
            pair,
            tuple(name_of(own, place.frame) for own, place, _ in drawn),
            planes(lambda frame: frame.low, low, 1),
            planes(lambda frame: frame.high, high, pair.scale),
            taught,
        )

    def _planes(self, boxes: Boxes, corners: np.ndarray, pair: Pair, side_px: int) -> list[Tensor]:
        """Squares at (top, left) out of whole planes (F N, planes, 3) to float (F N, [3,] h, w) of each plane."""
        across, down, _ = pair.layout
        factors = np.array([(1, 1), *[(down, across)] * (boxes.shape[1] - 1)])  # chroma has fewer rows and columns
        top, left = np.moveaxis(corners[:, None] // factors, -1, 0)  # (F N, planes) each
        boxes[..., 0] += top * boxes[..., 1] + left
        begins = torch.from_numpy(boxes).to(self._codes.device).permute(1, 2, 0)  # (planes, 3, F N)
        made = []
        for (begin, row, channel), factor in zip(begins[..., None, None], factors, strict=True):
            rows, columns = (torch.arange(side_px // part, device=begin.device) for part in factor)
            at = begin + row * rows[:, None] + columns  # (F N, h, w)
            if not isinstance(pair, ClipPair):
                at = at[:, None] + channel[:, None] * rows[:3, None, None]
            codes = self._codes[at]
            wide = codes if codes.dtype == torch.uint8 else codes.int() & 0xFFFF
            made.append(wide.float() / float(255 << (self._depth - 8)))  # as colours.to_tensors
        return made

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
        """`Frame.flat` of the first plane: n sum(x^2) - sum(x)^2 < (n FLAT_STD)^2, exact in float64."""
        codes = self._codes[boxes[0, 0] :][: plane.size].view(1, -1, *plane.shape[-2:])  # (1, C, h, w)
        x = (codes if codes.dtype == torch.uint8 else codes.int() & 0xFFFF).double()
        total, squares = (
            F.avg_pool2d(part, self._side_px, stride=2, divisor_override=1).sum(1)[0] for part in (x, x**2)
        )
        number = x.shape[1] * self._side_px**2
        excess = number * squares - total**2 - (bound := (number * FLAT_STD) ** 2)
        return torch.where(excess.abs() < 1e-9 * bound, UNSURE, (excess < 0).to(torch.uint8)).cpu().numpy()


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


def _numbers(pair: Pair, place: Place, is_backwards: bool) -> list[int]:
    return pair.numbers(place.frame, place.num_lows)[:: -1 if is_backwards else 1]

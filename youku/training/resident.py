"""Training data in the memory of a GPU: frames and pictures as their bytes, sent when first drawn, and patches out of them.

Places of patches -> float planes, which for every patch of a batch are gathered at once. The values are those of patches
cut on the CPU, bit for bit. For pairs whose frames are used as they are: no camera that moves over a still picture, no
neighbours that are compensated, no pictures of a teacher; and where all of them fit into SHARE of what is free.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from youku.models.colours import Colours
from youku.models.spec import ModelSpec
from youku.training.batch import FLAT_STD, Stacked, name_of
from youku.training.config import PatchSettings
from youku.training.cuts import Place
from youku.training.pairs import ClipPair, Pair
from youku.video.y4m import Planes

SHARE = 0.25  # of the memory that is free when a run begins
UNSURE = 2  # so near the bound that rounding decides

Box = tuple[int, int, int]
"""Where a plane, or a box of one, begins in the memory, samples from row to row, and from channel to channel."""


@dataclass(frozen=True)
class Frame:
    """A frame in the memory: its planes in low and in high resolution, and where it is flat."""

    low: list[Box]
    high: list[Box]
    taught: list[Box]
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
        if needed * sample_bytes > SHARE * torch.cuda.mem_get_info(device)[0]:
            return None
        return cls(device, needed, pairs[0].depth, patches.patch_px, spec.colours)

    def is_flat(self, pair: Pair, place: Place, is_backwards: bool) -> bool | None:
        """`batch.is_flat` of a patch there; None where only the patch itself can tell."""
        frame = self._frame(pair, _numbers(pair, place, is_backwards)[place.num_lows // 2], place.resizer)
        found = int(frame.flat[place.top // 2, place.left // 2])
        return None if found == UNSURE else bool(found)

    def stacked(self, drawn: Sequence[tuple[Pair, Place, bool]]) -> Stacked:
        """The patches at places of pairs, backwards in time where that says so."""
        pair = drawn[0][0]
        low: list[list[list[Box]]] = []
        high: list[list[list[Box]]] = []
        taught: list[list[list[Box]]] = []
        for own, place, is_backwards in drawn:
            numbers = _numbers(own, place, is_backwards)
            middle = numbers[place.num_frames // 2 :][: place.num_moments]
            frames = {number: self._frame(own, number, place.resizer) for number in numbers}
            low.append([_boxes(frames[number].low, pair, place, 1) for number in numbers])
            high.append([_boxes(frames[number].high, pair, place, pair.scale) for number in middle])
            taught.append([_boxes(frames[number].taught, pair, place, pair.scale) for number in middle])
        names = tuple(name_of(own, place.frame) for own, place, _ in drawn)
        side_px = self._side_px * pair.scale
        made = Stacked(pair, names, self._planes(low, pair, self._side_px), self._planes(high, pair, side_px))
        if not taught[0][0]:
            return made
        of_teacher = pair.to_input(self._planes(taught, pair, side_px), self._colours)[0]
        return Stacked(pair, names, made.low, made.high, of_teacher)

    def _planes(self, patches: list[list[list[Box]]], pair: Pair, side_px: int) -> list[Tensor]:
        """Boxes by patch, time and plane to float (F N, h, w) of each plane, or (F N, 3, h, w) of pictures."""
        in_order = [boxes for at_once in zip(*patches, strict=True) for boxes in at_once]
        begins = torch.tensor(in_order, device=self._codes.device).permute(1, 2, 0)[..., None, None]  # (planes, 3, F N)
        made = []
        for plane, (begin, row, channel) in enumerate(begins):
            height, width = (side_px // (factor if plane else 1) for factor in _factors(pair))
            rows, columns = (torch.arange(size, device=begin.device) for size in (height, width))
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
                    self._frames[key] = Frame(low, high, taught[0] if taught else [], self._flat(low[0], needed[0][0]))
        return self._frames[key]

    def _send(self, planes: Planes) -> list[Box]:
        boxes = []
        for plane in planes:
            own = np.array(plane, np.uint8 if plane.dtype == np.uint8 else np.uint16, order="C").reshape(-1)
            codes = torch.from_numpy(own if own.dtype == np.uint8 else own.view(np.int16))
            place = self._codes[self._end : self._end + len(codes)]
            place.copy_(codes)
            boxes.append((self._end, plane.shape[-1], plane.shape[-2] * plane.shape[-1]))
            self._end += len(codes)
        if self._codes.device.type == "cuda":  # other streams read it from now on
            torch.cuda.current_stream(self._codes.device).synchronize()
        return boxes

    def _flat(self, box: Box, plane: np.ndarray) -> np.ndarray:
        """`Frame.flat` by sums of the codes and their squares, exact in float64: n sum(x^2) - sum(x)^2 < (n FLAT_STD)^2."""
        codes = self._codes[box[0] : box[0] + plane.size].view(1, -1, *plane.shape[-2:])  # (1, C, h, w)
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
    return not pair.taught and (not spec.memory or pair.has_own_low)


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


def _boxes(frame: list[Box], pair: Pair, place: Place, scale: int) -> list[Box]:
    """The patch at a place out of each plane of a frame."""
    top, left = place.top * scale, place.left * scale
    down, across = _factors(pair)
    return [
        (begin + (top // down if plane else top) * row + (left // across if plane else left), row, channel)
        for plane, (begin, row, channel) in enumerate(frame)
    ]


def _factors(pair: Pair) -> tuple[int, int]:
    """By how much chroma has fewer rows and columns than luma."""
    across, down, _ = pair.layout
    return down, across

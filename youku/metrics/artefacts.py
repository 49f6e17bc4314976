"""Measure what PSNR hides: flicker between frames, overshoot beside edges, colour shift.

Integer planes of a prediction and its ground truth, frame by frame -> Artefacts of a clip, in code values of 8 bit.

- flicker: mean of |(pred_t - pred_t-1) - (high_t - high_t-1)| on luma, over neighbouring frames: change that is not in
  the film. 0 also for an error that stands still.
- overshoot: of the luma samples beside an edge, the share (in %) that lie more than 4 above the largest or below the
  smallest true sample of the 5x5 around them: ringing and the halo of sharpening. An edge is a 5x5 in which the truth
  spans 48 or more.
- shift: mean of pred - high of each plane: tint, and darkening or brightening.

Source: old-film report, sections 4.4.4 (flicker, colour shift) and 4.9.5 (ringing), which names them; the formulas are
ours. The difference of temporal differences is the flicker term of video coding [e.g. Fan 2002], taken without a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from youku.video.y4m import Planes

if TYPE_CHECKING:  # a second to load: only where a tensor is made
    import torch

WINDOW_PX = 5
EDGE_SPAN = 48  # code values
TOLERANCE = 4


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """Means over a clip's frames; None where nothing could be measured."""

    flicker: float | None
    """None where no two frames are neighbours (sampled clips)."""
    overshoot_percent: float | None
    """None where the truth has no edge."""
    shift_y: float
    shift_u: float | None
    """None without chroma."""
    shift_v: float | None


def flicker(
    pred: np.ndarray, pred_before: np.ndarray, high: np.ndarray, high_before: np.ndarray, depth: int = 8
) -> float:
    """Mean absolute change of luma that the truth does not make, in code values of 8 bit."""
    made = pred.astype(np.int32) - pred_before
    true = high.astype(np.int32) - high_before
    return float(np.abs(made - true).mean()) / (1 << (depth - 8))


def overshoot(pred: np.ndarray, high: np.ndarray, depth: int = 8) -> tuple[int, int]:
    """(samples beyond the truth's local range, samples beside an edge) of one luma plane."""
    import torch

    unit = 1 << (depth - 8)
    truth = torch.from_numpy(high.astype(np.float32))[None, None]
    largest = _local_max(truth)
    smallest = -_local_max(-truth)
    beside = largest - smallest >= EDGE_SPAN * unit
    values = torch.from_numpy(pred.astype(np.float32))[None, None]
    beyond = (values > largest + TOLERANCE * unit) | (values < smallest - TOLERANCE * unit)
    return int((beyond & beside).sum()), int(beside.sum())


def colour_shift(pred: Planes, high: Planes, depth: int = 8) -> tuple[float, ...]:
    """Mean of pred - high of each plane, in code values of 8 bit."""
    unit = 1 << (depth - 8)
    return tuple((float(a.mean()) - float(b.mean())) / unit for a, b in zip(pred, high, strict=True))


def _local_max(plane: torch.Tensor) -> torch.Tensor:
    """Largest value of the window around each sample; rows, then columns, what lies outside the picture left out."""
    from torch.nn import functional as F

    half = WINDOW_PX // 2
    rows = F.max_pool2d(plane, (WINDOW_PX, 1), 1, (half, 0))
    return F.max_pool2d(rows, (1, WINDOW_PX), 1, (0, half))


class Gauge:
    """Gather the artefacts of one clip, frame after frame."""

    def __init__(self, depth: int = 8) -> None:
        self._depth = depth
        self._before: tuple[int, np.ndarray, np.ndarray] | None = None
        self._flickers: list[float] = []
        self._shifts: list[tuple[float, ...]] = []
        self._beyond = self._beside = 0

    def add(self, index: int, pred: Planes, high: Planes) -> None:
        """One frame and its number on film; flicker is taken between numbers that follow each other."""
        if self._before and self._before[0] == index - 1:
            self._flickers.append(flicker(pred[0], self._before[1], high[0], self._before[2], self._depth))
        self._before = index, pred[0], high[0]
        beyond, beside = overshoot(pred[0], high[0], self._depth)
        self._beyond, self._beside = self._beyond + beyond, self._beside + beside
        self._shifts.append(colour_shift(pred, high, self._depth))

    def result(self) -> Artefacts:
        shifts = [float(value) for value in np.mean(self._shifts, axis=0)]
        shift_u, shift_v = shifts[1:] if len(shifts) == 3 else (None, None)
        return Artefacts(
            flicker=float(np.mean(self._flickers)) if self._flickers else None,
            overshoot_percent=100 * self._beyond / self._beside if self._beside else None,
            shift_y=shifts[0],
            shift_u=shift_u,
            shift_v=shift_v,
        )

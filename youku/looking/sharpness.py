"""Measure sharpness without a reference: gradient energy, edge spread, contrast of a luma plane.

Luma plane -> Sharpness, in code values of 8 bit and pixels.

- gradient energy: mean of the squared differences to the right and lower neighbour, added; noise raises it too.
- edge spread: median width of the edges. An edge is a run of samples along a row or column that only rises or only
  falls, by 32 or more in all; its width is its height over its steepest step. A hard edge has 1 pixel, a Gaussian blur
  of sigma has 2.5 sigma, and an enlargement that adds no detail multiplies the width by its factor.
- contrast: standard deviation of luma.

Source: old-film report, appendix D.2 (sharpness = resolution and contrast), which gives a figure and no formula. The
spread is the slope form of the edge width of Marziliano et al. 2002; the energy is a usual focus measure (Brenner 1976
in kind, with neighbours instead of every second sample).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EDGE_HEIGHT = 32  # code values


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """One luma plane's figures."""

    gradient_energy: float
    """Squared code values a sample."""
    edge_spread_px: float | None
    """None where the picture has no edge."""
    contrast: float
    """Code values."""
    num_edges: int


def measure(luma: np.ndarray, depth: int = 8) -> Sharpness:
    """All figures of a luma plane (H, W)."""
    values = luma.astype(np.float32) / (1 << (depth - 8))
    widths = np.concatenate([edge_widths(values), edge_widths(values.T)])
    return Sharpness(
        gradient_energy=gradient_energy(values),
        edge_spread_px=float(np.median(widths)) if widths.size else None,
        contrast=float(values.std()),
        num_edges=widths.size,
    )


def gradient_energy(values: np.ndarray) -> float:
    """Mean squared step to the right plus mean squared step down; 0 for a flat plane (H, W)."""
    steps = (np.diff(values.astype(np.float64), axis=axis) for axis in (0, 1))
    return float(sum(np.square(step).mean() for step in steps if step.size))


def edge_widths(values: np.ndarray) -> np.ndarray:
    """Width in pixels of every edge along the rows of a plane (H, W) in code values of 8 bit."""
    steps = np.diff(values.astype(np.float64), axis=1)
    steps = np.pad(steps, ((0, 0), (0, 1)))  # a flat step ends every row, so that no run goes on in the next one
    signs = np.sign(steps).ravel()
    starts = np.flatnonzero(np.diff(signs, prepend=2.0))
    sizes = np.abs(steps.ravel())
    heights = np.add.reduceat(sizes, starts)
    steepest = np.maximum.reduceat(sizes, starts)
    is_edge = heights >= EDGE_HEIGHT
    return heights[is_edge] / steepest[is_edge]

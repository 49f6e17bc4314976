"""SSIM of two integer planes, as score and evaluate measure it: `metrics.ssim`'s figure by numpy alone, without a gradient.

torch takes 2 CPU seconds to load, a tenth of what scoring ten clips takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

SIGMA_PX = 1.5
WINDOW_PX = 11
BORDER_PX = WINDOW_PX - 1  # what the window is wider than one sample
TILE_PX = 64, 960  # rows and columns of window positions that are measured at once, multiples of RUN_PX
RUN_PX = 16  # samples along the window that one product blurs
K1, K2 = 0.01, 0.03


def plane(pred: np.ndarray, high: np.ndarray, depth: int = 8) -> float:
    """SSIM of two integer planes (H, W) of `depth` bits, in float32, a tile at a time that stays in the cache.

    With s = pred + high and d = pred - high the formula is (S - D + 2 C1) (Vs - Vd + 2 C2) / (S + D + 2 C1) / (Vs + Vd +
    2 C2), S and D the squares of their means and V their variances, so that two maps and their squares are blurred.
    """
    check((1, 1, *pred.shape), (1, 1, *high.shape), WINDOW_PX)
    height, width = (side - BORDER_PX for side in pred.shape)  # positions of the window
    side_px = min(TILE_PX[1], -(-width // RUN_PX) * RUN_PX)
    c1, c2 = (np.float32(2 * (k * ((1 << depth) - 1)) ** 2) for k in (K1, K2))
    maps, blur = _tile_blur(side_px)
    plus, minus = codes = maps[:2]
    total = 0.0
    for top, left in itertools.product(range(0, height, TILE_PX[0]), range(0, width, side_px)):
        rows, columns = min(TILE_PX[0], height - top), min(side_px, width - left)
        area = slice(top, top + rows + BORDER_PX), slice(left, left + columns + BORDER_PX)
        if (rows, columns) != (TILE_PX[0], side_px):
            maps[:] = 0  # of the tile before: it would grow from one to the next
        for values, out in zip((pred, high), codes, strict=True):
            out[: rows + BORDER_PX, : columns + BORDER_PX] = values[area]
        plus += minus
        minus *= -2
        minus += plus
        np.multiply(codes, codes, out=maps[2:])
        means, variances = blur()
        powers = means * means
        variances -= powers
        value = (powers[0] - powers[1] + c1) * (variances[0] - variances[1] + c2)
        value /= (powers[0] + powers[1] + c1) * (variances[0] + variances[1] + c2)
        total += float(value[:columns, :rows].sum(dtype=np.float64))
    return total / (height * width)


def _tile_blur(side_px: int) -> tuple[np.ndarray, Callable[[], np.ndarray]]:
    """Room for the maps (4, rows + 10, side + RUN_PX) of a tile, and what blurs them to (2, 2, side, rows), columns first.

    A product with a small banded matrix blurs RUN_PX samples of many columns at once; the first one's output lies turned
    over, so that the second is the same product. The output is the same memory each time.
    """
    band = np.zeros((RUN_PX, RUN_PX + BORDER_PX), np.float32)
    for row in range(RUN_PX):
        band[row, row : row + WINDOW_PX] = gaussian(WINDOW_PX)
    rows, line, num_runs = TILE_PX[0], side_px + RUN_PX, 4 * (side_px // RUN_PX + 1) - 1
    maps, tall = (np.zeros(shape, np.float32) for shape in ((4, rows + BORDER_PX, line), (4, line, rows)))
    wide = np.zeros((num_runs + 1, RUN_PX, rows), np.float32)
    downs = [
        (maps[index, top : top + RUN_PX + BORDER_PX].T, tall[index, :, top : top + RUN_PX])
        for index, top in itertools.product(range(4), range(0, rows, RUN_PX))
    ]
    lines = np.lib.stride_tricks.sliding_window_view(tall.reshape(-1, rows), RUN_PX + BORDER_PX, axis=0)
    runs = lines[::RUN_PX].swapaxes(1, 2)[:num_runs]  # (num_runs, RUN_PX + 10, rows)
    blurred = wide.reshape(2, 2, line, rows)[:, :, :side_px]

    def blur() -> np.ndarray:
        for values, out in downs:
            np.matmul(values, band.T, out=out)
        np.matmul(band, runs, out=wide[:num_runs])
        return blurred

    return maps, blur


@lru_cache(maxsize=16)
def gaussian(window_size: int, sigma_px: float = SIGMA_PX) -> tuple[float, ...]:
    """Normalised samples of a centred Gaussian."""
    offset = np.arange(window_size) - (window_size - 1) / 2
    value = np.exp(-(offset**2) / (2 * sigma_px**2))
    return tuple(value / value.sum())


def check(shape: Sequence[int], other: Sequence[int], window_size: int) -> None:
    """ValueError where the shapes (N, C, H, W) differ, or a side is below the window's."""
    if shape != other or len(shape) != 4:
        raise ValueError(f"SSIM: expected two images of one shape (N, C, H, W), got {(*shape,)}, {(*other,)}")
    if min(shape[-2:]) < window_size:
        size = f"{shape[-1]}x{shape[-2]}"
        raise ValueError(f"SSIM: window {window_size} is larger than the image {size}; use a smaller window_size")

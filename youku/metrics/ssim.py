"""Structural similarity [Wang et al. 2004]: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, valid region only.

Equals scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False), whose
border crop is this valid region. Differentiable, finite on flat and equal inputs, float32 inside under autocast.
MS-SSIM [Wang et al. 2003] is the product of its factors over five scales.
The interface is pytorch-ssim's: `ssim(img1, img2, window_size, size_average)` and class `SSIM`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SIGMA_PX = 1.5
WINDOW_PX = 11
BORDER_PX = WINDOW_PX - 1  # what the window is wider than one sample
TILE_PX = 64, 960  # rows and columns of window positions that are measured at once, multiples of RUN_PX
RUN_PX = 16  # samples along the window that one product blurs
K1, K2 = 0.01, 0.03
# exponents of the five scales, finest first [Wang et al. 2003, section 3.2]
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
CONTRAST_FLOOR = 1e-4  # a power below 1 has no value below 0 and an infinite gradient at 0


def ssim(
    img1: Tensor, img2: Tensor, window_size: int = 11, size_average: bool = True, data_range: float = 1.0
) -> Tensor:
    """Mean SSIM of images (N, C, H, W) in [0, data_range]: a scalar, or (N,), one an image, without `size_average`."""
    luminance, contrast_structure = factors(img1, img2, window_size, data_range)
    values = luminance * contrast_structure  # (N, C, H - window + 1, W - window + 1)
    return values.mean() if size_average else values.mean(dim=(1, 2, 3))


class SSIM(nn.Module):
    """`ssim` as a module with pytorch-ssim's arguments; use 1 - SSIM()(pred, high) as a loss."""

    def __init__(self, window_size: int = 11, size_average: bool = True, data_range: float = 1.0) -> None:
        super().__init__()
        self.window_size, self.size_average, self.data_range = window_size, size_average, data_range

    def forward(self, img1: Tensor, img2: Tensor) -> Tensor:
        return ssim(img1, img2, self.window_size, self.size_average, self.data_range)


def factors(img1: Tensor, img2: Tensor, window_size: int, data_range: float) -> tuple[Tensor, Tensor]:
    """(luminance, contrast * structure) maps, whose product is SSIM; MS-SSIM takes the second at each scale."""
    _check(img1.shape, img2.shape, window_size)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    with torch.autocast(img1.device.type, enabled=False):
        first, second = _working(img1, img2)
        # the formula needs sigma1^2 + sigma2^2 only as a sum: four blurred maps instead of five
        maps = torch.stack([first, second, first * first + second * second, first * second])
        mean1, mean2, energy, product = _blur(maps, window_size)
        means, powers = mean1 * mean2, mean1 * mean1 + mean2 * mean2
        return (2 * means + c1) / (powers + c1), (2 * (product - means) + c2) / (energy - powers + c2)


def _working(img1: Tensor, img2: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64 where one is, else in float32."""
    working = torch.float64 if torch.float64 in (img1.dtype, img2.dtype) else torch.float32
    return img1.to(working), img2.to(working)


def ms_ssim(img1: Tensor, img2: Tensor, size_average: bool = True, data_range: float = 1.0) -> Tensor:
    """MS-SSIM of images (N, C, H, W) in [0, data_range], sides over 160: a scalar, or (N,) without `size_average`.

    Per image and channel: mean contrast-structure of scales 1 to 4 and mean SSIM of scale 5, each to its exponent.
    Scales are 2x2 means; at an odd side the last sample stands for itself. Factors under 1e-4 count as 1e-4.
    """
    last = len(SCALE_WEIGHTS) - 1
    height, width = img1.shape[-2:]
    if min(height, width) <= BORDER_PX << last:
        raise ValueError(
            f"MS-SSIM: five scales need sides over {BORDER_PX << last} px, got {width}x{height}; "
            "use larger patches or ssim"
        )
    with torch.autocast(img1.device.type, enabled=False):
        first, second = _working(img1, img2)
        value = first.new_ones(first.shape[:2])  # (N, C)
        for index, weight in enumerate(SCALE_WEIGHTS):
            luminance, contrast = factors(first, second, WINDOW_PX, data_range)
            factor = (luminance * contrast if index == last else contrast).mean(dim=(2, 3))
            value = value * factor.clamp(min=CONTRAST_FLOOR) ** weight
            first, second = (functional.avg_pool2d(image, 2, ceil_mode=True) for image in (first, second))
        return value.mean() if size_average else value.mean(dim=1)


def plane(pred: np.ndarray, high: np.ndarray, depth: int = 8) -> float:
    """SSIM of two integer planes (H, W) of `depth` bits: no gradient, float32, a tile at a time that stays in the cache.

    With s = pred + high and d = pred - high the formula is (S - D + 2 C1) (Vs - Vd + 2 C2) / (S + D + 2 C1) / (Vs + Vd +
    2 C2), S and D the squares of their means and V their variances, so that two maps and their squares are blurred.
    """
    _check((1, 1, *pred.shape), (1, 1, *high.shape), WINDOW_PX)
    height, width = (side - BORDER_PX for side in pred.shape)  # positions of the window
    side_px = min(TILE_PX[1], -(-width // RUN_PX) * RUN_PX)
    c1, c2 = (torch.tensor(2.0 * (k * ((1 << depth) - 1)) ** 2) for k in (K1, K2))
    maps, blur = _tile_blur(side_px)
    codes, (plus, minus), total = maps[:2].numpy(), maps[:2], 0.0
    for top, left in itertools.product(range(0, height, TILE_PX[0]), range(0, width, side_px)):
        rows, columns = min(TILE_PX[0], height - top), min(side_px, width - left)
        area = slice(top, top + rows + BORDER_PX), slice(left, left + columns + BORDER_PX)
        if (rows, columns) != (TILE_PX[0], side_px):
            maps.zero_()  # of the tile before: it would grow from one to the next
        for values, out in zip((pred, high), codes, strict=True):
            out[: rows + BORDER_PX, : columns + BORDER_PX] = values[area]
        plus.add_(minus)
        torch.sub(plus, minus, alpha=2, out=minus)
        torch.mul(maps[:2], maps[:2], out=maps[2:])
        means, squares = blur()
        squares.addcmul_(means, means, value=-1)  # variances
        means.mul_(means)
        value = (means[0] - means[1]).add_(c1).mul_((squares[0] - squares[1]).add_(c2))
        value.div_(means[0].add_(means[1]).add_(c1).mul_(squares[0].add_(squares[1]).add_(c2)))
        total += float(value[:columns, :rows].sum())
    return total / (height * width)


def _tile_blur(side_px: int) -> tuple[Tensor, Callable[[], Tensor]]:
    """Room for the maps (4, rows + 10, side + RUN_PX) of a tile, and what blurs them to (2, 2, side, rows), columns first.

    A product with a small banded matrix blurs RUN_PX samples of many columns at once; the first one's output lies turned
    over, so that the second is the same product. The output is the same memory each time.
    """
    band = torch.zeros(RUN_PX, RUN_PX + BORDER_PX)
    for row in range(RUN_PX):
        band[row, row : row + WINDOW_PX] = torch.tensor(gaussian(WINDOW_PX))
    rows, line, num_runs = TILE_PX[0], side_px + RUN_PX, 4 * (side_px // RUN_PX + 1) - 1
    maps, tall = torch.zeros(4, rows + BORDER_PX, line), torch.empty(4, line, rows)
    wide = torch.empty(num_runs + 1, RUN_PX, rows)
    downs = [
        (maps[index, top : top + RUN_PX + BORDER_PX].T, tall[index, :, top : top + RUN_PX])
        for index, top in itertools.product(range(4), range(0, rows, RUN_PX))
    ]
    runs = tall.as_strided((num_runs, RUN_PX + BORDER_PX, rows), (RUN_PX * rows, rows, 1))
    bands, blurred = band.expand(num_runs, *band.shape), wide.view(2, 2, line, rows)[:, :, :side_px]

    def blur() -> Tensor:
        for values, out in downs:
            torch.mm(values, band.T, out=out)
        torch.bmm(bands, runs, out=wide[:num_runs])
        return blurred

    return maps, blur


@lru_cache(maxsize=16)
def gaussian(window_size: int, sigma_px: float = SIGMA_PX) -> tuple[float, ...]:
    """Normalised samples of a centred Gaussian."""
    offset = np.arange(window_size) - (window_size - 1) / 2
    value = np.exp(-(offset**2) / (2 * sigma_px**2))
    return tuple(value / value.sum())


@lru_cache(maxsize=16)
def _gaussian_on(window_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`gaussian` on a device, sent once: a training step that was captured as a CUDA graph sends nothing."""
    with torch.inference_mode(False):  # gradients pass by it later, whoever asks first
        return torch.tensor(gaussian(window_size), dtype=dtype, device=device)


def _blur(maps: Tensor, window_size: int) -> Tensor:
    """Separable Gaussian over the last two axes of (M, N, C, H, W), valid region only."""
    num = maps[..., 0, 0].numel()
    window = _gaussian_on(window_size, maps.dtype, maps.device).expand(num, 1, 1, window_size)
    flat = maps.flatten(0, 2)[None]  # (1, M * N * C, H, W): one depthwise convolution, fast in both directions
    flat = functional.conv2d(flat, window, groups=num)
    flat = functional.conv2d(flat, window.transpose(-1, -2), groups=num)
    return flat.view(*maps.shape[:3], *flat.shape[-2:])


def _check(shape: Sequence[int], other: Sequence[int], window_size: int) -> None:
    if shape != other or len(shape) != 4:
        raise ValueError(f"SSIM: expected two images of one shape (N, C, H, W), got {(*shape,)}, {(*other,)}")
    if min(shape[-2:]) < window_size:
        size = f"{shape[-1]}x{shape[-2]}"
        raise ValueError(f"SSIM: window {window_size} is larger than the image {size}; use a smaller window_size")

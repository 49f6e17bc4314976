"""Structural similarity [Wang et al. 2004]: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, valid region only.

Equals scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False), whose
border crop is this valid region. Differentiable, finite on flat and equal inputs, float32 inside under autocast.
MS-SSIM [Wang et al. 2003] is the product of its factors over five scales.
The interface is pytorch-ssim's: `ssim(img1, img2, window_size, size_average)` and class `SSIM`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from youku.metrics.plane_ssim import BORDER_PX, K1, K2, WINDOW_PX, check, gaussian, plane

__all__ = ["SSIM", "factors", "ms_ssim", "plane", "ssim"]

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
    check(img1.shape, img2.shape, window_size)
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

"""Ways to halve, third or quarter a picture, by name: MATLAB's anti-aliased kernels and Python's plain ones.

Networks are tied to the resizer they were trained on (the old-film report's table 4.8.1), so it has a name and both
training and evaluation can choose it. uint8 (H, W) or (H, W, C) -> uint8, H and W divided by the factor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from youku.video import resize

Shrinker = Callable[[np.ndarray, int], np.ndarray]


def matlab(image: np.ndarray, scale: int, kernel: str) -> np.ndarray:
    """MATLAB `imresize`: half-pixel centres, kernel widened by the factor, uint8 between the passes."""
    return resize.imresize(image, image.shape[0] // scale, image.shape[1] // scale, kernel)


def plain(image: np.ndarray, scale: int, mode: str) -> np.ndarray:
    """OpenCV's and torch's default: half-pixel centres, no anti-aliasing; "bicubic" has a = -0.75."""
    planes = torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).astype(np.float64))[None]  # (1, C, H, W)
    size = (image.shape[0] // scale, image.shape[1] // scale)
    out = functional.interpolate(planes, size, mode=mode, align_corners=False)[0].numpy().transpose(1, 2, 0)
    return resize.to_integers(out[..., 0] if image.ndim == 2 else out)


SHRINKERS: dict[str, Shrinker] = {
    "matlab-bicubic": lambda image, scale: matlab(image, scale, "bicubic"),
    "matlab-bilinear": lambda image, scale: matlab(image, scale, "bilinear"),
    "matlab-lanczos": lambda image, scale: matlab(image, scale, "lanczos"),
    "python-bicubic": lambda image, scale: plain(image, scale, "bicubic"),
    "python-bilinear": lambda image, scale: plain(image, scale, "bilinear"),
    "nearest": lambda image, scale: matlab(image, scale, "nearest"),
    "box": lambda image, scale: matlab(image, scale, "box"),
}


def shrink(image: np.ndarray, scale: int, name: str) -> np.ndarray:
    """`image` divided by `scale` with a resizer of SHRINKERS; ValueError names the choices."""
    if name not in SHRINKERS:
        raise ValueError(f"resizer {name!r}: expected one of {', '.join(SHRINKERS)}")
    return SHRINKERS[name](image, scale)

"""Convert between Y'CbCr planes and RGB with matrix, range and chroma siting explicit; say what a siting shifts.

Works on numpy arrays and torch tensors alike. RGB is float in [0, 1], shape (..., 3, H, W); planes are float code
values over 255 << (depth - 8), so 8-bit planes divided by 255. Sources: ITU-R BT.601-7, BT.709-6, BT.2020-2; SMPTE 240M and
FCC 73.682 as ITU-T H.273 has them; MATLAB `rgb2ycbcr`.
y4m declares no matrix: 601 is the default throughout, and a round trip cancels the choice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from youku.video import resize
from youku.video.resize import Array
from youku.video.y4m import Layout

# (red, blue) weights of luma
MATRICES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593), "240m": (0.212, 0.087)}
MATRICES |= {"fcc": (0.3, 0.11)}


def rgb_to_yuv444(rgb: Array, matrix: str = "601", full_range: bool = False) -> Array:
    """RGB (..., 3, H, W) in [0, 1] to Y'CbCr of that shape, in code values / 255; studio range unless `full_range`."""
    return _mixed(rgb, matrix, full_range, False)


def yuv444_to_rgb(yuv: Array, matrix: str = "601", full_range: bool = False) -> Array:
    """Inverse of `rgb_to_yuv444`; values outside [0, 1] are kept (out-of-gamut colours survive a float round trip)."""
    return _mixed(yuv, matrix, full_range, True)


@lru_cache(maxsize=16)
def _product(matrix: str, full_range: bool, to_rgb: bool) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) and (3, 1): Y'CbCr in code values / 255 is the product with R'G'B', plus the offset; or the other way."""
    if matrix not in MATRICES:
        raise ValueError(f"matrix {matrix!r}: expected one of {', '.join(MATRICES)}")
    red_weight, blue_weight = MATRICES[matrix]
    luma_gain, luma_offset, chroma_gain = _range(full_range)
    luma = np.array([red_weight, 1 - red_weight - blue_weight, blue_weight])
    cb = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue_weight))
    cr = (np.array([1, 0, 0]) - luma) / (2 * (1 - red_weight))
    product = np.stack([luma * luma_gain, cb * chroma_gain, cr * chroma_gain])
    offset = np.array([[luma_offset], [128 / 255], [128 / 255]])
    if not to_rgb:
        return product, offset
    inverse = np.linalg.inv(product)
    return inverse, -inverse @ offset


def _mixed(planes: Array, matrix: str, full_range: bool, to_rgb: bool) -> Array:
    """(..., 3, H, W) to what the matrix makes of each sample, in the planes' own type."""
    flat = planes.reshape(*planes.shape[:-2], -1)  # (..., 3, H W)
    if isinstance(flat, np.ndarray):
        product, offset = (part.astype(flat.dtype) for part in _product(matrix, full_range, to_rgb))
        return (product @ flat + offset).reshape(planes.shape)
    exact = flat.double() if flat.is_cuda else flat  # in training a GPU multiplies float32 in TF32, up to 0.3 codes off
    weights, bias = resize.sent(exact.device, exact.dtype, _product, matrix, full_range, to_rgb)
    return (weights @ exact).add_(bias).to(flat.dtype).view(planes.shape)


def upsample_chroma(chroma: Array, height: int, width: int, layout: Layout, kernel: str = "bilinear") -> Array:
    """Bring a chroma plane (..., h, w) to luma size (..., H, W), each sample read at its own siting."""
    out = chroma
    for axis, is_cosited in _halved_axes(layout):
        out = resize.rescale(out, 2 * out.shape[axis], axis, kernel, 0.25 * is_cosited, 2.0)  # (..., 2 h, 2 w)
    return out[..., :height, :width]  # odd sizes: doubled, then cut


def downsample_chroma(chroma: Array, layout: Layout) -> Array:
    """Inverse direction of `upsample_chroma`: anti-aliased, at the target's siting; odd sizes repeat the last line."""
    out = chroma
    for axis, is_cosited in _halved_axes(layout):
        out = resize.rescale(out, -(-out.shape[axis] // 2), axis, "bilinear", -0.5 * is_cosited, 0.5)
    return out  # (..., ceil(H / 2), ceil(W / 2))


def to_420(chroma: Array, layout: Layout, target: Layout) -> Array:
    """Bring chroma planes (..., h, w) of any layout to half of luma's size, sited as the 4:2:0 layout `target`.

    Halving is anti-aliased: the mean of two samples where the new one lies between them, [1 2 1] / 4 where it lies on one.
    """
    (sub_x, sub_y, _), down, right = layout, *_offsets(target)
    own_down, own_right = _offsets(layout)
    out = resited(chroma, (down - own_down) / 2 * (sub_y == 2), (right - own_right) / 2 * (sub_x == 2))
    for axis, factor, offset in ((-2, sub_y, down), (-1, sub_x, right)):
        if factor == 1:  # halving about pixel centres gives samples at 2 k + 0.5
            kernel = "box" if offset else "bilinear"
            out = resize.rescale(out, -(-out.shape[axis] // 2), axis, kernel, offset - 0.5, 0.5)
    return out  # (..., ceil(H / 2), ceil(W / 2))


def resited(plane: Array, down: float, right: float) -> Array:
    """Read a plane (..., h, w) at a fraction of a sample further down and to the right: bicubic, edges repeat."""
    for axis, shift in ((-2, down), (-1, right)):
        plane = resize.rescale(plane, plane.shape[axis], axis, "bicubic", shift, 1.0) if shift else plane
    return plane


def chroma_shift(layout: Layout, scale: float) -> tuple[float, float]:
    """(shift_y, shift_x) of `resize` for a chroma plane that grows by `scale` between two pictures of one layout.

    Left-sited chroma column c lies on luma column 2c. Scaling the luma grid by s about pixel centres puts it at luma
    s * 2c + (s - 1) / 2, which is chroma column s * c + (s - 1) / 4 of the target: (s - 1) / (4 s) input samples
    away from where half-pixel centres would put it. For s = 4: column 4c + 0.75 instead of 4c + 1.5.
    """
    down, right = _cosited(layout)
    shift = (scale - 1) / (4 * scale)
    return shift * down, shift * right


def _halved_axes(layout: Layout) -> list[tuple[int, bool]]:
    """The axes along which a layout has half of the chroma, rows first, and whether it is cosited there."""
    sub_x, sub_y, _ = layout
    return [(axis, on) for axis, sub, on in zip((-2, -1), (sub_y, sub_x), _cosited(layout), strict=True) if sub == 2]


def _cosited(layout: Layout) -> tuple[bool, bool]:
    """(down, right): on which subsampled axes a chroma sample lies on a luma sample, and not between two."""
    sub_x, sub_y, siting = layout
    return sub_y == 2 and siting == "topleft", sub_x == 2 and siting in ("left", "topleft")


def _offsets(layout: Layout) -> tuple[float, float]:
    """(down, right) of a halved chroma sample from the first of the two luma samples that it stands for."""
    down, right = _cosited(layout)
    return 0.5 * (not down), 0.5 * (not right)


def luma_of_picture(rgb: np.ndarray) -> np.ndarray:
    """Y of MATLAB `rgb2ycbcr` for a uint8 picture (H, W, 3): float64, 16-235, not rounded, as in the papers."""
    if rgb.dtype != np.uint8:
        raise ValueError(f"expected a uint8 RGB picture, got {rgb.dtype}")
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def planes_to_rgb(
    planes: tuple[np.ndarray, ...], depth: int, layout: Layout, matrix: str = "601", full_range: bool = False
) -> np.ndarray:
    """Integer planes of a frame to an 8-bit RGB picture (H, W, 3), for looking at and for picture files only."""
    import torch

    scale = float(255 << (depth - 8))  # 128 << (depth - 8) is neutral at every depth
    white = scale / ((1 << depth) - 1) if full_range else 1  # 1023 is white in 10 bit, not 1020 (H.273, equation 24)
    # integer codes -> code values / 255; torch, since it takes a quarter of numpy's time here
    luma, *chroma = (torch.from_numpy(plane.astype(np.float32)).div_(scale) for plane in planes)
    if not chroma:
        gain, offset, _ = _range(full_range)
        gray = (luma - offset) / gain  # 16/255 .. 235/255 -> 0 .. 1
        rgb = torch.stack([gray, gray, gray])
    else:
        height, width = luma.shape
        yuv = torch.stack([luma, *(upsample_chroma(plane, height, width, layout) for plane in chroma)])
        rgb = yuv444_to_rgb(yuv, matrix, full_range)  # (3, H, W) in [0, 1] and beyond
    rounded = rgb.mul_(255 * white).clamp_(0, 255).add_(0.5).to(torch.uint8)  # floor(x + 0.5), as resize.to_integers
    return rounded.permute(1, 2, 0).contiguous().numpy()


def rgb_to_planes(rgb: np.ndarray, layout: Layout, matrix: str = "601") -> tuple[np.ndarray, ...]:
    """An 8-bit RGB picture (H, W, 3) to 8-bit planes in `layout` (y4m.Header.layout), studio range."""
    yuv = rgb_to_yuv444(np.moveaxis(rgb, -1, 0).astype(np.float64) / 255, matrix)  # (3, H, W), 16/255 .. 240/255
    luma = resize.to_integers(yuv[0] * 255)
    if layout[0] == 0:
        return (luma,)
    return luma, *(resize.to_integers(downsample_chroma(yuv[channel], layout) * 255) for channel in (1, 2))


def _range(full_range: bool) -> tuple[float, float, float]:
    """(luma gain, luma offset, chroma gain) in code values / 255."""
    return (1.0, 0.0, 1.0) if full_range else (219 / 255, 16 / 255, 224 / 255)

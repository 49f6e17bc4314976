"""Resize planes by separable kernels: MATLAB's `imresize` bit for bit, for numpy arrays and torch tensors.

The kernel is widened by the factor when shrinking (anti-aliasing), weights are normalised, and output sample u
lies at input coordinate (u + 0.5) / scale - 0.5 + shift (half-pixel centres). Rounding is floor(x + 0.5).
Bicubic is Keys' kernel with a = -0.5 [Keys 1981]. Pillow's BICUBIC is the same kernel; OpenCV's INTER_CUBIC and
torch's plain bicubic are a = -0.75 without anti-aliasing, and differ. Hermite, Bell (the quadratic B-spline) and
Mitchell (B = C = 1/3 [Mitchell, Netravali 1988]) are the old-film report's other ones (D.3); Bell and Mitchell smooth.
Networks are tied to the resizer they were trained on (the report's table 4.8.1), so SHRINKERS gives each a name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:  # a second to load: only where a tensor is made, or given
    import torch

compiled: Any = None
"""kernels.c, where the package was built with a C compiler."""
with suppress(ImportError):
    compiled = import_module("youku.video._kernels")

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _hermite(x: np.ndarray) -> np.ndarray:
    x = np.minimum(np.abs(x), 1.0)
    return (2 * x - 3) * x * x + 1


def _bell(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    return np.where(x <= 0.5, 0.75 - x * x, 0.5 * np.maximum(1.5 - x, 0.0) ** 2)


def _mitchell(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = ((7 * x - 12) * x * x + 16 / 3) / 6
    far = (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


# name -> kernel, and its radius in input samples when nothing shrinks; nearest takes one sample, unweighted
_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_cubic, 2.0),
    "bilinear": (lambda x: np.maximum(0.0, 1 - np.abs(x)), 1.0),
    "lanczos": (lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0), 3.0),
    "box": (lambda x: np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0), 0.5),
    "nearest": (np.ones_like, 0.5),
    "hermite": (_hermite, 1.0),
    "bell": (_bell, 1.5),
    "mitchell": (_mitchell, 2.0),
}
KERNELS = tuple(_KERNELS)
EDGES = ("symmetric", "replicate")
BAND_PX = 32


def resize(
    image: Array,
    height: int,
    width: int,
    kernel: str = "bicubic",
    edge: str = "symmetric",
    shift_y: float = 0.0,
    shift_x: float = 0.0,
    scale: float | None = None,
) -> Array:
    """Resize the last two axes (..., H, W) of a float array to (height, width), vertical pass first; no rounding.

    `shift_y`, `shift_x` move the sampling grid in input pixels: chroma that is not sited at pixel centres needs it.
    `scale` is the ratio of the sizes unless given (a chroma plane of an odd picture scales by the picture's factor).
    """
    tall = rescale(image, height, -2, kernel, shift_y, scale, edge)  # (..., H, W) -> (..., height, W)
    return rescale(tall, width, -1, kernel, shift_x, scale, edge)  # (..., height, width)


def imresize(
    image: np.ndarray, height: int, width: int, kernel: str = "bicubic", edge: str = "symmetric"
) -> np.ndarray:
    """MATLAB `imresize` of a uint8 picture (H, W) or (H, W, C): rounds to uint8 after each of its two passes."""
    if image.dtype != np.uint8:
        raise ValueError(f"imresize expects a uint8 picture, got {image.dtype}; use resize() for float")
    planes = image if image.ndim == 2 else np.moveaxis(image, -1, 0)  # ([C,] H, W)
    for axis, size in ((-2, height), (-1, width)):
        planes = to_integers(rescale(planes.astype(np.float64), size, axis, kernel, 0.0, None, edge))
    return planes if image.ndim == 2 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def to_integers(values: np.ndarray, depth: int = 8, unit: float = 1.0) -> np.ndarray:
    """Values of which 1 is `unit` codes: rounded half up and clipped to 0 .. 2^depth - 1; uint8, or uint16 above 8 bit."""
    most, dtype = (1 << depth) - 1, np.uint8 if depth == 8 else np.uint16
    if compiled and values.dtype == np.float32 and values.size:
        lines = np.require(values, requirements=("C", "A")).reshape(-1, values.shape[-1])
        out = np.empty(lines.shape, dtype)
        compiled.round(lines, unit, out, most)
        return out.reshape(values.shape)
    codes = np.clip(values * unit, 0, most)
    codes += 0.5
    return codes.astype(dtype)  # rounds down


def block_means(image: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Means over blocks of (..., H, W), float64; rows and columns that fill no block are left off."""
    height, width = image.shape[-2] // height_px, image.shape[-1] // width_px
    whole = image[..., : height * height_px, : width * width_px]
    # one axis after the other takes half the time
    lines = whole.reshape(*image.shape[:-2], height, height_px, width * width_px).mean(axis=-2)
    return lines.reshape(*lines.shape[:-1], width, width_px).mean(axis=-1)


def shrink(image: np.ndarray, scale: int, name: str) -> np.ndarray:
    """A uint8 picture (H, W) or (H, W, C), H and W divided by `scale`, with a resizer of SHRINKERS."""
    if name not in SHRINKERS:
        raise ValueError(f"resizer {name!r}: expected one of {', '.join(SHRINKERS)}")
    return SHRINKERS[name](image, scale)


def _matlab(image: np.ndarray, scale: int, kernel: str) -> np.ndarray:
    """MATLAB `imresize`: half-pixel centres, kernel widened by the factor, uint8 between the passes."""
    return imresize(image, image.shape[0] // scale, image.shape[1] // scale, kernel)


def _plain(image: np.ndarray, scale: int, mode: str) -> np.ndarray:
    """OpenCV's and torch's default: half-pixel centres, no anti-aliasing; "bicubic" has a = -0.75."""
    import torch
    from torch.nn import functional

    planes = torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).astype(np.float64))[None]  # (1, C, H, W)
    size = (image.shape[0] // scale, image.shape[1] // scale)
    out = functional.interpolate(planes, size, mode=mode, align_corners=False)[0].numpy().transpose(1, 2, 0)
    return to_integers(out[..., 0] if image.ndim == 2 else out)  # (H / scale, W / scale[, C])


SHRINKERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    **{f"matlab-{kernel}": partial(_matlab, kernel=kernel) for kernel in ("bicubic", "bilinear", "lanczos")},
    **{f"python-{mode}": partial(_plain, mode=mode) for mode in ("bicubic", "bilinear")},
    **{kernel: partial(_matlab, kernel=kernel) for kernel in ("nearest", "box")},
}


@lru_cache(maxsize=256)
def weights(
    size_in: int, size_out: int, kernel: str, edge: str = "symmetric", shift: float = 0.0, scale: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(indices, weights), both (size_out, taps): output u is sum over taps of weights[u] * input[indices[u]]."""
    if kernel not in KERNELS or edge not in EDGES:
        raise ValueError(f"kernel {kernel!r}, edge {edge!r}: expected one of {KERNELS} and one of {EDGES}")
    if scale is None:
        scale = size_out / size_in
    function, support = _KERNELS[kernel]
    stretch = max(1.0, 1.0 / scale) if kernel != "nearest" else 1.0
    center = (np.arange(size_out) + 0.5) / scale - 0.5 + shift
    if kernel == "nearest":
        index = np.floor(center.round(9) + 0.5).astype(np.int64)[:, None]  # a half is one, everywhere in a line
        return _inside(index, size_in, edge), np.ones((size_out, 1))
    taps = int(np.ceil(support * stretch * 2)) + 2
    first = np.floor(center - support * stretch).astype(np.int64)
    index = first[:, None] + np.arange(taps)
    value = function((index - center[:, None]) / stretch)
    value /= value.sum(axis=1, keepdims=True)
    used = np.any(value != 0, axis=0)
    return _inside(index[:, used], size_in, edge), value[:, used]


@lru_cache(maxsize=64)
def bank(scale: float, kernel: str, shift: float) -> tuple[np.ndarray, int]:
    """(weights, margin): what is made of each sample, or of each run that one sample is made of, far from the edges.

    `scale` is a whole number s or one over it. weights (s or 1, taps) float64; those of run n are for the inputs from
    n * step - margin on, a step being 1 or 1 / scale.
    """
    step, num_outputs = (1, round(scale)) if scale > 1 else (round(1 / scale), 1)
    size_in = 130 * step  # the middle of it is far from both edges
    first = 65 * num_outputs
    index, weight = weights(size_in, round(size_in * scale), kernel, "replicate", shift, scale)
    offset = index[first : first + num_outputs] - 65 * step
    margin = max(0, -int(offset.min()), int(offset.max()) - step + 1)
    made = np.zeros((num_outputs, step + 2 * margin))
    np.put_along_axis(made, offset + margin, weight[first : first + num_outputs], axis=1)
    return made, margin


@lru_cache(maxsize=64)
def taps(size_in: int, size_out: int, shift: float, kernel: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """`weights` as kernels.c takes them, edges repeating: (taps, size_out) both, int32 and float32."""
    index, weight = weights(size_in, size_out, kernel, "replicate", shift, float(scale))
    return np.ascontiguousarray(index.T, np.int32), np.ascontiguousarray(weight.T, np.float32)


@lru_cache(maxsize=16)
def matrix(size_in: int, size_out: int, shift: float, kernel: str, scale: float, device: torch.device) -> torch.Tensor:
    """`weights` as one (size_out, size_in) float64 matrix on a device, edges repeating."""
    import torch

    whole = np.zeros((size_out, size_in))
    index, weight = weights(size_in, size_out, kernel, "replicate", shift, float(scale))
    np.add.at(whole, (np.arange(size_out)[:, None], index), weight)
    return torch.from_numpy(whole).to(device)


@lru_cache(maxsize=64)
def bands(size_in: int, size_out: int, shift: float, kernel: str, scale: float) -> list[tuple[int, int, torch.Tensor]]:
    """`weights` by runs of outputs, edges repeating: (first input, end of inputs, weights (outputs, inputs)) of each."""
    import torch

    index, weight = weights(size_in, size_out, kernel, "replicate", shift, float(scale))
    found = []
    for outputs in np.split(np.arange(size_out), range(BAND_PX, size_out, BAND_PX)):
        first, end = int(index[outputs].min()), int(index[outputs].max()) + 1
        band = np.zeros((len(outputs), end - first), np.float32)
        np.add.at(band, (np.arange(len(outputs))[:, None], index[outputs] - first), weight[outputs])
        found.append((first, end, torch.from_numpy(band)))
    return found


def product(made_by: list[tuple[int, int, torch.Tensor]], x: torch.Tensor) -> torch.Tensor:
    """(size_in, W) to (size_out, W), by `bands`."""
    import torch

    return torch.cat([weight @ x[first:end] for first, end, weight in made_by])


def _inside(index: np.ndarray, size: int, edge: str) -> np.ndarray:
    """Fold indices outside 0 .. size-1 back: mirrored with the edge sample repeated, or clamped."""
    if edge == "replicate":
        return np.clip(index, 0, size - 1)
    folded = np.mod(index, 2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


def apply(image: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """Weighted sum of gathered rows (axis -2) or columns (axis -1), one tap at a time in tap order."""
    result = np.zeros(())
    for tap in range(index.shape[1]):
        scale = weight[:, tap].astype(image.dtype)
        result = result + image.take(index[:, tap], axis=axis) * (scale[:, None] if axis == -2 else scale)
    return result


def rescale(
    image: Array, size: int, axis: int, kernel: str, shift: float, scale: float | None, edge: str = "replicate"
) -> Array:
    """One axis alone, -2 or -1, to `size` samples."""
    taps = (image.shape[axis], size, kernel, edge, shift, scale)
    if isinstance(image, np.ndarray):
        return apply(image, *weights(*taps), axis=axis)
    places, scales = sent(image.device, image.dtype, weights, *taps)
    total = image.new_zeros(())
    for where, weight in zip(places.T, scales.T, strict=True):
        total = total + image.index_select(axis, where) * (weight[:, None] if axis == -2 else weight)
    return total


@lru_cache(maxsize=128)
def sent(
    device: torch.device, dtype: torch.dtype, make: Callable[..., tuple[np.ndarray, np.ndarray]], *of: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `make` gives of its arguments, on a device, indices as they are: sent once, since a GPU is waited for."""
    import torch

    with torch.inference_mode(False):  # training may read them too
        first, second = (torch.from_numpy(part) for part in make(*of))
        return first.to(device, dtype if first.is_floating_point() else None), second.to(device, dtype)

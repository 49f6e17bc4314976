"""Measure an enlarged picture against its truth under the protocol that a paper used, by name.

(picture enlarged, high, protocol, scale) -> squared error and so PSNR, SSIM on Y.
Protocols differ by up to 2 dB on the same pictures, so a number without its protocol means nothing.
Sources: the papers named in PROTOCOLS; MATLAB `rgb2ycbcr`; SSIM of Wang et al. 2004 (metrics/plane_ssim.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from youku import text_table
from youku.inference.still import Picture
from youku.metrics import plane_ssim, psnr
from youku.text_table import plural
from youku.video import resize

EDSR_GRAY = (65.738, 129.057, 25.064)  # over 256, as EDSR-PyTorch writes them; MATLAB has 65.481, 128.553, 24.966


@dataclass(frozen=True)
class Error:
    """Mean squared error of one picture over `num_samples`; `psnr` is inf for an exact match."""

    mse: float
    num_samples: int

    @property
    def psnr(self) -> float:
        return psnr.decibels(self.mse)


Samples = Callable[[Picture, Picture], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Which samples of (pred, high) are compared, with how much left off each side; peak is 255 throughout."""

    samples: Samples
    source: str
    crop_px: Callable[[int], int] = lambda scale: scale
    needs_rgb: bool = False
    num_left_out: int = 0
    """Pictures not counted at each end: the set is the frames of one clip."""
    scales: tuple[int, ...] | None = None
    """Factors that it is defined for; None: all."""


def error(pred: Picture, high: Picture, protocol: str, scale: int) -> Error:
    """Squared error under a protocol of PROTOCOLS."""
    rule = protocol_of(protocol, scale)
    if pred.luma.shape != high.luma.shape:
        raise ValueError(
            f"expected two pictures of one size, got {pred.luma.shape} and {high.luma.shape}; check --scale"
        )
    if rule.needs_rgb and (pred.rgb is None or high.rgb is None):
        raise ValueError(f"protocol {protocol}: needs RGB pictures, here is luma alone; choose y_crop_s or y_full")
    first, second = (_inside(samples, rule.crop_px(scale)) for samples in rule.samples(pred, high))
    return Error(psnr.squared_error(first, second) / first.size, first.size)


def similarity(pred: Picture, high: Picture, protocol: str, scale: int) -> float:
    """SSIM on Y, whatever the protocol's channels, with its crop; L = 255."""
    crop_px = protocol_of(protocol, scale).crop_px(scale)
    if min(high.luma.shape) < 2 * crop_px + plane_ssim.WINDOW_PX:
        least_px = 2 * crop_px + plane_ssim.WINDOW_PX
        raise ValueError(
            f"{high.luma.shape[1]}x{high.luma.shape[0]} is too small for SSIM, which needs {least_px} px with the "
            "protocol's border; remove it or choose y_full"
        )
    return plane_ssim.plane(_inside(pred.luma, crop_px), _inside(high.luma, crop_px))


def pooled(errors: Sequence[Error]) -> float:
    """dB of one MSE over the samples of all pictures: lower than the mean of their dB, which the papers print."""
    total = sum(one.mse * one.num_samples for one in errors)
    return psnr.decibels(total / sum(one.num_samples for one in errors))


def protocol_of(name: str, scale: int) -> Protocol:
    """The protocol of that name; ValueError lists the choices, or the factors that it has."""
    if name not in PROTOCOLS:
        raise ValueError(f"protocol {name!r}: {text_table.expected(name, PROTOCOLS)}")
    rule = PROTOCOLS[name]
    if rule.scales is not None and scale not in rule.scales:
        raise ValueError(
            f"protocol {name}: defined for x{', x'.join(map(str, rule.scales))}, not x{scale}; use y_crop_s"
        )
    return rule


def of_names(names: Sequence[str], scale: int) -> list[str]:
    """The protocols of those names; "all" stands for every one of single pictures that has the factor."""
    if list(names) != ["all"]:
        if "all" in names:
            raise ValueError("protocol all: stands alone; drop the others")
        return [name for name in dict.fromkeys(names) if protocol_of(name, scale)]
    return [name for name, rule in PROTOCOLS.items() if not rule.num_left_out and scale in (rule.scales or [scale])]


def counted(protocol: str, names: Sequence[str]) -> slice:
    """Which pictures of a set, in order, the mean is over; ValueError where none is left."""
    left_out = PROTOCOLS[protocol].num_left_out
    if len(names) <= 2 * left_out:
        raise ValueError(
            f"protocol {protocol}: leaves out {left_out} frames at each end of a clip, found {plural(len(names), 'picture')}"
        )
    return slice(left_out, len(names) - left_out)


def on_luma(pred: Picture, high: Picture) -> tuple[np.ndarray, np.ndarray]:
    """MATLAB's Y of both, the truth's not rounded."""
    return pred.luma, high.luma


def on_planes(pred: Picture, high: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The Y planes that a y4m would hold: both rounded."""
    return resize.to_integers(pred.luma).astype(np.float64), resize.to_integers(high.luma).astype(np.float64)


def on_rgb(pred: Picture, high: Picture) -> tuple[np.ndarray, np.ndarray]:
    """All three channels."""
    assert pred.rgb is not None and high.rgb is not None
    return pred.rgb, high.rgb


def on_edsr_gray(pred: Picture, high: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums of the channels, whose difference is the weighted difference: no offset, weights over 256."""
    assert pred.rgb is not None and high.rgb is not None
    weights = np.array(EDSR_GRAY) / 256
    return pred.rgb @ weights, high.rgb @ weights


PROTOCOLS: dict[str, Protocol] = {
    "y_crop_s": Protocol(
        samples=on_luma,
        source="SRCNN, FSRCNN, VDSR, EDSR and nearly all tables: Y, the factor off each side",
    ),
    "y_crop_4": Protocol(
        samples=on_luma,
        crop_px=lambda scale: 4,
        scales=(4,),
        source="SRGAN and SRResNet, Ledig et al. 2017: Y, 4 px off each side",
    ),
    "rgb_crop_s": Protocol(
        samples=on_rgb,
        needs_rgb=True,
        source="BasicSR's and mmagic's tables: RGB, the factor off each side",
    ),
    "rgb_crop_s6": Protocol(
        samples=on_rgb,
        crop_px=lambda scale: scale + 6,
        needs_rgb=True,
        source="EDSR's code on DIV2K: RGB, the factor + 6 off each side",
    ),
    "y_diff_edsr": Protocol(
        samples=on_edsr_gray,
        needs_rgb=True,
        source="EDSR-PyTorch on the benchmark sets: luma of the RGB difference, the factor off each side",
    ),
    "y_full": Protocol(
        samples=on_planes,
        crop_px=lambda scale: 0,
        source="the Youku score's Y plane: rounded luma, nothing cropped",
    ),
    "vid4": Protocol(
        samples=on_luma,
        crop_px=lambda scale: 8,
        num_left_out=2,
        source="DUF, RBPN and most of Vid4's tables: Y, 8 px off each side, a clip's first and last two frames left out",
    ),
}


def _inside(samples: np.ndarray, crop_px: int) -> np.ndarray:
    """`crop_px` off each side of (H, W) or (H, W, 3)."""
    height, width = samples.shape[:2]
    if min(height, width) <= 2 * crop_px:
        raise ValueError(f"crop of {crop_px} px a side leaves nothing of {width}x{height}; use larger pictures")
    return samples[crop_px : height - crop_px, crop_px : width - crop_px]

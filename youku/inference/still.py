"""A picture through a network, rounded as when shipped; from file to file, or in memory to be measured (`evaluation`).

uint8 RGB (h, w, 3), or float luma (h, w) -> Picture; Y'CbCr in 8 bit never lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from youku.cli import UsageError
from youku.engines.network import Network
from youku.files import atomic_path
from youku.inference.jobs import Job
from youku.video import color, interpolate, pictures, y4m

if TYPE_CHECKING:
    from youku.inference.pipeline import Options
    from youku.models.colours import Tensors


@dataclass(frozen=True)
class Picture:
    """A picture to compare: luma (H, W) float in code values, 16-235 nominal, and RGB uint8 (H, W, 3) where there is one."""

    luma: np.ndarray
    rgb: np.ndarray | None = None


def read_picture(rgb: np.ndarray) -> Picture:
    """A uint8 RGB picture (H, W, 3) with its MATLAB luma, not rounded."""
    return Picture(color.luma_of_picture(rgb), rgb)


def enlarge(network: Network, low: np.ndarray, options: Options, name: str = "the picture") -> Picture:
    """A uint8 RGB picture (h, w, 3), or float luma (h, w) in code values, through a network, rounded as when shipped.

    A luma network gets MATLAB's Y, and Cb, Cr are bicubic; an RGB network's luma is that of its rounded output.
    ValueError with its `name` where the output is not finite.
    """
    from youku.inference import pipeline  # with torch

    try:
        output = pipeline.run_network(network, picture_input(network, low), options)
    except pipeline.NotFiniteError as error:
        raise ValueError(f"{name}: {error}") from None
    return Picture(*network.spec.colours.to_picture(output, low))


def picture_input(network: Network, low: np.ndarray) -> Tensors:
    """The picture as network input (1, T * C, h, w): a network of several frames sees it in each of them."""
    try:
        parts = network.spec.colours.from_picture(low)
    except ValueError as error:
        raise ValueError(f"model {network.spec.name}: {error}") from None
    return tuple(part.repeat(1, network.spec.num_frames, 1, 1).to(network.device) for part in parts)


def predict(network: Network, job: Job, options: Options, tell: Callable[[str], object]) -> int:
    """A picture file to another, RGB as `evaluate` does it; one of more than 8 bit is refused. Returns 1, the pictures made."""
    useless = {
        "--deinterlace": job.deinterlace,
        "--sharpen": options.sharpen,
        "--batch": options.batch > 1,
    }
    if flags := [flag for flag, is_given in useless.items() if is_given]:
        raise UsageError(f"{', '.join(flags)}: of no effect on pictures; leave it out")
    low = pictures.read_rgb(job.source)
    for lost in pictures.read_head(job.source).lost:
        tell(f"{job.source}: has {lost}")
    header = y4m.make_header(low.shape[1], low.shape[0], chroma="444")
    scaled = interpolate.scaled_header(header, network.scale)
    target = interpolate.target_header(header, job.size) if job.size else scaled
    tell(f"{job.source}: {header.width}x{header.height} -> {target.width}x{target.height}, {job.target}")
    high = enlarge(network, low, options, job.source)
    if target != scaled and high.rgb is not None:
        planes = interpolate.fit(tuple(np.moveaxis(high.rgb, -1, 0)), scaled, target)  # R, G and B
        high = Picture(high.luma, np.stack(planes, axis=-1))
    save(Path(job.target), high)
    return 1


def save(path: Path, pred: Picture) -> None:
    """Write a picture whole as png, RGB or luma as gray."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(pred.luma.astype(np.uint8) if pred.rgb is None else pred.rgb).save(temporary)

"""Measure what 8-bit RGB pictures cost a clip: planes -> RGB -> planes, PSNR in dB a plane, by two routes.

`ffmpeg` is the organiser's bmp route (bgr24), `float` is `color` with chroma read at its siting. All samples count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

from youku.metrics import psnr
from youku.text_table import plural
from youku.video import color, ffmpeg, y4m
from youku.video.y4m import Header, Planes


def measure(header: Header, frames: Iterable[Planes]) -> dict[str, Any]:
    """PSNR of Y, U, V and all samples of the clip together, for each route; None where a plane comes back exact.

    Raises ValueError for clips above 8 bit and for mono, whose pictures are another matter.
    """
    if header.depth != 8 or len(header.plane_shapes) != 3:
        raise ValueError(
            f"the report wants an 8-bit colour clip, got C{header.chroma}; convert it to 8-bit 4:2:0 first"
        )
    errors = {"ffmpeg": np.zeros(3), "float": np.zeros(3)}
    num_frames = 0
    for planes, back in _with_ffmpeg_rgb(frames, header):
        rgb = color.planes_to_rgb(planes, 8, header.layout)
        errors["ffmpeg"] += psnr.plane_errors(back, planes)
        errors["float"] += psnr.plane_errors(color.rgb_to_planes(rgb, header.layout), planes)
        num_frames += 1
    sizes = np.array([height * width for height, width in header.plane_shapes]) * num_frames
    routes = {route: _decibels(total, sizes) for route, total in errors.items()}
    return {"frames": num_frames, "ffmpeg_version": ffmpeg.version(), "psnr_db": routes}


def describe(cost: dict[str, Any]) -> str:
    """A `measure` of a named clip as a table."""
    lines = [f"{cost['clip']}: {plural(cost['frames'], 'frame')} through 8-bit RGB and back, PSNR in dB"]
    names = {"ffmpeg": f"ffmpeg bmp ({cost['ffmpeg_version'][:20]})", "float": "float, chroma at its siting"}
    lines.append(f"{'route':<36}{'Y':>8}{'U':>8}{'V':>8}{'all':>8}")
    for route, row in cost["psnr_db"].items():
        cells = ["exact" if value is None else f"{value:.2f}" for value in row.values()]
        lines.append(f"{names[route]:<36}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join([*lines, f"{'planes: y4m, yuv, --planes':<36}" + f"{'exact':>8}" * 4])


def _with_ffmpeg_rgb(frames: Iterable[Planes], header: Header) -> Iterator[tuple[Planes, Planes]]:
    """Pair each frame with what ffmpeg gives back after bgr24, the pixel format of its bmp files."""
    waiting: list[Planes] = []

    def feed(stdin: IO[bytes]) -> None:
        writer = y4m.Writer(stdin, header)
        for planes in frames:
            waiting.append(planes)
            writer.write(planes)

    options = {"format": "yuv4mpegpipe", "vf": f"format=bgr24,format={ffmpeg.pix_fmt(header.chroma)}"}
    line = ffmpeg.build("pipe:0", "pipe:1", {"format": "yuv4mpegpipe"}, {**options, **ffmpeg.passthrough()})
    with ffmpeg.piped_output(line, "RGB round trip", feed) as stdout:
        for back in y4m.StreamReader(stdout, "RGB round trip"):
            yield waiting.pop(0), back


def _decibels(squared: np.ndarray, sizes: np.ndarray) -> dict[str, float | None]:
    means = [*(squared / sizes), squared.sum() / sizes.sum()]
    values = [psnr.decibels(float(mean)) if mean else None for mean in means]
    return dict(zip(("y", "u", "v", "all"), values, strict=True))

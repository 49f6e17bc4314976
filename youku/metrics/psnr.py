"""PSNR of integer planes under each convention of the contest; the papers' protocols are in inference/evaluation.py.

Differences are taken in float64, so unsigned samples never wrap. "yuv" pools the squared error of all samples of a
frame, (4 MSE_Y + MSE_U + MSE_V) / 6 at 4:2:0; "y" is luma alone; "rgb" converts both frames to 8-bit RGB first.
An exact match has infinite PSNR; a mean of decibels that contains inf is inf, and is reported as such.

`picture_cost` measures what 8-bit RGB pictures cost a clip: planes -> RGB -> planes, PSNR in dB a plane, by two routes.
`ffmpeg` is the organiser's bmp route (bgr24), `float` is `color` with chroma read at its siting. All samples count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from youku import contest
from youku.text_table import plural
from youku.video import color, ffmpeg, y4m
from youku.video.y4m import Header, Planes

BAND_ROWS = 32
SAME_DB = 0.01  # machines round what they measure of the same frames by far less; two films are farther apart


def decibels(mse: float, peak: float = 255.0) -> float:
    """10 log10(peak^2 / MSE); inf for an MSE of 0."""
    return 10 * math.log10(peak * peak / mse) if mse > 0 else math.inf


def squared_error(pred: np.ndarray, high: np.ndarray) -> float:
    """Sum of squared differences of two arrays of one shape; exact for integer samples below 2^53."""
    if pred.shape != high.shape:
        raise ValueError(
            f"expected two pictures of one size, got {pred.shape} and {high.shape}; compare x4 outputs with GT"
        )
    total = 0.0
    for top in range(0, len(pred), BAND_ROWS):  # what lies between stays in the cache
        difference = np.subtract(pred[top : top + BAND_ROWS], high[top : top + BAND_ROWS], dtype=np.float64)
        total += float(np.vdot(difference, difference))
    return total


def plane_errors(pred: Planes, high: Planes) -> tuple[float, ...]:
    """Sum of squared errors of each plane of one frame."""
    return tuple(squared_error(a, b) for a, b in zip(pred, high, strict=True))


def yuv(pred: Planes, high: Planes, depth: int = 8) -> float:
    """dB of one MSE over all samples of a frame: planes weigh by their sample counts, so odd sizes are right."""
    return decibels(sum(plane_errors(pred, high)) / sum(plane.size for plane in high), (1 << depth) - 1)


def y(pred: Planes, high: Planes, depth: int = 8) -> float:
    """dB of the luma plane alone."""
    return decibels(squared_error(pred[0], high[0]) / high[0].size, (1 << depth) - 1)


def pictures(pred: np.ndarray, high: np.ndarray) -> float:
    """dB between two 8-bit pictures, peak 255."""
    return decibels(squared_error(pred, high) / high.size)


def frame(
    pred: Planes, high: Planes, header: Header, high_rgb: np.ndarray | None = None, with_rgb: bool = True
) -> dict[str, float]:
    """dB of one frame under each convention of contest.PSNR_PLANES; `high_rgb` where the truth was converted before."""
    errors, sizes, peak = plane_errors(pred, high), [plane.size for plane in high], (1 << header.depth) - 1
    found = {"yuv": decibels(sum(errors) / sum(sizes), peak), "y": decibels(errors[0] / sizes[0], peak)}
    if with_rgb:
        found["rgb"] = pictures(to_rgb(pred, header), to_rgb(high, header) if high_rgb is None else high_rgb)
    return found


def to_rgb(planes: Planes, header: Header) -> np.ndarray:
    """The 8-bit picture (H, W, 3) that the convention "rgb" compares."""
    return color.planes_to_rgb(planes, header.depth, header.layout, full_range=header.is_full_range)


def pool(clips: Sequence[Sequence[float]], how: str = "clip") -> float:
    """Mean of per-frame dB, a list a clip: "clip" = mean over frames, then clips; "frame" = over all frames alike."""
    if how not in contest.PSNR_POOLS:
        raise ValueError(f"psnr pool {how!r}: expected one of {', '.join(contest.PSNR_POOLS)}")
    if not clips or not all(clips):
        raise ValueError("psnr of no frames: expected at least one clip, each with at least one frame")
    if how == "frame":
        return mean([value for values in clips for value in values])
    return mean([mean(values) for values in clips])


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; inf when any value is."""
    return math.fsum(values) / len(values)


def picture_cost(header: Header, frames: Iterable[Planes]) -> dict[str, Any]:
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
        errors["ffmpeg"] += plane_errors(back, planes)
        errors["float"] += plane_errors(color.rgb_to_planes(rgb, header.layout), planes)
        num_frames += 1
    sizes = np.array([height * width for height, width in header.plane_shapes]) * num_frames
    routes = {route: _decibels(total, sizes) for route, total in errors.items()}
    return {"frames": num_frames, "ffmpeg_version": ffmpeg.version(), "psnr_db": routes}


def describe_cost(cost: dict[str, Any]) -> str:
    """A `picture_cost` of a named clip as a table."""
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
    values = [decibels(float(mean)) if mean else None for mean in means]
    return dict(zip(("y", "u", "v", "all"), values, strict=True))

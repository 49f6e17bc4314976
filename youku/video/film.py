"""Write RGB pictures as an mp4 for looking at: x264, 4:2:0, the audio of another file beside it.

Pictures (H, W, 3) uint8 of one even size -> a file that appears whole. Not for submissions: those are y4m planes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from youku import files
from youku.video import ffmpeg

COLOUR_SPACES = {"601": "smpte170m", "709": "bt709"}  # the matrix as x264's tag and as the scale filter names it


def write_mp4(
    path: str | Path,
    pictures: Iterable[np.ndarray],
    fps: Fraction,
    *,
    crf: int = 16,
    matrix: str = "601",
    audio_from: str | Path | None = None,
) -> int:
    """Encode the pictures in order; returns how many. ValueError for none; audio ends with the pictures."""
    frames = iter(pictures)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: nothing to write, the source gave 0 frames")
    height, width = first.shape[:2]
    assert height % 2 == 0 and width % 2 == 0, first.shape
    num_frames = 0
    with files.atomic_path(path) as temporary:
        line = _command(temporary, f"{width}x{height}", fps, crf, matrix, audio_from)
        with ffmpeg.piped_input(line, str(path)) as stdin:
            for picture in itertools.chain([first], frames):
                assert picture.shape == first.shape and picture.dtype == np.uint8
                stdin.write(np.ascontiguousarray(picture).data)
                num_frames += 1
    return num_frames


def _command(path: Path, size: str, fps: Fraction, crf: int, matrix: str, audio_from: str | Path | None) -> list[str]:
    space = COLOUR_SPACES[matrix]
    line = [ffmpeg.binary(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    line += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-framerate", str(fps), "-i", "pipe:0"]
    line += ["-i", str(Path(audio_from).absolute())] if audio_from is not None else []
    line += ["-map", "0:v:0"]
    if audio_from is not None:  # the question mark: none is no error. aac, since mp4 holds few of the others
        line += ["-map", "1:a:0?", "-c:a", "aac", "-b:a", "192k", "-shortest"]
    line += ["-c:v", "libx264", "-crf", str(crf), "-pix_fmt", "yuv420p", "-colorspace", space, "-color_range", "tv"]
    line += ["-vf", f"scale=out_color_matrix={space}:out_range=tv:flags=bicubic+accurate_rnd"]
    return [*line, "-movflags", "+faststart", "-f", "mp4", str(path.absolute())]

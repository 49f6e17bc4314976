"""Write RGB pictures as an mp4 for looking at: x264, 4:2:0, with the times and the audio of a video beside it.

Pictures (H, W, 3) uint8 of one even size -> a file that appears whole. Not for submissions: those are y4m planes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from youku import files
from youku.video import avframe, container, ffmpeg, y4m
from youku.video.avframe import Tags
from youku.video.encoding import Encoding
from youku.video.recording import Recording


def write_mp4(
    path: str | Path,
    pictures: Iterable[np.ndarray],
    fps: Fraction,
    *,
    crf: int = 16,
    matrix: str = "601",
    source: Recording | None = None,
) -> int:
    """Encode the pictures in order; returns how many. ValueError for none.

    They are shown when the first frames of `source` are, beside its audio as far as they go, or else at `fps`.
    """
    given = iter(pictures)
    first = next(given, None)
    if first is None:
        raise ValueError(f"{path}: nothing to write, the source gave 0 frames")
    header = y4m.make_header(first.shape[1], first.shape[0], fps)
    tags = Tags(range=avframe.STUDIO, matrix=avframe.MATRICES[matrix])
    with files.atomic_path(path) as whole:
        with container.create(whole, header, Encoding(crf=crf), source, tags=tags) as writer:
            for picture in itertools.chain([first], given):
                assert picture.shape == first.shape and picture.dtype == np.uint8
                writer.write(avframe.rgb_to_planes(picture, header, matrix))
        if source is not None:  # aac, since mp4 holds few of the others; the question mark: none is no error
            line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-i", str(whole)]
            line += ["-i", str(Path(source.path).absolute()), "-map", "0:v", "-map", "1:a:0?"]
            # -shortest would cut pictures where audio ends first
            line += ["-c:v", "copy", "-c:a", "aac", "-b:a", "192k", "-t", f"{float(writer.end * source.tick):.6f}"]
            line += ["-video_track_timescale", str(source.tick.denominator), "-movflags", "+faststart"]
            with files.atomic_path(whole) as sounding:
                ffmpeg.run([*line, str(sounding)], str(path))
    return writer.num_frames

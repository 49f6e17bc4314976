"""Open a clip, a pipe or any video for all of its frames or a choice of them, streamed.

Name and wanted frame numbers -> header, frames in order, how many they are (None where only the end will tell).
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from youku.video import ffmpeg, y4m
from youku.video.y4m import Header, Planes

Item = TypeVar("Item")


@contextmanager
def open_clip(
    source: str, wanted: range | None, whole: bool = False, upright: bool = True
) -> Iterator[tuple[Header, Iterable[Planes], int | None]]:
    """(header, chosen frames, their number if known) of a y4m file, a pipe or any video.

    `whole` gives every frame, the wanted ones among their true neighbours: what a multi-frame network needs.
    `upright` as for `ffmpeg.decode`.
    """
    total, chosen = None if wanted is None else len(wanted), None if whole else wanted
    if source == "-":
        stream = y4m.StreamReader(sys.stdin.buffer, "stdin")
        yield stream.header, _choose(stream, chosen, "stdin"), total
    elif is_y4m(source):
        clip = y4m.Clip(source)
        indices = wanted if wanted is not None else range(clip.num_frames)
        if indices and indices[-1] >= clip.num_frames:
            raise ValueError(f"{source}: has {clip.num_frames} frames, frame {indices[-1]} was asked for")
        yield clip.header, clip if whole else (clip.frame(index) for index in indices), len(indices)
    else:
        with ffmpeg.decode(source, upright=upright) as reader:
            yield reader.header, _choose(reader, chosen, source), total


def _choose(reader: Iterable[Planes], wanted: range | None, name: str) -> Iterator[Planes]:
    """The wanted frames of a stream that cannot seek."""
    num_found = 0
    for index, planes in enumerate(reader):
        if wanted is None or index in wanted:
            num_found += 1
            yield planes
        if wanted is not None and index == wanted[-1]:
            return
    if wanted is not None and num_found < len(wanted):
        raise too_short(name, wanted)


def too_short(name: str, wanted: range | None) -> ValueError:
    """The error for a stream that ended before the last wanted frame."""
    last = wanted[-1] if wanted else 0
    return ValueError(f"{'stdin' if name == '-' else name}: ended before frame {last}, which was asked for")


def is_y4m(path: str | Path) -> bool:
    """True for a file that begins or is named like a y4m clip."""
    with open(path, "rb") as file:
        return file.read(len(y4m.MAGIC)) == y4m.MAGIC or Path(path).suffix == ".y4m"


def within(
    frames: Iterable[Item], fps: Fraction, start_sec: float | None, duration_sec: float | None
) -> Iterator[Item]:
    """The frames of a constant rate whose time is at the start or after it, and before its end."""
    start, length = (Fraction(sec or 0).limit_denominator(10**6) for sec in (start_sec, duration_sec))
    last = None if duration_sec is None else math.ceil((start + length) * fps)
    return itertools.islice(frames, math.ceil(start * fps), last)


def some(frames: Iterable[Item], name: str, start_sec: float | None) -> Iterator[Item]:
    """The same frames; where a start was asked for that has none, ValueError saying so."""
    num_frames = 0
    try:
        for frame in frames:
            num_frames += 1
            yield frame
    except y4m.Y4MError:
        if num_frames or not start_sec:
            raise
    if num_frames == 0 and start_sec:
        raise ValueError(f"{name}: has no frame at --start {start_sec:g} s; it is shorter than that")

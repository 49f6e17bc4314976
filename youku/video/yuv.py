"""Raw planes without a header: a .yuv file is its frames, one plane after the other, and nothing else.

Path, size, rate and chroma -> header and frames; frames -> a file that appears whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from youku.files import atomic_write
from youku.video import y4m
from youku.video.y4m import Header, Planes


def read(path: Path, size: str | None, fps: Fraction, chroma: str) -> tuple[Header, Iterator[Planes]]:
    """Header and frames; `size` is WIDTHxHEIGHT and must divide the file into whole frames, else ValueError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size or "")
    if not match:
        raise ValueError(f"{path}: raw planes have no header; give --size WIDTHxHEIGHT, got {size}")
    header = y4m.make_header(int(match[1]), int(match[2]), fps, chroma)
    total_bytes = path.stat().st_size
    if not total_bytes or total_bytes % header.frame_bytes:
        raise ValueError(
            f"{path}: {total_bytes} bytes are not a whole number of {size} C{header.chroma} frames "
            f"({header.frame_bytes} bytes each); check --size and --chroma"
        )
    return header, _frames(path, header)


def _frames(path: Path, header: Header) -> Iterator[Planes]:
    with path.open("rb") as file:
        while data := file.read(header.frame_bytes):
            yield y4m.split_planes(data, header)


def write(path: Path, frames: Iterable[Planes]) -> int:
    """Write every plane of every frame; returns the number of frames."""
    num_frames = 0
    with atomic_write(path) as file:
        for planes in frames:
            for plane in planes:
                file.write(np.ascontiguousarray(plane).data)
            num_frames += 1
    return num_frames

"""Find and open what clips are made from: videos, y4m clips, pictures, folders and numbered patterns of them.

Names -> Sources in order -> header and frames as 8-bit 4:2:0, streamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from youku.video import ffmpeg, pictures, y4m
from youku.video.y4m import Header, Planes

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("y4m", "mp4", "m4v", "mkv", "webm", "avi", "mov", "mpg", "mpeg", "vob", "ts", "mxf", "wmv", "flv"),
        *("264", "h264", "265", "h265", "hevc", "rm", "rmvb"),
    )
)


@dataclass(frozen=True)
class Source:
    """One video, or the pictures that make one clip."""

    name: str
    paths: tuple[Path, ...]


def find_sources(names: Sequence[str | Path], sequence: bool = False) -> list[Source]:
    """Videos and pictures named, or lying in the folders named, in order; ValueError for what is neither."""
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if path.is_dir() or pictures.is_pattern(path):
            found += _in_folder(path, sequence)
        elif not path.is_file():
            raise ValueError(f"{path}: no such file or folder")
        else:
            found.append(Source(str(path), (path,)))
    return found


def _in_folder(folder: Path, sequence: bool) -> list[Source]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    videos = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")]
    if videos:
        return [Source(str(path), (path,)) for path in videos]
    found = pictures.find(folder)
    return [Source(str(folder), tuple(found))] if sequence else [Source(str(path), (path,)) for path in found]


@contextmanager
def open_source(source: Source) -> Iterator[tuple[Header, Iterator[Planes]]]:
    """Header and frames as 8-bit 4:2:0: y4m of that kind as it is, pictures in float, all else converted by ffmpeg."""
    first = source.paths[0]
    if first.suffix.lower() in pictures.SUFFIXES:
        width, height = pictures.common_size(list(source.paths))
        header = y4m.make_header(width, height)
        yield header, pictures.to_planes(list(source.paths), header)
        return
    if first.suffix.lower() == ".y4m":
        clip = y4m.Clip(first)
        if clip.header.depth == 8 and clip.header.layout[:2] == (2, 2):
            yield clip.header, iter(clip)
            return
    with ffmpeg.decode(first, "yuv420p") as reader:
        yield reader.header, iter(reader)

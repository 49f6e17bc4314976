"""What a name says, whether or not there is such a file: y4m, a video, raw planes, a picture or a set of them.

A picture set is a folder (sorted by name, numbers by value) or a pattern such as frame%3d.bmp (numbers without a gap).
Nothing is opened here but the first line of a clip (`kind_of_source`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from youku import files
from youku.video.y4m_header import MAGIC

_VIDEOS = "y4m mp4 m4v mkv webm avi mov mpg mpeg vob ts mxf wmv flv 264 h264 265 h265 hevc rm rmvb"
VIDEO_SUFFIXES = tuple(f".{name}" for name in _VIDEOS.split())
# of a video to write, and what codes it there
WRITABLE_VIDEOS = (".mp4", ".mkv", ".mov", ".webm")
CODECS = ("x264", "x265", "vp9", "ffv1")
PICTURE_SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
OTHER_SUFFIXES = (".yuv", ".h5", ".hdf5", ".zip", ".json", ".csv", ".html", ".pdf", ".txt")
WRITABLE_PICTURES = ("bmp", "png")
FFMPEGS_CHROMA = {b"C411", b"C444alpha"}  # of y4m
PLANE_INDEX = "planes.json"  # header and FRAME parameters of a folder of gray planes
NUMBER = re.compile(r"%0*([0-9]{0,2})d")  # of more digits than a name can have it is none


class ClipKind(StrEnum):
    """What a name stands for."""

    STREAM = "stream"  # "-": y4m on stdin or stdout
    Y4M = "y4m"
    YUV = "yuv"  # planes without a header
    PICTURES = "pictures"  # a folder, or a pattern such as frame%3d.png
    HDF5 = "hdf5"
    VIDEO = "video"  # anything else: ffmpeg shall tell


_BY_SUFFIX = {".y4m": ClipKind.Y4M, ".yuv": ClipKind.YUV, ".h5": ClipKind.HDF5, ".hdf5": ClipKind.HDF5}


def kind_of(name: str | Path) -> ClipKind:
    """What a name says, whether or not there is such a file."""
    path = Path(name)
    if str(name) == "-":
        return ClipKind.STREAM
    if is_pattern(path) or path.is_dir() or str(name).endswith("/"):
        return ClipKind.PICTURES
    return _BY_SUFFIX.get(path.suffix.lower(), ClipKind.VIDEO if path.suffix or path.is_file() else ClipKind.PICTURES)


def kind_of_source(name: str | Path) -> ClipKind:
    """`kind_of`, and y4m or not by the first bytes, whatever the name; 4:1:1 and alpha, which `y4m` has not, are FFmpeg's."""
    kind = kind_of(name)
    if kind not in (ClipKind.VIDEO, ClipKind.Y4M) or not Path(name).is_file():
        return kind
    with open(name, "rb") as file:
        head = file.readline(1 << 12).split()
    if head[:1] == [MAGIC]:
        return ClipKind.VIDEO if FFMPEGS_CHROMA.intersection(head) else ClipKind.Y4M
    return ClipKind.VIDEO if head and not head[0].startswith(b"YUV") else kind


def check_folder(name: str | Path) -> None:
    """ValueError for an output that becomes a folder and is named like a file; of what is there its name says nothing."""
    suffix, is_meant = Path(name).suffix.lower(), Path(name).exists() or str(name).endswith("/")
    if suffix in (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES, *OTHER_SUFFIXES) and not is_meant:
        raise ValueError(f"{name}: is named like a file, and a folder is made; leave {suffix} out, or end it in /")


def is_video(path: str | Path) -> bool:
    """True for a name that ends like a container that can be written here."""
    return Path(path).suffix.lower() in WRITABLE_VIDEOS


def is_pattern(path: str | Path) -> bool:
    """True for a picture's name with a number in it: frame%3d.bmp; a file that exists is that file, whatever its name."""
    path = Path(path)
    return path.suffix.lower() in PICTURE_SUFFIXES and bool(NUMBER.search(path.name)) and not path.is_file()


def find_pictures(source: str | Path) -> list[Path]:
    """The pictures of a folder or pattern in order; ValueError when there are none or a number is missing."""
    source = Path(source)
    if is_pattern(source):
        return _find_numbered(source)
    if not source.is_dir():
        raise ValueError(f"{source}: expected a folder of pictures, found {'a file' if source.exists() else 'nothing'}")
    named = (
        path for path in source.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )
    found = [path for path in named if not path.is_fifo()]  # without a writer it would never open
    if not found:
        raise ValueError(f"{source}: no pictures in it; expected files ending in {', '.join(PICTURE_SUFFIXES)}")
    return sorted(
        found, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]
    )


def _find_numbered(pattern: Path) -> list[Path]:
    found = numbered(pattern)
    if not found:
        raise ValueError(f"{pattern}: no such pictures; expected names like {name_of(pattern, 1)}")
    first, last = min(found), max(found)
    missing = [number for number in range(first, last + 1) if number not in found]
    if missing:
        raise ValueError(f"{pattern}: {name_of(pattern, missing[0])} is missing; numbers must run without a gap")
    return [found[number] for number in range(first, last + 1)]


def numbered(pattern: Path) -> dict[int, Path]:
    """The pictures that bear a pattern's name, by their numbers."""
    before, _, after = NUMBER.split(pattern.name, maxsplit=1)
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    if not pattern.parent.is_dir():
        return {}
    matches = ((name.fullmatch(path.name), path) for path in pattern.parent.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def name_of(pattern: Path, number: int) -> str:
    """A pattern's name with that number in it."""
    return NUMBER.sub(lambda match: f"{number:0{int(match[1] or 0)}d}", pattern.name, count=1)


def check_picture(pattern: Path, is_numbered: bool = True) -> None:
    """ValueError for the name of a picture, or a pattern of numbered ones, that cannot be written."""
    if pattern.suffix.lower().removeprefix(".") not in WRITABLE_PICTURES:
        raise ValueError(f"{pattern}: expected pictures ending in .{' or .'.join(WRITABLE_PICTURES)}")
    if is_numbered and (len(NUMBER.findall(pattern.name)) != 1 or pattern.name.count("%") != 1):
        raise ValueError(
            f"{pattern}: expected one frame number in the name, such as {pattern.stem.partition('%')[0]}%06d.png"
        )
    files.refuse_target(pattern.with_name(name_of(pattern, 1)) if is_numbered else pattern)

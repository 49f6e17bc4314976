"""Which names are pictures': of one, of a folder of them, or a pattern of numbered ones; no picture is opened here.

A picture set is a folder (sorted by name, numbers by value) or a pattern such as frame%3d.bmp (numbers without a gap).
"""

from __future__ import annotations

import re
from pathlib import Path

from youku import files

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
WRITABLE = ("bmp", "png")
PLANE_INDEX = "planes.json"  # header and FRAME parameters of a folder of gray planes
NUMBER = re.compile(r"%0*([0-9]{0,2})d")  # of more digits than a name can have it is none


def is_pattern(path: str | Path) -> bool:
    """True for a picture's name with a number in it: frame%3d.bmp; a file that exists is that file, whatever its name."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES and bool(NUMBER.search(path.name)) and not path.is_file()


def find(source: str | Path) -> list[Path]:
    """The pictures of a folder or pattern in order; ValueError when there are none or a number is missing."""
    source = Path(source)
    if is_pattern(source):
        return _find_numbered(source)
    if not source.is_dir():
        raise ValueError(f"{source}: expected a folder of pictures, found {'a file' if source.exists() else 'nothing'}")
    named = (path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    found = [path for path in named if not path.is_fifo()]  # without a writer it would never open
    if not found:
        raise ValueError(f"{source}: no pictures in it; expected files ending in {', '.join(SUFFIXES)}")
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


def check(pattern: Path, is_numbered: bool = True) -> None:
    """ValueError for the name of a picture, or a pattern of numbered ones, that cannot be written."""
    if pattern.suffix.lower().removeprefix(".") not in WRITABLE:
        raise ValueError(f"{pattern}: expected pictures ending in .{' or .'.join(WRITABLE)}")
    if is_numbered and (len(NUMBER.findall(pattern.name)) != 1 or pattern.name.count("%") != 1):
        raise ValueError(
            f"{pattern}: expected one frame number in the name, such as {pattern.stem.partition('%')[0]}%06d.png"
        )
    files.refuse_target(pattern.with_name(name_of(pattern, 1)) if is_numbered else pattern)

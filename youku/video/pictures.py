"""Read pictures as frames: bmp, png and others through RGB, or each plane from a gray png without any loss.

A picture set is a folder (sorted by name, numbers by value) or a pattern such as frame%3d.bmp (numbers without a gap).
RGB pictures become planes by ffmpeg (the organiser's route, byte for byte) or by `color` in float, chroma at its siting.
`picture_writer` is the way back.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from youku import files
from youku.text_table import plural
from youku.video import color, ffmpeg, y4m
from youku.video.picture_file import Head, open_picture, read_head
from youku.video.picture_file import read_rgb as read_rgb
from youku.video.picture_file import read_size as read_size
from youku.video.y4m import CHROMA, Header, Planes

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
_log = logging.getLogger(__name__)
PLANE_INDEX = "planes.json"  # header and FRAME parameters of a folder of gray planes
_BY_RGB: tuple[ffmpeg.Filter, ...] = (("format", "rgb24"),)
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


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """(width, height) shared by all pictures; ValueError naming the first that differs."""
    return _common_size(paths, [read_head(path) for path in paths])


def _common_size(paths: Sequence[Path], heads: Sequence[Head]) -> tuple[int, int]:
    """Their size; one line tells what of them is lost, by the first that has it."""
    lost = {words: path for path, head in zip(reversed(paths), reversed(heads), strict=True) for words in head.lost}
    if lost:
        _log.warning("%s", "; ".join(f"{path}: has {words}" for words, path in lost.items()))
    first = heads[0]
    for path, head in zip(paths, heads, strict=True):
        if (head.width, head.height) != (first.width, first.height):
            sizes = f"{head.width}x{head.height}, the first is {first.width}x{first.height}"
            raise ValueError(f"{path}: {sizes}; sizes must agree")
    return first.width, first.height


@contextmanager
def open_rgb(
    path: Path, fps: Fraction, chroma: str | None, by_float: bool
) -> Iterator[tuple[Header, Iterable[Planes]]]:
    """A picture set as the planes of a clip: by ffmpeg, or in float with chroma at its siting (8 bit)."""
    found = find(path)
    if by_float:
        width, height = common_size(found)
        header = y4m.make_header(width, height, fps, chroma or "420mpeg2")
        if header.depth != 8:
            raise ValueError(f"--chroma {header.chroma}: 8-bit pictures give 8-bit planes; use --route ffmpeg for more")
        yield header, to_planes(found, header)
        return
    layout = unsited(chroma or "420")
    heads = [read_head(path) for path in found]
    _common_size(found, heads)
    if any(head.is_deep for head in heads) and CHROMA[layout][1] == 8:
        _log.warning("%s: has 16-bit pictures, which become 8 bit; --chroma 444p16 keeps what they hold", path)
    kinds = {(head.suffix, head.colours) for head in heads}
    # ffmpeg turns and scales all as the first asks for, leaves 1 bit at 0 and 255, and white off by a code if depths differ
    others = [head.colours == "1-bit" or head.is_deep != (CHROMA[layout][1] > 8) for head in heads]
    turned = (head.turn > 1 for head in heads)
    grays = (is_other and head.colours in ("1-bit", "gray") for head, is_other in zip(heads, others, strict=True))
    if len(kinds) > 1 or any(turned) or any(grays):
        is_full = all(suffix == ".jpg" for suffix, _ in kinds)
        alike = ("scale", f"out_range={'full' if is_full else 'limited'}"), ("format", ffmpeg.pix_fmt(layout))
        one_by_one = _one_by_one(found, layout, [_BY_RGB * is_other + alike for is_other in others])
        header, first = next(one_by_one)
        yield header.at_rate(fps), chain([first], (planes for _, planes in one_by_one))
        return
    with open_by_ffmpeg(found, str(fps), layout, heads[0].suffix) as (header, frames):
        yield header, frames


def _one_by_one(
    paths: Sequence[Path], layout: str, filters: Sequence[tuple[ffmpeg.Filter, ...]]
) -> Iterator[tuple[Header, Planes]]:
    """Each picture as a video of one frame, turned as its own tag says."""
    from youku.video.recording import open_recording  # PyAV

    for path, own in zip(paths, filters, strict=True):
        with open_recording(path, chroma=layout, filters=own, whole=True) as recording:
            yield from ((recording.header, planes) for planes in recording)


def unsited(chroma: str) -> str:
    """A chroma name for ffmpeg, which decides the siting by itself; ValueError for one that names it."""
    if re.fullmatch(r"420(jpeg|mpeg2|paldv)", chroma):
        raise ValueError(
            f"--chroma {chroma}: ffmpeg decides the siting here; use --chroma 420, or --route float for pictures"
        )
    return chroma


@contextmanager
def open_by_ffmpeg(paths: list[Path], fps: str, chroma: str, suffix: str) -> Iterator[tuple[Header, Iterable[Planes]]]:
    """Pictures of one size and kind coloured by ffmpeg: -i %3d.bmp -pix_fmt yuv420p; damage in one of them is an error."""
    with files.temporary_folder(Path(tempfile.gettempdir()) / "youku-pictures") as folder:
        for number, path in enumerate(paths):
            (folder / f"{number:08d}{suffix}").symlink_to(path.absolute())
        source = {"format": "image2", "framerate": fps, "start_number": "0", "err_detect": "crccheck+explode"}
        target = {"format": "yuv4mpegpipe", "pix_fmt": ffmpeg.pix_fmt(chroma), "strict": "-1", **ffmpeg.passthrough()}
        line = ffmpeg.build(f"{folder}/%08d{suffix}", "pipe:1", source, target)
        with ffmpeg.piped_output(line, str(paths[0].parent)) as stdout:
            reader = y4m.StreamReader(stdout, str(paths[0].parent))
            yield reader.header, _counted(reader, paths)


def _counted(frames: Iterable[Planes], paths: Sequence[Path]) -> Iterator[Planes]:
    num_frames = 0
    for planes in frames:
        num_frames += 1
        yield planes
    if num_frames < len(paths):
        raise ValueError(
            f"{paths[0].parent}: {num_frames} of {plural(len(paths), 'picture')} decode; make the damaged ones again"
        )


def to_planes(paths: Sequence[Path], header: Header) -> Iterator[Planes]:
    """Pictures as 8-bit planes through float, chroma at the header's own siting."""
    for path in paths:
        yield color.rgb_to_planes(read_rgb(path), header.layout)  # (H, W, 3) RGB -> planes in code values


def read_planes(folder: Path) -> tuple[Header, Iterator[Planes], list[str]]:
    """What `write_planes` wrote: the header, the planes and the FRAME parameters of each frame."""
    index = files.read_json(folder / PLANE_INDEX)
    files.require(index, {"header": [str], "frame_params": [str]}, str(folder / PLANE_INDEX))
    line = " ".join([y4m.MAGIC.decode(), *index["header"]]).encode("latin-1", "replace") + b"\n"
    header = y4m.parse_header(line, str(folder / PLANE_INDEX))
    return header, _plane_frames(folder, header, len(index["frame_params"])), index["frame_params"]


def _plane_frames(folder: Path, header: Header, num_frames: int) -> Iterator[Planes]:
    for number in range(1, num_frames + 1):
        planes = []
        for name, shape in zip("yuv", header.plane_shapes, strict=False):
            path = folder / f"frame{number:06d}_{name}.png"
            with open_picture(path) as picture:
                plane = np.asarray(picture)
            if plane.shape != shape or (plane.dtype == np.uint8) != (header.depth == 8):
                raise ValueError(f"{path}: expected {shape} of {header.depth} bit, got {plane.shape} of {plane.dtype}")
            planes.append(plane.astype(header.dtype))
        yield header.require_depth(tuple(planes), str(folder), number - 1)

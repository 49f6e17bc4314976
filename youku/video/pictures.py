"""Frames as numbered pictures: bmp and png through RGB, or each plane as a gray png without any loss.

A picture set is a folder (sorted by name, numbers by value) or a pattern such as frame%3d.bmp (numbers without a gap).
RGB pictures are made by ffmpeg (the organiser's route, byte for byte) or by `color` in float, chroma at its siting. They
appear under their names only when all of them are written.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from youku import files
from youku.text_table import plural
from youku.video import color, ffmpeg, resize, y4m
from youku.video.picture_file import Head, open_picture, read_head
from youku.video.picture_file import read_rgb as read_rgb
from youku.video.picture_file import read_size as read_size
from youku.video.y4m import CHROMA, Header, Planes

SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
WRITABLE = ("bmp", "png")
_log = logging.getLogger(__name__)
PLANE_INDEX = "planes.json"  # header and FRAME parameters of a folder of gray planes
_NUMBER = re.compile(r"%0?(\d*)d")


def is_pattern(path: str | Path) -> bool:
    """True for a picture's name with a number in it: frame%3d.bmp; a file that exists is that file, whatever its name."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES and bool(_NUMBER.search(path.name)) and not path.is_file()


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
    numbered = _numbered(pattern)
    if not numbered:
        raise ValueError(f"{pattern}: no such pictures; expected names like {_name(pattern, 1)}")
    first, last = min(numbered), max(numbered)
    missing = [number for number in range(first, last + 1) if number not in numbered]
    if missing:
        raise ValueError(f"{pattern}: {_name(pattern, missing[0])} is missing; numbers must run without a gap")
    return [numbered[number] for number in range(first, last + 1)]


def _numbered(pattern: Path) -> dict[int, Path]:
    before, _, after = _NUMBER.split(pattern.name, maxsplit=1)
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    if not pattern.parent.is_dir():
        return {}
    matches = ((name.fullmatch(path.name), path) for path in pattern.parent.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _name(pattern: Path, number: int) -> str:
    return _NUMBER.sub(lambda match: f"{number:0{int(match[1] or 0)}d}", pattern.name, count=1)


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
    kinds = {(head.suffix, head.is_gray) for head in heads}
    if len(kinds) > 1 or any(head.turn > 1 for head in heads):  # ffmpeg would turn and scale all as the first asks for
        from youku.video.recording import open_recording  # PyAV

        is_full = all(suffix == ".jpg" for suffix, _ in kinds)
        alike = ("scale", f"out_range={'full' if is_full else 'limited'}"), ("format", ffmpeg.pix_fmt(layout))
        opened = partial(open_recording, chroma=layout, filters=alike, whole=True)
        with opened(found[0]) as first:
            yield first.header.at_rate(fps), chain.from_iterable(_one_by_one(found, opened))
        return
    with open_by_ffmpeg(found, str(fps), layout, heads[0].suffix) as (header, frames):
        yield header, frames


def _one_by_one(paths: Sequence[Path], opened: Callable[[Path], Any]) -> Iterator[Iterable[Planes]]:
    """Each picture as a video of one frame, turned as its own tag says."""
    for path in paths:
        with opened(path) as recording:
            yield recording


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


def write_by_ffmpeg(pattern: Path, header: Header, frames: Iterable[Planes], force: bool, matrix: str = "601") -> int:
    """Numbered pictures from 1 on, colours by ffmpeg as in `ffmpeg -i x.y4m -vsync 0 x%3d.bmp`; returns how many."""
    names = {"709": "bt709", "2020": "bt2020nc"}  # 601 is what ffmpeg takes a y4m for
    if len(header.plane_shapes) == 1 and not header.is_full_range:  # ffmpeg takes any gray for full range
        frames = ((_full_range(luma, header.depth),) for (luma,) in frames)
    source = {"format": "yuv4mpegpipe"} | ({"colorspace": names[matrix]} if matrix in names else {})
    with _whole_set(pattern, force) as folder:
        escaped = str(folder).replace("%", "%%")
        options = {"format": "image2", **ffmpeg.passthrough()}
        line = ffmpeg.build("pipe:0", f"{escaped}/{pattern.name}", source, options)
        with ffmpeg.piped_input(line, str(pattern)) as stdin:
            writer = y4m.Writer(stdin, _plain(header))
            for planes in frames:
                writer.write(planes)
        made = len(list(folder.iterdir()))
        if made != writer.num_frames:
            raise ffmpeg.FFmpegError(
                f"{pattern}: {plural(writer.num_frames, 'frame')} went in, {plural(made, 'picture')} came out"
            )
    return made


def _full_range(luma: np.ndarray, depth: int) -> np.ndarray:
    """Luma (H, W) of 16-235, or that at a greater depth, as codes from 0 to the highest."""
    black, white = 16 << (depth - 8), 235 << (depth - 8)
    return resize.to_integers((luma.astype(np.float32) - black) * (((1 << depth) - 1) / (white - black)), depth)


def _plain(header: Header) -> Header:
    """The tokens that decide how pictures look, which ffmpeg always reads: not mixed fields, nor a line beyond its 128 bytes."""
    tokens = [token for token in header.tokens if token[:1] in "WHFAC" or token.startswith(("XYSCSS=", "XCOLORRANGE="))]
    return Header(header.width, header.height, tuple(tokens))


def write_by_float(pattern: Path, header: Header, frames: Iterable[Planes], force: bool, matrix: str = "601") -> int:
    """Numbered pictures from 1 on, colours by `color.planes_to_rgb` with chroma read at its siting."""
    from PIL import Image

    number = 0
    with _whole_set(pattern, force) as folder:
        for number, planes in enumerate(frames, 1):
            rgb = color.planes_to_rgb(planes, header.depth, header.layout, matrix, header.is_full_range)
            Image.fromarray(rgb).save(folder / _name(pattern, number))
    return number


def write_planes(target: Path, header: Header, frames: Iterable[tuple[Planes, str]], force: bool) -> int:
    """Each plane of each frame as a gray png (16 bit above 8), with the header beside them: nothing is lost."""
    from PIL import Image

    pattern, params = target / "frame%06d.png", []
    with _whole_set(pattern, force) as folder:
        for number, (planes, param) in enumerate(frames, 1):
            for name, plane in zip("yuv", planes, strict=False):
                Image.fromarray(np.ascontiguousarray(plane)).save(folder / f"frame{number:06d}_{name}.png")
            params.append(param)
        files.write_json(folder / PLANE_INDEX, {"header": list(header.tokens), "frame_params": params})
    return len(params)


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
        yield tuple(planes)


@contextmanager
def _whole_set(pattern: Path, force: bool) -> Iterator[Path]:
    """A hidden folder to write into, beside the targets; its files move to their places when the block ends well.

    A hidden mark lies there meanwhile: what a run that was killed then left is a part of a set, and is replaced.
    """
    if pattern.suffix.lower().removeprefix(".") not in WRITABLE:
        raise ValueError(f"{pattern}: expected pictures ending in .{' or .'.join(WRITABLE)}")
    if len(_NUMBER.findall(pattern.name)) != 1 or pattern.name.count("%") != 1:
        raise ValueError(f"{pattern}: expected one frame number such as %3d in the name")
    old, moving = _old_pictures(pattern), pattern.with_name(f".{pattern.name[:60]}.moving")
    if old and not force and not moving.exists():
        raise ValueError(f"{pattern.parent}: already holds {old[0].name}; name another folder, or replace with --force")
    is_new = not pattern.parent.exists()
    for path in old:
        files.refuse_input(path)
    try:
        with files.temporary_folder(pattern) as folder:
            yield folder
            made = sorted(folder.iterdir())
            if not made:
                raise ValueError(f"{pattern}: nothing to write, the source gave 0 frames")
            for path in made:
                files.refuse_input(pattern.parent / path.name)
            moving.touch()
            for path in old:
                path.unlink()
            for path in made:
                path.replace(pattern.parent / path.name)
            moving.unlink()
    finally:
        if is_new and pattern.parent.exists() and not any(pattern.parent.iterdir()):
            pattern.parent.rmdir()


def _old_pictures(pattern: Path) -> list[Path]:
    planes = sorted(pattern.parent.glob("frame*_[yuv].png")) if (pattern.parent / PLANE_INDEX).exists() else []
    return [*_numbered(pattern).values(), *planes]

"""Read pictures, one as RGB or a set (`file_names`) as frames, and damage in one sentence, however it is called.

A bmp, png, jpeg, tiff or webp -> uint8 RGB (H, W, 3), upright. A PNG's checksums hold, and no picture costs more memory
than a file of its size can fill. Of an animation or a file of several pictures the first is read. RGB pictures become
planes by ffmpeg (the organiser's route, byte for byte) or by `color` in float, chroma at its siting; gray ones are planes
without any loss. `picture_writer` is the way back.
"""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from youku import files
from youku.text_table import plural
from youku.video import color, damage, ffmpeg, y4m
from youku.video.file_names import PLANE_INDEX, find_pictures
from youku.video.y4m import CHROMA, Header, Planes

_log = logging.getLogger(__name__)
_BY_RGB: tuple[ffmpeg.Filter, ...] = (("format", "rgb24"),)
# as Pillow calls them -> what ffmpeg knows them by; MPO is a JPEG with more pictures behind it, as phones write
_KINDS = {"BMP": ".bmp", "PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
_COLOURS = {"1": "1-bit", "CMYK": "CMYK", **dict.fromkeys(("L", "LA", "I", "I;16", "F"), "gray")}
_FORMATS = [name for name in _KINDS if name != "MPO"]  # which Pillow finds out after it has opened a JPEG


@dataclass(frozen=True)
class Head:
    """What a picture says of itself before it is decoded; width and height as it stands upright."""

    width: int
    height: int
    turn: int
    is_deep: bool
    suffix: str
    """That of its contents, whatever the file is called."""
    colours: str
    """RGB, CMYK, gray or 1-bit: ffmpeg has a range of its own for each."""
    lost: tuple[str, ...] = ()
    """What 8-bit RGB, or Y'CbCr made of it, will not have of it."""
    is_odd: bool = False
    """An animated WebP, or LAB: none for FFmpeg."""


def read_rgb(path: str | Path) -> np.ndarray:
    """A picture as uint8 RGB (H, W, 3), upright; gray is repeated, transparency dropped, more than 8 bit refused."""
    from PIL import ImageOps

    head = read_head(path)
    if head.is_deep:
        raise ValueError(f"{path}: expected an 8-bit picture, got more bits; convert it to 8 bit first")
    with open_picture(path) as picture:
        upright = ImageOps.exif_transpose(picture) if head.turn > 1 else picture
        return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))  # torch wants one to write to


def read_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of a picture as it stands upright, from its head alone."""
    head = read_head(path)
    return head.height, head.width


def read_head(path: str | Path) -> Head:
    with open_picture(path) as picture:
        if picture.format == "PNG":
            picture.verify()  # every chunk's CRC, which decoding skips
        turn = _turn(picture)
        # that of a TIFF may be turned already, by the version of Pillow
        stored = (picture.tag_v2[256], picture.tag_v2[257]) if picture.format == "TIFF" else picture.size
        sides = stored[::-1] if turn >= 5 else stored
        kind, is_deep, lost = _KINDS[picture.format], _is_deep(picture), _lost(picture)
        is_odd = picture.mode == "LAB" or (kind == ".webp" and getattr(picture, "is_animated", False))
        return Head(sides[0], sides[1], turn, is_deep, kind, _COLOURS.get(picture.mode[:4], "RGB"), lost, is_odd)


def _lost(picture: Any) -> tuple[str, ...]:
    # behind a phone's MPO are a preview and a depth map
    num_frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    parts = {
        f"{num_frames} pictures, of which the first is taken": num_frames > 1,
        "transparency, which is dropped": picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info,
        f"{picture.mode} colours, which become RGB": picture.mode in ("CMYK", "LAB", "HSV"),
    }
    return tuple(words for words, is_so in parts.items() if is_so)


def _turn(picture: Any) -> int:
    """EXIF's orientation, 1 to 8; from 5 on width and height change places."""
    has_none = picture.format in ("PNG", "BMP") and "exif" not in picture.info  # or Pillow would decode a PNG to look
    turn = 1 if has_none else picture.getexif().get(0x112, 1)
    return turn if turn in range(1, 9) else 1


def _is_deep(picture: Any) -> bool:
    """More than 8 bit a sample; Pillow gives 16-bit RGB as 8 bit without a word, its decoder's name alone says it."""
    return picture.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in picture.tile)


@contextmanager
def open_picture(path: str | Path) -> Iterator[Any]:
    """A Pillow image of a kind that is known here, no larger than its file can hold; else one sentence."""
    from PIL import Image

    with damage.worded(path, "a picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are judged below
        try:
            picture = Image.open(path, formats=_FORMATS)
        except Image.DecompressionBombError:
            raise ValueError(
                f"{path}: is larger than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels; cut it first"
            ) from None
        with picture:
            damage.require_plausible(path, picture.width * picture.height * len(picture.getbands()), "the picture")
            yield picture


def common_size(paths: Sequence[Path], heads: Sequence[Head] = ()) -> tuple[int, int]:
    """(width, height) shared by all pictures, whose heads may be known; ValueError naming the first that differs.

    One line tells what of them is lost, by the first that has it.
    """
    heads = heads or [read_head(path) for path in paths]
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
    found = find_pictures(path)
    if by_float:
        width, height = common_size(found)
        header = y4m.make_header(width, height, fps, chroma or "420mpeg2")
        if header.depth != 8:
            raise ValueError(f"--chroma {header.chroma}: 8-bit pictures give 8-bit planes; use --route ffmpeg for more")
        yield header, to_planes(found, header)
        return
    layout = unsited(chroma or "420")
    heads = [read_head(path) for path in found]
    if odd := next((path for path, head in zip(found, heads, strict=True) if head.is_odd), None):
        raise ValueError(f"{odd}: ffmpeg reads no animated WebP and no LAB colours; `convert --route float` does")
    common_size(found, heads)
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

"""Read one picture file: its head, its pixels upright, and one sentence for damage, however it is called.

A bmp, png, jpeg, tiff or webp -> uint8 RGB (H, W, 3). A PNG's checksums hold, and no picture costs more memory than a
file of its size can fill. Of an animation or a file of several pictures the first is read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from youku.video import damage

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
        return Head(sides[0], sides[1], turn, is_deep, kind, _COLOURS.get(picture.mode[:4], "RGB"), lost)


def _lost(picture: Any) -> tuple[str, ...]:
    num_frames = (
        1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    )  # a phone's MPO: a preview, a depth map
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

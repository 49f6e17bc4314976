"""Folders of test and training pictures -> (high, low) files: plain folders, Set5's layout and DIV2K's.

    photos/a.png b.jpg                                 high only: the caller shrinks them itself
    Set5/HR/baby.png                                   Set5/LR_bicubic/X4/babyx4.png (or baby.png)
    DIV2K_train_HR/0001.png                            DIV2K_train_LR_bicubic/X4/0001x4.png, also *_LR_unknown

The folder named may be the set's root or the HR folder itself. `kind` is the name behind LR_: "bicubic", "unknown".
Sources: DIV2K (Agustsson, Timofte 2017) as its zips unpack; Set5, Set14, B100, Urban100 as EDSR's benchmark.tar does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from youku.video import pictures, resize

KINDS = ("bicubic", "unknown")
RESIZER = "matlab-bicubic"
MOST_CROPPED_PX = 12  # sets made for x2, x3 and x4 together crop the high resolution to a multiple of 12
MOST_LISTED = 8


@dataclass(frozen=True)
class PictureFiles:
    """A picture of high resolution and its low-resolution file; `low` is None where it is to be made on the fly."""

    high: Path
    low: Path | None

    @property
    def name(self) -> str:
        return self.high.stem


def find(folder: str | Path, scale: int, kind: str = "bicubic") -> list[PictureFiles]:
    """The pictures of a folder in natural order, partners found by name; ValueError lists every missing partner.

    Low resolution that the set does not carry is None for "bicubic", which can be made, and an error for any other kind.
    """
    high_folder = _high_folder(Path(folder))
    highs = pictures.find(high_folder)
    low_folder = _low_folder(high_folder, scale, kind)
    if low_folder is None:
        return [PictureFiles(high, None) for high in highs]
    lows = {path.stem: path for path in pictures.find(low_folder)}
    found = [PictureFiles(high, lows.get(f"{high.stem}x{scale}", lows.get(high.stem))) for high in highs]
    missing = [pair.high.name for pair in found if pair.low is None]
    if missing:
        raise ValueError(
            f"{low_folder}: expected a partner such as {found[0].name}x{scale}.png for every picture of {high_folder}, "
            f"found none for {_listed(missing)}; unpack the set again or remove the pictures without one"
        )
    return found


def load(pair: PictureFiles, scale: int, resizer: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) uint8 RGB (H, W, 3), high cropped to the scale times low; `resizer` makes low afresh in any case."""
    picture = pictures.read_rgb(pair.high)
    if pair.low is None or resizer is not None:
        return reduce(picture, pair.high, scale, resizer or RESIZER)
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    low = pictures.read_rgb(pair.low)
    spare = [side - scale * small for side, small in zip(picture.shape[:2], low.shape[:2], strict=True)]
    if not all(0 <= px < MOST_CROPPED_PX for px in spare):
        raise ValueError(
            f"{pair.low}: expected {width}x{height} (x{scale} of {pair.high.name}), "
            f"got {low.shape[1]}x{low.shape[0]}; check --scale and the pair"
        )
    return low, np.ascontiguousarray(picture[: low.shape[0] * scale, : low.shape[1] * scale])


def reduce(picture: np.ndarray, path: Path, scale: int, resizer: str) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of a uint8 RGB picture, cropped to a multiple of the scale; `path` is for the error."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    if not height or not width:
        raise ValueError(f"{path}: {picture.shape[1]}x{picture.shape[0]} is smaller than x{scale}; remove it")
    high = np.ascontiguousarray(picture[: height * scale, : width * scale])
    return resize.shrink(high, scale, resizer), high


def _high_folder(folder: Path) -> Path:
    """HR/ or the one *_HR/ inside a set's root, or the folder itself."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ValueError(f"{folder}: expected a folder of pictures or of a set such as Set5, found {found}")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and _is_high(path.name))
    if len(inside) > 1:
        names = " and ".join(path.name for path in inside)
        raise ValueError(f"{folder}: holds {names}; name one of these folders")
    return inside[0] if inside else folder


def _low_folder(high_folder: Path, scale: int, kind: str) -> Path | None:
    """LR_kind/Xn beside HR, None where low resolution is to be made; ValueError where it cannot be made."""
    folder = high_folder.absolute()
    if _is_high(folder.name):
        beside = folder.with_name(f"{folder.name[:-2]}LR_{kind}") / f"X{scale}"
        if beside.is_dir():
            return beside
    else:
        beside = folder / f"LR_{kind}" / f"X{scale}"
    if kind != "bicubic":
        raise ValueError(f"{beside}: no such folder; low resolution of kind {kind} cannot be made, unpack it there")
    return None


def _is_high(name: str) -> bool:
    return name == "HR" or name.endswith("_HR")


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")

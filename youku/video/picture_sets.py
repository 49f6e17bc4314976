"""Folders of test and training pictures -> (high, low) files: plain folders, Set5's layout and DIV2K's.

    photos/a.png b.jpg                                 high only: the caller shrinks them itself
    Set5/HR/baby.png                                   Set5/LR_bicubic/X4/babyx4.png (or baby.png)
    DIV2K_train_HR/0001.png                            DIV2K_train_LR_bicubic/X4/0001x4.png, also *_LR_unknown
    image_SRF_4/img_001_SRF_4_HR.png                   img_001_SRF_4_LR.png beside it; others' results there are left out
    flat/a_HR.png, flat/b.png                          flat/a_LR.png, flat/bx4.png: twins in one folder, of all pictures
    any/a.png                                          --low FOLDER: FOLDER/a.png or ax4.png

The folder named may be the set's root or the HR folder itself (SelfExSR's: the root or image_SRF_4). `kind` is the name
behind LR_: "bicubic", "unknown". Low resolution is never taken for truth: a set of another factor, and pictures of which
some lack a twin, are refused. Sources: SelfExSR's data (Huang 2015); DIV2K (Agustsson, Timofte 2017) as its zips unpack;
Set5, Set14, B100, Urban100 as EDSR's benchmark.tar does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from youku.text_table import listed
from youku.video import file_names, pictures, resize

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
        return _HIGH.sub("", self.high.stem)


def find(folder: str | Path, scale: int, kind: str = "bicubic", low: Path | None = None) -> list[PictureFiles]:
    """The pictures of a folder in natural order, partners found by name; ValueError lists every missing partner.

    `low` is a folder that holds them, wherever it lies. Low resolution that the set does not carry is None for
    "bicubic", which can be made, and an error for any other kind.
    """
    high_folder = _high_folder(Path(folder), scale)
    highs = file_names.find_pictures(high_folder)
    flat = [] if low else _flat(high_folder, highs, scale)
    low_folder = high_folder if flat else low or _low_folder(high_folder, scale, kind)
    highs = flat or highs
    if low_folder is None:
        return [PictureFiles(high, None) for high in highs]
    lows = {path.stem: path for path in file_names.find_pictures(low_folder)}
    others = {} if low_folder.samefile(high_folder) else lows  # a picture is not its own low resolution
    found = [PictureFiles(high, _partner(high.stem, lows, others, scale)) for high in highs]
    missing = [pair.high.name for pair in found if pair.low is None]
    if missing:
        raise ValueError(
            f"{low_folder}: expected a partner such as {found[0].name}x{scale}.png for every picture of {high_folder}, "
            f"found none for {listed(missing, MOST_LISTED)}; unpack the set again or remove the pictures without one"
        )
    return found


_HIGH = re.compile(r"(_SRF_\d+)?_HR$")
_SELFEX = re.compile(r".+_SRF_(\d+)_HR")


def _partner(stem: str, lows: dict[str, Path], others: dict[str, Path], scale: int) -> Path | None:
    """The low resolution of a picture by the names that sets give it."""
    names = [f"{stem}x{scale}", *([f"{stem[:-2]}LR"] if stem.endswith("_HR") else [])]
    return next((lows[name] for name in names if name in lows), others.get(stem))


def _flat(folder: Path, found: list[Path], scale: int) -> list[Path]:
    """The high resolution of a folder that holds its twins as well, named NAME_HR and _LR or NAME and NAMEx4; else nothing.

    ValueError for a SelfExSR folder of other factors.
    """
    stems = {path.stem for path in found}
    factors = {int(match[1]) for stem in stems if (match := _SELFEX.fullmatch(stem))}
    if factors:
        if scale not in factors:
            made = ", x".join(map(str, sorted(factors)))
            raise ValueError(f"{folder}: holds pictures of x{made} (SelfExSR's names), not of x{scale}; check --scale")
        return [path for path in found if path.stem.endswith(f"_SRF_{scale}_HR")]
    if any(stem.endswith("_HR") and f"{stem[:-2]}LR" in stems for stem in stems):
        return [path for path in found if path.stem.endswith("_HR")]
    shrunk = {stem for stem in stems if (match := re.fullmatch(r"(.+)x[2348]", stem)) and match[1] in stems}
    return [path for path in found if path.stem not in shrunk] if shrunk else []


def load(pair: PictureFiles, scale: int, resizer: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) uint8 RGB (H, W, 3), high cropped to the scale times low; `resizer` makes low afresh in any case."""
    picture = pictures.read_rgb(pair.high)
    if pair.low is None or resizer is not None:
        return reduce(picture, pair.high, scale, resizer or RESIZER)
    low = pictures.read_rgb(pair.low)
    return low, cropped(picture, (low.shape[0] * scale, low.shape[1] * scale), pair.high, pair.low, scale)


def cropped(picture: np.ndarray, shape: tuple[int, int], path: Path, other: Path, scale: int = 1) -> np.ndarray:
    """The picture of `path` without what it is more than (height, width), which `other` has, enlarged by `scale`."""
    height, width = shape
    if not all(0 <= side - wanted < MOST_CROPPED_PX for side, wanted in zip(picture.shape[:2], shape, strict=True)):
        raise ValueError(
            f"{other}: expected {picture.shape[1] // scale}x{picture.shape[0] // scale} (x{scale} of {path.name}), "
            f"got {width // scale}x{height // scale}; check --scale and the pair"
        )
    return np.ascontiguousarray(picture[:height, :width])


def reduce(picture: np.ndarray, path: Path, scale: int, resizer: str) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of a uint8 RGB picture, cropped to a multiple of the scale; `path` is for the error."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    if not height or not width:
        raise ValueError(f"{path}: {picture.shape[1]}x{picture.shape[0]} is smaller than x{scale}; remove it")
    high = np.ascontiguousarray(picture[: height * scale, : width * scale])
    return resize.shrink(high, scale, resizer), high


def match_made(folder: Path, truths: list[PictureFiles], scale: int) -> list[Path]:
    """The picture made of each truth, named as it, or as it with more behind: baby.png, babyx4.png, baby_SRNET.png.

    ValueError lists every truth without one, or with several.
    """
    made = file_names.find_pictures(folder)
    found, missing, unclear = [], [], []
    for truth in truths:
        names = {truth.high.stem, truth.name, f"{truth.name}x{scale}"}
        near = [path for path in made if path.stem in names] or [
            path for path in made if re.match(rf"{re.escape(truth.name)}(x{scale})?[_.-]", path.stem)
        ]
        found += near[:1]
        if not near:
            missing.append(truth.high.name)
        elif near[1:]:
            unclear.append(f"{truth.high.name} ({', '.join(path.name for path in near[:3])})")
    faults = [f"none for {listed(missing, MOST_LISTED)}: make what is missing, or name it as its truth"] * bool(missing)
    faults += [f"several for {listed(unclear, MOST_LISTED)}: leave one of each there"] * bool(unclear)
    if faults:
        raise ValueError(f"{folder}: expected one picture for every truth, found {'; '.join(faults)}")
    return found


def _high_folder(folder: Path, scale: int) -> Path:
    """HR/ or the one *_HR/ inside a set's root, SelfExSR's folder of the factor, or the folder itself."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ValueError(f"{folder}: expected a folder of pictures or of a set such as Set5, found {found}")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and _is_high(path.name))
    if len(inside) > 1:
        names = " and ".join(path.name for path in inside)
        raise ValueError(f"{folder}: holds {names}; name one of these folders")
    selfex = folder / f"image_SRF_{scale}"
    return inside[0] if inside else selfex if selfex.is_dir() else folder


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

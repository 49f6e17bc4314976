"""HDF5 files as FSRCNN-pytorch's trainer reads them: pictures -> training or evaluation file, and back to gray png.

    training     datasets `lr` (N, h, w) and `hr` (N, s h, s w)
    evaluation   groups `lr` and `hr`, one dataset (h, w) a picture, named "0", "1", ...

Values are float32 Y in 0-255 (BT.601, 16-235), which the trainer divides by 255. Ours is MATLAB's Y, not rounded, and
low resolution is MATLAB's bicubic; the public prepare.py has Pillow's bicubic and rounder coefficients.
Source: github.com/yjn870/FSRCNN-pytorch; patches of Dong et al. 2016; 64x64 at stride 20 from the old-film report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from youku import files
from youku.cli import Watch, unwatched
from youku.video import color, damage, picture_sets, resize
from youku.video.conversion import PATCH_PX, Content
from youku.video.picture_sets import PictureFiles

GROUPS = ("lr", "hr")
Pair = tuple[str, int | str, dict[str, Any]]
MOST_LISTED = 8
AUGMENT_ZOOMS = (1.0, 0.9, 0.8, 0.7, 0.6)  # FSRCNN's, each in four rotations


def write(pairs: Sequence[PictureFiles], target: Path, content: Content, watch: Watch = unwatched) -> int:
    """Write a file whole; returns how many patches or pictures it holds. `watch` wraps the pictures for progress."""
    h5py = _h5py()
    if content.hdf5 == "train":
        return _write_patches(h5py, pairs, target, content, watch)
    with files.atomic_path(target) as temporary, h5py.File(temporary, "w") as file:
        for number, pair in enumerate(watch(pairs)):
            for key, picture in zip(GROUPS, picture_sets.load(pair, content.scale), strict=True):
                dataset = file.create_dataset(f"{key}/{number}", data=_luma(picture))
                dataset.attrs["name"] = np.bytes_(pair.name.encode())
    return len(pairs)


def _write_patches(h5py: Any, pairs: Sequence[PictureFiles], target: Path, content: Content, watch: Watch) -> int:
    """Two passes, so that memory holds one picture and the datasets are one piece, quick to index."""
    patch_px, stride_px = content.patch or PATCH_PX[content.scale], content.stride or content.scale
    num_patches = 0
    for pair in pairs:
        num_patches += sum(len(_patches(low[..., 0], patch_px, stride_px)) for low, _ in _views(pair, content))
    if not num_patches:
        raise ValueError(f"--patch {patch_px}: every picture is smaller at low resolution; lower it")
    sides = {"lr": patch_px, "hr": patch_px * content.scale}
    total_bytes = num_patches * sum(4 * side * side for side in sides.values())
    files.require_free(target.parent, total_bytes, target.name)
    with files.atomic_path(target) as temporary, h5py.File(temporary, "w") as file:
        for key, side in sides.items():
            file.create_dataset(key, (num_patches, side, side), dtype="f4")
        start = 0
        for pair in watch(pairs):
            for low, high in _views(pair, content):
                patches = _patches(_luma(low), patch_px, stride_px)
                stop = start + len(patches)
                file["lr"][start:stop] = patches
                file["hr"][start:stop] = _patches(_luma(high), patch_px * content.scale, stride_px * content.scale)
                start = stop
    return num_patches


def read_evaluation(path: str | Path, scale: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name and float luma in 0-255, (h, w) and (s h, s w), of an evaluation file's pictures one by one.

    ValueError naming what was found where it is something else.
    """
    with _open(path) as file:
        if _form(file, path) != "eval":
            raise ValueError(f"{path}: holds training patches, expected an evaluation file; write one with --hdf5 eval")
        for name, key, datasets in _pairs(file, path):
            low, high = (_read(datasets[group], path, f"{group}/{key}") for group in GROUPS)
            if high.shape != (low.shape[0] * scale, low.shape[1] * scale):
                raise ValueError(
                    f"{path}: picture {key} is {low.shape} and {high.shape}, expected x{scale}; check --scale"
                )
            if high.max() <= 1:
                raise ValueError(f"{path}: picture {key} runs from 0 to 1, expected Y in 0-255; make the file again")
            yield name, low, high


def to_pictures(source: str | Path, folder: Path) -> int:
    """Y of every patch or picture, rounded, as OUT/lr/NAME.png and OUT/hr/NAME.png; returns how many pairs."""
    from PIL import Image

    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: is not empty; name another folder")
    files.make_folder(folder.parent)
    with _open(source) as file, files.temporary_folder(folder) as temporary:
        pairs, building = _pairs(file, source), temporary / "pictures"
        are_named = len({name for name, _, _ in pairs}) == len(pairs)
        for group in GROUPS:
            (building / group).mkdir(parents=True)
        for name, key, datasets in pairs:
            (tall, wide), shape = datasets["lr"].shape[-2:], datasets["hr"].shape[-2:]
            factor = shape[0] // max(1, tall)
            if shape != (tall * factor, wide * factor) or not shape[0] * shape[1]:
                told = f"pair {key} is lr {(tall, wide)}, hr {shape}; expected hr a whole multiple"
                raise ValueError(f"{source}: {told}; make the file again")
            for group, dataset in datasets.items():
                luma = _read(dataset, source, f"{group} {key}", key if isinstance(key, int) else ())
                Image.fromarray(resize.to_integers(luma)).save(building / group / f"{name if are_named else key}.png")
        building.replace(folder)
    return len(pairs)


def _pairs(file: Any, path: str | Path) -> list[Pair]:
    """Of each pair its name, its place in the datasets or its key in the groups, and the datasets that hold it.

    The keys of both groups are "0", "1", ..., each a plane.
    """
    if _form(file, path) == "train":
        whole = {group: file[group] for group in GROUPS}
        return [(f"{index:06d}", index, whole) for index in range(len(file["lr"]))]
    keys, found = [str(number) for number in range(len(file["lr"]))], list[Pair]()
    if not keys or set(file["lr"]) != set(keys) or set(file["hr"]) != set(keys):
        low, high = (list(file[group])[:MOST_LISTED] for group in GROUPS)
        raise ValueError(f"{path}: expected pictures 0, 1, ... in lr and hr, found {low}, {high}")
    for key in keys:
        datasets = {group: _item(file, path, group, key) for group in GROUPS}
        for group, item in datasets.items():
            if getattr(item, "ndim", 0) != 2 or not item.size:
                raise ValueError(f"{path}: {group}/{key}: expected a plane (h, w), found {_shape_of(item)}")
        found.append((_name(datasets["hr"], key), key, datasets))
    return found


def _views(pair: PictureFiles, content: Content) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(low, high) RGB of a picture, in its 20 views where asked; views are shrunk here, whatever the set brings."""
    if not content.augment:
        yield picture_sets.load(pair, content.scale)
        return
    picture = picture_sets.load(PictureFiles(pair.high, None), content.scale)[1]
    for zoom in AUGMENT_ZOOMS:
        small = resize.imresize(picture, int(picture.shape[0] * zoom), int(picture.shape[1] * zoom))
        for quarter_turns in range(4):
            view = np.rot90(small, quarter_turns)
            yield picture_sets.reduce(view, pair.high, content.scale, picture_sets.RESIZER)


def _patches(luma: np.ndarray, patch_px: int, stride_px: int) -> np.ndarray:
    """(N, patch, patch), row by row; none of a picture that is smaller."""
    if min(luma.shape) < patch_px:
        return np.empty((0, patch_px, patch_px), luma.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(luma, (patch_px, patch_px))
    return windows[::stride_px, ::stride_px].reshape(-1, patch_px, patch_px)


def _luma(rgb: np.ndarray) -> np.ndarray:
    return color.luma_of_picture(rgb).astype(np.float32)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise ValueError("HDF5 needs the package h5py, which is not installed; run pip install h5py") from None
    return h5py


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    h5py = _h5py()
    if not Path(path).is_file():
        raise ValueError(f"{path}: expected an HDF5 file, found {'a folder' if Path(path).exists() else 'nothing'}")
    with damage.worded(path, "an HDF5 file"):
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path}: expected an HDF5 file, got something else or a damaged one ({error})") from None
        with file:
            yield file


def _item(file: Any, path: str | Path, *names: str) -> Any:
    """A group or dataset that lies in the file itself and is no larger than the file can hold; ValueError for others."""
    import h5py

    item, where = file, "/".join(names)
    for name in names:
        if not isinstance(item.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path}: {where} is a link; expected the data itself, make the file again")
        item = item[name]
    if isinstance(item, h5py.Dataset):
        damage.require_plausible(path, item.nbytes, where)
        if item.external or item.is_virtual or (item.nbytes and not item.id.get_storage_size()):
            raise ValueError(f"{path}: {where} holds no data of its own; make the file again")
    return item


def _read(dataset: Any, path: str | Path, where: str, index: int | tuple[()] = ()) -> np.ndarray:
    """Luma, float64; ValueError for numbers that are none."""
    luma = np.asarray(dataset[index])
    if luma.dtype.kind not in "biuf" or not np.isfinite(luma).all():
        raise ValueError(f"{path}: {where} has values that are no numbers; make the file again")
    return luma.astype(np.float64)


def _form(file: Any, path: str | Path) -> str:
    """ "train" or "eval"; ValueError saying what the file holds instead."""
    kinds = [_shape_of(_item(file, path, key)) for key in GROUPS if key in file]
    if kinds == ["a group"] * 2:
        return "eval"
    is_pair = len(kinds) == 2 and "a group" not in kinds
    if is_pair and file["lr"].ndim == file["hr"].ndim == 3 and file["lr"].size and file["hr"].size:
        if len(file["lr"]) != len(file["hr"]):
            raise ValueError(f"{path}: {len(file['lr'])} patches in lr, {len(file['hr'])} in hr; make the file again")
        return "train"
    found = ", ".join(f"{key} ({_shape_of(_item(file, path, key))})" for key in list(file)[:MOST_LISTED]) or "nothing"
    raise ValueError(
        f"{path}: expected datasets lr and hr (N, h, w), or groups of these names with a picture each; found {found}"
    )


def _shape_of(item: Any) -> str:
    return f"a dataset {item.shape}" if hasattr(item, "shape") else "a group"


def _name(dataset: Any, key: str) -> str:
    """The picture's file name where the file tells one that is safe to write."""
    # of a fixed length alone: libhdf5 loops for ever over some damaged heaps, where others lie
    is_there = "name" in dataset.attrs and dataset.attrs.get_id("name").dtype.kind == "S"
    name = bytes(dataset.attrs["name"]).decode(errors="replace") if is_there else key
    is_safe = isinstance(name, str) and name and name == Path(name).name and name.isprintable() and len(name) < 64
    return name if is_safe and not name.startswith(".") else key

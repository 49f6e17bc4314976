"""Test pictures through networks: the figures of each under named protocols, as a text table and as data.

PictureSet -> Samples one by one -> Scores, protocol by protocol and network by network. Protocols: `evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from youku import files, text_table
from youku.cli import Each, Made, Watch, unwatched
from youku.engines.network import Network
from youku.files import printable
from youku.inference import evaluation, records, still
from youku.inference.evaluation import PROTOCOLS, Error
from youku.inference.still import Picture
from youku.metrics import fsim, psnr
from youku.video import file_names, hdf5, picture_sets
from youku.video.file_names import ClipKind
from youku.video.picture_sets import PictureFiles
from youku.video.pictures import read_rgb

if TYPE_CHECKING:
    from youku.inference.pipeline import Options
HEADS = {"psnr": "PSNR", "ssim": "SSIM of Y", "fsim": "FSIM of Y"}  # the last two are of Y under every protocol


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Where pictures come from and how their low resolution is had."""

    folder: Path
    kind: str = "bicubic"
    resizer: str | None = None
    low: Path | None = None
    """A folder of low resolution that lies elsewhere."""

    @property
    def name(self) -> str:
        return self.folder.absolute().name if self.folder.is_dir() else self.folder.stem


def find_sets(
    folders: Sequence[str], kind: str, resizer: str | None, low: str | None, is_kept: bool
) -> list[PictureSet]:
    """A set a folder; ValueError where --low cannot be meant, or two of them would be kept (`is_kept`) under one name."""
    if low and (len(folders) > 1 or resizer):
        raise ValueError("--low belongs to one FOLDER and goes without --resizer; evaluate the sets one by one")
    where = Path(low) if low else None
    sets = [PictureSet(folder=Path(name), kind=kind, resizer=resizer, low=where) for name in folders]
    names = [pictures.name for pictures in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if is_kept and twice:
        raise ValueError(f"--save: two sets are named {', '.join(twice)}; evaluate them one by one")
    return sets


def folder_to_keep(pictures: PictureSet, network: Network, options: Options, save: str | None) -> Path | None:
    """Where --save puts the pictures of a set: never into the folder that they came from, nor among others' pictures."""
    if not save:
        return None
    folder = Path(save) / f"{pictures.name}_{network.spec.name}_x{network.scale}"
    source, record = pictures.folder.resolve(), records.record_of(folder)
    if source == folder.resolve() or source in folder.resolve().parents:
        raise ValueError(
            f"--save {folder}: lies in {pictures.folder}, whose pictures are the input; name another folder"
        )
    made_by = {
        "weights": " ".join(map(files.sha256, network.paths)),
        "dtype": network.dtype,
        "tile": str(options.tile_px),
    }
    made_by |= {"set": str(source), "kind": pictures.kind, "resizer": str(pictures.resizer), "low": str(pictures.low)}
    known = records.read(record)
    other = [key for key, value in made_by.items() if known.get(key) != value]
    if other and folder.is_dir() and any(folder.iterdir()):
        why = f"its pictures are of other {', '.join(other)}" if known else "exists and was not made here"
        raise ValueError(f"--save {folder}: {why}; name another folder, or remove it")
    files.write_json(record, made_by, durable=False)
    return folder


@dataclass(frozen=True)
class Sample:
    """One test picture: `low` is uint8 RGB (h, w, 3), or float luma (h, w) from an HDF5 file."""

    name: str
    low: np.ndarray
    high: Picture


@dataclass(frozen=True)
class Score:
    """One picture under one protocol by one network."""

    name: str
    error: Error
    ssim: float
    fsim: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """What is printed of it."""
        return {"psnr": self.error.psnr, "ssim": self.ssim, **({} if self.fsim is None else {"fsim": self.fsim})}


Scores = dict[str, dict[str, list[Score]]]
"""Protocol -> network -> one a picture."""
Row = tuple[str, str, Score]
"""A score with its protocol and network."""


def samples(pictures: PictureSet, scale: int, each: Each = map) -> Iterator[Sample]:
    """The pictures of a set one by one; every missing partner is reported before the first."""
    return _of_samples(lambda sample: sample, pictures, scale, unwatched, each)


def _of_samples(
    work: Callable[[Sample], Made], pictures: PictureSet, scale: int, watch: Watch, each: Each
) -> Iterator[Made]:
    if file_names.kind_of(pictures.folder) is ClipKind.HDF5:
        if pictures.resizer is not None:
            raise ValueError(f"{pictures.folder}: brings its own low resolution; leave --resizer out")
        if pictures.low is not None:
            raise ValueError(f"{pictures.folder}: brings its own low resolution; leave --low out")
        for name, low, high in watch(hdf5.read_evaluation(pictures.folder, scale)):
            yield work(Sample(name, low, Picture(high)))
        return

    def load(files: PictureFiles) -> Made:
        low, high = picture_sets.load(files, scale, pictures.resizer)
        return work(Sample(files.name, low, still.read_picture(high)))

    found = picture_sets.find(pictures.folder, scale, pictures.kind, pictures.low)
    yield from watch(each(load, found), total=len(found))


def score_all(
    networks: Sequence[Network],
    pictures: PictureSet,
    protocols: Sequence[str],
    options: Options,
    keep: Path | None = None,
    with_fsim: bool = False,
    watch: Watch = unwatched,
    each: Each = map,
) -> Scores:
    """Every network on every picture; `options` and `keep`, a folder for its pictures, are for the first network.

    `watch` is what the pictures go through, for progress.
    """
    from youku.inference.pipeline import Options

    seen: set[str] = set()

    def measure(sample: Sample) -> list[Row]:
        if keep and sample.name in seen:
            raise ValueError(f"{pictures.folder}: two pictures are named {sample.name}; rename one to --save both")
        seen.add(sample.name)
        rows: list[Row] = []
        for index, network in enumerate(networks):
            pred = still.enlarge(network, sample.low, Options() if index else options, sample.name)
            rows += _rows(sample, pred, network.spec.name, protocols, network.scale, with_fsim)
            if keep and not index:
                still.save(keep / f"{sample.name}.png", pred)
        return rows

    return _tabled(_of_samples(measure, pictures, networks[0].scale, watch, each))


def score_made(
    made: Sequence[Path],
    truth: PictureSet,
    scale: int,
    protocols: Sequence[str],
    with_fsim: bool = False,
    each: Each = map,
) -> Scores:
    """Pictures that exist already, a folder a system, against those of the set; a truth is cropped to what was made of it."""
    truths = picture_sets.find(truth.folder, scale)
    named = _named(made)
    found = [picture_sets.match_made(folder, truths, scale) for folder in named.values()]

    def measure(pair: tuple[PictureFiles, Sequence[Path]]) -> list[Row]:
        files, paths = pair
        rows: list[Row] = []
        whole = read_rgb(files.high)
        for name, path in zip(named, paths, strict=True):
            pred = read_rgb(path)
            high = still.read_picture(picture_sets.cropped(whole, pred.shape[:2], files.high, path))
            sample, picture = Sample(files.name, pred, high), still.read_picture(pred)
            rows += _rows(sample, picture, name, protocols, scale, with_fsim)
        return rows

    return _tabled(each(measure, list(zip(truths, zip(*found, strict=True), strict=True))))


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their names, or by their paths where a name repeats."""
    names = [folder.absolute().name for folder in folders]
    return {
        name if names.count(name) == 1 else str(folder): folder for name, folder in zip(names, folders, strict=True)
    }


def _rows(sample: Sample, pred: Picture, name: str, protocols: Sequence[str], scale: int, with_fsim: bool) -> list[Row]:
    return [(protocol, name, score(sample, pred, protocol, scale, with_fsim)) for protocol in protocols]


def _tabled(of_pictures: Iterable[list[Row]]) -> Scores:
    """The rows of all pictures, without those that a protocol leaves out."""
    scores: Scores = {}
    for protocol, name, one in chain.from_iterable(of_pictures):
        scores.setdefault(protocol, {}).setdefault(name, []).append(one)
    return {
        protocol: {name: own[evaluation.counted(protocol, [one.name for one in own])] for name, own in by_name.items()}
        for protocol, by_name in scores.items()
    }


def score(sample: Sample, pred: Picture, protocol: str, scale: int, with_fsim: bool = False) -> Score:
    """Error, SSIM and, where asked, FSIM of one picture; a fault names the picture."""
    try:
        error = evaluation.error(pred, sample.high, protocol, scale)
        ssim = evaluation.similarity(pred, sample.high, protocol, scale)
        return Score(sample.name, error, ssim, fsim.plane(pred.luma, sample.high.luma) if with_fsim else None)
    except ValueError as fault:
        raise ValueError(f"{sample.name}, {protocol}: {fault}") from None


def means(scores: Sequence[Score], pooled: bool) -> dict[str, float]:
    """Mean of each figure over the pictures; `pooled_psnr` where asked."""
    out = {key: psnr.mean([one.figures[key] for one in scores]) for key in scores[0].figures}
    return out | ({"pooled_psnr": evaluation.pooled([one.error for one in scores])} if pooled else {})


def as_json(scores: Scores, pooled: bool) -> dict[str, Any]:
    """protocol -> network -> pictures and means; an exact match, infinite dB, is null."""

    def finite(figures: dict[str, float]) -> dict[str, float | None]:
        return {key: round(value, 4) if math.isfinite(value) else None for key, value in figures.items()}

    return {
        protocol: {
            name: {
                "pictures": [{"name": one.name, **finite(one.figures)} for one in own],
                "mean": finite(means(own, pooled)),
            }
            for name, own in by_network.items()
        }
        for protocol, by_network in scores.items()
    }


def as_text(scores: Scores, title: str, pooled: bool) -> str:
    """A block a protocol, a line a picture, the figures of each network side by side."""
    blocks = []
    for protocol, by_network in scores.items():
        keys = list(next(iter(by_network.values()))[0].figures)
        header = ["picture", *(f"{name} {HEADS[key]}" for name in by_network for key in keys)]
        lines = [
            [own[0].name, *(cell for one in own for cell in _cells(one.figures, keys))]
            for own in zip(*by_network.values(), strict=True)
        ]
        averages = [means(own, pooled) for own in by_network.values()]
        lines.append(["mean of pictures", *(cell for one in averages for cell in _cells(one, keys))])
        if pooled:
            empty = ["-"] * (len(keys) - 1)
            lines.append(["pooled MSE", *(cell for one in averages for cell in [f"{one['pooled_psnr']:.2f}", *empty])])
        blocks += [
            f"{printable(title, None)}, {protocol} ({PROTOCOLS[protocol].source})",
            text_table.lay_out(header, lines),
            "",
        ]
    return "\n".join(blocks)


def _cells(figures: dict[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{figures[key]:.2f}" if key == "psnr" else f"{figures[key]:.4f}" for key in keys]

"""Test pictures through networks: the figures of each under named protocols, as a text table and as data; the time.

PictureSet -> Samples one by one -> Scores, protocol by protocol and network by network. Protocols: `evaluation`.
Low-resolution planes -> milliseconds for a batch, as the FSRCNN document measures: Set5 x4, batch 8, 100 warm-up runs,
median of 1,000. Its batch is read as copies of one picture, since the pictures of a set differ in size; they take turns.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from youku import cli, text_table
from youku.engines.network import Network
from youku.files import atomic_path
from youku.inference import evaluation
from youku.inference.evaluation import PROTOCOLS, Error, Picture
from youku.metrics import fsim, psnr
from youku.video import clips, hdf5, picture_sets
from youku.video.clips import ClipKind

if TYPE_CHECKING:
    import torch

    from youku.inference.pipeline import Options
    from youku.models.colours import Tensors


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Where pictures come from and how their low resolution is had."""

    folder: Path
    kind: str = "bicubic"
    resizer: str | None = None

    @property
    def name(self) -> str:
        return self.folder.absolute().name if self.folder.is_dir() else self.folder.stem


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


def samples(pictures: PictureSet, scale: int) -> Iterator[Sample]:
    """The pictures of a set one by one; every missing partner is reported before the first."""
    if clips.kind_of(pictures.folder) is ClipKind.HDF5:
        if pictures.resizer is not None:
            raise ValueError(f"{pictures.folder}: brings its own low resolution; leave --resizer out")
        for pair in hdf5.read_evaluation(pictures.folder, scale):
            yield Sample(pair.name, pair.low, Picture(pair.high))
        return
    for files in picture_sets.find(pictures.folder, scale, pictures.kind):
        low, high = picture_sets.load(files, scale, pictures.resizer)
        yield Sample(files.name, low, evaluation.read_picture(high))


def score_all(
    networks: Sequence[Network],
    pictures: PictureSet,
    protocols: Sequence[str],
    options: Options,
    keep: Path | None = None,
    with_fsim: bool = False,
    watch: Callable[[Iterable[Sample]], Iterable[Sample]] = iter,
) -> Scores:
    """Every network on every picture; `options` and `keep`, a folder for its pictures, are for the first network.

    `watch` is what the samples go through, for progress.
    """
    from youku.inference.pipeline import Options

    for protocol in protocols:
        evaluation.protocol_of(protocol, networks[0].scale)
    scores: Scores = {protocol: {network.spec.name: [] for network in networks} for protocol in protocols}
    seen: set[str] = set()
    for sample in watch(samples(pictures, networks[0].scale)):
        if keep and sample.name in seen:
            raise ValueError(f"{pictures.folder}: two pictures are named {sample.name}; rename one to --save both")
        seen.add(sample.name)
        for index, network in enumerate(networks):
            pred = evaluation.enlarge(network, sample.low, Options() if index else options)
            for protocol in protocols:
                scores[protocol][network.spec.name].append(score(sample, pred, protocol, network.scale, with_fsim))
            if keep and not index:
                save_picture(keep / f"{sample.name}.png", pred)
    return scores


def score(sample: Sample, pred: Picture, protocol: str, scale: int, with_fsim: bool = False) -> Score:
    """Error, SSIM and, where asked, FSIM of one picture; a fault names the picture."""
    try:
        error = evaluation.error(pred, sample.high, protocol, scale)
        ssim = evaluation.similarity(pred, sample.high, protocol, scale)
        return Score(sample.name, error, ssim, fsim.plane(pred.luma, sample.high.luma) if with_fsim else None)
    except ValueError as fault:
        raise ValueError(f"{sample.name}, {protocol}: {fault}") from None


def save_picture(path: Path, pred: Picture) -> None:
    """Write a picture whole as png, RGB or luma as gray."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(pred.luma.astype(np.uint8) if pred.rgb is None else pred.rgb).save(temporary)


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
        header = ["picture", *(f"{name} {key.upper()}" for name in by_network for key in keys)]
        lines = [
            [own[0].name, *(cell for one in own for cell in _cells(one.figures, keys))]
            for own in zip(*by_network.values(), strict=True)
        ]
        averages = [means(own, pooled) for own in by_network.values()]
        lines.append(["mean of pictures", *(cell for one in averages for cell in _cells(one, keys))])
        if pooled:
            empty = ["-"] * (len(keys) - 1)
            lines.append(["pooled MSE", *(cell for one in averages for cell in [f"{one['pooled_psnr']:.2f}", *empty])])
        blocks += [f"{title}, {protocol} ({PROTOCOLS[protocol].source})", text_table.lay_out(header, lines), ""]
    return "\n".join(blocks)


def _cells(figures: dict[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{figures[key]:.2f}" if key == "psnr" else f"{figures[key]:.4f}" for key in keys]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How much is run; the defaults are the document's."""

    time_batch: int = cli.option(8, "pictures a run (8)", type=int, metavar="N")
    warm_up: int = cli.option(100, "runs not counted (100)", type=int, metavar="N")
    iterations: int = cli.option(1000, "runs timed (1000)", type=int, metavar="N")

    def __post_init__(self) -> None:
        if self.time_batch < 1 or self.iterations < 1 or self.warm_up < 0:
            raise ValueError(
                f"--time-batch {self.time_batch}, --warm-up {self.warm_up}, --iterations {self.iterations}: "
                "expected a batch and iterations of 1 or more, a warm-up of 0 or more"
            )


def measure_ms(
    network: Network,
    inputs: Sequence[Tensors],
    options: Options,
    runs: Runs,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[float, tuple[float, ...]]:
    """Run batches of each network input (1, T C, h, w) in turn, already on the device; the runs go through `watch`.

    Returns the medians of one batch: over all runs, and over each picture's own (nan where it had none).
    """
    batches = [tuple(part.repeat(runs.time_batch, 1, 1, 1) for part in x) for x in inputs]
    taken: list[list[float]] = [[] for _ in inputs]
    for step in watch(range(runs.warm_up + runs.iterations)):
        which = step % len(batches)
        elapsed_ms = _forward_ms(network, batches[which], options)
        if step >= runs.warm_up:
            taken[which].append(elapsed_ms)
    each = tuple(statistics.median(values) if values else float("nan") for values in taken)
    return statistics.median([value for values in taken for value in values]), each


def _forward_ms(network: Network, batch: Tensors, options: Options) -> float:
    from youku.inference import pipeline  # with torch

    _wait(network.device)
    start = time.perf_counter()
    pipeline.run_network(network, batch, options)
    _wait(network.device)
    return 1000 * (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    """Until the device has finished what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

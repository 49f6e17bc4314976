"""Evaluate a network on test pictures under named protocols: PSNR and SSIM of each picture, beside bicubic.

FOLDER is a folder of pictures, a set in Set5's layout (HR/, LR_bicubic/X4/) or DIV2K's, or an evaluation file of
FSRCNN-pytorch (x.h5) -> a table on stdout, or JSON. Low resolution that a set does not bring is made by MATLAB's
bicubic; `--resizer` makes it by another in any case. The mean is that of the pictures' dB, as in the papers;
`--pooled` adds dB of the pooled squared error. `--save` keeps the pictures, `--time` runs the FSRCNN document's
benchmark. Protocols and their sources: youku/inference/evaluation.py.

    python -m youku evaluate bench/Set5 --weights runs/fsrcnn/best.safetensors --protocol y_crop_s rgb_crop_s

Run: python -m youku evaluate FOLDER...
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from youku import cli, text_table
from youku.engines import weights
from youku.engines.weights import Network
from youku.files import atomic_path
from youku.inference import evaluation, timing
from youku.inference.evaluation import PROTOCOLS, Error, Picture
from youku.inference.pipeline import Options
from youku.metrics import psnr
from youku.models import MODELS
from youku.video import clips, color, hdf5, picture_sets
from youku.video.clips import ClipKind
from youku.video.resize import SHRINKERS

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Source:
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
class Row:
    """One picture under one protocol by one network."""

    name: str
    error: Error
    ssim: float
    fsim: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """What is printed of it."""
        return {"psnr": self.error.psnr, "ssim": self.ssim, **({} if self.fsim is None else {"fsim": self.fsim})}


Table = dict[str, dict[str, list[Row]]]  # protocol -> network -> a row a picture


def samples(source: Source, scale: int) -> Iterator[Sample]:
    """The pictures of a source one by one; every missing partner is reported before the first."""
    if clips.kind_of(source.folder) is ClipKind.HDF5:
        if source.resizer is not None:
            raise ValueError(f"{source.folder}: brings its own low resolution; leave --resizer out")
        for pair in hdf5.read_evaluation(source.folder, scale):
            yield Sample(pair.name, pair.low, Picture(pair.high))
        return
    for files in picture_sets.find(source.folder, scale, source.kind):
        low, high = picture_sets.load(files, scale, source.resizer)
        yield Sample(files.name, low, evaluation.read_picture(high))


def evaluate(
    networks: Sequence[Network],
    source: Source,
    protocols: Sequence[str],
    options: Options,
    save: Path | None = None,
    with_fsim: bool = False,
) -> Table:
    """Rows of every network on every picture; `save` is a folder for the first network's pictures."""
    first = networks[0]
    for protocol in protocols:
        evaluation.protocol_of(protocol, first.scale)
    table: Table = {protocol: {network.spec.name: [] for network in networks} for protocol in protocols}
    saved = set()
    for sample in _progress(samples(source, first.scale), f"{source.name} x{first.scale}"):
        for network in networks:
            pred = enlarge(network, sample.low, options if network is first else Options())
            for protocol in protocols:
                table[protocol][network.spec.name].append(measure(sample, pred, protocol, network.scale, with_fsim))
            if save and network is first:
                if sample.name in saved:
                    raise ValueError(
                        f"{source.folder}: two pictures are named {sample.name}; rename one to --save both"
                    )
                saved.add(sample.name)
                save_picture(save / f"{sample.name}.png", pred, source.folder)
    return table


def enlarge(network: Network, low: np.ndarray, options: Options) -> Picture:
    """A uint8 RGB picture, or luma alone, through a network."""
    if low.ndim == 2:
        return Picture(evaluation.enlarge_luma(network, low, options))
    return Picture(*evaluation.enlarge_picture(network, low, options))


def measure(sample: Sample, pred: Picture, protocol: str, scale: int, with_fsim: bool = False) -> Row:
    """Error, SSIM and, where asked, FSIM of one picture; a fault names the picture."""
    try:
        error = evaluation.error(pred, sample.high, protocol, scale)
        ssim = evaluation.similarity(pred, sample.high, protocol, scale)
        return Row(sample.name, error, ssim, evaluation.feature_similarity(pred, sample.high) if with_fsim else None)
    except ValueError as fault:
        raise ValueError(f"{sample.name}, {protocol}: {fault}") from None


def save_picture(path: Path, pred: Picture, source: Path) -> None:
    """Write a picture whole as png, RGB or luma as gray; never into the folder that it came from."""
    from PIL import Image

    if path.parent.resolve() == source.resolve() or source.resolve() in path.parent.resolve().parents:
        raise ValueError(f"--save {path.parent}: lies in {source}, whose pictures are the input; name another folder")
    with atomic_path(path) as temporary:
        Image.fromarray(pred.luma.astype(np.uint8) if pred.rgb is None else pred.rgb).save(temporary)


def time_network(network: Network, source: Source, options: Options, runs: timing.Runs) -> timing.Times:
    """The FSRCNN document's benchmark on the pictures of a source."""
    inputs = []
    for sample in samples(source, network.scale):
        low = sample.low
        if network.spec.channels == 1 and low.ndim == 3:
            low = color.luma_of_picture(low)
        planes = torch.from_numpy(np.moveaxis(np.atleast_3d(low), -1, 0).astype(np.float32) / 255)  # (C, h, w)
        inputs.append(planes.repeat(network.spec.num_frames, 1, 1).to(network.device))
    steps = _progress(range(runs.warm_up + runs.iterations), "timing")
    return timing.measure(network, inputs, options, runs, steps)


def means(rows: Sequence[Row], pooled: bool) -> dict[str, float]:
    """Mean of each figure over the pictures; `pooled_psnr` where asked."""
    out = {key: psnr.mean([row.figures[key] for row in rows]) for key in rows[0].figures}
    return out | ({"pooled_psnr": evaluation.pooled([row.error for row in rows])} if pooled else {})


def as_json(table: Table, pooled: bool) -> dict[str, Any]:
    """protocol -> network -> pictures and means; an exact match, infinite dB, is null."""
    return {
        protocol: {
            name: {
                "pictures": [
                    {"name": row.name, **{key: _finite(value) for key, value in row.figures.items()}} for row in rows
                ],
                "mean": {key: _finite(value) for key, value in means(rows, pooled).items()},
            }
            for name, rows in by_network.items()
        }
        for protocol, by_network in table.items()
    }


def as_text(table: Table, title: str, pooled: bool) -> str:
    """A block a protocol, a line a picture, the figures of each network side by side."""
    blocks = []
    for protocol, by_network in table.items():
        keys = list(next(iter(by_network.values()))[0].figures)
        header = ["picture", *(f"{name} {key.upper()}" for name in by_network for key in keys)]
        lines = [
            [rows[0].name, *(cell for row in rows for cell in _cells(row.figures, keys))]
            for rows in zip(*by_network.values(), strict=True)
        ]
        averages = [means(rows, pooled) for rows in by_network.values()]
        lines.append(["mean of pictures", *(cell for one in averages for cell in _cells(one, keys))])
        if pooled:
            empty = ["-"] * (len(keys) - 1)
            lines.append(["pooled MSE", *(cell for one in averages for cell in [f"{one['pooled_psnr']:.2f}", *empty])])
        blocks += [f"{title}, {protocol} ({PROTOCOLS[protocol].source})", text_table.lay_out(header, lines), ""]
    return "\n".join(blocks)


def _cells(figures: dict[str, float], keys: Sequence[str]) -> list[str]:
    return [f"{figures[key]:.2f}" if key == "psnr" else f"{figures[key]:.4f}" for key in keys]


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _progress(items: Iterable[Item], name: str) -> Iterable[Item]:
    from tqdm import tqdm

    return tqdm(items, desc=name, disable=None, leave=False)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("evaluate", __doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", help="folder of pictures, set, or evaluation file .h5")
    parser.add_argument(
        "--weights", metavar="FILE", help="safetensors of a run, or published weights (default: the kit's own FSRCNN)"
    )
    parser.add_argument(
        "--model", choices=MODELS, metavar="NAME", help="the network; weights of this kit name it themselves"
    )
    parser.add_argument("--scale", type=int, metavar="N", help="factor (default: the weights' own, 4 without)")
    parser.add_argument(
        "--protocol", nargs="+", choices=PROTOCOLS, default=["y_crop_s"], metavar="NAME", help=", ".join(PROTOCOLS)
    )
    parser.add_argument("--fsim", action="store_true", help="add FSIM on Y, uncropped (pictures of 48 px or more)")
    parser.add_argument("--pooled", action="store_true", help="add dB of the squared error pooled over all pictures")
    parser.add_argument("--kind", choices=picture_sets.KINDS, default="bicubic", help="which LR_ folder of a set")
    parser.add_argument("--resizer", choices=SHRINKERS, help="make low resolution by this, whatever the set brings")
    parser.add_argument("--ensemble", action="store_true", help="average 8 flips and rotations before rounding")
    parser.add_argument(
        "--tile-px", type=int, metavar="PX", help="tile side at low resolution (default: whole picture)"
    )
    parser.add_argument("--save", metavar="FOLDER", help="keep the pictures in FOLDER/SET_MODEL_xN/")
    parser.add_argument("--time", action="store_true", help="time the forward pass as the FSRCNN document does")
    parser.add_argument("--time-batch", type=int, default=timing.Runs.batch, metavar="N", help="pictures a run (8)")
    parser.add_argument("--warm-up", type=int, default=timing.Runs.warm_up, metavar="N", help="runs not counted (100)")
    parser.add_argument("--iterations", type=int, default=timing.Runs.iterations, metavar="N", help="runs timed (1000)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--half", action="store_true", help="bf16 activations")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _act(args: argparse.Namespace) -> int:
    runs = timing.Runs(batch=args.time_batch, warm_up=args.warm_up, iterations=args.iterations)
    if runs != timing.Runs() and not args.time:
        raise cli.UsageError("--time-batch, --warm-up and --iterations have no effect without --time")
    if args.tile_px is not None and args.tile_px < 1:
        raise cli.UsageError(f"--tile-px {args.tile_px}: expected 1 or more")
    device = weights.pick_device(args.device)
    network = weights.load(args.weights, args.model, args.scale, device, args.half)
    networks = [network]
    if network.spec.name != "bicubic":
        networks.append(weights.load(None, "bicubic", network.scale, device))
    options = Options(ensemble=args.ensemble, tile_px=args.tile_px)
    results = []
    for source in _sources(args):
        save = Path(args.save) / f"{source.name}_{network.spec.name}_x{network.scale}" if args.save else None
        table = evaluate(networks, source, args.protocol, options, save, args.fsim)
        times = time_network(network, source, options, runs) if args.time else None
        results.append(_result(network, source, table, times, args))
        if not args.json:
            _print(network, source, table, times, args)
    if args.json:
        print(json.dumps({"sets": results}, indent=2))
    return 0


def _sources(args: argparse.Namespace) -> list[Source]:
    sources = [Source(folder=Path(folder), kind=args.kind, resizer=args.resizer) for folder in args.folders]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if args.save and twice:
        raise ValueError(f"--save: two sets are named {', '.join(twice)}; evaluate them one by one")
    return sources


def _result(
    network: Network, source: Source, table: Table, times: timing.Times | None, args: argparse.Namespace
) -> dict[str, Any]:
    result = {"set": str(source.folder), "scale": network.scale, "model": network.spec.name, "ensemble": args.ensemble}
    result |= {"resizer": source.resizer, "protocols": as_json(table, args.pooled)}
    if times is not None:
        result["time"] = {"median_ms": times.median_ms, "batch": args.time_batch, "device": str(network.device)}
    return result


def _print(
    network: Network, source: Source, table: Table, times: timing.Times | None, args: argparse.Namespace
) -> None:
    made = f", shrunk by {source.resizer}" if source.resizer else ""
    print(as_text(table, f"{source.name} x{network.scale}{made}", args.pooled))
    if times is not None:
        print(
            f"{network.spec.name}: {times.median_ms:.2f} ms a batch of {args.time_batch} on {network.device}, "
            f"median of {args.iterations} runs after {args.warm_up} warm-up"
        )


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _act, argv)


if __name__ == "__main__":
    raise SystemExit(main())

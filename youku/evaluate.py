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
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from youku import cli, files
from youku.engines import choice, half
from youku.engines.network import Network
from youku.inference import evaluation, picture_scores
from youku.inference.evaluation import PROTOCOLS
from youku.inference.picture_scores import PictureSet, Runs
from youku.models import MODELS
from youku.video import picture_sets
from youku.video.resize import SHRINKERS


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("evaluate", __doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", help="folder of pictures, set, or evaluation file .h5")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="safetensors of a run, published weights, or export's .onnx (default: the kit's own for clean input)",
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
    cli.add_flags(parser, Runs)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    choice.add_flag(parser)
    half.add_flag(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _run(args: argparse.Namespace) -> int:
    runs = Runs(time_batch=args.time_batch, warm_up=args.warm_up, iterations=args.iterations)
    if runs != Runs() and not args.time:
        raise cli.UsageError("--time-batch, --warm-up and --iterations have no effect without --time")
    if args.tile_px is not None and args.tile_px < 1:
        raise cli.UsageError(f"--tile-px {args.tile_px}: expected 1 or more")
    from youku.engines import torch_engine, weights  # with torch, which --help does without

    device = torch_engine.pick_device(args.device)
    is_half = half.chosen(args.dtype, device, cli.say) is not None
    network = weights.load(args.weights, args.model, args.scale, device, is_half)
    half.warn_if_slower(network, cli.say)
    networks = [choice.with_engine(network, args.engine, cli.say)]
    if networks[0].spec.name != "bicubic":
        networks.append(weights.load(None, "bicubic", networks[0].scale, device))
    files.protect(args.weights, *(path for folder in args.folders for path in [Path(folder), *Path(folder).rglob("*")]))
    results = [_evaluate(networks, pictures, runs, args) for pictures in _sets(args)]
    if args.json:
        print(json.dumps({"sets": results}, indent=2))
    return 0


def _evaluate(
    networks: Sequence[Network], pictures: PictureSet, runs: Runs, args: argparse.Namespace
) -> dict[str, Any]:
    """The result of one set as data; printed as text on the way where that is wanted."""
    from youku.inference.pipeline import Options

    network, options = networks[0], Options(ensemble=args.ensemble, tile_px=args.tile_px)
    name, scale = network.spec.name, network.scale
    watch = partial(cli.watch, is_kept=False, unit="it")
    of_pictures = partial(watch, name=f"{pictures.name} x{scale}")
    keep = _folder_to_keep(pictures, f"{name}_x{scale}", args)
    scores = picture_scores.score_all(networks, pictures, args.protocol, options, keep, args.fsim, of_pictures)
    result = {"set": str(pictures.folder), "scale": scale, "model": name, "ensemble": args.ensemble}
    result |= {"resizer": pictures.resizer, "protocols": picture_scores.as_json(scores, args.pooled)}
    if not args.json:
        made = f", shrunk by {pictures.resizer}" if pictures.resizer else ""
        print(picture_scores.as_text(scores, f"{pictures.name} x{scale}{made}", args.pooled))
    if args.time:
        inputs = [evaluation.picture_input(network, sample.low) for sample in picture_scores.samples(pictures, scale)]
        median_ms, _ = picture_scores.measure_ms(network, inputs, options, runs, partial(watch, name="timing"))
        result["time"] = {"median_ms": median_ms, "batch": args.time_batch, "device": str(network.device)}
        if not args.json:
            print(
                f"{name}: {median_ms:.2f} ms a batch of {args.time_batch} on {network.device}, "
                f"median of {args.iterations} runs after {args.warm_up} warm-up"
            )
    return result


def _sets(args: argparse.Namespace) -> list[PictureSet]:
    sets = [PictureSet(folder=Path(folder), kind=args.kind, resizer=args.resizer) for folder in args.folders]
    names = [pictures.name for pictures in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if args.save and twice:
        raise ValueError(f"--save: two sets are named {', '.join(twice)}; evaluate them one by one")
    return sets


def _folder_to_keep(pictures: PictureSet, made_by: str, args: argparse.Namespace) -> Path | None:
    """Where --save puts the pictures of a set: never into the folder that they came from."""
    if not args.save:
        return None
    folder, source = Path(args.save) / f"{pictures.name}_{made_by}", pictures.folder.resolve()
    if source == folder.resolve() or source in folder.resolve().parents:
        raise ValueError(
            f"--save {folder}: lies in {pictures.folder}, whose pictures are the input; name another folder"
        )
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())

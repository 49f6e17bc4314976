"""Evaluate a network on test pictures under named protocols: PSNR and SSIM of each picture, beside bicubic and Lanczos.

FOLDER is a folder of pictures, a set in Set5's layout (HR/, LR_bicubic/X4/) or DIV2K's, or an evaluation file of
FSRCNN-pytorch (x.h5) -> a table on stdout, or JSON. Low resolution that a set does not bring is made by MATLAB's
bicubic; `--resizer` makes it by another in any case. The mean is that of the pictures' dB, as in the papers;
`--pooled` adds dB of the pooled squared error. `--save` keeps the pictures, `--time` runs the FSRCNN document's
benchmark. Protocols and their sources: youku/inference/evaluation.py.

With --truth, FOLDERs hold pictures that exist already, each named as its truth (or with more behind), made by whatever.

    python -m youku evaluate bench/Set5 --weights runs/fsrcnn/best.safetensors --protocol y_crop_s rgb_crop_s
    python -m youku evaluate calendar_GT --low calendar_LRx4_BI --protocol vid4
    python -m youku evaluate mine/ theirs/ --truth bench/Set5/HR --scale 4 --protocol all
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from youku import cli, files
from youku.engines import choice, half, mean
from youku.engines.network import Network
from youku.inference import evaluation, picture_scores, still, timing
from youku.inference.evaluation import PROTOCOLS
from youku.inference.jobs import choose_weights
from youku.inference.picture_scores import PictureSet
from youku.inference.timing import Runs
from youku.models import MODELS, UNTRAINED
from youku.video import file_names, picture_sets
from youku.video.resize import SHRINKERS


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", metavar="FOLDER", nargs="+", help="folder of pictures, set, or evaluation file .h5")
    add("--truth", metavar="SET", help="FOLDERs are pictures to compare with those of SET; no network")
    choice.add_weights(parser)
    add("--model", choices=MODELS, metavar="NAME", help="the network; weights of this kit name it themselves")
    add("--scale", type=int, metavar="N", help="factor (default: the weights' own, 4 without)")
    text = f"{', '.join(PROTOCOLS)}; all: every one of single pictures"
    add("--protocol", nargs="+", choices=("all", *PROTOCOLS), default=["y_crop_s"], metavar="NAME", help=text)
    add("--low", metavar="FOLDER", help="the low resolution, where the set does not bring it")
    add("--fsim", action="store_true", help="add FSIM on Y, uncropped (pictures of 48 px or more)")
    add("--pooled", action="store_true", help="add dB of the squared error pooled over all pictures")
    add("--kind", choices=picture_sets.KINDS, default="bicubic", help="which LR_ folder of a set")
    add("--resizer", choices=SHRINKERS, help="make low resolution by this, whatever the set brings")
    add("--ensemble", action="store_true", help="average 8 flips and rotations before rounding (NETWORK+)")
    add("--tile-px", type=int, metavar="PX", help="tile side at low resolution (default: whole picture)")
    add("--save", metavar="FOLDER", help="keep the pictures in FOLDER/SET_MODEL_xN/")
    add("--time", action="store_true", help="time the forward pass as the FSRCNN document does")
    cli.add_flags(parser, Runs)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    choice.add_flag(parser)
    half.add_flag(parser)
    add("--json", action="store_true", help="print the result as JSON")


def _run(args: argparse.Namespace) -> int:
    results = _run_made(args) if args.truth else _run_networks(args)
    if args.json:
        print(json.dumps({"sets": results}, indent=2))
    return 0


def _run_made(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Figures of pictures that exist already."""
    own = {"folders", "truth", "scale", "protocol", "fsim", "pooled", "json", "words"}
    default_of = main.parser().get_default
    if idle := [name.replace("_", "-") for name in vars(args).keys() - own if vars(args)[name] != default_of(name)]:
        raise cli.UsageError(f"--{min(idle)} has no effect on pictures that exist already; drop it or --truth")
    scale, truth, folders = args.scale or 4, PictureSet(folder=Path(args.truth)), [Path(name) for name in args.folders]
    protocols = evaluation.of_names(args.protocol, scale)
    scores = picture_scores.score_made(folders, truth, scale, protocols, args.fsim, cli.each)
    result = {"set": args.truth, "scale": scale, "protocols": picture_scores.as_json(scores, args.pooled)}
    if not args.json:
        print(picture_scores.as_text(scores, f"{truth.name} x{scale}", args.pooled))
    return [result]


def _run_networks(args: argparse.Namespace) -> list[dict[str, Any]]:
    runs = Runs(time_batch=args.time_batch, warm_up=args.warm_up, iterations=args.iterations)
    if runs != Runs() and not args.time:
        raise cli.UsageError("--time-batch, --warm-up and --iterations have no effect without --time")
    if args.tile_px is not None and args.tile_px < 1:
        raise cli.UsageError(f"--tile-px {args.tile_px}: expected 1 or more")
    chosen, own = choose_weights(None, bool(args.weights), args.model, args.scale, args.quality, args.input)
    network = mean.load(
        args.weights or [chosen], args.model, args.scale, args.device, args.dtype, [args.engine], cli.say
    )
    if own:
        cli.say(f"{network.spec.name} x{network.scale}{own}")
    if args.ensemble:  # EDSR+, as the papers name it, in every table and folder
        network = replace(network, spec=replace(network.spec, name=f"{network.spec.name}+"))
    from youku.engines import weights  # with torch, which --help does without

    others = [name for name in UNTRAINED if name != network.spec.name]
    networks = [network, *(weights.load(None, name, network.scale, network.device) for name in others)]
    files.protect(
        *network.paths, *(path for folder in args.folders for path in [Path(folder), *Path(folder).rglob("*")])
    )
    file_names.check_folder(args.save or "")
    sets = picture_scores.find_sets(args.folders, args.kind, args.resizer, args.low, bool(args.save))
    return [_evaluate(networks, pictures, runs, args) for pictures in sets]


def _evaluate(
    networks: Sequence[Network], pictures: PictureSet, runs: Runs, args: argparse.Namespace
) -> dict[str, Any]:
    """The result of one set as data; printed as text on the way where that is wanted."""
    from youku.inference.pipeline import Options

    network, options = networks[0], Options(ensemble=args.ensemble, tile_px=args.tile_px)
    name, scale = network.spec.name, network.scale
    watch = partial(cli.watch, is_kept=False, unit="it")
    of_pictures = partial(watch, name=f"{pictures.name} x{scale}")
    keep = picture_scores.folder_to_keep(pictures, network, options, args.save)
    protocols = evaluation.of_names(args.protocol, scale)
    scores = picture_scores.score_all(networks, pictures, protocols, options, keep, args.fsim, of_pictures, cli.each)
    result = {"set": str(pictures.folder), "scale": scale, "model": name, "ensemble": args.ensemble}
    result |= {"resizer": pictures.resizer, "protocols": picture_scores.as_json(scores, args.pooled)}
    if not args.json:
        made = f", shrunk by {pictures.resizer}" if pictures.resizer else ""
        print(picture_scores.as_text(scores, f"{pictures.name} x{scale}{made}", args.pooled))
    if args.time:
        found = picture_scores.samples(pictures, scale, each=cli.each)
        inputs = [still.picture_input(network, sample.low) for sample in found]
        result["time"], told = timing.measure(network, inputs, options, runs, partial(watch, name="timing"))
        if not args.json:
            print(told)
    return result


main = cli.Verb("evaluate", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())

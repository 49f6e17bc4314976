"""Look into a clip or a weights file, told apart by what the file holds (an .onnx file tells its metadata).

A clip (y4m or any video): header, planes' statistics, range, cuts, bars, grey or colour, sharpness, information
measures and whether super-resolution can be expected to help -> text or --json; --png draws the luma histogram and the
change from frame to frame. Measures after the old-film report (D.2, D.4).

Weights (safetensors, .pth), also VGG's as the losses read them: the network, every layer's numbers, vanished weights;
--png draws a histogram a layer, --features the maps that a layer makes of a picture, --checkerboard looks for a grid.
Vanishing-weight check and feature maps after the same report (4.4.2, 5.1.7), checkerboard after Odena et al. 2016.

    python -m youku inspect old_film.mkv --png film.png
    python -m youku inspect runs/fsrcnn/best.safetensors --checkerboard
    python -m youku inspect runs/fsrcnn/best.safetensors --features first.0 --picture in.png --out maps
    python -m youku inspect vgg19.pth --features relu2_2 --picture in.png --out maps
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from youku import cli, files
from youku.looking import clip_summary
from youku.models import MODELS
from youku.pages import plots

OF_WEIGHTS = ("model", "scale", "layers", "histogram", "features", "picture", "out", "checkerboard")  # not of a clip


def _run_clip(args: argparse.Namespace, path: Path) -> None:
    _refuse(args, OF_WEIGHTS, f"for weights, {args.file} holds none; drop it, or name a weights file")
    if args.max_frames is not None and args.max_frames < 1:
        raise cli.UsageError(f"--max-frames {args.max_frames}: expected 1 or more")
    found = clip_summary.summarise_clip(path, args.max_frames, partial(cli.watch, is_kept=False))
    if args.png:
        title = f"{path.name}: {found.header.size}, frames: {found.counted}"
        clip_summary.draw_clip(found.survey, title, args.png)
        cli.say(f"{args.png}: luma histogram and change from frame to frame")
    cli.answer(args, {"clip": str(path), **clip_summary.clip_as_json(found)}, clip_summary.clip_text(found))


def _run_weights(args: argparse.Namespace, path: Path) -> None:
    from youku.engines import torch_engine, weights
    from youku.looking import feature_maps, weights_summary

    loss_network = _check_weights_flags(args)
    device = torch_engine.pick_device(args.device)
    if loss_network:
        layer = args.features or feature_maps.DEEPEST
        about = {"layers": f"up to {layer}"}
        network = feature_maps.open_loss_network(loss_network, args.file, layer, device)
    else:
        network, about = weights.load(args.file, args.model, args.scale, device, look=True), weights.read(args.file)[1]
    found = weights_summary.summarise_weights(network, about, args.layers, args.checkerboard)
    written, title = [], f"{path.name}: {found.network.spec.name} x{found.network.scale}"
    if args.png:
        number = weights_summary.draw_histograms(found.state, title, args.png)
        written.append(f"{args.png}: histograms of {number} weight tensors")
    if args.features:
        written.append(feature_maps.write_sheet(found.network, loss_network, args.features, args.picture, args.out))
    told = weights_summary.weights_text(found, args.histogram)
    cli.answer(args, weights_summary.weights_as_json(found), told)
    sys.stderr.writelines(f"{line}\n" for line in written)


def _run(args: argparse.Namespace) -> int:
    from youku.engines import weights  # with torch, which --help does without
    from youku.looking import weights_summary

    path = Path(args.file)
    files.protect(path, args.picture)
    if args.png:
        plots.check_png(args.png)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; check the path")
    if path.is_dir():
        raise ValueError(f"{path}: expected a clip or a weights file, found a folder; name the file")
    if weights.is_graph(path):
        _refuse(args, (*OF_WEIGHTS, "png", "max_frames"), f"{path} is an exported network; inspect its weights instead")
        print(weights_summary.graph_text(path, args.json))
    elif weights_summary.is_weights(path):
        _run_weights(args, path)
    else:
        _run_clip(args, path)
    return 0


def _check_weights_flags(args: argparse.Namespace) -> str | None:
    """UsageError for flags that do not go together; the name of the loss network that the file holds, if it does."""
    from youku.looking import feature_maps

    asked = [bool(args.features), bool(args.picture), bool(args.out)]
    if any(asked) and not all(asked):
        raise cli.UsageError("--features LAYER, --picture IN.png and --out DIR go together; give all three or none")
    if args.json and args.histogram:
        raise cli.UsageError("--histogram is text and --json is for programs; drop one of them")
    if args.max_frames is not None:
        raise cli.UsageError(f"--max-frames is for clips, {args.file} holds weights; drop it")
    net = feature_maps.loss_network_of(args.file)
    if net and (senseless := [f"--{name}" for name in ("model", "scale", "checkerboard") if vars(args)[name]]):
        raise ValueError(
            f"{args.file}: holds weights of {net}, through which losses look and which enlarges nothing; "
            f"drop {', '.join(senseless)}"
        )
    return net


def _refuse(args: argparse.Namespace, flags: Sequence[str], why: str) -> None:
    if wrong := [f"--{name.replace('_', '-')}" for name in flags if vars(args)[name]]:
        raise cli.UsageError(f"{', '.join(wrong)}: {why}")


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", help="clip (y4m, any video), weights (anyone's, VGG's) or an .onnx file")
    add("--max-frames", type=int, metavar="N", help="of a clip, look at the first N frames")
    add("--model", metavar="NAME", choices=list(MODELS), help="network, where weights name none")
    add("--scale", type=int, metavar="N", help="its enlargement, where the file does not name it")
    add("--layers", default="", metavar="PREFIX", help="only tensors whose name begins so")
    add("--histogram", action="store_true", help="also each tensor's histogram as text")
    add("--png", metavar="FILE", help="draw histograms of a clip or of every tensor (matplotlib)")
    add("--features", metavar="LAYER", help="save what this layer makes of --picture into --out")
    add("--picture", metavar="IN.png", help="input picture of --features")
    add("--out", metavar="DIR", help="folder for DIR/LAYER.png, all maps on one sheet")
    add("--checkerboard", action="store_true", help="look for a grid on flat and sloping gray")
    add("--device", default="cpu", help="auto, cpu, cuda or mps (default cpu)")
    add("--json", action="store_true", help="machine-readable on stdout")


main = cli.Verb("inspect", __doc__, _add_flags, _run, opens_videos=True)

if __name__ == "__main__":
    raise SystemExit(main())

"""Look into a clip or a weights file, told apart by what the file holds.

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
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from torch import Tensor

from youku import cli
from youku.engines import pickles, weights
from youku.engines.weights import Network
from youku.looking import checkerboard, clip_facts, clip_page, inspection, vgg_layers, weight_facts
from youku.looking.checkerboard import Finding
from youku.models import MODELS
from youku.video import clips, ffmpeg, pictures
from youku.video.clips import Opened


def is_weights(path: Path) -> bool:
    """Whether the file is weights by its first bytes or, where it may be damaged, by its name."""
    if path.suffix in (".safetensors", ".npz") or pickles.is_pickle(path):
        return True
    with path.open("rb") as file:  # safetensors: eight bytes of length, then JSON
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


@contextmanager
def open_clip(path: Path) -> Iterator[Opened]:
    """`clips.open_clip` of all frames; ValueError says that the file is no weights either."""
    try:
        with clips.open_clip(path) as opened:
            yield opened
    except ffmpeg.NoVideoError:
        raise ValueError(
            f"{path}: is neither weights (safetensors, .pth) nor a clip (y4m, a video that ffmpeg reads); check the file"
        ) from None


def inspect_clip(path: Path, num_frames: int | None, png: str | None, as_data: bool) -> int:
    """Everything there is to say about a clip or its first `num_frames` frames."""
    from tqdm import tqdm

    with open_clip(path) as opened:
        header, known = opened.header, opened.num_frames
        total = min(known, num_frames or known) if known else num_frames
        bar = tqdm(
            islice(opened.frames, num_frames), total=total, unit="frame", leave=False, disable=not sys.stderr.isatty()
        )
        found = clip_facts.gather(header, bar, is_decoded=known is None, most_frames=num_frames, clip_frames=known)
    if png:
        clip_page.draw(found.survey, f"{path.name}: {header.width}x{header.height}, {found.counted} frames", png)
        print(f"{png}: luma histogram and change from frame to frame", file=sys.stderr)
    print(
        json.dumps({"clip": str(path), **clip_facts.as_json(found)}, indent=2)
        if as_data
        else clip_facts.describe(found)
    )
    return 0


def inspect_weights(args: argparse.Namespace) -> int:
    """Everything there is to say about a weights file."""
    net, device = vgg_layers.judge_of(args.file), weights.pick_device(args.device)
    if net:
        _check_judge_flags(net, args)
        layer = args.features or vgg_layers.DEEPEST
        network, about = vgg_layers.open_judge(net, args.file, layer, device), {"layers": f"up to {layer}"}
    else:
        network = weights.load(args.file, args.model, args.scale, device, look=True)
        about = weights.read(args.file)[1]
    state = {name: value for name, value in network.module.state_dict().items() if name.startswith(args.layers)}
    if not state:
        raise ValueError(
            f"--layers {args.layers}: no tensor of {network.spec.name} begins so; it has "
            f"{', '.join(list(network.module.state_dict())[:6]) or 'no weights at all'}"
        )
    statistics = inspection.summarise(state)
    warnings = inspection.complaints(statistics)
    finding = look_for_grid(network) if args.checkerboard else None
    written = [*draw(args, network, state), *dump_features(args, network, net)]
    if args.json:
        print(json.dumps(weight_facts.as_json(network, about, statistics, warnings, finding), indent=2))
    else:
        print(weight_facts.describe(network, about, statistics, warnings))
        if args.histogram:
            print("\n" + weight_facts.describe_histograms(state))
        if finding:
            print("\n" + weight_facts.describe_finding(finding))
    for line in written:
        print(line, file=sys.stderr)
    return 0


def look_for_grid(network: Network) -> Finding:
    """The checkerboard check with the network's own planes, scale and halo."""
    spec = network.spec
    num_channels = spec.channels * spec.num_frames
    return checkerboard.examine(
        network.module, num_channels, network.scale, spec.halo_px(network.scale), network.device
    )


def draw(args: argparse.Namespace, network: Network, state: Mapping[str, Tensor]) -> list[str]:
    """The histogram picture, if asked for; what was written."""
    if not args.png:
        return []
    title = f"{Path(args.file).name}: {network.spec.name} x{network.scale}"
    number = inspection.draw_histograms(state, title, args.png)
    return [f"{args.png}: histograms of {number} weight tensors"]


def dump_features(args: argparse.Namespace, network: Network, net: str | None) -> list[str]:
    """The contact sheet of a layer's maps, if asked for; what was written."""
    if not args.features:
        return []
    x = inspection.picture_input(network, pictures.read_rgb(args.picture))
    maps = inspection.feature_maps(network, vgg_layers.module_name(net, args.features, x) if net else args.features, x)
    path = Path(args.out) / f"{args.features}.png"
    if path.exists() and path.samefile(args.picture):
        raise ValueError(f"--out {args.out}: {path.name} there is the input picture; name another folder")
    inspection.save_png(path, inspection.contact_sheet(maps))
    number, height, width = maps.shape
    return [
        f"{path}: {number} maps of {width}x{height}, each from its least (black) to its most (white), "
        f"{inspection.num_flat(maps)} of them flat (gray)"
    ]


def _run(args: argparse.Namespace) -> int:
    path = Path(args.file)
    if args.png and not args.png.lower().endswith(".png"):
        raise cli.UsageError(f"--png {args.png}: expected a name that ends in .png")
    if path.is_dir() or not path.exists():
        found = "a folder" if path.is_dir() else "nothing"
        raise ValueError(f"{path}: expected a clip or a weights file, found {found}; name the file")
    if not is_weights(path):
        _check_clip_flags(args)
        return inspect_clip(path, args.frames, args.png, args.json)
    asked = [bool(args.features), bool(args.picture), bool(args.out)]
    if any(asked) and not all(asked):
        raise cli.UsageError("--features LAYER, --picture IN.png and --out DIR go together; give all three or none")
    if args.json and args.histogram:
        raise cli.UsageError("--histogram is text and --json is for programs; drop one of them")
    if args.frames is not None:
        raise cli.UsageError(f"--frames is for clips, {path} holds weights; drop it")
    return inspect_weights(args)


def _check_judge_flags(net: str, args: argparse.Namespace) -> None:
    given = {"--model": args.model, "--scale": args.scale, "--checkerboard": args.checkerboard}
    senseless = [flag for flag, value in given.items() if value]
    if senseless:
        raise ValueError(
            f"{args.file}: holds weights of {net}, through which losses look and which enlarges nothing; "
            f"drop {', '.join(senseless)}"
        )


def _check_clip_flags(args: argparse.Namespace) -> None:
    """UsageError where a flag of weights is given with a clip, or a clip that the picture would replace."""
    given = {
        "--model": args.model, "--scale": args.scale, "--layers": args.layers, "--histogram": args.histogram,
        "--features": args.features, "--picture": args.picture, "--out": args.out, "--checkerboard": args.checkerboard,
    }  # fmt: skip
    wrong = [flag for flag, value in given.items() if value]
    if wrong:
        raise cli.UsageError(
            f"{', '.join(wrong)}: for weights, {args.file} holds none; drop it, or name a weights file"
        )
    if args.frames is not None and args.frames < 1:
        raise cli.UsageError(f"--frames {args.frames}: expected 1 or more")
    if args.png and Path(args.png).exists() and Path(args.png).samefile(args.file):
        raise cli.UsageError(f"--png {args.png}: is the clip itself; name another file")


def make_parser() -> argparse.ArgumentParser:
    """The verb's command line."""
    parser = cli.make_parser("inspect", __doc__)
    parser.add_argument("file", metavar="FILE", help="clip (y4m, any video) or weights (of a run, anyone's, or VGG's)")
    parser.add_argument("--frames", type=int, metavar="N", help="of a clip, look at the first N frames")
    parser.add_argument(
        "--model", metavar="NAME", choices=list(MODELS), help="network, where the weights file does not name it"
    )
    parser.add_argument("--scale", type=int, metavar="N", help="its enlargement, where the file does not name it")
    parser.add_argument("--layers", default="", metavar="PREFIX", help="only tensors whose name begins so")
    parser.add_argument("--histogram", action="store_true", help="also each tensor's histogram as text")
    parser.add_argument(
        "--png", metavar="FILE", help="draw histograms of a clip or of every weight tensor (matplotlib)"
    )
    parser.add_argument("--features", metavar="LAYER", help="save what this layer makes of --picture into --out")
    parser.add_argument("--picture", metavar="IN.png", help="input picture of --features")
    parser.add_argument("--out", metavar="DIR", help="folder for DIR/LAYER.png, all maps on one sheet")
    parser.add_argument("--checkerboard", action="store_true", help="look for a grid on flat and sloping gray")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or mps (default cpu)")
    parser.add_argument("--json", action="store_true", help="machine-readable on stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())

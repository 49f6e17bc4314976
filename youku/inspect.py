"""Look into a weights file: its network, every layer's numbers, vanished weights, feature maps, the checkerboard.

In: a safetensors file (runs/NAME/best.safetensors), or VGG16's or VGG19's weights as the losses read them (.pth,
.safetensors, .npz; layers are named relu2_2 and so on). Out: tables on stdout, warnings among them; pictures where asked
for: --png draws a histogram a layer, --features the maps that a layer makes of a picture. Vanishing-weight check and
feature maps after the old-film restoration report (4.4.2, 5.1.7), checkerboard after Odena et al. 2016.

    python -m youku inspect runs/fsrcnn/best.safetensors --checkerboard
    python -m youku inspect runs/fsrcnn/best.safetensors --features first.0 --picture in.png --out maps
    python -m youku inspect vgg19.pth --features relu2_2 --picture in.png --out maps
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from youku import cli, table
from youku.inference import checkerboard, inspection, weights
from youku.inference.checkerboard import Finding
from youku.inference.inspection import Statistics
from youku.inference.weights import Network
from youku.models import MODELS
from youku.models.spec import ModelSpec
from youku.training import vgg
from youku.video import pictures

NUM_BINS = 16
BAR_WIDTH = 50
DEEPEST = "pool5"  # of VGG, which is looked at as far as --features asks


def inspect_weights(args: argparse.Namespace) -> int:
    """Everything there is to say about a weights file."""
    judge = judge_of(args.file)
    if judge:
        network, about = open_judge(judge, args), {"layers": f"up to {args.features or DEEPEST}"}
    else:
        network = weights.load(args.file, args.model, args.scale, weights.pick_device(args.device), look=True)
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
    written = [*draw(args, network, state), *dump_features(args, network, judge)]
    if args.json:
        print(json.dumps(as_json(network, about, statistics, warnings, finding), indent=2))
    else:
        print(show(network, about, statistics, warnings))
        if args.histogram:
            print("\n" + show_histograms(state))
        if finding:
            print("\n" + show_finding(finding))
    for line in written:
        print(line, file=sys.stderr)
    return 0


def judge_of(file: str) -> str | None:
    """ "vgg16" or "vgg19" for weights of one, by the keys of its convolutions; None for any other file.

    A file cut off before the two differ counts as vgg16; one of another VGG as vgg19, whose loading says what differs.
    """
    path = Path(file)
    if path.suffix == ".npz" and path.is_file():
        inside = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        keys = {name for name in inside if name.startswith("conv") and name.endswith("_W.npy")}
    else:
        state, about = weights.read(path)
        first = state.get("features.0.weight")
        if "model" in about or first is None or first.shape != (64, 3, 3, 3):
            return None
        keys = {key for key in state if key.startswith("features.") and key.endswith(".weight")}
    for net in vgg.CONVS_PER_BLOCK:
        convs = [(index, name) for index, name in enumerate(vgg.layer_names(net)) if name.startswith("conv")]
        if keys <= {key for index, name in convs for key in (f"features.{index}.weight", f"{name}_W.npy")}:
            return net
    return "vgg19"


def open_judge(net: str, args: argparse.Namespace) -> Network:
    """VGG up to the layer asked for; ValueError for flags that only a network that enlarges has."""
    given = {"--model": args.model, "--scale": args.scale, "--checkerboard": args.checkerboard}
    senseless = [flag for flag, value in given.items() if value]
    if senseless:
        raise ValueError(
            f"{args.file}: holds weights of {net}, through which losses look and which enlarges nothing; "
            f"drop {', '.join(senseless)}"
        )
    device = weights.pick_device(args.device)
    module = vgg.load(net, args.file, [args.features or DEEPEST], device)
    source = "Simonyan and Zisserman 2015, arXiv:1409.1556; losses look through it"
    spec = ModelSpec(
        name=net, build=lambda scale: module, colours="rgb", halo_px=lambda scale: 0, source=source, trainable=False
    )
    return Network(spec, 1, module, device, path=Path(args.file))


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


def dump_features(args: argparse.Namespace, network: Network, judge: str | None) -> list[str]:
    """The contact sheet of a layer's maps, if asked for; what was written."""
    if not args.features:
        return []
    x = inspection.picture_input(network, pictures.read_rgb(args.picture))
    maps = inspection.feature_maps(network, judge_layer(judge, args, x) if judge else args.features, x)
    path = Path(args.out) / f"{args.features}.png"
    if path.exists() and path.samefile(args.picture):
        raise ValueError(f"--out {args.out}: {path.name} there is the input picture; name another folder")
    inspection.save_png(path, inspection.contact_sheet(maps))
    number, height, width = maps.shape
    return [
        f"{path}: {number} maps of {width}x{height}, each from its least (black) to its most (white), "
        f"{inspection.num_flat(maps)} of them flat (gray)"
    ]


def judge_layer(net: str, args: argparse.Namespace, x: Tensor) -> str:
    """The module inside `vgg.Features` that relu2_2 or such is; ValueError where its maximums leave nothing of `x`."""
    height, width = x.shape[-2:]
    least_px = 2 ** (int(args.features[4]) - (not args.features.startswith("pool")))
    if min(height, width) < least_px:
        raise ValueError(
            f"--picture {args.picture}: is {width}x{height}, and {net} halves it on the way to {args.features}; "
            f"give one of at least {least_px}x{least_px}"
        )
    return f"features.{vgg.layer_names(net).index(args.features)}"


def show(network: Network, about: Mapping[str, str], statistics: Sequence[Statistics], warnings: Sequence[str]) -> str:
    """Network, metadata, one line a tensor, warnings or the all-clear."""
    num_values = sum(value.numel() for value in network.module.parameters())
    factor = f" x{network.scale}" if network.scale > 1 else ""
    lines = [f"network    {network.spec.name}{factor}, {num_values:,} parameters ({network.spec.source})"]
    lines += [f"{key:<11}{value}" for key, value in sorted(about.items()) if key not in ("model", "scale")]
    rows = [
        [entry.name, "x".join(map(str, entry.shape)) or "one"]
        + [f"{value:.3g}" for value in (entry.mean, entry.std, entry.least, entry.most, entry.median_magnitude)]
        + [f"{entry.vanished:.1%}"]
        for entry in statistics
    ]
    header = ["tensor", "shape", "mean", "std", "min", "max", "median |w|", "|w| < 1e-30"]
    lines += ["", table.lay_out(header, rows), ""]
    lines += [f"warning: {warning}" for warning in warnings] or ["no weight tensor has vanished or broken values"]
    return "\n".join(lines)


def show_histograms(state: Mapping[str, Tensor]) -> str:
    """Bars of each tensor's values between its least and its most."""
    blocks = []
    for name, value in state.items():
        bins = inspection.histogram(value, NUM_BINS) if value.is_floating_point() and value.numel() > 1 else []
        if not bins:
            continue
        tallest = max(count for _, _, count in bins)
        rows = [
            f"  {low:>10.3g} .. {high:>10.3g}  {count:>9,}  {'#' * round(BAR_WIDTH * count / tallest)}".rstrip()
            for low, high, count in bins
        ]
        blocks.append("\n".join([f"{name} ({value.numel():,} values)", *rows]))
    return "\n\n".join(blocks)


def show_finding(finding: Finding) -> str:
    """The strongest line an input, the steps on a ramp, the verdict."""
    rows = [
        [line.source, line.pattern, f"{line.codes:.3f}", f"{line.surrounding_codes:.3f}", "yes" if line.fires else "no"]
        for line in finding.lines
    ]
    header = ["input", "strongest line", "code values", "around it", "counts"]
    steps = f"steps on a ramp: {finding.steps:.2f} of an input pixel's step (0 smooth, 0.25 to 0.4 repeated pixels)"
    return "\n".join([table.lay_out(header, rows), steps, f"verdict: {finding.verdict}"])


def as_json(
    network: Network,
    about: Mapping[str, str],
    statistics: Sequence[Statistics],
    warnings: Sequence[str],
    finding: Finding | None,
) -> dict[str, object]:
    """The same for programs."""
    found: dict[str, object] = {
        "model": network.spec.name,
        "scale": network.scale,
        "metadata": dict(about),
        "tensors": [asdict(entry) for entry in statistics],
        "warnings": list(warnings),
    }
    if finding:
        lines = [{**asdict(line), "pattern": line.pattern, "fires": line.fires} for line in finding.lines]
        found["checkerboard"] = {
            "fires": finding.fires,
            "verdict": finding.verdict,
            "steps": finding.steps,
            "lines": lines,
        }
    return found


def _run(args: argparse.Namespace) -> int:
    asked = [bool(args.features), bool(args.picture), bool(args.out)]
    if any(asked) and not all(asked):
        raise cli.UsageError("--features LAYER, --picture IN.png and --out DIR go together; give all three or none")
    if args.json and args.histogram:
        raise cli.UsageError("--histogram is text and --json is for programs; drop one of them")
    if args.png and not args.png.lower().endswith(".png"):
        raise cli.UsageError(f"--png {args.png}: expected a name that ends in .png")
    return inspect_weights(args)


def make_parser() -> argparse.ArgumentParser:
    """The verb's command line."""
    parser = cli.make_parser("inspect", __doc__)
    parser.add_argument("file", metavar="WEIGHTS", help="weights file: best.safetensors of a run, anyone's, or VGG's")
    parser.add_argument(
        "--model", metavar="NAME", choices=list(MODELS), help="network, where the weights file does not name it"
    )
    parser.add_argument("--scale", type=int, metavar="N", help="its enlargement, where the file does not name it")
    parser.add_argument("--layers", default="", metavar="PREFIX", help="only tensors whose name begins so")
    parser.add_argument("--histogram", action="store_true", help="also each tensor's histogram as text")
    parser.add_argument("--png", metavar="FILE", help="draw every weight tensor's histogram into FILE (matplotlib)")
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

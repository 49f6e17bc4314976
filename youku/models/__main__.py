"""List the networks with what they cost and see, or show one network layer by layer.

In: nothing, or a network's name. Out: a table on stdout: parameters, multiply-adds for an input size (convolutions
only; with --trident also the lecture slides' MACC and FLOPs), receptive field in input pixels (side of the square that
the outputs of one input pixel depend on, from the margin that tiles get: 2 x halo + 1, up to 2 more than --measure
finds; "whole" = the whole picture), planes, frames, source.

    python -m youku models
    python -m youku models fsrcnn --scale 3 --input 352x288
    python -m youku models --conv 33,9,0,1
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict

from youku import cli, text_table
from youku.models import MODELS, figures, spec_of


def all_as_text(entries: Sequence[dict], trident: bool) -> str:
    """The table of networks."""
    header = ["network", "planes", "frames", "scales", "at", "parameters", "GMAC", *["MACC", "FLOPs"] * trident]
    rows = []
    for entry in entries:
        scales = "any of " * entry["any_scale"] + ",".join(map(str, entry["scales"]))
        row = [entry["name"], entry["colours"], str(entry["frames"]), scales, f"x{entry['scale']}"]
        row += [f"{entry['parameters']:,}", f"{entry['macs'] / 1e9:.2f}"]
        row += [f"{entry['trident_macc']:,}", f"{entry['trident_flops']:,}"] * trident
        field = "whole" if entry["receptive_field_px"] is None else str(entry["receptive_field_px"])
        rows.append([*row, field, "yes" if entry["bf16_safe"] else "no", entry["source"]])
    return text_table.lay_out([*header, "field px", "half", "source"], rows)


def _run(args: argparse.Namespace) -> int:
    if args.conv:
        _show_conv(args)
    elif args.name is not None:
        _show_one(args)
    elif args.print or args.measure:
        raise cli.UsageError("--print and --measure show one network: name it, as in `models fsrcnn --print`")
    else:
        _show_all(args)
    return 0


def _show_conv(args: argparse.Namespace) -> None:
    if args.name or args.scale or args.input or args.trident or args.print or args.measure:
        raise cli.UsageError("--conv is a calculator and goes with --json alone; drop the rest")
    input_px, kernel_px, padding_px, stride = args.conv
    side = figures.output_px(input_px, kernel_px, padding_px, stride)
    unused_px = (input_px - kernel_px + 2 * padding_px) % stride
    if args.json:
        print(json.dumps({"output_px": side, "unused_px": unused_px}))
        return
    print(f"({input_px} - {kernel_px} + 2 x {padding_px}) / {stride} + 1 = {side}")
    if unused_px:
        print(f"rounded down: the stride leaves the last {unused_px} px of the padded input unused")


def _show_all(args: argparse.Namespace) -> None:
    width, height = args.input or figures.INPUT
    entries = figures.at(args.scale)
    if (width, height) != figures.INPUT:
        from youku.models import cost  # with torch and every network: what is counted already needs none

        entries = [cost.network_as_json(MODELS[one["name"]], one["scale"], width, height)[0] for one in entries]
    published = [[entry["name"], *entry["download"].values()] for entry in entries if entry["download"]]
    cli.answer(
        args,
        entries,
        all_as_text(entries, args.trident),
        f"\nfor one {width}x{height} input; `python -m youku models NAME` shows its layers\n",
        "weights that authors publish; --weights knows them by their keys, at other widths and depths too",
        text_table.lay_out(["network", "on GitHub", "licence", "trained on"], published),
    )


def _show_one(args: argparse.Namespace) -> None:
    from youku.models import cost as costs  # with torch

    if args.name not in MODELS:
        raise ValueError(f"model {args.name[:60]!r}: {text_table.expected(args.name, MODELS)}")
    scale = args.scale or figures.usual_scale(MODELS[args.name].scales)
    spec = spec_of(args.name, scale)
    width, height = args.input or figures.INPUT
    entry, cost = costs.network_as_json(spec, scale, width, height)
    if args.measure:
        if not spec.local:
            raise cli.UsageError(f"--measure: {spec.name} looks at the whole picture, there is nothing to measure")
        if not spec.trainable:
            raise cli.UsageError(f"--measure: {spec.name} has no weights; its halo is exact by definition")
        entry["measured_receptive_field_px"] = costs.measure_receptive_field_px(spec, scale)
    texts = [all_as_text([entry], args.trident)]
    texts.append(f"\nlayers for one {width}x{height} input (output = channels x height x width)")
    texts.append(text_table.lay_out(*costs.layer_table(cost, args.trident)))
    if args.measure:
        texts.append(f"\nreceptive field measured by gradients: {entry['measured_receptive_field_px']} px")
    if args.print:
        texts.append(f"\n{spec.build(scale)}")
    cli.answer(args, {**entry, "layers": [asdict(layer) for layer in cost.layers]}, *texts)


def _whole_numbers(pattern: str, expected: str) -> Callable[[str], tuple[int, ...]]:
    def read(text: str) -> tuple[int, ...]:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return tuple(map(int, re.findall(r"\d+", text)))

    return read


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    size = _whole_numbers(r"[1-9]\d{0,4}x[1-9]\d{0,4}", "WIDTHxHEIGHT as in 480x270")
    four = _whole_numbers(r"\d{1,6}(,\d{1,6}){3}", "W,F,P,S as in 33,9,0,1")
    add("name", nargs="?", metavar="NAME", help="show this network layer by layer")
    add("--input", type=size, metavar="WxH", help="input size that costs are for (default 480x270)")
    add("--scale", type=int, metavar="N", help="enlargement (default 4, or the network's largest)")
    add("--trident", action="store_true", help="also MACC and FLOPs as on the lecture slides")
    add("--print", action="store_true", help="with NAME: also the nested structure, as torch prints it")
    add("--measure", action="store_true", help="with NAME: measure the receptive field by gradients")
    add("--conv", type=four, metavar="W,F,P,S", help="output size for input W, kernel F, padding P, stride S")
    add("--json", action="store_true", help="machine-readable on stdout")


main = cli.Verb("models", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())

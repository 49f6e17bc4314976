"""Export a network to one ONNX file that other programs run: any batch, height and width, checked against torch.

WEIGHTS is a weights file (of this kit, or published), OUT.onnx the file. Before anything is written, every runtime that is
installed runs the graph on parts of three photographs, one of odd size; the table of largest differences from torch is
printed, and more than 0.1 codes (fp16: 2) are an error. Input and output are floats, 0 black and 1 white, luma or RGB in
planes; with --planes the uint8 planes of 4:2:0 video, so that a runner needs no colour code, compared with predict's
(1 code, fp16: 3). The file's metadata says scale, colours, range, licence and how the weights were trained. What other
programs do with it: docs/elsewhere.md. `predict` and `evaluate` take the file as --weights.

    python -m youku export runs/demo/best.safetensors demo.onnx
    python -m youku export runs/demo/best.safetensors demo.pt2
    python -m youku export vdsr.safetensors vdsr.onnx --scale 3 --precision fp16

Needs: pip install onnxruntime onnx onnxscript (or openvino in place of onnxruntime).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from youku import cli, files, text_table
from youku.models import MODELS
from youku.video import color


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("weights", metavar="WEIGHTS", help="best.safetensors of a run, its folder, or published weights")
    add("target", metavar="OUT", help="OUT.onnx, or OUT.pt2, which torch runs without this kit")
    add("--model", choices=list(MODELS), metavar="NAME", help="network, where the file does not name it")
    add("--scale", type=int, metavar="N", help="factor, where the file does not name it")
    add("--opset", type=int, default=18, metavar="N", help="ONNX operator set, 18 (default) to 23")
    add("--precision", choices=("fp32", "fp16"), default="fp32", help="of layers, input and output")
    text = "uint8 4:2:0 planes in and out, colours converted within; of RGB networks by MATRIX (601), such as 709"
    add("--planes", nargs="?", const="601", choices=list(color.MATRICES), metavar="MATRIX", help=text)
    add("--licence", metavar="TEXT", help="for the metadata, where the weights file does not state it")


def _run(args: argparse.Namespace) -> int:
    from youku.engines import graph, graph_engine, onnx_file, torch_engine, weights
    from youku.inference import plane_parity

    suffix = Path(args.target).suffix.lower()
    is_package = suffix == onnx_file.PACKAGE_SUFFIX
    if suffix not in (suffixes := (onnx_file.SUFFIX, onnx_file.PACKAGE_SUFFIX)):
        raise cli.UsageError(f"{args.target}: expected a name that ends in {' or '.join(suffixes)}")
    if is_package and args.opset != graph.OPSET:
        raise cli.UsageError(f"--opset {args.opset} has no effect on {onnx_file.PACKAGE_SUFFIX}; drop it")
    if not graph.OPSET <= args.opset <= graph.MOST_OPSET:
        raise cli.UsageError(f"--opset {args.opset}: expected {graph.OPSET} to {graph.MOST_OPSET}")
    path = weights.find(args.weights)
    if not is_package and not (onnx_file.installed() and graph.can_export()):
        raise ValueError("export needs packages that are not installed; run pip install onnxruntime onnx onnxscript")
    files.protect(path)
    files.refuse_target(args.target)
    card = weights.read(path)[1]
    network = weights.load(path, args.model, args.scale, torch_engine.pick_device("cpu"))
    is_half = args.precision == "fp16"
    if is_half and not network.spec.bf16_safe:
        raise ValueError(f"model {network.spec.name}: loses accuracy in 16 bit; take --precision fp32")
    about = onnx_file.about(network, card, args.precision, args.licence, args.planes or "")
    coded = network.spec.colours.coded(args.planes, False) if args.planes else None
    if is_package:
        runtimes = [graph_engine.Runtime("torch", graph.open_package)]
        data = graph.package(network, about, is_half, coded)
    else:
        runtimes = onnx_file.installed()
        data = graph.export(network, about, args.opset, is_half, coded)
    if args.planes:
        found = plane_parity.measure(network, data, args.planes, runtimes)
    else:
        found = onnx_file.parity(network, data, runtimes)
    rows = [[one.picture, one.runtime, f"{one.codes:.2g}", f"{100 * one.rounded:.3f} %"] for one in found]
    print(text_table.lay_out(["picture", "runtime", "largest difference (codes)", "rounded otherwise"], rows))
    onnx_file.require_parity(found, args.precision, 1.0 if args.planes else 0.0)
    with files.atomic_write(args.target) as file:
        file.write(data)
    form = "torch.export" if is_package else f"opset {args.opset}"
    size = f"{len(data) / 1e6:.1f} MB, {form}, {args.precision}"
    cli.show(f"{args.target}: {network.spec.name} x{network.scale}, {network.spec.colours.name}, {size}")
    return 0


main = cli.Verb("export", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())

"""What 16 bit costs: mean PSNR of a picture set (Y, the factor off each side) by dtype, and how far the network's output moves.

python benchmarks/dtypes.py Set5 [--weights FILE ...] [--models fsrcnn pairs-s] [--scale 4] [--device auto]
A processor computes in fp16 too, slowly: the figures are of numbers, not of speed.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from machine import describe

from youku.engines import torch_engine, weights
from youku.engines.half import FLOAT32
from youku.engines.network import Network
from youku.engines.torch_engine import TORCH_TYPES, TorchEngine
from youku.inference import evaluation, picture_scores, still
from youku.inference.picture_scores import PictureSet, Sample
from youku.inference.pipeline import Options


def told(network: Network, samples: Sequence[Sample]) -> str:
    """PSNR and the largest distance from float32's output in codes, for each dtype."""
    exact, parts = cast(TorchEngine, network.engine), []
    inputs = [tuple(part.to(network.device) for part in still.picture_input(network, one.low)) for one in samples]
    for dtype in TORCH_TYPES:
        own = replace(network, engine=replace(exact, dtype=dtype))
        errors = [
            evaluation.error(still.enlarge(own, one.low, Options()), one.high, "y_crop_s", network.scale)
            for one in samples
        ]
        parts.append(f"{dtype} {statistics.mean(one.psnr for one in errors):.3f}")
        if dtype != FLOAT32:
            pairs = [(exact.step(x, ())[0], own.engine.step(x, ())[0]) for x in inputs]
            codes = max(
                float((a - b).abs().max()) * 255 for one, other in pairs for a, b in zip(one, other, strict=True)
            )
            parts[-1] += f" ({codes:.2f} codes)"
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--models", nargs="*", default=["fsrcnn", "pairs-s"])
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = torch_engine.pick_device(args.device)
    print(f"{describe()}; {args.folder.name} x{args.scale}")
    samples = list(picture_scores.samples(PictureSet(folder=args.folder), args.scale))
    for file, model in [*((None, model) for model in args.models), *((file, None) for file in args.weights)]:
        network = weights.load(file, model, args.scale, device)
        with torch.inference_mode():
            print(f"{network.spec.name:<14}{told(network, samples)}")


if __name__ == "__main__":
    main()

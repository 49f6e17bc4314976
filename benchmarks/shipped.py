"""The kit's networks of one scale on the first pair of folders that `degrade` made: PSNR in dB of frames spread over the clip.

python -m youku degrade street.264 street --preset youku && python benchmarks/shipped.py street
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from youku import text_table
from youku.engines import shipped, weights
from youku.inference import pipeline
from youku.metrics import psnr
from youku.training.pairs import ClipPair, find_pairs
from youku.video import interpolate
from youku.video.y4m import Planes


def figures(preds: Iterable[Planes], highs: Sequence[Planes]) -> list[str]:
    """PSNR of Y, of all samples and of U and V together, each a mean over the frames."""
    rows = []
    for pred, high in zip(preds, highs, strict=True):
        errors = [np.square(own.astype(np.float64) - truth) for own, truth in zip(pred, high, strict=True)]
        chroma = psnr.decibels(float(np.mean(errors[1:])))
        rows.append([psnr.decibels(float(errors[0].mean())), psnr.yuv(pred, high, 8), chroma])
    return [f"{value:.2f}" for value in np.mean(rows, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--scale", type=int, default=4)
    args = parser.parse_args()
    for folder in args.folders:
        pair = find_pairs([str(folder)], args.scale)[0]
        assert isinstance(pair, ClipPair), f"{folder}: holds pictures, expected clips"
        indices = [int(pair.num_frames * (at + 0.5) / args.frames) for at in range(args.frames)]
        lows, highs = (list(map(clip.frame, indices)) for clip in (pair.low, pair.high))
        header = pair.low.header
        rows = [["bicubic", *figures((interpolate.upscale(low, header, args.scale) for low in lows), highs)]]
        for entry in shipped.SHIPPED:
            if entry.scale == args.scale:
                network = weights.load(entry.path, None, None, torch.device("cpu"))
                outputs = pipeline.upscale_frames(network, header, lows, pipeline.Options())
                rows.append([f"{entry.model}, {entry.trained_on}", *figures(outputs, highs)])
        print(f"{folder}: frames {', '.join(map(str, indices))}")
        print(text_table.lay_out([f"x{args.scale}", "Y", "yuv", "U, V"], rows))


if __name__ == "__main__":
    main()

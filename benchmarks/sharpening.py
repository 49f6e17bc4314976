"""What an unsharp mask on a submission's luma does to PSNR, VMAF and VMAF NEG: it games VMAF and betters no picture.

Scored submissions (folders with score.json, ground truth where it says) -> a table a clip: the mask of
`predict --sharpen` over sigma x amount, on shipped frames, rounded again. Of each submission the worst and the median
clip by PSNR are taken, four neighbouring frames from the middle. The grid is the one in which the contest's optimum lies
for interpolators and for networks trained on PSNR alike.

Run: python benchmarks/sharpening.py [SUBMISSION ...] [--high FOLDER]      (default: all in submissions/)
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from youku import contest
from youku.exchange.scorefile import read_score
from youku.exchange.submission import open_submission
from youku.inference.pipeline import sharpen
from youku.metrics import psnr, vmaf
from youku.text_table import lay_out
from youku.video import resize, y4m
from youku.video.y4m import Header, Planes

SIGMAS_PX = (0.8, 1.5, 2.0, 3.0)
AMOUNTS = (0.25, 0.5, 0.75, 1.0)
NUM_FRAMES = 4
HEADS = ("sigma px", "amount", "PSNR", "VMAF", "VMAF NEG", "score", "gain")


def choose(clips: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any], range]]:
    """(why, clip, positions of neighbours in its middle): the worst and the median by PSNR, of those sent whole if any."""
    whole = [clip for clip in clips if clip["whole"]] or list(clips)
    known = sorted((clip["submission"]["psnr"], clip["id"], clip) for clip in whole if clip["submission"]["psnr"])
    chosen = []
    for place, why in {0: "lowest PSNR", (len(known) - 1) // 2: "median PSNR"}.items() if known else ():
        clip = known[place][2]
        start = max(0, (len(clip["frames"]) - NUM_FRAMES) // 2)
        chosen.append((why, clip, range(len(clip["frames"]))[start : start + NUM_FRAMES]))
    return chosen


def sharpened(planes: Planes, header: Header, sigma_px: float, amount: float) -> Planes:
    """A frame with the mask on its luma, rounded to the clip's integers; amount 0 gives the frame itself."""
    if amount == 0:
        return planes
    luma = sharpen(torch.from_numpy(planes[0].astype(np.float32))[None], sigma_px, amount)[0]  # (H, W), code values
    return resize.to_integers(luma.numpy(), header.depth), *planes[1:]


def sweep(preds: Sequence[Planes], highs: Sequence[Planes], header: Header, reading: dict[str, str]) -> list[list[str]]:
    """A row a point of the grid, the first without a mask; each figure a mean over the frames."""
    rows, bare = [], None
    for sigma_px, amount in [(0.0, 0.0), *itertools.product(SIGMAS_PX, AMOUNTS)]:
        frames = [sharpened(planes, header, sigma_px, amount) for planes in preds]
        decibels = psnr.mean(
            [psnr.frame(a, b, header)[reading["psnr_planes"]] for a, b in zip(frames, highs, strict=True)]
        )
        result = vmaf.measure(frames, highs, header, reading["vmaf_model"])
        score = contest.score(decibels, vmaf.pool(result.vmaf))
        bare = score if bare is None else bare
        figures = (decibels, vmaf.pool(result.vmaf), vmaf.pool(result.neg), score)
        rows.append([f"{sigma_px}", f"{amount}", *(f"{figure:.3f}" for figure in figures), f"{score - bare:+.3f}"])
    return rows


def report(folder: Path, high: Path | None) -> None:
    """Print the tables of one submission."""
    score = read_score(folder)
    zips = sorted(folder.glob("*.zip"))
    submission = open_submission(zips[0] if zips else score["paths"]["submission"])
    for why, clip, positions in choose(score["clips"]):
        with submission.open(clip["file"]) as reader:
            preds = list(itertools.islice(reader, positions.start, positions.stop))
        truth = y4m.Clip((high or Path(score["paths"]["high"])) / clip["high"])
        shown = [clip["frames"][position] for position in positions]
        rows = sweep(preds, [truth.frame(index) for index in shown], truth.header, score["protocol"])
        print(f"{score['name']}, clip {clip['id']} ({why}), frames {', '.join(map(str, shown))}")
        print(lay_out(HEADS, rows) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submissions", nargs="*", type=Path, help="folders with a score.json")
    parser.add_argument("--high", type=Path, help="folder of the ground truth (default: where score.json found it)")
    args = parser.parse_args(argv)
    folders = args.submissions or sorted(path.parent for path in Path("submissions").glob("*/score.json"))
    if not folders:
        print("no scored submission in submissions/: nothing to sharpen", file=sys.stderr)
    for folder in folders:
        report(folder, args.high)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

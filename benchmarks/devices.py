"""Training with two processes of one thread against one process of two threads, at the same total batch and seed.

Steps a second, in turns, from each run's own log; and how far the loss curves lie apart over the steps.

python benchmarks/devices.py [--steps 200] [--repeats 2] [--model fsrcnn] [--batch 16] [--patch-px 48]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import bar, describe, median_ratio

from youku import contest
from youku.video import interpolate, standin, y4m

NUM_PAIRS, NUM_FRAMES = 4, 6


def write_pairs(folder: Path) -> None:
    for clip_id in range(NUM_PAIRS):
        scene = standin.Scene(clip_id, ("astronaut", "coffee", "chelsea", "rocket")[clip_id : clip_id + 1], 480, 272)
        high, low = (folder / name(clip_id) for name in (contest.high_name, contest.low_name))
        with y4m.create(high, scene.header) as large, y4m.create(low, scene.header.resized(120, 68)) as small:
            for planes in standin.scene_frames(scene, NUM_FRAMES):
                large.write(planes)
                small.write(interpolate.downscale(planes, scene.header, 4))


def train(folder: Path, name: str, devices: int, args: argparse.Namespace) -> list[dict[str, float]]:
    """The lines of the log of one run."""
    settings = {
        "data": folder / "clips", "runs": folder / "runs", "name": name, "steps": args.steps, "log-every": 10,
        "val-every": 10 * args.steps, "val-metric": "psnr", "model": args.model, "batch": args.batch,
        "patch-px": args.patch_px, "device": "cpu", "workers": 1,
    }  # fmt: skip
    line = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    line += ["--devices", str(devices)] if devices > 1 else []
    threads = str(2 // devices)
    command = [sys.executable, "-m", "youku.train", *line]
    environ = {**os.environ, "OMP_NUM_THREADS": threads}
    subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [json.loads(text) for text in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]
    return [one for one in lines if "loss" in one]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", default="fsrcnn")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch-px", type=int, default=48)
    args = parser.parse_args()
    speeds: list[list[float]] = [[], []]
    curves: list[list[float]] = []
    with tempfile.TemporaryDirectory() as name:
        write_pairs(Path(name) / "clips")
        for turn in range(args.repeats):
            for devices in (1, 2):
                log = train(Path(name), f"{devices}-{turn}", devices, args)
                speeds[devices - 1].append(statistics.median(one["steps_per_sec"] for one in log[1:] or log))
                curves.append([one["loss"] for one in log])
    one, two = curves[:2]
    apart = max(abs(a - b) / abs(a) for a, b in zip(one, two, strict=True))
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    for what, found in zip(("1 process, 2 threads", "2 processes"), speeds, strict=True):
        print(f"{what:<24}{', '.join(f'{speed:.2f}' for speed in found)} steps/s")
    bar("steps/s of two processes, of one with two threads", median_ratio(speeds[0], speeds[1]), 0.9)
    print(f"largest relative difference of the loss over {args.steps} steps: {apart:.1e} (bar 1e-04)")


if __name__ == "__main__":
    main()

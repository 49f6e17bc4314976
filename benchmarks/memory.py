"""Peak memory of predict on a clip of 1080p output: 10 frames against 1,000, each in a process of its own.

python benchmarks/memory.py [--frames 1000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe

from youku.video import standin, y4m

PREDICT = [sys.executable, "-m", "youku", "predict", "-", "-", "--quality", "fast", "--device", "cpu"]


def peak_mb(source: Path, num_frames: int) -> float:
    """Peak resident memory of `predict - -` over `num_frames` frames through pipes."""
    clip = y4m.Clip(source)
    process = subprocess.Popen(PREDICT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    writer = y4m.Writer(process.stdin, clip.header)
    for index in range(num_frames):
        writer.write(clip.frame(index % clip.num_frames))
    process.stdin.close()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        scene = standin.Scene(0, ("astronaut",), 480, 270)
        path = Path(folder) / "low.y4m"
        with y4m.create(path, scene.header) as writer:
            for planes in standin.scene_frames(scene, 10):
                writer.write(planes)
        few, many = peak_mb(path, 10), peak_mb(path, args.frames)
    print(f"peak memory: {few:.0f} MB for 10 frames, {many:.0f} MB for {args.frames}: ratio {many / few:.3f}")


if __name__ == "__main__":
    main()

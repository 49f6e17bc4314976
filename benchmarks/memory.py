"""Peak memory: predict on a clip of 1080p output, 10 frames against 1,000; train on 1,000 pairs of 1080p clips.

Each in a process of its own. Of train that of its own counts, which the system cannot take back: the clips' pages, which
are memory-mapped, it can. They are one clip of 100 frames with 1,000 names.

python benchmarks/memory.py [--frames 1000] [--pairs 1000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from youku import contest
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


TRAIN = [sys.executable, "-m", "youku", "train", "--steps", "200", "--val-every", "200", "--val-metric", "psnr"]


def training_mb(folder: Path, num_pairs: int) -> float:
    """Most memory of its own that a short training of FSRCNN on so many clip pairs has at a time."""
    for path, size in ((folder / "low.y4m", (480, 270)), (folder / "high.y4m", (1920, 1080))):
        header = y4m.make_header(*size)
        with open(path, "wb") as file:  # of holes: black frames that take no room
            file.write(header.encode())
            for _ in range(100):
                file.write(b"FRAME\n")
                file.seek(header.frame_bytes, os.SEEK_CUR)
            file.truncate(file.tell())
    (data := folder / "pairs").mkdir()
    for number in range(num_pairs):
        (data / contest.low_name(number)).hardlink_to(folder / "low.y4m")
        (data / contest.high_name(number)).hardlink_to(folder / "high.y4m")
    command = [*TRAIN, "--data", str(data), "--runs", str(folder / "runs"), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most_kb = 0
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        most_kb = max([most_kb, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        time.sleep(0.05)
    assert process.returncode == 0
    return most_kb / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=1000)
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
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"train, {args.pairs} pairs of 1080p: {training_mb(Path(folder), args.pairs):.0f} MB of its own (bar: 1,500)"
        )


if __name__ == "__main__":
    main()

"""What many clips of 100 frames cost: processor seconds a clip of each stage, measured on a short one, times their number.

A 480x270 stand-in clip goes through predict by one thread; storage is what y4m takes. An index of a
million names is split among a hundred machines, and two shards of a folder run at once against one run of it.

python benchmarks/scale.py [--frames 20] [--names 1000000]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from youku import contest, text_table
from youku.shards import Shard
from youku.video import standin, y4m

FRAMES = 100
NUMBERS = (10**3, 10**5, 10**7)


def cpu_sec(*words: str) -> float:
    """Processor seconds of a verb in a process of its own, on one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "youku", *words], check=True, env=environ, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def per_clip(words: list[str], source: Path, twice: Path) -> float:
    """Seconds of 100 frames, start-up left out: from a short clip and one of twice its length."""
    short, long = (cpu_sec(*(word.replace("IN", str(path)) for word in words)) for path in (source, twice))
    return max(0.0, long - short) / (y4m.Clip(twice).num_frames - y4m.Clip(source).num_frames) * FRAMES


def write(path: Path, num_frames: int, width: int = 480, height: int = 272) -> Path:
    scene = standin.Scene(0, ("astronaut",), width, height)
    with y4m.create(path, scene.header) as writer:
        for planes in standin.scene_frames(scene, num_frames):
            writer.write(planes)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--names", type=int, default=10**6)
    args = parser.parse_args()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    began = time.process_time()
    sizes = [19_440_000 + 7 * index % 1_000_003 for index in range(args.names)]
    loads = [len(Shard(number, 100).pick(range(args.names), sizes.__getitem__)) for number in (1, 100)]
    print(
        f"{args.names} names split among 100: {(time.process_time() - began) / 2:.1f} s a machine, {loads[0]} clips each"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, twice = write(folder / "a.y4m", args.frames), write(folder / "b.y4m", 2 * args.frames)
        out = str(folder / "out.y4m")
        stages = {
            "predict, fast": ["predict", "IN", out, "--quality", "fast", "--engine", "torch", "--force"],
            "predict, balanced": ["predict", "IN", out, "--quality", "balanced", "--engine", "torch", "--force"],
        }
        rows = []
        for what, words in stages.items():
            sec = per_clip(words, source, twice)
            rows.append([what, f"{sec:.1f}", *(f"{sec * number / 3600:,.1f}" for number in NUMBERS)])
        clips = folder / "many"
        for clip_id in range(8):
            write(clips / contest.low_name(clip_id), 6)
        line = [sys.executable, "-m", "youku", "predict", str(clips)]
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        began = time.monotonic()
        subprocess.run([*line, str(folder / "one"), "--quality", "fast"], check=True, env=environ, capture_output=True)
        one, began = time.monotonic() - began, time.monotonic()
        both = [
            subprocess.Popen(
                [*line, str(folder / "two"), "--quality", "fast", "--shard", f"{shard}/2"],
                env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for shard in (1, 2)
        ]  # fmt: skip
        assert [process.wait() for process in both] == [0, 0]
        two = time.monotonic() - began
        for path in (folder / "one").glob("*.y4m"):
            assert path.read_bytes() == (folder / "two" / path.name).read_bytes()
    print(f"8 clips as two shards at once: {one / two:.2f} times as fast as one run, start-up included, the same bytes")
    heads = ["stage", "CPU s a clip", *(f"hours of {number:.0e}" for number in NUMBERS)]
    print(text_table.lay_out(heads, rows))
    low, high = (FRAMES * (y4m.make_header(*size).frame_bytes + 6) for size in ((480, 270), (1920, 1080)))
    for what, size in (("low clips", low), ("high clips", high)):
        print(
            f"{what}: {size / 1e6:.1f} MB each; " + ", ".join(f"{size * n / 1e12:,.2f} TB of {n:.0e}" for n in NUMBERS)
        )
    hours = (low + high) * 8 / 1e9 / 3600
    print("at 1 Gbit/s, low in and high out: " + ", ".join(f"{hours * n:,.1f} h of {n:.0e}" for n in NUMBERS))


if __name__ == "__main__":
    main()

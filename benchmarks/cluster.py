"""Many clips through `predict --cluster auto`, a worker a core, against one process that has all cores.

480x270 stand-in clips, FSRCNN, torch, in turns; the start-up of each is its second run, which finds all up to date.

python benchmarks/cluster.py [--clips 50] [--frames 6] [--repeats 2]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import bar, describe, median_ratio
from scale import write

from youku import contest

WAYS = {"one process": [], "cluster": ["--cluster", "auto"]}


def seconds(folder: Path, way: str) -> float:
    line = [sys.executable, "-m", "youku", "predict", "low", way, "--quality", "fast", "--engine", "torch", *WAYS[way]]
    began = time.monotonic()
    subprocess.run(line, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=50)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    start_sec, work_sec = ({way: list[float]() for way in WAYS} for _ in range(2))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip_id in range(args.clips):
            write(folder / "low" / contest.low_name(clip_id), args.frames, 480, 270)
        for _ in range(args.repeats):
            for way in WAYS:
                shutil.rmtree(folder / way, ignore_errors=True)
                all_sec = seconds(folder, way)
                start_sec[way].append(seconds(folder, way))
                work_sec[way].append(all_sec - start_sec[way][-1])
        one, many = (folder / way for way in WAYS)
        for path in one.glob("*.y4m"):
            assert path.read_bytes() == (many / path.name).read_bytes()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}; {args.clips} clips of {args.frames} frames, the same bytes")
    for way in WAYS:
        print(f"{way:<12} {statistics.median(work_sec[way]):.1f} s, start-up {statistics.median(start_sec[way]):.1f} s")
    bar("clips/s of the cluster, of one process", median_ratio(work_sec["cluster"], work_sec["one process"]), 0.9)


if __name__ == "__main__":
    main()

"""Patches of a y4m clip in a bucket, read by range, against those of the same file here: at first, and once they are cached.

A 1080p clip behind moto's S3 server on the loopback, 192x192 patches as the trainer takes them, in turns.

pip install s3fs 'moto[server]'; python benchmarks/bucket.py [--frames 30] [--patches 500] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import fsspec
import numpy as np
from machine import bar, describe, interleaved, median_ratio
from moto.server import ThreadedMotoServer
from patches import HEIGHT, SIZE_PX, by_clip, write_clip

from youku import contest, copies
from youku.video import y4m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--patches", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        path = Path(folder, contest.high_name(0))
        write_clip(path, args.frames)
        system = fsspec.filesystem("s3")
        system.mkdir("clips")
        system.put_file(str(path), f"clips/train/{path.name}")
        rng = np.random.default_rng(1)
        tops, lefts = (
            rng.integers(0, (HEIGHT - SIZE_PX) // 2 + 1, args.patches) * 2,
            rng.integers(0, 865, args.patches) * 2,
        )
        boxes = list(
            zip(rng.integers(0, args.frames, args.patches).tolist(), tops.tolist(), lefts.tolist(), strict=True)
        )
        here, there = y4m.Clip(path), y4m.Clip(Path(copies.local("s3://clips/train", by_range=True), path.name))
        began = time.perf_counter()
        cold = by_clip(there, boxes)
        cold_sec = time.perf_counter() - began
        for ours, theirs in zip(cold, by_clip(here, boxes), strict=True):
            assert all(map(np.array_equal, ours, theirs))
        local_sec, bucket_sec = interleaved([lambda: by_clip(here, boxes), lambda: by_clip(there, boxes)], args.rounds)
    server.stop()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    print(f"{args.patches} patches: {1e3 * cold_sec / args.patches:.1f} ms each while {args.frames} frames come")
    cached, local = (1e6 * min(times) / args.patches for times in (bucket_sec, local_sec))
    print(f"once they are cached: {cached:.0f} us, of a file {local:.0f}")
    bar("patches/s from the bucket, cached, of those from a file", median_ratio(bucket_sec, local_sec), 0.5)


if __name__ == "__main__":
    main()

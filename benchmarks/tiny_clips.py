"""Many tiny clips through predict: milliseconds a clip beyond the network, and how many times it waits for the disk.

The network alone runs on the same frames, which lie in memory, in turns with predict, of which the first run warms up.

python benchmarks/tiny_clips.py [--clips 1000] [--repeats 3] [--size 32x18]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import bar, describe, interleaved

from youku import contest
from youku.engines import shipped, weights
from youku.inference.clip import predict_all
from youku.inference.job_list import list_jobs
from youku.inference.pipeline import Options
from youku.models import colours
from youku.video import y4m

BAR_MS = 15.0
FRAMES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", default="32x18")
    args = parser.parse_args()
    rng, header = np.random.default_rng(0), y4m.make_header(*map(int, args.size.split("x")))
    frames = [tuple(rng.integers(0, 256, shape, np.uint8) for shape in header.plane_shapes) for _ in range(FRAMES)]
    taken = shipped.find(shipped.QUALITIES["fast"], 4)
    assert taken is not None
    network = weights.load(taken.path, None, 4, torch.device("cpu"))
    coded = network.spec.colours.coded("601", False)
    num_syncs, sync, cpu_sec = [0], os.fsync, list[float]()

    def counted(number: int) -> None:
        num_syncs[0] += 1
        sync(number)

    os.fsync = counted
    with tempfile.TemporaryDirectory() as name:
        low = Path(name) / "low"
        for clip_id in range(args.clips):
            with y4m.create(low / contest.low_name(clip_id), header) as writer:
                for planes in frames:
                    writer.write(planes)
        jobs = list_jobs(str(low), f"{name}/high", "all", "val", "x4")

        def verb() -> None:
            num_syncs[0], began = 0, time.process_time()
            predict_all(network, jobs, Options(), force=True)
            cpu_sec.append(time.process_time() - began)

        def bare() -> None:
            with torch.inference_mode():
                for _ in range(args.clips):
                    for planes in frames:
                        x = colours.windows_to_input([[planes]], 8, header.layout, coded, network.device)
                        network.engine.step(x, ())

        ours, theirs = interleaved([verb, bare], args.repeats)
    own_ms, bare_ms = (statistics.median(times) / args.clips * 1e3 for times in (ours, theirs))
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    print(
        f"{args.clips} clips of {FRAMES} frames {args.size}: predict {own_ms:.1f} ms a clip, network {bare_ms:.1f} ms"
    )
    cpu_ms = min(cpu_sec) / args.clips * 1e3
    print(
        f"processor {cpu_ms:.1f} ms a clip, network and all; waits for the disk: {num_syncs[0] / args.clips:.2f} a clip"
    )
    bar(f"of {BAR_MS:.0f} ms beyond the network, used the part 1 / ", BAR_MS / (own_ms - bare_ms), 1.0)


if __name__ == "__main__":
    main()

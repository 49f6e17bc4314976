"""Time random 192x192 Y+U+V patches of a 1080p y4m: y4m.Clip against bare memmap slices and against an ffmpeg pipe.

Bars: at most 1.2 times the bare numpy slices of the same boxes, and at least 10 times faster than decoding one frame
through an ffmpeg pipe. All cut into fresh arrays; the ways take turns, the median of the rounds counts.

Run: python benchmarks/patches.py
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from youku import contest, files
from youku.video import ffmpeg, y4m
from youku.video.recording import open_recording

SIZE_PX = 192
WIDTH, HEIGHT = 1920, 1080
MOST_RATIO, LEAST_SPEEDUP = 1.2, 10.0

Box = tuple[int, int, int]  # frame, top, left


def write_clip(path: Path, num_frames: int) -> y4m.Header:
    """A 1080p clip of noise, so that no two frames share pages."""
    header = y4m.make_header(WIDTH, HEIGHT)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in header.plane_shapes]
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            writer.write(tuple(np.roll(plane, 7 * index, 0) for plane in noise))
    return header


def by_clip(clip: y4m.Clip, boxes: list[Box]) -> list[y4m.Planes]:
    """Patches as the trainer takes them."""
    return [clip.patch(frame, top, left, SIZE_PX, SIZE_PX) for frame, top, left in boxes]


def by_slices(planes: list[np.ndarray], boxes: list[Box]) -> list[y4m.Planes]:
    """The same boxes of three memory maps (frame, row, column), nothing else."""
    luma, *chroma = planes
    out = []
    for frame, top, left in boxes:
        patch = [np.array(luma[frame, top : top + SIZE_PX, left : left + SIZE_PX])]
        for plane in chroma:
            rows, columns = slice(top // 2, (top + SIZE_PX) // 2), slice(left // 2, (left + SIZE_PX) // 2)
            patch.append(np.array(plane[frame, rows, columns]))
        out.append(tuple(patch))
    return out


def bare_maps(path: Path, header: y4m.Header, num_frames: int) -> list[np.ndarray]:
    """Each plane of all frames as a strided view of one numpy memmap; the file's frame lines are all FRAME."""
    start, step = len(header.encode()), header.frame_bytes + len(b"FRAME\n")
    data = np.memmap(path, np.uint8, "r", start, (num_frames, step))
    planes, offset = [], len(b"FRAME\n")
    for height, width in header.plane_shapes:
        part = data[:, offset : offset + height * width]
        planes.append(np.lib.stride_tricks.as_strided(part, (num_frames, height, width), (step, width, 1)))
        offset += height * width
    return planes


def by_pipe(path: Path, num_frames: int) -> int:
    """Decode the whole clip through an ffmpeg pipe; returns the frames read."""
    with open_recording(path) as reader:
        return sum(1 for _ in zip(range(num_frames), reader, strict=False))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def processor() -> str:
    """The processor's name; Linux tells it in /proc only."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="times that each way is measured (default 15)")
    parser.add_argument("--patches", type=int, default=2000, help="patches in a round (default 2000)")
    parser.add_argument("--frames", type=int, default=contest.CLIP_FRAMES, help="frames of the clip (default 100)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.y4m"
        files.require_free(folder, args.frames * contest.HIGH_CLIP_BYTES // contest.CLIP_FRAMES, "the clip")
        return measure(path, args.rounds, args.patches, args.frames)


def measure(path: Path, rounds: int, num_patches: int, num_frames: int) -> int:
    """Print the table; 0 when both bars are met."""
    header = write_clip(path, num_frames)
    rng = np.random.default_rng(1)
    tops, lefts = rng.integers(0, (HEIGHT - SIZE_PX) // 2 + 1, num_patches) * 2, rng.integers(0, 865, num_patches) * 2
    boxes = list(zip(rng.integers(0, num_frames, num_patches).tolist(), tops.tolist(), lefts.tolist(), strict=True))
    clip, planes = y4m.Clip(path, is_mapped=True), bare_maps(path, header, num_frames)
    for ours, bare in zip(by_clip(clip, boxes), by_slices(planes, boxes), strict=True):  # also brings every page in
        assert all(np.array_equal(a, b) for a, b in zip(ours, bare, strict=True))
    ours_sec, bare_sec, pipe_sec = [], [], []
    for _ in range(rounds):
        ours_sec.append(seconds(lambda: by_clip(clip, boxes)) / num_patches)
        bare_sec.append(seconds(lambda: by_slices(planes, boxes)) / num_patches)
    for _ in range(3):
        pipe_sec.append(seconds(lambda: by_pipe(path, num_frames)) / num_frames)
    ours, bare, pipe = (statistics.median(values) for values in (ours_sec, bare_sec, pipe_sec))
    print(f"{platform.system()} {platform.machine()} {processor()}, {os.cpu_count()} cores, "
          f"python {platform.python_version()}, numpy {np.__version__}, ffmpeg {ffmpeg.version()}")  # fmt: skip
    print(f"{SIZE_PX}x{SIZE_PX} Y+U+V patches of a {num_frames}-frame {WIDTH}x{HEIGHT} clip,", end=" ")
    print(f"{rounds} rounds of {num_patches}")
    for name, value in (("bare memmap slices", bare), ("y4m.Clip.patch", ours), ("ffmpeg pipe, one frame", pipe)):
        print(f"  {name:<24}{1e6 * value:>10.1f} us")
    good = [_bar("time / bare slices", ours / bare, MOST_RATIO, ours / bare <= MOST_RATIO, "<=")]
    good.append(_bar("speed / ffmpeg pipe", pipe / ours, LEAST_SPEEDUP, pipe / ours >= LEAST_SPEEDUP, ">="))
    return 0 if all(good) else 1


def _bar(name: str, value: float, bar: float, is_met: bool, sign: str) -> bool:
    print(f"  {name:<24}{value:>10.2f}    bar {sign} {bar:g}: {'met' if is_met else 'MISSED'}")
    return is_met


if __name__ == "__main__":
    sys.exit(main())

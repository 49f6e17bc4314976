"""CPU seconds of whole commands against what they must do: opening, enlarging, shrinking, scoring, starting, and all beside work.

CPU seconds of the command and its children (user and system); wall seconds stand beside them. ffmpeg does the raw work.

python benchmarks/costs.py [--only open degrade score submit start busy] [--repeats 3]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from machine import describe

from youku import contest
from youku.video import ffmpeg, interpolate, standin, y4m

WIDTH, HEIGHT = 1920, 1080
NUM_FRAMES = 60  # of the clips that are shrunk and enlarged
SCORED = contest.test_set("150-159")  # 5 clips whole and 5 sampled


def seconds(line: list[str], env: dict[str, str] | None = None) -> tuple[float, float]:
    """(CPU, wall) of a command with its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        line,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began


def youku(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "youku", *map(str, words)]


def median(acts: list[Callable[[], tuple[float, float]]], repeats: int) -> list[tuple[float, float]]:
    """Medians of (CPU, wall) of rivals that take turns."""
    found: list[list[tuple[float, float]]] = [[] for _ in acts]
    for _ in range(repeats):
        for act, pairs in zip(acts, found, strict=True):
            pairs.append(act())
    return [(statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)) for pairs in found]


def show(what: str, value: float, most: float, unit: str, beside: str = "") -> None:
    print(f"{what:<58}{value:9.2f} {unit:<7} bar at most {most:g}: {'met' if value <= most else 'MISSED'}  {beside}")


def write_scene(path: Path, width: int, height: int, num_frames: int) -> None:
    scene = standin.Scene(0, ("astronaut",), width, height)
    first = list(standin.scene_frames(scene, min(num_frames, 8)))
    with y4m.create(path, scene.header) as writer:
        for index in range(num_frames):
            writer.write(first[index % len(first)])


def measure_open(work: Path, repeats: int) -> None:
    """One clip of 311 MB whose pages are not in memory: what opening takes and reads."""
    path, times, read = work / "cold.y4m", [], []
    write_scene(path, WIDTH, HEIGHT, contest.CLIP_FRAMES)
    for _ in range(max(5, repeats)):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_inblock, time.perf_counter()
        clip = y4m.Clip(path)
        times.append(1e3 * (time.perf_counter() - began))
        read.append((resource.getrusage(resource.RUSAGE_SELF).ru_inblock - before) / 2)
        assert clip.num_frames == contest.CLIP_FRAMES
        del clip
    show("open a cold clip of 311 MB", statistics.median(times), 2, "ms", f"{statistics.median(read):.0f} KiB read")


def measure_degrade(work: Path, repeats: int) -> None:
    """1080p to 480x270 by bicubic against ffmpeg's scaler, both reading y4m and writing y4m."""
    source = work / "high.y4m"
    write_scene(source, WIDTH, HEIGHT, NUM_FRAMES)
    write_scene(one := work / "one.y4m", WIDTH, HEIGHT, 1)  # what a run costs beside its frames
    out = work / "pairs"

    def ours() -> tuple[float, float]:
        shutil.rmtree(out, ignore_errors=True)
        return seconds(youku("degrade", source, out, "--preset", "bicubic"))

    def start() -> tuple[float, float]:
        shutil.rmtree(work / "none", ignore_errors=True)
        return seconds(youku("degrade", one, work / "none", "--preset", "bicubic"))

    line = [ffmpeg.binary(), "-v", "error", "-y", "-i", str(source), "-vf", "scale=480:270:flags=bicubic"]
    # the verb also writes the large clip of the pair, so the rival copies it
    rival = [*line, str(work / "ff.y4m"), "-c:v", "rawvideo", "-pix_fmt", "yuv420p", str(work / "copy.y4m")]
    (cpu, wall), (begin, _), (other, other_wall) = median([ours, start, lambda: seconds(rival)], repeats)
    mine, theirs = 1e3 * (cpu - begin) / (NUM_FRAMES - 1), 1e3 * other / NUM_FRAMES
    beside = f"{mine:.1f} / {theirs:.1f} ms CPU; wall {wall:.1f} / {other_wall:.1f} s"
    show("degrade bicubic 1080p, CPU a frame / ffmpeg's", mine / theirs, 2, "", beside)


def measure_score(work: Path, repeats: int) -> None:
    """score of 5 whole and 5 sampled clips of 20 frames against libvmaf on the whole ones and one read of every plane."""
    pred, clips = work / "pred", work / "clips"
    for folder in (pred, clips):
        folder.mkdir()
    for clip_id in SCORED.ids:
        low, high = clips / contest.low_name(clip_id), clips / contest.high_name(clip_id)
        write_scene(high, WIDTH, HEIGHT, 20)
        clip = y4m.Clip(high)
        small = clip.header.resized(WIDTH // 4, HEIGHT // 4)
        with y4m.create(low, small) as writer:
            for planes in clip:
                writer.write(interpolate.downscale(planes, clip.header, 4))
        with y4m.create(pred / SCORED.name(clip_id), clip.header) as writer:
            for index in SCORED.frames(clip_id, 20):
                writer.write(interpolate.upscale(y4m.Clip(low).frame(index), small, 4))
    line = youku("score", pred, "--low", clips, "--high", clips, "--test-set", str(SCORED), "--out", work)
    cache = {"XDG_CACHE_HOME": str(work / "cache")}
    first = seconds(line, cache)

    def must() -> tuple[float, float]:
        total = [0.0, 0.0]
        for clip_id in SCORED.ids:
            pair = ["-i", str(pred / SCORED.name(clip_id)), "-i", str(clips / contest.high_name(clip_id))]
            act = (
                ["-lavfi", "libvmaf=n_threads=1", "-f", "null", "-"]
                if SCORED.is_whole(clip_id)
                else ["-f", "null", "-"]
            )
            for index, value in enumerate(seconds([ffmpeg.binary(), "-v", "error", *pair, *act])):
                total[index] += value
        return total[0], total[1]

    start = youku("score", "--help")
    acts = [lambda: seconds(line, cache), must, lambda: seconds(start)]
    (cpu, wall), (other, other_wall), (begin, _) = median(acts, repeats)
    beside = f"{cpu:.1f} / {other:.1f} s CPU; wall {wall:.1f} / {other_wall:.1f} s; first run {first[0]:.1f} s CPU"
    show("score of 5 + 5 clips, CPU / libvmaf + reading", (cpu - begin) / other, 2.2, "", beside)


def measure_submit(work: Path, repeats: int) -> None:
    """submit of one clip of 50 frames, checks and reading back with it, against Info-ZIP's deflate; both synced."""
    pred, low = work / "pred", work / "low"
    for folder in (pred, low):
        folder.mkdir()
    write_scene(pred / contest.test_set("150-150").name(150), WIDTH, HEIGHT, 50)
    write_scene(low / contest.low_name(150), WIDTH // 4, HEIGHT // 4, 50)
    words = ("submit", pred, "--name", "a", "--low", low, "--test-set", "150-150", "--out")
    number = iter(range(1000))

    def rival() -> tuple[float, float]:
        target = work / f"{next(number)}.zip"
        return seconds(["sh", "-c", f"zip -6 -q -j {target} {pred}/*.y4m && sync {target}"])

    acts = [lambda: seconds(youku(*words, work / f"out{next(number)}")), rival]
    (cpu, wall), (other, other_wall) = median(acts, repeats)
    show(
        "submit / zip -6, wall",
        wall / other_wall,
        1.1,
        "",
        f"{wall:.1f} / {other_wall:.1f} s; CPU {cpu:.1f} / {other:.1f} s",
    )


def measure_start(work: Path, repeats: int) -> None:
    """CPU seconds from nothing to the first word."""
    tiny = work / "tiny.y4m"
    write_scene(tiny, 64, 48, 1)
    lines = {"models": (0.3, ["models"]), "convert": (0.5, ["convert", tiny, work / "tiny.yuv"])}
    lines["train --help"] = (0.3, ["train", "--help"])
    for name, (most, words) in lines.items():
        cpu = statistics.median(seconds(youku(*words))[0] for _ in range(repeats + 2))
        show(f"start-up: {name}", cpu, most, "s CPU")


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Another process that wants every core."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure_busy(work: Path, repeats: int) -> None:
    """CPU seconds of verbs beside work on every core, against the same verbs on a quiet machine."""
    low, high = work / "busy_low.y4m", work / "busy_high.y4m"
    write_scene(low, 480, 270, 30)
    write_scene(high, WIDTH, HEIGHT, 30)
    verbs = {
        "predict bicubic": youku("predict", low, work / "b.y4m", "--model", "bicubic", "--force", "--device", "cpu"),
        "predict": youku("predict", low, work / "p.y4m", "--force", "--device", "cpu", "--frames", "0-9"),
        "degrade": youku("degrade", high, "OUT", "--preset", "bicubic"),
    }
    number = iter(range(1000))

    def run(line: list[str]) -> float:
        return seconds([str(work / f"out{next(number)}") if word == "OUT" else word for word in line])[0]

    for name, line in verbs.items():
        quiet = statistics.median(run(line) for _ in range(repeats))
        with busy_core():
            loaded = statistics.median(run(line) for _ in range(repeats))
        show(f"{name} beside work / quiet, CPU", loaded / quiet, 1.3, "", f"{loaded:.1f} / {quiet:.1f} s CPU")


PARTS = {
    "open": measure_open,
    "degrade": measure_degrade,
    "score": measure_score,
    "submit": measure_submit,
    "start": measure_start,
    "busy": measure_busy,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder), args.repeats)


if __name__ == "__main__":
    main()

"""Damage small valid files at random and count what must never happen: tracebacks, hangs, memory, wrong successes.

Kinds: y4m heads and bodies, HDF5, pictures, JSON. Each case is read in-process, by workers whose address space is
limited; ValueError that names the file, or a whole result, is right. A PNG has checksums, so another picture is wrong,
and a y4m that is accepted gives its own bytes back. Cases that were not right are kept in --found.

Run: python -m benchmarks.fuzz [--full] [--seed 0]
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
from PIL import Image

from youku import files
from youku.text_table import lay_out
from youku.video import hdf5, picture_file, picture_sets, y4m

SLOW_SEC, MOST_BYTES = 5, 1 << 30
QUICK, FULL = {"y4m": 3_000, "hdf5": 150, "picture": 1_000, "json": 1_000}, 30_000
TOKENS = ["W8", "H8", "W0", "F25:1", "F1:" + "9" * 20, "A1:1", "A0:0", "C420", "C444p16", "Ip", "Iq", "", "XYSCSS=420"]
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


class Slow(BaseException):
    """A case that took longer than SLOW_SEC."""


def _seeds(kind: str, folder: Path) -> list[bytes]:
    """Small valid files."""
    if kind == "y4m":
        head = b"YUV4MPEG2 W8 H8 F25:1 Ip A1:1 C%s XYSCSS=420JPEG\n"
        return [head % chroma + (b"FRAME\n" + bytes(size)) * 2 for chroma, size in ((b"420jpeg", 96), (b"444p10", 384))]
    if kind == "json":
        return [json.dumps({"a": [1, 2.5, None, {"b": "c"}], "d": True}, indent=2).encode()]
    (folder / "set").mkdir()
    paths = [folder / "set" / f"a.{suffix}" for suffix in ("png", "jpg", "bmp", "tif", "webp")]
    for path in paths:
        Image.fromarray(PIXELS).save(path)
    if kind == "picture":
        return [path.read_bytes() for path in paths]
    pairs = [picture_sets.PictureFiles(paths[0], None)]
    for form in ("train", "eval"):
        hdf5.write(pairs, folder / f"{form}.h5", hdf5.Content(hdf5=form))
    return [(folder / f"{form}.h5").read_bytes() for form in ("train", "eval")]


def _damage(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut or doubled; of a y4m often its head's tokens."""
    if kind == "y4m" and rng.random() < 0.6:
        head, _, body = data.partition(b"\n")
        words = head.decode().split(" ")
        words.insert(int(rng.integers(1, len(words) + 1)), str(rng.choice(TOKENS)))
        if rng.random() < 0.5:
            words.pop(int(rng.integers(1, len(words))))
        return " ".join(words).encode() + b"\n" + body
    changed = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
        changed[place] = rng.integers(256)
    return bytes(changed[: int(rng.integers(len(data)))] if rng.random() < 0.2 else changed)


def _read_y4m(path: Path) -> bool:
    streamed = y4m.StreamReader(io.BytesIO(path.read_bytes()), str(path))
    clip, back = y4m.Clip(path), io.BytesIO()
    writer = y4m.Writer(back, streamed.header)
    for index, planes in enumerate(streamed):
        writer.write(planes, clip.frame_params(index))
    assert clip.header.fps and writer.num_frames == clip.num_frames
    return back.getvalue().replace(b"FRAME \n", b"FRAME\n") == path.read_bytes().replace(b"FRAME \n", b"FRAME\n")


def _read_hdf5(path: Path) -> bool:
    out = path.with_name("out")
    try:
        return hdf5.to_pictures(path, out) > 0
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _read_picture(path: Path) -> bool:
    is_png = path.read_bytes().startswith(b"\x89PNG")
    rgb = picture_file.read_rgb(path)
    return not is_png or np.array_equal(rgb, PIXELS)


def _read_json(path: Path) -> bool:
    files.read_json(path)
    return True


READERS: dict[str, Callable[[Path], bool]] = {
    "y4m": _read_y4m,
    "hdf5": _read_hdf5,
    "picture": _read_picture,
    "json": _read_json,
}


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Slow


def _judge(kind: str, path: Path) -> str:
    """What came of one case."""
    signal.alarm(SLOW_SEC)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        outcome = "read" if READERS[kind](path) else "wrong success"
    except Slow:
        outcome = "hang"
    except MemoryError:
        outcome = "above 1 GB"
    except ValueError as error:
        outcome = "refused" if str(error).startswith(f"{path}: ") else "traceback"
    except Exception:  # whatever it is, that is what is counted here
        outcome = "traceback"
    finally:
        signal.alarm(0)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return "above 1 GB" if grown_kib << 10 > MOST_BYTES else outcome


def _work(kind: str, num_cases: int, seed: int, found: str, results: multiprocessing.SimpleQueue[Counter[str]]) -> None:
    signal.signal(signal.SIGALRM, _alarm)
    resource.setrlimit(resource.RLIMIT_AS, (8 * MOST_BYTES, 8 * MOST_BYTES))  # libraries map far more than they use
    rng, counted = np.random.default_rng(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        seeds, path = _seeds(kind, Path(folder)), Path(found, f"{kind}_last")  # left where a worker dies
        for number in range(num_cases):
            data = _damage(seeds[number % len(seeds)], kind, rng)
            path.write_bytes(data)
            outcome = _judge(kind, path)
            counted[outcome] += 1
            if outcome not in ("read", "refused"):
                Path(found, f"{kind}_{outcome.replace(' ', '_')}_{seed}_{number}").write_bytes(data)
    path.unlink()
    results.put(counted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 y4m and 30,000 of the others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", default="/tmp/fuzz_found", help="folder for the cases that went wrong")
    args = parser.parse_args()
    Path(args.found).mkdir(parents=True, exist_ok=True)
    names = ("read", "refused", "traceback", "hang", "above 1 GB", "wrong success", "died")
    rows, is_bad = [], False
    for kind, quick in QUICK.items():
        num_cases = (1_000_000 if kind == "y4m" else FULL) if args.full else quick
        results: multiprocessing.SimpleQueue[Counter[str]] = multiprocessing.SimpleQueue()
        began = time.monotonic()
        worker = multiprocessing.Process(target=_work, args=(kind, num_cases, args.seed, args.found, results))
        worker.start()
        worker.join(SLOW_SEC + num_cases * 0.2)  # a hang in C holds the signal off
        if worker.is_alive():
            worker.kill()
            worker.join()
        counted = Counter(died=1) if results.empty() else results.get()
        is_bad |= any(counted[name] for name in names[2:])
        took = f"{time.monotonic() - began:.0f}"
        rows.append([kind, str(num_cases), *(str(counted[name]) for name in names), took])
    print(lay_out(["kind", "cases", *names, "s"], rows))
    return int(is_bad)


if __name__ == "__main__":
    raise SystemExit(main())

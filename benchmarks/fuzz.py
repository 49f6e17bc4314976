"""Damage small valid files at random and count what must never happen: tracebacks, hangs, memory, wrong successes.

Each case is read in-process by what the verbs call. A whole result is right, and so is one sentence that names the
file; the kinds, their damage and what is wrong of a success stand in `damaged_*`. A case is made from the seed, its kind
and its number alone, so that a full run may be stopped and goes on where it was (--found keeps the counts and every case
that was not right). A worker that dies or hangs in C counts, and the next one goes on after it.

Run: python -m benchmarks.fuzz [--full] [--seed 0] [--kinds zip pth ...]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from types import FrameType

from benchmarks import damaged_media, damaged_text, damaged_weights
from benchmarks.damage import Kind
from youku import files, system_errors
from youku.text_table import lay_out

KINDS = damaged_media.KINDS | damaged_weights.KINDS | damaged_text.KINDS
SLOW_SEC, MOST_BYTES = 5, 1 << 30  # of the processor, so that a busy machine makes no hang
STILL_SEC = 120  # without an end, on whatever it waits
OUTCOMES = ("read", "refused", "traceback", "hang", "above 1 GB", "wrong success", "died")
MOST_SENTENCE = 4000  # letters
CASES_FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
Shared = "SynchronizedArray[int]"  # number of the case at work, when it began, then the counts of OUTCOMES


class Slow(BaseException):
    """A case that took more than SLOW_SEC."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Slow


def case(kind: Kind, name: str, seeds: list[bytes], seed: int, number: int) -> bytes:
    """The bytes of one case."""
    rng = Random(f"{seed} {name} {number}")
    return kind.damage(rng.choice(seeds), rng)


def judge(kind: Kind, path: Path, base_bytes: int) -> str:
    """What came of the case at `path`; `base_bytes` is what the process held before the first."""
    before = _most_bytes()
    signal.setitimer(signal.ITIMER_PROF, SLOW_SEC)
    try:
        outcome = "read" if kind.read(path) else "wrong success"
    except Slow:
        outcome = "hang"
    except MemoryError:
        outcome = "above 1 GB"
    except ValueError as error:
        outcome = _of_sentence(str(error), path)
    except OSError as error:  # the system's own, which the verbs turn into a sentence
        outcome = "refused" if error.filename and system_errors.explain(error) else "traceback"
    except Exception:  # whatever it is, that is what is counted here
        outcome = "traceback"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "above 1 GB" if _most_bytes() > max(before, base_bytes + MOST_BYTES) else outcome


def _of_sentence(text: str, path: Path) -> str:
    if "MemoryError" in text or "allocate memory" in text:
        return "above 1 GB"
    is_one = text.startswith(f"{path}: ") and text.isprintable() and len(text) < MOST_SENTENCE
    return "refused" if is_one else "traceback"


def _most_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _work(name: str, seed: int, found: Path, num_cases: int, shared: Shared) -> None:
    """Cases from `shared[0]` on, in a folder of this worker's own."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _alarm)
    kind, seeds = KINDS[name], KINDS[name].seeds()
    with tempfile.TemporaryDirectory(dir=CASES_FOLDER) as folder:
        path = Path(folder) / kind.place
        files.make_folder(path.parent)
        path.write_bytes(seeds[0])
        judge(kind, path, 1 << 40)  # what is loaded and built once is no case's memory
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 2 * MOST_BYTES, held + 2 * MOST_BYTES))
        base_bytes = _most_bytes()
        for number in range(shared[0], num_cases):
            data = case(kind, name, seeds, seed, number)
            path.write_bytes(data)
            shared[1] = int(time.monotonic())
            outcome = judge(kind, path, base_bytes)
            shared[2 + OUTCOMES.index(outcome)] += 1
            shared[0] = number + 1
            if outcome not in ("read", "refused"):
                (found / f"{name}_{outcome}_{seed}_{number}").write_bytes(data)


def count(name: str, seed: int, found: Path, num_cases: int, so_far: bool = False) -> dict[str, float]:
    """Outcome -> how many of the cases, and the seconds of all; what an earlier run counted is gone on from, or told."""
    book = found / f"{name}_{seed}_{num_cases}.json"
    counts: dict[str, float] = dict.fromkeys(("done", *OUTCOMES, "s"), 0)
    counts |= json.loads(book.read_text()) if book.exists() else {}
    shared = multiprocessing.Array(ctypes.c_long, [int(counts[key]) for key in ("done", "s", *OUTCOMES)])
    while shared[0] < num_cases and not so_far:
        began, shared[1] = time.monotonic(), int(time.monotonic())
        worker = multiprocessing.Process(target=_work, args=(name, seed, found, num_cases, shared), daemon=True)
        worker.start()
        while worker.is_alive() and time.monotonic() - shared[1] < STILL_SEC:
            worker.join(1)
            counts |= dict(zip(("done", *OUTCOMES), [shared[0], *shared[2:]], strict=True))
            files.write_json(book, {**counts, "s": counts["s"] + time.monotonic() - began})
        counts["s"] += time.monotonic() - began
        if shared[0] < num_cases:
            shared[2 + OUTCOMES.index("hang" if worker.is_alive() else "died")] += 1
            shared[0] += 1
            worker.kill()
            worker.join()
            counts |= dict(zip(("done", *OUTCOMES), [shared[0], *shared[2:]], strict=True))
            files.write_json(book, counts)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000,000 y4m and 30,000 of most others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--found", type=Path, default="/tmp/fuzz_found", help="folder for counts and cases gone wrong")
    parser.add_argument("--so-far", action="store_true", help="print what --found holds of such a run; run nothing")
    args = parser.parse_args()
    files.make_folder(args.found)
    rows = []
    for name in args.kinds:
        num_cases = KINDS[name].num_cases if args.full else KINDS[name].num_quick
        counts = count(name, args.seed, args.found, num_cases, args.so_far)
        rows.append([name, str(counts["done"]), *(str(counts[key]) for key in OUTCOMES), f"{counts['s']:.0f}"])
        print(lay_out(["kind", "cases", *OUTCOMES, "s"], rows[-1:]), flush=True)
    print(lay_out(["kind", "cases", *OUTCOMES, "s"], rows))
    return int(any(any(map(int, row[4:-1])) for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())

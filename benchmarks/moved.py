"""Run every script of this folder, keep what each prints, and show the lines whose figures moved since the last run.

python benchmarks/moved.py [--only train predict] [--percent 10] [--kept FOLDER]
Out: NAME.txt of each script in FOLDER (benchmarks/kept, not in git), which the next run compares with. A script that needs an
input is named and left out: run it by the command in RESULTS.md. Exit status 1 where a script failed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def moved(before: str, after: str, percent: float) -> Iterator[str]:
    """Lines of the same words in turn, both times, where one of the numbers moved by more than so many percent."""
    earlier: dict[str, list[str]] = defaultdict(list)
    for line in before.splitlines():
        earlier[_words(line)].append(line)
    for line in after.splitlines():
        if not earlier[_words(line)]:
            continue
        old = earlier[_words(line)].pop(0)
        if any(
            abs(a - b) > percent / 100 * max(abs(a), abs(b)) for a, b in zip(_numbers(old), _numbers(line), strict=True)
        ):
            yield f"{' '.join(old.split())}  ->  {' '.join(line.split())}"


def _words(line: str) -> str:
    return " ".join(NUMBER.sub("#", line).split())


def _numbers(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scripts alone")
    parser.add_argument("--percent", type=float, default=10, help="smaller changes are noise (default 10)")
    parser.add_argument("--kept", type=Path, default=HERE / "kept", help="where outputs are kept")
    parser.add_argument("--scripts", type=Path, default=HERE, help="the folder of scripts")
    args = parser.parse_args()
    args.kept.mkdir(exist_ok=True)
    failed = 0
    for script in sorted(args.scripts.glob("*.py")):
        if script.name == Path(__file__).name or (args.only and script.stem not in args.only):
            continue
        print(f"== {script.name}", flush=True)
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        if done.returncode:
            needs_input, told = done.returncode == 2, (done.stderr.strip().splitlines() or [""])[-1]
            print(f"{'needs an input' if needs_input else 'FAILED'}: {told}")
            failed += not needs_input
            continue
        kept = args.kept / f"{script.stem}.txt"
        lines = list(moved(kept.read_text(), done.stdout, args.percent)) if kept.exists() else [done.stdout.rstrip()]
        print("\n".join(lines) or "nothing moved")
        kept.write_text(done.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

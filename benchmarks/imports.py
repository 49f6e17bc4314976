"""How much of youku/ the main job loads, and the CPU seconds until a verb is there.

Download (its imports), train, predict, submit and score run for real on two stand-in scenes: y4m in and out, FSRCNN, a
few steps, each verb in a process of its own; then the lines of the modules that were loaded. CPU seconds are user and
system time, best of five.

    python benchmarks/imports.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import youku
from youku.__main__ import VERBS

PACKAGE = Path(youku.__file__).parent
MAIN_JOB = {
    "download": "--help",  # it has no network here; what it imports, it imports at once
    "train": "--data clips --runs runs --name demo --steps 4 --val-every 4 --patch-px 16 --batch 2 --no-samples --device cpu",
    "predict": "clips predictions --weights runs/demo --frames scored --test-set 150-151 --device cpu",
    "submit": "predictions --name demo --low clips --test-set 150-151",
    "score": "submissions/demo/demo.zip --low clips --high clips --test-set 150-151",
}
RUN = """
import json, sys
from youku.__main__ import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
own = [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "youku"]
print(json.dumps([status, own]))
"""
CLIPS = """
from pathlib import Path
from youku import demo
from youku.video import standin
demo.make_clips(Path("clips"), standin.VAL_SCENES[:2])
"""


def run(code: str, arguments: Iterable[str], folder: str) -> str:
    """What a program of Python's prints in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def count(files: Iterable[str]) -> str:
    found = set(files)
    return f"{sum(len(Path(file).read_text().splitlines()) for file in found):>7,} lines in {len(found)} modules"


def cpu_sec(arguments: list[str], folder: str, best_of: int = 5) -> float:
    """User and system seconds of a verb in a fresh process."""
    taken = []
    for _ in range(best_of):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
        command = [sys.executable, "-m", "youku", *arguments]
        subprocess.run(command, capture_output=True, check=False, cwd=folder, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(CLIPS, [], folder)
        together: set[str] = set()
        for verb, arguments in MAIN_JOB.items():
            status, files = json.loads(run(RUN, [verb, *arguments.split()], folder).splitlines()[-1])
            assert status == 0, verb
            together |= set(files)
            print(f"{verb:<10}{count(files)}")
        print(f"{'together':<10}{count(together)}\n{'youku/':<10}{count(map(str, PACKAGE.rglob('*.py')))}\n")
        clip = str(sorted((Path(folder) / "clips").glob("*_l.y4m"))[0])
        commands = [["models"], ["trian"], ["doctor"], ["convert", clip, "clip.yuv"]]
        for command in [*commands, *([verb, "--help"] for verb in VERBS)]:
            shown = " ".join(Path(word).name for word in command)
            print(f"{shown:<32}{cpu_sec(command, folder):.2f} CPU s", flush=True)


if __name__ == "__main__":
    main()

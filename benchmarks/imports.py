"""How much of youku/ the main job loads, and the CPU seconds until a verb is there.

Download, train, predict, submit and score run for real on two stand-in scenes, which a server of this machine gives: y4m
in and out, FSRCNN, a few steps, each verb in a process of its own; then the lines of the modules that were loaded, and
with --modules which. CPU seconds are user and system time, best of five.

    python benchmarks/imports.py [--modules]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import youku
from youku.__main__ import VERBS

PACKAGE = Path(youku.__file__).parent
MAIN_JOB = {
    "download": "--base-url http://127.0.0.1:{port} --data data --split val --clips 150-151 --kind input",
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
own = [file for file in own if file.endswith(".py")]
print(json.dumps([status, own]))
"""
CLIPS = """
import zipfile
from pathlib import Path
from youku import contest, demo
from youku.video import standin, y4m
demo.make_clips(Path("clips"), standin.VAL_SCENES[:2])
Path("round1/train/input").mkdir(parents=True)
with zipfile.ZipFile("round1/train/input/youku_00150_00199_l.zip", "w") as bundle:
    for path in sorted(Path("clips").glob("*_l.y4m")):
        header, _, frames = path.read_bytes().partition(b"\\n")
        whole = contest.CLIP_FRAMES * len(frames) // y4m.Clip(path).num_frames
        bundle.writestr(path.name, header + b"\\n" + (contest.CLIP_FRAMES * frames)[:whole])
"""


def run(code: str, arguments: Iterable[str], folder: str) -> str:
    """What a program of Python's prints in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextmanager
def served(folder: str) -> Iterator[int]:
    """The port of this machine at which the files of `folder` are given."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=folder)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def lines_of(file: str) -> int:
    return len(Path(file).read_text().splitlines())


def count(files: Iterable[str]) -> str:
    found = set(files)
    return f"{sum(map(lines_of, found)):>7,} lines in {len(found)} modules"


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
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", action="store_true", help="print the modules and no times")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(folder) as port:
        run(CLIPS, [], folder)
        users: dict[str, list[str]] = {}
        for verb, words in MAIN_JOB.items():
            status, files = json.loads(run(RUN, [verb, *words.format(port=port).split()], folder).splitlines()[-1])
            assert status == 0, verb
            for file in files:
                users.setdefault(file, []).append(verb)
            print(f"{verb:<10}{count(files)}")
        print(f"{'together':<10}{count(users)}\n{'youku/':<10}{count(map(str, PACKAGE.rglob('*.py')))}\n")
        if args.modules:
            for file, verbs in sorted(users.items()):
                print(f"{lines_of(file):>4} {Path(file).relative_to(PACKAGE)!s:<32} {' '.join(verbs)}")
            return
        clip = str(sorted((Path(folder) / "clips").glob("*_l.y4m"))[0])
        commands = [["models"], ["trian"], ["doctor"], ["convert", clip, "clip.yuv"]]
        for command in [*commands, *([verb, "--help"] for verb in VERBS)]:
            shown = " ".join(Path(word).name for word in command)
            print(f"{shown:<32}{cpu_sec(command, folder):.2f} CPU s", flush=True)


if __name__ == "__main__":
    main()

"""Does a SIGKILL at any moment cost more than the work in flight? Random kills of every verb that writes, then the same command.

Each verb runs once in peace; then, in a fresh folder, it is killed one to three times at seeded random moments and run
again to its end, until it was killed N times. Bars: every file byte-identical to the peaceful run's (the time of scoring in
score.json left out), no hidden temporary file left, and no state that the same command does not get out of by itself
(for train that is --resume, once a checkpoint is there).

Run: python benchmarks/kills.py [--kills 10] [--only predict score] [--seed 231711]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from youku import contest, text_table
from youku.video import y4m

SEED = 231711
MOST_BURST = 3  # kills before a run may end
PATIENCE_SEC = 300
IGNORED = ("log.jsonl", "config.toml", "last.pt", ".json")  # hold times, or what a run was called with
IDS = "200-205"
TRAIN = (
    "--data {work}/pairs --val-clips 1 --runs {out} --batch 4 --patch-px 16 --steps 600 --save-every 50 --val-every 200"
)
COMMANDS = {
    "download": "download --data {out} --base-url {url} --split round1-test --kind input",
    "degrade": "degrade {work}/high {out} --preset youku",
    "train": "train --name n --device cpu --val-frames 2 " + TRAIN,
    "predict": "predict {work}/low {out} --frames scored --test-set " + IDS + " --device cpu",
    "convert": "convert {work}/high/Youku_00200_h_GT.y4m {out}/o.mp4",
    "submit": "submit {work}/pred --name n --low {work}/low --out {out} --level 9 --test-set " + IDS,
    "score": "score {work}/pred --low {work}/low --high {work}/high --out {out} --test-set " + IDS,
}


class _SlowServer(BaseHTTPRequestHandler):
    """One zip with Range and ETag, a few megabytes a second, so that kills meet it on its way."""

    content = b""

    def do_HEAD(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.start, total = int(match[1]) if match else 0, len(self.content)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {self.start}-{total - 1}/{total}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(total - self.start))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        for at in range(self.start, len(self.content), 1 << 16):
            self.wfile.write(self.content[at : at + (1 << 16)])
            time.sleep(0.03)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client is part of the plan."""


def write_clip(path: Path, width: int, height: int, num_frames: int, seed: int) -> None:
    """Seeded blurry noise in motion."""
    header, rng = y4m.make_header(width, height), np.random.default_rng(seed)
    planes = [np.kron(rng.integers(16, 235, (h // 4 + 9, w // 4 + 9)), np.ones((4, 4))) for h, w in header.plane_shapes]
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            at = index % 30
            shapes = zip(planes, header.plane_shapes, strict=True)
            writer.write(tuple(plane[at : at + h, at : at + w].astype(np.uint8) for plane, (h, w) in shapes))


def make_material(work: Path) -> None:
    """Pairs of six clips, a submission of the truth itself, and the zip that the server sends."""
    ids = contest.test_set(IDS)
    for clip_id in ids.ids:
        high = work / "high" / contest.high_name(clip_id)
        write_clip(work / "low" / contest.low_name(clip_id), 80, 48, 100, clip_id)
        write_clip(high, 320, 192, 100, clip_id + 1000)
        clip = y4m.Clip(high)
        with y4m.create(work / "pred" / ids.name(clip_id), clip.header) as writer:
            for index in ids.frames(clip_id):
                writer.write(clip.frame(index))
    (work / "pairs").mkdir()
    for path in [*(work / "low").iterdir(), *(work / "high").iterdir()]:
        (work / "pairs" / path.name).hardlink_to(path)
    bundle = work / "served.zip"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as zipped:
        for clip_id in range(200, 250):
            write_clip(work / "one.y4m", 80, 48, 100, clip_id)
            zipped.write(work / "one.y4m", contest.low_name(clip_id))
    _SlowServer.content = bundle.read_bytes()


def digest(out: Path) -> dict[str, str]:
    """Every file's bytes by name, without what no two runs have alike."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.name == "score.json":
            data = json.dumps({**json.loads(data), "created": "", "paths": ""}).encode()
        elif path.name == "manifest.json" or path.name.endswith(IGNORED):
            continue
        found[str(path.relative_to(out))] = hashlib.sha256(data).hexdigest()
    return found


def start(line: list[str], out: Path) -> subprocess.Popen[bytes]:
    resumes = line[0] == "train" and (out / "n" / "last.pt").exists()
    line = ["train", "--resume", str(out / "n")] if resumes else line
    (out.parent / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "youku", *line], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(out.parent / "tmp")},
    )  # fmt: skip


def end(line: list[str], out: Path) -> tuple[float, str]:
    """Seconds of a run to its end, and what it said where it failed or hung."""
    began = time.monotonic()
    process = start(line, out)
    try:
        told = process.communicate(timeout=PATIENCE_SEC)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return time.monotonic() - began, "hung"
    return time.monotonic() - began, told.strip().splitlines()[-1] if process.returncode else ""


def kill_often(
    verb: str, make: Callable[[Path], list[str]], folder: Path, num_kills: int, rng: random.Random
) -> list[str]:
    """The row of a verb: kills that hit, runs to the end, ends that differed, hidden files left, states that need a hand."""
    peace = folder / "peace" / "out"
    took_sec, fault = end(make(peace), peace)
    if fault:
        return [verb, "0", "0", "-", "-", fault]
    wanted, hits, ends, others, hidden, hands = digest(peace), 0, 0, set[str](), 0, set[str]()
    while hits < num_kills and ends < 4 * num_kills:
        out = folder / f"{ends:03d}" / "out"
        out.parent.mkdir()
        for _ in range(min(rng.randint(1, MOST_BURST), num_kills - hits)):
            process = start(make(out), out)
            try:
                process.wait(took_sec * rng.uniform(0.3, 1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate()
            hits += process.returncode == -signal.SIGKILL
        fault = end(make(out), out)[1]
        hands |= {fault} - {""}
        found = digest(out) if out.exists() else {}
        others |= {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
        hidden += sum(1 for path in out.parent.rglob(".*") if ".tmp" in path.name)
        ends += 1
        shutil.rmtree(out.parent)
    return [verb, str(hits), str(ends), ", ".join(sorted(others)[:2]) or "0", str(hidden), "; ".join(hands) or "0"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of each verb")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="these verbs")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "work"
        work.mkdir()
        make_material(work)
        server = _Server(("127.0.0.1", 0), _SlowServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for verb in args.only:
            (folder := Path(name) / verb / "peace").mkdir(parents=True)

            def make(out: Path, verb: str = verb) -> list[str]:
                url = f"http://127.0.0.1:{server.server_address[1]}/"
                return COMMANDS[verb].format(work=work, out=out, url=url).split()

            rows.append(kill_often(verb, make, folder.parent, args.kills, random.Random(args.seed)))
            print(rows[-1], file=sys.stderr, flush=True)
        server.shutdown()
        server.server_close()
    print(text_table.lay_out(["verb", "kills", "ends", "differing", "hidden files", "needed a hand"], rows))
    return 0 if all(row[3:] == ["0", "0", "0"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

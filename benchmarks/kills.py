"""Does a kill at any moment cost more than the work in flight? Random kills of every verb that writes, then the same command.

Each command runs once in peace; then, in an empty folder, it is killed one to three times and run again to its end, until
it was killed N times. Half of the kills come at seeded random times of the run's own length; the other half right before
a random one of its changes to the disk (a file opened for writing, renamed, removed, a folder made or removed), for what
lies between two of these takes microseconds. Where an earlier run left less to do, a kill may come too late; it does not
count. The runs are forked from a process that has done their imports, which take two seconds and write nothing.

Bars: every file and folder, hidden ones too, as after the peaceful run, by bytes (videos: by decoded frames, their times
and the packets of sound; JSON: without times, but a stamp must be that of a file; log.jsonl without speed); nothing else
left, in TMPDIR neither; inputs untouched; no state that the same command does not get out of by itself (for train that is
--resume, once a checkpoint is there); and a further run of the last one says "up to date" where the peaceful one did.
With --signal TERM, INT or HUP the same, and the run ends within two seconds with its own status.

Run: python benchmarks/kills.py [--kills 10] [--only predict score] [--seed 231711] [--signal KILL]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import av
import torch
from material import IDS, Server, SlowServer, make_material
from torch.utils._pytree import tree_leaves

from youku import __main__, stops, text_table
from youku.video import segments

SEED = 231711
MOST_BURST = 3  # kills before a run may end
PATIENCE_SEC = 300
END_SEC = 2.0  # after the first signal
HEARD_SEC = 0.2  # from when on it is told from any other process's
CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SPEEDS = ("steps_per_sec", "data_wait")
LATE = ("pandas", "PIL.Image", "torch._dynamo", "tqdm")  # imported inside functions
TRAIN = "--data {work}/pairs --val-clips 1 --val-frames 2 --runs {out} --batch 4 --patch-px 16 --device cpu"
EVERY = "--save-every 25 --log-every 25 --val-every 100 --keep-every 75"
COMMANDS = {
    "download": "download --data {out} --base-url {url} --split round1-test --kind input",
    "degrade": "degrade {work}/high {out} --preset youku",
    "train": f"train --name n --steps 200 {TRAIN} {EVERY}",
    "experiment": f"experiment l1-against-l2 --steps 100 --scale 4 {TRAIN} {EVERY}",
    "predict": f"predict {{work}}/low {{out}} --frames scored --test-set {IDS} --device cpu",
    "y4m": "predict {work}/long.y4m {out}/long.y4m --device cpu",
    "large": "predict {work}/large.y4m {out}/large.y4m --device cpu --model bicubic",
    "numbered": "predict {work}/film.mp4 {out}/%4d.png --device cpu",
    "mkv": "predict {work}/film.mp4 {out}/film.mkv --device cpu",
    "mp4": "predict {work}/film.mp4 {out}/film.mp4 --device cpu --codec x265",
    "convert": "convert {work}/film.y4m {out}/o.mp4",
    "pictures": "convert {work}/film.y4m {out}/%4d.png",
    "submit": f"submit {{work}}/pred --name n --low {{work}}/low --out {{out}} --level 9 --test-set {IDS}",
    "score": f"score {{work}}/pred --low {{work}}/low --high {{work}}/high --out {{out}} --test-set {IDS}",
}


def portrait(root: Path, work: Path, unlike: Sequence[str]) -> dict[str, str]:
    """All that lies in a folder: path -> digest of what two runs have alike in it; `unlike` figures of a log are not."""
    found, stamps = sorted(root.rglob("*")), dict[Any, Path]()
    for path in (*found, *work.rglob("*")):
        state = path.stat()
        times = state.st_mtime_ns, state.st_ctime_ns
        stamps |= {times: path, f"{state.st_size} {state.st_ino} {times[0]} {times[1]}": path}
    return {str(path.relative_to(root)): "" if path.is_dir() else _digest(path, stamps, unlike) for path in found}


def _digest(path: Path, stamps: dict[Any, Path], unlike: Sequence[str]) -> str:
    hashed = hashlib.sha256()
    if path.suffix == ".json":
        hashed.update(json.dumps(_timeless(json.loads(path.read_bytes()), stamps)).encode())
    elif path.suffix == ".pt":
        for part in tree_leaves(torch.load(path, weights_only=True)):
            hashed.update(part.numpy().tobytes() if isinstance(part, torch.Tensor) else repr(part).encode())
    elif path.name == "log.jsonl":
        for line in path.read_text().splitlines():
            hashed.update(str([pair for pair in json.loads(line).items() if pair[0] not in unlike]).encode())
    elif path.suffix in (".mp4", ".mkv"):
        with av.open(str(path)) as opened:
            for packet in opened.demux():
                is_coded = packet.stream.type == "video"
                for part in packet.decode() if is_coded else [packet]:
                    hashed.update(f"{part.pts} {part.time_base} {part.duration}".encode())
                    hashed.update(part.to_ndarray().data if is_coded else bytes(packet))
    else:
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _timeless(value: Any, stamps: dict[Any, Path]) -> Any:
    """JSON without times; in place of what a record tells of a file, whether it is true of one."""
    if isinstance(value, list):
        return [_timeless(item, stamps) for item in value]
    if not isinstance(value, dict):
        return value
    marks: dict[str, Any] = {"created": ""}
    if "stamp" in value:
        told = stamps.get(value["stamp"])
        marks |= {"stamp": told is not None, "digest": told is not None and segments.digest_of(told) == value["digest"]}
    if "changed_ns" in value:
        marks["changed_ns"] = tuple(value["changed_ns"]) in stamps
    return {key: marks[key] if key in marks else _timeless(item, stamps) for key, item in value.items()}


def run_verb(line: list[str], root: Path, last: int, number: int) -> None:
    """Be `python -m youku LINE`; before the `last` change below `root` the signal comes (0: they are counted alone)."""
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(root / "tmp")
    told = os.open(root.parent / "told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    count = 0

    def look(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        is_here = event in CHANGES and (str(root) in str(args[0]) or (event != "open" and args[-1] > 2))
        if is_here and (event != "open" or args[2] & WRITING):
            count += 1
            if count == last:
                os.kill(os.getpid(), number)

    def leave(status: int) -> NoReturn:  # a verb ends its process itself
        (root.parent / "count").write_text(str(count))
        os._exit(status)

    sys.addaudithook(look)
    sys.argv = ["youku", *line]
    stops.leave = leave
    leave(__main__.main())


@dataclass
class Trial:
    """One command, again and again in the same folder, and what was found."""

    line: list[str]
    folder: Path
    work: Path
    number: signal.Signals
    hits: int = 0
    ends: int = 0
    others: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    hands: set[str] = field(default_factory=set)
    slowest_sec: float = 0.0

    @property
    def root(self) -> Path:
        return self.folder / "run"

    def start(self, last: int = 0) -> multiprocessing.Process:
        """The command; for train its --resume, once a checkpoint is there."""
        run = self.root / "out" / "n"
        line = ["train", "--resume", str(run)] if self.line[0] == "train" and (run / "last.pt").exists() else self.line
        process = multiprocessing.Process(target=run_verb, args=(line, self.root, last, int(self.number)))
        process.start()
        return process

    def portrait(self) -> dict[str, str]:
        """What lies there; a run that was stopped between two lines of its log has other means in the second."""
        return portrait(self.root, self.work, SPEEDS if self.number == signal.SIGKILL else (*SPEEDS, "loss"))

    def told(self) -> str:
        return (self.folder / "told").read_text(errors="replace").strip() or "no word"

    def end(self) -> float:
        """Seconds of a run to its end; what it said last where it failed is what needs a hand."""
        began, process = time.monotonic(), self.start()
        process.join(PATIENCE_SEC)
        if process.exitcode is None:
            process.kill()
            process.join()
        if process.exitcode:
            self.hands.add("hung" if process.exitcode == -signal.SIGKILL else self.told().splitlines()[-1])
        return time.monotonic() - began

    def kill(self, last: int, after_sec: float) -> None:
        """A run that gets the signal before a change, or after a time if it is still there then."""
        process = self.start(last)
        assert process.pid is not None
        process.join(PATIENCE_SEC if last else after_sec)
        began = time.monotonic()
        if process.exitcode is None:
            os.kill(process.pid, self.number)
            process.join(PATIENCE_SEC)
            self.slowest_sec = max(self.slowest_sec, time.monotonic() - began)
        status = -self.number if self.number == signal.SIGKILL else 128 + self.number
        self.hits += process.exitcode == status
        if process.exitcode not in (0, status) or "Traceback" in self.told():
            self.hands.add(self.told().splitlines()[-1])

    def compare(self, wanted: dict[str, str]) -> None:
        """What is there after an end, with what should be."""
        found = self.portrait()
        self.hidden |= {name for name in found.keys() - wanted.keys() if "/." in name}
        differing = {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
        self.others |= differing - self.hidden


def states(work: Path) -> dict[Path, tuple[int, ...]]:
    """What tells that an input was touched: no call can set the time of the last change."""
    found = {path: path.stat() for path in work.rglob("*")}
    return {path: (state.st_size, state.st_ino, state.st_ctime_ns) for path, state in found.items()}


def try_verb(trial: Trial, num_kills: int, rng: random.Random) -> list[str]:
    """Kill and end until there were enough kills: the row of the table."""
    inputs, took_sec = states(trial.work), trial.end()
    assert not trial.hands, trial.hands
    num_changes, wanted = int((trial.folder / "count").read_text()), trial.portrait()
    trial.end()
    said, trial.hands = trial.hands, set()  # convert does not say "up to date" of pictures, it refuses to replace them
    is_known = "up to date" in trial.told()
    earliest_sec = 0 if trial.number == signal.SIGKILL else HEARD_SEC
    while trial.hits < num_kills and trial.ends < 4 * num_kills:
        shutil.rmtree(trial.root)
        for _ in range(min(rng.randint(1, MOST_BURST), num_kills - trial.hits)):
            last, after_sec = rng.randint(1, num_changes), rng.uniform(earliest_sec, took_sec)
            trial.kill(last if rng.random() < 0.5 else 0, after_sec)
        trial.end()
        trial.ends += 1
        trial.compare(wanted)
    trial.end()
    if is_known and "up to date" not in trial.told():
        trial.hands.add("a further run was not up to date")
    if states(trial.work) != inputs:
        trial.others.add("the inputs")
    if trial.slowest_sec > END_SEC:
        trial.hands.add(f"it ended after {trial.slowest_sec:.1f} s")
    trial.hands -= said
    found = [f"{len(names)} such as {min(names)}" if names else "0" for names in (trial.others, trial.hidden)]
    return [str(trial.hits), str(trial.ends), *found, "; ".join(sorted(trial.hands)) or "0", f"{took_sec:.1f} s"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="these commands")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT", "HUP"), default="KILL")
    args = parser.parse_args()
    multiprocessing.set_start_method("fork")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what is in its background ignore it
    for name in (*LATE, *(f"youku.{COMMANDS[verb].split()[0]}" for verb in args.only)):
        import_module(name)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "work"
        work.mkdir()
        make_material(work)
        server = Server(("127.0.0.1", 0), SlowServer)
        multiprocessing.Process(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        for verb in args.only:
            folder = Path(name) / verb
            folder.mkdir()
            line = COMMANDS[verb].format(work=work, out=folder / "run" / "out", url=url).split()
            trial = Trial(line, folder, work, signal.Signals[f"SIG{args.signal}"])
            rows.append([verb, *try_verb(trial, args.kills, random.Random(args.seed))])
            print(rows[-1], file=sys.stderr, flush=True)
            shutil.rmtree(folder)
    print(
        text_table.lay_out(["command", "kills", "ends", "differing", "hidden left", "needed a hand", "in peace"], rows)
    )
    return 0 if all(row[3:6] == ["0", "0", "0"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""A stop as a process meets it: every long verb, each signal, two seconds, one sentence, nothing and nobody left."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import textured_frame, write_clip
from youku import cli, contest, leftovers, stops
from youku.exchange import downloads
from youku.video import y4m

REPO = Path(__file__).parents[1]
IDS = "0-1"
NUM_FRAMES = 400  # far more than any verb gets through before it is stopped
BAR_SEC = 2.0
PATIENCE_SEC = 30.0


def _write_clip(path: Path, width: int, height: int, num_frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    header = y4m.make_header(width, height)
    planes = [tuple(rng.integers(16, 235, shape, np.uint8) for shape in header.plane_shapes) for _ in range(3)]
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            writer.write(planes[index % 3])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, predictions, pictures and weights that keep every verb busy for long."""
    work = tmp_path_factory.mktemp("stops")
    for clip_id in range(2):
        _write_clip(work / "low" / contest.low_name(clip_id), 160, 90, NUM_FRAMES, clip_id)
        _write_clip(work / "high" / contest.high_name(clip_id), 640, 360, NUM_FRAMES, 7 + clip_id)
        result = work / "pred" / contest.result_name(clip_id, True)
        result.parent.mkdir(exist_ok=True)
        result.hardlink_to(work / "high" / contest.high_name(clip_id))
    clip = (work / "high" / contest.high_name(0)).read_bytes()
    (work / "long.y4m").write_bytes(clip + clip[clip.index(b"\n") + 1 :] * 5)
    shutil.copytree(work / "low", work / "pairs")
    for path in (work / "high").iterdir():
        (work / "pairs" / path.name).hardlink_to(path)
    from PIL import Image

    (work / "set").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (800, 800, 3), np.uint8)
    for number in range(12):
        Image.fromarray(picture).save(work / "set" / f"{number:02d}.png")
    return work


@pytest.fixture(scope="module")
def slow_server() -> Iterator[str]:
    """A server that promises a gigabyte and sends a few bytes, then nothing."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 20))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"PK")
            self.wfile.flush()
            over.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    over = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    over.set()
    server.shutdown()
    server.server_close()


TRAIN = "--val-clips 1 --runs {out} --batch 2 --patch-px 16 --log-every 1 --device cpu"
LONG = {
    "score": "score {work}/pred --low {work}/low --high {work}/high --test-set " + IDS + " --out {out}",
    "predict": "predict {work}/low/Youku_00000_l.y4m {out}/o.y4m --ensemble --device cpu",
    "predict-video": "predict {work}/low/Youku_00000_l.y4m {out}/o.mkv --codec x265 --device cpu",
    "convert": "convert {work}/long.y4m {out}/o.mp4 --crf 0",
    "convert-png": "convert {work}/high/Youku_00000_h_GT.y4m {out}/o --route float",
    "degrade": "degrade {work}/high/Youku_00000_h_GT.y4m {out}/o --preset youku",
    "experiment": "experiment l1-against-l2 --scale 4 --data {work}/pairs " + TRAIN,
    "download": "download --data {out} --base-url {url} --clips 0-49 --kind input",
    "train": "train --name n --steps 1000000 --data {work}/pairs " + TRAIN,
    "submit": "submit {work}/pred --name n --low {work}/low --out {out} --level 9 --test-set " + IDS,
    "evaluate": "evaluate {work}/set --ensemble --fsim --device cpu",
    "compare": "compare {work}/high/Youku_00000_h_GT.y4m {work}/high/Youku_00001_h_GT.y4m --out {out}/o.mp4 --heat",
    "inspect": "inspect {work}/long.y4m",
}


# there, with something in it, once a verb is at work; others by the time they spent
MARKS = {
    "predict": "frames.json", "predict-video": "tail.tmp", "convert": ".o.mp4.*", "convert-png": "*.png",
    "degrade": "pairs.json", "experiment": "log.jsonl", "download": "*.part.json", "train": "log.jsonl",
}  # fmt: skip


def _start(name: str, work: Path, out: Path, url: str) -> subprocess.Popen[bytes]:
    line = LONG[name].format(work=work, out=out, url=url).split()
    out.mkdir()
    errors = (out.parent / f"{out.name}.err").open("wb")
    with errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "youku", *line],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, cwd=REPO, start_new_session=True,
        )  # fmt: skip
    return child


def _is_at_work(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has spent the time that starting takes, and a little more."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > 2.5


def _stop(child: subprocess.Popen[bytes], number: int) -> float:
    """Seconds from the signal to the end that are the process's own: those in which it waited for a processor do not count.

    Other tests and other programs may keep both cores busy; how long the kernel then lets the main thread, and the
    watcher that holds the two seconds, wait for their turn is no fault of theirs, and it tells (`_waited_sec`).
    """
    began, waited_before, waited = time.monotonic(), _waited_sec(child.pid), 0.0
    child.send_signal(number)
    while child.poll() is None and time.monotonic() - began < PATIENCE_SEC:
        waited = max(waited, _waited_sec(child.pid) - waited_before)
        time.sleep(0.01)
    took = time.monotonic() - began
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return took - waited


def _waited_sec(pid: int) -> float:
    """How long the main thread and the watcher, the first thread that a run starts, stood ready without a processor."""
    waited = 0.0
    with suppress(OSError, IndexError):  # it ended meanwhile, or the kernel does not tell
        for thread in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))[:2]:
            waited += int((thread / "schedstat").read_text().split()[1]) / 1e9
    return waited


def _others(session: int) -> list[str]:
    """Live processes of a session: children that outlived their parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(path.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize("name", LONG)
def test_every_long_verb_ends_in_time(name: str, work: Path, slow_server: str, tmp_path: Path) -> None:
    """At work, then a signal: the status says which, one sentence what is kept; no child, no hidden file, no traceback."""
    number = list(stops.SIGNALS)[list(LONG).index(name) % 3]
    child = _start(name, work, tmp_path / "out", slow_server)
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        marks = list((tmp_path / "out").rglob(MARKS[name])) if name in MARKS else []
        if any(mark.stat().st_size for mark in marks) if name in MARKS else _is_at_work(child):
            break
        time.sleep(0.05)
    told = tmp_path / "out.err"
    assert child.poll() is None, told.read_text()
    took_sec = _stop(child, number)
    text = told.read_text()
    assert child.returncode == 128 + number and took_sec < BAR_SEC, (took_sec, text)
    assert "Traceback" not in text and "Exception" not in text, text
    if name == "train":  # names its run and step instead
        assert "stopped at step" in text
        assert re.search(r"last.safetensors holds its weights of step \d+; go on with: python -m youku train", text)
    else:
        kept = text.splitlines()[-1].partition(f"stopped by {stops.SIGNALS[number]}; ")[2]
        assert re.fullmatch(LEFT.get(name, re.escape(cli.ANEW)), kept), kept
    assert _others(child.pid) == []
    assert list((tmp_path / "out").rglob(".*.tmp*")) == []


NOTHING = r"nothing of \S+ is kept yet; the same command begins it anew"
LEFT = {  # of work that has been begun
    "predict": r"\S+: \d+ frames? kept; the same command goes on from there|" + NOTHING,
    "predict-video": NOTHING,
    "experiment": r"0 of 4 variants finished(, \S+ kept)?; the same command goes on from there",
    "download": f"{re.escape(cli.ANEW)}|{downloads.KEPT}",
}

SLOW_STEP = """
import sys, time
from youku import train
from youku.training import step as room
take, taken = room.Steps.take, []
def slow(*given):
    taken.append(take(*given))
    if len(taken) == 4:
        print("slow", flush=True)
    time.sleep(60 if len(taken) == 4 else 0.2)
    return taken[-1]
room.Steps.take = slow
raise SystemExit(train.main())
"""


AGAIN = "import sys; from youku import train; train.main(sys.argv[1:3]); raise SystemExit(train.main(sys.argv[3:]))"


def test_a_step_too_long_for_a_stop_is_given_up(pairs: Path, tmp_path: Path) -> None:
    """The state before it is kept, consistent: the run that goes on makes the very bytes of one that was not stopped."""
    line = "--steps 6 --seed 5 --val-metric psnr --val-frames 1 --save-every 1000 --no-samples --data {pairs} " + TRAIN
    argv = line.format(pairs=pairs, out=tmp_path).split()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_STEP, *argv, "--name", "n"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPO,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        assert "slow" in iter(lambda: child.stdout.readline().decode().strip() or "ended", "ended")
        took_sec = _stop(child, signal.SIGTERM)
        assert child.stderr is not None
        told = child.stderr.read().decode()
    assert child.returncode == 143 and took_sec < BAR_SEC, told
    assert "last.safetensors holds its weights of step 3; go on with" in told
    assert list(tmp_path.rglob(".*.tmp*")) == []
    both = ["--resume", str(tmp_path / "n"), *argv, "--name", "straight"]
    subprocess.run([sys.executable, "-c", AGAIN, *both], check=True, capture_output=True, cwd=REPO)
    made = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("n", "straight")]
    assert made[0] == made[1]


PLAIN = """
import sys, time, threading
from youku import cli, stops
def action(args):
    print("ready", flush=True)
    {body}
    return 0
raise SystemExit(cli.Verb("score", "doc", lambda _: None, action)(None))
"""
STUCK = "threading.Thread(target=time.sleep, args=(60,)).start()\n    lock = threading.Lock(); lock.acquire()\n    "
BODIES = {
    "asleep": "time.sleep(60)",
    "threads that nobody ends": STUCK + "time.sleep(60)",
    "swallowing the stop": "exec('while True:\\n try: time.sleep(60)\\n except BaseException: pass')",
    "stuck in unwinding": "exec('try: time.sleep(60)\\nfinally: threading.Event().wait(60)')",
    "a child": "stops.run(['sleep', '60'])",
    "a library's child, and its own": "import subprocess; subprocess.call(['sh', '-c', 'sleep 60 & wait'])",
    "a pool": "exec('with stops.workers(2) as (pool, _):\\n for _ in range(9): pool.submit(time.sleep, 60)\\n time.sleep(60)')",
}


def _plain(body: str) -> subprocess.Popen[bytes]:
    return _started(PLAIN.format(body=body), REPO)


def _started(code: str, folder: Path) -> subprocess.Popen[bytes]:
    """A program that runs in a folder and has said that it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


STUBBORN = """
import sys, time
from youku.__main__ import main
from youku.inference import clip
def predict(self, job, kept):
    if {is_kept}:
        kept.add(0, b"a segment")
    print("ready", flush=True)
    while True:
        try: time.sleep(60)
        except BaseException: pass
clip.Predictor.predict = predict
sys.argv = ["youku", "predict", "in.y4m", "o/out.mkv", "--model", "bicubic"]
main()
"""


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_second_stop_leaves_nothing_where_nothing_is_kept(tmp_path: Path, is_kept: bool) -> None:
    """An end that unwinds nothing: neither a record nor an empty folder stays beside a film; what is kept does."""
    write_clip(tmp_path / "in.y4m", header := y4m.make_header(16, 16), [textured_frame(header, 0)])
    with _started(STUBBORN.format(is_kept=is_kept), tmp_path) as child:
        child.send_signal(signal.SIGINT)
        time.sleep(2 * stops.SAME_SEC)
        assert _stop(child, signal.SIGINT) < BAR_SEC and child.returncode == 130
    assert [path.suffix for path in (tmp_path / "o").iterdir()] == [".part"] * is_kept


@pytest.mark.parametrize("name", BODIES)
def test_nothing_holds_a_stopped_process(name: str) -> None:
    """Threads, locks, pools, children, code that swallows the interrupt: the sentence comes once, the end within two seconds."""
    with _plain(BODIES[name]) as child:
        while len(_others(child.pid)) <= name.count("child") + name.count("its own"):
            time.sleep(0.01)
        took_sec = _stop(child, signal.SIGTERM)
        assert _others(child.pid) == []
        assert child.stderr is not None
        told = child.stderr.read().decode()
    assert child.returncode == 143 and took_sec < BAR_SEC
    assert told.strip() == f"stopped by SIGTERM; {cli.ANEW}"


CHILD = "held = b'1' * (1 << 28); import time; print('ready', flush=True); time.sleep({sec})"
CHILDREN = {
    "ours": f"stops.popen([sys.executable, '-c', {CHILD.format(sec=60)!r}])\n    time.sleep(60)",
    "a library's": "import subprocess; from imageio_ffmpeg import _utils; from youku.video import ffmpeg\n"
    f"    _utils._is_valid_exe = lambda _: not subprocess.call([sys.executable, '-c', {CHILD.format(sec=0.3)!r}])\n"
    "    os.environ.pop('IMAGEIO_FFMPEG_EXE', None); ffmpeg.binary()",
}


@pytest.mark.parametrize("body", CHILDREN.values(), ids=CHILDREN)
def test_a_stopped_process_ends_after_its_children(body: str) -> None:
    """One that is killed takes a while to end: a large one here, any on a busy machine."""
    code = PLAIN.format(body=body).replace('print("ready", flush=True)', "import os")
    with _started(code, REPO) as child:
        took_sec = _stop(child, signal.SIGTERM)
    assert child.returncode == 143 and took_sec < BAR_SEC
    assert _others(child.pid) == []


STUCK = "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire(timeout=20)"


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="the system does not say what its threads wait for")
def test_a_child_that_waits_for_itself_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ffmpeg does where it cannot start a thread; one that waits for its input is left alone."""
    monkeypatch.setattr(stops, "STUCK_SEC", 0.2)
    line = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with stops.popen(line, stdin=subprocess.PIPE) as reader:
        assert stops.run([sys.executable, "-c", STUCK]).returncode == -signal.SIGKILL
        time.sleep(4 * stops.STUCK_SEC)
    assert reader.returncode == 0


LEAVES = """
import subprocess
from youku import cli, stops
def act(_):
    print(stops.popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
    raise ValueError("given up")
cli.Verb("x", "", lambda _: None, act)()
"""


def test_an_error_leaves_no_child() -> None:
    """Whoever started it could not see to its end."""
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, check=False, cwd=REPO)
    assert (done.returncode, done.stderr) == (1, "error: given up\n")
    until = time.monotonic() + 2  # it sleeps for a minute; whom the system has killed is there for a moment more
    while leftovers._start_of(int(done.stdout)) is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert leftovers._start_of(int(done.stdout)) is None


def test_a_second_signal_ends_at_once() -> None:
    """Before the time that the first allows; its status is the first one's."""
    with _plain(BODIES["swallowing the stop"]) as child:
        child.send_signal(signal.SIGHUP)
        time.sleep(stops.SAME_SEC + 0.2)
        took_sec = _stop(child, signal.SIGINT)
    assert child.returncode == 129 and took_sec < stops.GRACE_SEC / 2


def test_an_ignored_signal_stays_ignored() -> None:
    """`nohup` means it."""
    line = ["nohup", sys.executable, "-c", PLAIN.format(body="time.sleep(1)")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPO) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGHUP)
        assert child.wait(20) == 0


def test_a_stop_while_starting() -> None:
    """Also while libraries are being loaded, nothing is traced back."""
    line = [sys.executable, "-m", "youku", "bench"]  # loads all that there is
    with subprocess.Popen(line, stderr=subprocess.PIPE, cwd=REPO) as child:
        time.sleep(0.6)
        assert _stop(child, signal.SIGINT) < BAR_SEC
        assert child.stderr is not None
        told = child.stderr.read().decode()
    kept = (cli.ANEW, "nothing was begun")  # the second before the kit itself is loaded
    assert child.returncode == 130 and told.strip() in [f"stopped by Ctrl-C; {one}" for one in kept]


BEFORE = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "youku.cli": os.kill(os.getpid(), signal.{name})
from youku.__main__ import main
sys.meta_path.insert(0, Finder())
sys.argv = ["youku", "doctor"]
main()
"""
LOADING = """
import os, sys, time
from youku.__main__ import VERBS, main
sys.path.insert(0, os.getcwd())
with open("youku_slow.py", "w") as file:
    file.write("import os, time; print('ready', flush=True)\\ntry: time.sleep(60)\\nexcept BaseException: os.abort()")
class Verb: main = staticmethod(lambda _: __import__("youku_slow"))
sys.modules["youku.slow"] = Verb
VERBS["slow"] = ("slow", "")
sys.argv = ["youku", "slow"]
main()
"""
DONE = """
import atexit, os, sys, threading, time
from youku import cli
atexit.register(lambda: time.sleep(60))
threading.Thread(target=time.sleep, args=(60,)).start()
class Slow:
    flush = lambda self: (os.write(1, b"ready\\n"), time.sleep(60))
    write = lambda self, text: os.write(2, text.encode())
def fail(args):
    sys.stderr = {stderr}
    raise ValueError("wrong")
raise SystemExit(cli.Verb("score", "doc", lambda _: None, fail)(None))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_before_the_kit_is_loaded(name: str) -> None:
    """The first tenth of a second too ends in a sentence and the status of the signal."""
    line = [sys.executable, "-c", BEFORE.format(name=name)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=REPO, check=False)
    shown = "Ctrl-C" if name == "SIGINT" else name
    assert done.returncode == 128 + signal.Signals[name] and done.stdout == ""
    assert done.stderr.strip() == f"stopped by {shown}; nothing was begun"


def test_a_stop_while_a_library_is_loaded(tmp_path: Path) -> None:
    """What C++ code does while it is imported does not survive an exception (torch: SIGABRT): none is raised there."""
    with _started(LOADING, tmp_path) as child:
        took_sec = _stop(child, signal.SIGINT)
        assert child.stderr is not None
        told = child.stderr.read().decode()
    assert child.returncode == 130 and took_sec < BAR_SEC
    assert told.strip() == f"stopped by Ctrl-C; {cli.ANEW}"


@pytest.mark.parametrize("number", stops.SIGNALS)
def test_a_stop_after_the_work(number: int) -> None:
    """While the process ends, a signal ends it at once with the status that it had: nothing was stopped."""
    with _started(DONE.format(stderr="Slow()"), REPO) as child:
        took_sec = _stop(child, number)
        assert child.stderr is not None
        told = child.stderr.read().decode()
    assert (child.returncode, told.strip()) == (1, "error: wrong") and took_sec < BAR_SEC


def test_nothing_holds_a_process_that_is_done() -> None:
    """Python's own end, in which threads of torch may abort a process, has no part in a run."""
    line = [sys.executable, "-c", DONE.format(stderr="sys.stderr")]
    done = subprocess.run(line, capture_output=True, text=True, cwd=REPO, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: wrong\n")


def test_a_room_says_what_it_keeps(capsys: pytest.CaptureFixture[str]) -> None:
    """The last word holds, said as late as the stop; the next run begins with its own."""

    def action(_: object) -> int:
        stops.keeps(lambda: "3 frames are kept")
        raise KeyboardInterrupt

    assert cli.Verb("score", "doc", lambda _: None, action)([]) == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C; 3 frames are kept\n"


def test_an_error_ends_the_other_jobs() -> None:
    """The first error is raised, and jobs that look at the event end early; the caller's tick runs meanwhile."""
    ticks: list[int] = []
    with pytest.raises(ValueError, match="first"), stops.workers(2) as (pool, stop):

        def fail() -> None:
            time.sleep(2.5 * stops.TICK_SEC)
            raise ValueError("first")

        stops.results([pool.submit(fail), pool.submit(stop.wait, 60)], lambda: ticks.append(1))
    assert stop.is_set() and ticks


def test_no_saver_outlives_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread writes at a stop is whole before anything is told of it."""
    from youku.training import saving

    monkeypatch.setattr(saving.Saver, "_wait_for_stop", lambda _, over: (over.wait(), time.sleep(0.2)))
    with saving.saver(SimpleNamespace(step=0), None, print):  # type: ignore[arg-type]
        pass
    assert not any(thread.name == "saver" for thread in threading.enumerate())

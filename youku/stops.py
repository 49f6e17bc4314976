"""How a run ends when it is told to: signals, pools of threads, child processes.

SIGINT, SIGTERM, SIGHUP -> one sentence, exit 130, 143 or 129, within two seconds; a second signal ends the run at once.
The first raises KeyboardInterrupt in the main thread, and what is in work unwinds. A watcher thread, which waits for no
lock and no C code, ends the process where that takes longer than GRACE_SEC: children killed, temporary files removed.

The rule for pools: only by `workers`, which a stop does not wait for; the rule for children: only by `popen`, so that
none outlives the run; a library that starts one of its own is called in `held_back`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

from youku import leftovers

Result = TypeVar("Result")
SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
GRACE_SEC = 1.4  # for unwinding; the rest of the two seconds is for the end of the process on a busy machine
TICK_SEC = 0.2
STUCK_SEC = 1.0  # between two looks at a child
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SAME_SEC = 0.1  # signals that follow one another so closely are one: a terminal and a wrapper may both send it

_caught: list[int] = []  # by the watcher or the handler, whichever saw it first
_raised: list[int] = []
_watchers: list[threading.Thread] = []
_held_back: list[bool] = []
_children: WeakSet[subprocess.Popen[bytes]] = WeakSet()
_entering = threading.Lock()  # from the start of a child to its entry in the list
_kept: list[str | Callable[[], str]] = [""]
_hushed: list[bool] = []


def keeps(sentence: str | Callable[[], str]) -> None:
    """From now on a stop tells this: what is kept, and what the same command does next. The last word holds.

    Only what is there already: nothing is promised of work that has just begun.
    """
    _kept[0] = sentence


def hush() -> None:
    """Another process tells of a stop of this one: who started it, or the first of several that do one work."""
    _hushed.append(True)


def is_hushed() -> bool:
    return bool(_hushed)


def caught() -> int | None:
    """The signal that this run was told to stop by, if it was."""
    return _caught[0] if _caught else None


def status() -> int:
    """The exit status of a stopped run: 128 and the signal, Ctrl-C's where none was seen."""
    return 128 + (caught() or signal.SIGINT)


def sentence() -> str:
    """What stopped the run and what is kept."""
    kept = _kept[0] if isinstance(_kept[0], str) else _kept[0]()
    return f"stopped by {SIGNALS[signal.Signals(status() - 128)]}; {kept}"


@contextmanager
def signals_caught(kept: str) -> Iterator[None]:
    """In the main thread, meanwhile: each of the signals raises KeyboardInterrupt once. One that is ignored stays so."""
    if not _watchers:  # a process that is one run is stopped once
        _caught.clear()
        _raised.clear()
        _hushed.clear()
    keeps(kept)
    previous: dict[int, Any] = {}
    with suppress(ValueError):  # not the main thread: no signal comes here
        for name in SIGNALS:
            if signal.getsignal(name) not in (signal.SIG_IGN, _raise):
                previous[name] = signal.signal(name, _raise)
    try:
        yield
    finally:
        for number, handler in previous.items() if not _watchers else ():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    _caught.append(number)
    if _held_back:
        _held_back.append(False)
    elif not _raised:
        _raised.append(number)
        interrupt(frame)


def interrupt(frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt where a stop found the main thread; in the middle of an import, end the process.

    What C++ libraries do while they are loaded does not survive an exception: torch ends with SIGABRT and a dump.
    From here on what a killed child leaves is this process's own, to be ended with it: `subprocess` kills whom it waits for.
    """
    while frame and _watchers:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            end(is_told=False)
        frame = frame.f_back
    if _watchers:
        with suppress(Exception):  # Linux alone
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    raise KeyboardInterrupt


def leave(exit_status: int) -> NoReturn:
    """End this process, whose work is done and told, without Python's own end, in which threads of torch may abort it.

    A signal that comes now changes nothing. A child that an error left running is killed: most end by themselves.
    """
    for child in list(_children):
        with suppress(OSError):
            child.kill()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(exit_status))
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(exit_status)


def watch_process() -> None:
    """Start the watcher that holds this process to its two seconds: once, in `signals_caught`, where it is one run."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _watchers.append(threading.Thread(target=_watch, args=(reading,), name="stops", daemon=True))
    _watchers[0].start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # written by C code, whatever Python is doing


def _watch(reading: int) -> None:
    number = _next(reading, None)
    if number is None:
        return
    _caught.append(number)
    began = time.monotonic()
    while (left := began + GRACE_SEC - time.monotonic()) > 0:
        if _next(reading, left) is not None and time.monotonic() - began > SAME_SEC:
            break
    end(is_told=False)


def _next(reading: int, patience_sec: float | None) -> int | None:
    """The next of our signals; None when it did not come."""
    while select.select([reading], [], [], patience_sec)[0]:
        number = os.read(reading, 1)[0]
        if number in SIGNALS:
            return number
    return None


def end(is_told: bool) -> None:
    """End a stopped process now, whatever its threads do: no child and no temporary file is left, and the sentence is said."""
    _entering.acquire(timeout=TICK_SEC)  # and from now on none starts
    for child in list(_children):
        with suppress(OSError):
            child.kill()
    for pid in _descendants("self"):  # and what a library started, such as a compiler
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    late = time.monotonic() + TICK_SEC
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < late:  # on a busy machine one that is killed lives on for a while
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
    leftovers.drop_unfinished()  # right before the end: other threads go on meanwhile
    with suppress(Exception):
        if is_told:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        elif not _hushed and select.select([], [2], [], 0.1)[1]:  # sys.stderr's lock a stuck thread may hold
            os.write(2, f"\n{sentence()}\n".encode())
    os._exit(status())


def _descendants(pid: str) -> list[int]:
    """Children of a process and theirs, where the system is Linux and lists them."""
    found = []
    for path in Path("/proc", pid).glob("task/*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += [int(child), *_descendants(child)]
    return found


@contextmanager
def held_back() -> Iterator[None]:
    """In the main thread a stop waits for the end of the block: for a child that a library starts."""
    is_main = threading.current_thread() is threading.main_thread()
    _held_back.extend([True] * is_main)
    try:
        yield
    finally:
        was_stopped = is_main and False in _held_back
        _held_back.clear() if is_main else None
    if was_stopped:
        _raise(_caught[0], None)


def popen(line: list[str], **how: Any) -> subprocess.Popen[bytes]:
    """Start a child process that does not outlive this run, and is killed where it can never go on."""
    with held_back(), _entering:
        child = subprocess.Popen(line, **how)
        _children.add(child)
    try:
        threading.Thread(target=_kill_stuck, args=(child,), daemon=True).start()
    except RuntimeError:
        child.kill()
        child.wait()
        raise
    return child


def _kill_stuck(child: subprocess.Popen[bytes]) -> None:
    """End a child whose threads only wait for each other, as ffmpeg's do for one that the system would not start."""
    before = ""
    while child.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(STUCK_SEC)
        now = _standstill(child.pid)
        if now and now == before:
            child.kill()
        before = now


def _standstill(pid: int) -> str:
    """What does not change while all threads of a process wait for locks, none for a file or a pipe; else, or unknown, ""."""
    with suppress(OSError):
        waits = {task.joinpath("wchan").read_text()[:5] for task in Path(f"/proc/{pid}/task").iterdir()}
        if waits == {"futex"}:
            used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]  # ticks of the processor
            return " ".join(used)
    return ""


def run(line: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A child process to its end, with what it wrote; killed where this run is stopped."""
    with popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            out, err = child.communicate()
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(line, child.returncode, out, err)


@contextmanager
def workers(
    number: int, name: str = "", initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """A pool of threads, and an event that tells its jobs to end early: set by an error, waited for; by a stop, not."""
    pool, stop = ThreadPoolExecutor(number, name, initializer, initargs), threading.Event()
    try:
        yield pool, stop
    except BaseException as error:
        stop.set()
        pool.shutdown(wait=not isinstance(error, KeyboardInterrupt), cancel_futures=True)
        raise
    pool.shutdown()


def results(futures: Sequence[Future[Result]], tick: Callable[[], object]) -> list[Result]:
    """What the jobs gave, in order, or the first error; `tick` is called by this thread meanwhile, such as to move a bar."""
    while wait(futures, TICK_SEC, FIRST_EXCEPTION).not_done:
        tick()
        for future in futures:
            if future.done():
                future.result()
    tick()
    return [future.result() for future in futures]

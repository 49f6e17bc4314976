"""Temporary files: a name that says who writes it, and what a killed writer left is removed by the next one; lock files.

A temporary file bears the machine, the boot, the process and its time of start in its name; whoever next writes into
that folder removes those whose writer is gone, never one that a live process may still be writing (`_is_gone`). So goes
the hidden folder of an output in the making (video.segments) in which nothing is finished; its lock file says who writes.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

PART = ".part"  # ends the name of a folder that holds an output in the making (video.segments)
FOREIGN_SEC = 7 * 86400  # a writer on another machine that has not written for so long is taken to be gone

# in a folder in the making: its lock, the count of a y4m file's frames, what others made of a film
LOCK, COUNT, PARTS = "lock", "frames.json", "parts"
FINISHED = ("**/*.segment", f"**/{COUNT}", f"{PARTS}/*.y4m")  # there or in those in it: the next run goes on after them

_WRITER = r"(?P<machine>[0-9a-f]{8})-(?P<boot>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)"
_IN_THE_MAKING = re.compile(rf"\..*\.[0-9a-f]{{12}}{re.escape(PART)}")
_TEMPORARY = re.compile(rf"\..*\.{_WRITER}-\d+\.tmp.*")
_numbers = itertools.count()
_unfinished: set[Path] = set()
_undoing: list[Callable[[], object]] = []
_swept: dict[Path, set[str]] = {}


@contextmanager
def unfinished(path: Path, suffix: str = "") -> Iterator[Path]:
    """A name that nothing bears yet, in a folder without leftovers; what is there at the end is removed.

    Errors that speak of it speak of `path`.
    """
    sweep(path.parent)
    stem = os.fsencode(path.name)[:60].decode(errors="ignore")
    end = f".tmp{suffix if len(os.fsencode(suffix)) < 60 else ''}"
    temporary = path.parent / f".{stem}.{_writer()}-{next(_numbers)}{end}"
    _unfinished.add(temporary)
    try:
        yield temporary
    except Exception as error:
        _rename(error, temporary, path)
        raise
    finally:
        _remove(temporary)
        _unfinished.discard(temporary)


@contextmanager
def locked(path: Path, refusal: str = "") -> Iterator[None]:
    """Hold a lock file against other processes; where one has it, ValueError in the words of a `refusal`, else waited for.

    The system holds it for the open file, so that a crash frees it; where the file system has no locks, none. It goes
    while it is held, and who has waited for it finds that and locks the next: nothing is left.
    """
    while True:
        with open(path, "ab") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
            except BlockingIOError:
                raise ValueError(refusal) from None
            except (ImportError, OSError):
                pass
            if not _lies_at(path, file):
                continue
            try:
                with suppress(OSError):  # a full disk
                    file.truncate(0)
                    os.write(file.fileno(), _writer().encode())
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
            return


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` where the block fails, or where the process ends in it with nothing unwound."""
    _undoing.append(undo)
    try:
        yield
    except BaseException:
        undo()
        raise
    finally:
        _undoing.remove(undo)


def _lies_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _rename(error: Exception, temporary: Path, path: Path) -> None:
    for name in (str(temporary.absolute()), str(temporary)):
        error.args = tuple(arg.replace(name, str(path)) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, OSError) and isinstance(error.filename, str):
            error.filename = error.filename.replace(name, str(path))


def drop_unfinished() -> None:
    """Remove every temporary file of this process, and undo what is to be: for an end that unwinds nothing."""
    for undo in reversed(_undoing):
        with suppress(Exception):
            undo()
    for temporary in list(_unfinished):
        with suppress(OSError):
            _remove(temporary)


def sweep(folder: Path) -> None:
    """Remove temporary files whose writer is gone from `folder`; looked at once in a process."""
    folder = folder.absolute()
    if folder in _swept:
        return
    found = _swept[folder] = set()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            writer = _TEMPORARY.fullmatch(entry.name)
            with suppress(OSError, ValueError):
                if writer and _is_gone(path := Path(entry.path), writer):
                    _remove(path)
                elif _IN_THE_MAKING.fullmatch(entry.name):
                    found.add(entry.name)
                    if _is_left(path := Path(entry.path)):
                        with locked(path / LOCK, refusal="a run goes on with it"):
                            _remove(path)


def parts(folder: Path) -> set[str]:
    """Names of the outputs in the making that lay in `folder` when it was looked at; who makes one adds its own.

    Listed once, as a folder of many outputs takes long to list for each of them.
    """
    sweep(folder)
    return _swept[folder.absolute()]


def holds_finished(folder: Path) -> bool:
    """Whether a folder in the making holds what the next run can go on after."""
    return any(any(folder.glob(name)) for name in FINISHED)


def _is_left(folder: Path) -> bool:
    """Whether a folder in the making holds nothing finished, and those who were at it are gone."""
    locks = list(folder.rglob(LOCK)) or [folder]
    return not holds_finished(folder) and all(_is_gone(lock, re.fullmatch(_WRITER, _read_mark(lock))) for lock in locks)


def _writer() -> str:
    """This process, for the name of a temporary file or a lock."""
    return f"{'-'.join(_here())}-{os.getpid()}-{_own_start(os.getpid())}"


def _is_gone(path: Path, writer: re.Match[str] | None) -> bool:
    """Whether the process that made a temporary file cannot be writing it any more.

    Here that is known: another boot, no such process, or one of another time of start (numbers are used again). Of
    another machine or container on a shared disk it is not, nor of an unknown writer, so there a week without a write
    has to do.
    """
    machine, boot = _here()
    if not writer or writer["machine"] != machine:
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > FOREIGN_SEC
        return False
    if writer["boot"] != boot:
        return True
    start = _start_of(int(writer["pid"]))
    return start is None or (start > 0 and writer["start"] not in ("0", str(start)))


def _start_of(pid: int) -> int | None:
    """When a process began, in ticks since the boot; 0 where that cannot be told; None where there is no such process."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else int(rest[18])
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except OSError as error:
        return None if isinstance(error, ProcessLookupError) else 0
    return 0


@lru_cache(maxsize=1)
def _own_start(pid: int) -> int:
    """`_start_of` this process, which has another number once it has forked."""
    return _start_of(pid) or 0


@lru_cache(maxsize=1)
def _here() -> tuple[str, str]:
    """Where process numbers mean something: machine and container, and which boot of it, eight digits each."""
    machine, boot = (_read_mark(name) for name in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"))
    with suppress(OSError):
        machine = f"{os.uname().nodename} {machine or boot} {Path('/proc/self/ns/pid').readlink()}"
    return hashlib.sha256(machine.encode()).hexdigest()[:8], hashlib.sha256(boot.encode()).hexdigest()[:8]


def _read_mark(name: str | Path) -> str:
    try:
        return Path(name).read_text().strip()
    except OSError:
        return ""


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # POSIX lets a system say either of a folder
        if not path.is_dir():
            raise
        shutil.rmtree(path, ignore_errors=True)


def look_again() -> None:
    """Let every folder be swept once more."""
    _swept.clear()

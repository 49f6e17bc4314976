"""Errors of the system in words: what it means and what to do. Every sentence about the system is here.

An exception of the system, or of a library that has its own kinds of it -> one sentence.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path

from youku import threads

LEAST_BYTES = 700 << 20  # of addresses: with less, libraries of torch end the process while they are loaded
DISK = "free some space or choose another folder, then run again"
# errno -> what it means and what to do: every sentence about the system is here
ADVICE = {
    errno.ENOSPC: f"the disk is full, of bytes or of files (`df -i`); {DISK}",
    errno.EDQUOT: f"the disk quota is used up; {DISK}",
    errno.EFBIG: "larger than a file may be here (`ulimit -f`, or the file system); choose another folder or raise the limit",
    errno.EACCES: "permission denied; name what you may read, and a folder you may write to",
    errno.EPERM: "permission denied; name what you may read, and a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EMFILE: "too many open files; raise the limit with `ulimit -n 4096` and run again",
    errno.ENFILE: "too many open files on this machine; close other programs and run again",
    errno.ENOENT: "no such file or folder; check the path",
    errno.EISDIR: "expected a file, found a folder; check the path",
    errno.ENOTDIR: "expected a folder, found a file; check the path",
    errno.ENAMETOOLONG: "the name is too long for the file system (mostly 255 bytes); choose a shorter one",
    errno.ELOOP: "its links lead in a circle; check the path",
    errno.ENOMEM: "not enough memory; close other programs, raise `ulimit -v`, or take smaller tiles, batches or --jobs",
    errno.EAGAIN: "can't start another thread or process; close other programs or raise `ulimit -u`, and run again",
    errno.EBADF: "stdin or stdout is closed; run again with both open, or name files",
}
# the same in words, from libraries that have their own kinds of error; a group is the file's name
WORDS = (
    (r"can't start new thread|thread creation failed|resource temporarily unavailable", errno.EAGAIN),
    (r"no space left on device", errno.ENOSPC),
    (r"symlink loop from '(.*)'", errno.ELOOP),
    (r"disk quota exceeded", errno.EDQUOT),
    (r"file too large", errno.EFBIG),
    (r"too many open files", errno.EMFILE),
    (
        r"not enough memory|out of memory|bad_alloc|allocate memory|unable to mmap|failed to map segment|create a primitive",
        errno.ENOMEM,
    ),
)


def require_memory() -> None:
    """MemoryError where `ulimit -v` leaves too few addresses to load torch."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    if 0 <= (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) < LEAST_BYTES:
        raise MemoryError(f"`ulimit -v` is {limit >> 10}, at least {LEAST_BYTES >> 10} are needed")


def require_folder() -> None:
    """ValueError where the current folder was removed: libraries would fail with words of their own."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ValueError("the current folder is no longer there; change into another one") from None


def require_threads() -> None:
    """RuntimeError where a network's threads cannot be started: OpenMP would end the process with words of its own."""
    over, own = threading.Event(), os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    team = int(own) if own.isdecimal() else threads.cores()
    try:
        for _ in range(team + 2):  # and who reads and writes beside it
            threading.Thread(target=over.wait, daemon=True).start()
    finally:
        over.set()


def explain(error: BaseException) -> str:
    """One sentence for a system error: which file, what, what to do; empty for an error that is none of the system's."""
    filename = getattr(error, "filename", None)
    where = f"{filename}: " if filename else ""
    if isinstance(error, OSError) and error.errno in ADVICE:
        return where + ADVICE[error.errno]
    if isinstance(error, MemoryError):
        return f"{where}{ADVICE[errno.ENOMEM]}{f' ({error})' if str(error) else ''}"
    for words, number in WORDS:
        if found := re.search(words, str(error), re.IGNORECASE):
            return (f"{found[1]}: " if found.lastindex else where) + ADVICE[number]
    return where + (error.strerror or str(error)) if isinstance(error, OSError) else ""

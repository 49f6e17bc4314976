"""What every verb's command line shares: a strict parser, one clear sentence for an error, exit 0 done, 1 failed, 2 usage.

Results go to stdout; progress and messages to stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")


class UsageError(ValueError):
    """Arguments that do not make a command; the exit status is 2, as for an unknown flag."""


class Watch(Protocol):
    """What a room lets its caller see of its progress: items pass through, `name` says of what, `total` how many."""

    def __call__(self, items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]: ...


def unwatched(items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]:
    return items


def watch(
    items: Iterable[Item], name: str = "", total: int | None = None, *, is_kept: bool = True, unit: str = "frame"
) -> Iterable[Item]:
    """A bar on stderr; one that is not kept is for terminals alone and leaves no trace."""
    from tqdm import tqdm

    disable = False if is_kept else None
    return tqdm(items, name or None, total, unit=unit, disable=disable, leave=is_kept, file=sys.stderr)


def say(sentence: str) -> None:
    """A message on stderr."""
    print(sentence, file=sys.stderr)


def make_parser(verb: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser without abbreviations whose help opens with the verb's module docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m youku {verb}",
        description=doc,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def option(default: Any, text: str, **how: Any) -> Any:
    """A field of a settings dataclass whose help text is also its flag's; `how` as for `add_argument`."""
    return dataclasses.field(default=default, metadata={"help": text, **how})


def add_flags(parser: argparse.ArgumentParser, settings: type, *names: str, **defaults: Any) -> None:
    """One flag for each field of `settings` made by `option`, or for those named, in that order."""
    fields = {item.name: item for item in dataclasses.fields(settings) if item.metadata}
    for name in names or fields:
        default = defaults.get("default", fields[name].default)
        parser.add_argument("--" + name.replace("_", "-"), default=default, **fields[name].metadata)


def run(
    parser: argparse.ArgumentParser, action: Callable[[argparse.Namespace], int], argv: Sequence[str] | None
) -> int:
    """Parse `argv`, run `action`, turn user and system errors into one sentence on stderr; returns the exit status."""
    args = parser.parse_args(argv)
    try:
        with _terminable():
            return action(args)
    except UsageError as error:
        parser.error(str(error))
    except ValueError as error:  # user and data mistakes, already worded
        return _fail(str(error))
    except BrokenPipeError:  # the reader of our stdout went away; nothing more to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(explain(error))
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; finished files are kept, run the same command to go on", file=sys.stderr)
        return 130


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends like Ctrl-C, so that no half-written file is left."""
    try:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def explain(error: OSError) -> str:
    """One sentence for a system error: which file, what, what to do."""
    where = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder, then run again",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another folder, then run again",
        errno.EACCES: "permission denied; choose a folder you may write to",
        errno.EPERM: "permission denied; choose a folder you may write to",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.EMFILE: "too many open files; raise the limit with `ulimit -n 4096` and run again",
        errno.ENOENT: "no such file or folder; check the path",
        errno.EISDIR: "expected a file, found a folder; check the path",
        errno.ENOTDIR: "expected a folder, found a file; check the path",
    }.get(error.errno or 0, error.strerror or str(error))
    return where + advice


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1

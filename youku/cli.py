"""What every verb's command line shares: a strict parser, one clear sentence for an error, exit 0 done, 1 failed, 2 usage.

Results go to stdout; progress and messages to stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from youku import arguments, files, stops, system_errors, threads, urls

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
Made = TypeVar("Made")
LOG_SEC = 10  # between lines of a bar where stderr is no terminal

ANEW = "this run leaves nothing half made; give the same command again"  # until a room `stops.keeps` something
# the arguments whose URLs a verb opens itself
OWN = {"download": {"base_url"}, "train": {"data", "val_data", "backup", "resume"}, "export": {"licence"}}
PLAYLISTS = "open inputs that lead to other local files (m3u8, ffconcat); name only those you trust"
NO_TORCH = ("download", "degrade", "convert", "submit", "curves", "report", "compare")
NO_NETWORK = (*NO_TORCH, "score", "models")  # one thread is theirs

_failures: list[str] = []  # of this run, told


class RunError(ValueError):
    """What every item of a run would meet; `each` ends at it."""


class UsageError(RunError):
    """Arguments that do not make a command; the exit status is 2, as for an unknown flag."""


class Watch(Protocol):
    """What a room lets its caller see of its progress: items pass through, `name` says of what, `total` how many."""

    def __call__(self, items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]: ...


class Each(Protocol):
    """`map` of one iterable, or `each`, which goes on after an item that fails."""

    def __call__(self, work: Callable[[Item], Made], items: Sequence[Item], /) -> Iterable[Made]: ...


def unwatched(items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]:
    return items


def watch(
    items: Iterable[Item], name: str = "", total: int | None = None, *, is_kept: bool = True, unit: str = "frame"
) -> Iterable[Item]:
    """Items pass through under a bar; one that is not kept leaves no trace on a terminal."""
    return bar(items, desc=name or None, total=total, unit=unit, leave=is_kept)


def each(work: Callable[[Item], Made], items: Sequence[Item]) -> Iterable[Made]:
    """What `work` makes of each item; of one that fails beside others the error is told, and the run's status will be 1."""
    num_failed = 0
    for item in items:
        try:
            yield work(item)
        except ValueError as error:
            if len(items) == 1 or isinstance(error, RunError):
                raise
            num_failed += bool(_fail(str(error)))
    told = f"{num_failed} of {len(items)} failed"
    if num_failed and num_failed == len(items):
        raise ValueError(told)
    _failures.extend([told] * bool(num_failed))


def has_failures() -> bool:
    """Whether an item of this run failed beside others, and so is not there."""
    return bool(_failures)


def bar(items: Iterable[Any] | None = None, *, is_shown: bool = True, **how: Any) -> tqdm[Any]:
    """tqdm's bar on stderr, with its arguments: drawn over on a terminal, a line every ten seconds in a log."""
    from tqdm import tqdm

    is_terminal = sys.stderr.isatty()
    how |= {"desc": files.printable(how["desc"], None)} if how.get("desc") else {}
    return tqdm(items, disable=not is_shown, ascii=not is_terminal, file=sys.stderr if is_terminal else _Log(), **how)


class _Log:
    """A file for bars that keeps what they draw every ten seconds, each as a line on stderr."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def write(self, drawn: str) -> None:
        if (line := drawn.strip()) and time.monotonic() - self._told_at >= LOG_SEC:
            self._told_at = time.monotonic()
            say(line)

    def flush(self) -> None:
        sys.stderr.flush()


def say(sentence: str) -> None:
    """A message on stderr: one line, whatever the names in it hold."""
    print(files.printable(sentence, None), file=sys.stderr)


def show(sentence: str) -> None:
    """What a run made or found, on stdout, likewise."""
    print(files.printable(sentence, None))


def answer(args: argparse.Namespace, value: Any, *texts: str) -> None:
    """The result of a run on stdout: `value` as JSON where --json asks for that, else the texts, each from a new line on."""
    print(json.dumps(value, indent=2) if args.json else "\n".join(texts))


class _Line(logging.Formatter):
    """What rooms warn of, as `say` has it."""

    def format(self, record: logging.LogRecord) -> str:
        return files.printable(super().format(record), None)


def as_time(seconds: float) -> str:
    """A time as one says it: 40 s, 12 min, 1 h 50 min, 15 days."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds > 2 * 86400:
        return f"{seconds / 86400:.0f} days"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if seconds > 6000 else f"{seconds / 60:.0f} min"


def option(default: Any, text: str, **how: Any) -> Any:
    """A field of a settings dataclass whose help text is also its flag's; `how` as for `add_argument`."""
    return dataclasses.field(default=default, metadata={"help": text, **how})


def add_flags(parser: argparse.ArgumentParser, settings: type, *names: str, **defaults: Any) -> None:
    """One flag for each field of `settings` made by `option`, or for those named, in that order."""
    fields = {item.name: item for item in dataclasses.fields(settings) if item.metadata}
    for name in names or fields:
        default = defaults.get("default", fields[name].default)
        parser.add_argument("--" + name.replace("_", "-"), default=default, **fields[name].metadata)


@dataclasses.dataclass(frozen=True)
class Verb:
    """`python -m youku NAME`: called with the words of a command (None: of this process), it returns the exit status.

    `doc` opens its help, `add_flags` completes its parser, `action` does what the words say (`args.words`, as typed).
    """

    name: str
    doc: str | None
    add_flags: Callable[[argparse.ArgumentParser], object]
    action: Callable[[argparse.Namespace], int]
    opens_videos: bool = False

    def parser(self) -> arguments.Parser:
        parser = arguments.Parser(self.name, self.doc)
        if self.opens_videos:
            parser.add_argument("--allow-playlists", action="store_true", help=PLAYLISTS)
        self.add_flags(parser)
        return parser

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        typed = list(sys.argv[1:] if argv is None else argv)
        return guard(lambda: self._act(self.parser(), typed), self.name, is_process=argv is None)

    def _act(self, parser: arguments.Parser, typed: list[str]) -> int:
        args = parser.parse_args(parser.in_order(typed))
        _refuse_no_files(vars(args), self.name)
        files.allow_playlists(vars(args).get("allow_playlists", False))
        with ExitStack() as ends:
            urls.forget()
            made: dict[str, Path] = {}
            given = {name: value for name, value in vars(args).items() if name not in OWN.get(self.name, ())}
            if any(urls.URL.match(word) for value in given.values() for word in urls.texts(value)):
                from youku import copies

                made = copies.stand_in(args, given, self.name, ends)
            args.words = typed
            try:
                with urls.named_in_print():
                    status = self.action(args)
            except UsageError as error:
                parser.print_usage(sys.stderr)
                parser.exit(2, f"error: {error}\n")
            for url, stage in made.items() if status == 0 else ():
                say(copies.put(url, stage, vars(args).get("force")))
        return _fail("; ".join(dict.fromkeys(_failures))) if _failures else status


def _refuse_no_files(given: dict[str, Any], verb: str) -> None:
    """ValueError for a pipe or device anywhere.

    Whoever opens a named pipe waits for the other end, maybe forever, and none can be read twice or replaced.
    """
    for word in (one for value in given.values() for one in urls.texts(value)):
        with suppress(OSError):  # a word that no file can be called
            if (path := Path(word)).exists() and not (path.is_file() or path.is_dir()):
                told = f"name a file, or - (y4m on stdin or stdout) where {verb} takes that"
                raise ValueError(f"{word}: is a pipe or a device; {told}")


def guard(act: Callable[[], int], verb: str, is_process: bool) -> int:
    """Run a verb, turn user and system errors and stops into one sentence; a process that is stopped ends here."""
    files.begin_run()
    _failures.clear()
    if logging.lastResort:
        logging.lastResort.setFormatter(_Line())
    try:
        with stops.signals_caught(ANEW):
            status = _told(act, verb, is_process)
            if is_process and not stops.caught():
                stops.leave(status)
    finally:
        files.begin_run()
    if status and stops.caught():  # else it was done all the same
        status = stops.status()
        if is_process:
            stops.end(is_told=True)
    return status


def _told(act: Callable[[], int], verb: str, is_process: bool) -> int:
    """The exit status of `act`, its errors told; what is no error of the user or the system keeps its traceback."""
    try:
        if is_process:
            threads.keep_freed()  # before any thread starts
            _open_streams()
            system_errors.require_folder()
            stops.watch_process()
            if verb in NO_NETWORK:
                threads.take_one()
            if verb not in NO_TORCH:
                system_errors.require_memory()
            if verb not in NO_NETWORK:
                system_errors.require_threads()
        status = act()
        sys.stdout.flush()
        return status
    except ValueError as error:  # user and data mistakes, already worded
        return _fail(str(error))
    except BrokenPipeError:  # the reader of our stdout went away; nothing more to say to it
        _give_up_stdout()
        return 1
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        sentence = system_errors.explain(error)
        if not sentence:
            raise
        _give_up_stdout()
        return _fail(sentence)
    except KeyboardInterrupt:
        if not stops.is_hushed():
            say(stops.sentence())
        return stops.status()


def _give_up_stdout() -> None:
    """Where stdout takes no more, let what waits in its buffer vanish: it would fail again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_streams() -> None:
    """Put something in place of closed standard streams, or the next file that is opened becomes one of them.

    stdin reads as empty, stderr swallows; stdout fails when written to, as what a run finds shall not vanish unseen.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _fail(message: str) -> int:
    say(f"error: {urls.named(message)}")
    return 1

"""The strict parser of a command line: no abbreviations, lists that leave the positionals alone, the flag that was meant.

The words of a command -> argparse's namespace, or one sentence on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import re
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

from youku import files, nearest

# what a flag takes that does not say it, by its name, else by its type
METAVARS: dict[Any, str] = {int: "N", float: "X", Path: "PATH", "clips": "IDS", "frames": "WHICH", "base_url": "URL"}
METAVARS |= dict.fromkeys(("data", "low", "high", "out"), "FOLDER") | {"pattern": "REGEX"}
METAVARS |= dict.fromkeys(("fps", "bitrate"), "RATE") | dict.fromkeys(("jobs", "retries", "scale"), "N")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, up to 120 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=min(120, shutil.get_terminal_size((120, 50)).columns) - 2)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        return METAVARS.get(action.dest) or METAVARS.get(action.type, "NAME")

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        """One or more as "NAME ...", which fits into the column."""
        return re.sub(r"^(\S+) \[\1 \.\.\.\]$", r"\1 ...", super()._format_args(action, default_metavar))


class _Store(argparse.Action):
    """A flag of several values that is given again adds to them."""

    def __call__(self, _: object, namespace: argparse.Namespace, values: Any, flag: str | None = None) -> None:
        before = getattr(namespace, self.dest, self.default)
        is_more = flag and isinstance(values, list) and before is not self.default
        setattr(namespace, self.dest, [*before, *values] if is_more else values)


class Parser(argparse.ArgumentParser):
    """No abbreviations; a usage of one line; an error of one line, with the flag that was meant where one is near."""

    def __init__(self, verb: str, doc: str | None) -> None:
        super().__init__(f"python -m youku {verb}", description=doc, allow_abbrev=False, formatter_class=_Help)
        self.register("action", None, _Store)

    def format_usage(self) -> str:
        formatter = self._get_formatter()
        formatter.add_usage(None, self._get_positional_actions(), [])
        return formatter.format_help().replace(self.prog, f"{self.prog} [flags]", 1)

    def format_help(self) -> str:
        self.usage = self.format_usage().removeprefix("usage: ").strip()
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        """An OSError where it cannot be written, which argparse swallows."""
        print(self.format_help(), end="", file=file, flush=True)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Exit status 2 for what is none of a flag's choices, with the one that was meant."""
        if action.choices is not None and value not in action.choices:
            flag = "/".join(action.option_strings) or action.metavar
            self.exit(2, f"error: {flag} {value!r}: {nearest.expected(str(value)[:60], map(str, action.choices))}\n")

    def error(self, message: str) -> NoReturn:
        """One sentence on stderr, after the usage where something is missing; exit status 2."""
        if "unrecognized arguments: " not in message:
            self.print_usage(sys.stderr)
        self.exit(2, f"error: {message}; `{self.prog} --help` says what there is\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, message and files.printable(message[:-1], None) + "\n")


def in_order(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """`FLAG A IN FLAG B OUT` as `IN OUT FLAG A FLAG B`, where flags of several values would take the positionals that must be.

    Those are values that a flag does not choose from, then the last ones of the flags, before the last but one of any.
    """
    flags = parser._option_string_actions
    wanted = [action for action in parser._get_positional_actions() if action.nargs in (None, "?", "+")]
    bare = copy.copy(parser)
    bare._actions = [action for action in parser._actions if action.option_strings]
    lists = {at: at + 1 for at, word in enumerate(words) if word in flags and flags[word].nargs in ("+", "?")}
    for at in lists:
        lists[at] = next((end for end in range(at + 1, len(words)) if re.match("-.", words[end])), len(words))
    spare = [
        (not flags[words[at]].choices, end - index, -index)
        for at, end in lists.items()
        for index in range(at + 1 + (flags[words[at]].nargs == "+"), end)
        if words[index] not in (flags[words[at]].choices or ())
    ]
    if not spare or not wanted:
        return words
    in_lists = {index for at, end in lists.items() for index in range(at, end)}
    _, others = bare.parse_known_args([word for index, word in enumerate(words) if index not in in_lists])
    taken = {-index for *_, index in sorted(spare)[: max(0, len(wanted) - len(others))]}
    given = others + [words[index] for index in sorted(taken)]
    if missing := [str(action.metavar) for action in wanted[len(given) :] if action.nargs != "?"]:
        line = " ".join([parser.prog, *given, *missing, *(words[index] for index in sorted(in_lists - taken))])
        parser.exit(2, f"error: {', '.join(missing)} is missing; write {line}\n")
    moved, starts = list(words), dict[int, int]()
    for at, end in lists.items():  # what is taken stands before its flag, and before one whose values end there
        start = starts[end] = starts.get(at, at)
        moved[start:end] = [words[index] for index in sorted(range(start, end), key=lambda index: index not in taken)]
    return moved


def refuse_empty(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Exit status 2 for an argument without a sign in it, such as a shell makes of a variable that is not set."""
    for before, word in itertools.pairwise(["", *words]):
        is_flag = re.fullmatch(r"--[^\s=]+=", word) is not None
        flag = word[:-1] if is_flag else before if before.startswith("-") else ""
        if not word.strip() or is_flag:
            parser.exit(2, f"error: {flag or 'an argument'} is empty; write a value, or leave it out\n")


def repeated(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """Flags of one value that are given more than once, of which the last one holds: a Makefile's and one's own, or a slip."""
    given = [word.partition("=")[0] for word in itertools.takewhile(lambda word: word != "--", words)]
    single = {flag for flag, action in parser._option_string_actions.items() if action.nargs is None}
    return sorted({flag for flag in given if flag in single and given.count(flag) > 1})


def refuse_unknown(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Exit status 2 for a flag that there is not, with the one that may be meant; said before what is missing beside it."""
    flags = itertools.takewhile(lambda word: word != "--", (word.partition("=")[0] for word in words))
    unknown = (word for word in flags if re.fullmatch(r"--\S+|-[a-zA-Z]\S*", word))
    if flag := next((word for word in unknown if word not in parser._option_string_actions), None):
        near = nearest.near(flag, parser._option_string_actions)
        advice = f"did you mean {near}?" if near else f"`{parser.prog} --help` says what there is"
        parser.exit(2, f"error: no flag {flag}; {advice}\n")

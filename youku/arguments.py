"""The strict parser of a command line: no abbreviations, lists that leave the positionals alone, the flag that was meant.

The words of a command -> argparse's namespace, or one sentence on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from youku import files, text_table

# what a flag takes that does not say it, by its name, else by its type
METAVARS: dict[Any, str] = {int: "N", float: "X", "clips": "IDS", "frames": "WHICH", "base_url": "URL"}
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
            self.exit(2, f"error: {flag} {value!r}: {text_table.expected(str(value)[:60], map(str, action.choices))}\n")

    def error(self, message: str) -> NoReturn:
        """One sentence on stderr, after the usage where something is missing; exit status 2."""
        if "unrecognized arguments: " not in message:
            self.print_usage(sys.stderr)
        self.exit(2, f"error: {message}; `{self.prog} --help` says what there is\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, message and files.printable(message[:-1], None) + "\n")

    def in_order(self, words: Sequence[str]) -> list[str]:
        """`FLAG A IN FLAG B OUT` as `IN OUT FLAG A FLAG B`, where flags of several values would take the positionals.

        Those are values that a flag does not choose from, then the last ones of the flags, before the last but one of any.
        Exit status 2 for an empty argument, a flag that there is not, and positionals that are missing beside such flags.
        """
        self._refuse_empty(words)
        end = words.index("--") if "--" in words else len(words)
        self._check_flags([word.partition("=")[0] for word in words[:end]])
        wanted = [action for action in self._get_positional_actions() if action.nargs in (None, "?", "+")]
        # each flag and the places of what follows it, before the first those of what no flag may take
        groups: list[tuple[argparse.Action | None, list[int]]] = [(None, [])]
        for index, word in enumerate(words[:end]):
            if re.match("-.", word):
                groups.append((self._option_string_actions.get(word), []))
            else:
                groups[-1][1].append(index)
        places, spare = list[int](), list[tuple[bool, int, int]]()
        for flag, inside in groups:
            if flag and flag.nargs in ("+", "?"):
                known = flag.choices or ()
                for index in inside[flag.nargs == "+" :]:
                    spare += [(not known, inside[-1] - index, -index)] * (words[index] not in known)
            else:
                places += inside[flag is not None and flag.nargs is None :]
        num_missing = max(0, len(wanted) - len(places) - len(words[end + 1 :]))
        places = sorted([*places, *(-index for *_, index in sorted(spare)[:num_missing])])
        given = [words[index] for index in places]
        others = [word for index, word in enumerate(words) if index not in places]
        missing = [str(action.metavar) for action in wanted[len(given) :] if action.nargs != "?"]
        if spare and missing and end == len(words):
            line = " ".join([self.prog, *given, *missing, *others])
            self.exit(2, f"error: {', '.join(missing)} is missing; write {line}\n")
        return given + others

    def _refuse_empty(self, words: Sequence[str]) -> None:
        """Such as a shell makes of a variable that is not set."""
        for before, word in itertools.pairwise(["", *words]):
            is_flag = re.fullmatch(r"--[^\s=]+=", word) is not None
            flag = word[:-1] if is_flag else before if before.startswith("-") else ""
            if not word.strip() or is_flag:
                self.exit(2, f"error: {flag or 'an argument'} is empty; write a value, or leave it out\n")

    def _check_flags(self, words: Sequence[str]) -> None:
        """The flag that an unknown one may mean, before what is missing beside it; a word where one value replaces another.

        A Makefile gives flags before one's own; else it is a slip.
        """
        known = self._option_string_actions
        unknown = (word for word in words if re.fullmatch(r"--\S+|-[a-zA-Z]\S*", word) and word not in known)
        if flag := next(unknown, None):
            near = text_table.near(flag, known)
            advice = f"did you mean {near}?" if near else f"`{self.prog} --help` says what there is"
            advice = f"the file of that name is ./{flag}" if Path(flag).exists() else advice
            self.exit(2, f"error: no flag {flag}; {advice}\n")
        for flag in sorted({word for word in words if word in known and words.count(word) > 1}):
            if known[flag].nargs is None:
                print(f"{flag} is given more than once; the last one holds", file=sys.stderr)

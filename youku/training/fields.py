"""Frozen settings as command line and TOML: each field of a dataclass with its default, help text and bounds.

A TOML file is damaged or hostile in one sentence: bytes that are no UTF-8 (a BOM is taken, UTF-16 named), nesting and
numbers without end; what `to_toml` writes reads back to the same values, newlines in names too.

A field is made by `option`; `problems` names every value outside its bounds. The same fields are flags (`add_flags`,
`given`) and the keys of a TOML table (`read`, `typed`, `to_toml`), whose unknown keys and wrong types are all listed.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import reprlib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from youku import files, text_table

Bound = Callable[[Any], str]
"""Value -> what was expected instead; empty for a good one."""


METAVARS = {int: "N", float: "X", str: "NAME", tuple: "FOLDER", bool: ""}


def option(default: Any, text: str, *bounds: Bound, metavar: str = "") -> Any:
    """A field with its help text and bounds; `metavar` names its value, or the entries of a list, in the help."""
    metavar = metavar or METAVARS[type(default)]
    return dataclasses.field(default=default, metadata={"help": text, "bounds": bounds, "metavar": metavar})


def expect(is_good: Callable[[Any], object], words: str) -> Bound:
    return lambda value: "" if is_good(value) else f"expected {words}"


def at_least(low: float) -> Bound:
    return expect(lambda value: not value < low, f"{low} or more")


def one_of(choices: Collection[str]) -> Bound:
    return expect(lambda value: value in choices, f"one of {', '.join(choices)}")


def each(is_good: Callable[[str], bool], words: str) -> Bound:
    """Of the entries of a list."""
    return lambda values: "; ".join(f"{entry[:200]!r} is not {words}" for entry in values if not is_good(entry))


def to_number(text: str) -> float:
    """The finite number that `text` writes, NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # bytes of a name that are no UTF-8 come as lone surrogates
        return False


POSITIVE = expect(lambda value: value > 0, "a positive number")
OF_EVERY: dict[type, Bound] = {
    float: expect(math.isfinite, "a number"),
    int: expect(lambda value: abs(value) < 2**63, "less than 2^63"),
    str: expect(_is_text, "UTF-8 text without NUL; rename the file or folder"),
    tuple: each(_is_text, "UTF-8 text without NUL; rename the file or folder"),
}


def problems(settings: Any) -> Iterator[str]:
    """What the bounds refuse of a dataclass made of `option`s, a phrase each."""
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        shown = item.name if isinstance(value, tuple) else f"{item.name} = {reprlib.repr(value)}"
        bounds = [*item.metadata["bounds"], *([OF_EVERY[type(value)]] if type(value) in OF_EVERY else [])]
        yield from (f"{shown}: {wrong}" for bound in bounds if (wrong := bound(value)))


def add_flags(
    parser: argparse.ArgumentParser,
    kind: type,
    first: Sequence[str] = (),
    but: Sequence[str] = (),
    others: bool = False,
) -> None:
    """One flag a field of the dataclass `kind`, `but` some; an absent one is None, which leaves the recipe's or default value.

    In the help those named `first` come first, then a group for each base of `kind`, under the first line of that base;
    defaults are left out of it where `others` may be in their place.
    """
    items = {item.name: item for item in dataclasses.fields(kind) if item.name not in but}
    for name in first:
        _add_flag(parser, items.pop(name), others)
    for base in reversed(kind.__mro__[1:-1]):
        group = parser.add_argument_group((base.__doc__ or base.__name__).splitlines()[0].rstrip("."))
        for item in dataclasses.fields(base):
            if item.name in items:
                _add_flag(group, items.pop(item.name), others)


def _add_flag(parser: argparse._ActionsContainer, item: dataclasses.Field[Any], others: bool) -> None:
    flag, text, default = "--" + item.name.replace("_", "-"), item.metadata["help"], item.default
    shown = " ".join(default) if isinstance(default, tuple) else default
    if shown != "" and shown is not False and not others:
        text = f"{text} (on by default)" if shown is True else f"{text} (default {shown})"
    text, metavar = text.replace("%", "%%"), item.metadata["metavar"]
    if isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif isinstance(default, tuple):
        parser.add_argument(flag, nargs="+", metavar=metavar, help=text)
    else:
        parser.add_argument(flag, type=type(default), metavar=metavar, help=text)


def given(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The values of the flags that were given."""
    values = {item.name: vars(args).get(item.name) for item in dataclasses.fields(kind)}
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if value is not None
    }


FIRST, LAST = "# settings, down to the line that ends them", "# end of the settings"


def read(path: Path, kind: type) -> dict[str, Any]:
    """The table of a TOML file, checked by `typed`."""
    return typed(read_table(path, "recipe"), str(path), kind)


def find(name: str, folder: Path, what: str) -> Path:
    """The TOML file of that name in a folder of the kit, or at that path; ValueError names what the folder has."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if path.parent == folder and not path.exists():
        there = sorted(entry.stem for entry in folder.glob("*.toml"))
        raise ValueError(f"{what} {name!r}: {text_table.expected(name, there)} (or a path ending in .toml)")
    return path


def read_table(path: Path, what: str) -> dict[str, Any]:
    """A TOML file as it is, with or without a BOM; ValueError says why it is none of `what`."""
    try:
        return tomllib.loads(files.decode(path.read_bytes()).removeprefix("\ufeff"))
    except ValueError as error:  # TOML's own, bytes that are no UTF-8, numbers of thousands of digits
        reason = str(error).partition("; use sys.")[0]  # Python's advice to programmers
        raise ValueError(f"{path}: not a TOML {what}: {reason}") from None
    except RecursionError:
        raise ValueError(f"{path}: not a TOML {what}: its tables or lists are nested too deep") from None


def typed(table: Mapping[str, Any], where: str, kind: type) -> dict[str, Any]:
    """Values of a table of settings, checked against the fields of `kind`; `where` opens the message."""
    defaults = {item.name: item.default for item in dataclasses.fields(kind)}
    if isinstance(table.get("amp"), bool):  # runs and recipes of older versions
        table = {"dtype": "auto" if table["amp"] else "float32"} | {key: table[key] for key in table if key != "amp"}
    wrong = [f"unknown key {_escaped(key)}" for key in table if key not in defaults]
    values = {}
    for key in [key for key in table if key in defaults]:
        value, wanted = table[key], type(defaults[key])
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is tuple and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            value = tuple(value)
        if type(value) is not wanted:
            wrong.append(
                f"{key} = {reprlib.repr(value)}: expected {'list of strings' if wanted is tuple else wanted.__name__}"
            )
        values[key] = value
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}; keys are the flags of `python -m youku train --help`")
    return values


def to_toml(settings: Any, comments: Mapping[str, str]) -> str:
    """The settings as TOML that reads back to the same values; `comments` come first. `is_cut` knows a part of it."""
    lines = [FIRST, *(f"# {key}: {_escaped(value)}" for key, value in comments.items())]
    lines += [f"{key} = {_toml_value(value)}" for key, value in dataclasses.asdict(settings).items()]
    return "\n".join([*lines, LAST]) + "\n"


def is_cut(path: Path) -> bool:
    """Whether a file of `to_toml` lacks its end. Files of older versions say nothing of it, and may lack newer fields."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith(FIRST) and not text.rstrip().endswith(LAST)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, str):
        return '"' + _escaped(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'
    return repr(value)


def _escaped(text: str) -> str:
    """Control characters as TOML writes them, so that a text stays on its line."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)

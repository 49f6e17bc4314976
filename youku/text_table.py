"""Figures and names for people: a table as aligned lines of plain text, differences, counts, what a mistyped name may mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from youku import files


def lay_out(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of columns two spaces apart; a column of numbers (or "-") is set flush right, any other flush left."""
    columns = list(zip(header, *[[files.printable(cell, None) for cell in row] for row in rows], strict=True))
    aligned = []
    for column in columns:
        width = max(map(len, column))
        numeric = all(_is_number(cell) for cell in column[1:])
        aligned.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*aligned, strict=True))


def minus(first: float | None, second: float | None) -> float | None:
    """Difference; None where one is missing or both are infinite."""
    if first is None or second is None or (math.isinf(first) and math.isinf(second)):
        return None
    return first - second


def plural(number: int, noun: str) -> str:
    """1 frame, 25,000 frames; a noun of the usual plural."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(words: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of them, and how many more there are: a, b and 3 more."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def near(word: str, names: Iterable[str]) -> str:
    """The name that is nearest to a word, or that begins it or begins as it does; empty where none is near."""
    import difflib

    there, said = list(names), word[:100]
    cut = [name for name in there if min(len(name), len(said)) > 1 and (said.startswith(name) or name.startswith(said))]
    return next(iter(difflib.get_close_matches(said, there, n=1) or cut), "")


def expected(word: str, names: Iterable[str]) -> str:
    """The question whether the nearest was meant, or all that there are."""
    there = list(names)
    return f"did you mean {found}?" if (found := near(word, there)) else f"expected one of {', '.join(there)}"


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%"))
    except ValueError:
        return cell == "-"
    return True

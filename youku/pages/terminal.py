"""Draw curves with characters: braille dots for one run, a letter a run for several, plain ASCII where asked.

Series by name -> lines of text. A cell holds 2 x 4 braille dots; neighbouring points are joined.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from youku.pages.logs import Series

WIDTH = 64
HEIGHT = 10
# bit of each dot of a braille cell (row, column), Unicode block U+2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
LETTERS = string.ascii_lowercase
Dots = set[tuple[int, int]]


def draw(title: str, curves: Mapping[str, Series], reference: float | None = None, plain: bool = False) -> list[str]:
    """One panel: title, ten rows with the largest and smallest value at the side, the first and last step below."""
    values = [value for one in curves.values() for value in one.values]
    steps = [step for one in curves.values() for step in one.steps]
    shown = [*values, reference] if reference is not None else values
    low, high = min(shown), max(shown)
    first, last = min(steps), max(steps)
    layers = [_dots(one, (first, last), (low, high)) for one in curves.values()]
    line = _row(reference, (low, high)) // 4 if reference is not None else -1
    labels = {0: f"{high:.5g}", HEIGHT - 1: f"{low:.5g}" if high > low else ""}
    if reference is not None:
        labels[line] = f"{reference:.5g}"
    lines = [title]
    for row in range(HEIGHT):
        blank = "-" if row == line else " "
        cells = "".join(_cell(layers, row, column, plain) or blank for column in range(WIDTH))
        lines.append(f"{labels.get(row, ''):>10} |{cells}".rstrip())
    lines.append(f"{'':>10} +{'-' * WIDTH}")
    return [*lines, f"{'':>10}  {f'{first:g}':<{WIDTH // 2}}{f'step {last:g}':>{WIDTH // 2}}"]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (heads, *rows)) for column in range(len(heads))]
    return [
        "  ".join(f"{cell:{'<' if column == 0 else '>'}{widths[column]}}" for column, cell in enumerate(line)).rstrip()
        for line in (heads, *rows)
    ]


def _dots(one: Series, across: tuple[float, float], span: tuple[float, float]) -> Dots:
    """(row, column) of the dots of a curve in the 4 HEIGHT x 2 WIDTH grid, rows from the top."""
    length = across[1] - across[0]
    columns = [round((step - across[0]) / length * (2 * WIDTH - 1)) if length else WIDTH for step in one.steps]
    rows = [_row(value, span) for value in one.values]
    dots = set(zip(rows, columns, strict=True))
    for index in range(1, len(rows)):
        begin, end = (rows[index - 1], columns[index - 1]), (rows[index], columns[index])
        num = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
        for at in range(num):
            share = at / num
            dots.add((round(begin[0] + share * (end[0] - begin[0])), round(begin[1] + share * (end[1] - begin[1]))))
    return dots


def _row(value: float, span: tuple[float, float]) -> int:
    low, high = span
    return round((high - value) / (high - low) * (4 * HEIGHT - 1)) if high > low else 2 * HEIGHT


def _cell(layers: Sequence[Dots], row: int, column: int, plain: bool) -> str:
    """The sign of one cell: the braille of the only run, the letter of the last run drawn there, or nothing."""
    sign = ""
    for index, dots in enumerate(layers):
        bits = sum(
            _BITS[y][x] for y in range(4) for x in range(2) if (row * 4 + y, column * 2 + x) in dots
        )  # fmt: skip
        if bits:
            braille = len(layers) == 1 and not plain
            sign = chr(0x2800 + bits) if braille else "*" if len(layers) == 1 else LETTERS[index % len(LETTERS)]
    return sign

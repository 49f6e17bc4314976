"""Word the numbers of a page: a value as shown, as sorted, and whether it is a gain or a loss.

Floats or None -> Cell; a template prints it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A number as shown, and as sorted ("" where it was not computed); tone is up, down or empty."""

    text: str
    value: str
    tone: str = ""


def text(value: float | None, digits: int, sign: str = "") -> str:
    """The number with `digits` decimals, a true minus and infinity; "n/a" for None."""
    if value is None:
        return "n/a"
    shown = f"{value:{sign}.{digits}f}".replace("inf", "\u221e")
    if float(f"{value:.{digits}f}") == 0:
        shown = f"{0:.{digits}f}"
    return shown.replace("-", "\u2212")


def cell(value: float | None, digits: int) -> Cell:
    """A plain value."""
    return Cell(text(value, digits), "" if value is None else str(value).replace("inf", "Infinity"))


def gain_cell(gain: float | None, digits: int) -> Cell:
    """A signed difference, toned by what it rounds to."""
    rounded = 0.0 if gain is None else round(gain, digits)
    tone = "up" if rounded > 0 else "down" if rounded < 0 else ""
    return Cell(text(gain, digits, "+"), cell(gain, digits).value, tone)

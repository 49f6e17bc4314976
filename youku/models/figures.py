"""What every network costs at each of its scales, as `models.cost` counted it for the contest's frame and figures.json keeps it.

A test holds the file against the networks; `python benchmarks/model_figures.py` writes it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_suffix(".json")
INPUT = (480, 270)
"""(width, height) of the input that is counted for."""
USUAL_SCALE = 4


def read() -> list[dict[str, Any]]:
    """`cost.network_as_json` of every network at every scale, in the order they are listed."""
    entries: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    return entries


def at(scale: int | None) -> list[dict[str, Any]]:
    """Those of one scale, or of each network's usual one; ValueError where no network has it."""
    known = read()
    found = [entry for entry in known if entry["scale"] == (scale or usual_scale(entry["scales"]))]
    if not found:
        scales = ", ".join(map(str, sorted({entry["scale"] for entry in known})))
        raise ValueError(f"--scale {scale}: no network has it; expected one of {scales}")
    return found


def usual_scale(scales: Collection[int]) -> int:
    """4, or the largest that a network has; 4 for one that nobody knows."""
    return USUAL_SCALE if USUAL_SCALE in scales or not scales else max(scales)


def output_px(input_px: int, kernel_px: int, padding_px: int, stride: int) -> int:
    """Side of a convolution's output, W2 = (W1 - F + 2 P) / S + 1, rounded down as in torch."""
    if min(input_px, kernel_px, stride) < 1 or padding_px < 0:
        raise ValueError(f"W={input_px} F={kernel_px} P={padding_px} S={stride}: expected W, F, S >= 1 and P >= 0")
    if kernel_px > input_px + 2 * padding_px:
        raise ValueError(
            f"kernel of {kernel_px} px: larger than the {input_px} px input with {padding_px} px of padding on each "
            "side; use a smaller kernel or more padding"
        )
    return (input_px - kernel_px + 2 * padding_px) // stride + 1

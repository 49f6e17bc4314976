"""Word a score as the tables and curves of the page: totals, clips, submissions side by side.

Normalised scores (numbers or None) -> rows of Cells and Charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from youku.pages import cells, chart
from youku.pages.cells import Cell
from youku.text_table import minus

Score = dict[str, Any]

# total in score.json -> (label, unit, digits); the order of the folded table
TOTALS = {
    "score": ("Score", "", 3),
    "psnr": ("PSNR as scored", "dB", 3),
    "vmaf": ("VMAF as scored", "", 3),
    "ssim": ("SSIM, luma", "", 4),
    "psnr_yuv_clip": ("PSNR over Y, U and V, mean of clips", "dB", 3),
    "psnr_yuv_frame": ("PSNR over Y, U and V, mean of frames", "dB", 3),
    "psnr_y_clip": ("PSNR over luma, mean of clips", "dB", 3),
    "psnr_y_frame": ("PSNR over luma, mean of frames", "dB", 3),
    "psnr_rgb_clip": ("PSNR over RGB, mean of clips", "dB", 3),
    "psnr_rgb_frame": ("PSNR over RGB, mean of frames", "dB", 3),
    "vmaf_full": ("VMAF, whole clips", "", 3),
    "vmaf_all": ("VMAF, all clips", "", 3),
    "vmaf_neg_full": ("VMAF NEG, whole clips", "", 3),
    "vmaf_neg_all": ("VMAF NEG, all clips", "", 3),
}
HEADLINE = (
    ("Score", "", "score", 3),
    ("PSNR", "dB", "psnr", 3),
    ("VMAF", "", "vmaf", 3),
    ("SSIM", "", "ssim", 4),
    ("VMAF NEG", "", "vmaf_neg", 3),
)
PLANES = {"yuv": "YUV", "y": "Y", "rgb": "RGB"}
CURVES = ("submission", "second", "third")  # of one, two or three submissions


def totals(score: Score) -> list[tuple[Any, ...]]:
    """The totals of the headline: label, unit, submission, bicubic, gain."""
    return [(label, unit, *versus(score["totals"], key, digits)) for label, unit, key, digits in HEADLINE]


def details(score: Score) -> list[tuple[Any, ...]]:
    """The totals under every convention."""
    return [(label, unit, *versus(score["totals"], key, digits)) for key, (label, unit, digits) in TOTALS.items()]


def versus(sides: dict[str, Any], key: str, digits: int) -> tuple[Cell, Cell, Cell]:
    """Submission, bicubic and signed difference."""
    ours, theirs = sides["submission"].get(key), sides["bicubic"].get(key)
    return cells.cell(ours, digits), cells.cell(theirs, digits), cells.gain_cell(minus(ours, theirs), digits)


def facts(clip: dict[str, Any]) -> list[tuple[str, Cell, Cell, Cell]]:
    """The clip's own numbers, beside its pictures."""
    keys = (("PSNR (dB)", "psnr", 3), ("VMAF", "vmaf", 2), ("SSIM", "ssim", 4))
    return [(label, *versus(clip, key, digits)) for label, key, digits in keys]


def row(clip: dict[str, Any]) -> tuple[dict[str, Any], list[Cell]]:
    """A clip and its cells in the order of the table's columns."""
    psnr, vmaf, ssim = (versus(clip, key, digits) for key, digits in (("psnr", 3), ("vmaf", 2), ("ssim", 4)))
    return clip, [*psnr, *vmaf, *ssim, cells.cell(clip["submission"].get("vmaf_neg"), 2)]


def together(scores: Sequence[Score]) -> list[tuple[dict[str, Any], ...]]:
    """Each clip as (the page's, then one of every submission)."""
    return [(same[0], *same) for same in zip(*(score["clips"] for score in scores), strict=True)]


def beside(scores: Sequence[Score]) -> list[tuple[str, str, Cell, list[Cell], list[Cell]]]:
    """Totals side by side: label, unit, bicubic, every submission, every other's difference from the first."""
    sides = [score["totals"] for score in scores]
    return [(label, unit, *_in_a_row(sides, key, digits)) for label, unit, key, digits in HEADLINE]


def beside_clips(scores: Sequence[Score]) -> list[tuple[str, list[Cell], list[Cell]]]:
    """Clips side by side: id, PSNR and then VMAF as bicubic, every submission, every difference."""
    rows = []
    for clip, *same in together(scores):
        measures = [_in_a_row(same, key, digits) for key, digits in (("psnr", 3), ("vmaf", 2))]
        rows.append((clip["id"], *([base, *ours, *gains] for base, ours, gains in measures)))
    return rows


def _in_a_row(sides: Sequence[Score], key: str, digits: int) -> tuple[Cell, list[Cell], list[Cell]]:
    ours = [side["submission"].get(key) for side in sides]
    gains = [cells.gain_cell(minus(value, ours[0]), digits) for value in ours[1:]]
    return cells.cell(sides[0]["bicubic"].get(key), digits), [cells.cell(value, digits) for value in ours], gains


def frame_numbers(clip: Score, position: int) -> list[Cell]:
    """One frame's PSNR and gain over bicubic, VMAF and gain; n/a where there is no curve."""
    numbers = []
    for key, digits in ((clip["curve"], 2), ("vmaf", 1)):
        curves = [clip[side]["per_frame"].get(key) for side in ("submission", "bicubic")]
        ours, theirs = (None if curve is None else curve[position] for curve in curves)
        numbers += [cells.cell(ours, digits), cells.gain_cell(minus(ours, theirs), digits)]
    return numbers


def charts(same: Sequence[Score]) -> list[chart.Chart]:
    """PSNR and VMAF of a clip over its frames, a curve a submission, each where it was computed."""
    clip = same[0]
    label = PLANES[clip["curve"].removeprefix("psnr_")]
    made = []
    for key, title, digits in ((clip["curve"], f"PSNR {label} (dB)", 2), ("vmaf", "VMAF (0\u2013100)", 1)):
        sides = {side: one["submission"] for side, one in zip(CURVES, same, strict=False)}
        curves = {side: one["per_frame"].get(key) for side, one in (sides | {"bicubic": clip["bicubic"]}).items()}
        curves = {side: curve for side, curve in curves.items() if curve}
        if any(value is not None for curve in curves.values() for value in curve):
            made.append(chart.make_chart(title, clip["frames"], curves, digits))
    return made

"""Word a score as the tables and curves of the report: totals, clips, frames, submissions side by side.

Scores normalised by `scorefile` (numbers or None) -> rows of ShownNumbers, and plots of what was measured a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from youku.pages import plots
from youku.pages.plots import number_text
from youku.text_table import minus

Score = dict[str, Any]
Total = tuple[str, str, str, int]

# label, unit, total in score.json, digits: the folded table, and the headline
EVERY_TOTAL = (
    ("Score", "", "score", 3),
    ("PSNR as scored", "dB", "psnr", 3),
    ("VMAF as scored", "", "vmaf", 3),
    ("SSIM, luma", "", "ssim", 4),
    ("PSNR over Y, U and V, mean of clips", "dB", "psnr_yuv_clip", 3),
    ("PSNR over Y, U and V, mean of frames", "dB", "psnr_yuv_frame", 3),
    ("PSNR over luma, mean of clips", "dB", "psnr_y_clip", 3),
    ("PSNR over luma, mean of frames", "dB", "psnr_y_frame", 3),
    ("PSNR over RGB, mean of clips", "dB", "psnr_rgb_clip", 3),
    ("PSNR over RGB, mean of frames", "dB", "psnr_rgb_frame", 3),
    ("VMAF, whole clips", "", "vmaf_full", 3),
    ("VMAF, all clips", "", "vmaf_all", 3),
    ("VMAF NEG, whole clips", "", "vmaf_neg_full", 3),
    ("VMAF NEG, all clips", "", "vmaf_neg_all", 3),
)
HEADLINE = (
    ("Score", "", "score", 3),
    ("PSNR", "dB", "psnr", 3),
    ("VMAF", "", "vmaf", 3),
    ("SSIM", "", "ssim", 4),
    ("VMAF NEG", "", "vmaf_neg", 3),
)
ALWAYS = ("score", "psnr", "vmaf", "ssim")
PLANES = {"yuv": "YUV", "y": "Y", "rgb": "RGB"}
CLIP_MEASURES = (("PSNR (dB)", "psnr", 3), ("VMAF", "vmaf", 2), ("SSIM", "ssim", 4))
CURVES = ("submission", "second", "third")  # of one, two or three submissions


@dataclass(frozen=True)
class ShownNumber:
    """A number as shown, and as sorted ("" where it was not computed); tone is up, down or empty."""

    text: str
    value: str
    tone: str = ""


def plain_number(value: float | None, digits: int) -> ShownNumber:
    """A value as it is."""
    return ShownNumber(number_text(value, digits), "" if value is None else str(value).replace("inf", "Infinity"))


def gain_number(gain: float | None, digits: int) -> ShownNumber:
    """A signed difference, toned by what it rounds to."""
    rounded = 0.0 if gain is None else round(gain, digits)
    tone = "up" if rounded > 0 else "down" if rounded < 0 else ""
    return ShownNumber(number_text(gain, digits, "+"), plain_number(gain, digits).value, tone)


def totals(score: Score, wanted: Sequence[Total]) -> list[tuple[Any, ...]]:
    """The wanted totals: label, unit, submission, bicubic, gain; of those that only `score --all` measures, what there is."""
    sides = score["totals"]
    return [(label, unit, *versus(sides, key, digits)) for label, unit, key, digits in _measured([sides], wanted)]


def _measured(scores: Sequence[dict[str, Any]], wanted: Sequence[Total]) -> list[Total]:
    known = {key for sides in scores for side in sides.values() for key, value in side.items() if value is not None}
    return [entry for entry in wanted if entry[2] in {*ALWAYS, *known}]


def versus(sides: dict[str, Any], key: str, digits: int) -> tuple[ShownNumber, ShownNumber, ShownNumber]:
    """Submission, bicubic and signed difference."""
    ours, theirs = sides["submission"].get(key), sides["bicubic"].get(key)
    return plain_number(ours, digits), plain_number(theirs, digits), gain_number(minus(ours, theirs), digits)


def clip_numbers(clip: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What was measured of a clip, beside its pictures: rows as those of `totals`."""
    measured = (one for one in CLIP_MEASURES if clip["submission"].get(one[1]) is not None)
    return [(label, "", *versus(clip, key, digits)) for label, key, digits in measured]


def clip_rows(clips: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], list[ShownNumber]]]:
    """Each clip and its numbers in the order of the table's columns: VMAF NEG where any clip has it."""
    numbers = ([one for _, key, digits in CLIP_MEASURES for one in versus(clip, key, digits)] for clip in clips)
    negs = [clip["submission"].get("vmaf_neg") for clip in clips]
    shown = [[plain_number(neg, 2)] if set(negs) != {None} else [] for neg in negs]
    return [(clip, [*row, *neg]) for clip, row, neg in zip(clips, numbers, shown, strict=True)]


def together(scores: Sequence[Score]) -> list[tuple[dict[str, Any], ...]]:
    """Each clip as (the page's, then one of every submission)."""
    return [(same[0], *same) for same in zip(*(score["clips"] for score in scores), strict=True)]


def beside(scores: Sequence[Score]) -> list[tuple[str, str, ShownNumber, list[ShownNumber], list[ShownNumber]]]:
    """Totals side by side: label, unit, bicubic, every submission, every other's difference from the first."""
    sides = [score["totals"] for score in scores]
    return [(label, unit, *_in_a_row(sides, key, digits)) for label, unit, key, digits in _measured(sides, HEADLINE)]


def beside_clips(scores: Sequence[Score]) -> list[tuple[str, list[ShownNumber], list[ShownNumber]]]:
    """Clips side by side: id, PSNR and then VMAF as bicubic, every submission, every difference."""
    rows = []
    for clip, *same in together(scores):
        measures = [_in_a_row(same, key, digits) for _, key, digits in CLIP_MEASURES[:2]]
        rows.append((clip["id"], *([base, *ours, *gains] for base, ours, gains in measures)))
    return rows


def _in_a_row(
    sides: Sequence[Score], key: str, digits: int
) -> tuple[ShownNumber, list[ShownNumber], list[ShownNumber]]:
    ours = [side["submission"].get(key) for side in sides]
    gains = [gain_number(minus(value, ours[0]), digits) for value in ours[1:]]
    return plain_number(sides[0]["bicubic"].get(key), digits), [plain_number(value, digits) for value in ours], gains


def frame_numbers(clip: Score, position: int) -> list[ShownNumber]:
    """One frame's PSNR and gain over bicubic, VMAF and gain; n/a where there is no curve."""
    numbers = []
    for key, digits in ((clip["curve"], 2), ("vmaf", 1)):
        curves = [clip[side]["per_frame"].get(key) for side in ("submission", "bicubic")]
        ours, theirs = (None if curve is None else curve[position] for curve in curves)
        numbers += [plain_number(ours, digits), gain_number(minus(ours, theirs), digits)]
    return numbers


def frame_values(clip: Score, position: int) -> tuple[str, str]:
    """One frame's PSNR as a filmstrip prints it, and the sentence about the frame."""
    parts, short = [], ""
    for key, label, unit, digits in ((clip["curve"], "PSNR", " dB", 2), ("vmaf", "VMAF", "", 1)):
        ours, theirs = (clip[side]["per_frame"].get(key) for side in ("submission", "bicubic"))
        if ours:
            beside = f" (bicubic {number_text(theirs[position], digits)})" if theirs else ""
            parts.append(f"{label} {number_text(ours[position], digits)}{unit}{beside}")
            short = number_text(ours[position], 1) if key == clip["curve"] else short
    return short, ", ".join(parts) or "no values a frame"


def clip_plots(same: Sequence[Score]) -> list[plots.SvgPlot]:
    """PSNR and VMAF of a clip over its frames, a curve a submission, each where it was computed."""
    clip = same[0]
    label = PLANES[clip["curve"].removeprefix("psnr_")]
    made = []
    for key, title, digits in ((clip["curve"], f"PSNR {label} (dB)", 2), ("vmaf", "VMAF (0\u2013100)", 1)):
        sides = {side: one["submission"] for side, one in zip(CURVES, same, strict=False)}
        curves = {side: one["per_frame"].get(key) for side, one in (sides | {"bicubic": clip["bicubic"]}).items()}
        curves = {side: curve for side, curve in curves.items() if curve}
        if any(value is not None for curve in curves.values() for value in curve):
            made.append(plots.svg_plot(title, clip["frames"], curves, digits))
    return made

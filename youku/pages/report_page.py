"""Lay a scored submission out as one self-contained HTML page, alone or beside others: report.html.jinja filled in.

Scores normalised by `scorefile`, and the clips they speak of -> HTML. A pure function of its inputs; clips that are
gone leave their pictures out, and the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from youku import contest, files
from youku.pages import report_frames, report_pictures, score_tables

MOST_PAGE_BYTES = 14_000_000  # what a mail or a phone still takes; a page of the contest's 50 clips has 4 to 8 MB
MOST_SUBMISSIONS = 3
WORST = {"PSNR": None, "VMAF": "vmaf"}  # measure -> its curve in score.json; None: the PSNR the protocol counts


def check_request(
    folders: Sequence[Path], low: Path | None, high: Path | None, out: Path, num_clips: int, num_frames: int
) -> None:
    """ValueError where the arguments of a page cannot be meant."""
    for name, number in (("--num-clips", num_clips), ("--num-frames", num_frames)):
        if number < 0:
            raise ValueError(f"{name} {number}: expected 0 or more")
    for flag, given in (("--low", low), ("--high", high)):
        if given is not None and not given.is_dir():
            raise ValueError(f"{flag} {given}: expected a folder of y4m clips; check the path")
    if len(folders) > MOST_SUBMISSIONS:
        raise ValueError(f"expected at most {MOST_SUBMISSIONS} submissions, got {len(folders)}; compare fewer")
    if out.is_dir():
        raise ValueError(f"{out}: expected a file name for the page, found a folder; name a file with --out")
    places = [folder.resolve() for folder in folders]
    if twice := [folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"{twice[-1]}: named twice; name other submissions beside {folders[0]}")


def page_name(folders: Sequence[Path]) -> str:
    """report.html, or compare-OTHER.html where others stand beside the first."""
    others = [folder.resolve().name for folder in folders[1:]]
    return f"compare-{'-'.join(others)}.html" if others else "report.html"


def write_page(
    scores: Sequence[dict[str, Any]],
    folders: Sequence[Path],
    names: dict[str, str],
    certainty: Sequence[str],
    out: Path,
    low: Path | None,
    high: Path | None,
    num_clips: int,
    num_frames: int,
) -> None:
    """Write the page of the submission in the first folder, the others beside it, none `unlike` it (`scorefile`).

    `names` are of `names_of`, `certainty` the sentences about how far the scores would move with other clips.
    `num_clips` worst and best clips and the `num_frames` worst frames by each measure are pictured. `low` and `high`
    replace the LR and GT folders named in the score. ValueError for a page above `MOST_PAGE_BYTES`.
    """
    for score, folder in zip(scores, folders, strict=True):
        report_frames.check_names(score["clips"], folder / "score.json")
    sources, notes = report_frames.find_sources(scores, folders, names, low, high)
    clips = scores[0]["clips"]
    if not num_clips:
        notes.append("Pictures were switched off (--num-clips 0).")
    worst = {name: report_frames.choose_worst(clips, key, num_frames) for name, key in WORST.items()}
    ends = report_frames.choose_ends(clips, num_clips) if num_clips else []
    pictures = report_pictures.cut_pictures(ends, worst, sources)
    strips = [report_pictures.make_filmstrip(clip, sources, pictures.anchors(clip)) for clip in clips]
    filled = _template().render(
        **_words(scores, names),
        certainty=certainty,
        comparisons=pictures.viewers,
        worst=pictures.worst,
        strips=strips,
        notes=[*notes, *pictures.notes],
        stage_width=report_pictures.STAGE_WIDTH_PX,
    )
    page = filled.encode(errors="backslashreplace")  # a score may name what UTF-8 cannot hold
    if len(page) > MOST_PAGE_BYTES:
        raise ValueError(
            f"{out}: expected a page of at most {MOST_PAGE_BYTES / 1e6:.0f} MB, got {len(page) / 1e6:.1f} MB; "
            "picture less with --num-clips and --num-frames"
        )
    with files.atomic_write(out) as file:
        file.write(page)


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _words(scores: Sequence[dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    """What the template says and draws without the clips."""
    score, several = scores[0], len(scores) > 1
    curve_names = {"submission": "submission", "bicubic": "bicubic"}
    if several:
        curve_names |= dict(zip(score_tables.CURVES, names.values(), strict=False))
    return {
        "score": score,
        "title": " / ".join(names.values()) if several else score["name"],
        "created": _moment(score["created"]),
        "totals": score_tables.totals(score, score_tables.HEADLINE),
        "details": score_tables.totals(score, score_tables.EVERY_TOTAL),
        "beside": score_tables.beside(scores) if several else [],
        "beside_clips": score_tables.beside_clips(scores) if several else [],
        "submissions": list(names.values()),
        "rows": score_tables.clip_rows(score["clips"]),
        "charted": [(clip, score_tables.clip_plots(same)) for clip, *same in score_tables.together(scores)],
        "planes": score_tables.PLANES[score["protocol"]["psnr_planes"]],
        "curve_planes": score_tables.PLANES[score["clips"][0]["curve"].removeprefix("psnr_")],
        "names": {"lr": "LR", "bicubic": "Bicubic", **names, "gt": "Ground truth"},
        "curve_names": curve_names,
        "weights": (contest.PSNR_WEIGHT, contest.VMAF_WEIGHT),
    }


def names_of(scores: Sequence[dict[str, Any]], folders: Sequence[Path]) -> dict[str, str]:
    """What the page calls the submission of each layer: their own names, or their folders' where names repeat."""
    if len(scores) == 1:
        return {"sr": "Submission"}
    own = [score["name"] for score in scores]
    shown = own if len(set(own)) == len(own) else [folder.resolve().name for folder in folders]
    return dict(zip(report_frames.SHIPPED, shown, strict=False))


def _moment(text: str) -> str:
    """A time stamp as people write it; any other text as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text

"""Write one self-contained HTML page about a scored submission, alone or beside others; or the leaderboard of them all.

submissions/NAME/score.json, the shipped clips, LR and GT clips -> submissions/NAME/report.html (opens offline): totals,
worst and best clips to compare, worst frames, filmstrips, per-frame curves. The page is a pure function of its inputs.
Of several submissions the page is the first one's, NAME/compare-OTHER.html, with the others in each picture and table.
Run: python -m youku report submissions/NAME [submissions/OTHER ...] [--low FOLDER] [--high FOLDER]
     python -m youku report --leaderboard [submissions]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from youku import cli, contest, files
from youku.exchange import leaderboard, scorefile
from youku.pages import album, comparison, filmstrip, footage, tables
from youku.pages.cells import Cell

MOST_PAGE_BYTES = 14_000_000  # what a mail or a phone still takes; a page of the contest's 50 clips has 4 to 8 MB
MOST_SUBMISSIONS = 3
WORST = {"PSNR": None, "VMAF": "vmaf"}  # measure -> its curve in score.json; None: the PSNR the protocol counts


def write_report(
    folder: Path,
    low: Path | None = None,
    high: Path | None = None,
    out: Path | None = None,
    num_clips: int = 2,
    num_frames: int = 4,
    others: Sequence[Path] = (),
) -> Path:
    """Write the page of the scored submission in `folder`, `others` beside it; returns its path.

    `num_clips` worst and best clips and the `num_frames` worst frames by each measure are pictured. `low` and `high`
    replace the LR and GT folders named in score.json. ValueError without a usable score.json, for submissions scored
    differently, and for a page above `MOST_PAGE_BYTES`.
    """
    check_request(low, high, num_clips, num_frames, others)
    out = out or folder / _page_name(others)
    if out.is_dir():
        raise ValueError(f"{out}: expected a file name for the page, found a folder; name a file with --out")
    if twice := [
        place for place in others if [folder, *others].count(place) > 1 or place.resolve() == folder.resolve()
    ]:
        raise ValueError(f"{twice[0]}: named twice; name other submissions beside {folder}")
    scores = [scorefile.read_score(place) for place in (folder, *others)]
    _check_alike(scores, (folder, *others))
    page = _render(scores, (folder, *others), low, high, num_clips, num_frames).encode()
    if len(page) > MOST_PAGE_BYTES:
        raise ValueError(
            f"{out}: expected a page of at most {MOST_PAGE_BYTES / 1e6:.0f} MB, got {len(page) / 1e6:.1f} MB; "
            "picture less with --num-clips and --num-frames"
        )
    with files.atomic_write(out) as file:
        file.write(page)
    return out


def check_request(low: Path | None, high: Path | None, num_clips: int, num_frames: int, others: Sequence[Path]) -> None:
    """ValueError where the arguments of a page cannot be meant."""
    for name, number in (("--num-clips", num_clips), ("--num-frames", num_frames)):
        if number < 0:
            raise ValueError(f"{name} {number}: expected 0 or more")
    for flag, given in (("--low", low), ("--high", high)):
        if given is not None and not given.is_dir():
            raise ValueError(f"{flag} {given}: expected a folder of y4m clips; check the path")
    if len(others) >= MOST_SUBMISSIONS:
        raise ValueError(f"expected at most {MOST_SUBMISSIONS} submissions, got {len(others) + 1}; compare fewer")


def _page_name(others: Sequence[Path]) -> str:
    return "compare-" + "-".join(other.resolve().name for other in others) + ".html" if others else "report.html"


def _check_alike(scores: Sequence[dict[str, Any]], folders: Sequence[Path]) -> None:
    """Submissions side by side must hold the same frames of the same clips under one protocol."""
    first = [(clip["id"], clip["frames"]) for clip in scores[0]["clips"]]
    for score, folder in zip(scores[1:], folders[1:], strict=True):
        if [(clip["id"], clip["frames"]) for clip in score["clips"]] != first:
            raise ValueError(
                f"{folder}: its clips or frames (test set {score['test_set']}) are not those of {folders[0]} "
                f"({scores[0]['test_set']}); score both on the same --test-set"
            )
        if score["protocol"] != scores[0]["protocol"]:
            raise ValueError(f"{folder}: scored under another protocol than {folders[0]}; score one of them again")


def _render(
    scores: Sequence[dict[str, Any]],
    folders: Sequence[Path],
    low: Path | None,
    high: Path | None,
    num_clips: int,
    num_frames: int,
) -> str:
    import jinja2

    score = scores[0]
    names = _names(scores, folders)
    place, notes = album.find_footage(scores, folders, names, low, high)
    choices = album.choose(score["clips"], num_clips) if num_clips else []
    if not num_clips:
        notes.append("Pictures were switched off (--num-clips 0).")
    worst = {name: album.choose_worst(score["clips"], key, num_frames) for name, key in WORST.items()}
    pictured = album.picture(choices, worst, place, tables.facts, _numbers)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        score=score,
        title=" / ".join(names.values()) if len(scores) > 1 else score["name"],
        created=_moment(score["created"]),
        totals=tables.totals(score),
        details=tables.details(score),
        beside=tables.beside(scores) if len(scores) > 1 else [],
        beside_clips=tables.beside_clips(scores) if len(scores) > 1 else [],
        submissions=list(names.values()),
        rows=[tables.row(clip) for clip in score["clips"]],
        charted=[(clip, tables.charts(same)) for clip, *same in tables.together(scores)],
        comparisons=pictured.comparisons,
        worst=pictured.worst,
        strips=[filmstrip.make_filmstrip(clip, place, pictured.anchors(clip)) for clip in score["clips"]],
        notes=[*notes, *pictured.notes],
        planes=tables.PLANES[score["protocol"]["psnr_planes"]],
        curve_planes=tables.PLANES[score["clips"][0]["curve"].removeprefix("psnr_")],
        names={"lr": "LR", "bicubic": "Bicubic", **names, "gt": "Ground truth"},
        curve_names={"submission": "submission", "bicubic": "bicubic"}
        | (dict(zip(tables.CURVES, names.values(), strict=False)) if len(scores) > 1 else {}),
        weights=(contest.PSNR_WEIGHT, contest.VMAF_WEIGHT),
        stage_width=comparison.STAGE_WIDTH_PX,
    )


def _names(scores: Sequence[dict[str, Any]], folders: Sequence[Path]) -> dict[str, str]:
    """What the page calls the submission of each layer: their own names, or their folders' where names repeat."""
    if len(scores) == 1:
        return {"sr": "Submission"}
    own = [score["name"] for score in scores]
    shown = own if len(set(own)) == len(own) else [folder.resolve().name for folder in folders]
    return dict(zip(footage.SHIPPED, shown, strict=False))


def _moment(text: str) -> str:
    """A time stamp as people write it; any other text as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text


def _numbers(choice: album.Choice) -> list[Cell]:
    """A worst frame's own PSNR, its gain over bicubic, VMAF and its gain."""
    return tables.frame_numbers(choice.clip, choice.position)


def write_leaderboard(root: Path) -> tuple[Path, list[str]]:
    """Rewrite the leaderboard in root/README.md; returns its path and a sentence for each score that was left out."""
    if (root / "score.json").is_file():
        raise ValueError(
            f"{root}: is a submission itself; name the folder that holds them: --leaderboard {root.parent}"
        )
    entries, faults = leaderboard.read_entries(root)
    return leaderboard.write_board(root, entries), faults


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("report", __doc__)
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER",
        help="scored submissions: submissions/NAME, and up to two others beside it; with --leaderboard their parent",
    )  # fmt: skip
    parser.add_argument("--low", type=Path, metavar="FOLDER", help="LR clips (default: where score.json found them)")
    parser.add_argument("--high", type=Path, metavar="FOLDER", help="GT clips (default: where score.json found them)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: FOLDER/report.html)")
    parser.add_argument(
        "--num-clips", type=int, default=2, metavar="N", help="picture the N worst and N best clips (default: 2)"
    )
    parser.add_argument(
        "--num-frames",
        type=int,
        default=4,
        metavar="N",
        help="list the N worst frames by PSNR and by VMAF (default: 4)",
    )
    parser.add_argument(
        "--leaderboard",
        action="store_true",
        help="rewrite the table in submissions/README.md from all score.json files",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


def _run(args: argparse.Namespace) -> int:
    return _run_leaderboard(args) if args.leaderboard else _run_page(args)


def _run_leaderboard(args: argparse.Namespace) -> int:
    if len(args.folders) > 1 or args.low or args.high or args.out:
        raise cli.UsageError("--leaderboard takes at most the folder that holds the submissions, and no flag of a page")
    path, faults = write_leaderboard(args.folders[0] if args.folders else Path("submissions"))
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    print(path)
    return 0


def _run_page(args: argparse.Namespace) -> int:
    if not args.folders:
        raise cli.UsageError("expected a scored submission's folder, such as submissions/NAME, or --leaderboard")
    folder, *others = args.folders
    check_request(args.low, args.high, args.num_clips, args.num_frames, others)
    print(write_report(folder, args.low, args.high, args.out, args.num_clips, args.num_frames, others))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

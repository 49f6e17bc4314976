"""Write one self-contained HTML page about a scored submission, alone or beside others; or the leaderboard of them all.

submissions/NAME/score.json, the shipped clips, LR and GT clips -> submissions/NAME/report.html (opens offline): totals,
worst and best clips to compare, worst frames, filmstrips, per-frame curves. The page is a pure function of its inputs.
Of several submissions the page is the first one's, NAME/compare-OTHER.html, with the others in each picture and table.
Run: python -m youku report submissions/NAME [submissions/OTHER ...] [--low FOLDER] [--high FOLDER]
     python -m youku report --leaderboard [submissions]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from youku import cli, files
from youku.exchange import intervals, leaderboard, scorefile
from youku.pages import report_page


def write_report(
    folder: Path,
    low: Path | None = None,
    high: Path | None = None,
    out: Path | None = None,
    num_clips: int = 2,
    num_frames: int = 4,
    others: Sequence[Path] = (),
) -> Path:
    """Read the scores and write the page of the submission in `folder`, `others` beside it; returns its path.

    ValueError without a usable score.json; the rest is `report_page.write_page`'s.
    """
    folders = (folder, *others)
    out = out or folder / report_page.page_name(folders)
    report_page.check_request(folders, low, high, out, num_clips, num_frames)
    scores = [scorefile.read_score(place) for place in folders]
    for score, place in zip(scores, folders, strict=True):
        if why := scorefile.unlike(score, scores[0]):
            raise ValueError(f"{place} beside {folder}: {why}; score both on the same clips with the same flags")
    names = report_page.names_of(scores, folders)
    certainty = intervals.sentences(scores, list(names.values()))
    report_page.write_page(scores, folders, names, certainty, out, low, high, num_clips, num_frames)
    return out


def write_leaderboard(root: Path) -> tuple[Path, list[str]]:
    """Write root/leaderboard.md anew; returns its path and a sentence for each score that was left out."""
    if (root / "score.json").is_file():
        raise ValueError(
            f"{root}: is a submission itself; name the folder that holds them: --leaderboard {root.parent}"
        )
    entries, faults = leaderboard.read_entries(root)
    return leaderboard.write_board(root, entries), faults


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add, folders = parser.add_argument, "scored submissions: submissions/NAME, and up to two others beside it"
    add("folders", nargs="*", metavar="FOLDER", help=f"{folders}; with --leaderboard their parent")
    add("--low", metavar="FOLDER", help="LR clips (default: where score.json found them)")
    add("--high", metavar="FOLDER", help="GT clips (default: where score.json found them)")
    add("--out", metavar="FILE", help="the page (default: FOLDER/report.html)")
    add("--num-clips", type=int, default=2, help="picture the N worst and N best clips (default: 2)")
    add("--num-frames", type=int, default=4, help="list the N worst frames by PSNR and by VMAF (default: 4)")
    add("--leaderboard", action="store_true", help="write submissions/leaderboard.md from all score.json files")


def _run(args: argparse.Namespace) -> int:
    folders = [Path(name) for name in args.folders]
    low, high, out = (Path(name) if name else None for name in (args.low, args.high, args.out))
    if args.leaderboard:
        if folders[1:] or low or high or out:
            raise cli.UsageError(
                "--leaderboard takes at most the folder that holds the submissions, and no flag of a page"
            )
        path, faults = write_leaderboard(folders[0] if folders else Path("submissions"))
        for fault in faults:
            cli.say(f"left out: {fault}")
        print(path)
        return 0
    if not folders:
        raise cli.UsageError("expected a scored submission's folder, such as submissions/NAME, or --leaderboard")
    if out and out.suffix.lower() not in (".html", ".htm") and not out.is_dir():
        raise cli.UsageError(f"--out {out}: expected a name that ends in .html")
    files.protect(*(path for place in folders for path in place.glob("*") if path.suffix in (".zip", ".json")))
    files.protect(*(path for clips in (low, high) if clips for path in clips.glob("*.y4m")))
    print(write_report(folders[0], low, high, out, args.num_clips, args.num_frames, folders[1:]))
    return 0


main = cli.Verb("report", __doc__, _add_flags, _run)

if __name__ == "__main__":
    raise SystemExit(main())

"""Write the leaderboard of a folder of submissions, its leaderboard.md.

submissions/*/score.json -> Entries, best score first -> a Markdown table. A submission whose score cannot be read is named
and left out; the others stay.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from youku import files
from youku.exchange import intervals, scorefile
from youku.exchange.totals import SYSTEMS
from youku.text_table import minus

NAME = "leaderboard.md"
HEADING = "# Leaderboard\n\n<!-- youku report --leaderboard writes this file anew -->\n\n"
HEADS = (
    "| Submission | Test set | Clips | Score | On other clips, 95 % | Above the best | Bicubic | PSNR | VMAF | VMAF NEG | SSIM "
    f"| PSNR of | VMAF of | Scored | Pages |\n{'| --- ' * 2}{'| ---: ' * 9}{'| --- ' * 4}|\n"
)


@dataclass(frozen=True)
class Entry:
    """One scored submission: the normalised content of its score.json and the folder that holds it."""

    folder: Path
    score: dict[str, Any]


def read_entries(root: Path) -> tuple[list[Entry], list[str]]:
    """Every folder of `root` with a score.json, best score first, and a sentence for each that cannot be read."""
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder of submissions; make one with make submission, or check the path")
    entries, faults = [], []
    for path in sorted(root.glob("*/score.json")):
        try:
            entries.append(Entry(path.parent, scorefile.read_score(path.parent)))
        except (ValueError, OSError) as error:
            fault = str(error) if str(path) in str(error) else f"{path}: {error}"
            faults.append(fault.encode(errors="backslashreplace").decode())
    return sorted(entries, key=_rank), faults


def format_board(entries: Sequence[Entry]) -> str:
    """The Markdown below the heading: a sentence and a table, or a sentence alone."""
    if not entries:
        return "No submission has been scored yet: `make submission score report`."
    rows = []
    for entry in entries:
        first = next(other for other in entries if not _unlike(entry, other))  # the best like it, which may be itself
        rows.append("| " + " | ".join(_cells(entry, first, _test_set(first, entries))) + " |")
    table = HEADS + "\n".join(rows)
    about = "Best score first. Compare only rows of one test set and one protocol; intervals are over other clips "
    about += "(bootstrap; cuts of one film are drawn together). The best is the first row of that test set; n/a: not measured."
    return f"{about}\n\n{table}"


def write_board(root: Path, entries: Sequence[Entry]) -> Path:
    """Write root/leaderboard.md anew; returns its path. ValueError where a file of that name was not made here."""
    path, text = root / NAME, (HEADING + format_board(entries) + "\n").encode()
    old = path.read_bytes() if path.is_file() else HEADING.encode()
    if not old.startswith(HEADING.encode()):
        raise ValueError(f"{path}: exists and is no leaderboard of this kit; move it away and run again")
    if old != text:
        with files.atomic_write(path) as file:
            file.write(text)
    return path


def _rank(entry: Entry) -> tuple[float, float, str]:
    """Best score first, then what has none by PSNR."""
    ours = entry.score["totals"]["submission"]
    score, psnr = (math.inf if ours.get(key) is None else -float(ours[key]) for key in ("score", "psnr"))
    return score, psnr, entry.folder.name


def _unlike(entry: Entry, other: Entry) -> str:
    return "" if entry is other else scorefile.unlike(entry.score, other.score)


def _test_set(first: Entry, entries: Sequence[Entry]) -> str:
    """What the entries like `first` were scored on; where a better one has the same name for something else, what that is."""
    name = str(first.score["test_set"])
    other = next(entry for entry in entries if entry is first or entry.score["test_set"] == name)
    why = _unlike(first, other)
    return f"{name}, not that of {other.score['name']}: {why}" if why else name


def _cells(entry: Entry, first: Entry, test_set: str) -> list[str]:
    """A row; `first` is the best entry that may be compared with it."""
    score, protocol = entry.score, entry.score["protocol"]
    own, best = (intervals.clips_of(one.score["clips"], protocol) for one in (entry, first))
    ours, theirs = (score["totals"][system] for system in SYSTEMS[:2])
    numbers = [(ours, "score", 3), (theirs, "score", 3), (ours, "psnr", 3), (ours, "vmaf", 3), (ours, "vmaf_neg", 3)]
    numbers += [(ours, "ssim", 4)]
    made = files.recall(entry.folder / "manifest.json", {"model": str})  # that `submit` wrote beside the score
    pages = sorted(page.name for page in entry.folder.glob("*.html"))
    links = [
        f"[{_plain(name.removesuffix('.html'))}]({quote(os.fsencode(f'{entry.folder.name}/{name}'))})" for name in pages
    ]
    above = "the best"
    if entry is not first:  # how much more it scored, and how far that would move with other clips where that is known
        above = _number(minus(ours.get("score"), first.score["totals"]["submission"].get("score")), 3, "+")
        above += f": {intervals.told(own, best)}" if intervals.of_score(own, best) else ""
    head, *others = (_number(figures.get(key), digits) for figures, key, digits in numbers)
    return [
        _plain(score["name"] + (f": {made['model']}" if made else "")),
        _plain(test_set),
        str(len(score["clips"])),
        head,
        intervals.told(own),
        above,
        *others,
        _plain(f"{protocol['psnr_planes']} by {protocol['psnr_pool']}"),
        _plain(f"{protocol['vmaf_clips']} clips, {protocol['vmaf_model']}, {protocol['vmaf_pool']}"),
        _plain(str(score["created"])[:10]),
        ", ".join(links) or "none",
    ]


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "n/a" if value is None else f"{value:{sign}.{digits}f}"


def _plain(text: str) -> str:
    """Text that stays text in a cell: signs of Markdown and HTML are escaped, line ends become spaces."""
    shown = files.printable(" ".join(text.split()), None)
    return "".join(f"\\{sign}" if sign in "\\|`*[]<>&_~" else sign for sign in shown)

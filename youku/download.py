"""Fetch the contest's archives, unpack and verify the clips: remote zips -> data/raw -> data/clips/{train,val,test}.

Chosen by round, split, clip range and kind; transfers resume after a break at any byte (youku/exchange/fetch.py); archives put
into data/raw by hand are used as they are; clips that are there and whole are left alone, without touching the network.
An archive that is damaged, or unsafe and so refused as a whole (youku/exchange/zips.py), is named and fetched anew; the old
one is set aside once the new one is whole. Whole clips are those of the archive, byte for byte (youku/exchange/archive.py).

Source: the organiser's data list (youku/contest.py).

    python -m youku download --round 1 --split train,val --clips 0-49
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from youku import cli, contest, files
from youku.exchange.archive import Wanted, choose
from youku.exchange.downloads import Haul, Plan, download, fetched_bytes, make_plan
from youku.text_table import lay_out, plural


def table(wanted: Sequence[Wanted], plan: Plan) -> str:
    """The dry run: what each archive weighs, what is there, and what the disk holds."""
    rows = []
    for item in wanted:
        lost, size, so_far = len(plan.missing.get(item, ())), plan.sizes.get(item, 0), fetched_bytes(item)
        weight = _gb(size) if size is not None else f"<{_gb(_most_bytes(item))}*"
        there = f"{len(item.clip_ids) - lost} of {len(item.clip_ids)}"
        what = f"{_gb(so_far)} fetched so far" if so_far else ""
        rows.append([item.archive.name, weight, _gb(lost * item.clip_bytes) + "*", there, what])
    lines = [lay_out(["archive", "to fetch", "unpacked", "clips there", ""], rows)]
    for note in sorted({plan.notes[item] for item, size in plan.sizes.items() if size is None}):
        names = [item.archive.name for item, size in plan.sizes.items() if size is None and plan.notes[item] == note]
        lines.append(f"size unknown, {note}: {', '.join(names)}")
    needed, free = plan.needed_bytes(len(wanted), False), files.free_bytes(wanted[0].data)
    most = needed + sum(_most_bytes(item) for item, size in plan.sizes.items() if size is None)
    room = "enough" if most <= free else "not enough" if needed > free else "perhaps not enough"
    room += "" if most <= free else ": another --data, --clips or --split, or --delete-zips"
    about = f"{_gb(needed)}*" + (f" to {_gb(most)}*" if most > needed else "")
    lines.append(f"to fetch and unpack: {about}; free on disk: {_gb(free)}, {room}")
    lines += ["* estimate from the usual picture size", *(f"in the way: {why}" for why in dict.fromkeys(plan.refusals))]
    return "\n".join(lines)


def _most_bytes(item: Wanted) -> int:
    """Of a zip of unknown size."""
    return contest.CLIPS_PER_ARCHIVE * item.clip_bytes


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"


def summary(haul: Haul) -> list[str]:
    """What a run did and what is missing or odd, for people."""
    absent = [Path(finding.path) for finding in haul.findings if finding.state == "missing"]
    lines = [f"missing  {run}" for run in _fold(absent)]
    lines += [f"{item.state:<8} {item.path}: {item.detail}" for item in haul.findings if item.state != "missing"]
    lines += [f"ignored  {member}" for member in haul.ignored]
    lines += [f"replaced {sentence}" for sentence in haul.replaced]
    lines += [f"deleted  {name}" for name in haul.deleted]
    num_lost = len({finding.path for finding in haul.findings if finding.state != "odd"})
    done = "up to date" if haul.up_to_date else f"fetched {plural(len(haul.fetched), 'archive')}"
    return [*lines, f"{done}: {haul.num_clips - num_lost} of {haul.num_clips} clips are there and whole"]


def _fold(paths: list[Path]) -> list[str]:
    """Clips that are missing, a line for each run of ids: Youku_00150_l.y4m to Youku_00199_l.y4m (50 clips)."""
    runs: list[list[Path]] = []
    last: tuple[int, str] | None = None
    for path in paths:
        parsed = contest.parse_name(path.name)
        if parsed and last and parsed == (last[0] + 1, last[1]):
            runs[-1].append(path)
        else:
            runs.append([path])
        last = parsed
    return [f"{run[0]}" + (f" to {run[-1].name} ({plural(len(run), 'clip')})" if run[1:] else "") for run in runs]


def _act(args: argparse.Namespace) -> int:
    wanted = choose(args.data, args.round, args.split, args.clips, args.kind)
    if args.dry_run:
        plan = make_plan(wanted, args.base_url)
        rows = [{"name": item.archive.name, "missing": plan.missing.get(item, ())} for item in wanted]
        sizes = {item.archive.name: size for item, size in plan.sizes.items()}
        dry = {"archives": rows, "to_fetch_bytes": sizes, "needed_bytes": plan.needed_bytes(len(wanted), False)}
        dry |= {"free_bytes": files.free_bytes(wanted[0].data), "in_the_way": plan.refusals}
        cli.answer(args, dry, table(wanted, plan))
        return 0
    haul = download(wanted, args.base_url, jobs=args.jobs, retries=args.retries, delete_zips=args.delete_zips)
    cli.answer(args, asdict(haul), *summary(haul))
    for error in haul.errors:
        cli.say(f"error: {error}")
    return 0 if haul.complete else 1


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--round", choices=("1", "2", "all"), default="1", help="contest round (default 1)")
    parser.add_argument("--split", default="", help=f"train, val, test of the round, or {', '.join(contest.SPLITS)}")
    parser.add_argument("--clips", default="", help="clip ids FIRST-LAST, or one id; only these are unpacked")
    parser.add_argument("--kind", choices=("input", "label", "both"), default="both", help="default both")
    parser.add_argument("--data", default="data", help="folder that holds raw/ and clips/")
    parser.add_argument("--base-url", default=contest.BASE_URL, help="server or mirror: http, https or file URL")
    parser.add_argument("--jobs", type=_count, default=2, help="archives at a time (default 2)")
    parser.add_argument("--retries", type=_count, default=5, help="broken connections in a row before giving up")
    parser.add_argument("--delete-zips", action="store_true", help="delete a zip once its clips are unpacked and whole")
    parser.add_argument("--dry-run", action="store_true", help="print sizes and what is there, fetch nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


main = cli.Verb("download", __doc__, _add_flags, _act)

if __name__ == "__main__":
    raise SystemExit(main())

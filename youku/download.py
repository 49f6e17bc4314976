"""Fetch the contest's archives, unpack and verify the clips: remote zips -> data/raw -> data/clips/{train,val,test}.

Chosen by round, split, clip range and kind; transfers resume after a break at any byte (youku/exchange/fetch.py); archives put
into data/raw by hand are used as they are; clips that are there and whole are left alone, without touching the network.
A damaged archive is named with its damaged members and kept: delete it and run again. An unsafe one is refused as a
whole (youku/exchange/archive.py).

Source: the organiser's data list (youku/contest.py).
Run: python -m youku download [--round 1|2|all] [--split train,val,test] [--clips 0-49] [--kind input|label|both]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from youku import cli, contest, files
from youku.exchange.archive import Finding, Wanted, choose, unpack, verify
from youku.exchange.fetch import FetchError, Stopped, fetch, make_session, part_path, probe

_BAR: dict[str, Any] = {"unit": "B", "unit_scale": True, "disable": None}


@dataclass
class Outcome:
    """What a run did and found; `errors` are sentences, `ignored` are archive members that are no clips."""

    num_clips: int = 0
    up_to_date: bool = False
    fetched: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every clip asked for is there and whole."""
        return not self.errors and all(finding.state == "odd" for finding in self.findings)


@dataclass
class Plan:
    """What a run has to do; sizes are those of archives to fetch, None where the server did not say (see notes)."""

    missing: dict[Wanted, tuple[int, ...]]
    base_url: str
    sizes: dict[Wanted, int | None] = field(default_factory=dict)
    notes: dict[Wanted, str] = field(default_factory=dict)
    unreachable: str = ""

    def url(self, item: Wanted) -> str:
        return self.base_url.rstrip("/") + "/" + item.archive.remote

    def needed_bytes(self, jobs: int, delete_zips: bool) -> int:
        """Disk space to fetch and unpack; an unknown size counts as none, for a full disk loses nothing."""
        left = sorted((max(0, (size or 0) - _part_bytes(item)) for item, size in self.sizes.items()), reverse=True)
        clips = sum(len(self.missing[item]) * item.clip_bytes for item in self.sizes)
        return clips + sum(left[: jobs if delete_zips else None])


def _part_bytes(item: Wanted) -> int:
    """What an unfinished transfer has brought so far."""
    part = part_path(item.zip_path)
    return part.stat().st_size if part.exists() else 0


def make_plan(wanted: Sequence[Wanted], base_url: str = contest.BASE_URL) -> Plan:
    """Look at the disk; ask the server for sizes only where there is something to fetch."""
    if urlsplit(base_url).scheme not in ("http", "https", "file"):
        raise ValueError(f"--base-url {base_url!r}: expected http://..., https://... or file:///...")
    for item in wanted:
        if item.zip_path.is_dir():
            raise ValueError(f"{item.zip_path}: expected a zip, found a folder; move it away and run again")
    plan = Plan({item: ids for item in wanted if (ids := item.missing())}, base_url)
    with make_session() as session:
        for item in plan.missing:
            if item.zip_path.exists():
                continue
            plan.sizes[item], plan.notes[item] = None, plan.unreachable or "the server does not tell"
            try:
                if not plan.unreachable:
                    plan.sizes[item] = probe(session, plan.url(item))
            except FetchError as error:
                plan.notes[item] = error.reason
                plan.unreachable = error.reason if error.unreachable else ""
    return plan


def download(
    wanted: Sequence[Wanted],
    base_url: str = contest.BASE_URL,
    *,
    jobs: int = 2,
    retries: int = 5,
    delete_zips: bool = False,
    num_frames: int = contest.CLIP_FRAMES,
) -> Outcome:
    """Fetch, unpack and verify what is missing; archives at fault are told in the outcome, a full disk raises."""
    plan, data = make_plan(wanted, base_url), wanted[0].data
    outcome = Outcome(sum(len(item.clip_ids) for item in wanted), not plan.missing)
    refused = {plan.unreachable: [item.archive.name for item in plan.sizes]} if plan.unreachable else {}
    files.require_free(data, plan.needed_bytes(jobs, delete_zips), "fetching and unpacking the archives")
    known = None not in plan.sizes.values()
    total = tqdm(total=sum(filter(None, plan.sizes.values())) if known else None, desc="total", **_BAR)
    stop = threading.Event()
    with total, ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(_bring, item, plan, retries, delete_zips, outcome, total, stop): item
            for item in plan.missing
            if not (plan.unreachable and item in plan.sizes)
        }
        try:
            for future in as_completed(futures):
                try:
                    future.result()
                except FetchError as error:
                    refused.setdefault(error.reason, []).append(futures[future].archive.name)
                except ValueError as error:
                    outcome.errors.append(str(error))
        except BaseException:  # full disk, Ctrl-C: the others end at their next block
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    outcome.errors += [_dead(reason, sorted(names), data) for reason, names in refused.items()]
    outcome.findings += verify(wanted, num_frames)
    for item in wanted if delete_zips else ():
        _drop_zip(item, outcome)
    return outcome


def _bring(
    item: Wanted, plan: Plan, retries: int, delete_zip: bool, outcome: Outcome, total: tqdm, stop: threading.Event
) -> None:
    """One worker's job: fetch an archive unless it is there, unpack what is missing from it."""
    name = item.archive.name
    if item in plan.sizes:
        with tqdm(total=plan.sizes[item], desc=name, leave=False, **_BAR) as bar:

            def step(have_bytes: int, total_bytes: int | None) -> None:
                bar.total = total_bytes
                total.update(have_bytes - bar.n)
                bar.update(have_bytes - bar.n)

            fetch(plan.url(item), item.zip_path, retries=retries, on_bytes=step, stop=stop)
        outcome.fetched.append(name)
        tqdm.write(f"fetched {name}, {item.zip_path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    targets = {item.clip_path(clip_id).name: item.clip_path(clip_id) for clip_id in plan.missing[item]}
    with tqdm(total=len(targets), desc=f"unpack {name}", unit="clip", disable=None, leave=False) as bar:
        ignored = unpack(item.zip_path, targets, item.max_member_bytes, lambda _: _next(bar, stop))
    outcome.ignored += [f"{name}: {member}" for member in ignored]
    tqdm.write(f"unpacked {len(targets)} clips of {name}", file=sys.stderr)
    if delete_zip:
        _drop_zip(item, outcome)


def _next(bar: tqdm, stop: threading.Event) -> None:
    bar.update()
    if stop.is_set():
        raise Stopped


def _drop_zip(item: Wanted, outcome: Outcome) -> None:
    """Delete an archive whose clips asked for are all unpacked and whole."""
    if item.zip_path.exists() and not item.missing():
        item.zip_path.unlink()
        outcome.deleted.append(item.archive.name)


def _dead(reason: str, names: list[str], data: Path) -> str:
    """One sentence for all archives that fail alike, and what to do."""
    return (
        f"{reason}: {', '.join(names)}; run again later, name a mirror with --base-url (http, https or file), "
        f"or put the zips into {data / 'raw'} by hand and run the same command again"
    )


def table(wanted: Sequence[Wanted], plan: Plan) -> list[str]:
    """The dry run's lines: what each archive weighs, what is there, and what the disk holds."""
    lines = [f"{'archive':<30}{'to fetch':>12}{'unpacked':>12}  clips there"]
    for item in wanted:
        lost = len(plan.missing.get(item, ()))
        size = plan.sizes.get(item, 0)
        limit = contest.CLIPS_PER_ARCHIVE * item.clip_bytes
        fetched = _gb(size) if size is not None else f"<{_gb(limit)}*"
        what = f"{_gb(_part_bytes(item))} fetched so far" if _part_bytes(item) else ""
        there = f"{len(item.clip_ids) - lost} of {len(item.clip_ids)}"
        lines.append(
            f"{item.archive.name:<30}{fetched:>12}{_gb(lost * item.clip_bytes) + '*':>12}  {there:<12}{what}".rstrip()
        )
    for note in sorted({plan.notes[item] for item, size in plan.sizes.items() if size is None}):
        names = [item.archive.name for item, size in plan.sizes.items() if size is None and plan.notes[item] == note]
        lines.append(f"size unknown, {note}: {', '.join(names)}")
    hidden = " and what is unknown" if None in plan.sizes.values() else ""
    needed = _gb(plan.needed_bytes(len(wanted), False))
    data = next(folder for folder in (wanted[0].data.absolute(), *wanted[0].data.absolute().parents) if folder.is_dir())
    lines.append(f"to fetch and unpack: {needed}*{hidden}; free on disk: {_gb(shutil.disk_usage(data).free)}")
    return [*lines, "* estimate from the usual picture size"]


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"


def summary(outcome: Outcome) -> list[str]:
    """What a run did and what is missing or odd, for people."""
    absent = [Path(finding.path) for finding in outcome.findings if finding.state == "missing"]
    lines = [f"missing  {run}" for run in _fold(absent)]
    lines += [f"{item.state:<8} {item.path}: {item.detail}" for item in outcome.findings if item.state != "missing"]
    lines += [f"ignored  {member}" for member in outcome.ignored]
    lines += [f"deleted  {name}" for name in outcome.deleted]
    num_lost = len({finding.path for finding in outcome.findings if finding.state != "odd"})
    done = "up to date" if outcome.up_to_date else f"fetched {len(outcome.fetched)} archives"
    return [*lines, f"{done}: {outcome.num_clips - num_lost} of {outcome.num_clips} clips are there and whole"]


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
    return [f"{run[0]}" + (f" to {run[-1].name} ({len(run)} clips)" if run[1:] else "") for run in runs]


def _act(args: argparse.Namespace) -> int:
    wanted = choose(args.data, args.round, args.split, args.clips, args.kind)
    if args.dry_run:
        plan = make_plan(wanted, args.base_url)
        rows = [{"name": item.archive.name, "missing": plan.missing.get(item, ())} for item in wanted]
        sizes = {item.archive.name: size for item, size in plan.sizes.items()}
        dry = {"archives": rows, "to_fetch_bytes": sizes, "needed_bytes": plan.needed_bytes(len(wanted), False)}
        print(json.dumps(dry, indent=2) if args.json else "\n".join(table(wanted, plan)))
        return 0
    outcome = download(wanted, args.base_url, jobs=args.jobs, retries=args.retries, delete_zips=args.delete_zips)
    print(json.dumps(asdict(outcome), indent=2) if args.json else "\n".join(summary(outcome)))
    for error in outcome.errors:
        print(f"error: {error}", file=sys.stderr)
    return 0 if outcome.complete else 1


def _count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("download", __doc__)
    parser.add_argument("--round", choices=("1", "2", "all"), default="1", help="contest round (default 1)")
    parser.add_argument("--split", default="", help=f"train, val, test of the round, or {', '.join(contest.SPLITS)}")
    parser.add_argument("--clips", default="", help="clip ids FIRST-LAST, or one id; only these are unpacked")
    parser.add_argument("--kind", choices=("input", "label", "both"), default="both", help="default both")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds raw/ and clips/")
    parser.add_argument("--base-url", default=contest.BASE_URL, help="server or mirror: http, https or file URL")
    parser.add_argument("--jobs", type=_count, default=2, help="archives at a time (default 2)")
    parser.add_argument("--retries", type=_count, default=5, help="broken connections in a row before giving up")
    parser.add_argument("--delete-zips", action="store_true", help="delete a zip once its clips are unpacked and whole")
    parser.add_argument("--dry-run", action="store_true", help="print sizes and what is there, fetch nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _act, argv)


if __name__ == "__main__":
    raise SystemExit(main())

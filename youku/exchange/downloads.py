"""Bring the clips asked for: plan what is missing, fetch archives into data/raw, unpack and verify the clips.

Wanted archives -> Plan -> Haul. Clips that are there and whole are left alone, without touching the network; archives
put into data/raw by hand are used as they are; progress bars and lines go to stderr. An archive on disk that is damaged
or unsafe is fetched anew, and set aside once the new one is whole: no state needs a hand.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from youku import cli, contest, files, stops
from youku.exchange import objects
from youku.exchange.archive import Mark, Notice, Wanted, remember, verify
from youku.exchange.fetch import Stopped, aside_path, fetch, forget, part_path
from youku.exchange.objects import FetchError
from youku.exchange.zips import DamagedZip, unpack
from youku.text_table import plural

MAX_CLIP_FACTOR = 2  # a member larger than twice the usual clip is refused; a 2048x1152 clip is 1.14 times
_BAR: dict[str, Any] = {"unit": "B", "unit_scale": True}
KEPT = "the bytes fetched so far and clips that are whole are kept; the same command goes on from there"


@dataclass
class Haul:
    """What a run did and found; `errors` are sentences, `ignored` are archive members that are no clips.

    `replaced` says of each archive that could not be used why, and where it is now.
    """

    num_clips: int = 0
    up_to_date: bool = False
    fetched: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    findings: list[Notice] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every clip asked for is there and whole."""
        return not self.errors and all(finding.state == "odd" for finding in self.findings)


@dataclass
class Plan:
    """What a run has to do; sizes are those of archives to fetch, None where the server did not say (see notes)."""

    missing: dict[Wanted, tuple[int, ...]]
    base_url: str
    num_frames: int = contest.CLIP_FRAMES
    sizes: dict[Wanted, int | None] = field(default_factory=dict)
    notes: dict[Wanted, str] = field(default_factory=dict)
    unreachable: str = ""
    refusals: list[str] = field(default_factory=list)
    """What lies in the way of the clips, a sentence each."""

    def url(self, item: Wanted) -> str:
        return self.base_url.rstrip("/") + "/" + item.archive.remote

    def needed_bytes(self, jobs: int, delete_zips: bool) -> int:
        """Disk space to fetch and unpack; an unknown size counts as none, for a full disk loses nothing."""
        left = sorted((max(0, (size or 0) - fetched_bytes(item)) for item, size in self.sizes.items()), reverse=True)
        clips = sum(len(ids) * item.clip_bytes for item, ids in self.missing.items())
        return clips + sum(left[: jobs if delete_zips else None])


def fetched_bytes(item: Wanted) -> int:
    """What an unfinished transfer has brought so far."""
    part = part_path(item.zip_path)
    return part.stat().st_size if part.exists() else 0


def make_plan(
    wanted: Sequence[Wanted], base_url: str = contest.BASE_URL, num_frames: int = contest.CLIP_FRAMES
) -> Plan:
    """Look at the disk; ask the server for sizes only where there is something to fetch."""
    if base_url.partition(":")[0].lower() not in objects.SCHEMES:
        raise ValueError(f"--base-url {base_url!r}: expected http://..., https://..., file:///... or s3://...")
    plan = Plan({}, base_url, num_frames)
    for item in cli.bar(wanted, desc="look at the clips", unit="archive", leave=False):
        try:
            item.require_free()
            ids = item.missing(num_frames)
        except ValueError as error:
            plan.refusals.append(str(error))
            ids = item.clip_ids
        plan.missing |= {item: ids} if ids else {}
    with objects.make_session() as session:
        for item in plan.missing:
            if item.zip_path.exists():
                continue
            plan.sizes[item], plan.notes[item] = None, plan.unreachable or "the server does not tell"
            try:
                if not plan.unreachable:
                    plan.sizes[item] = objects.size_of(session, plan.url(item))
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
) -> Haul:
    """Fetch, unpack and verify what is missing; archives at fault are told in the haul, a full disk raises."""
    plan, data = make_plan(wanted, base_url, num_frames), wanted[0].data
    if plan.refusals:
        raise ValueError(plan.refusals[0])
    haul = Haul(sum(len(item.clip_ids) for item in wanted), not plan.missing)
    refused = {plan.unreachable: [item.archive.name for item in plan.sizes]} if plan.unreachable else {}
    files.require_free(data, plan.needed_bytes(jobs, delete_zips), "fetching and unpacking the archives")
    known = None not in plan.sizes.values()
    total = cli.bar(total=sum(filter(None, plan.sizes.values())) if known else None, desc="total", **_BAR)
    with total, stops.workers(jobs) as (pool, stop):
        work = _Work(plan, haul, retries, delete_zips, total, stop)
        here = [item for item in plan.missing if not (plan.unreachable and item in plan.sizes)]
        futures = {pool.submit(work.bring, item): item for item in here}
        for future in as_completed(futures):  # a full disk, Ctrl-C: the others end at their next block
            try:
                future.result()
            except FetchError as error:
                refused.setdefault(error.reason, []).append(futures[future].archive.name)
            except DamagedZip as error:
                haul.errors.append(f"{error}; so the server sent it: run again later, or name a mirror with --base-url")
            except ValueError as error:
                haul.errors.append(str(error))
    haul.errors += [_dead(reason, sorted(names), data) for reason, names in refused.items()]
    haul.errors = list(dict.fromkeys(haul.errors))  # of several archives, a file in the way of their folder
    haul.findings += verify(wanted, num_frames)
    for item in wanted if delete_zips else ():
        _drop_zip(item, haul, num_frames)
    return haul


@dataclass(frozen=True)
class _Work:
    """What the workers of a download share."""

    plan: Plan
    haul: Haul
    retries: int
    delete_zips: bool
    total: tqdm
    stop: threading.Event

    def bring(self, item: Wanted) -> None:
        """Fetch an archive unless it is there, unpack what is missing from it, if need be from a new copy."""
        if item in self.plan.sizes:
            self._fetch(item)
        forget(item.zip_path)
        try:
            self._unpack(item)
        except DamagedZip as error:
            if item in self.plan.sizes:
                raise
            tqdm.write(f"{error}: fetching {item.archive.name}", file=sys.stderr)
            try:
                self._fetch(item)
            except FetchError:
                self.haul.errors.append(f"{error}; it is kept until a new one is whole")
                raise
            self.haul.replaced.append(f"{error}; set aside as {aside_path(item.zip_path)}")
            item.record_path.unlink(missing_ok=True)  # clips of the damaged zip are compared with the new one
            self.plan.missing[item] = item.missing(self.plan.num_frames)
            self._unpack(item)
        if self.delete_zips:
            _drop_zip(item, self.haul, self.plan.num_frames)

    def _fetch(self, item: Wanted) -> None:
        name = item.archive.name
        with cli.bar(total=self.plan.sizes.get(item), desc=name, leave=False, **_BAR) as bar:

            def step(have_bytes: int, total_bytes: int | None) -> None:
                if have_bytes:
                    stops.keeps(KEPT)
                bar.total = total_bytes
                self.total.update(have_bytes - bar.n)
                bar.update(have_bytes - bar.n)

            fetch(self.plan.url(item), item.zip_path, retries=self.retries, on_bytes=step, stop=self.stop)
        self.haul.fetched.append(name)
        tqdm.write(f"fetched {name}, {item.zip_path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)

    def _unpack(self, item: Wanted) -> None:
        """Unpack what is missing, and remember each clip as its archive has it: the stream was checked against its CRC."""
        name, marks = item.archive.name, dict[str, Mark]()
        targets = {item.clip_path(clip_id).name: item.clip_path(clip_id) for clip_id in self.plan.missing[item]}
        with cli.bar(total=len(targets), desc=f"unpack {name}", unit="clip", leave=False) as bar:

            def on_clip(path: Path, crc: int) -> None:
                marks[path.name] = Mark(0, crc).of(path)
                stops.keeps(KEPT)
                bar.update()
                if self.stop.is_set():
                    raise Stopped

            try:
                ignored = unpack(item.zip_path, targets, MAX_CLIP_FACTOR * item.clip_bytes, on_clip)
            finally:
                remember(item, marks)
        self.haul.ignored += [f"{name}: {member}" for member in ignored]
        tqdm.write(f"unpacked {plural(len(targets), 'clip')} of {name}", file=sys.stderr)


def _drop_zip(item: Wanted, haul: Haul, num_frames: int) -> None:
    """Delete an archive whose clips asked for are all unpacked and whole."""
    if item.zip_path.exists() and not item.missing(num_frames):
        item.zip_path.unlink()
        haul.deleted.append(item.archive.name)


def _dead(reason: str, names: list[str], data: Path) -> str:
    """One sentence for all archives that fail alike, and what to do."""
    return (
        f"{reason}: {', '.join(names)}; run again later, name a mirror with --base-url (http, https or file), "
        f"or put the zips into {data / 'raw'} by hand and run the same command again"
    )

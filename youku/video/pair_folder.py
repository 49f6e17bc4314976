"""Fill a folder with training pairs shaped like the contest's; what is there with the same settings is left alone.

Sources -> Youku_NNNNN_h_GT.y4m, Youku_NNNNN_l.y4m and pairs.json, which says of each pair what it was made of. A file
that is not listed there is never replaced.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from youku import __version__, contest, files, leftovers, stops
from youku.cli import Each, Watch, option, unwatched
from youku.video import ffmpeg, y4m
from youku.video.clips import Material, Opened, open_420
from youku.video.degradation import Degradation, make_pair
from youku.video.manifest import MANIFEST, read_manifest
from youku.video.y4m import Header, Planes

_log = logging.getLogger(__name__)
CUT = ("source_bytes", "source_mtime_ns", "cut")  # with the same, a source gives the same pairs ...
WAY = ("seed", "degradation")  # ... made of its frames in this way


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which frames and which part of each source become clips."""

    split_every: int = option(0, "cut a source into clips of N frames", type=int, metavar="N")
    max_frames: int = option(0, "take at most N frames of a source", type=int, metavar="N")
    every: int = option(1, "take every N-th frame, such as 20 or 1000", type=int, metavar="N")
    size: tuple[int, int] | None = None
    """(width, height): larger frames are cut to it around their middle."""
    sequence: bool = option(False, "a folder of pictures is one clip", action="store_true")

    def __post_init__(self) -> None:
        if self.split_every < 0 or self.max_frames < 0 or self.every < 1:
            raise ValueError("split-every and max-frames: expected 0 or more; every: expected 1 or more")

    def apply(self, opened: Opened) -> tuple[Header, Iterator[Planes], int | None]:
        """Header, frames and their likely number: every N-th, not too many, cut around the middle on whole chroma samples."""
        header, last, likely = opened.header, self.max_frames * self.every or None, opened.likely_frames
        most_width, most_height = self.size or (header.width, header.height)
        target = header.resized(min(header.width, most_width), min(header.height, most_height))
        top_px, left_px = (header.height - target.height) // 4 * 2, (header.width - target.width) // 4 * 2
        box = top_px, left_px, target.height, target.width
        kept = itertools.islice(opened.frames, 0, last, self.every)
        number = likely and min(-(-likely // self.every), self.max_frames or likely)
        return target, (y4m.crop(planes, header.layout, *box) for planes in kept), number

    def split(self, frames: Iterable[Planes]) -> Iterator[Iterator[Planes]]:
        """The frames of one clip after the other; each must be used up before the next is asked for."""
        stream = iter(frames)
        for first in stream:
            rest = itertools.islice(stream, self.split_every - 1) if self.split_every else stream
            yield itertools.chain([first], rest)


@dataclass(frozen=True)
class Part:
    """The pairs of one source, from `first_id` on; None: it goes on with its own, or begins after all that are there."""

    folder: Path
    source: Material
    degradation: Degradation
    selection: Selection
    settings: dict[str, Any]
    first_id: int | None


def plan(
    folder: str | Path,
    sources: Sequence[Material],
    degradation: Degradation,
    selection: Selection,
    first_id: int | None = 0,
    seed: int = 0,
) -> list[Part]:
    """One part a source, all with the same `first_id`; ValueError where the pairs of any cannot be made."""
    files.protect(*(path for source in sources for path in source.paths))
    parts = [
        Part(Path(folder), source, degradation, selection, _settings(source, degradation, selection, seed), first_id)
        for source in sources
    ]
    _refuse(Path(folder), parts, first_id)
    return parts


def number(parts: Sequence[Part]) -> Iterator[Part]:
    """The same, each with its own first id, to be made in any order; sources that are split are read through for that."""
    pairs, next_id = read_manifest(parts[0].folder), parts[0].first_id
    for part in parts:
        first = _first_of(part, pairs) if next_id is None else next_id
        yield replace(part, first_id=first)
        places = range(first, first + _num_pairs(part))
        pairs |= dict.fromkeys(places, part.settings)  # the next begins after them
        next_id = None if next_id is None else places.stop


def fill(parts: Sequence[Part], watch: Watch = unwatched, each: Each = map) -> list[int]:
    """Make the parts of a `plan` one after the other; returns the ids made, without those already there."""
    next_id = parts[0].first_id

    def fill_one(part: Part) -> list[int]:
        nonlocal next_id
        first_id, next_id = next_id, None  # what comes after one that fails begins after all that are there
        made, end = make(replace(part, first_id=first_id), watch)
        next_id = None if first_id is None else end
        return made

    return [clip_id for made in each(fill_one, parts) for clip_id in made]


def make(part: Part, watch: Watch = unwatched) -> tuple[list[int], int]:
    """The ids of one part's pairs that were made, and the id after its last; ValueError for files of others."""
    folder, source, selection, made = part.folder, part.source, part.selection, list[int]()
    pairs = read_manifest(folder)
    clip_id = _first_of(part, pairs) if part.first_id is None else part.first_id
    if not selection.split_every and _is_current(folder, clip_id, pairs, {**part.settings, "first_frame": 0}):
        return made, clip_id + 1
    with open_420(source) as opened, ExitStack() as stack:
        header, frames, number = selection.apply(opened)
        if min(header.width, header.height) < (scale := part.degradation.scale):
            raise ValueError(f"{source.name}: {header.size} is too small for a factor of {scale}")
        stack.enter_context(files.own_folder(folder))  # only now: what cannot be read leaves nothing behind
        first_frame = 0
        for piece in selection.split(watch(frames, Path(source.name).name, number)):
            entry = {**part.settings, "first_frame": first_frame}
            if _is_current(folder, clip_id, pairs, entry):
                num_frames = sum(1 for _ in piece)
            else:
                num_frames = _make_one(part, clip_id, piece, header, pairs, entry)
                made.append(clip_id)
                stops.keeps("pairs that are whole are kept; the same command makes the rest")
            first_frame += num_frames
            clip_id += 1
        if made and opened.lost_times:
            _log.warning("%s: %s", source.name, opened.lost_times)
    return made, clip_id


def _first_of(part: Part, pairs: dict[int, Any]) -> int:
    """The first id of the pairs of a source, or the first above all that lie in the folder."""
    there = _ids_in(part.folder)
    own = {clip_id: pair for clip_id, pair in pairs.items() if _agree(pair, part.settings, "source")}
    own_ids = [clip_id for clip_id, pair in own.items() if clip_id in there or _agree(pair, part.settings, *CUT)]
    return min(own_ids) if own_ids else 1 + max([*pairs, *there], default=-1)


def _ids_in(folder: Path) -> set[int]:
    return {name[0] for path in folder.glob("*.y4m") if (name := contest.parse_name(path.name))}


def _agree(pair: dict[str, Any], other: dict[str, Any], *keys: str) -> bool:
    return all(pair.get(key) == other.get(key) for key in keys)


def _refuse(folder: Path, parts: Sequence[Part], first_id: int | None) -> None:
    """Before a pair is made: ValueError where a place is taken, or pairs that stay would show the same frames once more.

    A source is read through for the number of its pairs, where it is split and something lies that they could meet.
    """
    there, pairs = _ids_in(folder), read_manifest(folder)
    for part in parts if there else ():
        name, settings = part.source.name, part.settings
        own = {number: pair for number, pair in pairs.items() if number in there and _agree(pair, settings, "source")}
        first = _first_of(part, pairs) if first_id is None else first_id
        beside = {clip_id for clip_id in there if clip_id >= first} - {*own}
        if first_id is None and not beside and all(_agree(pair, settings, *CUT) for pair in own.values()):
            continue
        places = range(first, first + _num_pairs(part))
        for clip_id in places:
            _refuse_taken(folder, clip_id, pairs, name)
        replaced = [own[clip_id] for clip_id in places if clip_id in own]
        others = [(clip_id, own[clip_id]) for clip_id in sorted({*own} - {*places})]
        alike = [number for number, one in others if any(_agree(one, old, *CUT, *WAY) for old in replaced)]
        if stale := [f"{number:05d}" for number, one in others if number in alike or _agree(one, settings, *WAY)]:
            raise ValueError(
                f"{folder}: pairs of {name} that are cut or numbered otherwise would stay beside the new ones: "
                f"{', '.join(stale)}; delete their files, or name another folder"
            )
        first_id = None if first_id is None else places.stop


def shown_twice(folder: str | Path) -> dict[int, int]:
    """The pairs that lie there and show a frame of a source that another one before shows, made in the same way: which."""
    seen, found, there = dict[str, dict[int, int]](), dict[int, int](), _ids_in(Path(folder))
    for clip_id, pair in sorted(read_manifest(Path(folder)).items()):
        if clip_id in there and pair["frames"] and {"cut", "first_frame"} <= pair.keys():
            files.require(pair, {"first_frame": int, "cut": {"every": int}}, f"{MANIFEST}: pairs.{clip_id:05d}")
            every, shown = pair["cut"]["every"], seen.setdefault(str([pair.get(key) for key in ("source", *WAY)]), {})
            numbers = [(pair["first_frame"] + index) * every for index in range(pair["frames"])]
            if before := [shown[number] for number in numbers if number in shown]:
                found[clip_id] = before[0]
            shown |= dict.fromkeys(numbers, clip_id)
    return found


def _num_pairs(part: Part) -> int:
    """Of a damaged source those before the damage, which is told by whoever makes them."""
    num_frames, length = 0, part.selection.split_every
    if not length:
        return 1
    with suppress(ValueError), open_420(part.source) as opened:
        for _ in part.selection.apply(opened)[1]:
            num_frames += 1
        num_frames += length - 1  # the end of a whole source is a pair, however short
    return num_frames // length


def _refuse_taken(folder: Path, clip_id: int, pairs: dict[int, Any], source: str) -> None:
    """ValueError where the place of a pair is taken, or there is none."""
    if not 0 <= clip_id <= 99999:
        raise ValueError(f"clip id {clip_id}: contest names have five digits; choose another --first-id")
    listed, low = pairs.get(clip_id), folder / contest.low_name(clip_id)
    there = [path for path in (low, folder / contest.high_name(clip_id)) if path.exists()]
    if there and not listed and not (listed := read_manifest(folder).get(clip_id)):  # another's since
        raise ValueError(f"{there[0]}: exists and is not in {MANIFEST}; choose another --first-id or another folder")
    if listed is not None and listed["source"] != source:
        told = f"is a pair of {listed['source']}; add --first-id {1 + max(pairs)}, or name another folder"
        raise ValueError(f"{low}: {told}")


def _make_one(
    part: Part, clip_id: int, frames: Iterator[Planes], header: Header, pairs: dict[int, Any], entry: dict[str, Any]
) -> int:
    """Make a pair, listed as begun meanwhile, so that a run that is killed may be repeated; ValueError for a taken place."""
    _refuse_taken(part.folder, clip_id, pairs, entry["source"])
    low, high = part.folder / contest.low_name(clip_id), part.folder / contest.high_name(clip_id)
    clip_seed = int(np.random.SeedSequence([entry["seed"], clip_id]).generate_state(1)[0])
    _list(part.folder, clip_id, pairs, {**entry, "frames": None})
    try:
        num_frames = make_pair(frames, header, low, high, part.degradation, clip_seed)
    except BaseException:
        if not low.exists():  # which comes first
            _list(part.folder, clip_id, pairs, {})
        raise
    versions = {"youku": __version__, "ffmpeg": ffmpeg.version(), "numpy": np.__version__}
    _list(part.folder, clip_id, pairs, {**entry, "frames": num_frames, "versions": versions})
    return num_frames


def _list(folder: Path, clip_id: int, pairs: dict[int, Any], entry: dict[str, Any]) -> None:
    """An empty entry is none."""
    with leftovers.locked(files.make_folder(folder) / f".{MANIFEST}.lock"):  # other shards list theirs there
        pairs |= {**read_manifest(folder), clip_id: entry}
        if listed := {f"{number:05d}": pair for number, pair in sorted(pairs.items()) if pair}:
            files.write_json(folder / MANIFEST, {"pairs": listed})
        else:
            (folder / MANIFEST).unlink(missing_ok=True)


def _settings(source: Material, degradation: Degradation, selection: Selection, seed: int) -> dict[str, Any]:
    """What decides a pair's bytes, as JSON keeps it; bytes of a name that are no UTF-8 as &#56575;."""
    found = [path.stat() for path in source.paths]
    num_bytes, modified = sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)
    known = {"source": source.name, "source_bytes": num_bytes, "source_mtime_ns": modified, "seed": seed}
    settings = {**known, "cut": asdict(selection), "degradation": asdict(degradation)}
    return json.loads(json.dumps(settings, ensure_ascii=False).encode(errors="xmlcharrefreplace"))


def _is_current(folder: Path, clip_id: int, pairs: dict[int, Any], entry: dict[str, Any]) -> bool:
    """Whether both files are there, whole, and made with the same settings."""
    have = pairs.get(clip_id)
    if not have or not have.get("frames") or any(have.get(key) != value for key, value in entry.items()):
        return False
    with suppress(FileNotFoundError, y4m.Y4MError):
        halves = [folder / name(clip_id) for name in (contest.low_name, contest.high_name)]
        return all(y4m.Clip(half).num_frames == have["frames"] for half in halves)
    return False

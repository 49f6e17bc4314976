"""The published archives: which ones hold the clips asked for, where those clips lie on disk, and are they whole.

Rounds, splits, clip ids, kind -> Wanted archives; the clips on disk -> Notices of what is missing, damaged or odd.
Whole means every check that the archive allows: the y4m header and size, then the size and CRC that the zip's directory
(or, once the zip is gone, the record of it) has for the clip; with neither, no fewer frames than a clip of the contest.
What was once compared is remembered beside the zips, NAME.clips.json, and compared again when a clip's file changed.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from youku import contest, files
from youku.exchange import zips
from youku.text_table import plural
from youku.video import manifest
from youku.video.y4m import Clip, Header, Y4MError


@dataclass(frozen=True)
class Wanted:
    """One archive and the clips asked for from it; `data` is the folder that holds raw/ and clips/."""

    archive: contest.Archive
    clip_ids: tuple[int, ...]
    data: Path

    @property
    def zip_path(self) -> Path:
        return self.data / "raw" / self.archive.name

    def clip_path(self, clip_id: int) -> Path:
        name = contest.low_name(clip_id) if self.archive.kind == "input" else contest.high_name(clip_id)
        return self.data / "clips" / contest.SPLITS[self.archive.split].folder / name

    @property
    def clip_bytes(self) -> int:
        """Raw size of one clip at the usual picture size."""
        return contest.LOW_CLIP_BYTES if self.archive.kind == "input" else contest.HIGH_CLIP_BYTES

    @property
    def record_path(self) -> Path:
        return self.data / "raw" / f"{self.archive.name}.clips.json"

    def require_free(self) -> None:
        """ValueError where a folder bears the zip's name, or pairs of `degrade` those of clips, which would replace them."""
        if self.zip_path.is_dir():
            raise ValueError(f"{self.zip_path}: expected a zip, found a folder; move it away and run again")
        folder = self.clip_path(self.archive.first).parent
        own = sorted({*self.clip_ids} & manifest.read_manifest(folder).keys())
        if own:
            raise ValueError(
                f"{folder}: {own[0]:05d}{f' and {len(own) - 1} more' if own[1:] else ''} of pairs.json are your own pairs, "
                "which the contest's clips of these ids would replace; move the folder away, or give another --data"
            )

    def missing(self, num_frames: int = contest.CLIP_FRAMES) -> tuple[int, ...]:
        """Ids of the clips that are absent or damaged."""
        found = look_at(self, num_frames)
        return tuple(clip_id for clip_id in self.clip_ids if isinstance(found[clip_id], Notice))


@dataclass(frozen=True)
class Mark:
    """The bytes of one clip, by size and CRC as its archive has them, and the file that was last found to be them."""

    bytes: int
    crc: int
    changed_ns: tuple[int, int] = (0, 0)  # of the content, of the file: the second cannot be set back

    def of(self, path: Path) -> Mark:
        stat = path.stat()
        return Mark(stat.st_size, self.crc, (stat.st_mtime_ns, stat.st_ctime_ns))


@dataclass(frozen=True)
class Notice:
    """Something a person should know about a clip asked for: state is missing, damaged or odd."""

    path: str
    state: str
    detail: str


def choose(data: str | Path, rounds: str = "1", splits: str = "", clips: str = "", kind: str = "both") -> list[Wanted]:
    """Archives that hold the clips asked for; ValueError for an unknown name or a choice that holds nothing."""
    numbers = {"1": (1,), "2": (2,), "all": (1, 2)}[rounds]
    names = {split.name for split in contest.SPLITS.values() if split.round in numbers}
    if splits:
        names = {found for name in splits.split(",") for found in _split_names(name.strip(), numbers)}
    first, last = _clip_range(clips)
    chosen = []
    for published in contest.archives():
        ids = tuple(range(max(first, published.first), min(last, published.last) + 1))
        if published.split in names and kind in (published.kind, "both") and ids:
            chosen.append(Wanted(published, ids, Path(data)))
    if not chosen:
        raise ValueError(
            f"nothing to download for --round {rounds} --split {splits or 'all'} --clips {clips or 'all'} "
            f"--kind {kind}; round 1 has clips 0-249, round 2 250-949, test splits have no labels"
        )
    return chosen


def _split_names(name: str, rounds: tuple[int, ...]) -> list[str]:
    """A full split name as it is, a short one (train, val, test) within the chosen rounds."""
    if name in contest.SPLITS:
        return [name]
    found = [split.name for split in contest.SPLITS.values() if split.folder == name and split.round in rounds]
    if not found:
        raise ValueError(
            f"--split {name!r}: expected train, val or test of the chosen round (round 2 has no val), "
            f"or one of {', '.join(contest.SPLITS)}"
        )
    return found


def _clip_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text or "0-99999")
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise ValueError(f"--clips {text!r}: expected FIRST-LAST or one id, for example 0-49")
    return first, last


def look(path: Path, closely: bool = False) -> tuple[Header, int] | Notice:
    """A clip's header and number of frames, or why it cannot be used; closely: with a look at every FRAME line."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a clip, found a folder; move it away and run again")
    if not path.exists():
        return Notice(str(path), "missing", "not there")
    try:
        clip = Clip(path)
        if closely:
            clip.check()
    except Y4MError as error:
        return Notice(str(path), "damaged", str(error).removeprefix(f"{path}: "))
    return clip.header, clip.num_frames


def look_at(item: Wanted, num_frames: int) -> dict[int, tuple[Header, int] | Notice]:
    """Every clip asked for of one archive: header and number of frames where it is whole. Remembers what it compared."""
    found: dict[int, tuple[Header, int] | Notice] = {}
    marks, fresh, truth = read_marks(item), dict[str, Mark](), None
    for clip_id in item.clip_ids:
        path = item.clip_path(clip_id)
        found[clip_id] = one = look(path)
        if isinstance(one, Notice) or ((mark := marks.get(path.name)) and mark.of(path) == mark):
            continue
        truth = marks | _directory(item) if truth is None else truth
        if wanted := truth.get(path.name):
            if wanted.bytes == path.stat().st_size and wanted.crc == _crc(path):
                fresh[path.name] = wanted.of(path)
            else:
                found[clip_id] = Notice(str(path), "damaged", "is not the clip of its zip: size or CRC differ")
        elif isinstance(looked := look(path, closely=True), Notice):
            found[clip_id] = looked
        elif one[1] < num_frames:
            fault = (
                f"expected {plural(num_frames, 'frame')}, got {one[1]}, and no zip or record says that it has no more"
            )
            found[clip_id] = Notice(str(path), "damaged", fault)
    remember(item, fresh)
    return found


def read_marks(item: Wanted) -> dict[str, Mark]:
    """The record of an archive; a damaged one is none, and made again."""
    try:
        rows = files.read_json(item.record_path)
        files.require(rows, dict, item.record_path.name)
        for name, row in rows.items():
            files.require(row, {"bytes": int, "crc": int, "changed_ns": list}, name)
        return {name: Mark(row["bytes"], row["crc"], tuple(row["changed_ns"])) for name, row in rows.items()}
    except (ValueError, OSError):
        return {}


def remember(item: Wanted, marks: dict[str, Mark]) -> None:
    """Add to the record of an archive; where it cannot be written, the next run compares again."""
    if marks:
        rows = {name: asdict(mark) for name, mark in sorted((read_marks(item) | marks).items())}
        with contextlib.suppress(PermissionError):
            files.write_json(item.record_path, rows)


def _directory(item: Wanted) -> dict[str, Mark]:
    """What the zip says of its clips; nothing where it is not there or not whole: unpacking tells."""
    try:
        with zips.open_zip(item.zip_path) as bundle:
            return {PurePosixPath(info.filename).name: Mark(info.file_size, info.CRC) for info in bundle.infolist()}
    except (zips.DamagedZip, FileNotFoundError):
        return {}


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def verify(wanted: Sequence[Wanted], num_frames: int = contest.CLIP_FRAMES) -> list[Notice]:
    """Check every clip asked for: there, whole, 8-bit 4:2:0, `num_frames` frames, ground truth x4 of its input."""
    notices, lows = [], dict[int, tuple[Header, int]]()
    for item in wanted:
        for clip_id, found in look_at(item, num_frames).items():
            path = item.clip_path(clip_id)
            if isinstance(found, Notice):
                notices.append(found)
                continue
            if item.archive.kind == "input":
                lows[clip_id] = found
            low = lows.get(clip_id) if item.archive.kind == "label" else None
            notices += [Notice(str(path), "odd", oddity) for oddity in _oddities(*found, low, num_frames)]
    return notices


def _oddities(header: Header, num_frames: int, low: tuple[Header, int] | None, expected: int) -> list[str]:
    odd = []
    if num_frames != expected:
        odd.append(f"expected {plural(expected, 'frame')}, got {num_frames}")
    if header.depth != 8 or not header.chroma.startswith("420"):
        odd.append(f"expected 8-bit 4:2:0, got C{header.chroma}")
    if low and (header.width, header.height) != (contest.SCALE * low[0].width, contest.SCALE * low[0].height):
        wanted = f"{contest.SCALE} times the size of its low-resolution clip"
        odd.append(f"expected {wanted}, got {header.size} against {low[0].size}")
    if low and low[1] != num_frames:
        odd.append(f"has {plural(num_frames, 'frame')}, its low-resolution clip {low[1]}")
    return odd

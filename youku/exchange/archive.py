"""The published archives: which ones hold the clips asked for, how they are unpacked safely, and the clips verified.

ZIP -> clips under paths that the caller names (never the archive's own), CRC-checked, each whole or absent.
An archive with one unsafe member is refused as a whole: absolute or .. paths, links, encryption, a member larger than
the caller allows or packed more than 200:1. Contest names (youku/contest.py) are taken bare or under any folder.

Source: PKWARE APPNOTE 6.3 (flag bit 0: encryption); D. Fifield, "A better zip bomb", WOOT 2019.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from youku import contest, files
from youku.video.y4m import Clip, Header, Y4MError

MAX_RATIO = 200  # unpacked : packed; real video stays under 10
RATIO_FROM_BYTES = 1 << 20  # a smaller member cannot hurt
MAX_CLIP_FACTOR = 2  # a member larger than twice the usual clip is refused; a 2048x1152 clip is 1.14 times
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


class DamagedZip(ValueError):
    """A zip that is cut, corrupt or lacks members; what was sound has been unpacked."""


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
    def max_member_bytes(self) -> int:
        return MAX_CLIP_FACTOR * self.clip_bytes

    def missing(self) -> tuple[int, ...]:
        """Ids of the clips that are absent or damaged."""
        return tuple(clip_id for clip_id in self.clip_ids if not isinstance(look(self.clip_path(clip_id)), Look))


@dataclass(frozen=True)
class Look:
    """What a whole clip on disk is."""

    header: Header
    num_frames: int


@dataclass(frozen=True)
class Finding:
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


def look(path: Path) -> Look | Finding:
    """A clip's header and frame count, or why it cannot be used."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a clip, found a folder; move it away and run again")
    if not path.exists():
        return Finding(str(path), "missing", "not there")
    try:
        clip = Clip(path)
    except Y4MError as error:
        return Finding(str(path), "damaged", str(error).removeprefix(f"{path}: "))
    return Look(clip.header, clip.num_frames)


def verify(wanted: Sequence[Wanted], num_frames: int = contest.CLIP_FRAMES) -> list[Finding]:
    """Check every clip asked for: there, whole, 8-bit 4:2:0, `num_frames` frames, ground truth x4 of its input."""
    findings, seen = [], dict[tuple[int, str], Look]()
    for item in wanted:
        for clip_id in item.clip_ids:
            path = item.clip_path(clip_id)
            found = look(path)
            if isinstance(found, Finding):
                findings.append(found)
                continue
            seen[clip_id, item.archive.kind] = found
            other = seen.get((clip_id, "input")) if item.archive.kind == "label" else None
            oddities = _oddities(found, other, num_frames)
            findings += [Finding(str(path), "odd", oddity) for oddity in oddities]
    return findings


def _oddities(found: Look, low: Look | None, num_frames: int) -> list[str]:
    header, odd = found.header, []
    if found.num_frames != num_frames:
        odd.append(f"expected {num_frames} frames, got {found.num_frames}")
    if header.depth != 8 or not header.chroma.startswith("420"):
        odd.append(f"expected 8-bit 4:2:0, got C{header.chroma}")
    if low and (header.width, header.height) != (contest.SCALE * low.header.width, contest.SCALE * low.header.height):
        size = f"{header.width}x{header.height} against {low.header.width}x{low.header.height}"
        odd.append(f"expected {contest.SCALE} times the size of its low-resolution clip, got {size}")
    if low and low.num_frames != found.num_frames:
        odd.append(f"has {found.num_frames} frames, its low-resolution clip {low.num_frames}")
    return odd


def list_clips(bundle: zipfile.ZipFile, max_bytes: int) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """(members by contest file name, names of members that are no clips); ValueError where any member is unsafe."""
    clips: dict[str, zipfile.ZipInfo] = {}
    ignored = []
    for info in bundle.infolist():
        name = PurePosixPath(info.filename).name
        fault = _fault(info, max_bytes) or ("is there twice" if name in clips else "")
        if fault:
            raise ValueError(
                f"{bundle.filename}: member {info.filename!r} {fault}; nothing was unpacked, "
                "do not trust this file: delete it and get it from another source"
            )
        if contest.parse_name(name) and not info.is_dir():
            clips[name] = info
        elif not info.is_dir():
            ignored.append(info.filename)
    return clips, ignored


def _fault(info: zipfile.ZipInfo, max_bytes: int) -> str:
    """What is unsafe about a member by its directory entry alone, else ""."""
    name = info.filename.replace("\\", "/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in name.split("/"):
        return "leaves its folder by '..'"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.file_size > max_bytes:
        return f"unpacks to {info.file_size} bytes, more than the {max_bytes} allowed for one clip"
    if info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return f"is packed more than {MAX_RATIO}:1, as a zip bomb is"
    return ""


def unpack(
    path: Path, targets: Mapping[str, Path], max_bytes: int, on_clip: Callable[[Path], None] = lambda _: None
) -> list[str]:
    """Stream the members named in `targets` to their paths, calling `on_clip` after each; returns the members ignored.

    DamagedZip names every damaged or absent member, after the sound ones were unpacked; ValueError where unsafe.
    """
    try:
        bundle = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        raise _damaged(path, f"is not a whole zip ({error})") from None
    faults = []
    with bundle:
        clips, ignored = list_clips(bundle, max_bytes)
        needed = sum(info.file_size for name, info in clips.items() if name in targets)
        files.require_free(next(iter(targets.values())).parent, needed, f"unpacking {path.name}")
        for name, target in targets.items():
            try:
                if name not in clips:
                    raise EOFError("it is not in the archive")
                _unpack_one(bundle, clips[name], target)
                on_clip(target)
            except _DAMAGE as error:
                faults.append(f"{name}: {error}")
            except NotImplementedError as error:  # a compression method that Python does not know
                faults.append(f"{name}: {error}")
    if faults:
        raise _damaged(path, f"has {len(faults)} damaged or missing members ({'; '.join(faults)})")
    return ignored


def _unpack_one(bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """One member; zipfile checks the CRC at the end of the stream, so damage never gets a final name."""
    try:
        with files.atomic_write(target) as file, bundle.open(info) as source:
            shutil.copyfileobj(source, file, 1 << 20)
            if file.tell() != info.file_size:
                raise EOFError(f"expected {info.file_size} bytes, got {file.tell()}")
    except OSError as error:
        if error.errno is None:  # bz2 says "Invalid data stream" this way
            raise EOFError(str(error)) from None
        error.filename = str(target)
        raise


def _damaged(path: Path, fault: str) -> DamagedZip:
    return DamagedZip(f"{path}: {fault}; delete this file and run the same command again to fetch it anew")

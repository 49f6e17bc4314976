"""A submission's files, in a folder or a zip, and the contest's rules for them; nothing is unpacked to disk.

`open_submission` lists what is there and names what is unsafe; `Submission.open` streams one clip; `name_faults` and
`clip_faults` apply the rules of `contest`: names by id, frame counts, x4 sizes, header tokens, and planes that look
like the low-resolution clip. Every function returns all faults it finds, worded for the person who must mend them.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from youku import contest
from youku.contest import TestSet
from youku.video import y4m

MAX_RATIO = 200  # unpacked over packed bytes; real clips reach 10, deflate's limit is 1032
RATIO_FREE_BYTES = 1 << 20  # small members may compress as they like
# Limits on the difference between a prediction shrunk by 4 and its low-resolution clip, in 8-bit codes. A network
# that removes noise stays below 3; a plane error goes far beyond.
MAX_LUMA_OFFSET = 5.0
MAX_LUMA_DIFFERENCE = 12.0
MAX_CHROMA_DIFFERENCE = 8.0
MAX_GAIN = 1.1  # 8-bit studio range stretched to full range is 255 / 219 = 1.16


@dataclass(frozen=True)
class Submission:
    """What lies in a folder or zip: file name -> bytes, and what is wrong with the container itself."""

    path: Path
    is_zip: bool
    members: dict[str, int]
    faults: tuple[str, ...] = ()
    unreadable: frozenset[str] = field(default_factory=frozenset)  # members named in `faults`, not to be opened

    @contextmanager
    def open(self, name: str) -> Iterator[y4m.StreamReader]:
        """Stream one member; ValueError naming it when the zip is damaged there."""
        if not self.is_zip:
            with (self.path / name).open("rb", buffering=1 << 20) as file:
                yield y4m.StreamReader(file, str(self.path / name))
            return
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                yield y4m.StreamReader(file, name)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{name}: damaged inside {self.path.name} ({error}); make the zip again") from None


def open_submission(path: str | Path) -> Submission:
    """List a folder (hidden files aside) or a zip; ValueError where it is neither."""
    path = Path(path)
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if not item.name.startswith("."))
        nested = tuple(f"{item.name}/: a folder inside; the files must lie flat" for item in found if item.is_dir())
        return Submission(path, False, {item.name: item.stat().st_size for item in found if not item.is_dir()}, nested)
    if not path.exists():
        raise ValueError(f"{path}: no such zip or folder; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: expected a zip or a folder of results, got a damaged or other file ({error}); pack or fetch it again"
        ) from None
    faults: list[str] = []
    members: dict[str, int] = {}
    unreadable = set()
    for entry in entries:
        wrong = _entry_faults(entry)
        if entry.filename in members:
            wrong.append(f"{entry.filename}: twice in the zip; keep one")
        if wrong:
            unreadable.add(entry.filename)
        faults += wrong
        if not entry.is_dir():
            members[entry.filename] = entry.file_size
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        faults.append(f"{path.name}: its members overlap, as in a zip bomb; make the zip again")
        unreadable.update(members)
    return Submission(path, True, members, tuple(faults), frozenset(unreadable))


def _entry_faults(entry: zipfile.ZipInfo) -> list[str]:
    """What makes one zip entry unsafe or unlike a flat deflated file."""
    name, kind = entry.filename, entry.external_attr >> 16
    raw = entry.orig_filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in raw or ":" in name or not raw.isprintable():
        return [f"{raw!r}: unsafe name; expected a bare file name"]
    if "/" in name:
        what = "a folder entry" if entry.is_dir() else "lies in a folder"
        return [f"{name}: {what}; the zip must be flat (zip the files, not their folder)"]
    faults = []
    if stat.S_IFMT(kind) not in (0, stat.S_IFREG):
        faults.append(f"{name}: a link or special file; expected the clip itself")
    if entry.flag_bits & 1:
        faults.append(f"{name}: encrypted; zip it without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        faults.append(f"{name}: compressed by method {entry.compress_type}; expected deflate")
    if entry.file_size > RATIO_FREE_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        ratio = entry.file_size // max(1, entry.compress_size)
        faults.append(f"{name}: shrinks {ratio}:1, as a zip bomb or empty pictures do; not read")
    return faults


def guess_test_set(names: list[str]) -> TestSet | None:
    """The published test set that holds every clip named, if there is exactly one."""
    ids = {parsed[0] for parsed in map(contest.parse_name, names) if parsed}
    sets = [contest.test_set(name) for name in ("val", "round1-test", "round2-testa", "round2-testb")]
    fitting = [test_set for test_set in sets if ids and ids <= set(test_set.ids)]
    return fitting[0] if len(fitting) == 1 else None


def name_faults(names: list[str], test_set: TestSet) -> list[str]:
    """Missing and extra files of a test set, one sentence a group or file."""
    expected = {test_set.name(clip_id): clip_id for clip_id in test_set.ids}
    faults, explained = [], set()
    for name in sorted(set(names) - set(expected)):
        fault, clip_id = _extra_fault(name, test_set)
        faults.append(fault)
        explained.add(clip_id)
    missing = [name for name, clip_id in expected.items() if name not in names and clip_id not in explained]
    if missing:
        shown = ", ".join(missing if len(missing) <= 6 else [*missing[:3], "...", *missing[-2:]])
        faults.insert(0, f"{len(missing)} of {len(expected)} files missing: {shown}; predict them first")
    return faults


def _extra_fault(name: str, test_set: TestSet) -> tuple[str, int | None]:
    """Why a file is not one of the test set's, and the id it stands for where that is clear."""
    tidy = "".join(name.split())
    parsed = contest.parse_name(tidy)
    if parsed is None:
        reason = "a space in the name" if tidy != name else "not a name of the contest"
        return f"{name!r}: {reason}; expected names like {test_set.name(test_set.first)}", None
    clip_id, kind = parsed
    if clip_id not in test_set.ids:
        return f"{name}: clip {clip_id:05d} is not in the test set {test_set.first}-{test_set.last}; remove it", None
    wanted = test_set.name(clip_id)
    if tidy != name:
        return f"{name!r}: a space in the name; rename it to {wanted}", clip_id
    if kind in ("l", "h_GT"):
        return f"{name}: an input or ground truth clip, not a result; remove it", None
    how = "whole" if test_set.is_whole(clip_id) else f"as every {contest.SAMPLE_EVERY}th frame"
    return f"{name}: clip {clip_id:05d} is sent {how}; expected {wanted}", clip_id


@dataclass(frozen=True)
class ClipCheck:
    """What streaming one clip showed."""

    faults: tuple[str, ...]
    num_frames: int
    width: int
    height: int


def check_clip(
    submission: Submission, name: str, test_set: TestSet, low: y4m.Clip | None, on_frame: Callable[[], object]
) -> ClipCheck:
    """Stream one clip and apply every rule that `low` (None: fewer rules) makes checkable."""
    parsed = contest.parse_name(name)
    assert parsed is not None, name
    indices = test_set.frames(parsed[0], low.num_frames if low else contest.CLIP_FRAMES)
    faults: list[str] = []
    num_frames, width, height = 0, 0, 0
    try:
        with submission.open(name) as reader:
            width, height = reader.header.width, reader.header.height
            faults += _header_faults(reader.header, low)
            comparable = low if low and reader.header.plane_shapes == _target(low).plane_shapes else None
            look = _Look(comparable) if comparable and reader.header.depth == low.header.depth else None  # type: ignore[union-attr]
            for planes in reader:
                if look and num_frames < len(indices):
                    look.add(planes, indices[num_frames])
                num_frames += 1
                on_frame()
        faults += look.faults() if look else []
    except ValueError as error:
        faults.append(str(error).replace(f"{submission.path}/", "").removeprefix(f"{name}: "))
    else:
        if num_frames != len(indices):
            faults.append(_count_fault(num_frames, indices, low))
    return ClipCheck(tuple(f"{name}: {fault}" for fault in faults), num_frames, width, height)


def _target(low: y4m.Clip) -> y4m.Header:
    return low.header.resized(low.header.width * contest.SCALE, low.header.height * contest.SCALE)


def _count_fault(num_frames: int, indices: range, low: y4m.Clip | None) -> str:
    source = f" of a clip of {low.num_frames}" if low else ""
    what = f"frames {indices[0]}-{indices[-1]}" if indices.step == 1 else f"every {indices.step}th frame"
    return f"{num_frames} frames, expected {len(indices)} ({what}{source}); predict it again with --frames scored"


def _header_faults(header: y4m.Header, low: y4m.Clip | None) -> list[str]:
    """Size exactly x4, every other token as in the low-resolution clip."""
    scale = contest.SCALE
    if low is None:
        odd = header.width % scale or header.height % scale
        return [f"size {header.width}x{header.height} is not a multiple of {scale}"] if odd else []
    wanted, faults = _target(low), []
    if (header.width, header.height) != (wanted.width, wanted.height):
        faults.append(
            f"size {header.width}x{header.height}, expected {wanted.width}x{wanted.height} "
            f"({scale} x {low.header.width}x{low.header.height}); take the size from each clip's own input"
        )
    if header.resized(wanted.width, wanted.height).tokens != wanted.tokens:
        faults.append(
            f"header '{' '.join(header.tokens)}', expected '{' '.join(wanted.tokens)}' (only W and H may change)"
        )
    return faults


class _Look:
    """Compare frames, shrunk by 4, with the low-resolution frames they should come from; gathers, then judges."""

    def __init__(self, low: y4m.Clip) -> None:
        self._low, self._unit = low, float(1 << (low.header.depth - 8))  # codes of deeper clips count as 8-bit codes
        # half-size luma of every frame, to find which frame a prediction looks like
        self._thumbs = np.stack([self._thumb(frame[0].astype(np.float32)) for frame in low])
        self._flat: list[int] = []
        self._moved: list[tuple[int, int]] = []  # (expected frame, frame it looks like)
        self._rows: list[tuple[float, ...]] = []

    def _thumb(self, luma: np.ndarray) -> np.ndarray:
        height, width = luma.shape[0] // 2 * 2, luma.shape[1] // 2 * 2
        quad = luma[:height, :width]
        return ((quad[::2, ::2] + quad[1::2, ::2] + quad[::2, 1::2] + quad[1::2, 1::2]) / 4 / self._unit).astype(
            np.int16
        )

    def add(self, planes: y4m.Planes, index: int) -> None:
        small = [_shrink(plane) / self._unit for plane in planes]
        low = [plane.astype(np.float32) / self._unit for plane in self._low.frame(index)]
        if np.ptp(planes[0]) == 0 and np.ptp(low[0]) > 8:
            self._flat.append(index)
            return
        distances = np.abs(self._thumbs - self._thumb(small[0] * self._unit)).mean(axis=(1, 2))
        best = int(distances.argmin())
        if distances[best] < 0.5 * distances[index] and distances[index] - distances[best] > 0.5:
            self._moved.append((index, best))
        straight = swapped = 0.0
        if len(planes) == 3:
            straight = _difference(small[1], low[1]) + _difference(small[2], low[2])
            swapped = _difference(small[1], low[2]) + _difference(small[2], low[1])
        luma, wanted = small[0].ravel(), low[0].ravel()
        gain = 1.0
        if wanted.std() > 8 and luma.std() > 1 and np.corrcoef(luma, wanted)[0, 1] > 0.98:
            gain = float(luma.std() / wanted.std())
        offset = float(luma.mean() - wanted.mean())
        self._rows.append((_difference(small[0], low[0]), offset, straight / 2, swapped / 2, gain))

    def faults(self) -> list[str]:
        faults = []
        if self._flat:
            faults.append(f"{_frames(self._flat)} one flat value (black or never rendered)")
        if self._moved:
            index, best = self._moved[0]
            faults.append(
                f"{_frames([moved for moved, _ in self._moved])} not in place: frame {index} looks like frame {best} "
                "of the low-resolution clip (shifted or out of order)"
            )
        if not self._rows:
            return faults
        difference, offset, straight, swapped, gain = np.median(np.array(self._rows), axis=0)
        if swapped < 0.5 * straight and straight - swapped > 1:
            faults.append("U and V are swapped: each looks like the other plane of the low-resolution clip")
        elif straight > MAX_CHROMA_DIFFERENCE:
            faults.append(
                f"colours differ from the low-resolution clip by {straight:.0f} codes (planes lost or misplaced)"
            )
        if abs(offset) > MAX_LUMA_OFFSET:
            faults.append(f"luma is {offset:+.0f} codes off the low-resolution clip (range or plane order)")
        elif not 1 / MAX_GAIN < gain < MAX_GAIN:
            faults.append(
                f"contrast is {gain:.2f} times the low-resolution clip's (studio range taken for full, or back)"
            )
        elif difference > MAX_LUMA_DIFFERENCE and not self._moved:
            faults.append(
                f"luma differs from the low-resolution clip by {difference:.0f} codes "
                "(another clip, or planes misplaced)"
            )
        return faults


def _shrink(plane: np.ndarray) -> np.ndarray:
    """Mean of each 4x4 block, float32; left-over lines are cut."""
    import torch
    from torch.nn import functional

    return functional.avg_pool2d(torch.from_numpy(plane.astype(np.float32))[None, None], contest.SCALE)[0, 0].numpy()


def _difference(small: np.ndarray, low: np.ndarray) -> float:
    """Mean absolute difference over the common size (chroma of odd pictures may differ by a line)."""
    height, width = min(small.shape[0], low.shape[0]), min(small.shape[1], low.shape[1])
    return float(np.abs(small[:height, :width] - low[:height, :width]).mean())


def _frames(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:6])) + (" ..." if len(indices) > 6 else "")
    return f"{len(indices)} frames ({shown}) are" if len(indices) > 1 else f"frame {shown} is"

"""An output in the making that outlives its process: what is finished of it, and how the next run goes on from there.

A hidden folder beside the output, named by a key of all that decides its bytes, holds the frames of a y4m file, with a
count that is written after they are safe on the disk; of a video it holds coded segments, each the packets of an encoder
of its own; of numbered pictures each of them. Every run codes the same segments and only joins them, so a run that was
stopped by Ctrl-C, SIGKILL or a power cut and goes on makes what one makes that was not. The output appears whole, under
its name; once its maker has said so, the folder goes. One in which nothing is finished goes with the next run of any
verb beside it, once its maker is gone.

A digest is XXH3 of 128 bits (https://xxhash.com), which tells damage and change apart from what was there at the speed
of memory, a twentieth of what sha256 costs; it is no proof against who forges a file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from xxhash import xxh3_128

from youku import files, leftovers
from youku.video import y4m
from youku.video.y4m import Header, Planes

# Two seconds of film, the distance of keyframes that broadcasters and streams use: a stop costs that much work, and
# closing the encoder there costs x264 some percent of the file (an own keyframe, no lookahead beyond).
SEGMENT_FRAMES = 48
SAVE_EVERY_SEC = 1.0
WRITE_BACK_BYTES = 16 << 20
FRAMES, TAIL = "frames.y4m", "tail.tmp"
COUNT, PARTS = leftovers.COUNT, leftovers.PARTS


@dataclass(frozen=True)
class Kept:
    """The folder of an output in the making, which this process holds alone."""

    folder: Path
    batch: int
    """Frames that go through a network at once, and so are begun at whole batches only."""

    @property
    def segment_frames(self) -> int:
        return -(-SEGMENT_FRAMES // self.batch) * self.batch

    def segments(self) -> list[Path]:
        """Finished and undamaged segments in order, without a gap; each is named by number, frames and digest."""
        found: list[Path] = []
        for path in sorted(self.folder.glob("*.segment")):
            index, _, digest, _ = path.name.split(".")
            if int(index) != len(found) or digest != digest_of(path):
                break
            found.append(path)
        return found

    def resume(self, step: int = 1) -> list[Path]:
        """Those to go on after, a multiple of `step`; what else lies there is removed."""
        found = self.segments()
        found = found[: len(found) // step * step]
        for path in set(self.folder.glob("*.segment")) - set(found):
            path.unlink()
        return found

    def add(self, index: int, data: bytes) -> Path:
        """Keep one frame, coded."""
        (self.folder / TAIL).write_bytes(data)
        files.sync(self.folder / TAIL)
        return self.place(index, 1, digest_of(self.folder / TAIL))

    def place(self, index: int, num_frames: int, digest: str) -> Path:
        """Give a segment that is finished and safe on the disk its name."""
        return (self.folder / TAIL).replace(self.folder / f"{index:08d}.{num_frames}.{digest}.segment")

    def num_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())

    @property
    def count(self) -> tuple[int, str]:
        """Frames of a y4m file in the making, and the digest of header and frames; 0 where there is no sound count."""
        known = files.recall(self.folder / COUNT, {"frames": int, "digest": str})
        return (max(0, known["frames"]), known["digest"]) if known else (0, "")

    def num_placed(self, target: Path) -> int:
        """Frames of a y4m file that an earlier run made whole and moved to its name, but was killed before it said so."""
        num_frames, digest = self.count
        is_moved = num_frames and not (self.folder / FRAMES).exists() and target.exists()
        return num_frames if is_moved and digest == digest_of(target) else 0

    @property
    def digest(self) -> str:
        """That of a y4m file that is whole; nothing of a video."""
        return self.count[1]

    def num_frames(self) -> int:
        """How many frames the next run finds, as long as nobody touches them."""
        made = self.count[0] or sum(map(num_frames_of, self.folder.glob("*.segment")))
        return max(made, sum(y4m.Clip(part).num_frames for part in self.folder.glob(f"{PARTS}/*.y4m")))


@contextmanager
def keep(target: str | Path, key: str, batch: int) -> Iterator[Kept]:
    """The folder of `target` made by what `key` says; it goes when the block ends well, or leaves nothing in it.

    ValueError where a live run is making the same output.
    """
    target = Path(target)
    folder = target.with_name(f"{_start_of(target)}{key[:12]}{leftovers.PART}")
    leftovers.parts(target.parent).add(folder.name)
    try:
        with _alone(files.make_folder(folder), target), leftovers.undone(partial(_drop_empty, folder)):
            yield Kept(folder, batch)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()  # which a lock that could not be made left
        if error.errno in files.FULL:
            error.filename = str(target)  # a write knows no name, and nobody has heard of what is hidden here
        raise
    drop(target)  # what other settings left too


def _drop_empty(folder: Path) -> None:
    """Remove a folder in which nothing is kept."""
    if not leftovers.holds_finished(folder):
        shutil.rmtree(folder, ignore_errors=True)


def drop(target: Path) -> None:
    """Remove what was kept of an output that is whole now, by whatever settings; not that of a live run."""
    known, start = leftovers.parts(target.parent), _start_of(target)
    length = len(start) + 12 + len(leftovers.PART)
    for name in [name for name in known if name.startswith(start) and len(name) == length]:
        with suppress(ValueError, OSError), _alone(target.parent / name, target):
            shutil.rmtree(target.parent / name, ignore_errors=True)
        known.discard(name)


def _start_of(target: Path) -> str:
    return "." + os.fsencode(target.name)[:80].decode(errors="ignore") + "."


def _alone(folder: Path, target: Path) -> AbstractContextManager[None]:
    told = f"{target}: another run is making it; wait for that one, or stop it first"
    return leftovers.locked(folder / leftovers.LOCK, told)


def digest_of(path: str | Path) -> str:
    """The hex digest of a whole file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()


class Hashed:
    """A file that is written from its first byte on, and the digest of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, xxh3_128()
        self._written_back = 0

    def write(self, data: Any) -> None:
        self.file.write(data)
        self.digest.update(data)
        self._written_back = write_back(self.file, self._written_back, self.file.tell())

    def sync(self) -> None:
        """What was written is in the file, and safe."""
        self.file.flush()
        os.fsync(self.file.fileno())


def write_back(file: IO[bytes], start: int, end: int) -> int:
    """Ask Linux to begin to write these bytes to the disk once they are many; returns where the next ones begin.

    The closing fsync then has little to wait for: 0.2 s less for a fetch of 512 MB.
    """
    if end - start < WRITE_BACK_BYTES:
        return start
    if sys.platform == "linux":
        os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)
    return end


class PartWriter:
    """Frames appended to a y4m file that goes on where an earlier run ended, if that part is undamaged."""

    def __init__(self, file: IO[bytes], header: Header, kept: Kept) -> None:
        self._hashed, self._kept, self._saved = Hashed(file), kept, time.monotonic()
        self._writer = y4m.Writer(self._hashed, header)  # type: ignore[arg-type]
        self._writer.num_frames = self.num_kept = self._find()
        self._whole = self.num_kept, self._hashed.digest.copy()

    @property
    def num_frames(self) -> int:
        return self._writer.num_frames

    def write(self, planes: Planes) -> None:
        self._writer.write(planes)
        self._whole = self.num_frames, self._hashed.digest.copy()
        if time.monotonic() - self._saved > SAVE_EVERY_SEC:
            self.save()

    def save(self, is_whole: bool = False) -> None:
        """What is written so far is kept, whatever comes; a power cut may cost the count of a whole file."""
        self._hashed.sync()
        num_frames, digest = self._whole  # of whole frames: a stop comes anywhere
        count = {"frames": num_frames, "digest": digest.hexdigest()}
        files.write_json(self._kept.folder / COUNT, count, durable=not is_whole)
        self._saved = time.monotonic()

    def _find(self) -> int:
        """Whole frames that are there, in whole batches, the file then ending after them; 0 where they are damaged."""
        file, header, nothing = self._hashed.file, self._writer.header, self._hashed.digest
        start, frame_bytes = len(header.encode()), len(b"FRAME\n") + header.frame_bytes
        num_frames, expected = self._kept.count
        if num_frames * frame_bytes > os.fstat(file.fileno()).st_size - start:
            num_frames = 0
        used = num_frames // self._kept.batch * self._kept.batch
        found, marked = nothing.copy(), nothing
        file.seek(start)
        for index in range(num_frames):
            found.update(file.read(frame_bytes))
            if index + 1 == used:
                marked = found.copy()
        if found.hexdigest() != expected:
            used, marked = 0, nothing
        self._hashed.digest = marked
        file.seek(start + used * frame_bytes)
        file.truncate()
        return used


@contextmanager
def create_y4m(target: str | Path, header: Header, kept: Kept) -> Iterator[PartWriter]:
    """Write a y4m file in the folder of `kept`; it is moved to its name when whole, and kept so far when not."""
    part = kept.folder / FRAMES
    with open(part, "r+b" if part.exists() else "w+b") as file:
        writer = PartWriter(file, header, kept)
        try:
            yield writer
        except BaseException:
            with suppress(OSError):
                if writer.num_frames:
                    writer.save()
            raise
        if writer.num_frames == 0:
            raise y4m.Y4MError(f"{target}: nothing to write, the source gave 0 frames")
        writer.save(is_whole=True)
    part.replace(target)


def num_frames_of(segment: Path) -> int:
    return int(segment.name.split(".")[1])

"""An output in the making that outlives its process: what is finished of it, and how the next run goes on from there.

A hidden folder beside the output, named by a key of all that decides its bytes, holds the frames of a y4m file as they
are, appended, with a count that is written after they are safe on the disk; of a video it holds coded segments, each the
packets of an encoder of its own. Every run codes the same segments and only joins them, so a run that was stopped by
Ctrl-C, SIGKILL or a power cut and goes on makes the packets of one that was not. The output appears whole, under its
name; once its maker has said so, the folder goes.
"""

from __future__ import annotations

import glob
import itertools
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from youku import files
from youku.video import hashed, y4m
from youku.video.hashed import Hashed
from youku.video.y4m import Header, Planes

# Two seconds of film, the distance of keyframes that broadcasters and streams use: a stop costs that much work, and
# closing the encoder there costs x264 some percent of the file (an own keyframe, no lookahead beyond).
SEGMENT_FRAMES = 48
SAVE_EVERY_SEC = 1.0
FRAMES, COUNT = "frames.y4m", "frames.json"
PARTS = "parts"  # of a film, made by others
_PACKET = struct.Struct("<qqqqI")  # pts, dts, duration, keyframe, bytes


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
        found = sorted(self.folder.glob("*.segment"))
        named = itertools.takewhile(lambda pair: pair[1].name.startswith(f"{pair[0]:08d}."), enumerate(found))
        return [path for _, path in itertools.takewhile(lambda pair: _is_whole(pair[1]), named)]

    def num_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def num_placed(self, target: Path) -> int:
        """Frames of a y4m file that an earlier run made whole and moved to its name, but was killed before it said so."""
        if (self.folder / FRAMES).exists() or not (self.folder / COUNT).exists() or not target.exists():
            return 0
        return _read_count(self.folder / COUNT)[0] if self.digest == hashed.of_file(target) else 0

    @property
    def digest(self) -> str:
        """That of a y4m file that is whole; nothing of a video."""
        return _read_count(self.folder / COUNT)[1]

    def num_frames(self) -> int:
        """How many frames the next run finds."""
        return _read_count(self.folder / COUNT)[0] or sum(map(_num_frames, self.segments()))


@contextmanager
def keep(target: str | Path, key: str, batch: int) -> Iterator[Kept]:
    """The folder of `target` made by what `key` says; it goes when the block ends well, or leaves nothing in it.

    ValueError where a live run is making the same output.
    """
    target = Path(target)
    folder = files.make_folder(target.with_name(f"{_start_of(target)}{key[:12]}.part"))
    with _alone(folder, target):
        try:
            yield Kept(folder, batch)
        except BaseException:
            if not any((*folder.glob("*.segment"), *folder.glob(f"{PARTS}/*.y4m"))) and not (folder / COUNT).exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
    drop(target)


def drop(target: Path) -> None:
    """Remove what was kept of an output that is whole now, by whatever settings; not that of a live run."""
    for folder in target.parent.glob(glob.escape(_start_of(target)) + "?" * 12 + ".part"):
        with suppress(ValueError, OSError), _alone(folder, target):
            shutil.rmtree(folder, ignore_errors=True)


def _start_of(target: Path) -> str:
    return "." + os.fsencode(target.name)[:80].decode(errors="ignore") + "."


@contextmanager
def _alone(folder: Path, target: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield
        return
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{target}: another run is making it; wait for that one, or stop it first") from None
        yield


class PartWriter:
    """Frames appended to a y4m file that goes on where an earlier run ended, if that part is undamaged."""

    def __init__(self, file: IO[bytes], header: Header, kept: Kept, pool: Executor | None = None) -> None:
        self._hashed, self._count, self._saved = Hashed(file, pool), kept.folder / COUNT, time.monotonic()
        self._writer = y4m.Writer(self._hashed, header)  # type: ignore[arg-type]
        self._writer.num_frames = self.num_kept = self._find(kept.batch)
        self._whole = self.num_kept, self._hashed.mark()

    @property
    def num_frames(self) -> int:
        return self._writer.num_frames

    def write(self, planes: Planes) -> None:
        self._writer.write(planes)
        self._whole = self.num_frames, self._hashed.mark()
        if time.monotonic() - self._saved > SAVE_EVERY_SEC:
            self.save()

    def save(self, is_whole: bool = False) -> None:
        """What is written so far is kept, whatever comes; a power cut may cost the count of a whole file."""
        self._hashed.sync()
        num_frames, mark = self._whole  # of whole frames: a stop comes anywhere
        count = {"frames": num_frames, "digest": self._hashed.hexdigest(mark)}
        files.write_json(self._count, count, durable=not is_whole)
        self._saved = time.monotonic()

    def _find(self, batch: int) -> int:
        """Whole frames that are there, in whole batches, the file then ending after them; 0 where they are damaged."""
        made, header = self._hashed, self._writer.header
        start, frame_bytes = len(header.encode()), len(b"FRAME\n") + header.frame_bytes
        num_frames, expected = _read_count(self._count)
        if num_frames * frame_bytes > os.fstat(made.file.fileno()).st_size - start:
            num_frames = 0
        used = num_frames // batch * batch
        nothing = marked = made.mark()
        made.is_there = True
        made.file.seek(start)
        for index in range(num_frames):
            made.write(made.file.read(frame_bytes))
            if index + 1 == used:
                marked = made.mark()
        if made.hexdigest(made.mark()) != expected:
            used, marked = 0, nothing
        made.back_to(marked)
        made.is_there = False
        made.file.seek(start + used * frame_bytes)
        made.file.truncate()
        return used


def _read_count(path: Path) -> tuple[int, str]:
    """Frames of a y4m file in the making, and the digest of header and frames; 0 where there is no sound count."""
    try:
        known = files.read_json(path)
        files.require(known, {"frames": int, "digest": str}, path.name)
    except (OSError, ValueError):
        return 0, ""
    return max(0, known["frames"]), known["digest"]


@contextmanager
def create_y4m(target: str | Path, header: Header, kept: Kept) -> Iterator[PartWriter]:
    """Write a y4m file in the folder of `kept`; it is moved to its name when whole, and kept so far when not."""
    part = kept.folder / FRAMES
    with open(part, "r+b" if part.exists() else "w+b") as file, hashed.beside(header.frame_bytes) as pool:
        writer = PartWriter(file, header, kept, pool)
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


class Coder:
    """An encoder in segments, in the place of a stream's own: frames go in, packets of the whole film come out."""

    def __init__(self, video: Any, kept: Kept, make: Callable[[Any], Any]) -> None:
        self.codec_context = video.codec_context
        self._video, self._kept, self._make = video, kept, make
        self._index = self._count = 0  # of the segment, of frames in it
        self._dts: int | None = None
        self._scratch: Any = None
        self._encoder: Any = None
        self._hashed: Hashed | None = None
        self._old = kept.segments()
        for path in set(kept.folder.glob("*.segment")) - set(self._old):
            path.unlink()
        self.num_kept = sum(map(_num_frames, self._old))

    def __enter__(self) -> Coder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hashed:
            self._hashed.file.close()

    def encode(self, frame: Any) -> Iterator[Any]:
        """Code a frame; None ends the last segment."""
        if frame is not None:
            if self._encoder is None:
                self._begin()
            self._count += 1
            yield from self._write(self._encoder.encode(frame))
        if self._encoder is not None and (frame is None or self._count == self._kept.segment_frames):
            yield from self._end()

    def skip(self) -> Iterator[Any]:
        """Count a frame that is kept; with the first of a segment come its packets."""
        path = self._old[self._index]
        if self._count == 0:
            yield from map(self._placed, _read(path, self.codec_context.time_base))
        self._count += 1
        if self._count == _num_frames(path):
            self._index, self._count = self._index + 1, 0

    def _begin(self) -> None:
        import av  # a y4m goes without

        self._scratch = av.open("any.mkv", "w")  # writes nothing; an encoder has to belong to a container
        self._encoder = self._make(self._scratch)
        self._hashed = Hashed(open(self._kept.folder / "tail.tmp", "wb"))  # noqa: SIM115

    def _write(self, packets: list[Any]) -> Iterator[Any]:
        assert self._hashed is not None
        for packet in packets:
            stamps = (packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
            self._hashed.write(_PACKET.pack(*stamps, packet.size))
            self._hashed.write(bytes(packet))
            yield self._placed(packet)

    def _end(self) -> Iterator[Any]:
        packets = self._encoder.encode(None)
        if self._count < 3:  # in order, and x265 leaves the decoding times of so few unset
            for packet in packets:
                packet.dts = packet.pts
        yield from self._write(packets)
        assert self._hashed is not None
        self._hashed.sync()
        self._hashed.file.close()
        name = f"{self._index:08d}.{self._count}.{self._hashed.hexdigest(self._hashed.mark())}.segment"
        (self._kept.folder / "tail.tmp").replace(self._kept.folder / name)
        self._index, self._count = self._index + 1, 0
        self._encoder = self._scratch = self._hashed = None

    def _placed(self, packet: Any) -> Any:
        """A packet of the film: each encoder begins to count its decoding times anew, at a little before its pictures."""
        packet.dts = packet.dts if self._dts is None else max(packet.dts, self._dts + 1)
        self._dts = packet.dts
        packet.stream = self._video
        return packet


def _num_frames(segment: Path) -> int:
    return int(segment.name.split(".")[1])


def _is_whole(segment: Path) -> bool:
    return segment.name.split(".")[2] == hashed.of_file(segment)


def _read(path: Path, tick: Any) -> Iterator[Any]:
    """Packets of a finished segment."""
    import av

    with path.open("rb") as file:
        while stamps := file.read(_PACKET.size):
            pts, dts, duration, is_keyframe, num_bytes = _PACKET.unpack(stamps)
            packet: Any = av.Packet(file.read(num_bytes))
            packet.pts, packet.dts, packet.duration = pts, dts, duration
            packet.is_keyframe, packet.time_base = bool(is_keyframe), tick
            yield packet

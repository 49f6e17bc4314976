"""Code a video in segments that are kept: frames -> packets of the whole film, those of an earlier run among them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from youku.video.hashed import Hashed
from youku.video.segments import TAIL, Kept, num_frames_of

_PACKET = struct.Struct("<qqqqI")  # pts, dts, duration, keyframe, bytes


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
        self._old = kept.resume()
        self.num_kept = sum(map(num_frames_of, self._old))

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
        if self._count == num_frames_of(path):
            self._index, self._count = self._index + 1, 0

    def _begin(self) -> None:
        import av  # a y4m goes without

        self._scratch = av.open("any.mkv", "w")  # writes nothing; an encoder has to belong to a container
        self._encoder = self._make(self._scratch)
        self._hashed = Hashed(open(self._kept.folder / TAIL, "wb"))  # noqa: SIM115

    def _write(self, packets: list[Any]) -> Iterator[Any]:
        assert self._hashed is not None
        for packet in packets:
            stamps = (packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
            self._hashed.write(_PACKET.pack(*stamps, packet.size) + bytes(packet))
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
        self._kept.place(self._index, self._count, self._hashed.digest.hexdigest())
        self._index, self._count = self._index + 1, 0
        self._encoder = self._scratch = self._hashed = None

    def _placed(self, packet: Any) -> Any:
        """A packet of the film: each encoder begins to count its decoding times anew, at a little before its pictures."""
        packet.dts = packet.dts if self._dts is None else max(packet.dts, self._dts + 1)
        self._dts = packet.dts
        packet.stream = self._video
        return packet


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

"""Run FFmpeg's filters over decoded frames, and hear what FFmpeg says meanwhile; what PyAV cannot tell of a frame.

PyAV's frames -> PyAV's frames, words, and the tags of a frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

import av
from av.sidedata.sidedata import Type as SideDataType

from youku.video.ffmpeg import Filter

# damage of which FFmpeg says less than an error: a playlist's segment, part of an HEVC picture, a packet of ASF
PASSED_OVER = re.compile(r"Failed to open segment|undecodable NALU: ([12]?\d|3[01])$|freeing incomplete packet")


def _graph(frame: Any, filters: tuple[Filter, ...]) -> Any:
    graph: Any = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    nodes = [graph.add(name, options) for name, options in filters]
    return graph.link_nodes(source, *nodes, graph.add("buffersink"))


def filtered(frames: Iterator[Any], filters: tuple[Filter, ...]) -> Iterator[Any]:
    """What FFmpeg's filters make of the frames."""
    graph = None
    for frame in chain(frames, [None]):
        if graph is None and frame is not None:
            graph = _graph(frame, filters)
            graph.configure()
        if graph is not None:
            graph.push(frame)
            with suppress(av.error.BlockingIOError, av.error.EOFError):
                while True:
                    yield graph.pull()


def look_at(frame: Any) -> tuple[dict[str, bytes], str | None, str]:
    """Side data, chroma siting (None: not said) and field order (p, t, b) of a frame, past what PyAV cannot tell."""
    known = {kind.value for kind in SideDataType}  # any other kind on a frame, such as EXIF, makes PyAV 18 raise
    unknown = tuple(("sidedata", f"mode=delete:type={number}") for number in range(48) if number not in known)
    graph = _graph(frame, (*unknown, ("showinfo", "checksum=0")))
    graph.configure()
    with listen(av.logging.INFO) as said:
        graph.push(frame)
        data = {item.type.name: bytes(item) for item in graph.pull().side_data}
    found = re.search(r" fmt:\S+ (?:cl:(\S+) )?.* i:(\w)", " ".join(said))
    siting = found[1] if found and found[1] not in ("unspecified", "unknown") else None
    return data, siting, found[2].lower() if found else "p"


@contextmanager
def listen(level: int = av.logging.ERROR) -> Iterator[list[str]]:
    """What FFmpeg says in this thread, at `level` or worse; the list is filled when the block ends."""
    said: list[str] = []
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture() as logs:
        try:
            yield said
        finally:
            av.logging.set_level(None)
            heard = [words.strip() for found, _, words in logs if found <= level or PASSED_OVER.search(words.strip())]
            said += filter(None, heard)

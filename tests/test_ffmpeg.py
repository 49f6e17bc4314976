"""ffmpeg and codecs: one sentence for bad input, every frame exactly once, repeatable coding."""

from __future__ import annotations

import errno
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, NoReturn

import imageio_ffmpeg
import numpy as np
import pytest

from tests.conftest import moving_frames
from youku import stops
from youku.video import ffmpeg, y4m
from youku.video.coding import Coding, round_trip


def test_passthrough_speaks_the_binarys_language() -> None:
    """The option is one that this version of ffmpeg has."""
    assert ffmpeg.passthrough() in ({"fps_mode": "passthrough"}, {"vsync": "0"})
    assert ffmpeg.version()[0] in "nN0123456789"


@pytest.mark.parametrize(
    ("chroma", "expected"),
    [("420mpeg2", "yuv420p"), ("420", "yuv420p"), ("422p10", "yuv422p10le"), ("mono", "gray"), ("mono12", "gray12le")],
)
def test_pix_fmt(chroma: str, expected: str) -> None:
    """y4m chroma names become ffmpeg's pixel formats."""
    assert ffmpeg.pix_fmt(chroma) == expected


CODINGS = [
    Coding(codec="x264", crf=23),
    Coding(codec="x265", crf=28),
    *([Coding(codec="svtav1", crf=39)] if ffmpeg.has_encoder("libsvtav1") else []),
    Coding(codec="mpeg1", bitrate="768k"),
    Coding(codec="mpeg2", qscale=6),
    Coding(codec="mpeg4", qscale=6),
    Coding(codec="mjpeg", qscale=6),
]


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.codec)
def test_codec_returns_every_frame_in_order_and_repeats(coding: Coding) -> None:
    """An odd-sized clip at 15 fps comes back with its count, shapes and order, damaged, and twice the same."""
    header = y4m.make_header(97, 65, fps=15)
    frames = moving_frames(header, 14)
    first, second = (list(round_trip(frames, header, coding)) for _ in range(2))
    assert len(first) == 14 and all(tuple(p.shape for p in planes) == header.plane_shapes for planes in first)
    assert all(np.array_equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
    errors = np.array([[np.abs(a[0].astype(float) - b[0]).mean() for b in frames] for a in first])
    assert (errors.argmin(axis=1) == np.arange(14)).all() and errors.diagonal().min() > 0


@pytest.mark.parametrize("chroma", ["420jpeg", "420mpeg2", "420paldv"])
def test_lossless_coding_changes_nothing(chroma: str) -> None:
    """x264 at crf 0 gives the very planes back: no hidden colour or siting conversion on the way."""
    header = y4m.make_header(50, 34, chroma=chroma)
    frames = moving_frames(header, 8)
    back = list(round_trip(frames, header, Coding(codec="x264", crf=0)))
    assert all(np.array_equal(a, b) for x, y in zip(frames, back, strict=True) for a, b in zip(x, y, strict=True))


def test_an_error_of_the_source_is_raised() -> None:
    """What goes wrong in the frames that feed the coder is raised, not the coder's own end."""

    def broken() -> Iterator[y4m.Planes]:
        yield from moving_frames(y4m.make_header(64, 64), 2)
        raise y4m.Y4MError("a.y4m: frame 2 is cut")

    with pytest.raises(y4m.Y4MError, match="frame 2 is cut"):
        list(round_trip(broken(), y4m.make_header(64, 64), Coding(codec="mpeg2", qscale=3)))


def test_no_frames_no_coding() -> None:
    """An empty source is named."""
    with pytest.raises(ValueError, match="0 frames"):
        list(round_trip([], y4m.make_header(64, 64), Coding(codec="x264", crf=20)))


@pytest.mark.parametrize("chroma", ["422", "444", "mono", "420p10"])
def test_codecs_want_8_bit_420(chroma: str) -> None:
    """Other layouts are refused in one sentence."""
    with pytest.raises(ValueError, match="expected 8-bit 4:2:0"):
        list(round_trip([], y4m.make_header(64, 64, chroma=chroma), Coding(codec="x264", crf=20)))


@pytest.mark.parametrize(
    "fields",
    [
        {"codec": "vp9", "crf": 3},
        {"codec": "x264"},
        {"codec": "x264", "crf": 3, "bitrate": "1M"},
        {"codec": "x264", "qscale": 3},
        {"codec": "mpeg1", "crf": 3},
        {"codec": "x265", "crf": 99},
        {"codec": "mpeg1", "qscale": 0},
        {"codec": "mpeg1", "bitrate": "fast"},
    ],
)
def test_bad_codings_are_refused(fields: dict) -> None:
    """Unknown codecs, no rate or two, and rates that the codec does not have."""
    with pytest.raises(ValueError, match=r"expected|exactly one"):
        Coding(**fields)


def test_a_stop_waits_neither_for_a_command_nor_for_what_feeds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ignores its closed output is killed, and a feed that has nothing to give yet is left behind."""
    given, ended = threading.Event(), []

    def feed(_: IO[bytes]) -> None:
        ended.append(given.wait(30))

    children: list[subprocess.Popen[bytes]] = []
    popen = stops.popen
    monkeypatch.setattr(stops, "popen", lambda *line, **how: children.append(popen(*line, **how)) or children[0])
    monkeypatch.setattr(stops, "caught", lambda: signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), ffmpeg.piped_output(["sleep", "60"], "x", feed):
        raise KeyboardInterrupt
    assert children[0].returncode == -signal.SIGKILL and not ended
    given.set()


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (
            b"[dec] pthread_create() failed: Resource temporarily unavailable\n[x @ 0x5] Invalid argument",
            1,
            "ulimit -u",
        ),
        (b"[out#0/mp4 @ 0x5] Error writing: No space left on device\nConversion failed!", 1, "the disk is full"),
        (b"[x @ 0x5] Invalid argument\nConversion failed!", 1, "ffmpeg failed: Invalid argument"),
        (b"", -signal.SIGKILL, "it was killed, as where memory, processes or threads run out"),
        (b"", -signal.SIGSEGV, "it said nothing, its exit status is -11"),
    ],
)
def test_why_a_command_failed(said: bytes, status: int, words: str) -> None:
    """What the system refused, in its own sentence; else ffmpeg's own last words; else how it ended."""
    assert words in str(ffmpeg.failure("clip", said, status))


def test_a_binary_that_cannot_be_started_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be, that is the error, not that there is no binary."""

    def refuse(error: Exception) -> NoReturn:
        raise error

    ffmpeg.binary.cache_clear()
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: refuse(RuntimeError("No ffmpeg exe could be found.")))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: refuse(BlockingIOError(errno.EAGAIN, "unavailable")))
    with pytest.raises(BlockingIOError):
        ffmpeg.binary()

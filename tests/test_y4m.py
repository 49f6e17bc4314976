"""y4m: every layout round-trips exactly, and every kind of damage is named."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import write_clip
from youku.looking import clip_summary
from youku.video import clips, ffmpeg, y4m

CHROMAS = ["420jpeg", "420mpeg2", "420paldv", "422", "444", "mono"]
DEEP = ["420p10", "422p10", "444p10", "mono10", "420p12", "444p16"]
HEAD = b"YUV4MPEG2 W4 H2 F25:1 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2\n"
FRAME = b"FRAME\n" + bytes(range(12))


def make_frames(header: y4m.Header, num_frames: int, seed: int = 0) -> list[y4m.Planes]:
    rng = np.random.default_rng(seed)
    most = 1 << header.depth
    return [
        tuple(rng.integers(0, most, shape).astype(header.dtype) for shape in header.plane_shapes)
        for _ in range(num_frames)
    ]


def same(left: y4m.Planes, right: y4m.Planes) -> bool:
    return len(left) == len(right) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("chroma", CHROMAS + DEEP)
@pytest.mark.parametrize("size", [(16, 8), (7, 5), (1, 1)])
def test_round_trip_is_exact_for_every_layout_and_depth(tmp_path: Path, chroma: str, size: tuple[int, int]) -> None:
    """Writing and reading back gives the same planes by memory map and by stream, at odd sizes too."""
    header = y4m.make_header(*size, fps=Fraction(30000, 1001), chroma=chroma)
    frames = make_frames(header, 3)
    path = tmp_path / "a.y4m"
    write_clip(path, header, frames)
    clip = y4m.Clip(path)
    with path.open("rb") as file:
        reader = y4m.StreamReader(file, str(path))
        streamed = list(reader)
    assert clip.header == header == reader.header
    assert all(same(a, b) and same(a, c) for a, b, c in zip(frames, clip, streamed, strict=True))


token = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).filter(
    lambda text: text[0] not in "WHCFIA" and not text.startswith(("XYSCSS=", "XCOLORRANGE="))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tokens=st.lists(token, max_size=6),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    chroma=st.sampled_from(CHROMAS + DEEP),
    frames=st.integers(1, 4),
    data=st.data(),
)
def test_any_clip_survives(
    tmp_path: Path, tokens: list[str], width: int, height: int, chroma: str, frames: int, data: st.DataObject
) -> None:
    """Any tokens in any order, any size and any samples of that depth, FRAME lines among them, come back byte for byte."""
    line = " ".join(["YUV4MPEG2", *tokens, f"H{height}", f"C{chroma}", f"W{width}"]).encode() + b"\n"
    header = y4m.parse_header(line, "x")
    size = header.frame_bytes
    drawn = [(data.draw(st.binary(max_size=size)) + b"FRAME\n" * size)[:size] for _ in range(frames)]
    samples = [np.frombuffer(one, header.dtype) & ((1 << header.depth) - 1) for one in drawn]
    body = b"".join(b"FRAME\n" + one.tobytes() for one in samples)
    path = tmp_path / "a.y4m"
    path.write_bytes(line + body)
    clip = y4m.Clip(path)
    back = io.BytesIO()
    writer = y4m.Writer(back, clip.header)
    for planes in clip:
        writer.write(planes)
    assert clip.num_frames == frames and back.getvalue() == line + body


def test_pixels_that_look_like_frame_lines(tmp_path: Path) -> None:
    """A clip whose pixels are all the bytes FRAME and newline has the right frames."""
    path = tmp_path / "a.y4m"
    path.write_bytes(HEAD + (b"FRAME\n" + b"FRAME\nFRAME\n") * 5)
    assert y4m.Clip(path).num_frames == 5


@pytest.mark.parametrize("params", ["Ip  XFRAME", "  x ", "\x1c", "\xff\xa0", "FRAME", "\r"])
def test_frame_parameters_are_kept_exactly(tmp_path: Path, params: str) -> None:
    """Blanks, controls and the word FRAME among them are of the file, of the first frame and of others."""
    path, line = tmp_path / "a.y4m", b"FRAME " + params.encode("latin-1") + b"\n"
    path.write_bytes(HEAD + line + bytes(12) + line + b"FRAME\nFRAME\n")
    clip, out = y4m.Clip(path), io.BytesIO()
    writer = y4m.Writer(out, clip.header)
    for index in range(clip.num_frames):
        writer.write(clip.frame(index), clip.frame_params(index))
    assert clip.frame_params(1) == params and out.getvalue() == path.read_bytes()


def test_frame_parameters_are_kept(tmp_path: Path) -> None:
    """What follows FRAME is read, skipped over and written back."""
    path = tmp_path / "a.y4m"
    path.write_bytes(HEAD + b"FRAME Ip Xa=b\n" + bytes(12) + FRAME)
    clip = y4m.Clip(path)
    out = io.BytesIO()
    writer = y4m.Writer(out, clip.header)
    for index in range(clip.num_frames):
        writer.write(clip.frame(index), clip.frame_params(index))
    assert clip.frame_params(0) == "Ip Xa=b" and clip.frame_params(1) == "" and out.getvalue() == path.read_bytes()


@pytest.mark.parametrize("chroma", ["420mpeg2", "422", "444", "mono", "420p10"])
def test_patch_is_the_slice_of_the_frame(tmp_path: Path, chroma: str) -> None:
    """A patch of each plane equals the same box cut from the whole frame."""
    header = y4m.make_header(23, 17, chroma=chroma)
    path = tmp_path / "a.y4m"
    write_clip(path, header, make_frames(header, 2))
    clip = y4m.Clip(path)
    luma, *rest = clip.patch(1, 4, 6, 8, 10)
    frame = clip.frame(1)
    sub_x, sub_y, _ = header.layout
    assert np.array_equal(luma, frame[0][4:12, 6:16])
    for part, plane in zip(rest, frame[1:], strict=True):
        assert np.array_equal(part, plane[4 // sub_y : 12 // sub_y, 6 // sub_x : 16 // sub_x])


def write_wide(path: Path, lines: list[bytes]) -> list[bytes]:
    """Frames of 6,144 bytes, larger than a page, each behind its own FRAME line."""
    rng = np.random.default_rng(0)
    bodies = [rng.integers(0, 256, 6144, np.uint8).tobytes() for _ in lines]
    parts = [line + body for line, body in zip(lines, bodies, strict=True)]
    path.write_bytes(HEAD.replace(b"W4 H2", b"W64 H64") + b"".join(parts))
    return bodies


def test_opening_counts_without_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file's size fits frames behind lines like the first, no line between the first and the last is read."""
    bodies = write_wide(tmp_path / "a.y4m", [b"FRAME\n"] * 5)
    monkeypatch.setattr(y4m.Clip, "_walk", lambda _: pytest.fail("walked"))
    clip = y4m.Clip(tmp_path / "a.y4m")
    assert [b"".join(plane.tobytes() for plane in planes) for planes in clip] == bodies


def test_frame_lines_of_several_lengths_are_walked(tmp_path: Path) -> None:
    """Parameters make lines longer: frames are found by their lines, whatever the size of the file."""
    bodies = write_wide(tmp_path / "a.y4m", [b"FRAME\n", b"FRAME Ip\n", b"FRAME\n"])
    clip = y4m.Clip(tmp_path / "a.y4m")
    assert [b"".join(plane.tobytes() for plane in planes) for planes in clip] == bodies
    assert clip.frame_params(1) == "Ip"
    clip.check()


def test_lines_that_arithmetic_cannot_tell_apart(tmp_path: Path) -> None:
    """Long parameters that add up to a whole frame are found out by `check` and by reading, never read as pixels."""
    write_wide(
        tmp_path / "a.y4m", [b"FRAME\n", b"FRAME " + b"x" * 3074 + b"\n", b"FRAME " + b"x" * 3074 + b"\n", b"FRAME\n"]
    )
    clip = y4m.Clip(tmp_path / "a.y4m")
    with pytest.raises(y4m.Y4MError, match="do not lie where the first FRAME line says"):
        clip.check()
    with pytest.raises(y4m.Y4MError, match="do not lie where the first FRAME line says"):
        list(clip)


def test_damage_between_the_ends_is_met_when_it_is_read(tmp_path: Path) -> None:
    """A broken FRAME line in the middle spares the frames before it and is named by `check`, `frame` and `patch`."""
    bodies = write_wide(tmp_path / "a.y4m", [b"FRAME\n", b"FRAME\n", b"FRAMF\n", b"FRAME\n"])
    clip = y4m.Clip(tmp_path / "a.y4m")
    assert b"".join(plane.tobytes() for plane in clip.frame(1)) == bodies[1]
    for read in (clip.check, lambda: clip.frame(2), lambda: clip.patch(2, 0, 0, 8, 8), lambda: clip.frame_params(2)):
        with pytest.raises(y4m.Y4MError, match="a.y4m: frame 2 at byte .*: expected a FRAME line, got b'FRAMF"):
            read()


def test_a_clip_that_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    """A sentence, where the pages beyond the end of a map would end the process by a signal."""
    write_wide(tmp_path / "a.y4m", [b"FRAME\n"] * 3)
    clip = y4m.Clip(tmp_path / "a.y4m")
    with (tmp_path / "a.y4m").open("r+b") as file:
        file.truncate(7000)
    assert clip.frame(0)[0].shape == (64, 64)
    for read in (lambda: clip.frame(2), lambda: clip.patch(1, 0, 0, 8, 8), clip.check):
        with pytest.raises(y4m.Y4MError, match="a.y4m: had .* bytes, has 7000 now"):
            read()


def test_frames_that_were_read_outlive_the_file(tmp_path: Path) -> None:
    """Planes that wait for a network are no view of the file: touched after it shrank they would end the process."""
    path, header = tmp_path / "a.y4m", y4m.make_header(256, 192)
    with y4m.create(path, header) as writer:
        for value in (10, 20, 30):
            writer.write(tuple(np.full(shape, value, np.uint8) for shape in header.plane_shapes))
    clip = y4m.Clip(path)
    planes, patch = clip.frame(2), clip.patch(2, 64, 64, 64, 64)
    os.truncate(path, 100)
    assert all((plane == 30).all() for plane in (*planes, *patch))
    for read in (lambda: clip.frame(2), lambda: clip.patch(0, 64, 64, 64, 64), lambda: clip.frame_params(1)):
        with pytest.raises(y4m.Y4MError, match="has 100 now"):
            read()


def test_planes_of_a_clip_are_read_only(tmp_path: Path) -> None:
    """A mapped frame cannot change the file."""
    path = tmp_path / "a.y4m"
    path.write_bytes(HEAD + FRAME)
    with pytest.raises(ValueError, match="read-only"):
        y4m.Clip(path).frame(0)[0][0, 0] = 1


BAD_HEADERS = {
    b"RIFFxxxxAVI \n": "first bytes YUV4MPEG2",
    b"YUV4MPEG2 W4 H2 F25:1": "header is cut",
    b"YUV4MPEG2 W4 " + b"X" * 5000 + b"\n": "header is cut or longer",
    b"YUV4MPEG2 H2\n" + FRAME: "one W token",
    b"YUV4MPEG2 W4 W4 H2\n": "got W4 W4",
    b"YUV4MPEG2 W0 H2\n": "got W0",
    b"YUV4MPEG2 W4 H0\n": "got H0",
    b"YUV4MPEG2 W4.5 H2\n": "got W4.5",
    b"YUV4MPEG2 W-4 H2\n": "got W-4",
    b"YUV4MPEG2 W4 Hx\n": "got Hx",
    b"YUV4MPEG2 W99999999 H2\n": "got W99999999",
    b"YUV4MPEG2 W4 H2 C411\n": "C411 is not supported",
    b"YUV4MPEG2 W4 H2 C420\r\n": r"C420\\r is not supported",
    b"YUV4MPEG2 W4 H2 C420 C444\n" + FRAME: "at most one C token, got C420 C444",
    b"YUV4MPEG2 W4 H2 F25:1 F30:1\n" + FRAME: "at most one F token",
    b"YUV4MPEG2 W4 H2 XYSCSS=420JPEG XYSCSS=444\n" + FRAME: "at most one XYSCSS= token",
    b"YUV4MPEG2 W4 H2 F" + b"9" * 400 + b":1\n" + FRAME: "a rate such as F25:1, numbers up to 2147483647, .*got F999",
    b"YUV4MPEG2 W4 H2 F1:" + b"9" * 400 + b"\n" + FRAME: "a rate such as F25:1",
    b"YUV4MPEG2 W4 H2 F2147483648:1\n" + FRAME: "got F2147483648:1",
    b"YUV4MPEG2 W4 H2 F25\n" + FRAME: "a rate such as F25:1, .*got F25;",
    b"YUV4MPEG2 W4 H2 F25:0\n" + FRAME: "or 0:0 for unknown, got F25:0",
    b"YUV4MPEG2 W4 H2 F0:1\n" + FRAME: "or 0:0 for unknown, got F0:1",
    b"YUV4MPEG2 W4 H2 A" + b"9" * 400 + b":1\n" + FRAME: "the shape of a pixel such as A1:1",
    b"YUV4MPEG2 W4 H2 A-1:1\n" + FRAME: "got A-1:1",
    b"YUV4MPEG2 W4 H2 Iq\n" + FRAME: "expected an I token of .*got 'Iq'",
    b"YUV4MPEG2 W32768 H32768 C444p16\n" + FRAME: "at most 268435456 pixels a frame, got W32768 H32768",
    HEAD: "0 frames",
    HEAD + FRAME[:-1]: "frame 0 at byte .*: expected 12 bytes, got 11",
    HEAD + FRAME + FRAME[:9]: "frame 1 at byte .*: expected 12 bytes, got 3",
    HEAD + FRAME + b"FRAME\n": "frame 1 .*: expected 12 bytes, got 0",
    HEAD + FRAME + b"FRAME": "frame 1 at byte .*: expected a FRAME line",
    HEAD + FRAME + b"\0" + FRAME: "frame 1 at byte .*: expected a FRAME line",  # frame larger than the header says
    HEAD + FRAME + b"FRAMES\n" + bytes(12): "expected a FRAME line",
}


@pytest.mark.parametrize("data", BAD_HEADERS, ids=range(len(BAD_HEADERS)))
def test_damage_is_named_in_file_and_stream(tmp_path: Path, data: bytes) -> None:
    """Each damage raises one sentence naming the file, the frame and the byte, whether mapped or streamed."""
    path = tmp_path / "bad.y4m"
    path.write_bytes(data)
    with pytest.raises(y4m.Y4MError, match=BAD_HEADERS[data]) as error:
        y4m.Clip(path)
    assert "bad.y4m" in str(error.value)
    with pytest.raises(y4m.Y4MError, match=BAD_HEADERS[data]):
        list(y4m.StreamReader(io.BytesIO(data), "bad.y4m"))


def test_an_empty_file_is_not_a_clip(tmp_path: Path) -> None:
    """Zero bytes raise Y4MError, not an error of mmap."""
    path = tmp_path / "empty.y4m"
    path.touch()
    with pytest.raises(y4m.Y4MError, match="first bytes"):
        y4m.Clip(path)


def test_a_folder_or_a_pipe_is_not_a_clip(tmp_path: Path) -> None:
    """What is expected to be a file is named as what it is; a pipe without a writer is not waited for."""
    with pytest.raises(y4m.Y4MError, match="found a folder"):
        y4m.Clip(tmp_path)
    os.mkfifo(tmp_path / "pipe.y4m")
    with pytest.raises(y4m.Y4MError, match="found a pipe"):
        y4m.Clip(tmp_path / "pipe.y4m")


@pytest.mark.parametrize(
    "line", ["W4  H2  C420", " W4 H2 F0:0 A0:0 I?", "W4 H2 ", "W4 H2 F2147483647:2147483646 A1:2147483647"]
)
def test_odd_heads_that_mean_something_are_read(line: str) -> None:
    """Blanks more than one, unknown rates and the largest numbers that a clock holds load, and come back exactly."""
    header = y4m.parse_header(f"YUV4MPEG2 {line}\n".encode(), "x")
    assert header.encode() == f"YUV4MPEG2 {line}\n".encode() and 0 < header.fps < 2**31
    assert header.aspect is None or header.aspect.denominator < 2**31


@pytest.mark.parametrize("mapped", [False, True])
def test_a_head_costs_no_memory_before_the_bytes_are_there(tmp_path: Path, mapped: bool) -> None:
    """A head that claims 1.6 GB a frame over ten bytes costs less than a tenth of it, streamed and mapped."""
    data = b"YUV4MPEG2 W16384 H16384 C444p16\nFRAME\n" + bytes(10)
    path = tmp_path / "claim.y4m"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(y4m.Y4MError, match="expected 1610612736 bytes, got 10"):
            y4m.Clip(path) if mapped else list(y4m.StreamReader(io.BytesIO(data), "x"))
        assert tracemalloc.get_traced_memory()[1] < 160e6
    finally:
        tracemalloc.stop()


def test_a_frame_larger_than_a_block_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that come in several blocks are the same bytes."""
    monkeypatch.setattr(y4m, "BLOCK_BYTES", 5)
    planes = list(y4m.StreamReader(io.BytesIO(HEAD + FRAME * 2), "x"))
    assert [plane.tolist() for plane in planes[1]] == [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9]], [[10, 11]]]


class ShortReads(io.RawIOBase):
    """A pipe that gives at most three bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._data.readinto(memoryview(buffer)[:3])


def test_short_reads_make_whole_frames() -> None:
    """A stream that gives three bytes at a time is read exactly."""
    planes = list(y4m.StreamReader(ShortReads(HEAD + FRAME * 3), "pipe"))  # type: ignore[arg-type]
    assert len(planes) == 3 and planes[2][2].tolist() == [[10, 11]]


def test_stream_inside_a_zip(tmp_path: Path) -> None:
    """A member of a zip streams without being unpacked."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.y4m", HEAD + FRAME * 4)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("clip.y4m") as member:
        assert len(list(y4m.StreamReader(member, "a.zip/clip.y4m"))) == 4


def test_stdin_to_stdout() -> None:
    """A process copies a clip from stdin to stdout byte for byte."""
    code = (
        "from youku.video import y4m\n"
        "import sys\nr = y4m.StreamReader(sys.stdin.buffer, 'stdin')\n"
        "with y4m.create('-', r.header) as w:\n"
        "    for p in r: w.write(p)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=HEAD + FRAME * 3, capture_output=True, check=True)
    assert done.stdout == HEAD + FRAME * 3


def test_names_with_spaces_and_chinese_characters(tmp_path: Path) -> None:
    """Such a path is written, mapped and streamed."""
    path = tmp_path / "a b \u4f18\u9177" / "\u89c6\u9891 1.y4m"
    header = y4m.make_header(4, 2)
    write_clip(path, header, make_frames(header, 2))
    with path.open("rb") as file:
        assert len(list(y4m.StreamReader(file, str(path)))) == y4m.Clip(path).num_frames == 2


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An error in the middle keeps what stood there and leaves no temporary file."""
    path = tmp_path / "a.y4m"
    header = y4m.make_header(4, 2)
    write_clip(path, header, make_frames(header, 1))
    before = path.read_bytes()
    with pytest.raises(y4m.Y4MError, match="expected planes"), y4m.create(path, header) as writer:
        writer.write((np.zeros((3, 3), np.uint8),))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    """A clip of 0 frames never appears."""
    with pytest.raises(y4m.Y4MError, match="0 frames"), y4m.create(tmp_path / "a.y4m", y4m.make_header(4, 2)):
        pass
    assert not list(tmp_path.iterdir())


def test_resized_header_changes_only_the_size() -> None:
    """W and H change, every other token stays in place."""
    header = y4m.parse_header(HEAD, "x").resized(16, 8)
    assert header.encode() == HEAD.replace(b"W4 H2", b"W16 H8")


def test_the_contest_header_is_what_make_header_writes() -> None:
    """A real header of the contest, token for token."""
    line = b"YUV4MPEG2 W1920 H1080 F25:1 Ip A0:0 C420mpeg2 XYSCSS=420MPEG2\n"
    assert y4m.make_header(1920, 1080).encode() == line


def test_chroma_of_old_headers() -> None:
    """Without a C token the XYSCSS token says the chroma, and without both it is 420jpeg."""
    assert y4m.parse_header(b"YUV4MPEG2 W4 H2 XYSCSS=420MPEG2\n", "x").chroma == "420mpeg2"
    assert y4m.parse_header(b"YUV4MPEG2 W4 H2\n", "x").chroma == "420jpeg"


def test_a_clip_for_patches_holds_one_file(tmp_path: Path) -> None:
    """Thousands of clips are open in training; a file that is whole again is mapped anew, an emptied one is named."""
    path, header = tmp_path / "a.y4m", y4m.make_header(256, 192)
    with y4m.create(path, header) as writer:
        for value in (10, 20):
            writer.write(tuple(np.full(shape, value, np.uint8) for shape in header.plane_shapes))
    whole, before = path.read_bytes(), len(list(Path("/proc/self/fd").iterdir()))
    mapped = y4m.Clip(path, is_mapped=True)
    assert mapped.patch(1, 0, 0, 8, 8)[0].max() == mapped.frame(1)[0].max() == 20
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    clip = y4m.Clip(path)
    os.truncate(path, 0)
    for one in (clip, mapped):
        with pytest.raises(y4m.Y4MError, match="a.y4m: had .* bytes, has 0 now"):
            one.patch(0, 0, 0, 8, 8)
    os.truncate(path, 3000)
    with pytest.raises(y4m.Y4MError, match="has 3000 now"):
        clip.patch(0, 0, 0, 8, 8)
    path.write_bytes(whole)
    assert clip.patch(1, 0, 0, 8, 8)[0].max() == 20


def _raw(path: Path) -> Path:
    """The planes alone of a clip of two frames."""
    frames = path.read_bytes().split(b"FRAME\n")[1:]
    (raw := path.with_suffix(".yuv")).write_bytes(b"".join(frames))
    return raw


def _opened(path: Path, **how: Any) -> list[y4m.Planes]:
    with clips.open_clip(path, **how) as clip:
        return list(clip.frames)


def _as_8_bit(path: Path) -> list[y4m.Planes]:
    with clips.open_420(clips.find_material([path])[0]) as clip:
        return list(clip.frames)


DEEP_READERS: dict[str, Callable[[Path], object]] = {
    "frame": lambda path: y4m.Clip(path).frame(1),
    "patch": lambda path: y4m.Clip(path).patch(1, 8, 8, 8, 8),
    "stream": lambda path: list(y4m.StreamReader(io.BytesIO(path.read_bytes()), path.name)),
    "raw": lambda path: _opened(_raw(path), size="16x16", chroma="420p10"),
    "filtered": lambda path: _opened(path, filters=ffmpeg.DEBLOCK),
    "as 8 bit": _as_8_bit,
    "inspect": lambda path: clip_summary.summarise_clip(path, None),
}


@pytest.mark.parametrize("read", DEEP_READERS.values(), ids=DEEP_READERS)
def test_samples_beyond_their_depth_are_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    """10 bit in the high bits of 16: file, frame and sample, whoever reads it; what the depth can hold is read."""
    header = y4m.make_header(16, 16, chroma="420p10")
    fits, over = ([np.full(shape, code, "<u2") for shape in header.plane_shapes] for code in (1023, 1023 << 6))
    read(write_clip(tmp_path / "fits.y4m", header, [fits, fits]))
    path = write_clip(tmp_path / "deep.y4m", header, [fits, over])
    with pytest.raises(ValueError, match=r"deep\S*: frame 1 holds a sample of 65472, expected at most 1023 \(10 bit\)"):
        read(path)

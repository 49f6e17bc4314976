"""clips: what a name is, and one way to open it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import textured_frame
from youku.looking import clip_summary
from youku.video import clips, container, conversion, file_names, pair_folder, y4m
from youku.video.conversion import Conversion
from youku.video.encoding import Encoding
from youku.video.file_names import ClipKind

HEADER = y4m.parse_header(b"YUV4MPEG2 W16 H12 F24:1 Ip C420mpeg2 XNOTE=kept\n", "x")


def write(path: Path, num_frames: int = 4) -> Path:
    with y4m.create(path, HEADER) as writer:
        for index in range(num_frames):
            writer.write(textured_frame(HEADER, index), f"I{index}")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("-", ClipKind.STREAM),
        ("a.y4m", ClipKind.Y4M),
        ("a.Y4M", ClipKind.Y4M),
        ("a.yuv", ClipKind.YUV),
        ("a.h5", ClipKind.HDF5),
        ("f%03d.png", ClipKind.PICTURES),
        ("new/", ClipKind.PICTURES),
        ("new", ClipKind.PICTURES),
        (".", ClipKind.PICTURES),
        ("a.mp4", ClipKind.VIDEO),
        ("a.png", ClipKind.VIDEO),
    ],
)
def test_a_name_says_what_it_is(name: str, kind: ClipKind) -> None:
    """Whether or not there is such a file."""
    assert file_names.kind_of(name) is kind


def test_a_y4m_of_another_name_keeps_its_tokens(tmp_path: Path) -> None:
    """The first bytes of a source count, so that it is not sent through ffmpeg; a target's name alone counts."""
    odd = write(tmp_path / "a.y4m").rename(tmp_path / "a.bin")
    assert file_names.kind_of_source(odd) is ClipKind.Y4M and file_names.kind_of(odd) is ClipKind.VIDEO
    with clips.open_clip(odd) as opened:
        assert opened.header == HEADER and opened.num_frames == 4
        assert list(opened.params) == ["I0", "I1", "I2", "I3"]


def test_a_video_called_y4m_is_a_video(tmp_path: Path) -> None:
    """Its first bytes count; where they are y4m's, and damaged, the file is told of as one."""
    path = tmp_path / "a.y4m"
    container.write_clip(tmp_path / "a.mp4", HEADER, [textured_frame(HEADER, 0)], Encoding())
    (tmp_path / "a.mp4").rename(path)
    with clips.open_clip(path) as opened:
        assert len(list(opened.frames)) == 1
    path.write_bytes(b"YUV4MPEG3 W16 H12\n")
    with pytest.raises(ValueError, match="expected a y4m file"), clips.open_clip(path):
        pass


def test_a_y4m_of_411_is_read_as_422(tmp_path: Path) -> None:
    """What `ffmpeg -i tape.dv x.y4m` writes: every chroma sample is there, twice, and the range of the header is kept."""
    planes = bytes(range(16)) * 2 + bytes(range(8)) + bytes(range(100, 108))
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W16 H2 F25:1 Ip C411 XCOLORRANGE=FULL\nFRAME\n" + planes)
    with clips.open_clip(tmp_path / "a.y4m") as opened:
        (frame,) = opened.frames
    assert opened.header.chroma == "422" and opened.header.is_full_range and frame[0].tobytes() == planes[:32]
    assert [plane.shape for plane in frame[1:]] == [(2, 8)] * 2 and 100 <= frame[2].min() <= frame[2].max() <= 107


def test_a_y4m_with_alpha_is_read_without(tmp_path: Path) -> None:
    """The three other planes, as they are; one that is cut off is told as damaged."""
    planes = bytes(range(64, 88))
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 Ip C444alpha\nFRAME\n" + planes + bytes(8))
    with clips.open_clip(tmp_path / "a.y4m") as opened:
        (frame,) = opened.frames
    assert opened.header.chroma == "444" and b"".join(plane.tobytes() for plane in frame) == planes
    (tmp_path / "b.y4m").write_bytes((tmp_path / "a.y4m").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"b\.y4m"), clips.open_clip(tmp_path / "b.y4m", whole=True) as opened:
        list(opened.frames)


@pytest.mark.parametrize("whole", [False, True])
def test_frames_are_chosen_by_number(tmp_path: Path, whole: bool) -> None:
    """The wanted frames alone, or all of them for a network that looks at neighbours; their number is told."""
    path = write(tmp_path / "a.y4m")
    with clips.open_clip(path, range(1, 3), whole) as opened:
        indices = range(4) if whole else range(1, 3)
        expected = [y4m.Clip(path).frame(index)[0] for index in indices]
        assert opened.num_frames == 2
        assert all(np.array_equal(got[0], luma) for got, luma in zip(opened.frames, expected, strict=True))
    with pytest.raises(ValueError, match="has 4 frames, frame 6"), clips.open_clip(path, range(5, 7)):
        pass


def test_within() -> None:
    """A range keeps the frames at its start and leaves those at its end."""
    assert list(clips.within(range(100), Fraction(25), 1.0, 0.2)) == [25, 26, 27, 28, 29]
    assert list(clips.within(range(100), Fraction(30000, 1001), 0.05, 0.1)) == [2, 3, 4]
    assert list(clips.within(range(5), Fraction(25), None, None)) == list(range(5))


def test_a_bar_knows_how_many_frames_are_likely(tmp_path: Path) -> None:
    """Of a Matroska film, which does not say: by its length, by the range asked for, and by what a verb takes of it."""
    header, film = y4m.make_header(64, 48, 25), tmp_path / "film.mkv"
    with container.create(film, header, Encoding(crf=30)) as writer:
        for index in range(10):
            writer.write(textured_frame(header, index))
    for cut, number in (({}, 10), ({"start_sec": 0.2}, 5), ({"start_sec": 0.2, "duration_sec": 0.12}, 3)):
        with clips.open_clip(film, **cut) as opened:
            assert opened.num_frames is None and opened.likely_frames == len(list(opened.frames)) == number
    totals = []

    def watch(items: Iterable, name: str = "", total: int | None = None) -> Iterable:
        totals.append((name, total))
        return items

    assert conversion.convert(film, tmp_path / "a.y4m", Conversion(every=3), watch) == 4
    clip_summary.summarise_clip(film, None, watch)
    with clips.open_420(clips.Material("film.mkv", (film,))) as opened:
        assert pair_folder.Selection(every=2, max_frames=3).apply(opened)[2] == 3
    assert totals == [("a.y4m", 4), ("film.mkv", 10)]

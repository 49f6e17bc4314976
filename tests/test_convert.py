"""convert: the organiser's five commands byte for byte, lossless planes, and bad input in one sentence."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from youku import convert, degrade, predict
from youku.video import clips, color, conversion, ffmpeg, picture_writer, y4m
from youku.video.conversion import Conversion
from youku.video.recording import open_recording

CHROMAS = ["420jpeg", "420mpeg2", "420paldv", "422", "444", "mono", "420p10", "422p10", "mono10"]


def make_clip(
    path: Path, num_frames: int = 27, width: int = 33, height: int = 17, chroma: str = "420mpeg2"
) -> y4m.Header:
    """A clip of noise under a smooth pattern."""
    header = y4m.make_header(width, height, chroma=chroma)
    rng = np.random.default_rng(0)
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            writer.write(
                tuple(
                    (
                        (120 + swing * np.sin((np.arange(w) + index) / 9) + rng.normal(0, 2, (h, w))).astype(int)
                        << (header.depth - 8)
                    ).astype(header.dtype)
                    for swing, (h, w) in zip((60, 12, 12), header.plane_shapes, strict=False)
                )
            )
    return header


def organiser(*arguments: str | Path) -> None:
    """Run the organiser's command; `-vsync 0` is spelled as the binary knows it."""
    name, value = next(iter(ffmpeg.passthrough().items()))
    line = [text if text != "-vsync" else f"-{name}" for text in map(str, arguments)]
    line = [value if index and line[index - 1] == f"-{name}" else text for index, text in enumerate(line)]
    subprocess.run([ffmpeg.binary(), "-v", "error", "-nostdin", *line], check=True)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same_bytes(left: Path, right: Path) -> bool:
    return left.read_bytes() == right.read_bytes()


@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_y4m_to_yuv_and_back_as_the_organiser(tmp_path: Path, size: tuple[int, int]) -> None:
    """x.y4m -> x.yuv -> x.y4m equals ffmpeg's files byte for byte, odd sizes too."""
    make_clip(tmp_path / "x.y4m", 5, *size)
    organiser("-i", tmp_path / "x.y4m", "-vsync", "0", tmp_path / "theirs.yuv", "-y")
    text = f"{size[0]}x{size[1]}"
    organiser("-s", text, "-i", tmp_path / "theirs.yuv", "-vsync", "0", tmp_path / "theirs.y4m", "-y")
    assert conversion.convert(tmp_path / "x.y4m", tmp_path / "ours.yuv", Conversion()) == 5
    assert conversion.convert(tmp_path / "ours.yuv", tmp_path / "ours.y4m", Conversion(size=text)) == 5
    assert same_bytes(tmp_path / "ours.yuv", tmp_path / "theirs.yuv")
    assert same_bytes(tmp_path / "ours.y4m", tmp_path / "theirs.y4m")


@pytest.mark.parametrize("chroma", ["420jpeg", "420mpeg2", "422", "444"])
def test_y4m_to_bmp_and_back_as_the_organiser(tmp_path: Path, chroma: str) -> None:
    """x.y4m -> x%3d.bmp -> x.y4m equals ffmpeg's pictures and clip byte for byte."""
    make_clip(tmp_path / "x.y4m", 4, 34, 18, chroma)
    (tmp_path / "theirs").mkdir()
    organiser("-i", tmp_path / "x.y4m", "-vsync", "0", tmp_path / "theirs/x%3d.bmp", "-y")
    theirs = tmp_path / "theirs.y4m"
    organiser("-i", tmp_path / "theirs/x%3d.bmp", "-pix_fmt", "yuv420p", "-vsync", "0", theirs, "-y")
    conversion.convert(tmp_path / "x.y4m", tmp_path / "ours 1%/x%3d.bmp", Conversion())
    conversion.convert(tmp_path / "ours 1%/x%3d.bmp", tmp_path / "ours.y4m", Conversion())
    names = [path.name for path in sorted((tmp_path / "theirs").iterdir())]
    assert listing(tmp_path / "ours 1%") == [picture_writer.NOTE, *names]
    assert all(same_bytes(tmp_path / "ours 1%" / name, tmp_path / "theirs" / name) for name in names)
    assert same_bytes(tmp_path / "ours.y4m", theirs)


@pytest.mark.parametrize("num_frames", [1, 25, 26, 52])
def test_every_25th_frame_as_the_organiser(tmp_path: Path, num_frames: int) -> None:
    """--every 25 equals ffmpeg's select filter byte for byte on a clip with the contest's header."""
    make_clip(tmp_path / "x.y4m", num_frames)
    select = r"select='not(mod(n\,25))'"
    organiser("-i", tmp_path / "x.y4m", "-vf", select, "-vsync", "0", "-y", tmp_path / "theirs.y4m")
    conversion.convert(tmp_path / "x.y4m", tmp_path / "ours.y4m", Conversion(every=25))
    assert same_bytes(tmp_path / "ours.y4m", tmp_path / "theirs.y4m")


def test_any_video_as_ffmpeg_decodes_it(tmp_path: Path) -> None:
    """A coded video becomes the y4m that ffmpeg writes, frame for frame."""
    make_clip(tmp_path / "x.y4m", 20, 64, 48)
    organiser("-i", tmp_path / "x.y4m", "-c:v", "libx264", "-y", tmp_path / "x.mkv")
    organiser("-i", tmp_path / "x.mkv", "-vsync", "0", "-y", tmp_path / "theirs.y4m")
    assert conversion.convert(tmp_path / "x.mkv", tmp_path / "ours.y4m", Conversion()) == 20
    assert same_bytes(tmp_path / "ours.y4m", tmp_path / "theirs.y4m")


@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.parametrize("way", ["planes", "yuv"])
def test_routes_without_rgb_are_exact(tmp_path: Path, chroma: str, way: str) -> None:
    """y4m -> gray planes or yuv -> y4m gives the file back in every layout and depth, at odd sizes."""
    make_clip(tmp_path / "x.y4m", 3, chroma=chroma)
    middle = tmp_path / ("planes" if way == "planes" else "x.yuv")
    conversion.convert(tmp_path / "x.y4m", middle, Conversion(planes=way == "planes"))
    back = Conversion() if way == "planes" else Conversion(size="33x17", chroma=chroma)
    conversion.convert(middle, tmp_path / "back.y4m", back)
    assert same_bytes(tmp_path / "back.y4m", tmp_path / "x.y4m")


def test_planes_keep_unknown_tokens_and_frame_parameters(tmp_path: Path) -> None:
    """Header tokens that nobody knows and FRAME parameters survive a copy, --every and gray planes."""
    line = b"YUV4MPEG2 Xfoo W4 H2 F30000:1001 It C420mpeg2 XBAR=1\n"
    frames = [b"FRAME Ia\n" + bytes([index] * 12) for index in range(4)]
    (tmp_path / "x.y4m").write_bytes(line + b"".join(frames))
    conversion.convert(tmp_path / "x.y4m", tmp_path / "planes", Conversion(planes=True, every=2))
    conversion.convert(tmp_path / "planes", tmp_path / "back.y4m", Conversion())
    assert (tmp_path / "back.y4m").read_bytes() == line + frames[0] + frames[2]


def test_float_pictures_are_close(tmp_path: Path) -> None:
    """The float route writes a folder of png and reads it back with luma within 2 code values."""
    make_clip(tmp_path / "x.y4m", 3)
    options = Conversion(route="float")
    assert conversion.convert(tmp_path / "x.y4m", tmp_path / "pictures", options) == 3
    conversion.convert(tmp_path / "pictures", tmp_path / "back.y4m", options)
    old, new = y4m.Clip(tmp_path / "x.y4m"), y4m.Clip(tmp_path / "back.y4m")
    assert new.header == old.header
    assert max(np.abs(a[0].astype(int) - b[0]).max() for a, b in zip(old, new, strict=True)) <= 2


def test_stdin_to_stdout(tmp_path: Path) -> None:
    """`convert - -` streams a clip through a pipe and keeps stdout clean."""
    make_clip(tmp_path / "x.y4m")
    conversion.convert(tmp_path / "x.y4m", tmp_path / "sub.y4m", Conversion(every=25))
    line = [sys.executable, "-m", "youku.convert", "-", "-", "--every", "25"]
    done = subprocess.run(line, input=(tmp_path / "x.y4m").read_bytes(), capture_output=True, check=True)
    assert done.stdout == (tmp_path / "sub.y4m").read_bytes() and done.stderr == b"2 frames -> -\n"


def test_report_measures_the_organisers_bmp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--report's ffmpeg row equals the PSNR of a clip that really went through bmp files."""
    make_clip(tmp_path / "x.y4m", 3, 34, 18)
    conversion.convert(tmp_path / "x.y4m", tmp_path / "x%3d.bmp", Conversion())
    conversion.convert(tmp_path / "x%3d.bmp", tmp_path / "back.y4m", Conversion())
    squares = np.zeros(3)
    for old, new in zip(y4m.Clip(tmp_path / "x.y4m"), y4m.Clip(tmp_path / "back.y4m"), strict=True):
        squares += [np.square(a.astype(float) - b).mean() / 3 for a, b in zip(old, new, strict=True)]
    assert convert.main(["--report", str(tmp_path / "x.y4m"), "--json"]) == 0
    routes = json.loads(capsys.readouterr().out)["psnr_db"]
    wanted = 10 * np.log10(255**2 / squares)
    assert [routes["ffmpeg"][name] for name in "yuv"] == pytest.approx(wanted.tolist(), abs=1e-9)
    assert routes["float"]["y"] is None  # in gamut, so float luma comes back exact


def test_report_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has both routes and the planes' exact row."""
    make_clip(tmp_path / "x.y4m", 2)
    assert convert.main(["--report", str(tmp_path / "x.y4m")]) == 0
    out = capsys.readouterr().out
    assert "ffmpeg bmp" in out and "float" in out and "exact" in out


@pytest.mark.parametrize("chroma", ["mono", "420p10"])
def test_report_refuses_other_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str], chroma: str) -> None:
    """Mono and 10-bit clips are refused in one sentence."""
    make_clip(tmp_path / "x.y4m", 2, chroma=chroma)
    assert convert.main(["--report", str(tmp_path / "x.y4m")]) == 1
    assert "8-bit colour clip" in capsys.readouterr().err


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    """OUT equal to IN is refused by any spelling, and the file stays."""
    make_clip(tmp_path / "x.y4m", 2)
    before = (tmp_path / "x.y4m").read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="OUT is IN"):
        conversion.convert(tmp_path / "x.y4m", tmp_path / "folder/../x.y4m", Conversion())
    assert (tmp_path / "x.y4m").read_bytes() == before


def test_pictures_are_replaced_only_when_forced(tmp_path: Path) -> None:
    """Pictures in the way are refused; --force replaces the whole set made there, so no old frame stays among the new."""
    make_clip(tmp_path / "long.y4m", 5)
    make_clip(tmp_path / "short.y4m", 2)
    conversion.convert(tmp_path / "long.y4m", tmp_path / "out/%3d.png", Conversion())
    with pytest.raises(ValueError, match="already holds"):
        conversion.convert(tmp_path / "short.y4m", tmp_path / "out/%3d.png", Conversion())
    conversion.convert(tmp_path / "short.y4m", tmp_path / "out/%3d.png", Conversion(force=True))
    assert listing(tmp_path / "out") == [picture_writer.NOTE, "001.png", "002.png"]


def test_pictures_of_others_are_not_taken_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """--force takes what was made there and is unchanged since; those of the user stay, but where a new one has the name."""
    make_clip(tmp_path / "long.y4m", 5)
    make_clip(tmp_path / "short.y4m", 2)
    (out := tmp_path / "out").mkdir()
    for name in ("002.png", "2024.png"):
        (out / name).write_bytes(b"a holiday")
    conversion.convert(tmp_path / "long.y4m", out / "%3d.png", Conversion(force=True))
    assert "%3d.png: 2024.png were not made here and stay" in caplog.text and "002" not in caplog.text
    (out / "004.png").write_bytes(b"painted over")
    conversion.convert(tmp_path / "short.y4m", out / "%3d.png", Conversion(force=True))
    assert listing(out) == [picture_writer.NOTE, "001.png", "002.png", "004.png", "2024.png"]
    assert (out / "2024.png").read_bytes() == b"a holiday" and (out / "004.png").read_bytes() == b"painted over"
    assert "004.png, 2024.png were not made here" in caplog.text


@pytest.mark.parametrize("note", [b"", b"[]", b'{"003.png": 3}'])
def test_a_damaged_note_costs_no_picture(tmp_path: Path, note: bytes) -> None:
    """It knows of none, so the names of the new alone are replaced; then it is whole again."""
    for name, number in (("long.y4m", 3), ("short.y4m", 2)):
        make_clip(tmp_path / name, number)
        conversion.convert(tmp_path / name, tmp_path / "out/%3d.png", Conversion(force=True))
        (tmp_path / "out" / picture_writer.NOTE).write_bytes(note)
    assert listing(tmp_path / "out") == [picture_writer.NOTE, "001.png", "002.png", "003.png"]


def test_pictures_take_the_place_of_planes(tmp_path: Path) -> None:
    """Their index goes with them, or the folder would be read as planes that are there no more."""
    make_clip(tmp_path / "x.y4m", 2)
    conversion.convert(tmp_path / "x.y4m", tmp_path / "out", Conversion(planes=True))
    conversion.convert(tmp_path / "x.y4m", tmp_path / "out", Conversion(force=True))
    assert listing(tmp_path / "out") == [picture_writer.NOTE, "000001.png", "000002.png"]
    assert conversion.convert(tmp_path / "out", tmp_path / "back.y4m", Conversion()) == 2


def test_pictures_of_a_killed_run_are_no_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while its pictures go to their places, the same command makes them all; a whole set is refused again."""
    make_clip(tmp_path / "x.y4m", 5)
    moved, move = list[Path](), Path.replace

    def stop_after_two(path: Path, target: Path) -> None:
        moved.extend([path] * (path.suffix == ".png"))
        if len(moved) > 2:
            raise KeyboardInterrupt
        move(path, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", stop_after_two)
        conversion.convert(tmp_path / "x.y4m", tmp_path / "out/%3d.png", Conversion())
    assert sorted(path.name for path in (tmp_path / "out").glob("[0-9]*")) == ["001.png", "002.png"]
    for words in ("", "already holds"):
        with pytest.raises(ValueError, match=words) if words else nullcontext():
            conversion.convert(tmp_path / "x.y4m", tmp_path / "out/%3d.png", Conversion())
    assert listing(tmp_path / "out") == [picture_writer.NOTE, *(f"00{number}.png" for number in range(1, 6))]


def test_a_damaged_clip_leaves_nothing(tmp_path: Path) -> None:
    """A clip that breaks in frame 3 makes no file, no picture and no folder."""
    make_clip(tmp_path / "x.y4m", 5)
    data = (tmp_path / "x.y4m").read_bytes()
    (tmp_path / "x.y4m").write_bytes(data[:-10])
    for target in ("out.yuv", "out.y4m", "new/%3d.bmp", "planes"):
        with pytest.raises(ValueError, match="frame 4 at byte"):
            conversion.convert(tmp_path / "x.y4m", tmp_path / target, Conversion(planes=target == "planes"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.y4m"]


def test_a_folders_clips_are_counted_without_the_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said counts what was made; the damaged clip is named, and the status is 1."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        make_clip(tmp_path / f"in/{name}.y4m", 5)
    (tmp_path / "in/b.y4m").write_bytes((tmp_path / "in/b.y4m").read_bytes()[:-10])
    out = str(tmp_path / "out.2")
    assert convert.main([str(tmp_path / "in"), out]) == 1
    told, said = capsys.readouterr()
    assert told == f"2 clips, 10 frames -> {out}\n" and "b.y4m: frame 4 at byte" in said
    assert sorted(path.name for path in (tmp_path / "out.2").iterdir()) == ["a.y4m", "c.y4m"]


def test_a_broken_stream_leaves_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage found only while streaming takes back the pictures already made."""
    make_clip(tmp_path / "x.y4m", 5)
    data = (tmp_path / "x.y4m").read_bytes()[:-10]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with pytest.raises(ValueError, match="frame 4 at byte"):
        conversion.convert("-", tmp_path / "new/%3d.bmp", Conversion())
    assert not (tmp_path / "new").exists()


def test_a_gap_in_the_numbers_is_named(tmp_path: Path) -> None:
    """A missing picture is damage, where ffmpeg alone would stop without a word."""
    make_clip(tmp_path / "x.y4m", 4)
    conversion.convert(tmp_path / "x.y4m", tmp_path / "p/%3d.png", Conversion())
    (tmp_path / "p/002.png").unlink()
    with pytest.raises(ValueError, match=r"002\.png is missing"):
        conversion.convert(tmp_path / "p/%3d.png", tmp_path / "out.y4m", Conversion())


def test_pictures_of_two_sizes_are_named(tmp_path: Path) -> None:
    """The first picture of another size is named, where ffmpeg alone would rescale it."""
    make_clip(tmp_path / "a.y4m", 2)
    make_clip(tmp_path / "b.y4m", 1, 20, 10)
    conversion.convert(tmp_path / "a.y4m", tmp_path / "p/a%3d.png", Conversion())
    conversion.convert(tmp_path / "b.y4m", tmp_path / "p/b%3d.png", Conversion())
    with pytest.raises(ValueError, match=r"b001\.png: 20x10, the first is 33x17"):
        conversion.convert(tmp_path / "p", tmp_path / "out.y4m", Conversion())


BAD = [
    (["x.yuv", "y.y4m"], "give --size"),
    (["x.yuv", "y.y4m", "--size", "0x4"], "got W0"),
    (["x.yuv", "y.y4m", "--size", "7x7"], "not a whole number of 7x7"),
    (["x.yuv", "y.y4m", "--size", "4x2", "--chroma", "411"], "C411 is not supported"),
    (["x.yuv", "y.y4m", "--size", "4x2", "--fps", "fast"], "--fps fast"),
    (["x.y4m", "y.y4m", "--size", "4x2"], "--size has no effect"),
    (["x.y4m", "y.y4m", "--every", "0"], "expected 1 or more"),
    (["x.y4m", "y.avi"], "expected OUT to be"),
    (["x.y4m", "y.PNG"], "name y%3d.png or y/"),
    (["x.y4m", "p/%3d.bmp", "--format", "png"], "contradicts"),
    (["x.y4m", "p/%3d.jpg"], "ending in .bmp or .png"),
    (["nope.y4m", "y.y4m"], "no such file"),
    (["nope%3d.bmp", "y.y4m"], "no such pictures"),
    (["empty", "y.y4m"], "no pictures in it"),
    (["clips", "y.y4m"], "y.y4m: is named like a file, and a folder is made; leave .y4m out, or end it in /"),
    (["clips", "y.avi"], "y.avi: is named like a file"),
    (["clips", "f%d.png"], "so the output must be a folder too"),
    (["clips", "-"], "so the output must be a folder too"),
    (["text.mp4", "y.y4m"], "text.mp4"),
    (["x.y4m", "text.mp4/y.y4m"], "found a file"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=range(len(BAD)))
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: list[str], words: str
) -> None:
    """Each mistake exits with 1, says one line on stderr, and makes nothing."""
    monkeypatch.chdir(tmp_path)
    make_clip(Path("x.y4m"), 2, 4, 2)
    conversion.convert("x.y4m", "x.yuv", Conversion())
    Path("empty").mkdir()
    Path("clips").mkdir()
    make_clip(Path("clips", "x.y4m"), 2, 4, 2)
    Path("text.mp4").write_text("not a video\n" * 20)
    before = sorted(tmp_path.rglob("*"))
    assert convert.main(line) == 1
    message = capsys.readouterr().err
    assert words in message and message.startswith("error: ") and message.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("route", ["ffmpeg", "float"])
@pytest.mark.parametrize("span", ["tv", "pc"])
@pytest.mark.parametrize(
    ("matrix", "name"),
    [
        ("bt709", "bt709"),
        ("smpte170m", "smpte170m"),
        ("bt2020nc", "bt2020"),
        ("smpte240m", "smpte240m"),
        ("fcc", "fcc"),
    ],
)
def test_range_and_matrix_of_a_video_are_used(tmp_path: Path, route: str, span: str, matrix: str, name: str) -> None:
    """Flat colours coded by each matrix in each range come back within two codes, by both routes."""
    colours = np.array([[200, 30, 40], [30, 180, 60], [40, 60, 210], [250, 250, 250], [5, 5, 5]], np.uint8)
    rgb = np.repeat(np.repeat(colours[None], 8, 1), 16, 0)
    Image.fromarray(rgb).save(tmp_path / "in.png")
    filters = (
        f"scale=out_color_matrix={name}:out_range={span},format=yuv444p,setparams=colorspace={matrix}:range={span}"
    )
    organiser("-i", str(tmp_path / "in.png"), "-vf", filters, "-c:v", "ffv1", str(tmp_path / "a.mkv"))
    assert convert.main([str(tmp_path / "a.mkv"), str(tmp_path / "p" / "f%d.png"), "--route", route]) == 0
    back = np.asarray(Image.open(tmp_path / "p" / "f1.png").convert("RGB"))
    assert np.abs(back.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ("bt470bg", ""),
        ("ycgco", "colours coded by YCgCo are read as BT.601"),
        ("bt2020c", "colours coded by BT.2020 of constant luminance are read as BT.2020"),
        ("chroma-derived-nc", "colours coded by matrix 12 of H.273 are read as BT.601"),
    ],
)
def test_a_matrix_that_is_read_as_another_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, matrix: str, words: str
) -> None:
    """As FFmpeg's scaler reads them, and one line says so; gray has no matrix."""
    for layout in ("yuv444p", "gray"):
        film = tmp_path / f"{layout}.mkv"
        source = f"testsrc2=s=32x32:d=0.04,format={layout},setparams=colorspace={matrix}"
        organiser("-f", "lavfi", "-i", source, "-c:v", "ffv1", str(film))
        with open_recording(film):
            pass
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == (
        [f"{words} where they become RGB"] * bool(words)
    )


def test_jpeg_pictures_keep_their_full_range_in_a_video(tmp_path: Path) -> None:
    """The samples are not rescaled, and the tag says so."""
    (tmp_path / "p").mkdir()
    for number in (1, 2):
        Image.new("RGB", (32, 32), (255, 255, 255)).save(tmp_path / "p" / f"f{number}.jpg", quality=95)
    assert convert.main([str(tmp_path / "p" / "f%d.jpg"), str(tmp_path / "a.mp4"), "--crf", "0"]) == 0
    with open_recording(tmp_path / "a.mp4") as recording:
        assert next(iter(recording))[0].min() >= 254 and recording.tags.range == 2


@pytest.mark.parametrize("route", ["ffmpeg", "float"])
def test_photographs_stand_upright_each_by_its_own_tag(tmp_path: Path, route: str) -> None:
    """A lying and an upright picture of one scene are one clip, by either route."""
    (tmp_path / "p").mkdir()
    scene = np.zeros((48, 32, 3), np.uint8)
    scene[:24, :16] = 220
    Image.fromarray(scene).save(tmp_path / "p" / "f1.jpg", quality=95)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.rot90(scene)).save(tmp_path / "p" / "f2.jpg", quality=95, exif=exif)
    assert convert.main([str(tmp_path / "p" / "f%d.jpg"), str(tmp_path / "a.y4m"), "--route", route]) == 0
    clip = y4m.Clip(tmp_path / "a.y4m")
    assert (clip.header.width, clip.header.height, clip.num_frames) == (32, 48, 2)
    assert np.abs(clip.frame(0)[0].astype(int) - clip.frame(1)[0]).mean() < 1


@pytest.mark.parametrize("chroma", ["420", "444p10", "444p16"])
@pytest.mark.parametrize(
    "names", [["1.png"], ["L.png"], ["16.png"], ["1.png", "RGB.png", "L.png", "16.png"], ["CMYK.jpg", "RGB.jpg"]]
)
def test_white_is_white_in_every_picture_of_a_set(tmp_path: Path, names: list[str], chroma: str) -> None:
    """1 bit, 8 and 16 bit gray, CMYK: black and white lie at the ends of the one range that the header names."""
    white = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 8, 1).repeat(16, 0))
    for number, name in enumerate(names):
        mode = name.partition(".")[0]
        deep = Image.fromarray(np.asarray(white).astype(np.uint16) * 257)
        picture = deep if mode == "16" else white.convert(mode)
        picture.save(tmp_path / f"{number}{Path(name).suffix}", quality=100)
    with clips.open_clip(tmp_path, chroma=chroma) as opened:
        unit = 1 << (opened.header.depth - 8)
        black, peak = (0, unit * 256 - 1) if opened.header.is_full_range else (16 * unit, 235 * unit)
        for luma, *_ in opened.frames:
            assert abs(luma[8, 2] - black) <= unit / 4
            assert abs(int(luma[8, 13]) - peak) <= (1.01 * unit if "CMYK.jpg" in names else unit / 4)  # 254 of inks


@pytest.mark.parametrize("kinds", ["L.jpg RGB.jpg", "RGB.jpg L.png", "L.png RGB.jpg turned", "RGB.png L.png turned"])
def test_pictures_of_several_kinds_become_one_clip(tmp_path: Path, kinds: str) -> None:
    """A gray scene as gray and in colours, JPEG and PNG, upright and not: every frame shows it, in one range."""
    (tmp_path / "p").mkdir()
    scene = Image.fromarray(np.repeat(np.arange(0, 256, 8, dtype=np.uint8), 2)[None].repeat(48, 0))
    exif = Image.Exif()
    for number, (mode, suffix) in enumerate(word.split(".") for word in kinds.removesuffix(" turned").split()):
        if is_turned := number == 1 and kinds.endswith("turned"):
            exif[0x112] = 3
        picture = scene.rotate(180) if is_turned else scene
        picture.convert(mode).save(tmp_path / "p" / f"{number}.{suffix}", quality=98, exif=exif)
    assert convert.main([str(tmp_path / "p"), str(tmp_path / "a.y4m")]) == 0
    clip = y4m.Clip(tmp_path / "a.y4m")
    for planes in clip:
        rgb = color.planes_to_rgb(planes, 8, clip.header.layout, full_range=clip.header.is_full_range)
        assert np.abs(rgb[..., 1].astype(int) - np.asarray(scene)).max() <= 3


def test_deep_pictures_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """16-bit RGB becomes 8 bit with a word by ffmpeg, and is refused by float, which has 8 bit alone."""
    (tmp_path / "p").mkdir()
    organiser("-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.04", "-pix_fmt", "rgb48be", str(tmp_path / "p" / "f1.png"))
    assert convert.main([str(tmp_path / "p"), str(tmp_path / "a.y4m")]) == 0
    assert "16-bit pictures, which become 8 bit" in caplog.text
    assert convert.main([str(tmp_path / "p"), str(tmp_path / "b.y4m"), "--route", "float"]) == 1


@pytest.mark.parametrize(
    "name", ["take%2d.mkv", "100%.mkv", "a%03d%d.mkv", "-x.mkv", "n\nl.mkv", "CAP.MKV", "a:b.mkv", "%d.MKV"]
)
def test_a_file_with_an_odd_name_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Percent signs, dashes, newlines, colons and capitals in a name mean nothing, out and back in."""
    monkeypatch.chdir(tmp_path)
    with y4m.create("in%2d.y4m", y4m.make_header(16, 16)) as writer:
        for _ in range(2):
            writer.write(tuple(np.full(shape, 90, np.uint8) for shape in writer.header.plane_shapes))
    for source, target in (("in%2d.y4m", name), (name, "out%3d.Y4M")):
        assert convert.main(["--", source, target]) == 0
    assert y4m.Clip("out%3d.Y4M").num_frames == 2 and len(list(tmp_path.iterdir())) == 3
    assert convert.main(["--", name, "c:%d.bmp"]) == 0 and Path("c:2.bmp").is_file()


@pytest.mark.parametrize("is_variable", [True, False])
def test_lost_times_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, is_variable: bool) -> None:
    """A y4m of a video of a variable rate says that the times are lost, one of a constant rate nothing."""
    source = tmp_path / "a.mkv"
    choice = "not(eq(mod(n,3),1))" if is_variable else "1"
    line = [ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.4", "-vf", f"select='{choice}'"]
    subprocess.run([*line, *ffmpeg.passthrough_flags(), str(source)], check=True)
    conversion.convert(source, tmp_path / "a.y4m", Conversion())
    assert ("its rate varies, which y4m and pictures lose" in caplog.text) == is_variable


@pytest.mark.parametrize("route", ["ffmpeg", "float"])
@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("a.png", "RGBA", "has transparency, which is dropped"),
        ("a.png", "P", "has transparency, which is dropped"),
        ("a.tif", "CMYK", "has CMYK colours, which become RGB"),
        ("a.tif", "RGB", "has 3 pictures, of which the first is taken"),
        ("a.png", "L", None),
    ],
)
def test_what_pictures_lose_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, route: str, name: str, mode: str, words: str | None
) -> None:
    """One line for a folder, by whatever route, and for a pair made of it."""
    (tmp_path / "in").mkdir()
    picture = Image.new(mode, (16, 16))
    more = {"save_all": True, "append_images": [picture, picture]} if words and "3 pictures" in words else {}
    picture.save(tmp_path / "in" / name, **({"transparency": 0} if mode == "P" else {}), **more)
    assert convert.main([str(tmp_path / "in"), str(tmp_path / "a.y4m"), "--route", route]) == 0
    assert degrade.main([str(tmp_path / "in"), str(tmp_path / "pairs")]) == 0
    assert [message.split(name)[1] for message in caplog.messages] == [f": {words}"] * 2 * bool(words)


@pytest.mark.parametrize(("name", "mode"), [("a.webp", "RGB"), ("a.tif", "LAB")])
def test_pictures_that_ffmpeg_does_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, mode: str
) -> None:
    """The sentence names the route that does."""
    picture = Image.new(mode, (16, 16))
    more = {"save_all": True, "append_images": [picture.rotate(90), Image.new(mode, (16, 16), "red")]}
    picture.save(tmp_path / name, **(more if mode == "RGB" else {}))
    line = [str(tmp_path), str(tmp_path / "out.y4m")]
    assert convert.main(line) == 1 and "`convert --route float` does" in capsys.readouterr().err
    assert convert.main([*line, "--route", "float"]) == 0


def test_a_cmyk_photograph_has_no_alpha(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FFmpeg gives a CMYK JPEG as RGB with a fourth plane; the colours are Pillow's, the word is CMYK."""
    Image.new("CMYK", (16, 16), (40, 90, 10, 30)).save(tmp_path / "a.jpg", quality=95)
    assert convert.main([str(tmp_path / "a.jpg"), str(tmp_path / "a.y4m")]) == 0
    assert "from CMYK" in caplog.text and "alpha" not in caplog.text
    clip = y4m.Clip(tmp_path / "a.y4m")
    rgb = color.planes_to_rgb(clip.frame(0), 8, clip.header.layout)
    assert np.abs(rgb[8, 8].astype(int) - np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB"))[8, 8]).max() <= 3


@pytest.mark.parametrize(
    "tokens",
    [
        "Im A1:1 C420",
        f"Ip A1:1 C420 XNOTE={'x' * 200}",
        "Ip Cmono XCOLORRANGE=FULL",
        "Ip Cmono",
        "Ip Cmono XCOLORRANGE=LIMITED",
    ],
)
def test_both_routes_give_the_same_pictures_whatever_the_header(tmp_path: Path, tokens: str) -> None:
    """Mixed fields and a line beyond ffmpeg's 80 bytes, both of which it refused."""
    header = y4m.parse_header(f"YUV4MPEG2 W16 H16 F25:1 {tokens}\n".encode(), "clip")
    with y4m.create(tmp_path / "a.y4m", header) as writer:
        writer.write(
            tuple(
                np.full(shape, value, np.uint8)
                for shape, value in zip(header.plane_shapes, (60, 128, 128), strict=False)
            )
        )
    found = []
    for route in ("ffmpeg", "float"):
        assert convert.main([str(tmp_path / "a.y4m"), str(tmp_path / route), "--route", route]) == 0
        found.append(np.asarray(Image.open(tmp_path / route / "000001.png").convert("L")).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1


@pytest.mark.parametrize(
    ("matrix", "name", "is_lost"),
    [("bt709", "a.y4m", True), ("bt709", "a%3d.png", False), ("smpte170m", "a.y4m", False)],
)
def test_a_matrix_that_y4m_loses_is_said(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    matrix: str,
    name: str,
    is_lost: bool,
) -> None:
    """By convert and by predict, where the video says one that y4m is not read by."""
    line = [ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.2", "-pix_fmt", "yuv420p"]
    subprocess.run([*line, "-colorspace", matrix, str(tmp_path / "in.mkv")], check=True)
    conversion.convert(tmp_path / "in.mkv", tmp_path / name, Conversion())
    assert ("BT.709, which y4m loses" in caplog.text) == is_lost
    name = name.replace("a", "b")
    assert predict.main([str(tmp_path / "in.mkv"), str(tmp_path / name), "--model", "bicubic", "--frames", "0-1"]) == 0
    assert ("BT.709, which y4m loses" in capsys.readouterr().err) == is_lost

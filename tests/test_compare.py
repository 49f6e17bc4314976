"""The verb `compare`: what is laid out where, wipe, heat, audio, frame counts, every message."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import textured_frame
from youku.__main__ import main
from youku.pages import compare_canvas, compare_clips
from youku.pages.compare_canvas import Sheet
from youku.pages.crops import Box
from youku.video import color, ffmpeg, interpolate, y4m
from youku.video.clips import Opened
from youku.video.recording import open_recording
from youku.video.y4m import Planes

WIDTH, HEIGHT, STRIP = 160, 96, round(1.6 * compare_canvas.LEAST_FONT_PX)
HEADER = y4m.make_header(WIDTH, HEIGHT)


def write(path: Path, frames: list[Planes], header: y4m.Header = HEADER) -> Path:
    with y4m.create(path, header) as writer:
        for planes in frames:
            writer.write(planes)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path, Path]:
    """high (160x96), pred (half its luma contrast), low (40x24); four frames."""
    high = [textured_frame(HEADER, index) for index in range(4)]
    pred = [((planes[0] // 2 + 45).astype(np.uint8), *planes[1:]) for planes in high]
    low = [interpolate.downscale(planes, HEADER, 4) for planes in high]
    return (
        write(tmp_path / "high.y4m", high),
        write(tmp_path / "pred.y4m", pred),
        write(tmp_path / "low.y4m", low, HEADER.resized(40, 24)),
    )


def still(*arguments: object, frame: int = 2) -> np.ndarray:
    """The PNG that the verb draws."""
    out = Path(str(arguments[0])).parent / "cmp.png"
    assert main(["compare", *map(str, arguments), "--out", str(out), "--frame", str(frame)]) == 0
    return np.asarray(Image.open(out))


def rgb(path: Path, frame: int = 2) -> np.ndarray:
    clip = y4m.Clip(path)
    return color.planes_to_rgb(clip.frame(frame), 8, clip.header.layout)


def test_side_by_side_shows_the_very_pixels(clips: tuple[Path, ...]) -> None:
    """B.1: twice the width, left and right exact, labels in a strip above; A is the left one."""
    high, pred, _ = clips
    canvas = still(high, pred)
    assert canvas.shape == (STRIP + HEIGHT, 2 * WIDTH, 3)
    assert np.array_equal(canvas[STRIP:, :WIDTH], rgb(high)) and np.array_equal(canvas[STRIP:, WIDTH:], rgb(pred))
    for half in (canvas[:STRIP, :WIDTH], canvas[:STRIP, WIDTH:]):
        assert (half > 200).any()


def test_smaller_versions_are_enlarged_by_the_kit_bicubic(
    clips: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three panels of the largest size; the small one is `interpolate.upscale`, and its label says so."""
    high, pred, low = clips
    labels: list[tuple[str, ...]] = []
    draw = compare_canvas.compose
    monkeypatch.setattr(
        compare_canvas, "compose", lambda sheet, *rest: labels.append(sheet.labels) or draw(sheet, *rest)
    )
    canvas = still(low, pred, high)
    clip = y4m.Clip(low)
    large = interpolate.upscale(clip.frame(2), clip.header, 4)
    assert np.array_equal(canvas[STRIP:, :WIDTH], color.planes_to_rgb(large, 8, HEADER.layout))
    assert canvas.shape[1] == 3 * WIDTH and labels == [("low (40x24, bicubic x4)", "pred", "high")]


def test_odd_factors_keep_a_flat_picture_flat_and_a_ramp_in_place() -> None:
    """97x55 to 388x220 and 2.5 times: planes of the target's shapes, luma ramp on the same places."""
    for size, target in (((97, 55), (388, 219)), ((40, 24), (100, 60))):
        small, large = HEADER.resized(*size), HEADER.resized(*target)
        ramp = np.tile(np.linspace(20, 220, size[0]), (size[1], 1)).astype(np.uint8)
        planes = (ramp, *(np.full(shape, 90, np.uint8) for shape in small.plane_shapes[1:]))
        out = compare_clips.enlarged(planes, small, large)
        assert tuple(plane.shape for plane in out) == large.plane_shapes and set(np.unique(out[1])) == {90}
        middle = (np.arange(target[0]) + 0.5) * size[0] / target[0] - 0.5
        expected = np.interp(middle, np.arange(size[0]), ramp[0])
        assert np.abs(out[0][10, 8:-8] - expected[8:-8]).max() < 2


def test_zoom_repeats_the_region_and_outlines_it(clips: tuple[Path, ...]) -> None:
    """Every pixel of the region is a 2x2 square below; around the region runs a line, inside nothing changes."""
    high, pred, _ = clips
    canvas = still(high, pred, "--zoom", "20,10,40,30")
    picture, box = canvas[STRIP : STRIP + HEIGHT, :WIDTH], rgb(high)[10:40, 20:60]
    assert np.array_equal(picture[10:40, 20:60], box)
    assert (picture[9, 19:61] == compare_canvas.MARK).all() and (picture[9:41, 60] == compare_canvas.MARK).all()
    row = canvas[2 * STRIP + HEIGHT :, :WIDTH]
    assert row.shape[0] == 120 and np.array_equal(row, box.repeat(4, 0).repeat(4, 1))  # the region fills its cell
    row = still(high, pred, "--zoom", "20,10,40,30", "--magnify", "2")[2 * STRIP + HEIGHT :, :WIDTH]
    assert row.shape[0] == 60 and np.array_equal(row[:, 40:120], box.repeat(2, 0).repeat(2, 1))


def test_full_is_advised_where_it_helps_alone(clips: tuple[Path, ...], capsys: pytest.CaptureFixture) -> None:
    """A wipe of a small clip is whole already, although its cells are narrower than the picture."""
    line = [str(clips[0]), str(clips[1]), "--out", "a.png", "--frame", "0", "--zoom", f"0,0,{WIDTH},{HEIGHT}", "--wipe"]
    assert main(["compare", *line]) == 1
    assert "W may be" in (said := capsys.readouterr().err) and "--full" not in said
    with pytest.raises(ValueError, match="or give --full"):
        compare_clips.zoom_box("0,0,900,9", 2, (3840, 2160), 1440, 1920)


def test_zoom_of_a_wipe_shows_every_version(clips: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The region of each version, unwiped, in its share of the width, under the version's name."""
    high, pred, low = clips
    heads: list[tuple[str, ...]] = []
    draw = compare_canvas.strip
    monkeypatch.setattr(compare_canvas, "strip", lambda texts, *rest: heads.append(texts) or draw(texts, *rest))
    canvas = still(high, pred, "--wipe", "--zoom", "60,10,40,30")
    assert canvas.shape == (2 * STRIP + HEIGHT + 60, WIDTH, 3)
    row = canvas[2 * STRIP + HEIGHT :]
    for path, cell in zip((high, pred), np.split(row, 2, axis=1), strict=True):
        assert np.array_equal(cell, rgb(path)[10:40, 60:100].repeat(2, 0).repeat(2, 1))
    assert heads == [("high, reference", "pred"), ("high, x2: 40x30 at 60,10",), ("pred, x2: 40x30 at 60,10",)]
    row = still(high, pred, low, "--wipe", "--zoom", "60,10,10,10")[2 * STRIP + HEIGHT :]  # 53 px a cell, 159 in all
    for index, path in enumerate((high, pred)):
        cell = row[:, 53 * index : 53 * (index + 1)]
        assert np.array_equal(cell[:, 1:51], rgb(path)[10:20, 60:70].repeat(5, 0).repeat(5, 1))
        assert (cell[:, [0, 51, 52]] == compare_canvas.BACKGROUND).all()
    assert (row[:, 159] == compare_canvas.BACKGROUND).all()


@pytest.mark.parametrize(
    ("width", "magnify", "num_cells", "times"),
    [(320, None, 1, 6), (320, None, 2, 3), (900, None, 1, 2), (320, 1, 2, 1)],
)
def test_magnification_fills_the_cell_where_none_is_given(
    width: int, magnify: int | None, num_cells: int, times: int
) -> None:
    """Whole times that fit the cell, at least 2; a number given is kept."""
    found = compare_clips.zoom_box(f"0,0,{width},90", magnify, (1920, 1080), 1920 // num_cells)
    assert found == (Box(0, 0, 90, width), times)


@pytest.mark.parametrize(
    ("aspect", "size"), [("16:15", (171, 96)), ("1:2", (160, 192)), ("1:1", (160, 96)), ("1:2147483647", (160, 96))]
)
def test_oblong_pixels_are_shown_in_their_shape(
    aspect: str, size: tuple[int, int], clips: tuple[Path, ...], capsys: pytest.CaptureFixture
) -> None:
    """Whichever version tells it, and no line or column is lost; what no picture has is left out."""
    high, pred, _ = clips
    header = y4m.parse_header(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A{aspect} C420mpeg2\n".encode(), "tape")
    tape = write(high.with_name("tape.y4m"), [y4m.Clip(high).frame(index) for index in range(4)], header)
    canvas = still(pred, tape)
    assert canvas.shape[1] == size[0] * 2
    shown = f"shown at {size[0]}x{size[1]}\n"
    assert (shown in capsys.readouterr().err) == (size != (WIDTH, HEIGHT))


def test_wide_canvases_are_shrunk_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Three pictures of 1002 px stand in 2880 px, detail in whole pixels; --full keeps all; the first is the reference."""
    header = y4m.make_header(1002, 20)
    paths = [tmp_path / f"{name}.y4m" for name in "abc"]
    for path in paths:
        with y4m.create(path, header) as writer:
            writer.write(tuple(np.full(shape, 90, np.uint8) for shape in header.plane_shapes))
    how = ["--out", str(tmp_path / "out.png"), "--frame", "0", "--zoom", "0,0,400,10"]
    for more, width in (([], 2880), (["--full"], 3006)):
        assert main(["compare", *map(str, paths), *how, *more]) == 0
        with Image.open(tmp_path / "out.png") as canvas:
            assert canvas.width == width
        told = capsys.readouterr()
        assert ("pictures of 1002x20 are shown at 960x19; --full" in told.err) == (not more)
        meant = "PSNR is likeness to it, and quality where it is the truth"  # which an old film has not
        assert f"1 frame, reference a; {meant}\nb against a: identical luma" in told.out


def test_heat_maps_show_the_luma_error(clips: tuple[Path, ...]) -> None:
    """B - A in code values: exact copies are black, errors get brighter, the key stands below A."""
    high, pred, _ = clips
    canvas = still(high, pred, high, "--heat", "--heat-max", "40")
    row = canvas[2 * STRIP + HEIGHT :]
    error = np.abs(y4m.Clip(high).frame(2)[0].astype(float) - y4m.Clip(pred).frame(2)[0])
    assert (
        np.array_equal(row[:, WIDTH : 2 * WIDTH], compare_canvas.heat_map(error, 40)) and not row[:, 2 * WIDTH :].any()
    )
    assert len(np.unique(row[:, :WIDTH].reshape(-1, 3), axis=0)) > 60  # the colour bar
    light = compare_canvas.heat_map(np.arange(0, 50)[None], 40).astype(int).sum(axis=2)[0]
    assert (np.diff(light[:41]) > 0).all() and len(set(light[40:])) == 1


def test_wipe_swings_over_the_whole_picture() -> None:
    """At 0 s half and half; a quarter period later all of one, three quarters later all of the other."""
    black, white = np.zeros((4, 100, 3), np.uint8), np.full((4, 100, 3), 90, np.uint8)
    first = compare_canvas.wiped([black, white], 0)
    assert (first[:, :47] == 0).all() and (first[:, 53:] == 90).all() and (first[:, 49:51] == compare_canvas.INK).all()
    assert (compare_canvas.wiped([black, white], compare_canvas.WIPE_SECONDS / 4)[:, :97] == 0).all()
    assert (compare_canvas.wiped([black, white], compare_canvas.WIPE_SECONDS * 3 / 4)[:, 3:] == 90).all()
    third = compare_canvas.wiped([black, white, black], 0)
    assert (third[:, 36:64] == 90).all() and not third[:, 70:].any() and not black.any()


@pytest.mark.parametrize(("height", "half_px"), [(4, 1), (719, 1), (720, 2)])
def test_the_wipe_line_is_seen_on_bright_pictures(height: int, half_px: int) -> None:
    """Dark bands beside the light line, all twice as wide from 720 lines on."""
    bright = np.full((height, 100, 3), 255, np.uint8)
    drawn = compare_canvas.wiped([bright, bright], 0)
    dark, light = (drawn == compare_canvas.BACKGROUND).all(axis=(0, 2)), (drawn == compare_canvas.INK).all(axis=(0, 2))
    assert np.flatnonzero(light).tolist() == list(range(50 - half_px, 50 + half_px))
    assert np.flatnonzero(dark | light).tolist() == list(range(50 - 3 * half_px, 50 + 3 * half_px))
    assert (drawn[:, ~(dark | light)] == 255).all()


@pytest.mark.parametrize("name", ["a\nb", "sur\udcff", "\u7247"])
def test_names_that_cannot_be_drawn_become_letters(name: str) -> None:
    """Lines, bytes that are no UTF-8, and signs that Pillow's own font has not; a label that was given is refused."""
    versions = [compare_clips.Version(Path(f"{one}.y4m"), Opened(HEADER, [])) for one in (name, "b")]
    assert compare_clips.version_labels(None, versions, (WIDTH, HEIGHT)) == ("A", "b")
    with pytest.raises(ValueError, match="write the labels in ASCII"):
        compare_clips.version_labels(f"{name},b", versions, (WIDTH, HEIGHT))


def test_long_labels_are_cut_and_drawn_at_every_size() -> None:
    """A label never runs into its neighbour; text grows with the picture."""
    text = compare_canvas.shortened("a very long name of a clip", 80, 14)
    assert text.endswith("...") and text.startswith("a ver") and compare_canvas.shortened("x", 80, 14) == "x"
    heights = []
    for height, width in ((270, 480), (1080, 1920)):
        sheet = Sheet(labels=("A", "B"))
        picture, luma = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.float32)
        canvas = compare_canvas.compose(sheet, [picture] * 2, [luma] * 2, 0)
        rows = np.flatnonzero((canvas[:-height, :width] > 200).any(axis=(1, 2)))
        heights.append(rows[-1] - rows[0] + 1)
    assert heights[0] >= 9 and heights[1] >= 2 * heights[0]  # capital letters, in lines


def test_canvas_sides_are_even() -> None:
    """4:2:0 wants it, whatever the pictures' sizes."""
    sheet = Sheet(labels=("A", "B", "C"), zoom=Box(1, 1, 5, 5), heat_max=32)
    picture, luma = np.zeros((55, 97, 3), np.uint8), np.zeros((55, 97), np.float32)
    height, width = compare_canvas.compose(sheet, [picture] * 3, [luma] * 3, 0).shape[:2]
    assert width == 3 * 97 + 1 and height % 2 == 0


def test_video_has_every_frame_and_the_psnr(
    clips: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The mp4 has the frames in order, close to the canvas; --json tells each version's luma PSNR."""
    high, pred, _ = clips
    out = tmp_path / "cmp.mp4"
    assert main(["compare", str(high), str(pred), "--out", str(out), "--json", "--crf", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    squared = [np.square(a[0].astype(float) - b[0]).mean() for a, b in zip(y4m.Clip(high), y4m.Clip(pred), strict=True)]
    assert told["frames"] == 4 and told["versions"][0]["is_reference"]
    assert told["versions"][1]["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.mean(squared)), abs=1e-4)
    with open_recording(out) as reader:
        frames = list(reader)
    assert len(frames) == 4 and frames[0][0].shape == (STRIP + HEIGHT + (STRIP + HEIGHT) % 2, 2 * WIDTH)
    for index, planes in enumerate(frames):  # the luma of what was drawn: the stripes' own colours leave RGB
        luma = color.rgb_to_planes(rgb(high, index), HEADER.layout)[0].astype(float)
        assert np.abs(planes[0][STRIP : STRIP + HEIGHT, :WIDTH] - luma).mean() < 1


@pytest.mark.parametrize("tone_sec", [1, 0.05, None])
def test_audio_of_the_first_is_carried_over(
    clips: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tone_sec: float | None
) -> None:
    """A with a tone gives a comparison with a tone, and every picture, whichever ends first; without one there is none."""
    monkeypatch.chdir(tmp_path)
    high, pred, _ = clips
    first, out = high, Path("c:mp.mp4")
    if tone_sec:
        first = tmp_path / "loud.mkv"
        tone = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={tone_sec}", "-c:a", "pcm_s16le"]
        uneven = ["-vf", "setpts=N*N*TB*100", "-fps_mode", "vfr"]
        line = [ffmpeg.binary(), "-v", "error", "-i", str(high), *tone, *uneven, "-c:v", "ffv1", str(first)]
        subprocess.run(line, check=True)
    assert main(["compare", str(first), str(pred), "--out", str(out), "--wipe"]) == 0
    probe = subprocess.run(
        [ffmpeg.binary(), "-i", str(out.absolute())], capture_output=True, text=True, check=False
    ).stderr
    assert ("Audio: aac" in probe) == bool(tone_sec) and "Video: h264" in probe
    with open_recording(out) as written, open_recording(first) as source:
        times = [[time * each.tick for time in each.times] for each in (written, source) if list(each)]
    assert times[0] == times[1] and len(times[0]) == 4


def test_different_lengths_name_both_counts(
    clips: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """No video of unequal clips, nothing left behind; --max-frames takes what both have; a decoded clip is counted too."""
    high, pred, _ = clips
    short, out = write(tmp_path / "short.y4m", list(y4m.Clip(pred))[:3]), tmp_path / "cmp.mp4"
    assert main(["compare", str(high), str(short), "--out", str(out)]) == 1
    err = capsys.readouterr().err
    assert "high.y4m has 4" in err and "short.y4m has 3" in err and "--max-frames 3" in err
    streamed = compare_clips.Version(high, Opened(HEADER, y4m.Clip(high)))
    with ExitStack() as stack, pytest.raises(ValueError, match=r"high.y4m has 4, .*short.y4m has 3"):
        list(compare_clips.in_step([streamed, compare_clips.open_version(short, stack)], None))
    assert not out.exists() and not list(tmp_path.glob(".cmp*"))
    assert main(["compare", str(high), str(short), "--out", str(out), "--max-frames", "3"]) == 0


def test_deep_clips_compare_with_shallow_ones(clips: tuple[Path, ...]) -> None:
    """10 bit of the same picture differs by nothing in code values of 8 bit."""
    high = clips[0]
    header = y4m.make_header(WIDTH, HEIGHT, chroma="420p10")
    frames = [tuple(plane.astype(np.uint16) * 4 for plane in planes) for planes in y4m.Clip(high)]
    deep = write(high.with_name("deep.y4m"), frames, header)
    assert not still(high, deep, "--heat")[2 * STRIP + HEIGHT :, WIDTH:].any()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["HIGH", "--out", "x.mp4"], 2, "two or three clips"),
        (["HIGH", "PRED", "--out", "x.avi"], 2, "ends in .mp4 or .png"),
        (["HIGH", "PRED", "--out", "x.png"], 2, "--frame N goes with"),
        (["HIGH", "PRED", "--out", "x.mp4", "--heat", "--wipe"], 2, "drop --wipe or --heat"),
        (["HIGH", "PRED", "--out", "x.mp4", "--labels", "one"], 2, "expected 2 labels"),
        (["HIGH", "PRED", "--out", "x.mp4", "--labels", "a,\u4e2d"], 2, "labels in ASCII"),
        (["HIGH", "PRED", "--out", "x.mp4", "--zoom", "1,2,3"], 2, "expected X,Y,W,H"),
        (["HIGH", "PRED", "--out", "x.mp4", "--zoom", "150,0,20,20"], 1, "inside the picture of 160x96"),
        (["HIGH", "PRED", "--out", "x.mp4", "--zoom", "0,0,100,20"], 1, "W may be 80"),
        (["HIGH", "PRED", "--out", "x.mp4", "--zoom", "0,0,50,20", "--wipe"], 1, "its cell of 80; W may be 40"),
        (["HIGH", "PRED", "--out", "x.mp4", "--zoom", "0,0,50,20", "--magnify", "0"], 2, "--magnify 1 or more"),
        (["HIGH", "PRED", "--out", "x.png", "--frame", "4"], 1, "ends before it"),
        (["HIGH", "WIDE", "--out", "x.mp4"], 1, "of another shape"),
        (["HIGH", "absent.y4m", "--out", "x.mp4"], 1, "absent.y4m: no such file"),
        (["HIGH", "TEXT", "--out", "x.mp4"], 1, "neither a y4m clip nor a video"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], status: int, words: str, clips: tuple[Path, ...], capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each wrong use says what was expected, and nothing is written."""
    folder = clips[0].parent
    monkeypatch.chdir(folder)
    wide = y4m.make_header(96, 24)
    write(folder / "wide.y4m", [textured_frame(wide, index) for index in range(4)], wide)
    (folder / "notes.txt").write_text("no video")
    names = {"HIGH": "high.y4m", "PRED": "pred.y4m", "WIDE": "wide.y4m", "TEXT": "notes.txt"}
    try:
        found = main(["compare", *(names.get(word, word) for word in arguments)])
    except SystemExit as error:
        found = error.code
    assert found == status and words in capsys.readouterr().err
    assert not list(folder.glob("x.*"))


def test_no_clip_is_written_over(clips: tuple[Path, ...]) -> None:
    """--out may not be one of the inputs."""
    own = clips[0].rename(clips[0].with_name("own.mp4"))
    before = own.read_bytes()
    assert main(["compare", str(own), str(clips[1]), "--out", str(own)]) == 1
    assert own.read_bytes() == before

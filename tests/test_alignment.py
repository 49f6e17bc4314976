"""alignment: offsets, shifts and brightness are measured, good pairs pass, bad ones are named."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_clip
from youku import contest, degrade
from youku.video import alignment, file_names, interpolate, pictures, resize, y4m
from youku.video.degradation import PRESETS, degrade_frames

VID4 = Path(__file__).parents[2] / "shared/data/vid4"
SCALE = 4
HEADER = y4m.make_header(256, 192)
NUM_FRAMES = 9


@cache
def scene(num_frames: int = NUM_FRAMES) -> list[y4m.Planes]:
    """A textured picture seen by a camera that moves 1 pixel right a frame, and down faster and faster."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(30, 200, (40, 50))
    wide = resize.resize(coarse, 320, 400, "bicubic") + resize.resize(
        rng.normal(0, 12, (160, 200)), 320, 400, "bicubic"
    )
    frames = []
    for index in range(num_frames):
        luma = wide[index * index // 2 : index * index // 2 + 192, index : index + 256]
        chroma = np.full((96, 128), 128, np.uint8)
        frames.append((np.clip(luma, 0, 255).astype(np.uint8), chroma, chroma))
    return frames


def make(folder: Path, lows: list[y4m.Planes], highs: list[y4m.Planes], clip_id: int = 0) -> tuple[int, Path, Path]:
    low_header = HEADER.resized(HEADER.width // SCALE, HEADER.height // SCALE)
    low = write_clip(folder / contest.low_name(clip_id), low_header, lows)
    return clip_id, low, write_clip(folder / contest.high_name(clip_id), HEADER, highs)


def small(frames: list[y4m.Planes]) -> list[y4m.Planes]:
    return [interpolate.downscale(planes, HEADER, SCALE) for planes in frames]


def rolled(frames: list[y4m.Planes], down: int, right: int) -> list[y4m.Planes]:
    return [(np.roll(planes[0], (down, right), (0, 1)), *planes[1:]) for planes in frames]


@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in ("blur+tone", "darken")])
def test_pairs_that_degrade_makes_are_good(tmp_path: Path, preset: str) -> None:
    """Blur, noise, every resizer and every codec leave frames, pixels and brightness where they were."""
    lows = list(degrade_frames(scene(), HEADER, PRESETS[preset], 3))
    found = alignment.measure(*make(tmp_path, lows, scene()))
    assert alignment.faults(found) == [] and found.offset_frames == 0
    assert abs(found.shift_x_px) < 0.1 and abs(found.shift_y_px) < 0.1


@pytest.mark.parametrize("offset", [-3, -1, 1, 2])
def test_a_frame_offset_is_found_although_the_camera_moves(tmp_path: Path, offset: int) -> None:
    """A pan that could be taken for a shift is told from it: frame i of the low clip shows frame i + offset."""
    film = scene(NUM_FRAMES + 3)
    start = max(0, offset)
    lows, highs = film[start : start + NUM_FRAMES], film[start - offset : start - offset + NUM_FRAMES]
    found = alignment.measure(*make(tmp_path, small(lows), highs))
    assert found.offset_frames == offset
    assert abs(found.shift_x_px) < 0.1 and abs(found.shift_y_px) < 0.1
    assert any(("ahead" if offset > 0 else "behind") in words for words in alignment.faults(found))


@pytest.mark.parametrize(("down", "right"), [(0, 2), (-3, 5), (8, 0)])
def test_a_shift_is_found_to_a_tenth_of_a_small_pixel(tmp_path: Path, down: int, right: int) -> None:
    """The high clip moved by large pixels gives the opposite shift of the low one, in small pixels."""
    found = alignment.measure(*make(tmp_path, small(scene()), rolled(scene(), down, right)))
    assert found.shift_x_px == pytest.approx(-right / SCALE, abs=0.1)
    assert found.shift_y_px == pytest.approx(-down / SCALE, abs=0.1)
    assert alignment.faults(found) == ["shifted"]


def test_brightness_is_measured(tmp_path: Path) -> None:
    """A low clip of 0.8 contrast and 10 code values brighter is told so, and refused for it alone."""
    lows = [(np.clip(low[0] * 0.8 + 10, 0, 255).astype(np.uint8), *low[1:]) for low in small(scene())]
    mean = float(np.mean([planes[0].mean() for planes in small(scene())]))
    found = alignment.measure(*make(tmp_path, lows, scene()))
    assert found.gain == pytest.approx(0.8, abs=0.03)
    assert found.brightness == pytest.approx(10 - 0.2 * mean, abs=1.5)
    assert alignment.faults(found) == ["brightness"]


def test_other_pictures_sizes_counts_and_flat_frames_are_refused(tmp_path: Path) -> None:
    """What is no pair at all is said in its own words."""
    other = [tuple(np.ascontiguousarray(plane[::-1, ::-1]) for plane in planes) for planes in scene()]
    assert alignment.faults(alignment.measure(*make(tmp_path, small(other), scene()))) == ["different pictures"]
    assert "8 frames against 9" in alignment.faults(alignment.measure(*make(tmp_path, small(scene())[:8], scene())))
    flat = [tuple(np.full_like(plane, 90) for plane in planes) for planes in scene()]
    assert "flat pictures" in alignment.faults(alignment.measure(*make(tmp_path, small(flat), flat)))[0]
    clip_id, low, _ = make(tmp_path, small(scene()), scene())
    odd = write_clip(
        tmp_path / "odd.y4m", HEADER.resized(250, 192), [y4m.crop(f, HEADER.layout, 0, 0, 192, 250) for f in scene()]
    )
    assert alignment.faults(alignment.measure(clip_id, low, odd)) == ["the sizes have no whole factor"]


def test_single_frames_are_compared(tmp_path: Path) -> None:
    """Pairs cut from pictures have one frame each, and no offset to find."""
    found = alignment.measure(*make(tmp_path, small(scene(1)), scene(1)))
    assert alignment.faults(found) == [] and found.offset_frames == 0


def test_check_names_the_bad_ones_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of every pair on stdout; on stderr one sentence with the bad ids, a lonely half among them."""
    make(tmp_path, small(scene()), scene(), 3)
    make(tmp_path, small(scene()), rolled(scene(), 0, 8), 4)
    write_clip(tmp_path / contest.high_name(9), HEADER, scene(1))
    assert degrade.main(["--check", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["clip", "00003", "00004"]
    assert "2 bad of 3" in err and "00004 (shifted)" in err and "Youku_00009_h_GT.y4m" in err and "00003" not in err
    for name in (contest.low_name(4), contest.high_name(4), contest.high_name(9)):
        (tmp_path / name).unlink()
    assert degrade.main(["--check", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["faults"] == []


def test_a_shared_shift_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two clips made by taking each block's top left pixel share 0.375 small pixels, and the cause is named."""
    for clip_id in (0, 1):
        lows = [(np.ascontiguousarray(planes[0][::SCALE, ::SCALE]), *low[1:])
                for planes, low in zip(scene(), small(scene()), strict=True)]  # fmt: skip
        make(tmp_path, lows, scene(), clip_id)
    found = [alignment.measure(*pair) for pair in alignment.find_pairs(tmp_path)[0]]
    assert alignment.common_shift(found) == pytest.approx((0.375, 0.375), abs=0.1)
    assert degrade.main(["--check", str(tmp_path)]) == 1
    assert "phase of the resizer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_folders_without_pairs_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """No folder, or nothing of the contest's names in it."""
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    assert degrade.main(["--check", str(folder)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1 and str(folder) in message


@pytest.mark.skipif(not VID4.is_dir(), reason="needs ../shared/data/vid4")
@pytest.mark.parametrize(("kind", "shift"), [("BI", 0.0), ("BD", 0.375)])
def test_real_clips_of_both_phases(tmp_path: Path, kind: str, shift: float) -> None:
    """Vid4's calendar: bicubic lies right, the blurred and top-left sampled version 0.375 small pixels off."""
    paths = []
    for folder, name in ((f"calendar_LRx4_{kind}", contest.low_name(0)), ("calendar_GT", contest.high_name(0))):
        found = file_names.find_pictures(VID4 / folder)[:5]
        header = y4m.make_header(*pictures.common_size(found))
        paths.append(write_clip(tmp_path / name, header, list(pictures.to_planes(found, header))))
    found_alignment = alignment.measure(0, *paths)
    assert found_alignment.shift_x_px == pytest.approx(shift, abs=0.1)
    assert found_alignment.shift_y_px == pytest.approx(shift, abs=0.1)
    assert (alignment.faults(found_alignment) == []) == (shift == 0)

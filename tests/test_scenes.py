"""Cuts: found between shots, not in pans, fades, noise or behind letterbox bars."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.test_motion import texture
from youku.video import motion, standin, y4m
from youku.video.recording import open_recording

REAL = Path(__file__).parents[2] / "shared/data"


def find_cuts(frames: Iterable[y4m.Planes]) -> list[int]:
    """Numbers of the frames that differ from the one before by a cut."""
    pairs = itertools.pairwise(planes[0] for planes in frames)
    return [index for index, (before, luma) in enumerate(pairs, 1) if motion.is_cut(before, luma)]


def change(previous: np.ndarray, luma: np.ndarray, depth: int = 8) -> float:
    return motion.lost_share(motion.thumbnail(previous, depth), motion.thumbnail(luma, depth))


def shots() -> tuple[np.ndarray, np.ndarray]:
    """Luma of two unlike scenes, 256x144, wider than a frame so that a camera can pan."""
    one = texture(144, 400)
    other = 255 - texture(144, 400, smooth_px=5)[::-1, ::-1]
    return one.astype(np.uint8), other.astype(np.uint8)


def test_a_cut_is_found_and_a_pan_is_not() -> None:
    """Panning at 12 pixels a frame is one shot; the scene's change at frame 4 is the only cut."""
    frames = [(scene[:, 12 * index :][:, :256],) for scene in shots() for index in range(4)]
    assert find_cuts(frames) == [4]
    assert motion.is_cut(frames[3][0], frames[4][0])
    assert not motion.is_cut(frames[0][0], frames[1][0])


def test_the_same_frame_has_no_change() -> None:
    """Zero for equal frames, flat ones included."""
    flat = np.full((54, 96), 16, np.uint8)
    assert change(shots()[0], shots()[0]) == 0
    assert change(flat, flat) == 0


def test_a_cut_between_flat_frames_is_found() -> None:
    """Black to white has no detail to compare with, and is a cut all the same; black to nearly black is none."""
    black, nearly, white = (np.full((54, 96), value, np.uint8) for value in (16, 17, 235))
    assert motion.is_cut(black, white)
    assert not motion.is_cut(black, nearly)


def test_a_fade_is_no_cut() -> None:
    """A fade to black in 12 frames, 1 / 12 of the contrast a frame, is one shot."""
    scene = shots()[0][:, :256]
    frames = [((scene * (1 - index / 12)).astype(np.uint8),) for index in range(13)]
    assert find_cuts(frames) == []


def test_noise_is_no_cut() -> None:
    """Strong grain (sigma 12) on a still picture does not cut it: thumbnails average it away."""
    rng = np.random.default_rng(0)
    scene = texture(270, 480, smooth_px=8)
    frames = [(np.clip(scene + rng.normal(0, 12, scene.shape), 0, 255).astype(np.uint8),) for _ in range(3)]
    assert find_cuts(frames) == []


def test_letterbox_bars_do_not_hide_a_cut() -> None:
    """Bars over two fifths of the height are the same before and after; the picture between them counts."""
    frames = []
    for scene in shots():
        barred = scene[:, :256].copy()
        barred[:29] = barred[-29:] = 16
        frames.append((barred,))
    assert find_cuts(frames) == [1]


def test_depth_changes_nothing() -> None:
    """10 bit frames give the same change as their 8 bit originals."""
    one, other = shots()
    deep = [plane.astype(np.uint16) << 2 for plane in (one, other)]
    assert change(one, other) == change(*deep, depth=10)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 200), (7, 5), (24, 32), (271, 481)])
def test_any_size_works(height: int, width: int) -> None:
    """Odd, tiny and narrow frames have thumbnails that compare with themselves as unchanged."""
    frame = texture(height, width).astype(np.uint8) if min(height, width) > 1 else np.zeros((1, 1), np.uint8)
    assert max(motion.thumbnail(frame).shape) <= 145
    assert not motion.is_cut(frame, frame)


def test_the_stand_in_clip_with_a_cut() -> None:
    """The demo's clip of two photographs has its one cut in the middle, and a plain one has none."""
    cut = next(scene for scene in standin.VAL_SCENES if len(scene.photos) == 2)
    plain = next(scene for scene in standin.VAL_SCENES if len(scene.photos) == 1)
    assert find_cuts(standin.scene_frames(cut, 8)) == [4]
    assert find_cuts(standin.scene_frames(plain, 8)) == []


@pytest.mark.skipif(not (REAL / "video").is_dir(), reason="needs the real clips of ../shared/data")
def test_a_film_has_its_five_cuts() -> None:
    """bikes (250 frames, fast passing cars, six shots seen by eye): every cut is found and nothing else."""
    with open_recording(str(REAL / "video/bikes_640x272_250f.mp4")) as reader:
        assert find_cuts(reader) == [30, 76, 137, 187, 242]


@pytest.mark.skipif(not (REAL / "y4m").is_dir(), reason="needs the real clips of ../shared/data")
@pytest.mark.parametrize("name", ["park_joy_480x270_10f.y4m", "foreman_352x288_60f.y4m", "c420_640x360_3f.y4m"])
def test_single_shots_have_none(name: str) -> None:
    """Hand-held and tracking shots are not cut."""
    assert find_cuts(y4m.Clip(REAL / "y4m" / name)) == []

"""Bars and the survey of a clip: what is found, what must not be taken for bars, one pass over the frames."""

from __future__ import annotations

import numpy as np
import pytest

from youku.looking import clip_measures
from youku.video import letterbox, standin, y4m
from youku.video.letterbox import Bars
from youku.video.y4m import Planes

HEADER = y4m.make_header(96, 64)


def frame(seed: int, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, unit: int = 1) -> Planes:
    """A coloured noisy picture of 96x64 between bars with codec noise."""
    rng = np.random.default_rng(seed)
    luma = rng.integers(14, 20, (64, 96))
    luma[top : 64 - bottom, left : 96 - right] = rng.integers(60, 200, (64 - top - bottom, 96 - left - right))
    chroma = [rng.integers(90, 170, (32, 48)) for _ in "UV"]
    dtype = np.uint8 if unit == 1 else np.uint16
    return tuple((plane * unit).astype(dtype) for plane in (luma, *chroma))


def find_bars(frames: list[Planes], depth: int = 8) -> Bars:
    """Bars that all the frames share."""
    rows, columns = zip(*(letterbox.lit_lines(planes[0], depth) for planes in frames), strict=True)
    return letterbox.bars_of((np.any(rows, axis=0), np.any(columns, axis=0)))


@pytest.mark.parametrize("unit", [1, 4])
def test_bars_on_every_side(unit: int) -> None:
    """Rows and columns of noisy black are counted, at 8 and at 10 bit."""
    sides = {"top": 8, "bottom": 7, "left": 4, "right": 12}
    frames = [frame(seed, unit=unit, **sides) for seed in range(3)]
    assert find_bars(frames, 8 if unit == 1 else 10) == Bars(**sides)


def test_a_bar_is_black_in_every_frame() -> None:
    """One frame that lights the rows ends the bar: a fade or a dark scene is none."""
    assert find_bars([frame(0, top=20), frame(1, top=6)]) == Bars(top=6)
    assert not find_bars([frame(0, top=20), frame(1)])


def test_black_clips_and_small_spots_have_no_bars() -> None:
    """Black throughout, a lamp in the dark, a single dark line at the rim: no bars."""
    black = frame(0, top=32, bottom=32)
    lamp = (black[0].copy(), *black[1:])
    lamp[0][30:40, 40:50] = 200
    assert not find_bars([black]) and not find_bars([lamp])
    assert not find_bars([frame(0, top=1)])


def test_cut_keeps_whole_chroma_samples() -> None:
    """The box and its header agree in every plane, also with odd bars and odd frames."""
    for header in (HEADER, HEADER.resized(97, 65), y4m.make_header(96, 64, chroma="444")):
        planes = tuple(np.zeros(shape, np.uint8) for shape in header.plane_shapes)
        for bars in (Bars(), Bars(top=8, bottom=8), Bars(top=7, bottom=5, left=3, right=9)):
            inside = letterbox.picture_header(header, bars)
            cut = letterbox.picture(planes, header, bars)
            assert tuple(plane.shape for plane in cut) == inside.plane_shapes


def test_the_cut_picture_holds_no_bar() -> None:
    """What is cut out of a barred frame has no bars itself."""
    bars = Bars(top=8, bottom=7, left=4, right=12)
    picture = letterbox.picture(frame(0, 8, 7, 4, 12), HEADER, bars)
    assert not find_bars([picture]) and picture[0].min() >= 60


def test_stand_in_clip_with_bars_and_cut() -> None:
    """The stand-in clips' own bars (24 lines) and cut are found; a clip without has none."""
    barred = next(scene for scene in standin.VAL_SCENES if scene.has_bars)
    found = clip_measures.survey(barred.header, standin.scene_frames(barred, 4))
    assert found.bars == Bars(top=standin.BAR_PX, bottom=standin.BAR_PX) and found.cuts == ()
    two = next(scene for scene in standin.VAL_SCENES if len(scene.photos) == 2)
    frames = list(standin.scene_frames(two, 6))
    found = clip_measures.survey(two.header, frames)
    assert found.cuts == (3,) and not found.bars and not found.is_grey
    assert found.differences[2] == max(found.differences)


def test_statistics_equal_numpy() -> None:
    """Least, mean, most and spread of each plane over all frames; the histogram holds every luma sample."""
    frames = [frame(seed) for seed in range(3)]
    found = clip_measures.survey(HEADER, iter(frames))
    for index, told in enumerate(found.planes):
        values = np.stack([planes[index] for planes in frames]).astype(np.float64)
        assert (told.least, told.most) == (values.min(), values.max())
        assert (told.mean, told.std) == (pytest.approx(values.mean()), pytest.approx(values.std()))
    assert found.num_frames == 3 and found.luma_counts.sum() == 3 * 96 * 64
    first = np.abs(frames[1][0].astype(float) - frames[0][0]).mean()
    assert found.differences == (pytest.approx(first), found.differences[1]) and len(found.differences) == 2


def test_depth_does_not_change_the_figures() -> None:
    """A 10-bit clip of the same picture gives the figures of 8 bit."""
    deep = y4m.make_header(96, 64, chroma="420p10")
    eight, ten = (clip_measures.survey(header, [frame(0, unit=unit)]) for header, unit in ((HEADER, 1), (deep, 4)))
    assert eight.planes == ten.planes and np.array_equal(eight.luma_counts, ten.luma_counts)


def test_grey_is_neutral_chroma() -> None:
    """128 with codec noise is grey, mono too; colour and sepia are not."""
    luma = frame(0)[0]
    rng = np.random.default_rng(0)
    assert clip_measures.is_grey((luma, *(rng.integers(126, 131, (32, 48), dtype=np.uint8) for _ in "UV")))
    assert clip_measures.is_grey((luma,)) and not clip_measures.is_grey(frame(0))
    assert not clip_measures.is_grey((luma, np.full((32, 48), 118, np.uint8), np.full((32, 48), 138, np.uint8)))


def test_no_frames_is_an_error() -> None:
    """An empty source is said, not divided by."""
    with pytest.raises(ValueError, match="got 0"):
        clip_measures.survey(HEADER, [])

"""Information measures and sharpness: known values, the report's bands, what blur and enlargement do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from youku.looking import clip_measures
from youku.video import resize, y4m
from youku.video.y4m import Header, Planes

DATA = Path(__file__).parents[2] / "shared/data"
HEADER = y4m.make_header(64, 48)


def frame(luma: np.ndarray, header: Header = HEADER) -> Planes:
    """Neutral chroma around a luma plane."""
    return luma, *(np.full(shape, 128, luma.dtype) for shape in header.plane_shapes[1:])


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64), dtype=np.uint8)


def test_entropy_of_known_distributions() -> None:
    """Flat 0, two equal halves 1 bit, 256 equal codes 8 bits, 1/4 and 3/4 the textbook's 0.8113; never negative."""
    assert clip_measures.entropy(np.full((8, 8), 77, np.uint8)) == 0
    assert clip_measures.entropy(np.array([[16, 235]] * 4, np.uint8)) == 1
    assert clip_measures.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8)
    assert clip_measures.entropy(np.array([[0, 1, 1, 1]], np.uint16)) == pytest.approx(0.811278, abs=1e-6)


def test_noise_does_not_compress_and_flat_pictures_vanish() -> None:
    """Noise keeps nearly all of its bits; a flat frame shrinks over fifty times."""
    assert 1 < clip_measures.lossless_ratio(frame(noise()), HEADER) < 1.3
    assert clip_measures.lossless_ratio(frame(np.full((48, 64), 90, np.uint8)), HEADER) > 50


def test_softer_pictures_compress_better() -> None:
    """The same picture enlarged 4x has a larger ratio than one with detail at every pixel."""
    small = noise()[:12, :16].astype(np.float64)
    soft = resize.to_integers(resize.resize(small, 48, 64))
    ratios = [clip_measures.lossless_ratio(frame(luma), HEADER) for luma in (noise(), soft)]
    assert ratios[1] > 1.15 * ratios[0]


def test_measure_is_the_mean_of_the_first_three_frames() -> None:
    """Frames after the third do not count; a clip of two frames is measured on both."""
    frames = [frame(noise(seed)) for seed in range(3)]
    found = clip_measures.measure_information(HEADER, [*frames, frame(np.zeros((48, 64), np.uint8))])
    assert found.num_frames == 3 and found == clip_measures.measure_information(HEADER, frames)
    assert found.ratio == pytest.approx(np.mean([clip_measures.lossless_ratio(one, HEADER) for one in frames]))
    assert clip_measures.measure_information(HEADER, iter(frames[:2])).num_frames == 2
    with pytest.raises(ValueError, match="got 0"):
        clip_measures.measure_information(HEADER, [])


@pytest.mark.parametrize(
    ("ratio", "words", "about"),
    [
        (2.0, "helps:", "3"),
        (3.07, "helps:", "3"),
        (5.35, "helps little", "5.7"),
        (5.7, "helps little", "5.7"),
        (18, "does n", "18"),
    ],
)
def test_verdicts_follow_the_bands_of_the_report(ratio: float, words: str, about: str) -> None:
    """About 3 helps, 5.7 little, 18 nothing, and the figure is named; a blank start is called unknown."""
    assert clip_measures.verdict(ratio).startswith(words)
    assert ("noise" in clip_measures.verdict(ratio)) == (words == "helps:")  # it compresses no better than detail
    assert clip_measures.verdict(ratio).endswith(
        f"of that kind about {about} times smaller: old-film report, appendix D.4)"
    )
    assert clip_measures.verdict(ratio, entropy_bits=0.1).startswith("unknown")


def test_range_use_at_both_depths() -> None:
    """Samples under 16 and over 235 count, 16 and 235 do not; 10 bit is scaled by 4."""
    codes = np.array([[15, 16, 235, 236]], np.uint8)
    assert clip_measures.outside_percent(codes) == 50
    assert clip_measures.outside_percent(codes.astype(np.uint16) * 4, 10) == 50
    deep = y4m.make_header(4, 1, chroma="mono10")
    counts = clip_measures.survey(deep, [(codes.astype(np.uint16) * 4 + 3,)]).luma_counts  # cut, not rounded
    assert counts.shape == (256,) and counts[[15, 16, 235, 236]].tolist() == [1, 1, 1, 1]


def test_edge_width_of_ramps() -> None:
    """A hard edge is 1 px wide, a ramp over n steps n px; a step below 32 is no edge."""
    for width in (1, 4, 10):
        row = np.interp(np.arange(40), [10, 10 + width], [50, 200])
        assert clip_measures.edge_widths(np.tile(row, (3, 1))) == pytest.approx([width] * 3)
    assert clip_measures.edge_widths(np.array([[100.0, 131.0]])).size == 0


def test_rows_do_not_run_into_each_other() -> None:
    """The end of a row and the start of the next make no edge."""
    assert clip_measures.edge_widths(np.array([[10.0, 10.0], [200.0, 200.0]])).size == 0
    rising = np.array([[0.0, 40.0], [40.0, 80.0], [80.0, 120.0]])
    assert clip_measures.edge_widths(rising) == pytest.approx([1, 1, 1])


def test_enlargement_doubles_the_edge_spread_and_quarters_the_energy() -> None:
    """Bicubic x2 adds no detail: spread nearly doubles, gradient energy falls by about four."""
    small = np.kron(noise()[:12, :16] // 2 + 64, np.ones((4, 4), np.uint8))
    before = clip_measures.measure_sharpness(small)
    large = resize.to_integers(resize.resize(small.astype(np.float64), 96, 128))
    after = clip_measures.measure_sharpness(large)
    assert before.edge_spread_px == 1 and after.edge_spread_px is not None
    assert 1.4 < after.edge_spread_px < 2.2 and 2.2 < before.gradient_energy / after.gradient_energy < 4.5


def test_flat_planes_and_deep_planes() -> None:
    """A flat plane has no edge and no energy; 10 bit gives the figures of 8 bit."""
    flat = clip_measures.measure_sharpness(np.full((9, 9), 50, np.uint8))
    assert (flat.edge_spread_px, flat.gradient_energy, flat.contrast, flat.num_edges) == (None, 0, 0, 0)
    assert clip_measures.measure_sharpness(noise().astype(np.uint16) * 4, 10) == clip_measures.measure_sharpness(
        noise()
    )


@pytest.mark.skipif(not (DATA / "y4m/foreman_352x288_60f.y4m").exists(), reason="real clips are not here")
def test_real_clip_has_a_plausible_ratio() -> None:
    """Camera footage at its own size: a ratio near the report's best films, entropy near 7 bits."""
    clip = y4m.Clip(DATA / "y4m/foreman_352x288_60f.y4m")
    found = clip_measures.measure_information(clip.header, clip)
    assert 2 < found.ratio < 3.2 and 6.5 < found.entropy_bits < 7.5 and clip.header.fps > Fraction(20)

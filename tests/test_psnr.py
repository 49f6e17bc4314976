"""metrics.psnr: exact sums, pooling, and the papers' protocol."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from youku.exchange.totals import Reading
from youku.metrics import psnr
from youku.video import color
from youku.video.y4m import make_header

SET5 = Path(__file__).parents[2] / "shared/data/bench/Set5"


def random_planes(seed: int, width: int = 33, height: int = 21) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in make_header(width, height).plane_shapes)


def test_unsigned_samples_do_not_wrap() -> None:
    """0 against 255 is 0 dB both ways; uint8 minus uint8 would say 1 code."""
    black, white = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert psnr.y((black,), (white,)) == psnr.y((white,), (black,)) == 0.0


def test_y_equals_scikit_image() -> None:
    """Luma PSNR is scikit-image's."""
    pred, high = random_planes(0), random_planes(1)
    assert psnr.y(pred, high) == pytest.approx(peak_signal_noise_ratio(high[0], pred[0], data_range=255), abs=1e-9)


def test_yuv_is_four_one_one_at_even_sizes() -> None:
    """Pooled MSE is (4 MSE_Y + MSE_U + MSE_V) / 6 at 4:2:0."""
    pred, high = random_planes(0, 32, 20), random_planes(1, 32, 20)
    mse = [float(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(pred, high, strict=True)]
    assert psnr.yuv(pred, high) == pytest.approx(psnr.decibels((4 * mse[0] + mse[1] + mse[2]) / 6), abs=1e-9)


def test_yuv_weighs_by_samples_at_odd_sizes() -> None:
    """At 33x21 the chroma planes are 17x11: pooling counts samples, not the 4:1:1 rule."""
    pred, high = random_planes(0), random_planes(1)
    flat = [np.concatenate([plane.ravel() for plane in planes]).astype(float) for planes in (pred, high)]
    assert psnr.yuv(pred, high) == pytest.approx(psnr.decibels(float(np.mean((flat[0] - flat[1]) ** 2))), abs=1e-9)


def test_deep_samples_use_their_own_peak() -> None:
    """10-bit planes at peak 1023: the same relative error gives the same dB as 8 bit."""
    zero, full = np.zeros((4, 4), np.uint16), np.full((4, 4), 1023, np.uint16)
    assert psnr.y((zero,), (full,), depth=10) == pytest.approx(0.0)


def test_a_frame_is_measured_under_every_convention() -> None:
    """One call gives what the functions give alone, at any depth."""
    pred, high, header = random_planes(0), random_planes(1), make_header(33, 21)
    found = psnr.frame(pred, high, header)
    assert (found["yuv"], found["y"]) == (psnr.yuv(pred, high), psnr.y(pred, high))
    deep = [tuple(plane.astype(np.uint16) for plane in planes) for planes in (pred, high)]
    assert psnr.frame(*deep, make_header(33, 21, chroma="420p10"))["y"] == psnr.y(*deep, depth=10)


def test_rgb_is_measured_on_converted_pictures() -> None:
    """The rgb convention equals PSNR of both frames as 8-bit pictures."""
    pred, high, header = random_planes(0), random_planes(1), make_header(33, 21)
    pictures = [color.planes_to_rgb(planes, 8, header.layout) for planes in (pred, high)]
    wanted = peak_signal_noise_ratio(pictures[1], pictures[0], data_range=255)
    assert psnr.frame(pred, high, header)["rgb"] == pytest.approx(wanted, abs=1e-9)


def test_exact_match_is_infinite_and_stays_so_in_means() -> None:
    """Equal frames are inf dB, and a mean that contains one is inf."""
    planes = random_planes(0)
    assert psnr.yuv(planes, planes) == math.inf
    assert psnr.pool([[30.0, math.inf], [40.0]], "clip") == math.inf


def test_pools_differ_when_clips_differ_in_length() -> None:
    """clip: (30 + 40) / 2; frame: the longer clip weighs more."""
    clips = [[30.0, 30.0, 30.0], [40.0]]
    assert (psnr.pool(clips, "clip"), psnr.pool(clips, "frame")) == (35.0, 32.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Reading(psnr_planes="luma"), "yuv, y, rgb"),
        (lambda: psnr.pool([[30.0]], "median"), "clip, frame"),
        (lambda: psnr.pool([[30.0], []]), "at least one frame"),
        (lambda: psnr.squared_error(np.zeros((2, 2)), np.zeros((2, 3))), "one size"),
    ],
)
def test_mistakes_are_named(call: object, words: str) -> None:
    """A wrong convention, no frames, and unequal sizes say what was expected."""
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]

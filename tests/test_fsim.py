"""metrics.fsim: a reference's values, the properties of a similarity, and its limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from youku.metrics import fsim

BUTTERFLY = Path(__file__).parents[2] / "shared/data/bench/Set5/HR/butterfly.png"


def photograph(height: int = 128, width: int = 160) -> np.ndarray:
    """A crop of scikit-image's photographer, uint8."""
    return data.camera()[100 : 100 + height, 180 : 180 + width]


def noisy(high: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, high.shape)
    return np.clip(high + noise, 0, 255)


@pytest.mark.parametrize(
    ("size", "sigma", "expected"),
    [
        ((128, 160), 1, 0.9179214),
        ((128, 160), 3, 0.7509884),
        ((129, 151), 1, 0.9181714),
        ((129, 151), 3, 0.7492750),
        ((400, 320), 1, 0.8780452),
        ((400, 320), 3, 0.6366883),
    ],
)
def test_equals_piq(size: tuple[int, int], sigma: float, expected: float) -> None:
    """Within 1e-5 of piq 0.8.0, fsim(chromatic=False), on the same blurred photograph: another implementation."""
    high = photograph(*size).astype(float)
    assert fsim.plane(gaussian_filter(high, sigma), high) == pytest.approx(expected, abs=1e-5)


def test_equal_pictures_are_one() -> None:
    """FSIM(x, x) = 1, of a photograph and of a flat picture, which has no feature to weigh by."""
    high = photograph()
    assert fsim.plane(high, high) == pytest.approx(1.0, abs=1e-12)
    flat = np.full((64, 64), 100, np.uint8)
    assert fsim.plane(flat, flat) == 1.0


def test_symmetric() -> None:
    """FSIM(x, y) = FSIM(y, x)."""
    high = photograph()
    pred = noisy(high, 15)
    assert fsim.plane(pred, high) == pytest.approx(fsim.plane(high, pred), abs=1e-12)


@pytest.mark.parametrize("size", [(96, 112), (97, 107), (390, 386)])
def test_falls_with_blur_and_noise(size: tuple[int, int]) -> None:
    """More blur or more noise is always less similar, at even, odd and averaged-down sizes, and stays in (0, 1)."""
    high = data.camera()[100 : 100 + size[0], 110 : 110 + size[1]]
    blurred = [fsim.plane(gaussian_filter(high.astype(float), sigma), high) for sigma in (0.7, 1.5, 3, 6)]
    grainy = [fsim.plane(noisy(high, sigma), high) for sigma in (2, 5, 15, 40)]
    for values in (blurred, grainy):
        assert 1 > values[0] > values[1] > values[2] > values[3] > 0


def test_constant_brightness_hardly_counts() -> None:
    """A shift of all luma by 5 leaves features and gradients alone, where PSNR falls to 34 dB."""
    high = photograph().clip(10, 240)
    assert fsim.plane(high + 5, high) > 0.99


def test_phase_congruency_ignores_contrast_and_finds_the_edge() -> None:
    """A step is the strongest feature of its picture, and as strong at half the contrast."""
    step = np.full((96, 96), 60.0)
    step[:, 48:] = 180.0
    full, half = (fsim.phase_congruency(values)[20:76, 20:76] for values in (step, step / 2))
    assert np.abs(full - half).max() < 1e-3
    assert set(np.argmax(full, axis=1) + 20) <= {47, 48}
    assert full.min() >= 0 and full.max() <= 1


def test_gradient_of_a_ramp() -> None:
    """The Scharr kernels, 16 apart over two columns, give twice the slope of a ramp."""
    y, x = np.mgrid[:8, :9].astype(float)
    assert fsim.gradient(3 * x)[1:-1, 1:-1] == pytest.approx(6.0)
    assert fsim.gradient(3 * x + 4 * y)[1:-1, 1:-1] == pytest.approx(10.0)


def test_depth_is_brought_to_255() -> None:
    """A 10-bit plane is judged as the same picture in 8 bits."""
    high = photograph()
    pred = noisy(high, 10)
    assert fsim.plane(pred / 255 * 1023, high / 255 * 1023, depth=10) == pytest.approx(fsim.plane(pred, high), abs=1e-9)


def test_mistakes_are_named() -> None:
    """Tiny pictures, unequal sizes and colour pictures are refused in one sentence."""
    with pytest.raises(ValueError, match="picture 60x47 is smaller than 48 px"):
        fsim.plane(np.zeros((47, 60), np.uint8), np.zeros((47, 60), np.uint8))
    with pytest.raises(ValueError, match="two luma planes of one size"):
        fsim.plane(np.zeros((64, 64)), np.zeros((64, 65)))
    with pytest.raises(ValueError, match="two luma planes of one size"):
        fsim.plane(np.zeros((64, 64, 3)), np.zeros((64, 64, 3)))


def test_real_picture_ranks_as_eyes_do() -> None:
    """On Set5's butterfly, x2 bicubic is nearer than x3, x3 than x4."""
    if not BUTTERFLY.exists():
        pytest.skip(f"needs {BUTTERFLY}")
    from skimage.io import imread
    from skimage.transform import resize

    from youku.video import color

    high = color.luma_of_picture(imread(BUTTERFLY))
    values = []
    for scale in (2, 3, 4):
        low = resize(high, [side // scale for side in high.shape], order=3, anti_aliasing=True)
        values.append(fsim.plane(resize(low, high.shape, order=3), high))
    assert 1 > values[0] > values[1] > values[2] > 0.5

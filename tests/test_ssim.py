"""metrics.ssim: equal to scikit-image, pytorch-ssim's interface, and safe as a loss."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from youku.metrics import plane_ssim, ssim


def pair(height: int = 37, width: int = 52, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture in [0, 1] and a noisy copy, float64."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    high = 0.5 + 0.4 * np.sin(rows / 5) * np.cos(columns / 7)
    return np.clip(high + rng.normal(0, 0.05, high.shape), 0, 1), high


def reference(pred: np.ndarray, high: np.ndarray, data_range: float) -> float:
    return float(
        structural_similarity(
            pred, high, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=data_range
        )
    )


def tensors(*images: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(image)[None, None] for image in images]


@pytest.mark.parametrize(("height", "width"), [(11, 11), (37, 52), (64, 23)])
def test_equals_scikit_image_in_float64(height: int, width: int) -> None:
    """Within 1e-6 of structural_similarity with a Gaussian window, at even, odd and smallest sizes."""
    pred, high = pair(height, width)
    assert float(ssim.ssim(*tensors(pred, high))) == pytest.approx(reference(pred, high, 1.0), abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(30, 40), (54, 40), (101, 67)])
def test_plane_equals_scikit_image(height: int, width: int) -> None:
    """Integer planes, measured in strips: no row is lost or counted twice."""
    pred, high = ((image * 255).astype(np.uint8) for image in pair(height, width))
    assert ssim.plane(pred, high) == pytest.approx(reference(pred, high, 255), abs=1e-5)


def test_plane_forgets_the_tile_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tiles in a row, the last ones cut off below: what lies beyond their edge never grows into the value."""
    monkeypatch.setattr(plane_ssim, "TILE_PX", (16, 16))
    pred, high = ((image * 1023).astype(np.uint16) for image in pair(27, 1100))
    assert ssim.plane(pred, high, 10) == pytest.approx(reference(pred, high, 1023), abs=1e-5)


def test_scoring_loads_no_torch() -> None:
    """It takes longer to load than ten clips' planes to compare."""
    code = (
        "import sys, numpy as np\nfrom youku.exchange import score_clips, submission_checks, totals\n"
        "print(totals.plane_ssim.plane(*np.zeros((2, 20, 20), np.uint8)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "False"]


def test_equal_images_are_one() -> None:
    """SSIM(x, x) = 1."""
    _, high = pair()
    assert float(ssim.ssim(*tensors(high, high))) == pytest.approx(1.0, abs=1e-12)


def test_has_the_interface_of_pytorch_ssim() -> None:
    """ssim(img1, img2, window_size, size_average) and SSIM(window_size, size_average); (N,) without mean."""
    first, second = torch.rand(3, 2, 20, 24), torch.rand(3, 2, 20, 24)
    each = ssim.ssim(first, second, window_size=7, size_average=False)
    assert each.shape == (3,)
    assert torch.equal(ssim.SSIM(7, False)(first, second), each)
    assert float(ssim.SSIM(window_size=7, size_average=True)(first, second)) == pytest.approx(
        float(each.mean()), abs=1e-6
    )


def test_data_range_scales_the_constants() -> None:
    """The same pictures in 0-255 with data_range 255 give the same value."""
    pred, high = pair()
    unit, wide = ssim.ssim(*tensors(pred, high)), ssim.ssim(*tensors(pred * 255, high * 255), data_range=255)
    assert float(unit) == pytest.approx(float(wide), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradients_are_finite_on_flat_and_equal_inputs(value: float) -> None:
    """A flat picture against itself and against another flat one gives finite gradients."""
    for other in (value, 0.25):
        pred = torch.full((1, 1, 16, 16), value, requires_grad=True)
        ssim.ssim(pred, torch.full((1, 1, 16, 16), other)).backward()
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()


def test_gradient_is_right() -> None:
    """autograd agrees with finite differences in float64."""
    pred, high = tensors(*pair(8, 7))
    assert torch.autograd.gradcheck(lambda image: ssim.ssim(image, high, window_size=5), pred.requires_grad_())


def test_autocast_does_not_lower_the_precision() -> None:
    """Inside autocast, and for bfloat16 inputs, the work is done in float32."""
    pred, high = (image.float() for image in tensors(*pair()))
    plain = ssim.ssim(pred, high)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ssim.ssim(pred, high), plain)
        assert ssim.ssim(pred.bfloat16(), high.bfloat16()).dtype == torch.float32


def test_mistakes_are_named() -> None:
    """A picture smaller than the window and unequal shapes are refused."""
    with pytest.raises(ValueError, match="window 11 is larger than the image 10x20"):
        ssim.ssim(torch.rand(1, 1, 20, 10), torch.rand(1, 1, 20, 10))
    with pytest.raises(ValueError, match="one shape"):
        ssim.ssim(torch.rand(1, 1, 20, 20), torch.rand(1, 1, 20, 21))

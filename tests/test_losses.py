"""training.losses: each formula, the pitfalls that the docs name, and the grammar of sums; MS-SSIM."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from youku.metrics.ssim import ms_ssim, ssim
from youku.training import losses
from youku.training.losses import Loss, Term

CONTENT = list(losses.PIXEL)


def pictures(height: int = 24, width: int = 20, channels: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, high = torch.rand(2, 2, channels, height, width, generator=generator)
    return pred, high


def side_of(name: str) -> int:
    return 176 if name == "ms-ssim" else 24


def loss_of(text: str) -> Loss:
    return losses.make_loss(losses.parse(text))


def test_smooth_l1_of_beta_1_is_half_of_l2() -> None:
    """On [0, 1] no difference exceeds 1: the customary beta makes it L2 / 2 in value and gradient."""
    pred, high = pictures()
    pred.requires_grad_()
    smooth, squared = losses.smooth_l1(pred, high, 1.0), F.mse_loss(pred, high) / 2
    assert float(smooth.detach()) == pytest.approx(float(squared.detach()), abs=1e-7)
    torch.testing.assert_close(*(torch.autograd.grad(value, pred)[0] for value in (smooth, squared)))


def test_smooth_l1_of_the_default_beta_is_nearly_l1() -> None:
    """With 0.01 it is |d| - 0.005 above 0.01 and d^2 / 0.02 below."""
    difference = torch.tensor([0.5, 0.02, 0.005, 0.0]).view(4, 1, 1, 1)
    values = [float(loss_of("smooth-l1")(one[None], torch.zeros(1, 1, 1, 1))) for one in difference]
    assert values == pytest.approx([0.495, 0.015, 0.00125, 0.0], abs=1e-7)
    assert float(loss_of("smooth-l1:0.1")(*(x[None] for x in (difference[1], difference[3])))) == (
        pytest.approx(0.02**2 / 0.2, abs=1e-7)
    )


def test_charbonnier_of_equal_pictures_is_eps() -> None:
    """sqrt(0 + eps^2), 1e-3 unless given, with a gradient of 0."""
    pred, high = torch.full((1, 1, 4, 4), 0.5, requires_grad=True), torch.full((1, 1, 4, 4), 0.5)
    assert float(losses.charbonnier(pred, high).detach()) == pytest.approx(1e-3, rel=1e-6)
    assert float(loss_of("charbonnier:1e-2")(pred, high).detach()) == pytest.approx(1e-2, rel=1e-6)
    (pull,) = torch.autograd.grad(losses.charbonnier(pred, high), pred)
    assert pull.abs().max() == 0


def test_l1_l2_and_ssim_are_their_formulas() -> None:
    """Means over all elements, with no half; 1 - SSIM."""
    pred, high = pictures()
    for text, expected in {
        "l1": (pred - high).abs().mean(), "l2": ((pred - high) ** 2).mean(), "ssim": 1 - ssim(pred, high),
    }.items():  # fmt: skip
        assert float(loss_of(text)(pred, high)) == pytest.approx(float(expected), abs=1e-7)


def test_total_variation_is_of_the_prediction() -> None:
    """A ramp of 0.1 a column and 0.2 a row has 0.3, whatever the target."""
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(3.0), indexing="ij")
    ramp = (0.2 * y + 0.1 * x)[None, None]
    assert float(loss_of("tv")(ramp, torch.rand(1, 1, 4, 3))) == pytest.approx(0.3, abs=1e-6)


def test_spectral_l1_equals_numpy() -> None:
    """Mean absolute difference of real and imaginary parts of the orthonormal half spectrum."""
    pred, high = pictures()
    spectrum = np.fft.rfft2((pred - high).numpy(), norm="ortho")
    expected = (np.abs(spectrum.real) + np.abs(spectrum.imag)).mean() / 2
    assert float(loss_of("fft")(pred, high)) == pytest.approx(float(expected), rel=1e-5)


def test_log_mse_is_the_mean_of_decibels() -> None:
    """-10 / ln 10 times the loss is the mean over the patches of PSNR at peak 1, not the PSNR of their mean."""
    _, high = pictures()
    pred = high + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    value = float(loss_of("log-mse")(pred, high))
    assert -10 / math.log(10) * value == pytest.approx((20 + 40) / 2, abs=1e-3)
    assert math.isfinite(float(loss_of("log-mse")(high, high)))


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("kind", ["equal", "flat"])
def test_gradients_are_finite_on_flat_and_equal_pictures(name: str, kind: str) -> None:
    """Values and gradients stay finite where differences, variances and magnitudes are 0."""
    side = side_of(name)
    pred, high = pictures(side, side)
    pred = high.clone() if kind == "equal" else torch.full_like(high, 0.5)
    high = high if kind == "equal" else torch.full_like(high, 0.25)
    value = loss_of(name)(pred.requires_grad_(), high)
    value.backward()
    assert torch.isfinite(value) and pred.grad is not None and torch.isfinite(pred.grad).all()


@pytest.mark.parametrize("name", CONTENT)
def test_float32_whatever_autocast(name: str) -> None:
    """bf16 pictures inside autocast give the float32 loss of their values; tv alone ignores the target."""
    pred, high = (picture.bfloat16() for picture in pictures(side_of(name), side_of(name), 3))
    loss = loss_of(name)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(pred, high)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(pred.float(), high.float()))


@pytest.mark.parametrize("name", sorted(set(CONTENT) - {"tv"}))
def test_descending_brings_the_pictures_together(name: str) -> None:
    """A step against the gradient lowers L2 too: no sign is turned round."""
    side = side_of(name)
    high = gaussian_filter(np.random.default_rng(0).random((side, side)), 2)
    high = torch.from_numpy((high - high.min()) / np.ptp(high)).float()[None, None]
    pred = (high + 0.1 * pictures(side, side)[0][:1]).requires_grad_()
    (pull,) = torch.autograd.grad(loss_of(name)(pred, high), pred)
    nearer = pred.detach() - 0.01 * pull / pull.abs().max()
    assert F.mse_loss(nearer, high) < F.mse_loss(pred.detach(), high)


def ms_ssim_by_scipy(pred: np.ndarray, high: np.ndarray) -> float:
    """MS-SSIM of two planes, written out with scipy's Gaussian; even sizes only."""
    value = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):

        def blur(plane: np.ndarray) -> np.ndarray:
            return gaussian_filter(plane, 1.5, truncate=3.5)[5:-5, 5:-5]

        mean1, mean2 = blur(pred), blur(high)
        var1, var2 = blur(pred**2) - mean1**2, blur(high**2) - mean2**2
        contrast = (2 * (blur(pred * high) - mean1 * mean2) + 0.03**2) / (var1 + var2 + 0.03**2)
        luminance = (2 * mean1 * mean2 + 0.01**2) / (mean1**2 + mean2**2 + 0.01**2)
        value *= (contrast * luminance if scale == 4 else contrast).mean() ** weight
        height, width = (side // 2 for side in pred.shape)
        pred, high = (plane.reshape(height, 2, width, 2).mean(axis=(1, 3)) for plane in (pred, high))
    return float(value)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_ms_ssim_equals_scipy(sigma: float) -> None:
    """Within 1e-6 of the formula written out over five scales, in float64."""
    high = data.camera()[100:292, 180:404] / 255
    pred = np.clip(high + np.random.default_rng(0).normal(0, sigma, high.shape), 0, 1)
    value = ms_ssim(*(torch.from_numpy(plane)[None, None] for plane in (pred, high)))
    assert float(value) == pytest.approx(ms_ssim_by_scipy(pred, high), abs=1e-6)


def test_ms_ssim_shape_range_and_identity() -> None:
    """MS-SSIM(x, x) = 1, at the smallest odd size too; (N,) without the mean; data_range scales the constants."""
    first, second = (picture.double() for picture in pictures(161, 163, 3))
    assert float(ms_ssim(first, first)) == pytest.approx(1.0, abs=1e-9)
    each = ms_ssim(first, second, size_average=False)
    assert each.shape == (2,)
    assert float(ms_ssim(255 * first, 255 * second, data_range=255)) == pytest.approx(float(each.mean()), abs=1e-9)


def test_ms_ssim_is_finite_on_opposite_pictures() -> None:
    """A negative, whose covariance is negative at every scale, gives neither NaN nor a wild gradient."""
    _, high = pictures(176, 176)
    pred = (1 - high).requires_grad_()
    value = ms_ssim(pred, high)
    value.backward()
    assert 0 < float(value.detach()) < 0.01
    assert pred.grad is not None and torch.isfinite(pred.grad).all()


def test_ms_ssim_needs_more_than_160() -> None:
    """Sides up to 160 are refused with both sizes and what to do."""
    with pytest.raises(ValueError, match="sides over 160 px, got 300x160; use larger patches or ssim"):
        loss_of("ms-ssim")(*pictures(160, 300, 3))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("l1", ((1.0, "l1"),)),
        ("l1+0.2*ssim", ((1.0, "l1"), (0.2, "ssim"))),
        (
            "l2+0.01*vgg19:relu5_4+0.001*gan",
            ((1.0, "l2"), (0.01, "vgg19:relu5_4"), (0.001, "gan")),
        ),
        ("smooth-l1:0.01", ((1.0, "smooth-l1:0.01"),)),
        ("1e-3*ragan", ((0.001, "ragan"),)),
        ("1e+1 * l1 + 2E+0*charbonnier:1e-6", ((10.0, "l1"), (2.0, "charbonnier:1e-6"))),
        ("smooth-l1:1e-2+l2", ((1.0, "smooth-l1:1e-2"), (1.0, "l2"))),
        ("vgg19:pool2/mean+vgg19:conv5_4,l1", ((1.0, "vgg19:pool2/mean"), (1.0, "vgg19:conv5_4,l1"))),
    ],
)
def test_grammar(text: str, terms: tuple[tuple[float, str], ...]) -> None:
    """WEIGHT*TERM[:ARGUMENT] joined by +; numbers may have exponents with a sign, blanks do not matter."""
    parsed = losses.parse(text)
    found = [*parsed.pixel, *parsed.features, *filter(None, [parsed.adversarial])]
    assert tuple((term.weight, term.text) for term in found) == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not WEIGHT"),
        ("l3", "'l3' is not WEIGHT.*expected terms l1, l2, smooth-l1, .*ragan"),
        ("l1++l2", "'' is not WEIGHT"),
        ("l1+-1*l2", "'-1.l2' is not"),
        ("0*l1", "'0.l1' is not"),
        ("inf*l1", "'inf.l1' is not"),
        ("nan*l1", "'nan.l1' is not"),
        ("x*l1", "'x.l1' is not"),
        ("2*", "'2.' is not"),
        ("smooth-l1:", "'smooth-l1:' is not"),
        ("smooth-l1:0", "positive number after smooth-l1:, got '0'"),
        ("charbonnier:big", "positive number after charbonnier:, got 'big'"),
        ("l1:2", "l1 takes no argument, got '2'"),
        ("gan:2", "gan takes no argument"),
        ("texture:relu1_1", "texture takes no argument"),
        ("vgg19", "expected vgg19:LAYER"),
        ("vgg19:relu5_4/0", "a positive number or mean"),
        ("vgg19:relu5_4,l2", "with ,l1 at its end"),
        ("vgg16:relu5_4", "vgg16 has no layer 'relu5_4': expected conv or relu and 1_1 to 1_2"),
        ("l1+gan+1e-3*hinge", "has 2 adversarial terms, expected at most one"),
    ],
)
def test_what_does_not_parse_is_named(text: str, message: str) -> None:
    """One sentence with the whole text, the part at fault and what is expected."""
    with pytest.raises(ValueError, match=message) as caught:
        losses.parse(text)
    assert str(caught.value).startswith(f"loss {text!r}: ")


@given(st.text(alphabet="l12+*.e-:gansim/,vt _x", max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text leads to another error than ValueError, and what parses has positive finite weights."""
    try:
        terms = losses.parse(text)
    except ValueError:
        return
    found = [*terms.pixel, *terms.features, *filter(None, [terms.adversarial])]
    assert found and all(0 < term.weight < math.inf for term in found)


def test_sum_weighs_its_terms() -> None:
    """0.5*l2+2*l1 is 0.5 L2 + 2 L1."""
    pred, high = pictures()
    value = loss_of("0.5*l2+2*l1")(pred, high)
    assert float(value) == pytest.approx(
        0.5 * float(F.mse_loss(pred, high)) + 2 * float(F.l1_loss(pred, high)), rel=1e-6
    )


def test_adversarial_terms_are_left_to_the_trainer() -> None:
    """They add nothing to the content loss; alone, the loss is 0 with a gradient of 0 and not an error."""
    pred, high = pictures()
    mixed, plain = (loss_of(text)(pred, high) for text in ("l2+0.1*gan", "l2"))
    assert torch.equal(mixed, plain)
    assert losses.parse("l2+0.1*gan").adversarial == Term(0.1, "gan", None)
    assert losses.parse("l2").adversarial is None
    value = loss_of("1e-3*ragan")(pred.requires_grad_(), high)
    value.backward()
    assert float(value.detach()) == 0.0
    assert pred.grad is not None and pred.grad.abs().max() == 0

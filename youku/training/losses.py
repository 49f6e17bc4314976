"""Losses of pictures (N, C, H, W) in [0, 1], and weighted sums of them such as "l2+0.01*vgg19:relu5_4+0.001*gan".

A sum is WEIGHT*TERM[:ARGUMENT] joined by +. Content terms compare with the target, each a mean over all elements in
float32 whatever the precision of the network; one adversarial term may join, which the trainer works out with a
discriminator (youku.training.gan). Losses through VGG need a weights file (youku.training.vgg).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.metrics.ssim import ms_ssim, ssim
from youku.models.colours import Tensors
from youku.training.fields import to_number

if TYPE_CHECKING:
    from youku.training.gan import GanLoss
    from youku.training.vgg import FeatureDistance

Loss = Callable[[Tensor, Tensor], Tensor]

SMOOTH_L1_BETA = 0.01  # about 2.5 code values of 255
CHARBONNIER_EPS = 1e-3  # Lai et al. 2017 (LapSRN); with 1e-6 it would be plain L1
LOG_MSE_FLOOR = 1e-8  # 80 dB: keeps the gradient of an exact patch finite


def smooth_l1(pred: Tensor, high: Tensor, beta: float = SMOOTH_L1_BETA) -> Tensor:
    """mean of d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere [Girshick 2015, arXiv:1504.08083].

    beta is in the range of the pictures. The customary 1 suits 0-255: on [0, 1] no |d| exceeds it and the loss is
    half of L2, nothing else.
    """
    return F.smooth_l1_loss(pred, high, beta=beta)


def charbonnier(pred: Tensor, high: Tensor, eps: float = CHARBONNIER_EPS) -> Tensor:
    """mean sqrt(d^2 + eps^2) [Lai et al. 2017, arXiv:1704.03915]."""
    return torch.sqrt((pred - high) ** 2 + eps**2).mean()


def ssim_loss(pred: Tensor, high: Tensor) -> Tensor:
    """1 - SSIM, 11x11 Gaussian window of sigma 1.5 [Wang et al. 2004], a mean over the channels."""
    return 1 - ssim(pred, high)


def ms_ssim_loss(pred: Tensor, high: Tensor) -> Tensor:
    """1 - MS-SSIM over five scales [Wang et al. 2003]; 0.84*ms-ssim+0.16*l1 is near the mix of Zhao et al. 2017."""
    return 1 - ms_ssim(pred, high)


def total_variation(pred: Tensor, high: Tensor) -> Tensor:
    """mean |dx| + mean |dy| of the prediction alone (anisotropic) [Rudin et al. 1992]; smooths.

    SRGAN's 2e-8 belongs to a sum over the picture: multiply it by the number of elements.
    """
    across, down = pred[..., 1:] - pred[..., :-1], pred[..., 1:, :] - pred[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


def spectral_l1(pred: Tensor, high: Tensor) -> Tensor:
    """mean |d| over real and imaginary parts of the spectrum [Cho et al. 2021, arXiv:2108.05054].

    Orthonormal transform, so that the value does not grow with the patch; their weight 0.1 is for one without, and so
    corresponds to 0.1 sqrt(H W) here. Parts, not magnitude and phase: a phase has no gradient where the magnitude is 0.
    """
    return torch.view_as_real(torch.fft.rfft2(pred - high, norm="ortho")).abs().mean()


def log_mse(pred: Tensor, high: Tensor) -> Tensor:
    """mean over the patches of ln(MSE of the patch): what mean PSNR measures, in units of -10 / ln 10 dB.

    Weighs easy patches up; for fine-tuning under a weight average (--ema).
    """
    return torch.log(((pred - high) ** 2).mean(dim=(1, 2, 3)) + LOG_MSE_FLOOR).mean()


PIXEL: dict[str, Callable[..., Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "smooth-l1": smooth_l1,
    "charbonnier": charbonnier,
    "ssim": ssim_loss,
    "ms-ssim": ms_ssim_loss,
    "tv": total_variation,
    "fft": spectral_l1,
    "log-mse": log_mse,
}
FEATURES = ("vgg16", "vgg19", "texture")  # vgg.TERMS
ADVERSARIAL = ("gan", "lsgan", "wgan-gp", "hinge", "ragan")  # gan.TERMS
WITH_ARGUMENT = ("smooth-l1", "charbonnier", "vgg16", "vgg19")


def all_terms() -> list[str]:
    """Every name that a sum may hold."""
    return [*PIXEL, *FEATURES, *ADVERSARIAL]


MOST_LETTERS = 1000  # of a loss as text
Computes = TypeVar("Computes", covariant=True)


@dataclass(frozen=True)
class Term(Generic[Computes]):
    """One summand as written, name[:argument], its weight, and what it computes."""

    weight: float
    text: str
    computes: Computes = field(compare=False)


@dataclass(frozen=True)
class Terms:
    """A loss text, parsed, by what its summands look at: the pictures, their features in VGG, an adversary."""

    pixel: tuple[Term[Loss], ...]
    features: tuple[Term[FeatureDistance], ...]
    adversarial: Term[GanLoss] | None


def parse(text: str) -> Terms:
    """Terms of "l1", "0.5*l2+ssim", ...; ValueError names what does not parse."""
    if len(text) > MOST_LETTERS:
        raise ValueError(f"loss {text[:40]!r}...: has {len(text)} letters, expected at most {MOST_LETTERS}")
    pixel: list[Term[Loss]] = []
    features: list[Term[FeatureDistance]] = []
    adversarial: list[Term[GanLoss]] = []
    for part in re.split(r"(?<![\d.][eE])\+", re.sub(r"\s", "", text)):
        factor, star, term = part.rpartition("*")
        name, colon, argument = term.partition(":")
        weight = to_number(factor) if star else 1.0
        if name not in all_terms() or not weight > 0 or (colon and not argument):
            raise ValueError(
                f"loss {text!r}: {part!r} is not WEIGHT*TERM[:ARGUMENT]; expected terms {', '.join(all_terms())}, "
                "such as l1+0.2*ssim"
            )
        try:
            if argument and name not in WITH_ARGUMENT:
                raise ValueError(f"{name} takes no argument, got {argument!r}")
            if name in PIXEL:
                pixel.append(Term(weight, term, _of_pixels(name, argument)))
            elif name in FEATURES:
                from youku.training import vgg

                features.append(Term(weight, term, vgg.TERMS[name](name, argument)))
            else:
                from youku.training import gan

                adversarial.append(Term(weight, term, gan.TERMS[name]))
        except ValueError as error:
            raise ValueError(f"loss {text!r}: {part!r}: {error}") from None
    if len(adversarial) > 1:
        raise ValueError(
            f"loss {text!r}: has {len(adversarial)} adversarial terms, expected at most one; drop the others"
        )
    return Terms(tuple(pixel), tuple(features), adversarial[0] if adversarial else None)


def _of_pixels(name: str, argument: str) -> Loss:
    """A term of PIXEL, its number in the place of the default."""
    if not argument:
        return PIXEL[name]
    if not (number := to_number(argument)) > 0:
        raise ValueError(f"expected a positive number after {name}:, got {argument!r}")
    return lambda pred, high: PIXEL[name](pred, high, number)


def make_loss(terms: Terms, vgg_weights: str = "", device: torch.device | None = None) -> Loss:
    """The weighted sum of the content terms: (pred, high) -> scalar; without any, zero with a zero gradient.

    `vgg_weights` is the file for terms that look through VGG, which sees a luma picture three times.
    """
    through_vgg = None
    if features := [(term.weight, term.computes) for term in terms.features]:
        from youku.training import vgg

        through_vgg = vgg.make_distances(features, vgg_weights, device)

    def total(pred: Tensor, high: Tensor) -> Tensor:
        assert pred.shape == high.shape, (pred.shape, high.shape)
        with torch.autocast(pred.device.type, enabled=False):
            pred, high = pred.float(), high.float()
            values = [term.weight * term.computes(pred, high) for term in terms.pixel]
            values += through_vgg(pred, high) if through_vgg else []
            return torch.stack(values).sum() if values else 0 * pred.sum()

    return total


def over_tensors(loss: Loss, pred: Tensors, high: Tensors) -> Tensor:
    """The loss of the first tensor and, where there are more, of each of their planes as a picture of its own.

    Weighed by their samples: 4:1:1 for 4:2:0, so that l1 and l2 are means over all samples of a frame.
    """
    if len(pred) == 1:
        return loss(pred[0], high[0])
    values, total = [], sum(part.numel() for part in pred)
    for index, (own, truth) in enumerate(zip(pred, high, strict=True)):
        if index:
            own, truth = (part.flatten(0, 1)[:, None] for part in (own, truth))  # (N, C, h, w) -> (N C, 1, h, w)
        values.append(loss(own, truth) * (own.numel() / total))
    return torch.stack(values).sum()

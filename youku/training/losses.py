"""Losses of pictures (N, C, H, W) in [0, 1], and weighted sums of them such as "l2+0.01*vgg19:relu5_4+0.001*gan".

A sum is WEIGHT*TERM[:ARGUMENT] joined by +. Content terms compare with the target, each a mean over all elements in
float32 whatever the precision of the network; one adversarial term may join, which the trainer works out with a
discriminator (youku.training.gan_losses). Losses through VGG need a weights file (youku.training.vgg).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.metrics.ssim import ms_ssim, ssim
from youku.training import gan_losses, perceptual

Loss = Callable[[Tensor, Tensor], Tensor]

SMOOTH_L1_BETA = 0.01  # about 2.5 code values of 255
CHARBONNIER_EPS = 1e-3  # Lai et al. 2017 (LapSRN); with 1e-6 it would be plain L1
LOG_MSE_FLOOR = 1e-8  # 80 dB: keeps the gradient of an exact patch finite


@dataclass(frozen=True)
class Term:
    """One summand: weight * name[:argument]; `argument` is "" where none was given."""

    weight: float
    name: str
    argument: str


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


PIXEL: dict[str, Loss] = {
    "l1": F.l1_loss, "l2": F.mse_loss, "ssim": ssim_loss, "ms-ssim": ms_ssim_loss, "tv": total_variation,
    "fft": spectral_l1, "log-mse": log_mse,
}  # fmt: skip
WITH_NUMBER: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "smooth-l1": smooth_l1, "charbonnier": charbonnier,
}  # fmt: skip
NUMBERS: dict[str, float] = {"smooth-l1": SMOOTH_L1_BETA, "charbonnier": CHARBONNIER_EPS}

# every name that a sum may hold, with its argument and meaning
TERMS: dict[str, str] = {
    "l1": "mean absolute error",
    "l2": "mean squared error",
    "smooth-l1": "smooth-l1[:BETA]: squared below BETA (default 0.01), absolute above",
    "charbonnier": "charbonnier[:EPS]: sqrt(error^2 + EPS^2) (default 0.001)",
    "ssim": "1 - SSIM",
    "ms-ssim": "1 - MS-SSIM, patches over 160 px",
    "tv": "total variation of the prediction",
    "fft": "absolute error of the spectrum",
    "log-mse": "mean logarithm of each patch's squared error",
    "vgg16": "vgg16:LAYER[/DIVISOR][,l1]: squared (or absolute) error of VGG16 features, such as vgg16:relu2_2",
    "vgg19": "vgg19:LAYER[/DIVISOR][,l1]: the same for VGG19, such as vgg19:relu5_4/12.75 (SRGAN)",
    "texture": "Gram matrices of 16x16 patches of VGG19 features (EnhanceNet)",
    "gan": "adversarial, vanilla",
    "lsgan": "adversarial, least squares",
    "wgan-gp": "adversarial, Wasserstein with gradient penalty",
    "hinge": "adversarial, hinge",
    "ragan": "adversarial, relativistic average",
}


def parse(text: str) -> tuple[Term, ...]:
    """Terms of "l1", "0.5*l2+ssim", ...; ValueError names what does not parse."""
    terms = tuple(_parse_term(part, text) for part in re.split(r"(?<![\d.][eE])\+", re.sub(r"\s", "", text)))
    num_adversarial = sum(term.name in gan_losses.KINDS for term in terms)
    if num_adversarial > 1:
        raise ValueError(
            f"loss {text!r}: has {num_adversarial} adversarial terms, expected at most one; drop the others"
        )
    return terms


def adversarial_term(text: str) -> Term | None:
    """The GAN summand of a loss text, None when it has none."""
    return next((term for term in parse(text) if term.name in gan_losses.KINDS), None)


def needs_vgg(text: str) -> bool:
    """Whether a loss looks through a VGG network, whose weights the user must have."""
    return any(term.name in perceptual.NETS for term in parse(text))


def make_loss(text: str, colours: str = "rgb", vgg_weights: str = "", device: torch.device | None = None) -> Loss:
    """The weighted sum of the content terms of `text`: (pred, high) -> scalar; without any, zero with a zero gradient.

    `colours` is "rgb" or "y" (VGG then sees luma three times); `vgg_weights` the file for terms that look through VGG.
    """
    if colours not in ("rgb", "y"):
        raise ValueError(f"colours {colours!r}: expected rgb or y")
    terms = parse(text)
    plain = [(term.weight, _plain_loss(term)) for term in terms if term.name in PIXEL or term.name in WITH_NUMBER]
    seen = [term for term in terms if term.name in perceptual.NETS]
    through = [(term.weight, perceptual.of_term(term.name, term.argument)) for term in seen]
    judge = perceptual.make_judge(through, vgg_weights, device)
    num_channels = 1 if colours == "y" else 3

    def total(pred: Tensor, high: Tensor) -> Tensor:
        assert pred.shape == high.shape, (pred.shape, high.shape)
        assert not through or pred.shape[1] == num_channels, (pred.shape, colours)
        with torch.autocast(pred.device.type, enabled=False):
            pred, high = pred.float(), high.float()
            values = [weight * loss(pred, high) for weight, loss in plain]
            return torch.stack([*values, *judge(pred, high)]).sum() if values or through else 0 * pred.sum()

    return total


def _parse_term(part: str, text: str) -> Term:
    """One summand, its argument checked."""
    weight, star, rest = part.rpartition("*")
    name, colon, argument = rest.partition(":")
    value = _number(weight) if star else 1.0
    if name not in TERMS or not value > 0 or (colon and not argument):
        raise ValueError(
            f"loss {text!r}: {part!r} is not WEIGHT*TERM[:ARGUMENT]; expected terms {', '.join(TERMS)}, "
            "such as l1+0.2*ssim"
        )
    if name in WITH_NUMBER:
        if argument and not _number(argument) > 0:
            raise ValueError(f"loss {text!r}: {part!r}: expected a positive number after {name}:, got {argument!r}")
    elif name in perceptual.NETS:
        try:
            perceptual.of_term(name, argument)
        except ValueError as error:
            raise ValueError(f"loss {text!r}: {error}") from None
    elif argument:
        raise ValueError(f"loss {text!r}: {part!r}: {name} takes no argument, got {argument!r}")
    return Term(value, name, argument)


def _number(text: str) -> float:
    """The finite number that `text` writes, NaN for anything else."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _plain_loss(term: Term) -> Loss:
    """The function of a term that needs nothing but the two pictures."""
    if term.name in PIXEL:
        return PIXEL[term.name]
    loss, number = WITH_NUMBER[term.name], float(term.argument or NUMBERS[term.name])
    return lambda pred, high: loss(pred, high, number)

"""Content losses on float tensors (N, C, H, W) in [0, 1], and weighted sums of them such as "l1+0.2*ssim".

Each is a mean over all elements, computed in float32 whatever the precision of the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.metrics.ssim import ssim

Loss = Callable[[Tensor, Tensor], Tensor]

CHARBONNIER_EPS = 1e-3  # Lai et al. 2017 (LapSRN); with 1e-6 it would be plain L1


def charbonnier(pred: Tensor, high: Tensor) -> Tensor:
    """mean sqrt(d^2 + eps^2), eps 1e-3."""
    return torch.sqrt((pred - high) ** 2 + CHARBONNIER_EPS**2).mean()


def ssim_loss(pred: Tensor, high: Tensor) -> Tensor:
    """1 - SSIM, 11x11 Gaussian window of sigma 1.5 [Wang et al. 2004]."""
    return 1 - ssim(pred, high)


TERMS: dict[str, Loss] = {"l1": F.l1_loss, "l2": F.mse_loss, "charbonnier": charbonnier, "ssim": ssim_loss}


def parse(text: str) -> list[tuple[float, str]]:
    """[(weight, term)] of "l1", "0.5*l2+ssim", ...; ValueError names what does not parse."""
    terms = []
    for part in re.split(r"(?<![\d.]e)\+", text.replace(" ", "")):
        weight, star, name = part.rpartition("*")
        try:
            value = float(weight) if star else 1.0
        except ValueError:
            value = -1.0
        if name not in TERMS or not 0 < value < float("inf"):
            raise ValueError(
                f"loss {text!r}: {part!r} is not WEIGHT*TERM; expected terms {', '.join(TERMS)}, such as l1+0.2*ssim"
            )
        terms.append((value, name))
    if not terms:
        raise ValueError(f"loss {text!r}: expected at least one of {', '.join(TERMS)}")
    return terms


def make_loss(text: str) -> Loss:
    """The weighted sum that `text` describes."""
    terms = parse(text)

    def total(pred: Tensor, high: Tensor) -> Tensor:
        pred, high = pred.float(), high.float()
        return torch.stack([weight * TERMS[name](pred, high) for weight, name in terms]).sum()

    return total

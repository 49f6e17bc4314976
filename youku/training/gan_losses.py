"""Losses of a network against a discriminator: logits of real and made pictures -> one number for either side.

A discriminator gives one logit (or a map of them) a picture, without a sigmoid; every loss is a mean in float32.
Detach the prediction before the discriminator's own step. Sources stand at each pair of functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PENALTY_WEIGHT = 10.0  # Gulrajani et al. 2017, algorithm 1


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of adversarial training; both functions take (real logits, fake logits)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    relativistic: bool = False
    """Whether the generator's loss looks at the real logits too."""
    penalty_weight: float = 0.0
    """Factor of `gradient_penalty` in the discriminator's step; with one, no batch norm in the discriminator."""


def discriminator_loss(kind: str, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Loss of the discriminator, without the gradient penalty; lower when it tells the two apart."""
    return _kind(kind).discriminator(real_logits.float(), fake_logits.float())


def generator_loss(kind: str, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
    """Loss of the network; lower when its pictures pass for real. Only ragan needs the real logits."""
    chosen = _kind(kind)
    if real_logits is None:
        if chosen.relativistic:
            raise ValueError(f"GAN loss {kind}: compares with real pictures, but got no logits of them")
        real_logits = fake_logits.detach()
    return chosen.generator(real_logits.float(), fake_logits.float())


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], high: Tensor, pred: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """mean (|gradient at a random point between the pictures| - 1)^2 [Gulrajani et al. 2017, arXiv:1704.00028].

    Without its weight (Kind.penalty_weight). Float32 whatever autocast: a squared norm over a picture overflows fp16.
    Draws one number a picture from `generator` (on the processor), or from torch's global one.
    """
    with torch.autocast(high.device.type, enabled=False):
        high, pred = high.detach().float(), pred.detach().float()
        share = torch.rand(high.shape[0], 1, 1, 1, generator=generator).to(high.device)
        between = (share * high + (1 - share) * pred).requires_grad_()  # (N, C, H, W)
        logits = discriminator(between)
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        return ((torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1) ** 2).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(fake)) [Goodfellow et al. 2014, arXiv:1406.2661]."""
    return _passes(real) + _fails(fake)


def vanilla_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(fake), the form that does not saturate [Goodfellow et al. 2014, section 3; SRGAN]."""
    return _passes(fake)


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """0.5 ((D(real) - 1)^2 + D(fake)^2) [Mao et al. 2017, arXiv:1611.04076]."""
    return 0.5 * (((real - 1) ** 2).mean() + (fake**2).mean())


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """0.5 (D(fake) - 1)^2 [Mao et al. 2017]."""
    return 0.5 * ((fake - 1) ** 2).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """D(fake) - D(real) [Arjovsky et al. 2017, arXiv:1701.07875]; add the gradient penalty, take 5 such steps to one."""
    return fake.mean() - real.mean()


def wasserstein_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-D(fake) [Arjovsky et al. 2017]."""
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """relu(1 - D(real)) + relu(1 + D(fake)) [Miyato et al. 2018, arXiv:1802.05957]."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Real ones shall look more real than the mean fake one, and the reverse [Jolicoeur-Martineau 2018, arXiv:1807.00734]."""
    return _passes(real - fake.mean()) + _fails(fake - real.mean())


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The same with the parts exchanged, as a mean of the two: ESRGAN's weight 5e-3 belongs to that mean."""
    return 0.5 * (_fails(real - fake.mean()) + _passes(fake - real.mean()))


KINDS: dict[str, Kind] = {
    "gan": Kind(discriminator=vanilla_discriminator, generator=vanilla_generator),
    "lsgan": Kind(discriminator=least_squares_discriminator, generator=least_squares_generator),
    "wgan-gp": Kind(
        discriminator=wasserstein_discriminator, generator=wasserstein_generator, penalty_weight=PENALTY_WEIGHT
    ),
    "hinge": Kind(discriminator=hinge_discriminator, generator=wasserstein_generator),
    "ragan": Kind(discriminator=relativistic_discriminator, generator=relativistic_generator, relativistic=True),
}


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise ValueError(f"GAN loss {name!r}: expected one of {', '.join(KINDS)}")
    return KINDS[name]


def _passes(logits: Tensor) -> Tensor:
    """Cross-entropy of taking the logits for real: mean -log sigmoid."""
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def _fails(logits: Tensor) -> Tensor:
    """Cross-entropy of taking the logits for made: mean -log(1 - sigmoid)."""
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))

"""A GAN: losses of a network against a discriminator, and the discriminator that learns beside it, one update a step.

Logits of real and made pictures -> one number for either side. A discriminator gives one logit (or a map of them) a
picture, without a sigmoid; every loss is a mean in float32. Detach the prediction before the discriminator's own step. It
computes in float32 whatever the precision of the network; its weights, moments and figures are part of the checkpoint.
Sources stand at each entry of TERMS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.engines import weights
from youku.training.precision import load_moments, moments_of
from youku.training.ranks import ONE_PROCESS, Ranks

Mean = Callable[[Tensor], Tensor]
PENALTY_WEIGHT = 10.0  # Gulrajani et al. 2017, algorithm 1
TOO_SURE = 0.02  # a discriminator loss below this leaves the network nothing to learn from


@dataclass(frozen=True, kw_only=True)
class GanLoss:
    """One kind of adversarial training; both functions take (real logits, fake logits)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    penalty_weight: float = 0.0
    """Factor of `gradient_penalty` in the discriminator's step; with one, no batch norm in the discriminator."""
    is_relative: bool = False
    """Whether each logit is told by how far it lies above the mean of the other kind."""
    won_below: float = -math.inf
    """Loss of the discriminator below which it has won, where a mean near 0 says so."""

    def of_discriminator(self, real_logits: Tensor, fake_logits: Tensor, mean: Mean = torch.mean) -> Tensor:
        """Loss of the discriminator, without the gradient penalty; lower when it tells the two apart."""
        return self.discriminator(*self._seen(real_logits.float(), fake_logits.float(), mean))

    def of_network(self, real_logits: Tensor, fake_logits: Tensor, mean: Mean = torch.mean) -> Tensor:
        """Loss of the network; lower when its pictures pass for real. Only ragan looks at the real logits."""
        return self.generator(*self._seen(real_logits.float(), fake_logits.float(), mean))

    def _seen(self, real: Tensor, fake: Tensor, mean: Mean) -> tuple[Tensor, Tensor]:
        return (real - mean(fake), fake - mean(real)) if self.is_relative else (real, fake)


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], high: Tensor, pred: Tensor, draw: Callable[[int], Tensor] = torch.rand
) -> Tensor:
    """mean (|gradient at a random point between the pictures| - 1)^2 [Gulrajani et al. 2017, arXiv:1704.00028].

    Without its weight (GanLoss.penalty_weight). Float32 whatever autocast: a squared norm over a picture overflows fp16.
    `draw` gives a number in [0, 1) for each picture, on the processor.
    """
    with torch.autocast(high.device.type, enabled=False):
        high, pred = high.detach().float(), pred.detach().float()
        share = draw(len(high)).to(high.device)[:, None, None, None]
        between = (share * high + (1 - share) * pred).requires_grad_()  # (N, C, H, W)
        logits = discriminator(between)
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        return ((torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1) ** 2).mean()


def _passes(logits: Tensor) -> Tensor:
    """Cross-entropy of taking the logits for real: mean -log sigmoid."""
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def _fails(logits: Tensor) -> Tensor:
    """Cross-entropy of taking the logits for made: mean -log(1 - sigmoid)."""
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


TERMS: dict[str, GanLoss] = {
    # -log D(real) - log(1 - D(fake)), and -log D(fake), which does not saturate [Goodfellow et al. 2014, arXiv:1406.2661]
    "gan": GanLoss(
        discriminator=lambda real, fake: _passes(real) + _fails(fake),
        generator=lambda real, fake: _passes(fake),
        won_below=TOO_SURE,
    ),
    # 0.5 ((D(real) - 1)^2 + D(fake)^2), and 0.5 (D(fake) - 1)^2 [Mao et al. 2017, arXiv:1611.04076]
    "lsgan": GanLoss(
        discriminator=lambda real, fake: 0.5 * (((real - 1) ** 2).mean() + (fake**2).mean()),
        generator=lambda real, fake: 0.5 * ((fake - 1) ** 2).mean(),
        won_below=TOO_SURE,
    ),
    # D(fake) - D(real), and -D(fake) [Arjovsky et al. 2017, arXiv:1701.07875]; take 5 steps of the discriminator to one
    "wgan-gp": GanLoss(
        discriminator=lambda real, fake: fake.mean() - real.mean(),
        generator=lambda real, fake: -fake.mean(),
        penalty_weight=PENALTY_WEIGHT,
    ),
    # relu(1 - D(real)) + relu(1 + D(fake)), and -D(fake) [Miyato et al. 2018, arXiv:1802.05957]
    "hinge": GanLoss(
        discriminator=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        generator=lambda real, fake: -fake.mean(),
    ),
    # Real ones shall look more real than the mean fake one, and the reverse [Jolicoeur-Martineau 2018, arXiv:1807.00734].
    # The network's is the same with the parts exchanged, as a mean of the two: ESRGAN's weight 5e-3 belongs to that mean.
    "ragan": GanLoss(
        discriminator=lambda real, fake: _passes(real) + _fails(fake),
        generator=lambda real, fake: 0.5 * (_fails(real) + _passes(fake)),
        is_relative=True,
        won_below=TOO_SURE,
    ),
}


class Adversary:
    """Discriminator, its Adam, and figures since they were last taken."""

    def __init__(
        self, module: nn.Module, kind: GanLoss, weight: float, rate: float, ranks: Ranks = ONE_PROCESS
    ) -> None:
        self.module, self.kind, self.weight, self.rate = module, kind, weight, rate
        self.ranks = ranks
        ranks.share_statistics(module)
        self.optimizer = torch.optim.Adam(module.parameters(), rate)
        self.past: list[tuple[float, float, float]] = []

    def learn(self, pred: Tensor, high: Tensor, share: float = 1.0) -> None:
        """Add the gradient of real `high` and fake `pred` (N, C, H, W), a `share` of the next step."""
        with torch.autocast(pred.device.type, enabled=False):
            pred, high = pred.detach().float(), high.float()
            real, fake = self.module(high), self.module(pred)  # (N, C, H, W) -> logits (N, ...)
            loss = self.kind.of_discriminator(real, fake, self.ranks.batch_mean)
            if self.kind.penalty_weight:
                penalty = gradient_penalty(self.module, high, pred, self.ranks.uniform)
                loss = loss + self.kind.penalty_weight * penalty
            (share * loss).backward()
        self.past.append((loss.item(), real.mean().item(), fake.mean().item()))

    def step(self, rate_factor: float) -> None:
        """Move along the gradients gathered; the rate follows the network's schedule by its factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate_factor
        self.ranks.average(self.module)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def loss(self, pred: Tensor, high: Tensor) -> Tensor:
        """Weighted adversarial loss of the network's output; its gradient reaches `pred` alone."""
        self.module.requires_grad_(False)
        with torch.autocast(pred.device.type, enabled=False):
            fake, real = self.module(pred.float()), self.module(high.float())
            loss = self.weight * self.kind.of_network(real, fake, self.ranks.batch_mean)
        self.module.requires_grad_(True)
        return loss

    def take_figures(self) -> dict[str, float]:
        """Means since the last call, which then begin anew: the discriminator's loss, its logits of real and of fake."""
        past, self.past = self.past, []
        if not past:
            return {}
        means = [self.ranks.mean(sum(column) / len(past)) for column in zip(*past, strict=True)]
        return dict(zip(("d_loss", "d_real", "d_fake"), means, strict=True))

    def warning(self, figures: dict[str, float]) -> str:
        """A sentence when the figures show that the discriminator has won; empty otherwise."""
        if figures.get("d_loss", 1.0) >= self.kind.won_below:
            return ""
        return (
            f"the discriminator tells every picture apart (its loss is {figures['d_loss']:.4f}), so the network learns "
            "nothing from it; lower --d-lr, raise the GAN weight slowly, or pretrain longer"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "optimizer": moments_of(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        weights.load_strictly(self.module, state["module"], "the adversary")
        load_moments(self.optimizer, state["optimizer"])

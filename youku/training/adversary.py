"""The adversary of a GAN: a discriminator with its own optimizer, one update a step, and the loss that it gives.

`NoAdversary` has the same face and does nothing, so that the training step has no branches. The discriminator computes
in float32 whatever the precision of the network; its weights, moments and figures are part of the checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from youku.engines import weights
from youku.models.discriminators import DISCRIMINATORS
from youku.training import gan_losses
from youku.training.gan_losses import GanLoss
from youku.training.losses import Term
from youku.training.precision import load_moments, moments_of
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.training.settings import LossSettings


class NoAdversary:
    """Content losses only."""

    def learn(self, pred: Tensor, high: Tensor, share: float = 1.0) -> None:
        """Nothing learns."""

    def step(self, rate_factor: float) -> None:
        """Nothing moves."""

    def loss(self, pred: Tensor, high: Tensor) -> Tensor:
        return pred.new_zeros(())

    def take_figures(self) -> dict[str, float]:
        return {}

    def warning(self, figures: dict[str, float]) -> str:
        return ""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


class Adversary:
    """Discriminator, its Adam, and figures since they were last taken."""

    def __init__(self, module: nn.Module, term: Term[GanLoss], rate: float, ranks: Ranks = ONE_PROCESS) -> None:
        self.module, self.kind, self.weight, self.rate = module, term.computes, term.weight, rate
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
                penalty = gan_losses.gradient_penalty(self.module, high, pred, self.ranks.uniform)
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


def make_adversary(
    config: LossSettings, side_px: int, channels: int, device: torch.device, ranks: Ranks = ONE_PROCESS
) -> Adversary | NoAdversary:
    """The adversary that the loss asks for, of pictures (N, `channels`, `side_px`, `side_px`)."""
    term = config.terms.adversarial
    if term is None:
        return NoAdversary()
    module = DISCRIMINATORS[config.discriminator](side_px, channels).to(device)
    return Adversary(module, term, config.d_lr, ranks)

"""The adversary of a GAN: a discriminator with its own optimizer, one update a step, and the loss that it gives.

`NoAdversary` has the same face and does nothing, so that the training step has no branches. The discriminator computes
in float32 whatever the precision of the network; its weights, moments and figures are part of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from youku.models.discriminators import EnhanceNetDiscriminator, SRGANDiscriminator
from youku.training import gan_losses, losses
from youku.training.config import TrainConfig

TOO_SURE = 0.02  # a discriminator loss below this leaves the network nothing to learn from


class NoAdversary:
    """Content losses only."""

    def learn(self, pred: Tensor, high: Tensor, share: float = 1.0) -> None:
        """Nothing learns."""

    def step(self, rate_factor: float) -> None:
        """Nothing moves."""

    def loss(self, pred: Tensor, high: Tensor) -> Tensor:
        return pred.new_zeros(())

    def figures(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


class Adversary:
    """Discriminator, its Adam, and figures since the last log line."""

    def __init__(self, config: TrainConfig, term: losses.Term, channels: int, device: torch.device) -> None:
        build = {"srgan": SRGANDiscriminator, "enhancenet": EnhanceNetDiscriminator}[config.discriminator]
        self.kind, self.weight = term.name, term.weight
        self.module = build(config.patch_px * config.all_scales[0], channels).to(device)
        self.optimizer = torch.optim.Adam(self.module.parameters(), config.d_lr)
        self.rate = config.d_lr
        self.past: list[tuple[float, float, float]] = []

    def learn(self, pred: Tensor, high: Tensor, share: float = 1.0) -> None:
        """Add the gradient of real `high` and fake `pred` (N, C, H, W), a `share` of the next step."""
        with torch.autocast(pred.device.type, enabled=False):
            pred, high = pred.detach().float(), high.float()
            real, fake = self.module(high), self.module(pred)
            loss = gan_losses.discriminator_loss(self.kind, real, fake)
            penalty = gan_losses.KINDS[self.kind].penalty_weight
            if penalty:
                loss = loss + penalty * gan_losses.gradient_penalty(self.module, high, pred)
            (share * loss).backward()
        self.past.append((loss.item(), real.mean().item(), fake.mean().item()))

    def step(self, rate_factor: float) -> None:
        """Move along the gradients gathered; the rate follows the network's schedule by its factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate_factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def loss(self, pred: Tensor, high: Tensor) -> Tensor:
        """Weighted adversarial loss of the network's output; its gradient reaches `pred` alone."""
        with torch.autocast(pred.device.type, enabled=False), _frozen(self.module):
            fake = self.module(pred.float())
            with torch.no_grad():
                real = self.module(high.float())
            return self.weight * gan_losses.generator_loss(self.kind, real, fake)

    def figures(self) -> dict[str, float]:
        """Means since the last call: loss of the discriminator, its logits on real and on fake pictures."""
        past, self.past = self.past, []
        if not past:
            return {}
        means = [sum(column) / len(past) for column in zip(*past, strict=True)]
        return dict(zip(("d_loss", "d_real", "d_fake"), means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])


def make_adversary(config: TrainConfig, channels: int, device: torch.device) -> Adversary | NoAdversary:
    """The adversary that `config.loss` asks for."""
    term = losses.adversarial_term(config.loss)
    return Adversary(config, term, channels, device) if term else NoAdversary()


def collapse_warning(kind: str, figures: dict[str, float]) -> str:
    """A sentence when the figures show that one side has won; empty otherwise."""
    if kind in ("gan", "ragan", "lsgan") and figures.get("d_loss", 1.0) < TOO_SURE:
        return (
            f"the discriminator tells every picture apart (its loss is {figures['d_loss']:.4f}), so the network learns "
            "nothing from it; lower --d-lr, raise the GAN weight slowly, or pretrain longer"
        )
    return ""


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """No gradient for the parameters of `module` inside."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)

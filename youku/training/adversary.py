"""The adversary that a loss asks for (`gan`), or none: `NoAdversary` has the same face and does nothing.

So the training step has no branches, and what is no GAN loads none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from youku.training.ranks import ONE_PROCESS, Ranks
from youku.training.settings import LossSettings

if TYPE_CHECKING:
    from youku.training.gan import Adversary


MaybeAdversary: TypeAlias = "Adversary | NoAdversary"


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


def make_adversary(
    config: LossSettings, side_px: int, channels: int, device: torch.device, ranks: Ranks = ONE_PROCESS
) -> MaybeAdversary:
    """The adversary that the loss asks for, of pictures (N, `channels`, `side_px`, `side_px`)."""
    term = config.terms.adversarial
    if term is None:
        return NoAdversary()
    from youku.models.discriminators import DISCRIMINATORS
    from youku.training.gan import Adversary

    module = DISCRIMINATORS[config.discriminator](side_px, channels).to(device)
    return Adversary(module, term.computes, term.weight, config.d_lr, ranks)

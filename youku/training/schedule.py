"""What a step does by its number alone: its learning rate, how many batches it takes, and which."""

from __future__ import annotations

import math

from youku.training.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of a step: linear warm-up, then constant, step or cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(1, config.steps - config.warmup)
        return config.lr_min + (config.lr - config.lr_min) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    if config.schedule == "step":
        return max(config.lr_min, config.lr * config.lr_gamma ** (step // config.lr_step))
    return config.lr


def accumulate_at(config: TrainConfig, step: int) -> int:
    """Batches (of each scale) that one step sums."""
    return config.accumulate * (2 ** (step // config.lr_step) if config.schedule == "batch" else 1)


def batches_before(config: TrainConfig, step: int) -> int:
    """Batches that the steps before `step` used up, over all scales; the discriminator's own ones come first."""
    doublings = step // config.lr_step if config.schedule == "batch" else 0
    rest = step - doublings * config.lr_step
    used = config.lr_step * (2**doublings - 1) + rest * 2**doublings
    extra = (config.d_steps - 1) * max(0, step - config.pretrain_steps)
    return config.accumulate * used * len(config.all_scales) + extra


def batches_of(config: TrainConfig, step: int) -> range:
    """Numbers of the batches that a step uses."""
    return range(batches_before(config, step), batches_before(config, step + 1))

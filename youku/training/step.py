"""One step of training: forward, loss, backward, average; by its number its rate, its batches, and the stage with the loss.

A batch for each `accumulate` and scale goes in, the mean loss comes out; the state is moved in place. A loss that is not
finite stops before weights move (`captured`, on a GPU, says how it is there).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.inference import tiles
from youku.models.colours import Tensors
from youku.training import losses
from youku.training.adversary import MaybeAdversary, NoAdversary
from youku.training.batch import Batch
from youku.training.config import TrainConfig
from youku.training.losses import Loss
from youku.training.state import RunState, check_finite


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


@contextmanager
def memory_advice() -> Iterator[None]:
    """Turn an out-of-memory error into a sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not tiles.is_out_of_memory(error):
            raise
        raise ValueError(
            "the batch does not fit in memory; lower --batch or --patch-px, or use --recipe edsr-small-memory"
        ) from None


@dataclass(frozen=True)
class Stage:
    """What the network learns to please for a while."""

    content: Loss
    adversary: MaybeAdversary


def stage_at(config: TrainConfig, state: RunState) -> Stage:
    """The stage of the state's next step: the first one has its own loss and no adversary."""
    is_first = state.step < config.pretrain_steps
    terms = config.pretrain_terms if is_first else config.terms
    content = losses.make_loss(terms, config.vgg_weights, state.device)
    return Stage(content, NoAdversary() if is_first else state.adversary)


@memory_advice()
def train_step(state: RunState, config: TrainConfig, stage: Stage, drawn: Sequence[Batch]) -> float:
    """One optimiser step; returns the mean loss, ValueError when it is not finite.

    The adversary learns on every batch of `drawn`; the network on the last `accumulate` of each scale.
    """
    rate = set_rate(state, config)
    state.optimizer.zero_grad(set_to_none=True)
    micro = drawn[-accumulate_at(config, state.step) * len(config.all_scales) :]
    for batch in drawn[: len(drawn) - len(micro)]:
        with torch.no_grad(), state.precision.autocast():
            pred = state.forward(batch.low, batch.scale, batch.num_moments)  # (N, T C, h, w) -> (N, C, s h, s w)
        stage.adversary.learn(pred[0], batch.high[0])  # of 4:2:0 luma alone
        stage.adversary.step(rate / config.lr)
    total = 0.0
    for batch in micro:
        with state.precision.autocast():
            pred = state.forward(batch.low, batch.scale, batch.num_moments)  # (N, T C, h, w) -> (N, C, s h, s w)
            stage.adversary.learn(pred[0], batch.high[0], 1 / len(micro))
            content = content_loss(stage, config, batch, pred)
            loss = (content + stage.adversary.loss(pred[0], batch.high[0])) / len(micro)
        total += loss.item()
        check_finite(total, state.step, batch.names)
        state.precision.backward(loss, state.optimizer)
    state.ranks.average(state.module)
    element = config.clip_element / rate if rate else 0.0  # theta / lr in VDSR's paper: the step stays bounded
    state.precision.step(state.module, state.optimizer, config.clip_norm, element)
    stage.adversary.step(rate / config.lr)
    update_average(state, config.ema)
    state.step += 1
    return total


def set_rate(state: RunState, config: TrainConfig) -> float:
    """Give the optimiser the learning rate of the state's next step, which is returned."""
    rate = learning_rate(config, state.step)
    for group in state.optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # on a GPU, where a captured step reads it
            group["lr"].fill_(rate * group["factor"])
        else:
            group["lr"] = rate * group["factor"]
    return rate


def content_loss(stage: Stage, config: TrainConfig, batch: Batch, pred: Tensors) -> Tensor:
    """What the stage has against an output, adversaries apart, and the distance from a teacher's."""
    content = losses.over_tensors(stage.content, pred, batch.target(pred))
    if batch.taught is None:
        return content
    return content + config.teacher_share * F.l1_loss(pred[0].float(), batch.taught)


@torch.no_grad()
def update_average(state: RunState, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weights; faster early on, buffers copied."""
    if not decay:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))
    mine, theirs, own, others = state.averaging
    torch._foreach_lerp_(mine, theirs, 1 - now)
    if own:
        torch._foreach_copy_(own, others)


class Steps:
    """Steps one by one, each loss known when its step is done."""

    def __init__(self, state: RunState, config: TrainConfig) -> None:
        self.state, self.config = state, config

    def take(self, stage: Stage, drawn: Sequence[Batch]) -> list[float]:
        """One step; the losses that are known by now and were not before, ValueError for one that is not finite."""
        return [train_step(self.state, self.config, stage, drawn)]

    def drain(self) -> list[float]:
        """The losses of all steps taken that were not told yet."""
        return []

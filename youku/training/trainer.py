"""The training loop: draw, forward, loss, backward, step, average; validate, checkpoint, resume bit-identically on CPU.

A run folder holds config.toml, log.jsonl (one line every `log_every` steps and every validation), last.pt,
best.safetensors, samples/ and, where asked for, kept weights. A GAN run trains on `pretrain_loss` first.
Ctrl-C finishes the step, saves and returns; a non-finite loss stops before the step is taken.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import tiles
from youku.models import spec_of
from youku.training import adversary, checkpoint, losses, precision, samples
from youku.training.adversary import NoAdversary
from youku.training.config import TrainConfig
from youku.training.dataset import Batch, Sampler, batches, in_turn
from youku.training.pairs import Pair
from youku.training.precision import Clip
from youku.training.progress import Log, Window, finite, make_bar, stop_flag
from youku.training.state import State, make_state, restore, save, save_weights, train_mode, update_average
from youku.training.validation import Result, validate


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended."""

    step: int
    finished: bool
    best: float
    stopped_early: bool = False


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


def train_step(state: State, config: TrainConfig, loss_of: losses.Loss, drawn: Sequence[Batch]) -> float:
    """One optimiser step; returns the mean loss, ValueError when it is not finite.

    The adversary learns on every batch of `drawn`; the network on the last `accumulate` of each scale.
    """
    rate = learning_rate(config, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    state.optimizer.zero_grad(set_to_none=True)
    adversary = state.adversary if state.step >= config.pretrain_steps else NoAdversary()
    micro = drawn[-config.accumulate_at(state.step) * len(config.all_scales) :]
    for batch in drawn[: len(drawn) - len(micro)]:
        with _memory_advice(), torch.no_grad(), state.precision.autocast():
            pred = state.forward(batch.low, batch.scale)
        adversary.learn(pred, batch.high)
        adversary.step(rate / config.lr)
    total = 0.0
    for batch in micro:
        with _memory_advice(), state.precision.autocast():
            pred = state.forward(batch.low, batch.scale)
            adversary.learn(pred, batch.high, 1 / len(micro))
            loss = (loss_of(pred, batch.high) + adversary.loss(pred, batch.high)) / len(micro)
        total += loss.item()
        if not math.isfinite(total):
            raise ValueError(
                f"step {state.step}: the loss is {total}, stopped; batch: {', '.join(sorted(set(batch.names)))}. "
                "Lower --lr, add --clip-norm 1, or look at these clips; last.pt holds the last good weights"
            )
        with _memory_advice():
            state.precision.backward(loss, state.optimizer)
    clip = Clip(config.clip_norm, config.clip_element / rate if config.clip_element and rate else 0.0)
    state.precision.step(state.module, state.optimizer, clip)
    adversary.step(rate / config.lr)
    update_average(state, config.ema)
    state.step += 1
    return total


def train(
    config: TrainConfig, train_pairs: Sequence[Pair], val_pairs: Sequence[Pair], resume: bool, progress: bool = True
) -> Outcome:
    """Train to `config.steps` (from last.pt when `resume`); returns early, saved, after Ctrl-C."""
    device = weights.pick_device(config.device)
    state = make_state(config, device, resume)
    if resume:
        restore(state, checkpoint.load(config.folder / "last.pt", device))
    if config.amp and config.amp_backend == "torch" and precision.amp_dtype(device) is None:
        print(f"--amp: {device} has no fast 16-bit arithmetic, training in float32", file=sys.stderr)
    if state.transfer:
        print(f"{config.init_from}: {state.transfer}", file=sys.stderr)
    draw = in_turn(make_samplers(config, train_pairs, device))
    log = Log(config.folder / "log.jsonl", state.step, config.tensorboard)
    drawn = batches(draw, config.batches_before(state.step), config.workers)
    try:
        with stop_flag() as stopped, make_bar(config, state.step, progress) as bar:
            _loop(state, config, drawn, val_pairs, log, bar, stopped)
    finally:
        drawn.close()  # type: ignore[attr-defined]
        log.close()
    early = _is_stuck(state, config)
    return Outcome(state.step, early or state.step >= config.steps, state.best, early)


def rehearse(config: TrainConfig, train_pairs: Sequence[Pair]) -> None:
    """One step of every stage on a state that is thrown away: what cannot work is said before anything is written."""
    config = replace(config, amp=config.amp and config.amp_backend == "torch", amp_backend="torch")
    device = weights.pick_device(config.device)
    state = make_state(config, device)
    draw = in_turn(make_samplers(config, train_pairs, device))
    train_mode(state.module)
    for first_of_stage in sorted({0, config.pretrain_steps}):
        state.step = first_of_stage
        indices = range(config.batches_before(first_of_stage), config.batches_before(first_of_stage + 1))
        train_step(state, config, _loss(state, config), [draw(index) for index in indices])


def make_samplers(config: TrainConfig, pairs: Sequence[Pair], device: torch.device) -> list[Sampler]:
    """One sampler for each scale of the run."""
    return [
        Sampler(
            pairs=[pair for pair in pairs if pair.scale == scale],
            scale=scale,
            spec=spec_of(config.model, scale),
            patch_px=config.patch_px,
            batch=config.batch,
            augment=config.augment,
            seed=config.seed,
            device=device,
            every=config.every,
            resizers=config.resizers,
            full_range=config.full_range,
            noise=config.noise,
        )
        for scale in config.all_scales
    ]


def _loop(
    state: State,
    config: TrainConfig,
    drawn: Iterator[Batch],
    val_pairs: Sequence[Pair],
    log: Log,
    bar: Any,
    stopped: list[int],
) -> None:
    train_mode(state.module)
    if _is_due(state, config):  # it was stopped or killed before
        _validate(state, config, val_pairs, log, bar)
    loss_of = _loss(state, config)
    window = Window()
    while state.step < config.steps and not stopped and not _is_stuck(state, config):
        began = time.perf_counter()
        needed = config.batches_before(state.step + 1) - config.batches_before(state.step)
        step_batches = [next(drawn) for _ in range(needed)]
        window.waited_sec += time.perf_counter() - began
        window.losses.append(train_step(state, config, loss_of, step_batches))
        bar.update(1)
        last = state.step == config.steps
        if state.step % config.log_every == 0 or last:
            _log(state, config, window, log, bar)
            window = Window()
        if state.step % config.save_every == 0 or _is_due(state, config) or stopped:
            save(state, config)
        if _is_due(state, config) and (last or not stopped):
            _validate(state, config, val_pairs, log, bar)
            if state.step == config.pretrain_steps:
                loss_of = _loss(state, config)
            window.began_sec = time.perf_counter()
        if config.keep_every and (state.step % config.keep_every == 0 or last):
            save_weights(state, config, f"step-{state.step:07d}", {})


def _loss(state: State, config: TrainConfig) -> losses.Loss:
    device = next(state.module.parameters()).device
    colours = spec_of(config.model, config.all_scales[0]).colours.name
    return losses.make_loss(config.loss_at(state.step), colours, config.vgg_weights, device)


def _is_due(state: State, config: TrainConfig) -> bool:
    """Whether the step just taken wants a validation that has not been made."""
    wanted = state.step % config.val_every == 0 or state.step in (config.pretrain_steps, config.steps)
    return wanted and state.step > state.validated


def _is_stuck(state: State, config: TrainConfig) -> bool:
    """Whether early stopping ends the run; the first stage always has its steps."""
    return state.step > config.pretrain_steps and 0 < config.early_stop <= state.since_best


def _log(state: State, config: TrainConfig, window: Window, log: Log, bar: Any) -> None:
    figures = state.adversary.figures()
    rate = learning_rate(config, state.step - 1)
    log.write({"step": state.step, **window.summary(), "lr": rate, **finite(figures)})
    bar.set_postfix(window.postfix(state.best, next(state.module.parameters()).device))
    term = losses.adversarial_term(config.loss)
    if term and figures and (warning := adversary.collapse_warning(term.name, figures)):
        bar.write(f"step {state.step}: {warning}", file=sys.stderr)


def _validate(state: State, config: TrainConfig, pairs: Sequence[Pair], log: Log, bar: Any) -> None:
    """Score the averaged weights, keep them when they are the best so far, save; at its end, close the first stage."""
    result = _measure(state, config, pairs)
    train_mode(state.module)
    value = result.score if config.val_metric == "score" else result.psnr
    log.write(
        {"step": state.step, **finite({"val_psnr": result.psnr, "val_vmaf": result.vmaf, "val_score": result.score})}
    )
    bar.write(
        f"step {state.step}: validation {describe(result)}{' (best so far)' if value > state.best else ''}",
        file=sys.stderr,
    )
    state.since_best += 1
    if value > state.best:
        state.best, state.since_best = value, 0
        save_weights(state, config, "best", {"validation": describe(result)})
    if state.step == config.pretrain_steps:  # the main loss is judged by itself
        save_weights(state, config, "pretrained", {})
        state.best, state.since_best = -math.inf, 0
    state.validated = state.step
    save(state, config)


def _measure(state: State, config: TrainConfig, pairs: Sequence[Pair]) -> Result:
    """Validate at every scale of the run and average; save the strip of the first pair."""
    device = next(state.average.parameters()).device
    results = []
    for scale in config.all_scales:
        module = state.twins.get(scale, state.average)
        if module is not state.average:
            module.load_state_dict(state.average.state_dict())
        network = Network(spec_of(config.model, scale), scale, TorchEngine(module.eval(), device))
        own = [pair for pair in pairs if pair.scale == scale]
        results.append(validate(network, own, config.val_frames, config.val_metric == "score"))
        if config.samples:
            samples.save_strip(network, own[0], config.folder / "samples" / f"step-{state.step:07d}-x{scale}.png")
    if len(results) == 1:
        return results[0]
    return replace(results[0], psnr=sum(result.psnr for result in results) / len(results))


def describe(result: Result) -> str:
    """One phrase: PSNR, and VMAF and score where measured."""
    text = f"PSNR {result.psnr:.3f} dB"
    return text if math.isnan(result.vmaf) else f"{text}, VMAF {result.vmaf:.2f}, score {result.score:.3f}"


@contextmanager
def _memory_advice() -> Iterator[None]:
    """Turn an out-of-memory error into a sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not tiles.is_out_of_memory(error):
            raise
        raise ValueError(
            "the batch does not fit in memory; lower --batch or --patch-px, or use --recipe edsr-small-memory"
        ) from None

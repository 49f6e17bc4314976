"""The training loop: draw, forward, loss, backward, step, average; validate, checkpoint, resume bit-identically on CPU.

A run folder holds config.toml, log.jsonl (one line every `log_every` steps and every validation), last.pt and
best.safetensors. Ctrl-C finishes the step, saves and returns; a non-finite loss stops before the step is taken.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from youku.inference import tiles, weights
from youku.inference.weights import Network
from youku.models import spec_of
from youku.training import checkpoint, losses, precision
from youku.training.config import TrainConfig
from youku.training.dataset import Batch, Pair, Sampler, batches
from youku.training.precision import Precision
from youku.training.progress import Log, Window, finite, make_bar, stop_flag
from youku.training.validation import Result, validate


@dataclass
class State:
    """Everything that changes while training."""

    module: nn.Module
    average: nn.Module
    """Exponential moving average of the weights (the module itself when ema = 0)."""
    optimizer: Optimizer
    precision: Precision
    step: int = 0
    best: float = -math.inf


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended."""

    step: int
    finished: bool
    best: float


def make_state(config: TrainConfig, device: torch.device, resume: bool = False) -> State:
    """A fresh, seeded state, weights from `init_from` if named (a resume brings its own)."""
    torch.manual_seed(config.seed)
    module = spec_of(config.model, config.scale).build(config.scale)
    if config.init_from and not resume:
        source = weights.load(config.init_from, config.model, config.scale, torch.device("cpu"))
        module.load_state_dict(source.module.state_dict())
    module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    fused = device.type in ("cuda", "cpu") and config.amp_backend == "torch"
    optimizer = kind(module.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    chosen = precision.choose(config.amp, config.amp_backend, device)
    module, optimizer = chosen.prepare(module, optimizer)
    average = copy.deepcopy(module).requires_grad_(False) if config.ema else module
    return State(module, average, optimizer, chosen)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of a step: linear warm-up, then constant, step or cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(1, config.steps - config.warmup)
        return config.lr_min + (config.lr - config.lr_min) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    if config.schedule == "step":
        return config.lr * config.lr_gamma ** (step // config.lr_step)
    return config.lr


def train_step(state: State, config: TrainConfig, loss_of: losses.Loss, micro: Sequence[Batch]) -> float:
    """One optimiser step over `accumulate` batches; returns the mean loss, ValueError when it is not finite."""
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step)
    state.optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for batch in micro:
        with _memory_advice(), state.precision.autocast():
            pred = state.module(batch.low)
            loss = loss_of(pred, batch.high) / len(micro)
        total += loss.item()
        if not math.isfinite(total):
            raise ValueError(
                f"step {state.step}: the loss is {total}, stopped; batch: {', '.join(sorted(set(batch.names)))}. "
                "Lower --lr, add --clip-norm 1, or look at these clips; last.pt holds the last good weights"
            )
        with _memory_advice():
            state.precision.backward(loss, state.optimizer)
    state.precision.step(state.module, state.optimizer, config.clip_norm)
    _update_average(state, config.ema)
    state.step += 1
    return total


def train(
    config: TrainConfig, train_pairs: Sequence[Pair], val_pairs: Sequence[Pair], resume: bool, progress: bool = True
) -> Outcome:
    """Train to `config.steps` (from last.pt when `resume`); returns early, saved, after Ctrl-C."""
    device = weights.pick_device(config.device)
    state = make_state(config, device, resume)
    if resume:
        _restore(state, checkpoint.load(config.folder / "last.pt", device))
    sampler = Sampler(
        pairs=train_pairs,
        scale=config.scale,
        patch_px=config.patch_px,
        batch=config.batch,
        colours=spec_of(config.model, config.scale).colours,
        augment=config.augment,
        seed=config.seed,
        device=device,
    )
    log = Log(config.folder / "log.jsonl", state.step)
    drawn = batches(sampler, state.step * config.accumulate, config.workers)
    try:
        with stop_flag() as stopped, make_bar(config, state.step, progress) as bar:
            _loop(state, config, drawn, val_pairs, log, bar, stopped)
    finally:
        drawn.close()  # type: ignore[attr-defined]
        log.close()
    return Outcome(state.step, state.step >= config.steps, state.best)


def _loop(
    state: State,
    config: TrainConfig,
    drawn: Iterator[Batch],
    val_pairs: Sequence[Pair],
    log: Log,
    bar: Any,
    stopped: list[int],
) -> None:
    loss_of = losses.make_loss(config.loss)
    window = Window()
    state.module.train()
    if state.step == config.steps and math.isinf(state.best):  # killed in its only validation
        _validate(state, config, val_pairs, log, bar)
    while state.step < config.steps and not stopped:
        began = time.perf_counter()
        micro = [next(drawn) for _ in range(config.accumulate)]
        window.waited_sec += time.perf_counter() - began
        window.losses.append(train_step(state, config, loss_of, micro))
        bar.update(1)
        last = state.step == config.steps
        if state.step % config.log_every == 0 or last:
            log.write({"step": state.step, **window.summary(), "lr": learning_rate(config, state.step - 1)})
            bar.set_postfix(window.postfix(state.best))
            window = Window()
        validates = state.step % config.val_every == 0 or last
        if state.step % config.save_every == 0 or validates or stopped:
            save(state, config)
        if last or (validates and not stopped):
            _validate(state, config, val_pairs, log, bar)
            save(state, config)  # with the best so far
            window.began_sec = time.perf_counter()


def _validate(state: State, config: TrainConfig, pairs: Sequence[Pair], log: Log, bar: Any) -> None:
    """Score the averaged weights; keep them when they are the best so far."""
    device = next(state.average.parameters()).device
    network = Network(spec_of(config.model, config.scale), config.scale, state.average.eval(), device)
    result = validate(network, pairs, config.val_frames, config.val_metric == "score")
    state.module.train()
    value = result.score if config.val_metric == "score" else result.psnr
    log.write(
        {"step": state.step, **finite({"val_psnr": result.psnr, "val_vmaf": result.vmaf, "val_score": result.score})}
    )
    bar.write(f"step {state.step}: {describe(result)}{' (best so far)' if value > state.best else ''}", file=sys.stderr)
    if value > state.best:
        state.best = value
        about = {"step": str(state.step), "loss": config.loss, "validation": describe(result)}
        weights.save(config.folder / "best.safetensors", state.average.state_dict(), config.model, config.scale, about)


def describe(result: Result) -> str:
    """One phrase: validation PSNR, and VMAF and score where measured."""
    text = f"validation PSNR {result.psnr:.3f} dB"
    return text if math.isnan(result.vmaf) else f"{text}, VMAF {result.vmaf:.2f}, score {result.score:.3f}"


def save(state: State, config: TrainConfig) -> None:
    """Write last.pt; weights that are not finite are refused, so that it always holds good ones."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in state.module.parameters()):
        raise ValueError(
            f"step {state.step}: the weights are no longer finite; last.pt keeps the last good ones. "
            "Lower --lr or add --clip-norm 1"
        )
    checkpoint.save(
        config.folder / "last.pt",
        {
            "step": state.step,
            "best": state.best,
            "module": state.module.state_dict(),
            "average": state.average.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "precision": state.precision.state_dict(),
            "torch_rng": torch.get_rng_state(),
        },
    )


def _restore(state: State, saved: dict[str, Any]) -> None:
    weights.load_strictly(state.module, saved["module"], "last.pt")
    weights.load_strictly(state.average, saved["average"], "last.pt")
    state.optimizer.load_state_dict(saved["optimizer"])
    state.precision.load_state_dict(saved["precision"])
    torch.set_rng_state(saved["torch_rng"].cpu())
    state.step, state.best = saved["step"], saved["best"]


@torch.no_grad()
def _update_average(state: State, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weights; faster early on, buffers copied."""
    if not decay:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))
    mine, theirs = list(state.average.parameters()), list(state.module.parameters())
    torch._foreach_lerp_([p.data for p in mine], [p.data for p in theirs], 1 - now)
    for own, other in zip(state.average.buffers(), state.module.buffers(), strict=True):
        own.copy_(other)


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

"""The training loop and its step: draw, forward, loss, backward, average; log, validate, save; resume bit-identically.

A run folder holds config.toml, log.jsonl (a line every `log_every` steps and every validation), last.pt, last.safetensors,
best.safetensors, samples/ and kept weights. A GAN run trains on `pretrain_loss` first. Ctrl-C finishes the step, or breaks
a validation off, saves and returns (`saving`: too long a step is given up); a loss not finite stops before weights move.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import torch

from youku.engines import torch_engine
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine, fitted
from youku.inference import tiles
from youku.models import spec_of
from youku.training import losses, precision, validation
from youku.training.adversary import Adversary, NoAdversary
from youku.training.config import TrainConfig
from youku.training.dataset import ONE_PROCESS, Batch, Ranks, Sampler, batches, in_turn
from youku.training.losses import Loss
from youku.training.pairs import Pair
from youku.training.precision import GradientLimit
from youku.training.progress import Ending, Figures, LogWriter, Say, Stop, silent, stop_flag
from youku.training.saving import Saver, saver
from youku.training.schedule import accumulate_at, batches_before, batches_of, learning_rate
from youku.training.state import RunState, check_finite, inherited, make_state, restore, save_weights, train_mode
from youku.training.validation import Validation


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


@dataclass(frozen=True)
class Stage:
    """What the network learns to please for a while."""

    content: Loss
    adversary: Adversary | NoAdversary


def stage_at(config: TrainConfig, state: RunState) -> Stage:
    """The stage of the state's next step: the first one has its own loss and no adversary."""
    is_first = state.step < config.pretrain_steps
    terms = config.pretrain_terms if is_first else config.terms
    content = losses.make_loss(terms, config.vgg_weights, state.device)
    return Stage(content, NoAdversary() if is_first else state.adversary)


@_memory_advice()
def train_step(state: RunState, config: TrainConfig, stage: Stage, drawn: Sequence[Batch]) -> float:
    """One optimiser step; returns the mean loss, ValueError when it is not finite.

    The adversary learns on every batch of `drawn`; the network on the last `accumulate` of each scale.
    """
    rate = learning_rate(config, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
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
            content = losses.over_tensors(stage.content, pred, batch.target(pred))
            content = content + losses.to_teacher(pred[0], batch.taught, config.teacher_share)
            loss = (content + stage.adversary.loss(pred[0], batch.high[0])) / len(micro)
        total += loss.item()
        check_finite(total, state.step, batch.names)
        state.precision.backward(loss, state.optimizer)
    state.ranks.average(state.module)
    limit = GradientLimit(config.clip_norm, config.clip_element, rate)
    state.precision.step(state.module, state.optimizer, limit)
    stage.adversary.step(rate / config.lr)
    update_average(state, config.ema)
    state.step += 1
    return total


@torch.no_grad()
def update_average(state: RunState, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weights; faster early on, buffers copied."""
    if not decay:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))
    mine, theirs = list(state.average.parameters()), list(state.module.parameters())
    torch._foreach_lerp_([p.data for p in mine], [p.data for p in theirs], 1 - now)
    for own, other in zip(state.average.buffers(), state.module.buffers(), strict=True):
        own.copy_(other)


def train(
    config: TrainConfig, train_pairs: Sequence[Pair], val_pairs: Sequence[Pair], resume: bool, progress: bool = True,
    say: Say = silent, ranks: Ranks = ONE_PROCESS,
) -> Ending:  # fmt: skip
    """Train to `config.steps` (from last.pt when `resume`); returns early, saved, after Ctrl-C."""
    device = torch_engine.pick_device(config.device)
    state = make_state(config, device, resume, ranks)
    if resume:
        restore(state, config.folder / "last.pt")
        if (found := _ending(state, config)).finished:
            say(found.told(config))
            return found
        say(f"{config.folder}: going on after step {state.step} of {config.steps}")
    precision.choose(config.dtype, config.amp_backend, device, say)  # tells where it would be slower
    if state.transfer:
        say(f"{config.init_from}: {state.transfer}")
    draw = in_turn(make_samplers(config, train_pairs, device, ranks))
    drawn = batches(draw, batches_before(config, state.step), config.workers)
    with (
        closing(drawn),
        closing(LogWriter(config, state.step, state.validated, progress, say, ranks)) as log,
        stop_flag(say) as stop,
        saver(state, config) as save,
    ):
        _loop(state, config, drawn, val_pairs, log, stop, save)
    return _ending(state, config, *ranks.most(stop.by))


def _ending(state: RunState, config: TrainConfig, stopped_by: int = 0) -> Ending:
    early = _is_stuck(state, config)
    finished = early or (state.step >= config.steps and not _is_due(state, config))
    return Ending(state.step, finished, state.best, early, stopped_by)


@_memory_advice()
def rehearse(config: TrainConfig, train_pairs: Sequence[Pair], ranks: Ranks = ONE_PROCESS) -> None:
    """One step of every stage on a state that is thrown away: what cannot work is said before anything is written."""
    if config.amp_backend == "apex":
        config = replace(config, dtype="float32", amp_backend="torch")
    device = torch_engine.pick_device(config.device)
    state = make_state(config, device, ranks=ranks)
    draw = in_turn(make_samplers(config, train_pairs, device, ranks))
    train_mode(state.module)
    for state.step in sorted({0, config.pretrain_steps}):
        train_step(state, config, stage_at(config, state), [draw(index) for index in batches_of(config, state.step)])


def make_samplers(
    config: TrainConfig, pairs: Sequence[Pair], device: torch.device, ranks: Ranks = ONE_PROCESS
) -> list[Sampler]:
    """One sampler for each scale of the run."""
    return [
        Sampler(
            pairs=[pair for pair in pairs if pair.scale == scale], spec=spec_of(config.model, scale), patches=config,
            seed=config.seed, device=device, every=config.every, ranks=ranks,
        )
        for scale in config.all_scales
    ]  # fmt: skip


def _loop(
    state: RunState, config: TrainConfig, drawn: Iterator[Batch], val_pairs: Sequence[Pair], log: LogWriter, stop: Stop,
    save: Saver,
) -> None:  # fmt: skip
    train_mode(state.module)
    if _is_due(state, config):  # it was stopped or killed before
        _validate(state, config, val_pairs, log, stop, save)
    stage, figures = stage_at(config, state), Figures()
    (stopped,) = state.ranks.most(stop.by)  # all processes of a run end after the same step
    while state.step < config.steps and not stopped and not _is_stuck(state, config):
        began = time.perf_counter()
        step_batches = [next(drawn) for _ in batches_of(config, state.step)]
        figures.waited_sec += time.perf_counter() - began
        figures.losses.append(train_step(state, config, stage, step_batches))
        save.after_step(time.perf_counter() - began)
        log.after_step()
        last = state.step == config.steps
        if state.step % config.log_every == 0 or last:
            _log(state, config, figures, log)
            figures = Figures()
        if config.keep_every and (state.step % config.keep_every == 0 or last):  # before the checkpoint goes past it
            save_weights(state, config, f"step-{state.step:07d}", {})
        stopped, is_late = state.ranks.most(stop.by, save.is_due)
        if state.step % config.save_every == 0 or _is_due(state, config) or is_late or stopped:
            save.save()
        if _is_due(state, config) and not stopped:
            _validate(state, config, val_pairs, log, stop, save)
            (stopped,) = state.ranks.most(stop.by)
            if state.step == config.pretrain_steps:
                stage = stage_at(config, state)
            figures.began_sec = time.perf_counter()


def _is_due(state: RunState, config: TrainConfig) -> bool:
    """Whether the step just taken wants a validation that has not been made."""
    wanted = state.step % config.val_every == 0 or state.step in (config.pretrain_steps, config.steps)
    return wanted and state.step > state.validated


def _is_stuck(state: RunState, config: TrainConfig) -> bool:
    """Whether early stopping ends the run; the first stage always has its steps."""
    return state.step > config.pretrain_steps and 0 < config.early_stop <= state.since_best


def _log(state: RunState, config: TrainConfig, figures: Figures, log: LogWriter) -> None:
    summary, of_adversary = figures.summary(state.ranks), state.adversary.take_figures()
    log.write({"step": state.step, **summary, "lr": learning_rate(config, state.step - 1), **of_adversary})
    log.show(summary, state.best, state.device)
    if warning := state.adversary.warning(of_adversary):
        log.say(f"step {state.step}: {warning}")


def _validate(
    state: RunState, config: TrainConfig, pairs: Sequence[Pair], log: LogWriter, stop: Stop, save: Saver
) -> None:
    """Score the averaged weights, keep them when they are the best so far, save; at its end, close the first stage.

    The state is saved already, so that a stop breaks it off; a resume makes up for it.
    """
    try:
        with stop.at_once():
            found = _measure(state, config, pairs)
    except KeyboardInterrupt:
        if stop.by:
            return
        raise
    train_mode(state.module)
    value = found.score if config.val_metric == "score" else found.psnr
    log.write({"step": state.step, "val_psnr": found.psnr, "val_vmaf": found.vmaf, "val_score": found.score})
    log.say(f"step {state.step}: validation {found}{' (best so far)' if value > state.best else ''}")
    if not state.validated:
        log.say(validation.against_bicubic(found.psnr, pairs, config.val_frames))
    state.since_best += 1
    if value > state.best:
        state.best, state.since_best = value, 0
        save_weights(state, config, "best", {"validation": str(found)})
    if state.step == config.pretrain_steps:  # the main loss is judged by itself
        save_weights(state, config, "pretrained", {})
        state.best, state.since_best = -math.inf, 0
    state.validated = state.step
    save.save()


def _measure(state: RunState, config: TrainConfig, pairs: Sequence[Pair]) -> Validation:
    """Validate at every scale of the run and average; save the strip of the first pair."""
    found = []
    for scale in config.all_scales:
        module, spec, about = state.averaged(scale).eval(), spec_of(config.model, scale), inherited(config)
        if about:  # as the saved weights will be run; the average itself stays as it is
            module = fitted(copy.deepcopy(module), spec, scale, about, config.init_from)
        network = Network(spec, scale, TorchEngine(module, state.device))
        own = [pair for pair in pairs if pair.scale == scale]
        is_scored = config.val_metric == "score"
        found.append(validation.validate(network, own, config.val_frames, is_scored, ranks=state.ranks))
        if config.samples and state.ranks.is_writer:
            path = config.folder / "samples" / f"step-{state.step:07d}-x{scale}.png"
            validation.save_strip(network, own[0], path)
    return found[0] if len(found) == 1 else replace(found[0], psnr=sum(one.psnr for one in found) / len(found))

"""The training loop: draw, step (`step`, `captured`), log, validate, save; resume bit-identically.

A run folder holds config.toml, log.jsonl (a line every `log_steps` steps and every validation), last.pt, last.safetensors,
best.safetensors, samples/ and kept weights. A GAN run trains on `pretrain_loss` first. Ctrl-C finishes the step, or breaks
a validation off, saves and returns (`saving`: too long a step is given up); a loss not finite stops it and is never saved.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import torch

from youku.engines import torch_engine
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine, fitted
from youku.models import spec_of
from youku.training import precision, validation
from youku.training.batch import Batch
from youku.training.config import TrainConfig
from youku.training.dataset import Sampler, batches, in_turn
from youku.training.pairs import Pair
from youku.training.progress import Ending, Figures, LogWriter, Say, Stop, silent, stop_flag
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.training.saving import TICK_SEC, Saver, saver
from youku.training.state import RunState, inherited, make_state, restore, save_weights, train_mode
from youku.training.step import Steps, batches_before, batches_of, learning_rate, memory_advice, stage_at, train_step
from youku.training.validation import Validation


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
    drawn = batches(
        make_samplers(config, train_pairs, device, ranks), batches_before(config, state.step), config.workers
    )
    with (
        precision.fast_products(device),
        closing(drawn),
        closing(LogWriter(config, state.step, state.validated, progress, say, ranks)) as log,
        stop_flag(say) as stop,
        saver(state, config, say) as save,
    ):
        _loop(steps_of(state, config, log.say), drawn, val_pairs, log, stop, save)
    return _ending(state, config, *ranks.most(stop.by))


def _ending(state: RunState, config: TrainConfig, stopped_by: int = 0) -> Ending:
    early = _is_stuck(state, config)
    finished = early or (state.step >= config.steps and not _is_due(state, config))
    return Ending(state.step, finished, state.best, early, stopped_by)


@memory_advice()
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
    made = []
    for scale in config.all_scales:
        own, spec = [pair for pair in pairs if pair.scale == scale], spec_of(config.model, scale)
        resident = None
        if device.type == "cuda":
            from youku.training.resident import Resident

            resident = Resident.of(own, spec, config, device, config.every)
        made.append(
            Sampler(
                pairs=own, spec=spec, patches=config, seed=config.seed, device=device, every=config.every, ranks=ranks,
                resident=resident,
            )
        )  # fmt: skip
    return made


def steps_of(state: RunState, config: TrainConfig, say: Say) -> Steps:
    """How the steps of a run are taken: captured where its device, precision and settings allow it, else one by one."""
    able = state.device.type == "cuda" and state.ranks is ONE_PROCESS
    able = able and isinstance(state.precision, precision.TorchPrecision) and not state.precision.scaler.is_enabled()
    able = able and config.accumulate * len(config.all_scales) == 1 and config.schedule != "batch"
    if not able or config.clip_element:
        return Steps(state, config)
    from youku.training.captured import CapturedSteps  # of a GPU alone

    return CapturedSteps(state, config, say)


def _loop(
    steps: Steps, drawn: Iterator[Batch], val_pairs: Sequence[Pair], log: LogWriter, stop: Stop, save: Saver
) -> None:
    state, config = steps.state, steps.config
    train_mode(state.module)
    if _begins_trained(state, config):
        save.save()  # or a kill would leave weights without a run
    if _is_due(state, config) or _begins_trained(state, config):  # it was stopped or killed before
        _validate(state, config, val_pairs, log, stop, save)
    stage, figures = stage_at(config, state), Figures()
    (stopped,) = state.ranks.most(stop.by)  # all processes of a run end after the same step
    while state.step < config.steps and not stopped and not _is_stuck(state, config):
        began = time.perf_counter()
        step_batches = [next(drawn) for _ in batches_of(config, state.step)]
        figures.waited_sec += time.perf_counter() - began
        figures.losses += steps.take(stage, step_batches)
        step_sec = time.perf_counter() - began
        last = state.step == config.steps
        is_logged = state.step % config.log_steps == 0 or last
        is_kept = bool(config.keep_every) and (state.step % config.keep_every == 0 or last)
        stopped, is_late = state.ranks.most(stop.by, save.is_due)
        is_saved = state.step % config.save_every == 0 or _is_due(state, config) or bool(is_late or stopped)
        if is_logged or is_kept or is_saved or step_sec > TICK_SEC:  # of nothing that was not found finite
            figures.losses += steps.drain()
        save.after_step(step_sec)
        log.after_step()
        if is_logged:
            _log(state, config, figures, log)
            figures = Figures()
        if is_kept:  # before the checkpoint goes past it
            save_weights(state, config, f"step-{state.step:07d}", {})
        if is_saved:
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


def _begins_trained(state: RunState, config: TrainConfig) -> bool:
    """Whether a run has all of its weights from others, so that no worse ones may become its best.

    Not where its first loss is of features or of an adversary: what pleases them lowers what is validated.
    """
    first = config.pretrain_terms if config.pretrain_steps else config.terms
    is_whole = bool(config.init_from) and not (state.transfer and state.transfer.new)  # nothing is known at a resume
    return state.step == 0 and is_whole and not (first.features or first.adversarial)


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

    A main loss of features or of an adversary is judged by itself, not against what came before it.

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
    remark = ", of the weights that it begins from" if not state.step else " (best so far)" * (value > state.best)
    log.say(f"step {state.step}: validation {found}{remark}")
    if state.step and not state.validated:
        log.say(validation.against_bicubic(found.psnr, pairs, config.val_frames))
    state.since_best += 1
    if value > state.best:
        state.best, state.since_best = value, 0
        save_weights(state, config, "best", {"validation": str(found)})
    if state.step == config.pretrain_steps > 0:
        save_weights(state, config, "pretrained", {})
        state.since_best = 0
        if config.terms.features or config.terms.adversarial:  # what pleases them lowers what is validated
            state.best = -math.inf
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

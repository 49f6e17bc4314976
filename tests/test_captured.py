"""Steps whose losses are told late: nothing of them is logged or saved unseen; on a GPU, that a captured step is a step."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from tests.test_step import started
from tests.test_train import last, settings
from youku.engines import cuda_graph
from youku.training import captured, run, trainer, vgg
from youku.training.batch import Batch
from youku.training.captured import CapturedSteps
from youku.training.dataset import batches
from youku.training.state import RunState, check_finite
from youku.training.step import Steps

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class LateSteps(Steps):
    """Steps that tell each loss with the next one, or when asked; the loss of step `bad` comes out as no number."""

    bad = -1

    def take(self, stage, drawn):  # type: ignore[no-untyped-def]
        told, self.waiting = getattr(self, "waiting", []), []
        step, loss = self.state.step, trainer.train_step(self.state, self.config, stage, drawn)
        self.waiting = [(step, math.nan if step == self.bad else loss, drawn[0].names)]
        return self._checked(told)

    def drain(self) -> list[float]:
        told, self.waiting = self.waiting, []
        return self._checked(told)

    def _checked(self, told: list) -> list[float]:
        for step, loss, names in told:
            check_finite(loss, step, names)
        return [loss for _, loss, _ in told]


def test_late_losses_are_logged_as_early_ones(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log line has the loss, and the mean, that it has where losses are known at once; the weights are the same."""
    made = {
        name: settings(pairs, name=name, steps=7, log_every=3, val_every=7, samples=False) for name in ("early", "late")
    }
    run.start(made["early"], progress=False)
    monkeypatch.setattr(trainer, "steps_of", lambda state, config, say: LateSteps(state, config))
    run.start(made["late"], progress=False)
    lines = [
        [json.loads(line).get("loss") for line in (one.folder / "log.jsonl").read_text().splitlines()]
        for one in made.values()
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 4
    early, late = (last(one)["module"] for one in made.values())
    assert all(torch.equal(early[key], late[key]) for key in early)


@pytest.mark.parametrize(("bad", "kept"), [(4, 3), (5, 3), (2, None)])
def test_a_late_loss_that_is_not_finite_is_never_saved(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, bad: int, kept: int | None
) -> None:
    """The run ends with the number and the patches of that step; last.pt is of a save before it."""
    made = settings(pairs, log_every=100)
    monkeypatch.setattr(LateSteps, "bad", bad)
    monkeypatch.setattr(trainer, "steps_of", lambda state, config, say: LateSteps(state, config))
    with pytest.raises(ValueError, match=rf"step {bad}: the loss is nan, stopped; batch: Youku_0000"):
        run.start(made, progress=False)
    assert (last(made)["step"] if (made.folder / "last.pt").exists() else None) == kept


def test_a_batch_of_one_form_for_every_turn(pairs: Path) -> None:
    """What is exact is said patch by patch, whatever the turns; other tensors come in at the same places."""
    made = settings(pairs, model="pairs-t", augment=False)
    _, draw = started(made)
    whole: Batch = draw(0)
    assert [part.tolist() for part in whole.exact] == [[True, True]]
    assert captured.form_of(whole) == captured.form_of(draw(1))
    for other in (dataclasses.replace(whole, num_moments=2), dataclasses.replace(whole, taught=whole.high[0])):
        assert captured.form_of(other) != captured.form_of(whole)
        copied = captured.with_tensors(
            other, [part + 1 if part.is_floating_point() else part for part in other.tensors]
        )
        assert captured.form_of(copied) == captured.form_of(other)
        assert all(torch.equal(one + 1, new) for one, new in zip(other.high, copied.high, strict=True))


def test_steps_on_a_cpu_are_not_captured(pairs: Path) -> None:
    """They are taken one by one, and their losses are known."""
    made = settings(pairs)
    state, draw = started(made)
    steps = trainer.steps_of(state, made, print)
    assert type(steps) is Steps and math.isfinite(*steps.take(trainer.stage_at(made, state), [draw(0)]))
    assert steps.drain() == [] and state.step == 1


class PlayedBack:
    """CUDA graphs and streams as a CPU can play them: a capture leaves no trace, a replay runs what was captured again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now: CapturedSteps
        self.state: RunState
        self.given: tuple
        self.num_captures = 0
        stream = MagicMock()
        for name, fake in (
            ("Stream", stream), ("current_stream", stream), ("Event", MagicMock()), ("stream", contextlib.nullcontext),
            ("CUDAGraph", lambda: SimpleNamespace(replay=self.replay)), ("graph", self.capture),
            ("graph_pool_handle", MagicMock()),
        ):  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
        for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
            monkeypatch.setattr(torch._C, name, MagicMock(), raising=False)
        run_step = CapturedSteps._run
        monkeypatch.setattr(
            CapturedSteps, "_run", lambda steps, *given: self.note(steps, given, run_step(steps, *given))
        )

    def note(self, steps: CapturedSteps, given: tuple, loss: torch.Tensor) -> torch.Tensor:
        self.now, self.given = steps, given
        return loss

    @contextlib.contextmanager
    def capture(self, *given: object, **options: object) -> Iterator[None]:
        state, before = self.state, copy.deepcopy((self.state.module.state_dict(), self.state.optimizer.state_dict()))
        yield
        self.num_captures += 1
        state.module.load_state_dict(before[0])
        state.optimizer.load_state_dict(before[1])

    def replay(self) -> None:
        self.state.optimizer.zero_grad()
        self.now._loss.copy_(self.now._run(*self.given))


@pytest.mark.parametrize(
    "changes",
    [{}, {"model": "pairs-t", "warmup": 4}, {"model": "recurrent-t", "sequence": 3}, {"clip_norm": 0.1, "ema": 0.0}],
)
def test_what_is_captured_is_the_step(pairs: Path, monkeypatch: pytest.MonkeyPatch, changes: dict) -> None:
    """Played on a CPU: each batch goes into what the captured step reads; weights, average and losses are the very same."""
    made = settings(pairs, steps=14, **changes)
    (state, draw), (other, _) = started(made), started(made)
    stage = trainer.stage_at(made, state)
    expected = [trainer.train_step(other, made, stage, [draw(index)]) for index in range(14)]
    played = PlayedBack(monkeypatch)
    played.state = state
    steps = CapturedSteps(state, made, print)
    told = [steps.take(stage, [draw(index)]) for index in range(14)]
    assert [len(some) for some in told] == [1] * captured.WARM_UP + [0] * captured.AHEAD + [1] * 3
    assert [loss for some in told for loss in some] + steps.drain() == expected and played.num_captures == 1
    for own, one in ((state.module, other.module), (state.average, other.average)):
        assert all(torch.equal(value, one.state_dict()[key]) for key, value in own.state_dict().items())
    steps.take(dataclasses.replace(stage), [draw(0)])  # an equal stage is the same
    assert steps._graph is not None
    changed = dataclasses.replace(stage, content=torch.nn.functional.mse_loss)
    for index in range(captured.WARM_UP + 1):
        steps.take(changed, [draw(index)])
    assert played.num_captures == 2
    monkeypatch.setattr(captured, "content_loss", lambda stage, config, batch, pred: pred[0].sum() * math.inf)
    steps.take(changed, [draw(1)])
    with pytest.raises(ValueError, match=rf"step {state.step - 1}: the loss is (-?inf|nan), stopped; batch: Youku"):
        steps.drain()


def test_a_refused_capture_is_said_once(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played on a CPU: one sentence, and the steps go on one by one."""
    made, said = settings(pairs), []
    state, draw = started(made)
    played = PlayedBack(monkeypatch)
    played.state = state
    monkeypatch.setattr(CapturedSteps, "_run", MagicMock(side_effect=RuntimeError("operation not permitted\nmore")))
    steps = CapturedSteps(state, made, said.append)
    stage = trainer.stage_at(made, state)
    assert [len(steps.take(stage, [draw(index)])) for index in range(6)] == [1] * 6
    assert said == [
        "fsrcnn: its step cannot be captured as a CUDA graph (operation not permitted); step by step it is slower"
    ]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_capture_that_fails_is_closed(monkeypatch: pytest.MonkeyPatch, is_open: bool) -> None:
    """Played on a CPU: where torch leaves the memory's pool open it is closed, once, the graph kept that it asks; why is told."""
    told: list[tuple] = []

    def end(*place: object) -> None:
        if not is_open:
            raise RuntimeError("not currently recording")
        told.append(place)

    for name in ("CUDAGraph", "graph", "stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 7))
    torch.cuda.graph.return_value.__exit__.side_effect = RuntimeError("previous error during capture")
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *place: told.append(place), raising=False)
    monkeypatch.setattr(cuda_graph, "_FAILED", [])
    with pytest.raises(RuntimeError, match="not permitted"):
        with cuda_graph.capturing(SimpleNamespace(device=torch.device("cuda", 1))):  # type: ignore[arg-type]
            raise RuntimeError("operation not permitted")
    assert told == [(1, (0, 7))] * 2 * is_open and len(cuda_graph._FAILED) == is_open


def steps_on_gpu(made, captures: bool):  # type: ignore[no-untyped-def]
    """Losses and weights of a run's first steps on a GPU; those that are captured get batches made several at once."""
    device, said = torch.device("cuda"), []
    train_pairs, _ = run.load_pairs(made)
    (sampler,) = trainer.make_samplers(made, train_pairs, device)
    state = trainer.make_state(made, device)
    trainer.train_mode(state.module)
    steps = trainer.steps_of(state, made, said.append) if captures else None
    stage = trainer.stage_at(made, state)
    assert sampler.at_once > 1
    losses = []
    with contextlib.closing(batches([sampler], 0, 2)) as drawn:
        for index in range(12):
            losses += (
                steps.take(stage, [next(drawn)])
                if steps
                else [trainer.train_step(state, made, stage, [sampler.draw(index)])]
            )
    if steps:
        losses += steps.drain()
        assert isinstance(steps, CapturedSteps) and steps._graph is not None and not said, said
    return losses, {key: value.float() for key, value in state.average.state_dict().items()}


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "pairs-t", "dtype": "bf16", "warmup": 4},
        {"model": "edsr-baseline", "clip_norm": 0.1},
        {"model": "recurrent-t", "sequence": 3},
        {"optimizer": "sgd", "lr": 1e-2, "lr_factors": ("last=0.1",)},
        {"optimizer": "adadelta", "lr": 1.0},
        {"optimizer": "adamw", "weight_decay": 0.1, "loss": "l1+0.2*ssim"},
        {"loss": "l1+0.001*vgg16:relu1_2"},
    ],
)
def test_a_captured_step_is_a_step(pairs: Path, monkeypatch: pytest.MonkeyPatch, changes: dict) -> None:
    """The losses and the averaged weights of twelve steps are those of steps one by one, within rounding."""
    monkeypatch.setattr(captured, "TUNED", False)  # by the same kernels, or Adam takes rounding for a gradient
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    if "vgg" in changes.get("loss", ""):
        torch.save(vgg.Features("vgg16", ["relu1_2"]).state_dict(), weights := pairs.parent / "vgg.pth")
        changes = {**changes, "vgg_weights": str(weights)}
    made = settings(pairs, device="cuda", steps=12, **changes)
    (ours, own), (theirs, other) = (steps_on_gpu(made, captures) for captures in (True, False))
    assert len(ours) == 12 and ours == pytest.approx(theirs, rel=0.02)
    for key, value in own.items():
        torch.testing.assert_close(value, other[key], rtol=0.02, atol=2e-3)


@pytest.mark.gpu
@on_gpu
def test_what_cannot_be_captured_is_said_once(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that asks the GPU in the middle of a step: one sentence, and the steps go on."""
    made = settings(pairs, device="cuda", steps=12)
    device, said = torch.device("cuda"), []
    (sampler,) = trainer.make_samplers(made, run.load_pairs(made)[0], device)
    state = trainer.make_state(made, device)
    plain = trainer.stage_at(made, state)
    asking = dataclasses.replace(
        plain, content=lambda pred, high: plain.content(pred, high) * float(pred.mean().item() < 9)
    )
    steps = trainer.steps_of(state, made, said.append)
    losses = [loss for index in range(8) for loss in steps.take(asking, [sampler.draw(index)])]
    assert len(losses) == 8 and all(map(math.isfinite, losses)) and state.step == 8
    torch.cuda.empty_cache()  # an error where a capture was left open
    (sentence,) = said
    assert "fsrcnn: its step cannot be captured as a CUDA graph" in sentence


@pytest.mark.gpu
@on_gpu
def test_a_run_moves_between_a_gpu_and_a_cpu(pairs: Path) -> None:
    """Stopped on one and resumed on the other it ends as one that stayed, within rounding; not finite, it is not saved."""
    ends = {}
    for name, first, then in (("gpu", "cuda", "cpu"), ("cpu", "cpu", "cuda"), ("stays", "cuda", "cuda")):
        made = settings(pairs, name=name, device=first, steps=12, val_every=6, save_every=6)
        run.start(dataclasses.replace(made, steps=6), progress=False)
        train_pairs, val_pairs = run.load_pairs(made)
        moved = dataclasses.replace(made, device=then)
        assert trainer.train(moved, train_pairs, val_pairs, resume=True, progress=False).finished
        ends[name] = last(made)["module"]
    for name in ("gpu", "cpu"):
        for key, value in ends[name].items():
            torch.testing.assert_close(value.cpu(), ends["stays"][key].cpu(), rtol=0.05, atol=5e-3)
    wild = settings(pairs, name="wild", device="cuda", lr=1e30, steps=50, val_every=50, save_every=1, loss="l2")
    with pytest.raises(ValueError, match=r"step \d+: the loss is (nan|inf).*Youku_0000\d_l.y4m frame \d"):
        run.start(wild, progress=False)
    assert all(bool(value.isfinite().all()) for value in last(wild)["module"].values())

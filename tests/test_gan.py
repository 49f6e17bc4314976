"""Adversarial training: two stages, an adversary that learns, exact resume, warnings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.test_train import last, settings
from youku.engines import weights
from youku.models.discriminators import DISCRIMINATORS
from youku.training import gan, run, trainer
from youku.training import state as states
from youku.training.adversary import NoAdversary, make_adversary
from youku.training.config import TrainConfig
from youku.training.dataset import in_turn
from youku.training.gan import Adversary
from youku.training.step import accumulate_at


def adversarial(pairs: Path, **changes: object) -> TrainConfig:
    """Two steps of pretraining, four with an adversary; 32 px patches of the output."""
    values: dict = {
        "patch_px": 8, "loss": "l1+0.01*gan", "pretrain_steps": 2, "pretrain_loss": "l2", "d_lr": 1e-3, "batch": 2,
        "discriminator": "enhancenet", "model": "espcn", "samples": False,
    }  # fmt: skip
    return settings(pairs, **{**values, **changes})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A discriminator of some hundred weights in place of EnhanceNet's millions, which every checkpoint writes."""

    def build(side_px: int, channels: int) -> nn.Module:
        layers = [nn.Conv2d(channels, 8, 4, stride=4), nn.LeakyReLU(0.2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(8 * (side_px // 4) ** 2, 1))

    monkeypatch.setitem(DISCRIMINATORS, "enhancenet", build)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("kind", "d_steps"), [("gan", 1), ("ragan", 2), ("wgan-gp", 1)])
def test_both_stages_run_and_resume_bit_identically(pairs: Path, kind: str, d_steps: int) -> None:
    """A run broken inside either stage ends in the very bits of an unbroken one, discriminator included."""
    straight = adversarial(pairs, name="straight", d_steps=d_steps, loss=f"l1+0.01*{kind}")
    run.start(straight, progress=False)
    for stop in (1, 2, 4):
        broken = adversarial(pairs, name=f"broken{stop}", d_steps=d_steps, loss=f"l1+0.01*{kind}")
        train_pairs, val_pairs = run.load_pairs(broken)
        broken.folder.mkdir(parents=True)
        state = states.make_state(broken, torch.device("cpu"))
        draw = in_turn(trainer.make_samplers(broken, train_pairs, torch.device("cpu")))
        state.module.train()
        for step in range(stop):
            drawn = [draw(index) for index in trainer.batches_of(broken, step)]
            trainer.train_step(state, broken, trainer.stage_at(broken, state), drawn)
        states.write(states.content_of(state), broken)
        trainer.train(broken, train_pairs, val_pairs, resume=True, progress=False)
        one, other = last(straight), last(broken)
        assert [one[key] for key in ("best", "since_best", "validated")] == [
            other[key] for key in ("best", "since_best", "validated")
        ]
        kept, made = (weights.read(config.folder / "best.safetensors")[0] for config in (straight, broken))
        assert all(torch.equal(kept[key], made[key]) for key in kept)
        assert stop == 4 or (broken.folder / "pretrained.safetensors").exists()  # at 4 the first stage was over
        for left, right in (
            (one["module"], other["module"]),
            (one["adversary"]["module"], other["adversary"]["module"]),
        ):
            assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.usefixtures("small")
def test_the_stages_leave_their_traces(pairs: Path) -> None:
    """Pretrained weights are kept, and the log tells the discriminator's figures in the second stage only."""
    made = adversarial(pairs)
    run.start(made, progress=False)
    assert (made.folder / "pretrained.safetensors").exists() and (made.folder / "best.safetensors").exists()
    lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "d_loss" in line] == [3, 4, 5, 6]


@pytest.mark.usefixtures("small")
def test_the_discriminator_learns_to_tell_apart() -> None:
    """On flat against noisy pictures its loss falls below chance, 2 log 2."""
    config = TrainConfig(loss="gan", patch_px=8, model="espcn", discriminator="enhancenet", d_lr=1e-2, steps=2)
    torch.manual_seed(0)
    adversary = make_adversary(config, 32, 1, torch.device("cpu"))
    high, pred = torch.rand(4, 1, 32, 32), torch.full((4, 1, 32, 32), 0.5)
    for _ in range(20):
        adversary.learn(pred, high)
        adversary.step(1.0)
    figures = [entry[0] for entry in adversary.past]
    assert figures[0] == pytest.approx(1.386, abs=0.05) and figures[-1] < 0.5 * figures[0]


def test_the_loss_reaches_the_picture_and_not_the_discriminator() -> None:
    """Its gradient is the network's to follow; the adversary's weights get none."""
    config = TrainConfig(loss="0.5*gan", patch_px=8, model="espcn", discriminator="enhancenet", steps=2)
    adversary = make_adversary(config, 32, 1, torch.device("cpu"))
    pred = torch.rand(2, 1, 32, 32, requires_grad=True)
    loss = adversary.loss(pred, torch.rand(2, 1, 32, 32))
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * 0.693, abs=0.02) and pred.grad is not None and pred.grad.any()
    assert isinstance(adversary, Adversary)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.module.parameters())


@pytest.mark.usefixtures("small")
def test_k_discriminator_steps_draw_their_own_batches(pairs: Path) -> None:
    """With d_steps 3 the adversary sees three different batches for each step of the network."""
    made = adversarial(pairs, pretrain_steps=0, d_steps=3)
    seen: list[torch.Tensor] = []

    class Watching(NoAdversary):
        def learn(self, pred: torch.Tensor, high: torch.Tensor, share: float = 1.0) -> None:
            seen.append(high)

    state = states.make_state(made, torch.device("cpu"))
    state.adversary = Watching()
    draw = in_turn(trainer.make_samplers(made, run.load_pairs(made)[0], torch.device("cpu")))
    drawn = [draw(index) for index in trainer.batches_of(made, 0)]
    trainer.train_step(state, made, trainer.stage_at(made, state), drawn)
    assert len(seen) == 3 and not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])


@pytest.mark.usefixtures("small")
def test_the_discriminator_learns_in_float32_and_once_a_step(pairs: Path) -> None:
    """Under autocast its layers compute in float32; gradients of accumulated batches make one update of theirs."""
    made = adversarial(pairs, pretrain_steps=0, accumulate=3, dtype="auto")
    state = states.make_state(made, torch.device("cpu"))
    state.precision.dtype = torch.bfloat16
    assert isinstance(state.adversary, Adversary)
    kinds, updates = set(), []
    state.adversary.module[-1].register_forward_hook(lambda _, args, out: kinds.add(out.dtype))
    state.adversary.optimizer.register_step_post_hook(lambda *_: updates.append(1))
    draw = in_turn(trainer.make_samplers(made, run.load_pairs(made)[0], torch.device("cpu")))
    trainer.train_step(state, made, trainer.stage_at(made, state), [draw(index) for index in range(3)])
    assert kinds == {torch.float32} and len(updates) == 1


@pytest.mark.usefixtures("small")
def test_the_first_stage_is_not_stopped_early(pairs: Path) -> None:
    """However bad its validations, the main loss gets its turn."""
    still = {
        "lr": 1e-30,
        "schedule": "constant",
        "optimizer": "sgd",
        "ema": 0.0,
    }  # no validation is better than the first
    made = adversarial(pairs, pretrain_steps=4, val_every=1, early_stop=1, **still)
    run.start(made, progress=False)
    assert last(made)["step"] > 4


def test_a_winning_discriminator_is_reported() -> None:
    """A loss near zero leaves no signal: the warning says what to change; a healthy one is silent."""
    config = TrainConfig(loss="gan", patch_px=8, model="espcn", discriminator="enhancenet", steps=2)
    adversary = make_adversary(config, 32, 1, torch.device("cpu"))
    assert "lower --d-lr" in adversary.warning({"d_loss": 0.001})
    assert adversary.warning({"d_loss": 1.2}) == adversary.warning({}) == ""
    assert {name for name, kind in gan.TERMS.items() if kind.won_below > 0} == {"gan", "ragan", "lsgan"}


def test_wrong_patch_sides_and_stages_are_explained(pairs: Path) -> None:
    """A patch that the discriminator cannot halve, and stages that do not fit, are refused before the first step."""
    with pytest.raises(ValueError, match="multiple of 16"):
        run.start(adversarial(pairs, patch_px=10, discriminator="srgan"), progress=False)
    with pytest.raises(ValueError, match=r"pretrain_steps = 6: expected less than steps = 6"):
        adversarial(pairs, pretrain_steps=6)
    with pytest.raises(ValueError, match=r"d_steps = 2: has no effect on loss l1"):
        adversarial(pairs, loss="l1", d_steps=2)


def test_batches_are_counted_without_gaps() -> None:
    """Schedules that change how many batches a step takes still number every batch once."""
    for changes in (
        {"accumulate": 3},
        {"schedule": "batch", "lr_step": 4, "accumulate": 2},
        {"scales": "2,3,4", "model": "vdsr", "accumulate": 2},
        {"loss": "l1+gan", "d_steps": 3, "pretrain_steps": 5},
    ):
        config = TrainConfig(steps=20, **changes)  # type: ignore[arg-type]
        needed = [len(trainer.batches_of(config, step)) for step in range(12)]
        expected = [
            accumulate_at(config, step) * len(config.all_scales)
            + (config.d_steps - 1 if step >= config.pretrain_steps else 0)
            for step in range(12)
        ]
        assert needed == expected and trainer.batches_before(config, 0) == 0


@pytest.mark.usefixtures("small")
def test_a_start_is_no_bar_for_losses_that_lower_what_is_validated(pairs: Path) -> None:
    """With an adversary and no stage before it, the best weights are trained ones."""
    changes = {
        "loss": "0.01*l1+gan",
        "lr": 1e-1,
        "d_lr": 1e-3,
        "steps": 2,
        "val_every": 2,
        "ema": 0.0,
        "discriminator": "enhancenet",
    }
    made = settings(pairs, model="fsrcnn", init_from="shipped", **changes)
    run.start(made, progress=False)
    assert weights.read(made.folder / "best.safetensors")[1]["step"] == "2"

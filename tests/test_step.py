"""The numbers of a training step, by value: rates, average, limits, accumulation, stages, penalty, redraws, turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.test_train import settings
from youku.models import MODELS
from youku.training import batch, gan, run, trainer
from youku.training import state as states
from youku.training.adversary import NoAdversary
from youku.training.batch import Batch
from youku.training.config import TrainConfig
from youku.training.dataset import Sampler, in_turn
from youku.training.gan import Adversary
from youku.training.picture_pair import PicturePair
from youku.training.precision import limit_gradients
from youku.training.ranks import ONE_PROCESS
from youku.training.settings import PatchSettings
from youku.training.state import RunState
from youku.training.step import update_average

CPU = torch.device("cpu")


def test_learning_rates() -> None:
    """Warm-up is linear up to lr, cosine passes its middle and ends at lr_min, step halves down to lr_min."""
    cosine = TrainConfig(lr=1.0, lr_min=0.1, steps=110, warmup=10)
    rates = [trainer.learning_rate(cosine, step) for step in (0, 4, 9, 10, 35, 60, 110, 200)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.1 + 0.9 * (2 + 2**0.5) / 4, 0.55, 0.1, 0.1])
    step = TrainConfig(lr=1.0, schedule="step", lr_step=10, lr_gamma=0.5, lr_min=0.3)
    assert [trainer.learning_rate(step, at) for at in (0, 9, 10, 19, 20, 90)] == [1.0, 1.0, 0.5, 0.5, 0.3, 0.3]
    for schedule in ("constant", "batch"):
        same = TrainConfig(lr=0.2, schedule=schedule, lr_step=10, warmup=2)
        assert [trainer.learning_rate(same, at) for at in (0, 1, 2, 1000)] == [0.1, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (8, 9 / 18), (80, 81 / 90), (81, 0.9), (10**6, 0.9)])
def test_the_moving_average(step: int, decay: float) -> None:
    """decay * average + (1 - decay) * weights, the decay growing as (1 + step) / (10 + step) up to --ema; statistics too."""
    module, average = (nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)) for _ in range(2))
    nn.init.constant_(module[0].weight, 3.0)
    nn.init.constant_(average[0].weight, 1.0)
    module[1].running_mean.fill_(7.0)
    update_average(RunState(module, average, *[None] * 3, ONE_PROCESS, step=step), 0.9)  # type: ignore[arg-type]
    assert average[0].weight.item() == pytest.approx(decay * 1.0 + (1 - decay) * 3.0, rel=1e-6)
    assert module[0].weight.item() == 3.0 and average[1].running_mean.item() == 7.0


def test_the_step_updates_the_average(pairs: Path) -> None:
    """The averaged weights lie between the old and the new ones as --ema says; without it they are the network's."""
    made = settings(pairs, ema=0.05)
    state, draw = started(made)
    before = state.module.state_dict()["last.bias"].clone()
    trainer.train_step(state, made, trainer.stage_at(made, state), [draw(0)])
    after, average = (part.state_dict()["last.bias"] for part in (state.module, state.average))
    torch.testing.assert_close(average, 0.05 * before + 0.95 * after)
    assert not torch.equal(before, after)
    plain = states.make_state(settings(pairs, ema=0.0), CPU)
    assert plain.average is plain.module


def test_gradient_limits() -> None:
    """The norm of all gradients together, and a bound for each element; 0 is no limit."""
    for norm, element, expected in (
        (0.4, 0.0, ([0.24, 0.0], [0.32])), (0.0, 3.5, ([3.0, 0.0], [3.5])), (0.0, 0.0, ([3.0, 0.0], [4.0])),
        (10.0, 0.0, ([3.0, 0.0], [4.0])),
    ):  # fmt: skip
        parameters = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
        for parameter, gradient in zip(parameters, ([3.0, 0.0], [4.0]), strict=True):
            parameter.grad = torch.tensor(gradient)
        limit_gradients(parameters, norm, element)  # type: ignore[arg-type]
        for parameter, values in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, torch.tensor(values), rtol=1e-4, atol=0)


def started(made: TrainConfig):
    """A fresh state and what draws its batches."""
    draw = in_turn(trainer.make_samplers(made, run.load_pairs(made)[0], CPU))
    state = states.make_state(made, CPU)
    states.train_mode(state.module)
    return state, draw


def test_clipping_reaches_the_step(pairs: Path) -> None:
    """With plain SGD a step moves all weights by lr * clip_norm together."""
    made = settings(pairs, optimizer="sgd", momentum=0.0, lr=0.5, schedule="constant", clip_norm=1e-3, ema=0.0)
    state, draw = started(made)
    before = [parameter.detach().clone() for parameter in state.module.parameters()]
    trainer.train_step(state, made, trainer.stage_at(made, state), [draw(0)])
    moved = [new.detach() - old for new, old in zip(state.module.parameters(), before, strict=True)]
    assert torch.cat([part.flatten() for part in moved]).norm().item() == pytest.approx(0.5e-3, rel=1e-2)


def test_accumulation_is_the_mean_of_its_batches(pairs: Path) -> None:
    """Two batches of one step move the weights as one batch of both, and the loss told is their mean."""
    changes = {"optimizer": "sgd", "momentum": 0.0, "lr": 1e-2, "lr_min": 0.0, "loss": "l2", "ema": 0.0, "batch": 2}
    halves, whole = settings(pairs, accumulate=2, **changes), settings(pairs, **changes)
    state, draw = started(halves)
    other, _ = started(whole)
    drawn = [draw(0), draw(1)]
    low, high = (torch.cat([getattr(one, part)[0] for one in drawn]) for part in ("low", "high"))
    both = Batch((low,), (high,), ("a",) * 4, 4)
    told = trainer.train_step(state, halves, trainer.stage_at(halves, state), drawn)
    assert trainer.train_step(other, whole, trainer.stage_at(whole, other), [both]) == pytest.approx(told, rel=1e-5)
    for ours, theirs in zip(state.module.parameters(), other.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


class Watching(NoAdversary):
    """An adversary that writes down what it is told."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.factors: list[float] = []

    def learn(self, pred: Tensor, high: Tensor, share: float = 1.0) -> None:
        self.shares.append(share)

    def step(self, rate_factor: float) -> None:
        self.factors.append(rate_factor)


def test_the_adversary_shares_and_follows_the_schedule(pairs: Path) -> None:
    """Own batches count whole, accumulated ones their share; its rate is warmed up as the network's."""
    made = settings(pairs, accumulate=2, loss="l1+gan", model="espcn", d_steps=2, warmup=4, patch_px=8)
    state, draw = started(made)
    stage = dataclasses.replace(trainer.stage_at(made, state), adversary=(adversary := Watching()))
    trainer.train_step(state, made, stage, [draw(index) for index in trainer.batches_of(made, 0)])
    assert adversary.shares == [1.0, 0.5, 0.5] and adversary.factors == [0.25, 0.25]


def test_stages_follow_each_other(pairs: Path) -> None:
    """Up to pretrain_steps the first loss alone, from then on the main one with its adversary."""
    made = settings(pairs, pretrain_steps=3, pretrain_loss="l2", loss="l1+gan", model="espcn", patch_px=8)
    state, _ = started(made)
    pred, high = torch.full((1, 1, 4, 4), 0.5), torch.full((1, 1, 4, 4), 0.3)
    for step, value in ((0, 0.04), (2, 0.04), (3, 0.2), (5, 0.2)):
        state.step = step
        stage = trainer.stage_at(made, state)
        assert stage.content(pred, high).item() == pytest.approx(value, rel=1e-5)
        assert (stage.adversary is state.adversary) == (step >= 3) and made.loss_at(step) == ("l2", "l1+gan")[step >= 3]


def test_the_penalty_weighs_ten() -> None:
    """A discriminator of slope 3 everywhere has a penalty of (3 - 1)^2, ten times which joins the loss of wgan-gp alone."""
    layer = nn.Linear(16, 1)
    nn.init.constant_(layer.weight, 3 / 4)
    pred, high = torch.rand(2, 2, 1, 4, 4)
    for name, penalty in (("wgan-gp", 40.0), ("gan", 0.0)):
        kind = gan.TERMS[name]
        adversary = Adversary(nn.Sequential(nn.Flatten(), layer), kind, 1.0, 1e-3)
        adversary.learn(pred, high)
        logits = [layer(picture.flatten(1)) for picture in (high, pred)]
        assert adversary.past[0][0] - kind.of_discriminator(*logits).item() == pytest.approx(penalty, abs=1e-4)


@pytest.mark.parametrize("turned", [batch.turned, batch.turned_at_once])
def test_turns_are_the_eight_of_the_square(turned: Callable[[torch.Tensor, range], torch.Tensor]) -> None:
    """All flips and rotations, each once; as a processor turns patches and as a GPU does, in the same order."""
    patch = np.arange(9.0).reshape(1, 3, 3)
    quarters = [np.rot90(side, number, (1, 2)) for side in (patch, patch[:, :, ::-1]) for number in range(4)]
    patches = torch.from_numpy(patch).expand(8, 1, 3, 3)
    made = turned(patches, range(8))
    assert torch.equal(made, batch.turned(patches, range(8)))
    found = {tuple(one.flatten().tolist()) for one in made}
    assert found == {tuple(one.flatten().tolist()) for one in quarters} and len(found) == 8


def picture_pair(path: Path, picture: np.ndarray) -> PicturePair:
    Image.fromarray(picture.astype(np.uint8)).save(path)
    return PicturePair(path, 2)


def sampler_of(pairs: list[PicturePair], batch: int, augment: bool) -> Sampler:
    patches = PatchSettings(patch_px=8, batch=batch, augment=augment)
    return Sampler(pairs=pairs, spec=MODELS["espcn"], patches=patches, seed=3, device=CPU)


def test_every_turn_is_drawn(tmp_path: Path) -> None:
    """A picture of one patch comes in eight forms, low and high turned alike; without --augment in one."""
    pair = picture_pair(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (16, 16, 3)))
    for augment, num_forms in ((True, 8), (False, 1)):
        drawn = sampler_of([pair], 100, augment).draw(0)
        forms = {
            (tuple(low.flatten().tolist()), tuple(high.flatten().tolist()))
            for low, high in zip(drawn.low[0], drawn.high[0], strict=True)
        }
        assert len(forms) == num_forms == len({low for low, _ in forms})


def test_flat_patches_are_mostly_drawn_again(tmp_path: Path) -> None:
    """Of a flat and a rich picture the flat one is kept 0.3 times as often: 0.3 / 1.3 of all patches."""
    rich = np.random.default_rng(0).integers(0, 255, (16, 16, 3))
    pairs = [picture_pair(tmp_path / f"{index}.png", picture) for index, picture in enumerate((rich, rich * 0 + 90))]
    names = sampler_of(pairs, 4000, False).draw(0).names
    assert sum(name.startswith("1.png") for name in names) / 4000 == pytest.approx(0.3 / 1.3, abs=0.02)


@pytest.mark.parametrize(("deviation", "flat"), [(0.0, True), (1.9, True), (2.1, False), (40.0, False)])
def test_what_counts_as_flat(deviation: float, flat: bool) -> None:
    """A standard deviation under 2 code values, of the middle frame."""
    plane = np.tile([100 - deviation, 100 + deviation], (8, 4))
    assert batch.is_flat([(plane * 0,), (plane,), (plane * 9,)]) == flat

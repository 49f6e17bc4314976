"""training.gan: each kind's formula, its direction, and the gradient penalty."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from youku.training import gan, losses

REAL, FAKE = torch.tensor([[0.3], [-1.2], [2.5]]), torch.tensor([[-0.4], [0.9], [-2.0]])


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def by_hand(kind: str) -> tuple[float, float]:
    """(discriminator's, generator's) loss written out over plain numbers."""
    real, fake = REAL[:, 0].tolist(), FAKE[:, 0].tolist()
    mean_real, mean_fake = sum(real) / 3, sum(fake) / 3
    if kind == "gan":
        return (
            sum(-math.log(sigmoid(r)) - math.log(1 - sigmoid(f)) for r, f in zip(real, fake, strict=True)) / 3,
            sum(-math.log(sigmoid(f)) for f in fake) / 3,
        )
    if kind == "lsgan":
        return (
            sum(0.5 * (r - 1) ** 2 + 0.5 * f**2 for r, f in zip(real, fake, strict=True)) / 3,
            sum(0.5 * (f - 1) ** 2 for f in fake) / 3,
        )
    if kind == "wgan-gp":
        return mean_fake - mean_real, -mean_fake
    if kind == "hinge":
        return sum(max(0, 1 - r) + max(0, 1 + f) for r, f in zip(real, fake, strict=True)) / 3, -mean_fake
    assert kind == "ragan"
    more_real = [sigmoid(r - mean_fake) for r in real]
    more_fake = [sigmoid(f - mean_real) for f in fake]
    pairs = list(zip(more_real, more_fake, strict=True))
    return (
        sum(-math.log(r) - math.log(1 - f) for r, f in pairs) / 3,
        sum(-math.log(1 - r) - math.log(f) for r, f in pairs) / 6,
    )


@pytest.mark.parametrize("kind", gan.TERMS)
def test_formulas(kind: str) -> None:
    """Both losses equal the paper's formula, term by term."""
    discriminator, generator = by_hand(kind)
    assert float(gan.TERMS[kind].of_discriminator(REAL, FAKE)) == pytest.approx(discriminator, abs=1e-6)
    assert float(gan.TERMS[kind].of_network(REAL, FAKE)) == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("kind", ["gan", "ragan"])
def test_undecided_discriminator(kind: str) -> None:
    """At logits of 0 the generator's loss is log 2 and the discriminator's 2 log 2."""
    zero = torch.zeros(4, 1)
    assert float(gan.TERMS[kind].of_network(zero, zero)) == pytest.approx(math.log(2), abs=1e-6)
    assert float(gan.TERMS[kind].of_discriminator(zero, zero)) == pytest.approx(2 * math.log(2), abs=1e-6)


@pytest.mark.parametrize("kind", gan.TERMS)
def test_the_two_pull_apart(kind: str) -> None:
    """The discriminator's step lowers fake logits and raises real ones, the generator's raises fake ones."""
    real, fake = (torch.full((2, 1), 0.5, requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(gan.TERMS[kind].of_discriminator(real, fake), (real, fake))
    assert (up < 0).all() and (down > 0).all()
    (pull,) = torch.autograd.grad(gan.TERMS[kind].of_network(real, fake), fake)
    assert (pull < 0).all()


def test_vanilla_generator_does_not_saturate() -> None:
    """Where the discriminator is sure (logit -20) the gradient is still -1, not 2e-9 as of log(1 - D)."""
    fake = torch.full((1, 1), -20.0, requires_grad=True)
    (pull,) = torch.autograd.grad(gan.TERMS["gan"].of_network(REAL, fake), fake)
    assert float(pull) == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize("kind", gan.TERMS)
def test_half_precision_logits_give_float32(kind: str) -> None:
    """Logits in bf16, as autocast leaves them, are worked on in float32."""
    real, fake = REAL.bfloat16(), FAKE.bfloat16()
    assert torch.equal(
        gan.TERMS[kind].of_discriminator(real, fake),
        gan.TERMS[kind].of_discriminator(real.float(), fake.float()),
    )
    assert gan.TERMS[kind].of_network(real, fake).dtype == torch.float32


def test_only_ragan_looks_at_real_logits() -> None:
    """The network's loss of the other kinds is the same whatever the real pictures look like."""
    for name, kind in gan.TERMS.items():
        assert torch.equal(kind.of_network(REAL, FAKE), kind.of_network(-REAL, FAKE)) == (name != "ragan")


def linear(slope: float, side_px: int = 4) -> nn.Module:
    """A discriminator whose gradient has norm `slope` everywhere, for one channel."""
    layer = nn.Linear(side_px * side_px, 1)
    nn.init.constant_(layer.weight, slope / side_px)
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_gradient_penalty_of_a_linear_discriminator(slope: float, penalty: float) -> None:
    """(norm - 1)^2 exactly, 0 at slope 1, and finite also where the gradient vanishes."""
    network = linear(slope)
    value = gan.gradient_penalty(network, torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4))
    assert float(value.detach()) == pytest.approx(penalty, abs=1e-5)
    value.backward()
    assert torch.isfinite(network[1].weight.grad).all()  # type: ignore[index]


def test_gradient_penalty_trains_the_discriminator_only() -> None:
    """Its gradient reaches the discriminator's weights, not the network that made the pictures."""
    network, pred = linear(3.0), torch.rand(2, 1, 4, 4, requires_grad=True)
    gan.gradient_penalty(network, torch.rand(2, 1, 4, 4), pred).backward()
    assert pred.grad is None
    assert network[1].weight.grad.abs().sum() > 0  # type: ignore[index]


def test_gradient_penalty_is_float32_under_autocast() -> None:
    """The same number inside and outside autocast, from bf16 pictures too."""
    network, high, pred = linear(3.0), torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    values = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(gan.gradient_penalty(network, high, pred))
    assert torch.equal(*values)
    assert gan.gradient_penalty(network, high.bfloat16(), pred.bfloat16()).dtype == torch.float32


def test_gradient_penalty_is_taken_between_the_pictures() -> None:
    """Of D(x) = sum x^2 / 2 the gradient is x: its norm lies between the two pictures', and repeats with the seed."""
    high, pred = torch.full((64, 1, 4, 4), 1.0), torch.full((64, 1, 4, 4), 2.0)
    seen: list[Tensor] = []

    def square(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return (x**2).sum(dim=(1, 2, 3)) / 2

    def draw(seed: int, number: int) -> Tensor:
        return torch.rand(number, generator=torch.Generator().manual_seed(seed))

    values = [gan.gradient_penalty(square, high, pred, partial(draw, seed)) for seed in (0, 0, 1)]
    assert 1 <= float(seen[0].min()) < 1.2 and 1.8 < float(seen[0].max()) <= 2
    norms = torch.linalg.vector_norm(seen[0].flatten(1), dim=1)
    assert float(values[0].detach()) == pytest.approx(float(((norms - 1) ** 2).mean()), rel=1e-5)
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])


def test_every_kind_is_a_term() -> None:
    """A kind that exists can be asked for on the command line, and carries its weight."""
    for kind in gan.TERMS:
        term = losses.parse(f"l1+5e-3*{kind}").adversarial
        assert term and (term.weight, term.text, term.computes) == (5e-3, kind, gan.TERMS[kind])
    assert gan.TERMS["wgan-gp"].penalty_weight == 10

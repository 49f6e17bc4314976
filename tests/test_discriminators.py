"""Discriminators: exact sizes, logits, sizes that do not divide."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from youku.models import discriminators

FORMS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "srgan 96": (lambda: discriminators.srgan(96), 23_563_649),
    "srgan 96, all biased": (lambda: discriminators.srgan(96, biases="all"), 23_565_505),
    "srgan 96, no bias": (lambda: discriminators.srgan(96, biases="none"), 23_563_585),
    "srgan 128": (lambda: discriminators.srgan(128), 38_243_713),
    "enhancenet 128": (lambda: discriminators.enhancenet(128), 13_102_881),
}
SMALL: dict[str, Callable[[], nn.Module]] = {
    "srgan": lambda: discriminators.srgan(32, num_planes=1),
    "enhancenet": lambda: discriminators.enhancenet(32, num_planes=1),
}


@pytest.mark.parametrize("form", FORMS)
def test_parameter_count(form: str) -> None:
    """Learnable parameters equal the papers' numbers, in each form of the biases."""
    build, count = FORMS[form]
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == count


@pytest.mark.parametrize("name", SMALL)
def test_one_logit_a_picture(name: str) -> None:
    """(N, 1), not squashed to [0, 1]: scaled weights of the last layer scale the logits."""
    torch.manual_seed(0)
    module = SMALL[name]().eval()
    x = torch.rand(3, 1, 32, 32)
    nn.init.zeros_(module.tail[-1].bias)
    with torch.inference_mode():
        logits = module(x)
        module.tail[-1].weight.mul_(1000)
        large = module(x)
    assert logits.shape == (3, 1)
    torch.testing.assert_close(large, 1000 * logits)


@pytest.mark.parametrize("name", SMALL)
def test_it_learns_to_tell_two_kinds_apart(name: str) -> None:
    """Ten steps separate noise from flat grey."""
    torch.manual_seed(0)
    module = SMALL[name]()
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    x = torch.cat([torch.rand(4, 1, 32, 32), torch.full((4, 1, 32, 32), 0.5)])
    real = torch.tensor([1.0] * 4 + [0.0] * 4)[:, None]
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(module(x), real)
        loss.backward()
        optimizer.step()
    assert loss < 0.3


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter_and_the_picture(name: str) -> None:
    """No parameter is dead, and the generator gets a gradient through it."""
    torch.manual_seed(0)
    module, x = SMALL[name](), torch.rand(2, 1, 32, 32, requires_grad=True)
    module(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    assert [key for key, value in module.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_sizes_that_do_not_divide_are_refused() -> None:
    """The error says which multiple is needed and a size that would do."""
    with pytest.raises(ValueError, match="SRGAN .*multiple of 16, got 100; .* 96"):
        discriminators.srgan(100)
    with pytest.raises(ValueError, match="EnhanceNet .*multiple of 32, got 80; "):
        discriminators.enhancenet(80)
    with pytest.raises(ValueError, match="multiple of 16, got 0; .* 16"):
        discriminators.srgan(0)


def test_other_patches_than_it_was_built_for_are_refused() -> None:
    """A patch of another size is named, not a matrix that does not multiply."""
    with pytest.raises(ValueError, match="built for full-size patches of 32x32, got 48x32"):
        discriminators.enhancenet(32)(torch.zeros(1, 3, 32, 48))


def test_unknown_bias_form_is_named() -> None:
    """The error lists the forms there are."""
    with pytest.raises(ValueError, match="'last': expected first, all or none"):
        discriminators.srgan(96, biases="last")

"""What is done to a network's input from outside: zero mean and unit variance, or the range of pictures; no weights."""

from __future__ import annotations

from torch import Tensor, nn


def keep_in_range(module: nn.Module) -> nn.Module:
    """Make `module` see its input clipped to [0, 1]: networks that were trained on pictures alone fail outside.

    Converted to RGB, video leaves that range; SPAN's published weights answer -0.15 with values from -5 to 5.
    """

    def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0].clamp(0, 1),)

    module.register_forward_pre_hook(before)
    return module


def center(module: nn.Module, mean: float, std: float) -> nn.Module:
    """Make `module` compute module((x - mean) / std) * std + mean; mean 0 and std 1 leave it as it is."""
    if mean == 0 and std == 1:
        return module

    def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return ((args[0] - mean) / std,)

    def after(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output * std + mean

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)
    return module

"""Zero-mean, unit-variance input for any network: subtract and divide before it, undo after it; no weights of its own."""

from __future__ import annotations

from torch import Tensor, nn


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

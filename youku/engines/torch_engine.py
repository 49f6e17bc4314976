"""Run a network with torch: an input and what it remembers -> its output and what it remembers next.

Also what is done to a network's input from outside, with no weights: zero mean and unit variance, the range of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from youku.models.colours import Tensors


@dataclass(frozen=True)
class TorchEngine:
    """`module` as it is, in eval mode and on its device; the one engine whose layers can be looked into."""

    module: nn.Module
    device: torch.device
    half: bool = False
    """Run convolutions in bf16 (autocast)."""

    @property
    def name(self) -> str:
        return f"torch {torch.__version__}"

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """(output in float32, memory) for network input of one or more pictures."""
        packed = (part.contiguous(memory_format=torch.channels_last) for part in x)  # (N, T C, H, W)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            made = self.module(*packed, *memory)
        made = made if isinstance(made, tuple) else (made,)
        return tuple(part.float() for part in made[: len(x)]), made[len(x) :]  # (N, C, s H, s W)

    def bytes_per_px(self, x: Tensors) -> float:
        """Peak activation bytes for one input pixel, found by running the small picture `x`.

        The largest input + output of any layer, twice for live skips.
        """
        largest = 0

        def watch(_: nn.Module, inputs: tuple, output: object) -> None:
            nonlocal largest
            passing = (*inputs, *(output if isinstance(output, tuple) else (output,)))
            largest = max(largest, sum(tensor.numel() * 4 for tensor in passing if isinstance(tensor, Tensor)))

        hooks = [layer.register_forward_hook(watch) for layer in self.module.modules()]
        try:
            self.step(x, ())
        finally:
            for hook in hooks:
                hook.remove()
        height, width = x[0].shape[-2:]
        return 2 * largest / (height * width)


def keep_in_range(module: nn.Module) -> nn.Module:
    """Make `module` see its input clipped to [0, 1]: networks that were trained on pictures alone fail outside.

    Converted to RGB, video leaves that range; SPAN's published weights answer -0.15 with values from -5 to 5.
    """

    def before(_: nn.Module, args: Tensors) -> Tensors:
        return (args[0].clamp(0, 1), *args[1:])

    module.register_forward_pre_hook(before)
    return module


def center(module: nn.Module, mean: float, std: float) -> nn.Module:
    """Make `module` compute module((x - mean) / std) * std + mean; mean 0 and std 1 leave it as it is."""
    if mean == 0 and std == 1:
        return module

    def before(_: nn.Module, args: Tensors) -> Tensors:
        return ((args[0] - mean) / std,)

    def after(_: nn.Module, __: Tensors, output: Tensor) -> Tensor:
        return output * std + mean

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)
    return module

"""A 3x3 convolution that is trained as several branches and is one plain convolution to compute.

Branches of c_in -> c_out planes: 1x1 to 2 c_in, 3x3 to 2 c_out and 1x1 to c_out in a chain, beside it one 1x1; all have
biases. The input is padded with zeros before the chain, so its 3x3 sees the first bias there too and the chain equals
one zero-padded 3x3 to the very edge. State dict: conv.0, conv.1, conv.2 and sk, named as in the published checkpoints.
Source: Wan et al. 2024, arXiv:2311.12770; the idea is Ding et al. 2021 (RepVGG), arXiv:2101.03697.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDENING = 2
BRANCHES = ("conv.0", "conv.1", "conv.2", "sk")
UNUSED = "eval_conv"
"""The merged kernel beside the branches in published training checkpoints: stale between two merges, so never read."""


class BranchedConv(nn.Module):
    """The branches as parameters; every step merges them (differentiably) and runs one 3x3 convolution."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(num_in, WIDENING * num_in, 1),
            nn.Conv2d(WIDENING * num_in, WIDENING * num_out, 3),
            nn.Conv2d(WIDENING * num_out, num_out, 1),
        )
        self.sk = nn.Conv2d(num_in, num_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # products of kernels in 16 bit would cost three digits
            weight, bias = merge(dict(self.named_parameters()))
        return F.conv2d(x, weight, bias, padding=1)


def merge(branches: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight (c_out, c_in, 3, 3) and bias (c_out,) of the one convolution that the branches of `BranchedConv` make."""
    first, last = branches["conv.0.weight"][..., 0, 0], branches["conv.2.weight"][..., 0, 0]
    middle = branches["conv.1.weight"]  # (2 c_out, 2 c_in, 3, 3)
    weight = torch.einsum("om,mnyx->onyx", last, torch.einsum("mkyx,kn->mnyx", middle, first))
    weight = weight + F.pad(branches["sk.weight"], [1, 1, 1, 1])  # a 1x1 is a 3x3 with its weight in the middle
    inside = branches["conv.1.bias"] + middle.sum((2, 3)) @ branches["conv.0.bias"]
    return weight, branches["conv.2.bias"] + last @ inside + branches["sk.bias"]


def merge_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with L.weight and L.bias in place of the branches of each L (and its eval_conv); the rest as it is.

    A network with `BranchedConv` in place of plain convolutions becomes the plain one's, which computes the same.
    """
    marker = ".conv.0.weight"
    layers = [key.removesuffix(marker) for key in state if key.endswith(marker)]
    parts = {
        f"{layer}.{name}.{kind}" for layer in layers for name in (*BRANCHES, UNUSED) for kind in ("weight", "bias")
    }
    merged = {key: value for key, value in state.items() if key not in parts}
    for layer in layers:
        keys = [f"{name}.{kind}" for name in BRANCHES for kind in ("weight", "bias")]
        own = {key: _at_least_float32(state[f"{layer}.{key}"]) for key in keys}
        merged[f"{layer}.weight"], merged[f"{layer}.bias"] = merge(own)
    return merged


def faults(layers: Mapping[str, tuple[int, int]], state: Mapping[str, Tensor]) -> list[str]:
    """A phrase for each branch of `layers` (name -> planes in and out) that a state dict lacks or has in another shape.

    The merged kernel beside the branches may be absent.
    """
    wrong = []
    for layer, (num_in, num_out) in layers.items():
        with torch.device("meta"):
            own = BranchedConv(num_in, num_out).state_dict()
        shapes = {f"{layer}.{key}": tuple(value.shape) for key, value in own.items()}
        wrong += [f"missing {key}" for key in shapes if key not in state]
        shapes |= {f"{layer}.{UNUSED}.weight": (num_out, num_in, 3, 3), f"{layer}.{UNUSED}.bias": (num_out,)}
        wrong += [
            f"{key} has shape {tuple(state[key].shape)}, expected {shape}"
            for key, shape in shapes.items()
            if key in state and tuple(state[key].shape) != shape
        ]
    return wrong


def _at_least_float32(value: Tensor) -> Tensor:
    return value.to(torch.promote_types(value.dtype, torch.float32))

"""SPAN: plain convolutions and attention without parameters, one pixel shuffle; and the form in which it is trained.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]; the first convolution sees 0-255 minus the DIV2K mean, the last
gives [0, 1] itself, as in the published weights. Learnable parameters at x4: 150,688 / 194,608 / 426,288 / 498,208 with
28 / 32 / 48 / 52 channels. The networks of the table are plain and trained as they are. The authors train each 3x3 of
the head, the blocks and the middle as several branches (1,840,488 parameters with 48 channels) and merge them afterwards
to one plain convolution: `merge_state` turns the state dict of that form into the plain one's.
Branches of c_in -> c_out planes: 1x1 to 2 c_in, 3x3 to 2 c_out and 1x1 to c_out in a chain, beside it one 1x1; all have
biases. The input is padded with zeros before the chain, so its 3x3 sees the first bias there too and the chain equals
one zero-padded 3x3 to the very edge. State dict: conv.0, conv.1, conv.2 and sk, named as in the published checkpoints.
Source: Wan et al. 2024, "Swift Parameter-free Attention Network for Efficient Super-Resolution", arXiv:2311.12770; the
idea of branches is Ding et al. 2021 (RepVGG), arXiv:2101.03697.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, PixelShuffle, conv
from youku.models.colours import RGB
from youku.models.edsr import DIV2K_MEAN
from youku.models.spec import Download, ModelSpec

WIDENING = 2
BRANCHES = ("conv.0", "conv.1", "conv.2", "sk")
UNUSED = "eval_conv"
"""The merged kernel beside the branches in published training checkpoints: stale between two merges, so never read."""


class Block(nn.Module):
    """Three convolutions with SiLU between; the result r gates itself: (r + x) * (sigmoid(r) - 1/2)."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(num_channels, num_channels) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(the block's output, the activation after its first convolution)."""
        first = F.silu(self.convs[0](x))
        result = self.convs[2](F.silu(self.convs[1](first)))
        return (result + x) * (torch.sigmoid(result) - 0.5), first


class SPAN(nn.Module):
    """Head conv, six blocks, four features joined by a 1x1, conv to 3 s^2 channels, pixel shuffle."""

    mean: Tensor

    def __init__(self, scale: int, num_channels: int, num_blocks: int = 6) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, num_channels)
        self.blocks = nn.ModuleList(Block(num_channels) for _ in range(num_blocks))
        self.mid = conv(num_channels, num_channels)
        self.join = conv(4 * num_channels, num_channels, 1)
        last = conv(num_channels, 3 * scale * scale, 3)
        with torch.no_grad():  # from 0-255 back to [0, 1]: an untrained network would start 255 times too loud
            last.weight /= 255
        self.upscale = nn.Sequential(FullPrecision(last), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        head = out = self.head((x - self.mean) * 255)
        outputs, firsts = [], []
        for block in self.blocks:
            out, first = block(out)
            outputs.append(out)
            firsts.append(first)
        return self.upscale(self.join(torch.cat([head, self.mid(out), outputs[0], firsts[-1]], dim=1)))


SPAN_48 = ModelSpec(
    name="span-48",
    build=lambda scale: SPAN(scale, num_channels=48),
    colours=RGB,
    halo_px=lambda scale: 1 + 6 * 3 + 1 + 1,
    source="Wan et al. 2024, arXiv:2311.12770",
    download=Download("hongyuanyu/SPAN", "Apache-2.0"),
)
SPECS = (
    replace(
        SPAN_48,
        name="span-28",
        build=lambda scale: SPAN(scale, num_channels=28),
        source=f"{SPAN_48.source}, as entered in NTIRE 2024",
        download=Download("Amazingren/NTIRE2024_ESR, team 38", "MIT"),
    ),
    SPAN_48,
)


def branch_shapes(num_in: int, num_out: int) -> dict[str, tuple[int, int, int, int]]:
    """Kernels of the branches between so many planes."""
    wide_in, wide_out = WIDENING * num_in, WIDENING * num_out
    shapes = (wide_in, num_in, 1, 1), (wide_out, wide_in, 3, 3), (num_out, wide_out, 1, 1), (num_out, num_in, 1, 1)
    return dict(zip(BRANCHES, shapes, strict=True))


def merge(branches: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight (c_out, c_in, 3, 3) and bias (c_out,) of the one convolution that branches make."""
    first, last = branches["conv.0.weight"][..., 0, 0], branches["conv.2.weight"][..., 0, 0]
    middle = branches["conv.1.weight"]  # (2 c_out, 2 c_in, 3, 3)
    weight = torch.einsum("om,mnyx->onyx", last, torch.einsum("mkyx,kn->mnyx", middle, first))
    weight = weight + F.pad(branches["sk.weight"], [1, 1, 1, 1])  # a 1x1 is a 3x3 with its weight in the middle
    inside = branches["conv.1.bias"] + middle.sum((2, 3)) @ branches["conv.0.bias"]
    return weight, branches["conv.2.bias"] + last @ inside + branches["sk.bias"]


def merge_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with L.weight and L.bias in place of the branches of each L (and its eval_conv); the rest as it is."""
    marker, merged = ".conv.0.weight", dict(state)
    for layer in [key.removesuffix(marker) for key in state if key.endswith(marker)]:
        own: dict[str, Tensor] = {}
        for kind in ("weight", "bias"):
            merged.pop(f"{layer}.{UNUSED}.{kind}", None)
            own |= {f"{name}.{kind}": merged.pop(f"{layer}.{name}.{kind}") for name in BRANCHES}
        own = {key: value.to(torch.promote_types(value.dtype, torch.float32)) for key, value in own.items()}
        merged[f"{layer}.weight"], merged[f"{layer}.bias"] = merge(own)
    return merged


def faults(layers: Mapping[str, tuple[int, int]], state: Mapping[str, Tensor]) -> list[str]:
    """A phrase for each branch of `layers` (name -> planes in and out) that a state dict lacks or has in another shape.

    The merged kernel beside the branches may be absent.
    """
    wrong = []
    for layer, (num_in, num_out) in layers.items():
        kernels = branch_shapes(num_in, num_out) | {UNUSED: (num_out, num_in, 3, 3)}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, kernel in kernels.items():
            shapes |= {f"{layer}.{name}.weight": kernel, f"{layer}.{name}.bias": kernel[:1]}
        wrong += [f"missing {key}" for key in shapes if key not in state and UNUSED not in key]
        wrong += [
            f"{key} has shape {tuple(state[key].shape)}, expected {shape}"
            for key, shape in shapes.items()
            if key in state and tuple(state[key].shape) != shape
        ]
    return wrong

"""FSRCNN's last layer: the rearranged convolution against torch's own conv_transpose2d, on one 480x270 frame.

python benchmarks/deconvolution.py
"""

from __future__ import annotations

import statistics

import torch
from machine import describe, interleaved, median_ratio
from torch.nn import functional as F

from youku.models.fsrcnn import Deconvolution


def main() -> None:
    print(describe())
    torch.manual_seed(0)
    x = torch.rand(1, 56, 270, 480).contiguous(memory_format=torch.channels_last)
    for scale in (2, 3, 4):
        layer = Deconvolution(56, scale).requires_grad_(False)
        torch.nn.init.normal_(layer.weight, 0, 0.01)
        torch.nn.init.zeros_(layer.bias)

        def ours(layer: Deconvolution = layer) -> torch.Tensor:
            return layer(x)

        def torchs(layer: Deconvolution = layer, scale: int = scale) -> torch.Tensor:
            return F.conv_transpose2d(x, layer.weight, layer.bias, stride=scale, padding=4, output_padding=scale - 1)

        assert (ours() - torchs()).abs().max() < 1e-4
        mine, theirs = interleaved([ours, torchs], 9)
        print(
            f"x{scale}: {1000 * statistics.median(mine):.1f} ms against {1000 * statistics.median(theirs):.1f} ms, "
            f"{median_ratio(mine, theirs):.1f} times faster"
        )


if __name__ == "__main__":
    main()

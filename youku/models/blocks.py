"""Parts that several networks share; plain torch, no I/O."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.video import resize


def conv(num_in: int, num_out: int, kernel_px: int, bias: bool = True) -> nn.Conv2d:
    """Convolution with zero "same" padding."""
    return nn.Conv2d(num_in, num_out, kernel_px, padding=kernel_px // 2, bias=bias)


class FullPrecision(nn.Module):
    """Run a layer in float32 under autocast: its output spans the image range, where bf16 steps are up to a code value."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.layer(x.to(next(self.layer.parameters()).dtype))


class SubPixel(nn.Sequential):
    """Sub-pixel upsampler: conv to r^2 channels and pixel shuffle, x4 as two x2 stages [Shi et al. 2016; EDSR]."""

    def __init__(self, num_channels: int, scale: int, activation: bool = False) -> None:
        layers: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            layers += [conv(num_channels, num_channels * factor * factor, 3), nn.PixelShuffle(factor)]
            if activation:
                layers.append(nn.PReLU())
        super().__init__(*layers)


class Interpolate(nn.Module):
    """Enlarge (N, C, H, W) by an integer factor with a fixed kernel as one convolution and a pixel shuffle; edges repeat."""

    kernel: Tensor

    def __init__(self, scale: int, kernel: str = "bicubic") -> None:
        super().__init__()
        phases, self.margin_px = resize.polyphase(scale, kernel)  # (scale, taps)
        square = torch.einsum("ay,bx->abyx", torch.from_numpy(phases), torch.from_numpy(phases))
        self.scale = scale
        self.register_buffer("kernel", square.flatten(0, 1)[:, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            flat = x.float().flatten(0, 1)[:, None]  # (N C, 1, H, W)
            padded = F.pad(flat, [self.margin_px] * 4, mode="replicate").contiguous(memory_format=torch.channels_last)
            return F.pixel_shuffle(F.conv2d(padded, self.kernel), self.scale)[:, 0].unflatten(0, x.shape[:2])

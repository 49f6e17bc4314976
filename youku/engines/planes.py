"""A network with the border of a video around it: uint8 4:2:0 planes in, uint8 4:2:0 planes out, for a graph to hold.

Y (N, H, W), U and V (N, ceil(H / 2), ceil(W / 2)) as studio-range BT.601 with chroma sited left, as the contest and most
codecs have it -> the same, enlarged; rounded half up. What `predict` does by tables of one size is done here by layers
for any: the same kernels at the same phases (color, interpolate), edges repeat, what is beyond an odd size is cut off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.colours import LEFT, Colours, Rgb, Yuv420
from youku.video import color, resize


class _Along(nn.Module):
    """One axis resized by a filter bank: `factor` outputs of each sample, or one of every two for a factor of 1/2."""

    def __init__(self, factor: float, kernel: str, shift: float, axis: int) -> None:
        super().__init__()
        self.bank: Tensor
        phases, self.margin = resize.bank(factor, kernel, shift)
        self.axis, self.stride = axis, 1 if factor > 1 else 2
        bank = torch.from_numpy(phases).float()[:, None, :, None]  # (phases, 1, taps, 1)
        self.register_buffer("bank", bank if axis == -2 else bank.transpose(-1, -2).contiguous())

    def forward(self, plane: Tensor) -> Tensor:
        """(N, h, w) to (N, factor h, w), or along the columns; half of an odd size is rounded up."""
        margin, along_rows = self.margin, self.axis == -2
        more = margin + self.stride - 1  # one more than half of an odd size needs does no harm: strides leave it
        pad = (0, 0, margin, more) if along_rows else (margin, more, 0, 0)
        x = F.pad(plane[:, None], pad, mode="replicate")
        found = F.conv2d(x, self.bank, stride=(self.stride, 1) if along_rows else (1, self.stride))  # (N, phases, ...)
        number, phases, height, width = found.shape
        if phases == 1:
            return found[:, 0]
        order = (0, 2, 1, 3) if along_rows else (0, 2, 3, 1)
        shape = (number, height * phases, width) if along_rows else (number, height, width * phases)
        return found.permute(order).reshape(shape)


def _both(factor: float, kernel: str, shifts: tuple[float, float]) -> nn.Sequential:
    return nn.Sequential(*(_Along(factor, kernel, shift, axis) for axis, shift in zip((-2, -1), shifts, strict=True)))


class PlanesForm(nn.Module):
    """`module` between planes; `colours` says what it takes, one frame at a time, `dtype` in which precision."""

    def __init__(self, module: nn.Module, colours: Colours, scale: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.module, self.colours, self.scale, self.dtype = module, colours, scale, dtype
        self.enlarge = _both(scale, "bicubic", color.chroma_shift(LEFT, scale))
        self.doubled = _both(2, "bilinear", (0.0, 0.25))  # color.upsample_chroma
        self.halved = _both(0.5, "bilinear", (0.0, -0.5))  # color.downsample_chroma

    def forward(self, y: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        luma, *chroma = (plane.float() / 255 for plane in (y, u, v))  # (N, h, w)
        height, width = luma.shape[-2:]
        if isinstance(self.colours, Yuv420):
            large, small = self.module(luma[:, None].to(self.dtype), torch.stack(chroma, dim=1).to(self.dtype))
            return _codes(large[:, 0]), _codes(small[:, 0]), _codes(small[:, 1])
        if isinstance(self.colours, Rgb):
            coding = self.colours.matrix, self.colours.full_range
            rows, columns = (torch.arange(side, device=y.device) for side in (height, width))
            full = [self.doubled(plane).index_select(1, rows).index_select(2, columns) for plane in chroma]
            rgb = color.yuv444_to_rgb(torch.stack([luma, *full], dim=1), *coding)  # (N, 3, H, W)
            yuv = color.rgb_to_yuv444(self.module(rgb.to(self.dtype)).float(), *coding)
            return _codes(yuv[:, 0]), _codes(self.halved(yuv[:, 1])), _codes(self.halved(yuv[:, 2]))
        rows, columns = (torch.arange((self.scale * side + 1) // 2, device=y.device) for side in (height, width))
        grown = [self.enlarge(plane).index_select(1, rows).index_select(2, columns) for plane in chroma]
        return _codes(self.module(luma[:, None].to(self.dtype))[:, 0]), _codes(grown[0]), _codes(grown[1])


def _codes(plane: Tensor) -> Tensor:
    """Floats, 255 codes to 1.0, to uint8: half up, clipped to the full range."""
    return (plane.float() * 255 + 0.5).floor().clamp(0, 255).to(torch.uint8)

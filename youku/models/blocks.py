"""Parts that several networks share, with the reach of those that decide a network's halo; plain torch, no I/O.

One of them is a network by itself: bicubic and Lanczos, the baselines that every network is measured against, in the same
pipeline. (N, 1, H, W) -> (N, 1, s H, s W), luma in [0, 1]. Keys' kernel, a = -0.5, or Lanczos' of three lobes; half-pixel
centres, edges repeat as for the planes of a clip (video.interpolate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from youku.models.colours import Y
from youku.models.spec import ModelSpec
from youku.video import resize


def conv(
    num_in: int, num_out: int, kernel_px: int = 3, bias: bool = True, dilation_px: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution with zero "same" padding."""
    padding_px = dilation_px * (kernel_px // 2)
    return nn.Conv2d(num_in, num_out, kernel_px, padding=padding_px, dilation=dilation_px, groups=groups, bias=bias)


def start(module: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Draw the weights of every convolution anew, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def conv_prelu(num_in: int, num_out: int, kernel_px: int = 3) -> list[nn.Module]:
    """Convolution and PReLU with a slope a channel."""
    return [conv(num_in, num_out, kernel_px), nn.PReLU(num_out)]


def repeated(number: int, layers: Callable[[], Sequence[nn.Module]]) -> list[nn.Module]:
    """What `layers` makes, so many times over."""
    return [layer for _ in range(number) for layer in layers()]


class Residual(nn.Sequential):
    """x + scale * layers(x): what the layers are, and in which order, is each network's own."""

    def __init__(self, *layers: nn.Module, scale: float = 1.0) -> None:
        super().__init__(*layers)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        branch = super().forward(x)
        return x + (branch if self.scale == 1 else branch * self.scale)


def residual_block(
    num_channels: int,
    activation: nn.Module,
    norm: Callable[[int], nn.Module] | None = None,
    bias: bool = True,
    scale: float = 1.0,
) -> Residual:
    """x + scale * conv(activation(conv(x))), each convolution followed by a norm where there is one."""
    first, second = (
        [conv(num_channels, num_channels, 3, bias), *([norm(num_channels)] if norm else [])] for _ in range(2)
    )
    return Residual(*first, activation, *second, scale=scale)


class FullPrecision(nn.Module):
    """Run a layer in float32 under autocast: its output spans the image range, where bf16 steps are up to a code value."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.layer(x.to(next(self.layer.parameters()).dtype))


WIDE = {2: torch.complex64, 4: torch.complex128}  # as many samples as one number; only moved


def pixel_shuffle(x: Tensor, scale: int) -> Tensor:
    """torch's of (N, C scale^2, H, W); that of a picture's planes on a processor two to ten times as fast.

    What lies channels_last has the samples of an output row beside each other, which move as one number.
    """
    number, channels, height, width = x.shape
    is_plain = x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
    planes = channels // scale**2
    if torch.compiler.is_compiling() or not (is_plain and scale in WIDE and planes <= 3):
        return F.pixel_shuffle(x, scale)
    packed = x.permute(0, 2, 3, 1)
    if packed.stride(3) != 1 or any(px % scale for px in (*packed.stride()[:3], x.storage_offset())):
        return F.pixel_shuffle(x, scale)
    rows = packed.view(WIDE[scale]).view(number, height, width, planes, scale)
    moved = rows.permute(0, 3, 1, 4, 2).reshape(number * planes, scale * height * width)  # rows of width numbers
    return moved.view(torch.float32).view(number, planes, scale * height, scale * width)


class PixelShuffle(nn.PixelShuffle):
    """`pixel_shuffle` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(x, self.upscale_factor)


class SubPixel(nn.Sequential):
    """Sub-pixel upsampler: conv to r^2 channels and pixel shuffle, x4 as two x2 stages [Shi et al. 2016; EDSR]."""

    def __init__(
        self,
        num_channels: int,
        scale: int,
        activation: Callable[[], nn.Module] | None = None,
        bias: bool = True,
        groups: int = 1,
    ) -> None:
        layers: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            wide = conv(num_channels, num_channels * factor * factor, 3, bias, groups=groups)
            layers += [wide, PixelShuffle(factor)]
            if activation:
                layers.append(activation())
        super().__init__(*layers)


class ResizeConv(nn.Sequential):
    """Nearest-neighbour enlargement by powers of two, each x2 followed by conv3, BN where asked, ReLU [Odena et al. 2016].

    Every output sample is covered by the same number of taps, so it cannot draw the checkerboard of a strided
    transposed convolution.
    """

    def __init__(self, num_channels: int, scale: int, batch_norm: bool = False, bias: bool = True) -> None:
        def stage() -> list[nn.Module]:
            norm = [nn.BatchNorm2d(num_channels)] if batch_norm else []
            return [
                nn.Upsample(scale_factor=2, mode="nearest"),
                conv(num_channels, num_channels, 3, bias),
                *norm,
                nn.ReLU(),
            ]

        super().__init__(*repeated(scale.bit_length() - 1, stage))


def before_resize_conv(low_px: int, full_px: int) -> Callable[[int], int]:
    """Halo of `low_px` at input size, the x2 stages of `ResizeConv`, and `full_px` at full size."""

    def halo_px(scale: int) -> int:
        radius_px = full_px
        while scale > 1:
            radius_px, scale = -(-(radius_px + 1) // 2), scale // 2
        return low_px + radius_px

    return halo_px


class Interpolate(nn.Module):
    """Enlarge (N, C, H, W) by an integer factor with a fixed kernel as one convolution and a pixel shuffle.

    `edge` is "symmetric" (mirrored with the edge sample, MATLAB's `imresize` and so the papers') or "replicate".
    `shift_x` moves the columns read to the right, in input pixels (resize.resize); rows stay centred.
    """

    kernel: Tensor

    def __init__(self, scale: int, kernel: str = "bicubic", edge: str = "symmetric", shift_x: float = 0.0) -> None:
        super().__init__()
        rows, columns = (resize.bank(scale, kernel, shift) for shift in (0.0, shift_x))  # (scale, taps), margin
        self.margin_px = max(rows[1], columns[1])
        y, x = (
            torch.from_numpy(np.pad(phases, ((0, 0), [self.margin_px - own] * 2))) for phases, own in (rows, columns)
        )
        square = torch.einsum("ay,bx->abyx", y, x)
        self.scale, self.edge = scale, edge
        self.register_buffer("kernel", square.flatten(0, 1)[:, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            flat = x.float().flatten(0, 1)[:, None]  # (N C, 1, H, W)
            padded = pad(flat, self.margin_px, self.edge).contiguous(memory_format=torch.channels_last)
            enlarged = pixel_shuffle(F.conv2d(padded, self.kernel.float()), self.scale)
            return enlarged[:, 0].unflatten(0, x.shape[:2]).to(self.kernel.dtype)  # float32, but for a network in fp16


def at_least(x: Tensor, side_px: int) -> Tensor:
    """(N, C, H, W), where it is smaller continued below and to the right by its edge pixels to that side."""
    height, width = x.shape[-2:]
    missing = (0, torch.sym_max(0, side_px - width), 0, torch.sym_max(0, side_px - height))
    return F.pad(x, missing, mode="replicate")


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """The first rows and columns of (N, C, H, W); gathered in an exported graph, where a slice could turn out shorter."""
    if not torch.compiler.is_compiling():
        return x[..., :height, :width]
    rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
    return x.index_select(-2, rows).index_select(-1, columns)


def pad(x: Tensor, margin_px: int, edge: str) -> Tensor:
    """`margin_px` more on each side of (N, C, H, W), "replicate" or "symmetric" (see resize.EDGES)."""
    if edge == "replicate":
        return F.pad(x, [margin_px] * 4, mode="replicate")
    for axis in (-2, -1):
        size = x.shape[axis]
        period = torch.full((), 2 * size, device=x.device)  # a tensor: torch.onnx knows no remainder by a plain size
        folded = torch.arange(-margin_px, size + margin_px, device=x.device) % period
        x = x.index_select(axis, torch.where(folded < size, folded, 2 * size - 1 - folded))
    return x


class CollapsedBranch(nn.Module):
    """Parametrization of a 3x3 kernel: W + project . middle . expand, a 1x1, 3x3, 1x1 chain collapsed into the kernel.

    The chain has no biases and no activations, so the sum is the one kernel that the network runs, at every step and
    after it: training costs what the plain network costs, and merging is exact. Autograd sees the branch: it learns
    otherwise. Starts as the kernel that was there; `share` scales the chain's part of it. Standard deviations of the
    chain: 1 / sqrt(C), 0.5 / sqrt(9 * 2 C), 0.5 / sqrt(2 C). Source: Bhardwaj et al. 2022, "Collapsible Linear Blocks
    for Super-Efficient Super Resolution", arXiv:2103.09404.
    """

    WIDENING = 2

    def __init__(self, num_in: int, num_out: int, share: float = 1.0) -> None:
        super().__init__()
        wide = self.WIDENING * num_out
        self.expand = nn.Parameter(torch.randn(self.WIDENING * num_in, num_in) / num_in**0.5)
        middle = torch.randn(wide, self.WIDENING * num_in, 3, 3)
        self.middle = nn.Parameter(middle * 0.5 / (9 * self.WIDENING * num_in) ** 0.5)
        self.project = nn.Parameter(torch.randn(num_out, wide) * share * 0.5 / wide**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self._chain()

    def right_inverse(self, kernel: Tensor) -> Tensor:
        """The weight that makes `kernel` with the chain as it stands."""
        return kernel - self._chain()

    def _chain(self) -> Tensor:
        with torch.autocast(self.expand.device.type, enabled=False):  # products in 16 bit would cost three digits
            inner = torch.einsum("mkyx,kn->mnyx", self.middle, self.expand)
            return torch.einsum("om,mnyx->onyx", self.project, inner)


def add_branch(layer: nn.Conv2d, share: float = 1.0) -> None:
    """Train a 3x3 convolution as a kernel with a collapsed branch; what it computes stays as it is."""
    branch = CollapsedBranch(layer.in_channels, layer.out_channels, share).to(layer.weight)
    parametrize.register_parametrization(layer, "weight", branch)


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network with every branch merged into its kernel: that of the plain one, which computes the same."""
    state = module.state_dict()
    for name, layer in module.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            branch = f"{name}.parametrizations."
            state = {key: value for key, value in state.items() if not key.startswith(branch)}
            state[f"{name}.weight"] = layer.weight.detach()
    return state


BICUBIC = ModelSpec(
    name="bicubic",
    build=lambda scale: Interpolate(scale, "bicubic", "replicate"),
    colours=Y,
    scales=(2, 3, 4, 8),
    halo_px=lambda scale: 2,
    bf16_safe=False,
    trainable=False,
    source="Keys 1981; MATLAB imresize kernel",
)
SPECS = (
    BICUBIC,
    replace(
        BICUBIC,
        name="lanczos",
        build=lambda scale: Interpolate(scale, "lanczos", "replicate"),
        halo_px=lambda scale: 3,
        source="Duchon 1979; three lobes, MATLAB imresize lanczos3",
    ),
)

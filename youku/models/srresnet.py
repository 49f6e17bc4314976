"""SRResNet, the generator of SRGAN, in the paper's form and the course slides' two; and Perceptual-SR, of the same blocks.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1], [-1, 1] inside.

- SRResNet: 16 residual blocks with batch norm, long skip, sub-pixel stages. Learnable parameters at x4: paper 1,549,462
  (1,546,771 without biases), slides 1,546,754. The paper's output is mapped back at the end without a tanh: there it is
  optional, and it saturates near black and white. Source: Ledig et al. 2017, "Photo-Realistic Single Image
  Super-Resolution Using a Generative Adversarial Network".
- The slides' improved one: narrow dilated blocks, instance norm, depthwise upscaling, tanh. 642,050 learnable parameters
  at x4 (and 4,224 running statistics in the state dict), no biases. Instance norm and tanh take absolute contrast away,
  which costs PSNR: an ablation, not a default. In train mode the norms use each picture's own statistics, in eval mode
  the running ones. Source: A. Yiin, Deep Belief course 5, epoch402, with the layers of its published checkpoint: the
  tail is 3x3, where the slide says 5x5 (645,122 parameters). Which activation the blocks have is not known:
  LeakyReLU(0.2) is our choice.
- Perceptual-SR: Johnson's style-transfer network, turned to super-resolution by x4 and x8; the paper scales its tanh to
  0-255. 401,859 learnable parameters at x4, 438,915 at x8. Upscaling is nearest neighbour and a convolution; the paper's
  transposed convolution (same size) is an option, kept to show its checkerboard [Odena et al. 2016,
  distill.pub/2016/deconv-checkerboard]. Source: Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models import blocks
from youku.models.blocks import FullPrecision, PixelShuffle, Residual, SubPixel, conv, residual_block
from youku.models.colours import RGB
from youku.models.spec import ModelSpec

NUM_CHANNELS = 64
NUM_BLOCKS = 16
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's networks


def paper_body(activation: Callable[[], nn.Module], bias: bool, num_blocks: int = NUM_BLOCKS) -> nn.Sequential:
    """Residual blocks, conv3, BN: what the long skip goes around."""
    return nn.Sequential(
        *(residual_block(NUM_CHANNELS, activation(), nn.BatchNorm2d, bias) for _ in range(num_blocks)),
        conv(NUM_CHANNELS, NUM_CHANNELS, 3, bias),
        nn.BatchNorm2d(NUM_CHANNELS),
    )


def signed_to_picture(x: Tensor) -> Tensor:
    """[0, 1] of the last layer behind a tanh."""
    return (torch.tanh(x) + 1) / 2


class SRResNet(nn.Module):
    """Head, body with a long skip, upscaling, tail.

    `from_picture` and `to_picture` bring [0, 1] to what the first layer takes, and what the last gives, [-1, 1], back.
    """

    def __init__(
        self,
        head: nn.Module,
        body: nn.Module,
        upscale: nn.Module,
        tail: nn.Module,
        from_picture: Callable[[Tensor], Tensor] = lambda x: x * 2 - 1,
        to_picture: Callable[[Tensor], Tensor] = signed_to_picture,
    ) -> None:
        super().__init__()
        self.from_picture, self.to_picture = from_picture, to_picture
        self.head, self.body, self.upscale, self.tail = head, body, upscale, FullPrecision(tail)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.from_picture(x))
        features = features + self.body(features)
        return self.to_picture(self.tail(self.upscale(features)))


def srresnet(
    scale: int,
    num_blocks: int = NUM_BLOCKS,
    bias: bool = True,
    block_bias: bool = True,
    activation: Callable[[], nn.Module] = nn.PReLU,
    from_picture: Callable[[Tensor], Tensor] = lambda x: x,
    to_picture: Callable[[Tensor], Tensor] = lambda signed: (signed + 1) / 2,
) -> SRResNet:
    """conv9 + PReLU, blocks, conv3 + BN + long skip, sub-pixel upscaling with PReLU, conv9.

    Ports differ in the values of a picture inside, in the activation and in the biases (PORTS).
    """
    head = nn.Sequential(conv(3, NUM_CHANNELS, 9, bias), activation())
    body = paper_body(activation, bias and block_bias, num_blocks)
    upscale = SubPixel(NUM_CHANNELS, scale, activation, bias)
    return SRResNet(head, body, upscale, conv(NUM_CHANNELS, 3, 9, bias), from_picture, to_picture)


def slides(scale: int) -> SRResNet:
    """The slides' "original": no biases, linear head, slopes only after the upscaling, input and tanh output in [-1, 1].

    Their count of 1,546,754 leaves no room for a slope in the blocks; that it is ReLU there is our choice.
    """
    head, body = conv(3, NUM_CHANNELS, 9, bias=False), paper_body(nn.ReLU, bias=False)
    upscale = SubPixel(NUM_CHANNELS, scale, nn.PReLU, bias=False)
    return SRResNet(head, body, upscale, conv(NUM_CHANNELS, 3, 9, bias=False))


PAPER = ModelSpec(
    name="srresnet",
    build=srresnet,
    colours=RGB,
    scales=(2, 4),
    halo_px=lambda scale: 4 + 2 * 16 + 1 + 2 + -(-4 // scale),  # conv9, blocks, mid, upscale, conv9 at full size
    source="Ledig et al. 2017, arXiv:1609.04802",
)


def as_imagenet(x: Tensor) -> Tensor:
    """[0, 1] to zero mean and unit variance over ImageNet."""
    mean, std = (x.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std


PORTS: dict[str, Callable[[int, int], nn.Module]] = {
    "srresnet-tanh": lambda scale, num: srresnet(scale, num, to_picture=signed_to_picture),
    "srresnet-imagenet": lambda scale, num: srresnet(
        scale, num, from_picture=as_imagenet, to_picture=signed_to_picture
    ),
    "srresnet-unsigned": lambda scale, num: srresnet(scale, num, block_bias=False, to_picture=lambda x: x),
    "srresnet-leaky": lambda scale, num: srresnet(
        scale, num, bias=False, activation=lambda: nn.LeakyReLU(0.2), to_picture=lambda x: x
    ),
}
"""(scale, number of blocks) -> the paper's layers with other activations and biases, and other values for a picture inside:
forms of common ports, which weights of others name and the table does not."""


def ported(name: str, num_blocks: int, scales: tuple[int, ...] = (2, 4)) -> ModelSpec:
    """The spec of a form of PORTS with so many blocks."""
    return replace(
        PAPER,
        name=f"{name}-{num_blocks}",
        build=lambda scale: PORTS[name](scale, num_blocks),
        halo_px=lambda scale: 4 + 2 * num_blocks + 1 + 2 + -(-4 // scale),
        scales=scales,
    )


DILATIONS_PX = (1, 2, 4, 8)
"""Cycle of the first convolution of each block."""


def norm(num_channels: int) -> nn.InstanceNorm2d:
    """Instance norm with learnt scale and shift that keeps running statistics for eval."""
    return nn.InstanceNorm2d(num_channels, affine=True, track_running_stats=True)


def dilated_block(num_channels: int, dilation_px: int) -> Residual:
    """x + IN(conv(act(IN(dilated conv(x))))), through half the channels."""
    narrow = num_channels // 2
    return Residual(
        conv(num_channels, narrow, 3, bias=False, dilation_px=dilation_px),
        norm(narrow),
        nn.LeakyReLU(0.2),
        conv(narrow, num_channels, 3, bias=False),
        norm(num_channels),
    )


class DepthwiseUpscale(nn.Sequential):
    """Two-fold: depthwise conv3 to four channels each, IN, pixel shuffle, PReLU with one slope."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(
            conv(num_channels, 4 * num_channels, 3, bias=False, groups=num_channels),
            norm(4 * num_channels),
            PixelShuffle(2),
            nn.PReLU(),
        )


def improved(scale: int, tail_px: int = 3) -> SRResNet:
    """conv5, dilated blocks, conv3 + IN + long skip, depthwise upscaling, conv and tanh."""
    head = conv(3, NUM_CHANNELS, 5, bias=False)
    body = nn.Sequential(
        *(dilated_block(NUM_CHANNELS, DILATIONS_PX[index % len(DILATIONS_PX)]) for index in range(NUM_BLOCKS)),
        conv(NUM_CHANNELS, NUM_CHANNELS, 3, bias=False),
        norm(NUM_CHANNELS),
    )
    upscale = nn.Sequential(*(DepthwiseUpscale(NUM_CHANNELS) for _ in range(scale.bit_length() - 1)))
    return SRResNet(head, body, upscale, conv(NUM_CHANNELS, 3, tail_px, bias=False))


class PerceptualSR(nn.Module):
    """conv9 + BN + ReLU, 4 residual blocks, log2(scale) enlargements with BN + ReLU, conv9, tanh."""

    def __init__(self, scale: int, deconvolution: bool = False) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, NUM_CHANNELS, 9), nn.BatchNorm2d(NUM_CHANNELS), nn.ReLU())
        self.body = nn.Sequential(*(residual_block(NUM_CHANNELS, nn.ReLU(), nn.BatchNorm2d) for _ in range(4)))
        self.upscale = (
            Deconvolutions(scale) if deconvolution else blocks.ResizeConv(NUM_CHANNELS, scale, batch_norm=True)
        )
        self.tail = FullPrecision(conv(NUM_CHANNELS, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        return signed_to_picture(self.tail(self.upscale(self.body(self.head(x * 2 - 1)))))


class Deconvolutions(nn.Sequential):
    """The paper's "stride 1/2" convolutions: 3x3 transposed of stride 2, so taps overlap unevenly; BN, ReLU."""

    def __init__(self, scale: int) -> None:
        def stage() -> list[nn.Module]:
            enlarge = nn.ConvTranspose2d(NUM_CHANNELS, NUM_CHANNELS, 3, stride=2, padding=1, output_padding=1)
            return [enlarge, nn.BatchNorm2d(NUM_CHANNELS), nn.ReLU()]

        super().__init__(*blocks.repeated(scale.bit_length() - 1, stage))


RESIZED = ModelSpec(
    name="perceptual-sr",
    build=PerceptualSR,
    colours=RGB,
    scales=(4, 8),
    halo_px=blocks.before_resize_conv(4 + 2 * 4, 4),
    source="Johnson et al. 2016, arXiv:1603.08155",
)
SPECS = (
    PAPER,
    replace(PAPER, name="srgan"),  # its generator; the adversary is a loss
    replace(
        PAPER,
        name="srresnet-slides",
        build=slides,
        source="Yiin 2020, Deep Belief course 5, epoch402: the original",
    ),
    replace(
        PAPER,
        name="srresnet-improved",
        build=improved,
        halo_px=lambda scale: 2 + 4 * (1 + 2 + 4 + 8) + 16 + 1 + 2,  # conv5, dilated and plain conv3, mid, upscale
        source="Yiin 2020, Deep Belief course 5, epoch402: the improved",
    ),
    RESIZED,
    replace(RESIZED, name="perceptual-sr-deconv", build=lambda scale: PerceptualSR(scale, deconvolution=True)),
)

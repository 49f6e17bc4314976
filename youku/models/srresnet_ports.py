"""SRResNet as ports of it differ: BasicSR's modified form, and those whose weights are around under names of their own.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1].

- MSRResNet: no batch norm, leaky ReLU, a bilinear skip. 1,369,859 / 1,554,499 / 1,517,571 learnable parameters at x2, x3, x4.
- PORTS: the paper's layers, with other activations and biases, and other values for a picture inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, Residual, SubPixel, conv, start
from youku.models.spec import Download, ModelSpec
from youku.models.srresnet import PAPER, signed_to_picture, srresnet

MILD_SLOPE = 0.1  # of BasicSR's leaky ReLUs
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's networks


class MSRResNet(nn.Module):
    """BasicSR's modified form: no batch norm, leaky ReLU, one more conv3 at full size, bilinear skip [0, 1] -> [0, 1].

    Its start: He et al. 2015 times 0.1, so that it begins at the skip.
    """

    def __init__(self, scale: int, num_channels: int = 64, num_blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels)
        self.body = nn.Sequential(
            *(
                Residual(conv(num_channels, num_channels), nn.ReLU(), conv(num_channels, num_channels))
                for _ in range(num_blocks)
            )
        )
        self.upscale = SubPixel(num_channels, scale, lambda: nn.LeakyReLU(MILD_SLOPE))
        self.refine = conv(num_channels, num_channels)
        self.tail = FullPrecision(conv(num_channels, 3))
        start(self, lambda weight: nn.init.kaiming_normal_(weight).data.mul_(0.1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.upscale(self.body(F.leaky_relu(self.head(x), MILD_SLOPE)))
        detail = self.tail(F.leaky_relu(self.refine(features), MILD_SLOPE))
        return detail + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)


MODIFIED = replace(
    PAPER,
    name="msrresnet",
    build=MSRResNet,
    scales=(2, 3, 4),
    halo_px=lambda scale: 1 + 2 * 16 + 3,  # head, blocks, upscale, refine and tail at full size
    source="XPixelGroup/BasicSR, after Ledig et al. 2017",
    download=Download("XPixelGroup/BasicSR", "Apache-2.0"),
)


def as_imagenet(x: Tensor) -> Tensor:
    """[0, 1] to zero mean and unit variance over ImageNet."""
    mean, std = (x.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std


PORTS: dict[str, Callable[[int, int], nn.Module]] = {
    "srresnet-tanh": lambda scale, num_blocks: srresnet(scale, num_blocks=num_blocks, to_picture=signed_to_picture),
    "srresnet-imagenet": lambda scale, num_blocks: srresnet(
        scale, num_blocks=num_blocks, from_picture=as_imagenet, to_picture=signed_to_picture
    ),
    "srresnet-unsigned": lambda scale, num_blocks: srresnet(
        scale, num_blocks=num_blocks, block_bias=False, to_picture=lambda x: x
    ),
    "srresnet-leaky": lambda scale, num_blocks: srresnet(
        scale, False, num_blocks, activation=lambda: nn.LeakyReLU(0.2), to_picture=lambda x: x
    ),
}
"""Forms of common ports, which weights of others name and the table does not."""


def ported(name: str, num_blocks: int, scales: tuple[int, ...] = (2, 4)) -> ModelSpec:
    """The spec of a form of PORTS with so many blocks."""
    return replace(
        PAPER,
        name=f"{name}-{num_blocks}",
        build=lambda scale: PORTS[name](scale, num_blocks),
        halo_px=lambda scale: 4 + 2 * num_blocks + 1 + 2 + -(-4 // scale),
        scales=scales,
    )


SPECS = (MODIFIED,)

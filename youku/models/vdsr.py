"""VDSR: twenty 3x3 convolutions at full size that predict what bicubic enlargement lost.

(N, 1, H, W) -> (N, 1, s H, s W), luma in [0, 1]; one set of weights serves every scale. Learnable parameters 665,921,
664,704 without biases (the form of the published PyTorch weights). Source: Kim, Lee, Lee 2016, arXiv:1511.04587.
"""

from __future__ import annotations

from torch import Tensor, nn

from youku.models.blocks import Interpolate, after_bicubic, conv, start_he
from youku.models.colours import Y
from youku.models.spec import ModelSpec


class VDSR(nn.Module):
    """bicubic(x) + conv3 + 18 x (ReLU, conv3) + ReLU, conv3; receptive field 41 x 41 at full size."""

    def __init__(self, scale: int, bias: bool = True, num_layers: int = 20, num_channels: int = 64) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.head = nn.Sequential(conv(1, num_channels, 3, bias), nn.ReLU())
        layers: list[nn.Module] = []
        for _ in range(num_layers - 2):
            layers += [conv(num_channels, num_channels, 3, bias), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.tail = conv(num_channels, 1, 3, bias)
        start_he(self)  # as in the paper

    def forward(self, x: Tensor) -> Tensor:
        base = self.enlarge(x)  # float32, so only the small residual may be 16 bit
        return base + self.tail(self.body(self.head(base)))


SPECS = (
    ModelSpec(
        name="vdsr",
        build=VDSR,
        colours=Y,
        any_scale=True,
        halo_px=after_bicubic(20),
        source="Kim et al. 2016, arXiv:1511.04587",
    ),
)

"""SRCNN, VDSR and bicubic itself: luma enlarged by bicubic, which the networks then repair by convolutions at full size.

(N, 1, H, W) -> (N, 1, s H, s W), luma in [0, 1]; one set of weights serves every scale.

- bicubic: the baseline every network is measured against, in the same pipeline. Keys' kernel, a = -0.5, half-pixel
  centres, edges repeat as for the planes of a clip (video.interpolate). No parameters.
- SRCNN 9-1-5, 9-3-5, 9-5-5: 8,129 / 24,513 / 57,281 learnable parameters, of which weights 8,032 / 24,416 / 57,184 as
  the papers count. Same padding, where the paper trains with valid convolutions. Source: Dong, Loy, He, Tang 2014/2016,
  arXiv:1501.00092.
- VDSR: twenty 3x3 convolutions that predict what the enlargement lost. 665,921 learnable parameters, 664,704 without
  biases (the form of the published PyTorch weights). Source: Kim, Lee, Lee 2016, arXiv:1511.04587.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Interpolate, after_bicubic, conv, start_he
from youku.models.colours import Y
from youku.models.spec import ModelSpec


class SRCNN(nn.Module):
    """Patch extraction conv9, non-linear mapping of 1x1, 3x3 or 5x5, reconstruction conv5; no residual.

    Starts as He et al. 2015. The paper's N(0, 0.001) is made for 8e8 updates: after 600 of Adam 1e-3 (last layer 1e-4)
    on T91 at x3 it stands at 27.5 dB on four pictures left out, torch's own at 29.2, this at 29.3, bicubic at 28.6.
    """

    def __init__(self, scale: int, mapping_px: int = 1) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.first = nn.Sequential(conv(1, 64, 9), nn.ReLU())
        self.middle = nn.Sequential(conv(64, 32, mapping_px), nn.ReLU())
        self.last = FullPrecision(conv(32, 1, 5))
        start_he(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(self.enlarge(x))))


SRCNN_915 = ModelSpec(
    name="srcnn",
    build=SRCNN,
    colours=Y,
    any_scale=True,
    halo_px=after_bicubic(6),
    source="Dong et al. 2016, arXiv:1501.00092",
)
SRCNN_SPECS = (
    SRCNN_915,
    replace(SRCNN_915, name="srcnn-935", build=lambda scale: SRCNN(scale, mapping_px=3), halo_px=after_bicubic(7)),
    replace(SRCNN_915, name="srcnn-955", build=lambda scale: SRCNN(scale, mapping_px=5), halo_px=after_bicubic(8)),
)


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


VDSR_20 = replace(
    SRCNN_915, name="vdsr", build=VDSR, halo_px=after_bicubic(20), source="Kim et al. 2016, arXiv:1511.04587"
)
BICUBIC = ModelSpec(
    name="bicubic",
    build=lambda scale: Interpolate(scale, "bicubic", "replicate"),
    colours=Y,
    scales=(2, 3, 4, 8),
    halo_px=lambda scale: 2,
    half_safe=False,
    trainable=False,
    source="Keys 1981; MATLAB imresize kernel",
)

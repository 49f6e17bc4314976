"""SRCNN, VDSR and VSRnet: luma enlarged by bicubic, then repaired by convolutions at full size.

(N, 1, H, W) -> (N, 1, s H, s W), luma in [0, 1]; one set of weights serves every scale.

- SRCNN 9-1-5, 9-3-5, 9-5-5: 8,129 / 24,513 / 57,281 learnable parameters, of which weights 8,032 / 24,416 / 57,184 as
  the papers count. Same padding, where the paper trains with valid convolutions. Source: Dong, Loy, He, Tang 2014/2016,
  arXiv:1501.00092.
- VDSR: twenty 3x3 convolutions that predict what the enlargement lost. 665,921 learnable parameters, 664,704 without
  biases (the form of the published PyTorch weights). Source: Kim, Lee, Lee 2016, arXiv:1511.04587.
- VSRnet: SRCNN 9-5-5 over five motion-compensated frames (N, T, H, W), each enlarged first, joined inside the network.
  Joined before the second layer (the paper's best, its architecture b): 283,073 learnable parameters; with filter
  symmetry, where the frames t - i and t + i share their weights, 170,177. Deviation: neighbours come compensated at the
  low resolution, by block matching (`video.motion`), where the paper compensates the enlarged frames by optical flow.
  Source: Kappeler, Yoo, Dai, Katsaggelos 2016, "Video Super-Resolution with Convolutional Neural Networks".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Interpolate, conv, repeated, start
from youku.models.colours import Y
from youku.models.spec import Download, ModelSpec


def start_he(weight: Tensor) -> None:
    """Kaiming normal over fan-in [He et al. 2015]."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def after_bicubic(radius_px: int) -> Callable[[int], int]:
    """Halo of a network that works on the bicubic enlargement with `radius_px` at full size."""
    return lambda scale: 2 + -(-radius_px // scale)


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
        start(self, start_he)

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
        middle = repeated(num_layers - 2, lambda: (conv(num_channels, num_channels, 3, bias), nn.ReLU()))
        self.body = nn.Sequential(*middle)
        self.tail = conv(num_channels, 1, 3, bias)
        start(self, start_he)  # as in the paper

    def forward(self, x: Tensor) -> Tensor:
        base = self.enlarge(x)  # float32, so only the small residual may be 16 bit
        return base + self.tail(self.body(self.head(base)))


VDSR_20 = replace(
    SRCNN_915,
    name="vdsr",
    build=VDSR,
    halo_px=after_bicubic(20),
    source="Kim et al. 2016, arXiv:1511.04587",
    download=Download("huangzehao/caffe-vdsr", "MIT"),
)
NUM_FRAMES = 5
LAYERS = (("first", (64, 1, 9, 9)), ("middle", (32, 64, 5, 5)), ("last", (1, 32, 5, 5)))  # of SRCNN 9-5-5


class VSRnet(nn.Module):
    """The first layer runs on every frame with weights of its own, the second sees all frames at once.

    `symmetric` lets the frames at equal distance share.
    """

    def __init__(self, scale: int, symmetric: bool = False) -> None:
        super().__init__()
        self.symmetric = symmetric
        num_branches = NUM_FRAMES // 2 + 1 if symmetric else NUM_FRAMES
        self.enlarge = Interpolate(scale)
        self.branches = nn.ModuleList(nn.Sequential(conv(1, 64, 9), nn.ReLU()) for _ in range(num_branches))
        self.trunk = nn.Sequential(conv(64 * num_branches, 32, 5), nn.ReLU(), FullPrecision(conv(32, 1, 5)))
        start(self, start_he)  # as SRCNN does

    def forward(self, x: Tensor) -> Tensor:
        middle = NUM_FRAMES // 2
        frames = self.enlarge(x).split(1, dim=1)  # T x (N, 1, s H, s W)
        if not self.symmetric:
            return self.trunk(torch.cat([run(frame) for run, frame in zip(self.branches, frames, strict=True)], dim=1))
        joined = [self.branches[0](frames[middle])]
        for distance in range(1, middle + 1):  # equal weights in the join too: the pair can be added before it
            run = self.branches[distance]
            joined.append(run(frames[middle - distance]) + run(frames[middle + distance]))
        return self.trunk(torch.cat(joined, dim=1))


def from_srcnn(state: dict[str, Tensor], symmetric: bool = False) -> dict[str, Tensor]:
    """The state dict of a VSRnet that starts as a trained SRCNN 9-5-5: the paper's pre-training.

    The first layer is copied to every frame's branch; the second's weights are copied and divided by the number of
    frames, so that equal frames give exactly the single-image network's output. ValueError where the state dict is not
    that of an SRCNN with a 5 x 5 middle layer.
    """
    found = {}
    for name, shape in LAYERS:  # whatever wraps the convolution
        parts = {key.rpartition(".")[2]: value for key, value in state.items() if key.split(".")[0] == name}
        got = tuple(parts["weight"].shape) if {"weight", "bias"} <= parts.keys() else "none"
        if got != shape:
            raise ValueError(
                f"SRCNN weights: expected layer {name!r} of shape {shape}, got {got}; train srcnn-955 first"
            )
        found[name] = parts
    num_branches = NUM_FRAMES // 2 + 1 if symmetric else NUM_FRAMES
    joined = found["middle"]["weight"].repeat(1, num_branches, 1, 1) / NUM_FRAMES
    layers = {f"branches.{index}.0": found["first"] for index in range(num_branches)}
    layers |= {"trunk.0": {**found["middle"], "weight": joined}, "trunk.2.layer": found["last"]}
    return {f"{layer}.{part}": parts[part] for layer, parts in layers.items() for part in ("weight", "bias")}


FIVE_FRAMES = replace(
    SRCNN_915,
    name="vsrnet",
    build=VSRnet,
    num_frames=NUM_FRAMES,
    aligned=True,
    halo_px=after_bicubic(8),
    source="Kappeler et al. 2016, IEEE Trans. Computational Imaging 2(2)",
)
SPECS = (
    *SRCNN_SPECS,
    VDSR_20,
    FIVE_FRAMES,
    replace(FIVE_FRAMES, name="vsrnet-symmetric", build=lambda scale: VSRnet(scale, symmetric=True)),
)

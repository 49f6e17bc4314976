"""VSRnet: SRCNN 9-5-5 over five motion-compensated frames, each enlarged by bicubic first, joined inside the network.

(N, T, H, W) -> (N, 1, s H, s W), luma in [0, 1]; one set of weights serves every scale. Five frames joined before the
second layer (the paper's best, its architecture b): 283,073 learnable parameters; with filter symmetry, where the frames
t - i and t + i share their weights, 170,177. Deviation: neighbours come compensated at the low resolution, by block
matching (`video.motion`), where the paper compensates the enlarged frames by optical flow.
Source: Kappeler, Yoo, Dai, Katsaggelos 2016, "Video Super-Resolution with Convolutional Neural Networks".
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Interpolate, after_bicubic, conv, start_he
from youku.models.colours import Y
from youku.models.spec import ModelSpec

LAYERS = (("first", 1, 64, 9), ("middle", 64, 32, 5), ("last", 32, 1, 5))  # (name, channels in and out, kernel px)


class VSRnet(nn.Module):
    """Layers before the join run on every frame with weights of its own; the join layer sees all frames at once.

    `join_layer` 1, 2, 3 are the paper's architectures a, b, c. `symmetric` lets the frames at equal distance share.
    """

    def __init__(self, scale: int, num_frames: int = 5, join_layer: int = 2, symmetric: bool = False) -> None:
        super().__init__()
        assert num_frames % 2 == 1 and 1 <= join_layer <= len(LAYERS), (num_frames, join_layer)
        self.num_frames, self.symmetric = num_frames, symmetric
        self.num_branches = num_frames // 2 + 1 if symmetric else num_frames
        self.enlarge = Interpolate(scale)
        self.branches = nn.ModuleList(_layers(0, join_layer - 1) for _ in range(self.num_branches))
        self.trunk = _layers(join_layer - 1, len(LAYERS), num_joined=self.num_branches)
        start_he(self)  # as SRCNN does

    def forward(self, x: Tensor) -> Tensor:
        middle = self.num_frames // 2
        frames = self.enlarge(x).split(1, dim=1)  # T x (N, 1, s H, s W)
        if not self.symmetric:
            return self.trunk(torch.cat([run(frame) for run, frame in zip(self.branches, frames, strict=True)], dim=1))
        joined = [self.branches[0](frames[middle])]
        for distance in range(1, middle + 1):  # equal weights in the join too: the pair can be added before it
            run = self.branches[distance]
            joined.append(run(frames[middle - distance]) + run(frames[middle + distance]))
        return self.trunk(torch.cat(joined, dim=1))


def from_srcnn(
    state_dict: dict[str, Tensor], scale: int = 4, num_frames: int = 5, join_layer: int = 2, symmetric: bool = False
) -> VSRnet:
    """A VSRnet that starts as a trained SRCNN 9-5-5: the paper's pre-training.

    Layers before the join are copied to every frame's branch; the join layer's weights are copied and divided by the
    number of frames, so that equal frames give exactly the single-image network's output. ValueError where the state
    dict is not that of `models.srcnn` with a 5 x 5 middle layer.
    """
    given = {name: _layer_of(state_dict, name, (num_out, num_in, px, px)) for name, num_in, num_out, px in LAYERS}
    module = VSRnet(scale, num_frames, join_layer, symmetric)
    before = [name for name, *_ in LAYERS[: join_layer - 1]]
    with torch.no_grad():
        for branch in module.branches:
            for layer, name in zip(_convolutions(branch), before, strict=True):
                _set(layer, *given[name])
        for layer, (name, *_) in zip(_convolutions(module.trunk), LAYERS[join_layer - 1 :], strict=True):
            weight, bias = given[name]
            is_join = name == LAYERS[join_layer - 1][0]
            _set(layer, weight.repeat(1, module.num_branches, 1, 1) / num_frames if is_join else weight, bias)
    return module


def _layers(start: int, stop: int, num_joined: int = 1) -> nn.Sequential:
    """SRCNN's layers start .. stop - 1, each but the network's last with its ReLU; the first takes `num_joined` inputs."""
    layers: list[nn.Module] = []
    for index, (name, num_in, num_out, kernel_px) in enumerate(LAYERS[start:stop]):
        layer = conv(num_in * (num_joined if index == 0 else 1), num_out, kernel_px)
        layers += [FullPrecision(layer)] if name == LAYERS[-1][0] else [layer, nn.ReLU()]
    return nn.Sequential(*layers)


def _layer_of(state_dict: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(weight, bias) of one of SRCNN's layers, whatever wraps the convolution."""
    found = {key: value for key, value in state_dict.items() if key.split(".")[0] == name}
    weight = next((value for key, value in found.items() if key.endswith("weight")), None)
    bias = next((value for key, value in found.items() if key.endswith("bias")), None)
    if weight is None or bias is None or tuple(weight.shape) != shape:
        got = "none" if weight is None or bias is None else f"{tuple(weight.shape)}"
        raise ValueError(f"SRCNN weights: expected layer {name!r} of shape {shape}, got {got}; train srcnn-955 first")
    return weight, bias


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert layer.bias is not None
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


FIVE_FRAMES = ModelSpec(
    name="vsrnet",
    build=VSRnet,
    colours=Y,
    any_scale=True,
    num_frames=5,
    aligned=True,
    halo_px=after_bicubic(8),
    source="Kappeler et al. 2016, IEEE Trans. Computational Imaging 2(2)",
)
SPECS = (FIVE_FRAMES, replace(FIVE_FRAMES, name="vsrnet-symmetric", build=lambda scale: VSRnet(scale, symmetric=True)))

"""Perceptual and texture losses: VGG features of prediction and target (N, C, H, W) -> how far they are apart.

Features go through the network once a picture, however many terms look at them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.training import vgg

NETS: dict[str, str] = {"vgg16": "vgg16", "vgg19": "vgg19", "texture": "vgg19"}  # network of each term

TEXTURE_PATCH_PX = 16
# layer: weight, table 2 of the supplement of Sajjadi et al. 2017 (EnhanceNet), arXiv:1612.07919, for Grams that are
# sums over a patch; after the activation, as features with a mean of 1 must be
TEXTURE_LAYERS: dict[str, float] = {"relu1_1": 3e-7, "relu2_1": 1e-6, "relu3_1": 1e-6}
MEAN_FLOOR = 1e-6  # a dead layer stays zero instead of becoming NaN


@dataclass(frozen=True)
class Through:
    """A comparison of features: (weight, layer) pairs, and what is compared there."""

    net: str
    layers: tuple[tuple[float, str], ...]
    distance: Callable[[Tensor, Tensor], Tensor]


Judge = Callable[[Tensor, Tensor], list[Tensor]]


def of_term(name: str, argument: str) -> Through:
    """What a term compares: "vgg19", "relu5_4/12.75" or "vgg16", "relu2_2,l1" or "texture", "".

    LAYER[/DIVISOR][,l1]: features are divided by a number (SRGAN: 12.75) or by their mean ("mean", EnhanceNet);
    squared error, or absolute with ",l1" (ESRGAN: conv5_4,l1). ValueError says what is wrong.
    """
    if name == "texture":
        if argument:
            raise ValueError(f"texture takes no argument, got {argument!r}")
        return Through("vgg19", tuple((weight, layer) for layer, weight in TEXTURE_LAYERS.items()), texture_distance)
    path, comma, error = argument.partition(",")
    layer, slash, divisor = path.partition("/")
    if not layer or (comma and error != "l1") or (slash and divisor != "mean" and not _positive(divisor)):
        raise ValueError(
            f"'{name}:{argument}': expected {name}:LAYER, {name}:LAYER/DIVISOR (a positive number or mean), each also "
            f"with ,l1 at its end, such as {name}:relu2_2"
        )
    vgg.check_layer(name, layer)
    scaled = mean_normalised if divisor == "mean" else _dividing(float(divisor or 1))
    compare = F.l1_loss if error else F.mse_loss
    return Through(name, ((1.0, layer),), lambda pred, high: compare(scaled(pred), scaled(high)))


def make_judge(through: Sequence[tuple[float, Through]], path: str, device: torch.device | None) -> Judge:
    """(pred, high) -> weighted values of the comparisons, in order; loads only the layers that they need."""
    nets = sorted({comparison.net for _, comparison in through})
    if len(nets) > 1:
        raise ValueError(f"loss through {' and '.join(nets)}: one weights file holds one network; keep one of the two")
    if not nets:
        return lambda pred, high: []
    wanted = sorted({layer for _, comparison in through for _, layer in comparison.layers})
    network = vgg.load(nets[0], path, wanted, device)

    def judge(pred: Tensor, high: Tensor) -> list[Tensor]:
        with torch.no_grad():
            target = network(high)
        found = network(pred)
        return [
            weight * share * comparison.distance(found[layer], target[layer])
            for weight, comparison in through
            for share, layer in comparison.layers
        ]

    return judge


def mean_normalised(features: Tensor) -> Tensor:
    """Features (N, C, H, W) with a mean of 1 in each picture [EnhanceNet]; meant for layers after an activation."""
    return features / (features.mean(dim=(1, 2, 3), keepdim=True) + MEAN_FLOOR)


def gram(features: Tensor) -> Tensor:
    """F F^T of (N, C, H, W), F = C x (H W), a sum: (N, C, C) [Gatys et al. 2015, arXiv:1505.07376]."""
    flat = features.flatten(2)
    return flat @ flat.mT


def patches(features: Tensor, side_px: int = TEXTURE_PATCH_PX) -> Tensor:
    """Whole square patches side by side as pictures: (N * patches, C, side, side); what is left at the edges is dropped."""
    rows, columns = features.shape[-2] // side_px, features.shape[-1] // side_px
    if not rows or not columns:
        height, width = features.shape[-2:]
        raise ValueError(
            f"loss texture: features of {width}x{height} are smaller than a patch of {side_px} px; train on patches "
            "whose enlarged side is at least 64 px (--patch-px times --scale)"
        )
    cut = features[..., : rows * side_px, : columns * side_px]
    grid = cut.unflatten(-1, (columns, side_px)).unflatten(-3, (rows, side_px))  # (N, C, rows, side, columns, side)
    return grid.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def texture_distance(pred: Tensor, high: Tensor) -> Tensor:
    """MSE of the Grams of 16x16 patches of features with a mean of 1 [EnhanceNet, equation 4]."""
    return F.mse_loss(gram(patches(mean_normalised(pred))), gram(patches(mean_normalised(high))))


def _dividing(divisor: float) -> Callable[[Tensor], Tensor]:
    return lambda features: features / divisor


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False

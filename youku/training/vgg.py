"""Losses through VGG16 and VGG19: weights file -> features of pictures (N, C, H, W) in [0, 1] -> how far apart two are.

Layers: convB_I is before the activation, reluB_I after it, poolB the block's 2x2 maximum [Simonyan and Zisserman 2015,
arXiv:1409.1556, columns D and E]. A luma picture is repeated to three equal channels. The weights come from a local
file, nothing is downloaded. Three forms are read, and each is the other's converter:
  .pth          torchvision's state dict (keys features.N.weight and .bias), read with weights_only=True
  .safetensors  the same keys; the metadata may say "normalisation"
  .npz          arrays convB_I_W and convB_I_b, as Caffe and TensorFlow conversions are passed around, kernels as
                (out, in, 3, 3) or (3, 3, in, out); a text array "normalisation" may be there
Normalisation is what the weights were trained on: "torchvision" (RGB in [0, 1], mean and deviation of ImageNet; the
default of the first two), "caffe-bgr" (0-255, BGR minus its means; the default of .npz) or "caffe-rgb" (the same means,
RGB order). Caffe's features are larger, so a weight found with one set of weights does not carry over to the other.
To make a .npz of any state dict: numpy.savez("vgg19.npz", normalisation="torchvision", conv1_1_W=state[...], ...).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.engines import weights
from youku.training.fields import to_number
from youku.video import damage

CONVS_PER_BLOCK: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS_OF_BLOCK = (64, 128, 256, 512, 512)
URLS: dict[str, str] = {
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}
# (factor on [0, 1], means, deviations, channel order): torchvision's model documentation; Caffe's VGG model card
CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)
NORMALISATIONS: dict[str, tuple[float, tuple[float, ...], tuple[float, ...], tuple[int, ...]]] = {
    "torchvision": (1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0, 1, 2)),
    "caffe-bgr": (255.0, CAFFE_MEANS_BGR, (1.0, 1.0, 1.0), (2, 1, 0)),
    "caffe-rgb": (255.0, CAFFE_MEANS_BGR[::-1], (1.0, 1.0, 1.0), (0, 1, 2)),
}
TEXTURE_PATCH_PX = 16
# (weight, layer), table 2 of the supplement of Sajjadi et al. 2017 (EnhanceNet), arXiv:1612.07919, for Grams that are
# sums over a patch; after the activation, as features with a mean of 1 must be
TEXTURE_LAYERS = ((3e-7, "relu1_1"), (1e-6, "relu2_1"), (1e-6, "relu3_1"))
MEAN_FLOOR = 1e-6  # a dead layer stays zero instead of becoming NaN


class Features(nn.Module):
    """The net's layers up to the deepest one wanted; forward gives {layer: features}. Fresh weights are random."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: str, wanted: Sequence[str], normalisation: str = "torchvision") -> None:
        super().__init__()
        names = layer_names(net)
        depth = 1 + max(names.index(check_layer(net, layer)) for layer in wanted)
        self.wanted = {names.index(layer): layer for layer in wanted}
        self.features = nn.Sequential(*_layers(net)[:depth])
        self.factor, mean, deviation, self.order = NORMALISATIONS[normalisation]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Float32 inside whatever autocast; pictures (N, 1 or 3, H, W) of at least 16x16 for the deepest layers."""
        with torch.autocast(images.device.type, enabled=False):
            assert images.shape[1] in (1, 3), f"pictures have one or three channels, got {tuple(images.shape)}"
            x = images.float().expand(-1, 3, -1, -1)  # (N, 1 or 3, H, W) -> (N, 3, H, W)
            x = torch.stack([x[:, channel] for channel in self.order], 1)  # numbers as an index would stop a GPU
            x = (x * self.factor - self.mean) / self.deviation
            found = {}
            for index, layer in enumerate(self.features):
                if min(x.shape[-2:]) < 2 and isinstance(layer, nn.MaxPool2d):
                    height, width = images.shape[-2:]
                    raise ValueError(
                        f"pictures of {width}x{height} are too small for VGG's layer {self.wanted[max(self.wanted)]}, "
                        "which sees them halved up to five times; raise --patch-px or take an earlier layer"
                    )
                x = layer(x)
                if index in self.wanted:
                    found[self.wanted[index]] = x
        return found


def layer_names(net: str) -> tuple[str, ...]:
    """Names in order; the position is torchvision's number in `features`, one less than Torch's 1-based one."""
    names: list[str] = []
    for block, num_convs in enumerate(CONVS_PER_BLOCK[net], 1):
        for number in range(1, num_convs + 1):
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
        names.append(f"pool{block}")
    return tuple(names)


def check_layer(net: str, layer: str) -> str:
    """`layer` itself; ValueError with the names when the net has no such layer."""
    if layer not in layer_names(net):
        last = ", ".join(f"{block}_1 to {block}_{num}" for block, num in enumerate(CONVS_PER_BLOCK[net], 1))
        raise ValueError(
            f"{net} has no layer {layer!r}: expected conv or relu and {last}, such as relu5_4 (vgg19) or relu2_2, "
            "or pool1 to pool5"
        )
    return layer


def load(net: str, path: str | Path, wanted: Sequence[str], device: torch.device | None = None) -> Features:
    """Frozen features of `net` with the file's weights; ValueError when it is absent or not those of this network."""
    if not str(path):
        raise ValueError(
            f"loss with {net}: needs that network's weights, which are not shipped; download {URLS[net]} "
            "and give --vgg-weights FILE"
        )
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"--vgg-weights {path}: expected a file, found {'a folder' if path.is_dir() else 'none'}; "
            f"torchvision's is at {URLS[net]}"
        )
    if path.suffix == ".npz":
        state, normalisation = _read_npz(path, net)
    else:
        state, about = weights.read(path)
        normalisation = about.get("normalisation", "torchvision")
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"{path}: normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
    module = Features(net, wanted, normalisation)
    # deeper layers and the classifier are left out, but layers that this net does not have mean another network
    convs = [index for index, name in enumerate(layer_names(net)) if name.startswith("conv")]
    known = {f"features.{index}.{part}" for index in convs for part in ("weight", "bias")}
    own = module.state_dict()
    used = {key: value for key, value in state.items() if key.startswith("features.")}
    used = {key: value.float() for key, value in used.items() if key in own or key not in known}
    weights.load_strictly(module, used, f"{path}: as {net}")
    return module.to(device) if device is not None else module


def _layers(net: str) -> list[nn.Module]:
    """The convolutional part, layer by layer, as in torchvision's `features`; ReLUs keep their input for conv layers."""
    layers: list[nn.Module] = []
    num_in = 3
    for name in layer_names(net):
        num_out = CHANNELS_OF_BLOCK[int(name[4]) - 1]
        kind = name[:4]
        if kind == "conv":
            layers.append(nn.Conv2d(num_in, num_out, 3, padding=1))
        else:
            layers.append(nn.ReLU() if kind == "relu" else nn.MaxPool2d(2))
        num_in = num_out
    return layers


def _read_npz(path: Path, net: str) -> tuple[dict[str, Tensor], str]:
    state: dict[str, Tensor] = {}
    names = layer_names(net)
    with open_npz(path) as arrays:
        normalisation = str(arrays["normalisation"]) if "normalisation" in arrays else "caffe-bgr"
        for key in arrays.files:
            name, _, part = key.rpartition("_")
            if part not in ("W", "b") or not name.startswith("conv"):
                continue  # the classifier's fc6_W and such
            value = torch.from_numpy(arrays[key])
            if part == "W" and value.ndim == 4 and value.shape[:2] == (3, 3):
                value = value.permute(3, 2, 0, 1)  # TensorFlow's (3, 3, in, out)
            place = names.index(name) if name in names else name  # the strict load reports an unknown name as such
            state[f"features.{place}.{'weight' if part == 'W' else 'bias'}"] = value
    return state, normalisation


@contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """The arrays of a .npz, no larger than its file can hold; whatever its readers raise over damage is one sentence."""
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip of arrays")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            damage.require_plausible(path, sum(member.file_size for member in arrays.zip.infolist()), "its directory")
            yield arrays
    except Exception as error:  # BadZipFile, TokenError, TypeError, NotImplementedError ...
        if str(error).startswith(f"{path}: ") or (isinstance(error, OSError) and error.filename):  # told already
            raise
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: expected a whole .npz of plain arrays, got damage or another kind ({told}); download it again"
        ) from None


@dataclass(frozen=True)
class FeatureDistance:
    """How features are compared: the network, (weight, layer) pairs, and what is compared there."""

    net: str
    layers: tuple[tuple[float, str], ...]
    distance: Callable[[Tensor, Tensor], Tensor]


def make_distances(
    terms: Sequence[tuple[float, FeatureDistance]], path: str, device: torch.device | None
) -> Callable[[Tensor, Tensor], list[Tensor]]:
    """(pred, high) -> weighted values of the terms, in order; loads only the layers that they need."""
    nets = sorted({term.net for _, term in terms})
    if len(nets) > 1:
        raise ValueError(f"loss through {' and '.join(nets)}: one weights file holds one network; keep one of the two")
    wanted = sorted({layer for _, term in terms for _, layer in term.layers})
    network = load(nets[0], path, wanted, device)

    def distances(pred: Tensor, high: Tensor) -> list[Tensor]:
        with torch.no_grad():
            target = network(high)
        found = network(pred)  # (N, C, H, W) -> {layer: (N, C', h, w)}
        return [
            weight * share * term.distance(found[layer], target[layer])
            for weight, term in terms
            for share, layer in term.layers
        ]

    return distances


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


def _of_layer(net: str, argument: str) -> FeatureDistance:
    """ "relu5_4/12.75" or "relu2_2,l1" as LAYER[/DIVISOR][,l1].

    Features are divided by a number (SRGAN: 12.75) or by their mean ("mean", EnhanceNet); squared error, or absolute
    with ",l1" (ESRGAN: conv5_4,l1).
    """
    path, comma, error = argument.partition(",")
    layer, slash, divisor = path.partition("/")
    if not layer or (comma and error != "l1") or (slash and divisor != "mean" and not to_number(divisor) > 0):
        raise ValueError(
            f"expected {net}:LAYER, {net}:LAYER/DIVISOR (a positive number or mean), each also with ,l1 at its end, "
            f"such as {net}:relu2_2"
        )
    check_layer(net, layer)

    def scaled(features: Tensor) -> Tensor:
        return mean_normalised(features) if divisor == "mean" else features / float(divisor or 1)

    compare = F.l1_loss if error else F.mse_loss
    return FeatureDistance(net, ((1.0, layer),), lambda pred, high: compare(scaled(pred), scaled(high)))


# a term each: (name, argument) -> what it compares; ValueError where the argument does not suit it
TERMS: dict[str, Callable[[str, str], FeatureDistance]] = {
    "vgg16": _of_layer,
    "vgg19": _of_layer,
    "texture": lambda name, argument: FeatureDistance("vgg19", TEXTURE_LAYERS, texture_distance),
}

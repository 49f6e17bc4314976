"""VGG16 and VGG19 as a judge: weights file -> features of pictures (N, C, H, W) in [0, 1], for perceptual losses.

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

import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from youku.engines import weights

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
            x = images.float().expand(-1, 3, -1, -1)[:, self.order]
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
    state, normalisation = _read(path, net)
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"{path}: normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
    module = Features(net, wanted, normalisation)
    # deeper layers and the classifier are left out, but layers that this net does not have mean another network
    known = {f"features.{index}.{part}" for index in _conv_indices(net).values() for part in ("weight", "bias")}
    own = module.state_dict()
    used = {key: value.float() for key, value in state.items() if key in own or key not in known}
    weights.load_strictly(module, used, f"{path}: as {net}")
    return module.to(device) if device is not None else module


def _layers(net: str) -> list[nn.Module]:
    """The convolutional part, layer by layer, as in torchvision's `features`; ReLUs keep their input for conv layers."""
    layers: list[nn.Module] = []
    num_in = 3
    for num_convs, num_out in zip(CONVS_PER_BLOCK[net], CHANNELS_OF_BLOCK, strict=True):
        for _ in range(num_convs):
            layers += [nn.Conv2d(num_in, num_out, 3, padding=1), nn.ReLU()]
            num_in = num_out
        layers.append(nn.MaxPool2d(2))
    return layers


def _conv_indices(net: str) -> dict[str, int]:
    """{"conv1_1": 0, ...}: where each convolution sits in `features`."""
    return {name: index for index, name in enumerate(layer_names(net)) if name.startswith("conv")}


def _read(path: Path, net: str) -> tuple[dict[str, Tensor], str]:
    """(features.* of the state dict, name of the normalisation) of a weights file."""
    if path.suffix == ".npz":
        state, normalisation = _read_npz(path, net)
    elif path.suffix == ".safetensors":
        state, about = weights.read(path)
        normalisation = about.get("normalisation", "torchvision")
    else:
        state, normalisation = _read_pth(path), "torchvision"
    return {key: value for key, value in state.items() if key.startswith("features.")}, normalisation


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a whole state dict of tensors only (.pth), .safetensors or .npz; refused: "
            f"{_reason(error)}; download it again, or save state_dict() of the network alone"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{path}: expected a state dict (names to tensors), got a {type(state).__name__} of other things"
        )
    return state


def _reason(error: Exception) -> str:
    """What torch objects to, in a few words; its advice to load the file unsafely is not passed on."""
    text = str(error) or "it is empty"
    if called := re.search(r"GLOBAL (\S+)", text):
        return f"its pickle calls for {called[1]}, and a file that runs code is never read"
    text = text.partition("WeightsUnpickler error: ")[2] or text
    return text.strip().splitlines()[0].split(". ")[0].removesuffix(".")


def _read_npz(path: Path, net: str) -> tuple[dict[str, Tensor], str]:
    state: dict[str, Tensor] = {}
    indices = _conv_indices(net)
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: expected a whole .npz (a zip of arrays), got damage or another file; download it again"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            normalisation = str(arrays["normalisation"]) if "normalisation" in arrays else "caffe-bgr"
            for key in arrays.files:
                name, _, part = key.rpartition("_")
                if part not in ("W", "b") or not name.startswith("conv"):
                    continue  # the classifier's fc6_W and such
                value = torch.from_numpy(arrays[key])
                if part == "W" and value.ndim == 4 and value.shape[:2] == (3, 3):
                    value = value.permute(3, 2, 0, 1)  # TensorFlow's (3, 3, in, out)
                place = indices.get(name, name)  # an unknown name is reported as such by the strict load
                state[f"features.{place}.{'weight' if part == 'W' else 'bias'}"] = value
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: expected a whole .npz of plain arrays, got damage or another kind ({error})"
        ) from None
    return state, normalisation

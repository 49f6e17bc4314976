"""VGG16 and VGG19, through which losses look, as networks to look into themselves: which one a file holds, its layers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.models.colours import RGB
from youku.models.spec import ModelSpec
from youku.training import vgg

DEEPEST = "pool5"


def judge_of(file: str) -> str | None:
    """ "vgg16" or "vgg19" for weights of one, by the keys of its convolutions; None for any other file.

    A file cut off before the two differ counts as vgg16; one of another VGG as vgg19, whose loading says what differs.
    """
    path = Path(file)
    if path.suffix == ".npz" and path.is_file():
        inside = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        keys = {name for name in inside if name.startswith("conv") and name.endswith("_W.npy")}
    else:
        state, about = weights.read(path)
        first = state.get("features.0.weight")
        if "model" in about or first is None or first.shape != (64, 3, 3, 3):
            return None
        keys = {key for key in state if key.startswith("features.") and key.endswith(".weight")}
    for net in vgg.CONVS_PER_BLOCK:
        convs = [(index, name) for index, name in enumerate(vgg.layer_names(net)) if name.startswith("conv")]
        if keys <= {key for index, name in convs for key in (f"features.{index}.weight", f"{name}_W.npy")}:
            return net
    return "vgg19"


def open_judge(net: str, file: str, layer: str, device: torch.device) -> Network:
    """VGG of a file up to `layer`, as a network to look into."""
    module = vgg.load(net, file, [layer], device)
    source = "Simonyan and Zisserman 2015, arXiv:1409.1556; losses look through it"
    spec = ModelSpec(
        name=net, build=lambda scale: module, colours=RGB, halo_px=lambda scale: 0, source=source, trainable=False
    )
    return Network(spec, 1, TorchEngine(module, device), Path(file))


def module_name(net: str, layer: str, x: Tensor) -> str:
    """The module inside `vgg.Features` that relu2_2 or such is; ValueError where its maximums leave nothing of `x`."""
    height, width = x.shape[-2:]
    least_px = 2 ** (int(layer[4]) - (not layer.startswith("pool")))
    if min(height, width) < least_px:
        raise ValueError(
            f"--picture: is {width}x{height}, and {net} halves it on the way to {layer}; "
            f"give one of at least {least_px}x{least_px}"
        )
    return f"features.{vgg.layer_names(net).index(layer)}"

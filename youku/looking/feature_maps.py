"""See what a layer of a network makes of a picture: its feature maps on one sheet; also VGG's, through which losses look.

Network and RGB picture -> maps (C, h, w) -> a gray contact sheet. VGG16 and VGG19 are opened as networks to look into.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from youku import files
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import still
from youku.models.colours import RGB, Tensors
from youku.models.spec import ModelSpec
from youku.text_table import plural
from youku.training import vgg
from youku.video import pictures

GAP_PX = 2  # between the maps of a contact sheet
MOST_SHEET_PX = 100_000_000
DEEPEST = "pool5"


def maps_of(network: Network, layer: str, x: Tensors) -> Tensor:
    """What the named layer gives for `x` (1, C, H, W), at its first call, the first of several: (maps, h, w)."""
    layers = {name: module for name, module in network.module.named_modules() if name}
    if layer not in layers:
        raise ValueError(
            f"--features {layer}: {network.spec.name} has no such layer; it has {', '.join(list(layers)[:6])} ..., "
            f"all of them shown by `python -m youku models {network.spec.name} --print`"
        )
    kept: list[object] = []

    def keep(module: nn.Module, inputs: tuple, output: object) -> None:
        kept.append(output[0] if isinstance(output, tuple | list) and output else output)

    handle = layers[layer].register_forward_hook(keep)
    try:
        with torch.inference_mode():
            network.module(*x)
    finally:
        handle.remove()
    if not kept or not isinstance(kept[0], Tensor):
        raise ValueError(f"--features {layer}: the network does not call it for an output; name a layer inside it")
    return kept[0][0].float().cpu().reshape(kept[0].shape[1], *(kept[0].shape[2:] or (1, 1)))


def contact_sheet(maps: Tensor) -> np.ndarray:
    """Maps (C, h, w) side by side as uint8 (H, W), each from its least (black) to its most (white); flat ones are gray."""
    number, height, width = maps.shape
    columns = math.ceil(math.sqrt(number * height / width))
    columns = max(1, min(number, columns))
    rows = -(-number // columns)
    if rows * columns * (height + GAP_PX) * (width + GAP_PX) > MOST_SHEET_PX:
        raise ValueError(
            f"--features: {plural(number, 'map')} of {width}x{height} make a sheet over {MOST_SHEET_PX // 1_000_000} Mpx; "
            "give a smaller --picture (a crop of it)"
        )
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    gray = torch.where(most > least, (maps - least) / (most - least).clamp(min=1e-30) * 255, 128.0)
    sheet = np.full((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX), 255, np.uint8)
    for index, cell in enumerate(gray.round().byte().numpy()):
        top, left = index // columns * (height + GAP_PX), index % columns * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def num_flat(maps: Tensor) -> int:
    """How many maps (C, h, w) hold one value only: the dead ones."""
    return int((maps.amax((1, 2)) == maps.amin((1, 2))).sum())


def write_sheet(network: Network, loss_network: str | None, layer: str, picture: str | Path, out: str | Path) -> str:
    """Save all maps of a layer as out/LAYER.png; returns a sentence about them."""
    from PIL import Image

    x = still.picture_input(network, pictures.read_rgb(picture))
    maps = maps_of(network, _vgg_module(loss_network, layer, x[0]) if loss_network else layer, x)
    path = Path(out) / f"{layer}.png"
    if path.exists() and path.samefile(picture):
        raise ValueError(f"--out {out}: {path.name} there is the input picture; name another folder")
    with files.atomic_path(path) as temporary:
        Image.fromarray(contact_sheet(maps)).save(temporary, format="PNG")
    number, height, width = maps.shape
    return (
        f"{path}: {plural(number, 'map')} of {width}x{height}, each from its least (black) to its most (white), "
        f"{num_flat(maps)} of them flat (gray)"
    )


def loss_network_of(file: str) -> str | None:
    """ "vgg16" or "vgg19" for weights of one, by the keys of its convolutions; None for any other file.

    A file cut off before the two differ counts as vgg16; one of another VGG as vgg19, whose loading says what differs.
    """
    path = Path(file)
    if path.suffix == ".npz" and path.is_file():
        with vgg.open_npz(path) as arrays:
            keys = {name for name in arrays.files if name.startswith("conv") and name.endswith("_W")}
    else:
        state, about = weights.read(path)
        first = state.get("features.0.weight")
        if "model" in about or first is None or first.shape != (64, 3, 3, 3):
            return None
        keys = {key for key in state if key.startswith("features.") and key.endswith(".weight")}
    for net in vgg.CONVS_PER_BLOCK:
        convs = [(index, name) for index, name in enumerate(vgg.layer_names(net)) if name.startswith("conv")]
        if keys <= {key for index, name in convs for key in (f"features.{index}.weight", f"{name}_W")}:
            return net
    return "vgg19"


def open_loss_network(net: str, file: str, layer: str, device: torch.device) -> Network:
    """VGG of a file up to `layer`, as a network to look into."""
    module = vgg.load(net, file, [layer], device)
    source = "Simonyan and Zisserman 2015, arXiv:1409.1556; losses look through it"
    spec = ModelSpec(
        name=net, build=lambda scale: module, colours=RGB, halo_px=lambda scale: 0, source=source, trainable=False
    )
    return Network(spec, 1, TorchEngine(module, device), Path(file))


def _vgg_module(net: str, layer: str, x: Tensor) -> str:
    """The module inside `vgg.Features` that relu2_2 or such is; ValueError where its maximums leave nothing of `x`."""
    height, width = x.shape[-2:]
    least_px = 2 ** (int(layer[4]) - (not layer.startswith("pool")))
    if min(height, width) < least_px:
        raise ValueError(
            f"--picture: is {width}x{height}, and {net} halves it on the way to {layer}; "
            f"give one of at least {least_px}x{least_px}"
        )
    return f"features.{vgg.layer_names(net).index(layer)}"

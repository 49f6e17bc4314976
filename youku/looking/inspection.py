"""Look into a trained network: statistics and histograms of its weights, and what a layer makes of a picture.

State dicts and networks in, numbers and pictures out. The vanishing-weight check is the old-film report's (4.4.2):
healthy weights lie about 1e-3 to 1e-4 with a tail to 1e-8; training that died leaves magnitudes below 1e-30.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from youku.engines.network import Network
from youku.files import atomic_path

VANISHED = 1e-30
MOST_VANISHED = 0.01
"""Share of vanished weights from which a layer is warned about: our choice, the report names none."""
GAP_PX = 2  # between the maps of a contact sheet
MOST_SHEET_PX = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One tensor of a state dict."""

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float
    least: float
    most: float
    median_magnitude: float
    vanished: float
    """Share of values with |w| < 1e-30."""
    num_broken: int
    """Values that are NaN or infinite; they are left out of the rest."""

    @property
    def is_weight(self) -> bool:
        """Biases, slopes and norms (one dimension) may be zero in health; weights may not."""
        return len(self.shape) > 1


def summarise(state: Mapping[str, Tensor]) -> list[Statistics]:
    """Statistics of every floating-point tensor, in order."""
    return [_summarise(name, value) for name, value in state.items() if value.is_floating_point() and value.numel()]


def _summarise(name: str, value: Tensor) -> Statistics:
    flat = value.detach().cpu().double().flatten()
    finite = flat[flat.isfinite()]
    num_broken = flat.numel() - finite.numel()
    if not finite.numel():
        finite = torch.full((1,), math.nan, dtype=torch.float64)
    return Statistics(
        name=name,
        shape=tuple(value.shape),
        mean=float(finite.mean()),
        std=float(finite.std(correction=0)),
        least=float(finite.min()),
        most=float(finite.max()),
        median_magnitude=float(finite.abs().median()),
        vanished=float((finite.abs() < VANISHED).double().mean()),
        num_broken=num_broken,
    )


def complaints(statistics: Sequence[Statistics]) -> list[str]:
    """One sentence for each layer whose weights vanished or are no numbers."""
    found = []
    for entry in statistics:
        if entry.num_broken:
            found.append(
                f"{entry.name}: {entry.num_broken} values are NaN or infinite; train again with a smaller "
                "learning rate or without 16-bit precision"
            )
        if entry.is_weight and entry.vanished > MOST_VANISHED:
            found.append(
                f"{entry.name}: {entry.vanished:.1%} of the weights vanished (|w| < {VANISHED:g}); healthy ones lie "
                "about 1e-3 to 1e-4. Try zero-mean input, another start, or a smaller learning rate"
            )
    return found


def histogram(value: Tensor, num_bins: int) -> list[tuple[float, float, int]]:
    """(from, to, count) of equal bins over the finite values' range."""
    flat = value.detach().cpu().double().flatten()
    flat = flat[flat.isfinite()]
    if not flat.numel():
        return []
    counts, edges = np.histogram(flat.numpy(), num_bins)
    return [(float(low), float(high), int(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]


def draw_histograms(state: Mapping[str, Tensor], title: str, path: str | Path) -> int:
    """One panel a weight tensor (two dimensions or more) as a PNG; returns how many. ValueError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--png: needs matplotlib; run: pip install matplotlib") from None

    drawn = [name for name, value in state.items() if value.is_floating_point() and value.ndim > 1]
    if not drawn:
        raise ValueError(f"--png {path}: there is no weight tensor to draw")
    num_columns = min(6, len(drawn))
    num_rows = -(-len(drawn) // num_columns)
    figure = Figure(figsize=(2.6 * num_columns, 0.6 + 1.9 * num_rows), layout="constrained")
    figure.suptitle(title)
    figure.supxlabel("weight")
    figure.supylabel("count, log scale")
    for index, name in enumerate(drawn, 1):
        axes = figure.add_subplot(num_rows, num_columns, index)
        values = state[name].detach().cpu().double().flatten()
        axes.hist(values[values.isfinite()].numpy(), bins=61, log=True)
        axes.set_title(f"{name} {tuple(state[name].shape)}", fontsize=7)
        axes.tick_params(labelsize=6)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return len(drawn)


def picture_input(network: Network, rgb: np.ndarray) -> Tensor:
    """A uint8 picture (H, W, 3) as the network's input (1, T * C, H, W); a multi-frame network sees it in every frame."""
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    (x,) = network.spec.colours.from_rgb(x)
    return x.repeat(1, network.spec.num_frames, 1, 1).to(network.device)


def feature_maps(network: Network, layer: str, x: Tensor) -> Tensor:
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
            network.module(x)
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
            f"--features: {number} maps of {width}x{height} make a sheet over {MOST_SHEET_PX // 1_000_000} Mpx; "
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


def save_png(path: str | Path, gray: np.ndarray) -> None:
    """Write a gray uint8 picture (H, W) whole or not at all."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(gray).save(temporary, format="PNG")

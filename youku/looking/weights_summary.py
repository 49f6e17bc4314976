"""Say what there is to say of a network's weights: statistics of each tensor, vanished ones, histograms, the grid.

Network and metadata -> WeightsSummary -> text, plain data, a picture. The vanishing-weight check is the old-film
report's (4.4.2): healthy weights lie about 1e-3 to 1e-4 with a tail to 1e-8; training that died leaves magnitudes below
1e-30.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from youku import text_table
from youku.engines import weights
from youku.engines.network import Network
from youku.files import printable
from youku.looking import checkerboard
from youku.looking.checkerboard import GridCheck
from youku.models.colours import NEUTRAL
from youku.pages import plots
from youku.text_table import plural

VANISHED = 1e-30
MOST_VANISHED = 0.01
"""Share of vanished weights from which a layer is warned about: our choice, the report names none."""
NUM_BINS = 16
BAR_WIDTH = 50
MOST_TOLD = 500  # letters of a value of the metadata


@dataclass(frozen=True, kw_only=True)
class TensorStatistics:
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


@dataclass(frozen=True, kw_only=True)
class WeightsSummary:
    """A network's weights, or those whose names begin alike."""

    network: Network
    about: Mapping[str, str]
    """Metadata of the file."""
    state: Mapping[str, Tensor]
    statistics: Sequence[TensorStatistics]
    grid: GridCheck | None
    """None where it was not looked for."""


def is_weights(path: Path) -> bool:
    """Whether the file is weights by its first bytes or, where it may be damaged, by its name."""
    if path.suffix in (".safetensors", ".npz") or weights.is_pickle(path):
        return True
    with path.open("rb") as file:  # safetensors: eight bytes of length, then JSON
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def graph_text(path: Path, as_json: bool) -> str:
    """What an exported network says of itself: the metadata that `export` wrote, of another's what it has."""
    from youku.engines import onnx_file

    try:
        about = {key.removeprefix("youku."): value for key, value in onnx_file.read_about(path).items()}
    except ValueError as error:
        raise ValueError(
            f"{error}; or inspect the weights it was made from, a graph holds no weights by name"
        ) from None
    if as_json:
        return json.dumps({"file": str(path), "metadata": about}, indent=2)
    known = "" if "model" in about else "; not written by this kit, so predict and evaluate cannot run it"
    head = f"{path}: ONNX, {path.stat().st_size / 1e6:.1f} MB{known}"
    return "\n".join([head, *(f"  {key:<14}{printable(value, MOST_TOLD)}" for key, value in about.items())])


def summarise_weights(network: Network, about: Mapping[str, str], prefix: str, with_grid: bool) -> WeightsSummary:
    """Look at the tensors whose names begin with `prefix`; the grid is that of the network's own planes and scale."""
    whole = network.module.state_dict()
    state = {name: value for name, value in whole.items() if name.startswith(prefix)}
    if not state:
        raise ValueError(
            f"--layers {prefix}: no tensor of {network.spec.name} begins so; it has "
            f"{', '.join(list(whole)[:6]) or 'no weights at all'}"
        )
    spec, grid = network.spec, None
    if with_grid:
        num_channels, halo_px = spec.channels * spec.num_frames, spec.halo_px(network.scale)
        grid = checkerboard.examine(_first_of(network), num_channels, network.scale, halo_px, network.device)
    return WeightsSummary(network=network, about=about, state=state, statistics=tensor_statistics(state), grid=grid)


def _first_of(network: Network) -> Callable[[Tensor], Tensor]:
    """The network on its first tensor, the others being neutral; its first output."""

    def run(x: Tensor) -> Tensor:
        others = (x.new_full((1, *shape), NEUTRAL) for shape in network.spec.input_shapes(*x.shape[-2:])[1:])
        made = network.module(x, *others)
        return made[0] if isinstance(made, tuple) else made

    return run


def tensor_statistics(state: Mapping[str, Tensor]) -> list[TensorStatistics]:
    """Statistics of every floating-point tensor, in order."""
    return [_statistics(name, value) for name, value in state.items() if value.is_floating_point() and value.numel()]


def _statistics(name: str, value: Tensor) -> TensorStatistics:
    finite = _finite(value)
    num_broken = value.numel() - finite.numel()
    if not finite.numel():
        finite = torch.full((1,), math.nan, dtype=torch.float64)
    return TensorStatistics(
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


def _finite(value: Tensor) -> Tensor:
    """The numbers of a tensor in a row, in double precision."""
    flat = value.detach().cpu().double().flatten()
    return flat[flat.isfinite()]


def complaints(statistics: Sequence[TensorStatistics]) -> list[str]:
    """One sentence for each layer whose weights vanished or are no numbers."""
    found = []
    for entry in statistics:
        if entry.num_broken:
            found.append(
                f"{entry.name}: {plural(entry.num_broken, 'value')} NaN or infinite; train again with a smaller "
                "learning rate or without 16-bit precision"
            )
        if entry.is_weight and entry.vanished > MOST_VANISHED:
            found.append(
                f"{entry.name}: {entry.vanished:.1%} of the weights vanished (|w| < {VANISHED:g}); healthy ones lie "
                "about 1e-3 to 1e-4. Try zero-mean input, another start, or a smaller learning rate"
            )
    return found


def tensor_histogram(value: Tensor, num_bins: int) -> list[tuple[float, float, int]]:
    """(from, to, count) of equal bins over the finite values' range."""
    finite = _finite(value)
    if not finite.numel():
        return []
    counts, edges = np.histogram(finite.numpy(), num_bins)
    return [(float(low), float(high), int(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]


def weights_text(found: WeightsSummary, with_histograms: bool = False) -> str:
    """Network, metadata, one line a tensor, warnings or the all-clear; bars of each tensor and the grid if asked for."""
    network = found.network
    num_values = sum(value.numel() for value in network.module.parameters())
    factor = f" x{network.scale}" if network.scale > 1 else ""
    lines = [f"network    {network.spec.name}{factor}, {num_values:,} parameters ({network.spec.source})"]
    about = {printable(key): printable(value, MOST_TOLD) for key, value in sorted(found.about.items())}
    lines += [f"{key:<10} {value}" for key, value in about.items() if key not in ("model", "scale")]
    rows = [
        [entry.name, "x".join(map(str, entry.shape)) or "one"]
        + [f"{value:.3g}" for value in (entry.mean, entry.std, entry.least, entry.most, entry.median_magnitude)]
        + [f"{entry.vanished:.1%}"]
        for entry in found.statistics
    ]
    header = ["tensor", "shape", "mean", "std", "min", "max", "median |w|", "|w| < 1e-30"]
    lines += ["", text_table.lay_out(header, rows), ""]
    lines += [f"warning: {warning}" for warning in complaints(found.statistics)] or [
        "no weight tensor has vanished or broken values"
    ]
    if with_histograms:
        lines += ["", _histograms_text(found.state)]
    if found.grid:
        lines += ["", checkerboard.grid_text(found.grid)]
    return "\n".join(lines)


def _histograms_text(state: Mapping[str, Tensor]) -> str:
    """Bars of each tensor's values between its least and its most."""
    blocks = []
    for name, value in state.items():
        bins = tensor_histogram(value, NUM_BINS) if value.is_floating_point() and value.numel() > 1 else []
        if not bins:
            continue
        tallest = max(count for _, _, count in bins)
        rows = [
            f"  {low:>10.3g} .. {high:>10.3g}  {count:>9,}  {'#' * round(BAR_WIDTH * count / tallest)}".rstrip()
            for low, high, count in bins
        ]
        blocks.append("\n".join([f"{name} ({plural(value.numel(), 'value')})", *rows]))
    return "\n\n".join(blocks)


def weights_as_json(found: WeightsSummary) -> dict[str, object]:
    """The same for programs."""
    told: dict[str, object] = {
        "model": found.network.spec.name,
        "scale": found.network.scale,
        "metadata": dict(sorted(found.about.items())),
        "tensors": [asdict(entry) for entry in found.statistics],
        "warnings": complaints(found.statistics),
    }
    if found.grid:
        told["checkerboard"] = checkerboard.grid_as_json(found.grid)
    return told


def draw_histograms(state: Mapping[str, Tensor], title: str, path: str | Path) -> int:
    """One panel a weight tensor (two dimensions or more) as a PNG; returns how many. ValueError without matplotlib."""
    drawn = [name for name, value in state.items() if value.is_floating_point() and value.ndim > 1]
    if not drawn:
        raise ValueError(f"--png {path}: there is no weight tensor to draw")
    num_columns = min(6, len(drawn))
    num_rows = -(-len(drawn) // num_columns)
    with plots.png_figure(path, 110, 2.6 * num_columns, 0.6 + 1.9 * num_rows) as figure:
        figure.suptitle(title)
        figure.supxlabel("weight")
        figure.supylabel("count, log scale")
        for index, name in enumerate(drawn, 1):
            axes = figure.add_subplot(num_rows, num_columns, index)
            axes.hist(_finite(state[name]).numpy(), bins=61, log=True)
            axes.set_title(f"{name} {tuple(state[name].shape)}", fontsize=7)
            axes.tick_params(labelsize=6)
    return len(drawn)

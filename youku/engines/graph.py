"""A network as an ONNX graph for any batch, height and width: layers of torch -> bytes, the same every time.

Inputs and outputs are those of the model border (models.spec): float, not clipped, named "input" and "output", or
"input_0", "input_1" ... where there are several. What engines need of a weights file is kept in the cache.
Source: torch.onnx's exporter on torch.export, which is what the packages `onnx` and `onnxscript` are for.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from youku import files
from youku.engines.network import Network
from youku.engines.planes import PlanesForm
from youku.models.colours import Colours, Tensors

OPSET, MOST_OPSET = 18, 23
"""torch.onnx writes 18; the packages turn it into a newer one, but into none that is older."""
PACKAGES = ("onnx", "onnxscript")
EXAMPLE = (2, 24, 28)  # pictures, height, width: only the code's way depends on them, and torch.export checks that
KEPT_GRAPHS = 8


class Opened(NamedTuple):
    """A graph in a runtime: arrays in, arrays out, and the texts that the file carries beside it."""

    run: Callable[[list[np.ndarray]], list[np.ndarray]]
    about: dict[str, str]


class _Layers(nn.Module):
    """The network as a graph: a tuple goes out, in the precision of what comes in."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *x: Tensor) -> Tensors:
        made = self.module(*x)
        return tuple(part.to(x[0].dtype) for part in (made if isinstance(made, tuple) else (made,)))


def can_export() -> bool:
    """Whether the packages that write graphs are installed."""
    return all(find_spec(name) for name in PACKAGES)


def export(
    network: Network, about: Mapping[str, str], opset: int = OPSET, half: bool = False, coded: Colours | None = None
) -> bytes:
    """The graph of a network that torch runs, `about` in its metadata; `half` computes in fp16, in and out alike.

    With `coded`, the network's colours as frames are coded, it takes and makes uint8 planes (`planes.PlanesForm`).
    ValueError where there is none: the network carries memory from frame to frame, or does what ONNX does not have.
    """
    layers, x, names, shapes = _form(network, half, coded)
    with torch.inference_mode(False), _quiet(), _told(network, "ONNX"):
        program = torch.onnx.export(
            layers, x, input_names=names[0], output_names=names[1], opset_version=opset,
            dynamo=True, dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
        assert program is not None
        graph: Any = program.model_proto
    if graph.opset_import[0].version != opset:  # the converter gives up without an error
        raise ValueError(f"--opset {opset}: {network.spec.name} has no form in it; take {OPSET}")
    _strip(graph)
    for key in sorted(about):
        graph.metadata_props.add(key=key, value=about[key])
    return graph.SerializeToString(deterministic=True)


def package(network: Network, about: Mapping[str, str], half: bool = False, coded: Colours | None = None) -> bytes:
    """The same as a package of torch.export, which torch runs, or compiles ahead of time, without this kit."""
    layers, x, _, shapes = _form(network, half, coded)
    if coded:  # what ties the sizes of planes to one another, and the least of them, is for torch to find out
        shapes = tuple({**axes, 1: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO} for axes in shapes)
    with torch.inference_mode(False), _quiet(), _told(network, "torch.export"):
        program = torch.export.export(
            layers, x, dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=bool(coded)
        )
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"about.json": json.dumps(dict(about), sort_keys=True)})
    return file.getvalue()


def open_package(data: bytes, num_threads: int) -> Opened:
    """A package in torch, as the runtimes of graph_engine open graphs."""
    module = torch.export.load(io.BytesIO(data)).module()

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [part.numpy() for part in module(*map(torch.from_numpy, arrays))]

    return Opened(run, {})


@contextmanager
def _told(network: Network, kind: str) -> Iterator[None]:
    """What the exporters raise, their own kinds, as one sentence."""
    try:
        yield
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{network.spec.name} x{network.scale} has no {kind} form ({reason[:200]})") from None


def _form(network: Network, half: bool, coded: Colours | None) -> tuple[nn.Module, Tensors, list[list[str]], tuple]:
    """What is traced, on what, the names of its inputs and outputs, and which of its axes are free."""
    if network.spec.memory:
        raise ValueError(f"{network.spec.name} carries memory from frame to frame, which one graph does not")
    if coded and network.spec.num_frames > 1:
        raise ValueError(
            f"{network.spec.name} takes {network.spec.num_frames} frames, and --planes makes graphs of one"
        )
    dtype = torch.float16 if half else torch.float32
    module = copy.deepcopy(network.module).half() if half else network.module
    if coded:
        number, height, width = EXAMPLE
        sizes = ((height, width), *[(height // 2, width // 2)] * 2)
        x: Tensors = tuple(torch.full((number, *size), 128, dtype=torch.uint8) for size in sizes)
        names = [["y", "u", "v"], ["y_out", "u_out", "v_out"]]
        layers: nn.Module = PlanesForm(module, coded, network.scale, dtype).eval()
    else:
        x = example(network, *EXAMPLE, dtype)
        names = [[f"{way}_{index}" for index in range(len(x))] if len(x) > 1 else [way] for way in ("input", "output")]
        layers = _Layers(module)
    # planes of another size have axes of their own: half of 5 is not told from half of 6
    batch = torch.export.Dim("batch")
    axes = [
        {
            0: batch,
            x[0].ndim - 2: torch.export.Dim(f"height{number}"),
            x[0].ndim - 1: torch.export.Dim(f"width{number}"),
        }
        for number in ("", *(f"_{index}" for index in range(1, len(x))))
    ]
    shapes = (*axes[:2], axes[1]) if coded else tuple(axes[: len(x)])  # U and V are of one size
    return layers, x, names, shapes if coded else (shapes,)


def example(network: Network, number: int, height: int, width: int, dtype: torch.dtype) -> Tensors:
    """Network input (N, T C, H, W) of grey pictures of that size."""
    colours = network.spec.colours
    parts = colours.from_rgb(torch.full((number, 3, height, width), 0.5))
    return tuple(part.repeat(1, network.spec.num_frames, 1, 1).to(dtype) for part in parts)


def kept(network: Network) -> bytes:
    """`export` of a network without metadata, from the cache where it was written for the same weights and versions."""
    if network.path is None:
        return export(network, {})
    folder = files.cache_folder("engines") / "graphs"
    path = folder / f"{_key(network)}.onnx"
    with suppress(OSError):
        graph = path.read_bytes()
        path.touch()
        return graph
    graph = export(network, {})
    with suppress(OSError, ValueError):  # no cache, or a full one: the next run writes it again
        with files.atomic_write(path) as file:
            file.write(graph)
        oldest = sorted(folder.glob("*.onnx"), key=lambda one: one.stat().st_mtime)[:-KEPT_GRAPHS]
        for one in oldest:
            one.unlink()
    return graph


def _key(network: Network) -> str:
    """What decides a graph: the weights, which network they are taken for, the code, the packages that write it."""
    assert network.path is not None
    parts = [files.sha256(network.path), network.spec.name, str(network.scale)]
    parts += [f"{name} {version(name)}" for name in ("torch", *PACKAGES)]
    own = Path(__file__).parents[1]
    parts += [files.sha256(path) for room in ("models", "engines") for path in sorted((own / room).glob("*.py"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _strip(graph: Any) -> None:
    """Take out what names the code and paths that the graph was made from."""
    body = graph.graph
    del body.value_info[:], body.metadata_props[:], graph.metadata_props[:]
    body.doc_string = ""
    for part in (*body.node, *body.initializer, *body.input, *body.output):
        part.doc_string = ""
        del part.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on packages that it does not need, and on its own future, from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""Choose what computes a network: torch, or another engine that is faster here and gives the same picture.

Network, `--engine NAME` -> the network with an engine that settles at the first picture it sees (`chosen`), and stays;
one asked for by name is held to the same picture, but not measured. Torch runs what is on a GPU, in 16 bit, or carries
memory; on a GPU "auto" replays it as a CUDA graph, and "torch" launches every layer, "compile" what torch.compile makes
of them. An engine beside torch loads where it is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from youku.engines import half, shipped
from youku.engines.network import AGREE_CODES, TORCH, Network

if TYPE_CHECKING:
    from youku.engines.graph_engine import Runtime

COMPILE = "compile"
RUNTIMES = ("openvino", "onnxruntime")  # graph_engine.RUNTIMES
NAMES = ("auto", TORCH, COMPILE, *RUNTIMES)
Tell = Callable[[str], object]


def add_flag(parser: argparse.ArgumentParser) -> None:
    text = "what computes the network: auto (default) takes the fastest package installed that gives torch's picture"
    parser.add_argument("--engine", choices=NAMES, default="auto", help=text)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """--weights of several files, and what chooses the kit's own."""
    text = "best.safetensors of a run, published weights (safetensors, .pth), export's .onnx, or several: their mean (the kit's)"
    parser.add_argument("--weights", nargs="+", metavar="FILE", help=text)
    parser.add_argument("--quality", choices=list(shipped.QUALITIES), help="of the kit's own networks (balanced)")
    parser.add_argument(
        "--input", choices=("auto", *shipped.INPUTS), help="what they were trained on (auto: by what comes)"
    )


def with_engine(network: Network, name: str, tell: Tell) -> Network:
    """The network run by the engine of that name; ValueError where one asked for by name can not.

    `tell` hears what is chosen; where no other engine is installed, torch runs without a word.
    """
    from youku.engines import weights

    is_graph = network.path is not None and weights.is_graph(network.path)
    if name in (TORCH, COMPILE) and is_graph:
        raise ValueError(f"--engine {name}: {network.path} is an ONNX graph without torch's layers; drop the flag")
    if name == COMPILE:
        from youku.engines import variants

        return variants.compiled(network, AGREE_CODES, tell)
    wanted = [one for one in RUNTIMES if name == one or (name == "auto" and find_spec(one))]
    if not wanted and not is_graph:
        return graphed(network, tell) if name == "auto" else network
    from youku.engines import graph, graph_engine
    from youku.engines.chosen import ChosenEngine

    why_not = {one: _why_not(network, graph_engine.RUNTIMES[one], is_graph) for one in wanted}
    if why_not.get(name):
        raise ValueError(f"--engine {name}: {why_not[name]}")
    usable = tuple(graph_engine.RUNTIMES[one] for one in wanted if not why_not[one])
    if isinstance(network.engine, ChosenEngine):
        return replace(network, engine=replace(network.engine, runtimes=usable, is_named=name != "auto", tell=tell))
    if not usable:
        return graphed(network, tell) if name == "auto" else network
    engine = ChosenEngine(
        spec=network.spec, scale=network.scale, graph=lambda: graph.kept(network), runtimes=usable,
        reference=network.engine, is_named=name != "auto", tell=tell,
    )  # fmt: skip
    return replace(network, engine=engine)


def graphed(network: Network, tell: Tell = str) -> Network:
    """The network as a CUDA graph, where torch runs it on a GPU."""
    if network.device.type != "cuda" or not network.spec.trainable:
        return network
    from youku.engines.cuda_graph import GraphedEngine

    return replace(network, engine=GraphedEngine(network.engine, tell=tell))


def _why_not(network: Network, runtime: Runtime, is_graph: bool) -> str:
    """Why a runtime cannot be the network's engine, and what to do; empty where nothing is known against it."""
    from youku.engines import graph

    if not network.spec.trainable:
        return f"has no effect on {network.spec.name}; drop it"
    if not runtime.is_installed or not (is_graph or graph.can_export()):
        return f"needs packages that are not installed; run {runtime.pip_line}"
    if network.device.type != "cpu":
        return f"computes on the processor, not on {network.device}; add --device cpu, or take --engine torch"
    if network.dtype != half.FLOAT32:
        return "computes in 32 bit; drop --dtype (--half), or take --engine torch"
    if network.spec.memory:
        return f"{network.spec.name} carries memory from frame to frame, which a graph does not; take --engine torch"
    return ""

"""Engines against torch on one 480x270 picture, one thread each, in turn: CPU seconds and wall, and how far the output is.

--table exports every network of the kit instead and runs it in every engine: batches, odd and one-pixel pictures.

python benchmarks/engines.py
python benchmarks/engines.py --table
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from contextlib import suppress

import torch
from machine import describe, median_ratio

from youku.engines import choice, graph, weights
from youku.engines.graph_engine import open_engine
from youku.engines.network import Engine, Network
from youku.engines.onnx_file import installed
from youku.engines.torch_engine import TorchEngine
from youku.models import MODELS
from youku.models.colours import Tensors
from youku.threads import keep_freed, limit_threads

NETWORKS = (("fsrcnn", 4), ("pairs-s", 4), ("srvgg-16", 4), ("rlfn", 4))
REPEATS = 9
SIZES = ((2, 24, 20), (1, 17, 31), (1, 1, 1), (1, 1, 7), (3, 9, 1))  # pictures, height, width


def network(name: str, scale: int) -> Network:
    """The kit's own weights where it has some, else fresh ones: their values do not change the time."""
    torch.manual_seed(0)
    with suppress(ValueError):
        return weights.load(None, name, scale, torch.device("cpu"))
    module = MODELS[name].build(scale).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Network(MODELS[name], scale, TorchEngine(module, torch.device("cpu")))


def picture(made: Network, number: int, height: int, width: int) -> Tensors:
    rgb = torch.rand(number, 3, height, width)
    return tuple(part.repeat(1, made.spec.num_frames, 1, 1) for part in made.spec.colours.from_rgb(rgb))


def codes_apart(made: Network, engine: Engine, x: Tensors) -> float:
    pairs = zip(engine.step(x, ())[0], made.engine.step(x, ())[0], strict=True)
    return max(float((ours - theirs).abs().max()) * 255 for ours, theirs in pairs)


def compare(name: str, scale: int) -> None:
    """A line for each engine: median CPU and wall of a picture, and the median ratio of CPU to torch's in the same turn."""
    made = network(name, scale)
    data = graph.export(made, {})
    engines = [made.engine, *(open_engine(one, data, scale, made.engine.bytes_per_px) for one in installed())]
    if os.environ.get("CXX") or shutil.which("g++"):
        engines.append(choice.with_engine(made, choice.COMPILE, print).engine)
    x = picture(made, 1, 270, 480)
    apart = [codes_apart(made, engine, x) for engine in engines]
    spent: list[list[float]] = [[] for _ in engines]
    walls: list[list[float]] = [[] for _ in engines]
    for _ in range(REPEATS):
        for engine, cpu, wall in zip(engines, spent, walls, strict=True):
            began, clock = time.process_time(), time.perf_counter()
            engine.step(x, ())
            cpu.append(time.process_time() - began)
            wall.append(time.perf_counter() - clock)
    for engine, cpu, wall, codes in zip(engines, spent, walls, apart, strict=True):
        times = f"{1000 * statistics.median(cpu):7.0f} CPU ms {1000 * statistics.median(wall):7.0f} ms wall"
        ratio = f"{median_ratio(cpu, spent[0]):5.2f} of torch's speed by CPU"
        print(f"{name:<10} x{scale} {engine.name:<20} {times} {ratio}, {codes:.2g} codes from it", flush=True)


def table() -> None:
    """A line for each network at its largest scale: the size of its file, and the largest difference from torch."""
    for name, spec in MODELS.items():
        made = network(name, spec.scales[-1])
        try:
            data = graph.export(made, {})
            engines = [open_engine(one, data, made.scale, made.engine.bytes_per_px) for one in installed()]
            apart = [max(codes_apart(made, engine, picture(made, *size)) for size in SIZES) for engine in engines]
        except ValueError as error:
            print(f"{name:<26} x{made.scale} {error}", flush=True)
            continue
        told = ", ".join(f"{engine.name} {codes:.1g}" for engine, codes in zip(engines, apart, strict=True))
        print(f"{name:<26} x{made.scale} {len(data) / 1e6:7.2f} MB, codes from torch: {told}", flush=True)


def main() -> None:
    print(describe(), f"; load {os.getloadavg()[0]:.1f}")
    limit_threads(1)
    keep_freed()  # as in a process of the command line
    if "--table" in sys.argv[1:]:
        table()
        return
    for name, scale in NETWORKS:
        compare(name, scale)


if __name__ == "__main__":
    main()

"""A step of torch on a GPU as one CUDA graph: recorded once a size, then replayed with a single launch.

Small networks are bound by the launches of their layers. A graph computes what eager torch does, and is used only where
its first picture equals eager torch's bit for bit; so it bears the same name and makes the same frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from youku.engines.network import Engine
from youku.models.colours import Tensors

MOST_GRAPHS = 8  # sizes of tiles, with and without memory; each holds the memory of its layers
Key = tuple[tuple[torch.Size, ...], ...]


@dataclass(frozen=True)
class Graph:
    """A recorded step: where its input has to lie, and where its output will."""

    graph: torch.cuda.CUDAGraph
    x: Tensors
    memory: Tensors
    made: tuple[Tensors, Tensors]

    def replay(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """Output and memory in memory of their own: the next replay writes over the graph's."""
        for own, given in zip((*self.x, *self.memory), (*x, *memory), strict=True):
            own.copy_(given)
        self.graph.replay()
        y, after = (tuple(part.clone() for part in parts) for parts in self.made)
        return y, after


@dataclass(frozen=True)
class GraphedEngine:
    """`eager` on a GPU; a size that comes a second time is recorded."""

    eager: Engine
    tell: Callable[[str], object] = str
    _known: dict[Key, Graph | None] = field(default_factory=dict, init=False, compare=False)
    """By sizes; None of those that stay eager."""
    _seen: set[Key] = field(default_factory=set, init=False, compare=False)

    @property
    def name(self) -> str:
        return self.eager.name

    @property
    def device(self) -> torch.device:
        return self.eager.device

    @property
    def dtype(self) -> str:
        return self.eager.dtype

    def bytes_per_px(self, x: Tensors) -> float:
        return self.eager.bytes_per_px(x)

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        key = tuple(tuple(part.shape for part in parts) for parts in (x, memory))
        with torch.inference_mode():
            if graph := self._known.get(key):
                return graph.replay(x, memory)
            made = self.eager.step(x, memory)
            if key not in self._seen or key in self._known or len(self._known) >= MOST_GRAPHS:
                self._seen.add(key)
                return made
            self._known[key] = None  # whatever goes wrong: it is not tried again
            try:
                graph = record(self.eager.step, x, memory)
                again = graph.replay(x, memory)
            except RuntimeError as error:  # out of memory is one
                torch.cuda.synchronize(self.device)
                self._tell_of(str(error).splitlines()[0])
                return made
            if all(map(torch.equal, (*again[0], *again[1]), (*made[0], *made[1]))):
                self._known[key] = graph
            else:
                self._tell_of("its picture is another one")
            return made

    def _tell_of(self, reason: str) -> None:
        self.tell(f"no CUDA graph, so every layer is launched by itself: {reason}")


def record(step: Callable[[Tensors, Tensors], tuple[Tensors, Tensors]], x: Tensors, memory: Tensors) -> Graph:
    """The step for pictures of that size, recorded on a stream of its own; other threads may use the GPU meanwhile."""

    def own(parts: Tensors) -> Tensors:
        return tuple(part.clone(memory_format=torch.preserve_format) for part in parts)

    x, memory = own(x), own(memory)
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(x[0].device)
    stream.wait_stream(torch.cuda.current_stream(x[0].device))
    with torch.cuda.stream(stream):
        step(x, memory)  # what libraries set up at the first call on a stream is no part of a graph
    torch.cuda.current_stream(x[0].device).wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        made = step(x, memory)
    return Graph(graph, x, memory, made)

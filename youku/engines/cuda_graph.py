"""A step of torch on a GPU as one CUDA graph: recorded once a size, then replayed with a single launch.

Small networks are bound by the launches of their layers. A graph computes what eager torch does, and is used only where
its first picture equals eager torch's bit for bit; so it bears the same name and makes the same frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import torch

from youku.engines.network import Engine
from youku.models.colours import Tensors

MOST_GRAPHS = 8  # sizes of tiles, with and without memory; each holds the memory of its layers
Key = tuple[tuple[torch.Size, ...], ...]
_FAILED: list[torch.cuda.CUDAGraph] = []  # torch's allocators go on asking them


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
    """`eager` on a GPU, in one thread at a time; a size that comes a second time is recorded."""

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


@contextmanager
def capturing(stream: torch.cuda.Stream) -> Iterator[torch.cuda.CUDAGraph]:
    """The graph of what the block gives to `stream`, while other threads use the GPU; RuntimeError where it cannot be one.

    Of a capture that failed torch leaves the stream current and the memory's pool open, so that nothing that two streams
    have used would ever be free again: both are put back.
    """
    graph, pool, device = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), stream.device
    with torch.cuda.stream(torch.cuda.current_stream(device)):
        try:
            with torch.cuda.graph(graph, pool, stream, "thread_local"):
                yield graph
        except RuntimeError as error:
            with suppress(RuntimeError):  # torch itself closed it, where a kernel is not what failed
                torch._C._cuda_endAllocateToPool(device.index, pool)
                torch._C._cuda_releasePool(device.index, pool)
                _FAILED.append(graph)
            raise error.__context__ or error from None  # what it failed at, and not that it had failed


def record(step: Callable[[Tensors, Tensors], tuple[Tensors, Tensors]], x: Tensors, memory: Tensors) -> Graph:
    """The step for pictures of that size, recorded on a stream of its own."""

    def own(parts: Tensors) -> Tensors:
        return tuple(part.clone(memory_format=torch.preserve_format) for part in parts)

    x, memory = own(x), own(memory)
    stream, current = torch.cuda.Stream(x[0].device), torch.cuda.current_stream(x[0].device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        step(x, memory)  # what libraries set up at the first call on a stream is no part of a graph
    current.wait_stream(stream)
    with capturing(stream) as graph:
        made = step(x, memory)
    return Graph(graph, x, memory, made)

"""A network ready to run: its spec, its scale and the engine that computes it.

Engine border: `y, memory = step(x, memory)`, and how many bytes a pixel needs. Memory is a tuple of tensors, empty at
the start of a shot and for networks that have none; so whoever hands it on asks nothing. Torch is one engine
(torch_engine.py); others stand beside it behind the same names (graph_engine.py), and choice.py picks one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

    from youku.models.colours import Tensors
    from youku.models.spec import ModelSpec

TORCH = "torch"  # as --engine calls it
AGREE_CODES = 0.1
"""How far an engine's output may lie from torch's, in codes (1/255) before rounding: so no code differs by more than 1, and
those alone do that lie as near to a half. FSRCNN's lies within 0.001."""


class Engine(Protocol):
    """What computes a network."""

    @property
    def name(self) -> str:
        """What computes, with its version: outputs of two that differ may differ in roundings."""

    @property
    def device(self) -> torch.device:
        """Where input is wanted and output comes."""

    @property
    def dtype(self) -> str:
        """In which numbers it computes, of half.DTYPES; "auto" where its first picture decides."""

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """(output in float32, memory) for network input; see models.spec for shapes."""

    def bytes_per_px(self, x: Tensors) -> float:
        """Bytes of memory that one input pixel needs, found with the small picture `x`."""


@dataclass(frozen=True)
class Network:
    """What predicts: `path` is the file its weights came from."""

    spec: ModelSpec
    scale: int
    engine: Engine
    path: Path | None = None
    beside: tuple[Path, ...] = ()
    """Files of the other networks of a mean."""
    is_as_begun: bool = False
    """No step of its run was better than the weights that the run began from: it has those."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*((self.path,) if self.path else ()), *self.beside)

    @property
    def device(self) -> torch.device:
        return self.engine.device

    @property
    def dtype(self) -> str:
        return self.engine.dtype

    @property
    def module(self) -> nn.Module:
        """The layers, for what looks into them; only the torch engine has any."""
        from youku.engines.torch_engine import TorchEngine

        assert isinstance(self.engine, TorchEngine), f"{type(self.engine).__name__} has no layers to look into"
        return self.engine.module


def codes_apart(first: Tensors, second: Tensors) -> float:
    """The largest difference of two outputs of one size, in codes (1/255); nan where one has any."""
    return max(float((one - other).abs().max()) * 255 for one, other in zip(first, second, strict=True))


def is_finite(output: Tensors) -> bool:
    return all(bool(part.isfinite().all()) for part in output)

"""A network's layers through torch.compile: one kernel for several, made by the machine's C++ compiler (Triton on a GPU).

Nothing to install beside a compiler, and every network that torch runs; making the kernels takes ten seconds to a minute,
so it is asked for by name. The first picture is held to eager torch's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import nn

from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.models.colours import Tensors


@dataclass(frozen=True)
class CompiledEngine(TorchEngine):
    """`module` compiled at the first picture, and again where another size needs it."""

    most_codes: float = 0.0
    """How far the first picture may lie from eager torch's, in codes (1/255) before rounding."""
    tell: Callable[[str], object] = str
    _made: list[TorchEngine] = field(default_factory=list, init=False, compare=False)

    @property
    def name(self) -> str:
        return f"{super().name} compiled"

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """As eager torch's; ValueError where it cannot be compiled, or gives another picture."""
        if self._made:
            return self._made[0].step(x, memory)
        expected = super().step(x, memory)
        if not all(bool(part.isfinite().all()) for part in expected[0]):
            return expected  # damaged weights: whoever asked for the picture refuses it
        began = time.perf_counter()
        try:
            engine = TorchEngine(
                cast(nn.Module, torch.compile(self.module)), self.device, self.dtype, self.memory_format
            )
            made = engine.step(x, memory)
        except RuntimeError as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ValueError(
                f"--engine compile: torch cannot compile the network ({reason.strip()}); it needs a C++ compiler such as"
                f" g++, and Triton on a GPU; or take --engine auto"
            ) from None
        codes = max(float((a - b).abs().max()) * 255 for a, b in zip(made[0], expected[0], strict=True))
        if not codes <= self.most_codes:  # nan is not
            raise ValueError(
                f"--engine compile: differs from torch by {codes:.3g} codes, at most {self.most_codes} are allowed;"
                " take --engine auto"
            )
        took_sec = time.perf_counter() - began
        self.tell(f"engine {self.name}, in {took_sec:.0f} s; at most {codes:.2g} codes from torch's output")
        self._made.append(engine)
        return made


def compiled(network: Network, most_codes: float, tell: Callable[[str], object]) -> Network:
    """The network with its layers compiled."""
    if not network.spec.trainable:
        raise ValueError(f"--engine compile: has no effect on {network.spec.name}; drop it")
    torchs = network.engine
    assert isinstance(torchs, TorchEngine)
    engine = CompiledEngine(
        torchs.module, torchs.device, torchs.dtype, torchs.memory_format, most_codes=most_codes, tell=tell
    )
    return replace(network, engine=engine)

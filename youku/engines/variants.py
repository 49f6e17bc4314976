"""A network's layers run by torch in another way, in fp16 or compiled, as far as the first picture is that of eager float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import nn

from youku.engines.half import FLOAT32, Tell
from youku.engines.network import Engine, Network, codes_apart, is_finite
from youku.engines.torch_engine import TorchEngine
from youku.models.colours import Tensors

FP16_CODES = 1.0
"""How far fp16 may lie from float32 in a clip's first picture, in codes (1/255) before rounding, to be taken unasked: then
no code differs by more than 1. On Set5 FSRCNN's lies within 0.55, pairs S within 0.35 (bf16: 3.6, 3.5)."""
SAMPLE_PX = 64  # side of the picture that tells which is faster
Made = tuple[Tensors, Tensors]


@dataclass(frozen=True)
class VariantEngine:
    """`exact` until its first picture, then that or the other, for good."""

    exact: Engine
    try_other: Callable[[Tensors, Tensors], tuple[Engine, Made]]
    """The other engine and its first step."""
    takes: Callable[[float, float], bool]
    """Whether the other is taken, by the codes that it is apart and the seconds that it took; ValueError where it must be."""
    name: str
    dtype: str
    _taken: list[Engine] = field(default_factory=list, init=False, compare=False)

    @property
    def device(self) -> torch.device:
        return self.exact.device

    def bytes_per_px(self, x: Tensors) -> float:
        return self.exact.bytes_per_px(x)

    def step(self, x: Tensors, memory: Tensors) -> Made:
        if self._taken:
            return self._taken[0].step(x, memory)
        made = self.exact.step(x, memory)
        if not is_finite(made[0]):
            return made  # damaged weights: whoever asked for the picture refuses it
        began = time.perf_counter()
        other, again = self.try_other(x, memory)
        is_taken = self.takes(codes_apart(made[0], again[0]), time.perf_counter() - began)
        self._taken.append(other if is_taken else self.exact)
        return again if is_taken else made


def picked(network: Network, tell: Tell) -> Network:
    """The network in fp16 where a GPU is fast in it and the first picture agrees; what is remembered stays in float32."""
    if network.device.type != "cuda" or not network.spec.trainable or network.spec.memory:
        return network
    exact: Any = network.engine

    def try_fp16(x: Tensors, memory: Tensors) -> tuple[Engine, Made]:
        short = replace(exact, dtype="fp16")
        return short, short.step(x, memory)

    def takes(codes: float, _: float) -> bool:
        agrees = codes <= FP16_CODES  # nan does not
        what = "computing in fp16" if agrees else "fp16 is left out"
        tell(f"{what}: its first picture is at most {codes:.2g} codes from float32's (--dtype float32 or fp16)")
        return agrees

    return replace(network, engine=VariantEngine(exact, try_fp16, takes, exact.name, "auto"))


def compiled(network: Network, most_codes: float, tell: Tell) -> Network:
    """The network through torch.compile: one kernel for several layers, made by the machine's C++ compiler (Triton on a GPU).

    Nothing to install beside a compiler, and every network that torch runs; making the kernels takes ten seconds to a
    minute, so it is asked for by name. ValueError, at the first picture, where it cannot be, or gives another one.
    """
    if not network.spec.trainable:
        raise ValueError(f"--engine compile: has no effect on {network.spec.name}; drop it")
    exact = network.engine
    assert isinstance(exact, TorchEngine)
    name = f"{exact.name} compiled"

    def try_compiled(x: Tensors, memory: Tensors) -> tuple[Engine, Made]:
        try:
            engine = replace(exact, module=cast(nn.Module, torch.compile(exact.module)))
            return engine, engine.step(x, memory)
        except RuntimeError as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ValueError(
                f"--engine compile: torch cannot compile the network ({reason.strip()}); it needs a C++ compiler such as"
                f" g++, and Triton on a GPU; or take --engine auto"
            ) from None

    def takes(codes: float, took_sec: float) -> bool:
        if not codes <= most_codes:  # nan is not
            raise ValueError(
                f"--engine compile: differs from torch by {codes:.3g} codes, at most {most_codes} are allowed;"
                " take --engine auto"
            )
        tell(f"engine {name}, in {took_sec:.0f} s; at most {codes:.2g} codes from torch's output")
        return True

    return replace(network, engine=VariantEngine(exact, try_compiled, takes, name, exact.dtype))


def warn_if_slower(network: Network, tell: Tell) -> None:
    """CPU seconds of a step on a small picture in 16 bit and in float32, on a processor; said where 16 bit is slower by a tenth.

    What a processor is fast in depends on the network: AMX halves the time of wide layers and gains nothing on narrow ones.
    """
    if network.dtype == FLOAT32 or network.device.type != "cpu":
        return
    engine: Any = network.engine
    x = tuple(torch.zeros(1, *shape) for shape in network.spec.input_shapes(SAMPLE_PX, SAMPLE_PX))
    took_sec: dict[str, list[float]] = {FLOAT32: [], network.dtype: []}
    for _ in range(4):  # the first is a warm-up
        for dtype, seconds in took_sec.items():
            began = time.process_time()
            replace(engine, dtype=dtype).step(x, ())
            seconds.append(time.process_time() - began)
    ratio = min(took_sec[network.dtype][1:]) / min(took_sec[FLOAT32][1:])
    if ratio > 1.1:
        tell(
            f"--dtype {network.dtype}: takes {ratio:.1f} times as long as float32 with {network.spec.name} on this processor"
        )

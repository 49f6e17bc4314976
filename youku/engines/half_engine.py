"""A network in 16 bit: taken unasked where it gives float32's picture, and said where it is the slower one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from youku.engines.half import FLOAT32, Tell
from youku.engines.network import Network
from youku.models.colours import Tensors

AGREE_CODES = 1.0
"""How far fp16 may lie from float32 in a clip's first picture, in codes (1/255) before rounding, to be taken unasked: then
no code differs by more than 1. On Set5 FSRCNN's lies within 0.55, pairs S within 0.35 (bf16: 3.6, 3.5)."""
SAMPLE_PX = 64  # side of the picture that tells which is faster


def picked(network: Network, tell: Tell) -> Network:
    """The network in fp16 where a GPU is fast in it and the first picture agrees; what is remembered stays in float32."""
    if network.device.type != "cuda" or not network.spec.trainable or network.spec.memory:
        return network
    return replace(network, engine=PickedEngine(network.engine, tell=tell))


@dataclass(frozen=True)
class PickedEngine:
    """`exact` of torch, or the same in fp16, as the first picture decides."""

    exact: Any
    tell: Tell = str
    dtype: str = "auto"
    _taken: list[Any] = field(default_factory=list, init=False, compare=False)

    @property
    def name(self) -> str:
        return self.exact.name

    @property
    def device(self) -> torch.device:
        return self.exact.device

    def bytes_per_px(self, x: Tensors) -> float:
        return self.exact.bytes_per_px(x)

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        if self._taken:
            return self._taken[0].step(x, memory)
        made, short = self.exact.step(x, memory), replace(self.exact, dtype="fp16")
        again = short.step(x, memory)
        if not all(bool(part.isfinite().all()) for part in made[0]):
            return made  # damaged weights: whoever asked for the picture refuses it
        codes = max(float((a - b).abs().max()) * 255 for a, b in zip(made[0], again[0], strict=True))
        agrees = codes <= AGREE_CODES  # nan does not
        self._taken.append(short if agrees else self.exact)
        what = "computing in fp16" if agrees else "fp16 is left out"
        self.tell(f"{what}: its first picture is at most {codes:.2g} codes from float32's (--dtype float32 or fp16)")
        return again if agrees else made


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

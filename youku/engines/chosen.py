"""The engine that the first picture decides on: the fastest that gives torch's picture, or the one that was asked for.

Of those installed whose output there lies within AGREE_CODES of torch's the fastest is taken, and remembered in the cache
for the network, the picture's size, the machine and the versions.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from youku import files
from youku.engines import half
from youku.engines.graph_engine import RUNTIMES, Runtime, open_engine
from youku.engines.network import AGREE_CODES, TORCH, Engine, codes_apart, is_finite
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec
from youku.threads import own_threads

ROUNDS, ENOUGH_SEC = 3, 1.0  # further runs of each engine that the fastest is found by, while this time is not spent
WORTH = 0.95  # of torch's time: an engine that is not faster than that is not worth other roundings


Tell = Callable[[str], object]


@dataclass(kw_only=True)
class ChosenEngine:
    """The engine that the first picture decides on, and what it decides by."""

    spec: ModelSpec
    scale: int
    graph: Callable[[], bytes]
    runtimes: tuple[Runtime, ...]
    reference: Engine | None
    """Torch's; None for a file that is a graph already."""
    file: Path | None = None
    """That file."""
    px_bytes: float = 0.0
    """What such a file says that an input pixel needs, as `bytes_per_px` of the layers that it was made from."""
    is_named: bool = False
    """Whether the user asked for the one runtime: then nothing else will do."""
    tell: Tell = str
    dtype = half.FLOAT32
    _engine: Engine | None = field(default=None, init=False)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def name(self) -> str:
        """All that it may choose from: one of them makes every frame of a run, so this names what made it."""
        others = ([self.reference.name] if self.reference else []) if not self.is_named else []
        return " or ".join([*others, *(one.name for one in self.runtimes)])

    @property
    def settled(self) -> str:
        """What it took, as --engine names it; auto where it has seen no picture."""
        return self._engine.name.split()[0] if self._engine else "auto"

    def bytes_per_px(self, x: Tensors) -> float:
        """Of the same layers in torch: a runtime tells nobody what it needs."""
        return self.reference.bytes_per_px(x) if self.reference else self.px_bytes

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        if self._engine is not None:
            return self._engine.step(x, memory)
        torchs = _try(self.reference, x) if self.reference else None
        if torchs and not is_finite(torchs.made[0]):  # whoever asked for the picture refuses it
            chosen = torchs
        else:
            chosen = self._asked_for(x, torchs) if self.is_named else self._fastest(x, torchs)
        self._engine = chosen.engine
        return chosen.made

    def _asked_for(self, x: Tensors, torchs: _Tried | None) -> _Tried:
        try:
            chosen = self._opened(self.runtimes[0], self.graph(), x, torchs)
        except ValueError as error:
            instead = f"export {self.file} again" if self.file else "take --engine torch"
            raise ValueError(f"--engine {self.runtimes[0].package}: {error}; {instead}") from None
        self.tell(f"engine {chosen.engine.name} for {self._what(x)}{chosen.apart}")
        return chosen

    def _fastest(self, x: Tensors, torchs: _Tried | None) -> _Tried:
        place, what = self._place(x), self._what(x)
        known, how = _recall(place)
        tried = {TORCH: torchs} if torchs else {}
        if known != TORCH:
            tried |= self._opened_all([one for one in self.runtimes if known in ("", one.package)], x, torchs)
        if not tried:
            raise ValueError(f"{self.file}: none of the engines that are installed can run it; export it again")
        if not known and list(tried) == [TORCH]:
            return tried[TORCH]  # why is said already
        if known not in tried:
            seconds = _measured(tried, x)
            known = min(seconds, key=lambda name: seconds[name] * (1 if name == TORCH else 1 / WORTH))
            _remember(place, known, "the fastest when measured before")
            how = ", ".join(f"{name} {1e3 * spent:.3g} ms" for name, spent in seconds.items())
        self.tell(f"engine {tried[known].engine.name} for {what}: {how}{tried[known].apart}")
        return tried[known]

    def _opened_all(self, runtimes: Sequence[Runtime], x: Tensors, torchs: _Tried | None) -> dict[str, _Tried]:
        """Those runtimes that can run the network as torch does; of the others it is said why not."""
        try:
            data = self.graph()
        except ValueError as error:
            self.tell(f"engine torch for {self._what(x)}: {error}")
            _remember(self._place(x), TORCH, "no other could run it")
            return {}
        found = {}
        for runtime in runtimes:
            try:
                found[runtime.package] = self._opened(runtime, data, x, torchs)
            except (ValueError, MemoryError) as error:
                self.tell(f"engine {runtime.name} is left out for {self._what(x)}: {error}")
        return found

    def _opened(self, runtime: Runtime, data: bytes, x: Tensors, torchs: _Tried | None) -> _Tried:
        """What a runtime makes of the picture; ValueError where it cannot run the network, or is too far from torch."""
        tried = _try(open_engine(runtime, data, self.scale, self.bytes_per_px), x)
        if torchs is None:
            return tried
        if [part.shape for part in tried.made[0]] != [part.shape for part in torchs.made[0]]:
            raise ValueError(f"{runtime.name} makes planes of another size than torch")
        codes = codes_apart(tried.made[0], torchs.made[0])
        if not codes <= AGREE_CODES:  # nan is not
            raise ValueError(
                f"{runtime.name} differs from torch by {codes:.3g} codes, at most {AGREE_CODES} are allowed"
            )
        return replace(tried, apart=f"; at most {codes:.2g} codes from torch's output")

    def _what(self, x: Tensors) -> str:
        return f"{self.spec.name} x{self.scale} at {x[0].shape[-1]}x{x[0].shape[-2]}"

    def _place(self, x: Tensors) -> Path:
        """Where the cache has the fastest engine for this network, size, machine and these versions."""
        versions = [self.reference.name if self.reference else "", *(one.name for one in self.runtimes)]
        parts = [self.spec.name, str(self.scale), *(str(tuple(part.shape)) for part in x), *versions, *_machine()]
        key = hashlib.sha256("\n".join([*parts, str(own_threads())]).encode()).hexdigest()
        return files.cache_folder("engines") / f"{key}.json"


@dataclass(frozen=True)
class _Tried:
    """An engine that has run the picture."""

    engine: Engine
    made: tuple[Tensors, Tensors]
    seconds: float
    apart: str = ""
    """How far it is from torch's output, in words."""


def _try(engine: Engine, x: Tensors) -> _Tried:
    start = time.perf_counter()
    made = engine.step(x, ())
    return _Tried(engine, made, time.perf_counter() - start)


def _measured(tried: Mapping[str, _Tried], x: Tensors) -> dict[str, float]:
    """Seconds a run of each engine: the least, the engines taking turns until the time for it is spent."""
    seconds = {name: one.seconds for name, one in tried.items()}
    begun = time.perf_counter() - sum(seconds.values())
    for _ in range(ROUNDS):
        if time.perf_counter() - begun > ENOUGH_SEC * len(tried):
            break
        for name, one in tried.items():
            seconds[name] = min(seconds[name], _try(one.engine, x).seconds)
    return seconds


def _recall(place: Path) -> tuple[str, str]:
    """The engine that was taken before and why, as the cache has it; empty where it has nothing."""
    known = files.recall(place, {"engine": str, "why": str})
    return (known["engine"], known["why"]) if known and known["engine"] in (TORCH, *RUNTIMES) else ("", "")


def _remember(place: Path, name: str, why: str) -> None:
    with suppress(OSError, ValueError):  # no cache: the next run measures again
        files.write_json(place, {"engine": name, "why": why})


def _machine() -> list[str]:
    """What tells this machine from others that share the cache."""
    model = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line for line in lines if line.startswith("model name")), model)
    return [platform.machine(), model, str(os.cpu_count())]

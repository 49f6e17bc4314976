"""The mean of several networks, before anything is rounded: an ensemble of training runs as one network.

Networks of one scale that take and give the same planes -> a Network whose engine runs them all, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from youku.engines import choice
from youku.engines.choice import Tell
from youku.engines.network import TORCH, Engine, Network
from youku.text_table import plural

if TYPE_CHECKING:
    import torch

    from youku.models.colours import Tensors

ONE = "; several are one network, their mean, and need one scale and kind; to compare them, give each a command of its own"
MUST_AGREE = ("colours", "num_frames", "aligned", "at_once_px")  # of their specs


def load(
    files: Sequence[str | Path | None],
    model: str | None,
    scale: int | None,
    device: str,
    dtype: str | None,
    engines: Sequence[str],
    tell: Tell,
) -> Network:
    """The network of one weights file, or the mean of several; None is `weights.load`'s.

    `engines` are --engine of each file, or one for all. What `dtype` would slow down is left out (None: `variants.picked`);
    `tell` hears that, and what runs.
    """
    from youku.engines import half, torch_engine, weights

    where = torch_engine.pick_device(device)
    kind = half.chosen(dtype or half.FLOAT32, where, tell)
    found = [weights.load(file, model, scale, where, kind) for file in files]
    may_pick = dtype is None and where.type == "cuda"
    if kind != half.FLOAT32 or may_pick:
        from youku.engines import variants

        for network in found:
            variants.warn_if_slower(network, tell)
    for network in found:
        if network.is_as_begun:
            tell(f"{network.path}: no step of its run was better than the weights that it began from, and it has those")
    named = engines if len(engines) > 1 else [*engines] * len(found)
    if may_pick:
        found = [
            variants.picked(one, tell) if name != choice.COMPILE else one
            for one, name in zip(found, named, strict=True)
        ]
    return of([choice.with_engine(network, name, tell) for network, name in zip(found, named, strict=True)])


def settled(network: Network) -> list[str]:
    """--engine of each file, for another process to take what this one took for the pictures that it has seen."""
    engines = network.engine.engines if isinstance(network.engine, MeanEngine) else (network.engine,)
    from youku.engines.chosen import ChosenEngine

    others = TORCH if network.device.type == "cpu" else "auto"
    return [one.settled if isinstance(one, ChosenEngine) else others for one in engines]


def of(networks: Sequence[Network]) -> Network:
    """The mean of the networks' outputs, their one where it is one; ValueError where they do not fit together."""
    first = networks[0]
    if len(networks) == 1:
        return first
    for other in networks[1:]:
        if other.scale != first.scale:
            raise ValueError(f"--weights: {first.path} is for x{first.scale}, {other.path} for x{other.scale}{ONE}")
        if unlike := [name for name in MUST_AGREE if getattr(other.spec, name) != getattr(first.spec, name)]:
            kinds = [
                f"{one.spec.name} ({one.spec.colours.name}, {plural(one.spec.num_frames, 'frame')})"
                for one in (first, other)
            ]
            raise ValueError(f"--weights: {kinds[0]} and {kinds[1]} differ in {', '.join(unlike)}{ONE}")
    specs = [network.spec for network in networks]
    spec = replace(
        first.spec,
        name=f"mean-of-{len(networks)}-{'+'.join(dict.fromkeys(one.name for one in specs))}",
        halo_px=lambda scale: max(one.halo_px(scale) for one in specs),
        memory=any(one.memory for one in specs),
        local=all(one.local for one in specs),
    )
    paths = tuple(network.path for network in networks[1:] if network.path)
    engine = MeanEngine(tuple(network.engine for network in networks), first.scale**2 / spec.num_frames)
    return Network(spec, first.scale, engine, first.path, paths)


@dataclass(frozen=True)
class MeanEngine:
    """Engines of one device; the memory of all is handed on as one."""

    engines: tuple[Engine, ...]
    growth: float
    """Samples that an output has for one of the input."""
    _lengths: list[int] = field(default_factory=list, init=False, compare=False)

    @property
    def name(self) -> str:
        return ", ".join(engine.name for engine in self.engines)

    @property
    def device(self) -> torch.device:
        return self.engines[0].device

    @property
    def dtype(self) -> str:
        return self.engines[0].dtype

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        remembered, rest = [], memory
        for length in self._lengths if memory else [0] * len(self.engines):
            remembered.append(rest[:length])
            rest = rest[length:]
        made = [engine.step(x, part) for engine, part in zip(self.engines, remembered, strict=True)]
        self._lengths[:] = [len(part) for _, part in made]
        outputs = (sum(parts[1:], parts[0]) / len(parts) for parts in zip(*(out for out, _ in made), strict=True))
        return tuple(outputs), tuple(tensor for _, part in made for tensor in part)

    def bytes_per_px(self, x: Tensors) -> float:
        """Of the hungriest, and one output more a network; no engine runs, which would settle it on a picture so small."""
        outputs = 4 * self.growth * sum(part.numel() for part in x) / (x[0].shape[-2] * x[0].shape[-1])
        return max(engine.bytes_per_px(x) for engine in self.engines) + outputs * len(self.engines)

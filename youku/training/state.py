"""Everything that changes while training: weights, their average, optimizer, precision, adversary; made, saved, restored.

Same config, same seed, same bits: a state that is saved and restored goes on as if it had never stopped (on a CPU).
last.pt holds all that this needs and is read as plain data, so a foreign file cannot run code; safetensors files hold
the averaged weights alone, last.safetensors those of every save.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from youku.engines import pickles, weights
from youku.engines.torch_engine import center
from youku.files import atomic_write
from youku.models import spec_of
from youku.models.blocks import plain_state
from youku.models.colours import Tensors
from youku.training import precision, transfer
from youku.training.adversary import Adversary, NoAdversary, make_adversary
from youku.training.config import TrainConfig
from youku.training.dataset import ONE_PROCESS, Ranks
from youku.training.precision import Precision
from youku.training.transfer import Transfer

FORMAT = 2  # of last.pt
PARTS = {
    "step": int, "best": float, "since_best": int, "validated": int, "module": dict, "average": dict, "optimizer": dict,
    "precision": dict, "adversary": dict, "torch_rng": Tensor,
}  # fmt: skip


@dataclass
class RunState:
    """What a checkpoint holds, and the networks around it."""

    module: nn.Module
    average: nn.Module
    """Exponential moving average of the weights (the module itself when ema = 0)."""
    optimizer: Optimizer
    precision: Precision
    adversary: Adversary | NoAdversary
    ranks: Ranks
    twins: dict[int, nn.Module] = field(default_factory=dict)
    """The same network at the other scales of a mixed run; they run on the weights of `module`."""
    transfer: Transfer | None = None
    """What --init-from took."""
    step: int = 0
    best: float = -math.inf
    since_best: int = 0
    """Validations since the best one."""
    validated: int = 0
    """Step of the last validation; one that was due and did not happen is made up for."""

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def averaged(self, scale: int) -> nn.Module:
        """The network of one scale with the averaged weights."""
        if scale not in self.twins:
            return self.average
        self.twins[scale].load_state_dict(self.average.state_dict())
        return self.twins[scale]

    def forward(self, x: Tensors, scale: int) -> Tensors:
        """Output of the network for a batch of one scale."""
        if scale not in self.twins:
            made = self.module(*x)
        else:
            made = functional_call(self.twins[scale], self.module.state_dict(keep_vars=True), x)
        return made if isinstance(made, tuple) else (made,)


def make_state(config: TrainConfig, device: torch.device, resume: bool = False, ranks: Ranks = ONE_PROCESS) -> RunState:
    """A fresh, seeded state, weights from `init_from` if named (a resume brings its own)."""
    torch.manual_seed(config.seed)
    scale = config.all_scales[0]
    spec = spec_of(config.model, scale)
    module = spec.build(scale)
    transfer.initialise(module, config.init)
    taken = None
    if config.init_from and not resume:
        taken = transfer.load_into(module, spec, scale, config.init_from, config.input_mean, config.input_std)
    module = _ready(spec.train_form(module, taken is not None), config, device)
    optimizer = make_optimizer(module, config, device)
    chosen = precision.choose(config.amp, config.amp_backend, device)
    module, optimizer = chosen.prepare(module, optimizer)
    average = copy.deepcopy(module).requires_grad_(False) if config.ema else module
    adversary = make_adversary(config, config.patch_px * scale, spec.channels, device)
    others = {other: spec.train_form(spec.build(other), False) for other in config.all_scales[1:]}
    twins = {other: _ready(twin, config, device) for other, twin in others.items()}
    return RunState(module, average, optimizer, chosen, adversary, ranks, twins, taken)


def _ready(module: nn.Module, config: TrainConfig, device: torch.device) -> nn.Module:
    module = center(module, config.input_mean, config.input_std)
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def make_optimizer(module: nn.Module, config: TrainConfig, device: torch.device) -> Optimizer:
    """The optimizer over the layers to train, one group for each factor of the learning rate."""
    names = {name.split(".")[0] for name, _ in module.named_parameters()}
    for layer in (*config.train_only, *config.layer_factors):
        if layer not in names:
            raise ValueError(f"layer {layer!r}: {config.model} has {', '.join(sorted(names))}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        layer = name.split(".")[0]
        factor = config.layer_factors.get(layer, 1.0)
        if factor == 0 or (config.train_only and layer not in config.train_only):
            parameter.requires_grad_(False)
        else:
            groups.setdefault(factor, []).append(parameter)
    if not groups:
        raise ValueError("--train-only and --lr-factors leave nothing to train; name at least one layer")
    listed = [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]
    fused = device.type in ("cuda", "cpu") and config.amp_backend == "torch"
    rates: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, momentum=config.momentum, fused=fused, **rates)
    if config.optimizer == "adadelta":
        return torch.optim.Adadelta(listed, **rates)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(listed, fused=fused, **rates)


def train_mode(module: nn.Module) -> None:
    """Train mode, but norms whose parameters are all kept keep their running statistics too."""
    module.train()
    for layer in module.modules():
        own = list(layer.parameters(recurse=False))
        has_statistics = any(True for _ in layer.buffers(recurse=False))
        if own and has_statistics and not any(parameter.requires_grad for parameter in own):
            layer.eval()


def save(state: RunState, config: TrainConfig) -> None:
    """Write last.pt, and last.safetensors beside it; weights that are not finite are refused, so both hold good ones."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in state.module.parameters()):
        raise ValueError(
            f"step {state.step}: the weights are no longer finite; last.pt keeps the last good ones. "
            "Lower --lr or add --clip-norm 1"
        )
    content = {
        "step": state.step,
        "best": state.best,
        "since_best": state.since_best,
        "validated": state.validated,
        "module": state.module.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "precision": state.precision.state_dict(),
        "adversary": state.adversary.state_dict(),
        "torch_rng": torch.get_rng_state(),
    }
    if state.ranks.is_writer:
        write_checkpoint(config.folder / "last.pt", content)
    state.ranks.barrier()
    save_weights(state, config, "last", {})


def restore(state: RunState, path: Path) -> None:
    """Take everything from a run's last.pt; ValueError for a missing, damaged or foreign one, or one of another run."""
    saved = read_checkpoint(path)
    try:
        weights.load_strictly(state.module, saved["module"], "module")
        weights.load_strictly(state.average, saved["average"], "average")
        precision.load_moments(state.optimizer, saved["optimizer"])
        state.precision.load_state_dict(saved["precision"])
        state.adversary.load_state_dict(saved["adversary"])
        torch.set_rng_state(saved["torch_rng"])
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ValueError(
            f"{path}: is not of this run ({reason}); put back the config.toml that it was made with, or start anew"
        ) from None
    state.step, state.best = saved["step"], saved["best"]
    state.since_best, state.validated = saved["since_best"], saved["validated"]


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write the content of a run's state whole or not at all; a full disk is an OSError."""
    with atomic_write(path) as file:
        try:
            torch.save({"format": FORMAT, **content}, file)
        except RuntimeError as error:  # torch trips over its half-written zip, and hides why
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a last.pt, its parts of the types that they are saved with."""
    if not path.exists():
        raise ValueError(f"{path}: no checkpoint; the run saved none, start it again without --resume")
    content = pickles.read(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: is not a checkpoint of format {FORMAT}; start the run again without --resume")
    wrong = [
        f"{key}: expected {kind.__name__}" for key, kind in PARTS.items() if not isinstance(content.get(key), kind)
    ]
    if wrong or min(content[key] for key in ("step", "since_best", "validated")) < 0:
        raise ValueError(
            f"{path}: is no whole checkpoint ({', '.join(wrong or ['negative steps'])}); start the run again"
        )
    return content


def save_weights(state: RunState, config: TrainConfig, name: str, about: dict[str, str]) -> None:
    """Write the averaged weights, branches merged, as a safetensors file of the run's folder; `about` is kept as text."""
    told = {"step": str(state.step), "loss": config.loss_at(max(0, state.step - 1)), **about}
    if config.input_mean != 0 or config.input_std != 1:
        told |= {"input_mean": repr(config.input_mean), "input_std": repr(config.input_std)}
    if state.ranks.is_writer:
        path = config.folder / f"{name}.safetensors"
        weights.save(path, plain_state(state.average), config.model, config.all_scales[0], told)
    state.ranks.barrier()

"""Everything that changes while training: weights, their average, optimizer, precision, adversary; made, saved, restored.

Same config, same seed, same bits: a state that is saved and restored goes on as if it had never stopped (on a CPU).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from youku.engines import weights
from youku.engines.torch_engine import center
from youku.models import spec_of
from youku.training import checkpoint, precision, transfer
from youku.training.adversary import Adversary, NoAdversary, make_adversary
from youku.training.config import TrainConfig
from youku.training.precision import Precision
from youku.training.transfer import Transfer

GAUSSIAN_STD = 0.01  # of --init gaussian


@dataclass
class State:
    """What a checkpoint holds, and the networks around it."""

    module: nn.Module
    average: nn.Module
    """Exponential moving average of the weights (the module itself when ema = 0)."""
    optimizer: Optimizer
    precision: Precision
    adversary: Adversary | NoAdversary
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

    def forward(self, x: Tensor, scale: int) -> Tensor:
        """Output of the network for a batch of one scale."""
        if scale not in self.twins:
            return self.module(x)
        return functional_call(self.twins[scale], self.module.state_dict(keep_vars=True), (x,))


def make_state(config: TrainConfig, device: torch.device, resume: bool = False) -> State:
    """A fresh, seeded state, weights from `init_from` if named (a resume brings its own)."""
    torch.manual_seed(config.seed)
    scale = config.all_scales[0]
    spec = spec_of(config.model, scale)
    module = spec.build(scale)
    initialise(module, config.init)
    taken = None
    if config.init_from and not resume:
        mean, std = config.input_mean, config.input_std
        taken = transfer.load_into(module, spec, scale, config.init_from, mean, std)
    module = _ready(module, config, device)
    optimizer = make_optimizer(module, config, device)
    chosen = precision.choose(config.amp, config.amp_backend, device)
    module, optimizer = chosen.prepare(module, optimizer)
    average = copy.deepcopy(module).requires_grad_(False) if config.ema else module
    adversary = make_adversary(config, spec.channels, device)
    twins = {other: _ready(spec.build(other), config, device) for other in config.all_scales[1:]}
    return State(module, average, optimizer, chosen, adversary, twins, taken)


def _ready(module: nn.Module, config: TrainConfig, device: torch.device) -> nn.Module:
    module = center(module, config.input_mean, config.input_std)
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def initialise(module: nn.Module, how: str) -> None:
    """Draw the convolutions' weights anew, biases 0; "paper" keeps what the network's own paper says."""
    draws: dict[str, Callable[[Tensor], Any]] = {
        "gaussian": lambda weight: nn.init.normal_(weight, 0.0, GAUSSIAN_STD),
        "xavier": nn.init.xavier_normal_,
        "kaiming": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    }
    if how == "paper":
        return
    for name, parameter in module.named_parameters():
        if parameter.ndim == 4:
            draws[how](parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


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


@torch.no_grad()
def update_average(state: State, decay: float) -> None:
    """average <- decay * average + (1 - decay) * weights; faster early on, buffers copied."""
    if not decay:
        return
    now = min(decay, (1 + state.step) / (10 + state.step))
    mine, theirs = list(state.average.parameters()), list(state.module.parameters())
    torch._foreach_lerp_([p.data for p in mine], [p.data for p in theirs], 1 - now)
    for own, other in zip(state.average.buffers(), state.module.buffers(), strict=True):
        own.copy_(other)


def save(state: State, config: TrainConfig) -> None:
    """Write last.pt; weights that are not finite are refused, so that it always holds good ones."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in state.module.parameters()):
        raise ValueError(
            f"step {state.step}: the weights are no longer finite; last.pt keeps the last good ones. "
            "Lower --lr or add --clip-norm 1"
        )
    checkpoint.save(
        config.folder / "last.pt",
        {
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
        },
    )


def restore(state: State, saved: dict[str, Any]) -> None:
    """Take everything from a checkpoint's content."""
    weights.load_strictly(state.module, saved["module"], "last.pt")
    weights.load_strictly(state.average, saved["average"], "last.pt")
    state.optimizer.load_state_dict(saved["optimizer"])
    state.precision.load_state_dict(saved["precision"])
    state.adversary.load_state_dict(saved["adversary"])
    torch.set_rng_state(saved["torch_rng"].cpu())
    state.step, state.best = saved["step"], saved["best"]
    state.since_best, state.validated = saved["since_best"], saved["validated"]


def save_weights(state: State, config: TrainConfig, name: str, about: dict[str, str]) -> None:
    """Write the averaged weights as a safetensors file of the run's folder; `about` is kept as text."""
    told = {"step": str(state.step), "loss": config.loss_at(max(0, state.step - 1)), **about}
    if config.input_mean != 0 or config.input_std != 1:
        told |= {"input_mean": repr(config.input_mean), "input_std": repr(config.input_std)}
    path = config.folder / f"{name}.safetensors"
    weights.save(path, state.average.state_dict(), config.model, config.all_scales[0], told)

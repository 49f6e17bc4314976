"""Everything that changes while training: weights, their average, optimizer, precision, adversary; made, saved, restored.

Same config, same seed, same bits: a state that is saved and restored goes on as if it had never stopped (on a CPU).
last.pt holds all that this needs and is read as plain data, so a foreign file cannot run code; safetensors files hold
the averaged weights alone, last.safetensors those of every save.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from youku.engines import shipped, weights
from youku.engines.torch_engine import center
from youku.files import atomic_write, printable
from youku.models import spec_of
from youku.models.blocks import plain_state
from youku.models.colours import Tensors
from youku.training import precision
from youku.training.adversary import MaybeAdversary, make_adversary
from youku.training.config import TrainConfig
from youku.training.precision import Precision
from youku.training.ranks import ONE_PROCESS, Ranks

if TYPE_CHECKING:
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
    adversary: MaybeAdversary
    ranks: Ranks
    at_once: bool = False
    """Whether the moments of a sequence go into the network at once (models.spec)."""
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

    @cached_property
    def averaging(self) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Parameters of the average and of the module, buffers of both: in place all their lives, and slow to find."""
        mine, theirs = ([p.data for p in module.parameters()] for module in (self.average, self.module))
        return mine, theirs, list(self.average.buffers()), list(self.module.buffers())

    def averaged(self, scale: int) -> nn.Module:
        """The network of one scale with the averaged weights."""
        if scale not in self.twins:
            return self.average
        self.twins[scale].load_state_dict(self.average.state_dict())
        return self.twins[scale]

    def forward(self, x: Tensors, scale: int, num_moments: int = 1) -> Tensors:
        """Output of the network for a batch of one scale, run over the moments in order from no memory on."""
        if scale not in self.twins:
            step: Callable[..., Any] = self.module
        else:
            twin, own = self.twins[scale], self.module.state_dict(keep_vars=True)
            step = lambda *args: functional_call(twin, own, args)  # noqa: E731
        outputs: list[Tensors] = []
        memory: Tensors = ()
        with parametrize.cached():  # branches are merged once for all moments
            if self.at_once:
                return tuple(step(*x, len(x[0]) // num_moments))
            for moment in zip(*(part.chunk(num_moments) for part in x), strict=True):
                made = step(*moment, *memory)
                made = made if isinstance(made, tuple) else (made,)
                outputs.append(made[: len(x)])
                memory = made[len(x) :]
        return outputs[0] if num_moments == 1 else tuple(map(torch.cat, zip(*outputs, strict=True)))


def make_state(config: TrainConfig, device: torch.device, resume: bool = False, ranks: Ranks = ONE_PROCESS) -> RunState:
    """A fresh, seeded state, weights from `init_from` if named (a resume brings its own)."""
    torch.manual_seed(config.seed)
    scale = config.all_scales[0]
    spec = spec_of(config.model, scale)
    module, taken = spec.build(scale), None
    if not resume and (config.init != "paper" or config.init_from):
        from youku.training import transfer

        taken = transfer.begin(module, spec, scale, config)
    module = _ready(spec.train_form(module, taken is not None), config, device)
    optimizer = make_optimizer(module, config, device)
    optimizer._warned_capturable_if_run_uncaptured = True  # a run's first steps are not
    chosen = precision.choose(config.dtype, config.amp_backend, device)
    module, optimizer = chosen.prepare(module, optimizer)
    average = copy.deepcopy(module).requires_grad_(False) if config.ema else module
    adversary = make_adversary(config, config.patch_px * scale, spec.channels, device, ranks)
    others = {other: spec.train_form(spec.build(other), False) for other in config.all_scales[1:]}
    twins = {other: _ready(twin, config, device) for other, twin in others.items()}
    for shared in (module, *twins.values()):
        ranks.share_statistics(shared)
    return RunState(module, average, optimizer, chosen, adversary, ranks, bool(spec.at_once_px), twins, taken)


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
    listed: list[dict[str, Any]] = [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]
    fused = device.type in ("cuda", "cpu") and config.amp_backend == "torch"
    capturable = device.type == "cuda" and fused
    if capturable:  # by a CUDA graph, which reads each rate where it lies
        listed = [{**group, "lr": torch.tensor(config.lr, device=device)} for group in listed]
    rates: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, momentum=config.momentum, fused=fused, **rates)
    if config.optimizer == "adadelta":
        return torch.optim.Adadelta(listed, capturable=capturable, **rates)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(listed, fused=fused, capturable=capturable, **rates)


def train_mode(module: nn.Module) -> None:
    """Train mode, but norms whose parameters are all kept keep their running statistics too."""
    module.train()
    for layer in module.modules():
        own = list(layer.parameters(recurse=False))
        has_statistics = any(True for _ in layer.buffers(recurse=False))
        if own and has_statistics and not any(parameter.requires_grad for parameter in own):
            layer.eval()


def content_of(state: RunState) -> dict[str, Any]:
    """What `write` wants of a state, its own tensors and not copies of them: last.pt's content, and the plain weights."""
    return {
        "step": state.step,
        "best": state.best,
        "since_best": state.since_best,
        "validated": state.validated,
        "module": state.module.state_dict(),
        "average": state.average.state_dict(),
        "plain": plain_state(state.average),
        "optimizer": precision.moments_of(state.optimizer),
        "precision": state.precision.state_dict(),
        "adversary": state.adversary.state_dict(),
        "torch_rng": torch.get_rng_state(),
    }


def write(content: dict[str, Any], config: TrainConfig) -> None:
    """Write last.pt, and last.safetensors beside it; weights that are not finite are refused, so both hold good ones."""
    _require_finite(content["module"], content["step"])
    write_checkpoint(config.folder / "last.pt", {key: part for key, part in content.items() if key != "plain"})
    write_weights(content["plain"], content["step"], config, "last", {})


def check_finite(loss: float, step: int, names: Sequence[str]) -> None:
    """ValueError that names the step and the patches where the loss is not a number any more."""
    if not math.isfinite(loss):
        raise ValueError(
            f"step {step}: the loss is {loss}, stopped; batch: {', '.join(sorted(set(names)))}. "
            "Lower --lr, add --clip-norm 1, or look at these clips; last.pt holds the last good weights"
        )


def _require_finite(weights: dict[str, Tensor], step: int) -> None:
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise ValueError(
            f"step {step}: the weights are no longer finite; last.pt keeps the last good ones. "
            "Lower --lr or add --clip-norm 1"
        )


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
        reason = printable(f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0], 2000)
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
    from youku.engines import pickles

    try:
        content = pickles.read(path)
    except ValueError as error:
        raise ValueError(
            f"{error}; a new run (another --name) may begin from its weights: --init-from {path.parent}"
        ) from None
    form = content.get("format") if isinstance(content, dict) else None
    if not isinstance(form, int) or form != FORMAT:
        raise ValueError(f"{path}: is not a checkpoint of format {FORMAT}; start the run again without --resume")
    wrong = [
        f"{key}: expected {kind.__name__}" for key, kind in PARTS.items() if not isinstance(content.get(key), kind)
    ]
    if not wrong and min(content[key] for key in ("step", "since_best", "validated")) < 0:
        wrong = ["negative steps"]
    if not wrong and math.isnan(content["best"]):
        wrong = ["best: expected a number"]
    if wrong:
        raise ValueError(f"{path}: is no whole checkpoint ({', '.join(wrong)}); start the run again")
    return content


def save_weights(state: RunState, config: TrainConfig, name: str, about: dict[str, str]) -> None:
    """Write the averaged weights, if finite, branches merged, as a safetensors file of the folder; `about` is kept as text."""
    if state.ranks.is_writer:
        write_weights(plain_state(state.average), state.step, config, name, about)
    state.ranks.barrier()


def write_weights(plain: dict[str, Tensor], step: int, config: TrainConfig, name: str, about: dict[str, str]) -> None:
    """`save_weights` of what a state held."""
    _require_finite(plain, step)
    told = {"step": str(step), "loss": config.loss_at(max(0, step - 1)), **inherited(config), **about}
    if spec_of(config.model, config.all_scales[0]).any_scale:
        told["scales"] = ",".join(map(str, config.all_scales))
    if config.input_mean != 0 or config.input_std != 1:
        told |= {"input_mean": repr(config.input_mean), "input_std": repr(config.input_std)}
    weights.save(config.folder / f"{name}.safetensors", plain, config.model, config.all_scales[0], told)


def inherited(config: TrainConfig) -> dict[str, str]:
    """How the weights that the run began from want pictures: their range, and what lies beyond their edges."""
    if not config.init_from:
        return {}
    start = shipped.start_of(config.init_from, config.model, config.all_scales[0])
    for path in (Path(start), config.folder / "last.safetensors"):  # the first may be gone since
        if path.exists():
            told = weights.read(path)[1]
            return {key: told[key] for key in ("edges", "input_range") if key in told}
    return {}

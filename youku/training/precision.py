"""Mixed precision behind one interface, so that the training step has no branches: float32, torch.autocast, NVIDIA apex.

bf16 needs no loss scaling; fp16 does. `apex.amp` was removed from NVIDIA apex after tag 25.05. Also what keeps a step
sound: bounds of gradients, and moments that fit the weights they move.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from youku.engines import half
from youku.engines.torch_engine import TORCH_TYPES


def limit_gradients(parameters: list[Tensor], norm: float, element: float) -> None:
    """Clip each element to `element` either way, then the norm of all gradients together to `norm`; 0 is no limit."""
    if element:
        nn.utils.clip_grad_value_(parameters, element)
    if norm:
        nn.utils.clip_grad_norm_(parameters, norm)


# what each optimiser remembers of a parameter
MOMENTS: dict[type[Optimizer], set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
    torch.optim.Adadelta: {"step", "square_avg", "acc_delta"},
}


def moments_of(optimizer: Optimizer) -> dict[str, Any]:
    """What an optimiser remembers; its settings are the config's, and the rate of the last step is no state."""
    return {"state": optimizer.state_dict()["state"]}


def load_moments(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Take an optimiser's moments, its settings being the config's; TypeError where they are not of these parameters."""
    groups = optimizer.state_dict()["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    shapes = {number: parameter.shape for number, parameter in zip(numbers, parameters, strict=True)}
    for number, moments in saved["state"].items():
        if set(moments) != MOMENTS[type(optimizer)] or number not in shapes:
            raise TypeError(f"optimizer: has {', '.join(map(str, moments))} of parameter {number}")
        for name, value in moments.items():
            if value.shape != (() if name == "step" else shapes[number]) or not value.is_floating_point():
                raise TypeError(f"optimizer: {name} of parameter {number} has shape {tuple(value.shape)}")
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


@contextlib.contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """On a GPU matrices are multiplied as convolutions are there: in TF32, float32 with 10 bits of fraction."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class TorchPrecision:
    """torch.autocast with a GradScaler that does nothing unless the type, of half.DTYPES, is fp16."""

    def __init__(self, device: torch.device, dtype: str) -> None:
        self.device, self.dtype = device, TORCH_TYPES[dtype]
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == "fp16")

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        return module, optimizer

    def autocast(self) -> contextlib.AbstractContextManager:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor, optimizer: Optimizer) -> None:
        self.scaler.scale(loss).backward()

    def step(self, module: nn.Module, optimizer: Optimizer, norm: float, element: float) -> None:
        if norm or element:
            self.scaler.unscale_(optimizer)
            limit_gradients(list(module.parameters()), norm, element)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.scaler.load_state_dict(state)


class ApexPrecision:
    """apex.amp at level O1, for code bases and comparisons that still need it."""

    def __init__(self) -> None:
        try:
            from apex import amp
        except ImportError as error:
            raise ValueError(
                f"--amp-backend apex: apex.amp cannot be imported ({error}); NVIDIA removed it from apex after tag "
                "25.05 and the PyPI package 'apex' is something else: use --amp-backend torch"
            ) from None
        self.amp = amp

    def prepare(self, module: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        return self.amp.initialize(module, optimizer, opt_level="O1", verbosity=0)

    def autocast(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()  # O1 patches torch's functions

    def backward(self, loss: Tensor, optimizer: Optimizer) -> None:
        with self.amp.scale_loss(loss, optimizer) as scaled:
            scaled.backward()

    def step(self, module: nn.Module, optimizer: Optimizer, norm: float, element: float) -> None:
        limit_gradients(list(self.amp.master_params(optimizer)), norm, element)
        optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return self.amp.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.amp.load_state_dict(state)


Precision = TorchPrecision | ApexPrecision


def choose(dtype: str, backend: str, device: torch.device, say: Callable[[str], object] = str) -> Precision:
    """The precision that the flags ask for; float32 where the device has no fast 16-bit arithmetic."""
    if backend != "apex":
        return TorchPrecision(device, half.chosen(dtype, device, say, half.FOR_TRAINING))
    if dtype == half.FLOAT32:
        raise ValueError("--amp-backend apex: has no effect without --amp; add --amp or drop it")
    return ApexPrecision()

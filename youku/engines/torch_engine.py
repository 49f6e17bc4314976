"""Run a network with torch: an input and what it remembers -> its output and what it remembers next.

Also what is done to a network's input from outside, with no weights: zero mean and unit variance, the range of pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.engines.half import FLOAT32
from youku.models.blocks import Interpolate
from youku.models.colours import Tensors
from youku.models.spec import ModelSpec

TORCH_TYPES = {FLOAT32: torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """ "auto" = cuda, then mps, then cpu; ValueError where the named device is absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()  # "meta" has no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"--device {name}: not available here ({str(error).splitlines()[0]}); try --device cpu"
        ) from None
    return device


@dataclass(frozen=True)
class TorchEngine:
    """`module` as it is, in eval mode and on its device; the one engine whose layers can be looked into."""

    module: nn.Module
    device: torch.device
    dtype: str = FLOAT32
    """In what its convolutions run (autocast)."""
    memory_format: torch.memory_format = torch.channels_last
    """That of the module's weights, and so of its input."""
    _known: dict[tuple[torch.Size, ...], float] = field(default_factory=dict, compare=False)
    """Bytes a pixel of the sizes that were asked for."""

    @property
    def name(self) -> str:
        return f"torch {torch.__version__}"

    def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        """(output in float32, memory) for network input of one or more pictures."""
        packed = (part.contiguous(memory_format=self.memory_format) for part in x)  # (N, T C, H, W)
        is_half = self.dtype != FLOAT32
        with torch.inference_mode(), torch.autocast(self.device.type, TORCH_TYPES[self.dtype], enabled=is_half):
            made = self.module(*packed, *memory)
        made = made if isinstance(made, tuple) else (made,)
        return tuple(part.float() for part in made[: len(x)]), made[len(x) :]  # (N, C, s H, s W)

    def bytes_per_px(self, x: Tensors) -> float:
        """Peak activation bytes for one input pixel, found by running the small picture `x`.

        The largest input + output of any layer, twice for live skips.
        """
        sizes = tuple(part.shape for part in x)
        if sizes not in self._known:
            self._known[sizes] = self._measure(x)
        return self._known[sizes]

    def _measure(self, x: Tensors) -> float:
        largest = 0

        def watch(_: nn.Module, inputs: tuple, output: object) -> None:
            nonlocal largest
            passing = (*inputs, *(output if isinstance(output, tuple) else (output,)))
            largest = max(largest, sum(tensor.numel() * 4 for tensor in passing if isinstance(tensor, Tensor)))

        hooks = [layer.register_forward_hook(watch) for layer in self.module.modules()]
        try:
            TorchEngine.step(self, x, ())  # its layers one by one, whatever runs them else
        finally:
            for hook in hooks:
                hook.remove()
        height, width = x[0].shape[-2:]
        return 2 * largest / (height * width)


def keep_in_range(module: nn.Module, spec: ModelSpec, scale: int, least: float = 0.0, most: float = 1.0) -> nn.Module:
    """Make `module` see its first tensor clipped to a range; what was clipped away is added back enlarged (bicubic).

    Networks that were trained on pictures alone fail outside of what pictures hold: RGB of video leaves [0, 1] where luma
    leaves 16-235, and SPAN's published weights answer -0.15 with values from -5 to 5. So 0 stays 0 and 255 stays 255.
    """
    enlarge = Interpolate(scale, "bicubic", "replicate")
    excess: list[Tensor] = []  # of the call that is under way

    def before(x: Tensors) -> Tensors:
        clipped = x[0].clamp(least, most)
        first = spec.num_frames // 2 * spec.channels
        excess[:] = [(x[0] - clipped)[:, first : first + spec.channels]]  # of the middle frame
        return (clipped, *x[1:])

    def after(y: Tensors) -> Tensors:
        beyond = excess.pop()
        must_go_on = torch.compiler.is_compiling() or beyond.is_cuda  # a graph has no way out, and a GPU would wait
        return (y[0] + enlarge.to(beyond.device)(beyond), *y[1:]) if must_go_on or bool(beyond.any()) else y

    return _around(module, before, after)


def extend_edges(module: nn.Module, spec: ModelSpec, scale: int, what: str) -> nn.Module:
    """Make `module` see its input with the edge samples repeated as far as it reaches, and cut its output back.

    Zero padding inside a network is an edge that the picture does not have: FSRCNN answers a flat frame with up to 20 codes
    in the corners. A flat frame comes out flat so. ValueError, of `what`, for planes of several sizes.
    """
    margin_px = spec.halo_px(scale)
    if len(spec.input_shapes(2, 2)) > 1:
        raise ValueError(f"{what}: {spec.name}: edges = replicate is for networks of one tensor; train it without")

    def before(x: Tensors) -> Tensors:
        return tuple(F.pad(part, [margin_px] * 4, mode="replicate") for part in x)

    def after(y: Tensors) -> Tensors:
        cut_px = margin_px * scale
        return tuple(part[..., cut_px:-cut_px, cut_px:-cut_px] for part in y)

    return _around(module, before, after, is_inside=True)


def center(module: nn.Module, mean: float, std: float) -> nn.Module:
    """Make `module` compute module((x - mean) / std) * std + mean; mean 0 and std 1 leave it as it is.

    x is the first tensor, which the picture's range is that of; chroma of its own stays as it is.
    """
    if mean == 0 and std == 1:
        return module

    return _around(module, lambda x: ((x[0] - mean) / std, *x[1:]), lambda y: (y[0] * std + mean, *y[1:]))


def _around(
    module: nn.Module,
    before: Callable[[Tensors], Tensors],
    after: Callable[[Tensors], Tensors],
    is_inside: bool = False,
) -> nn.Module:
    """Make `module` see what `before` makes of its input, and give what `after` makes of its output, tuples both.

    Where it `is_inside`, `after` comes ahead of those that were put around it before.
    """

    def out(_: nn.Module, __: Tensors, output: Tensor | Tensors) -> Tensor | Tensors:
        made = after(output if isinstance(output, tuple) else (output,))
        return made if isinstance(output, tuple) else made[0]

    module.register_forward_pre_hook(lambda _, x: before(x))
    module.register_forward_hook(out, prepend=is_inside)
    return module


def range_of(about: dict[str, str]) -> tuple[float, ...]:
    """(least, most) of the input that the network was trained on; empty where what the metadata says is no range."""
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", about.get("input_range", "0-255"))
    least, most = map(int, found.groups()) if found else (0, 0)
    return (least / 255, most / 255) if least < most <= 255 else ()


def fitted(module: nn.Module, spec: ModelSpec, scale: int, about: dict[str, str], what: str) -> nn.Module:
    """The module with what metadata says of its input: the codes that it takes, and what lies beyond a picture's edges."""
    if "input_range" in about:  # what pictures hold as code values of the first tensor
        module = keep_in_range(module, spec, scale, *range_of(about))
    return extend_edges(module, spec, scale, what) if about.get("edges") == "replicate" else module

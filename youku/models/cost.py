"""What a network costs: parameters, output size and multiply-adds of every layer for an input size, and its reach.

MACs count the weights' multiply-adds of convolutions and dense layers alone, as papers do: fixed kernels (bicubic
skips), norms, activations and additions are free. A deconvolution costs its weights once per *input* pixel (Dong et
al. 2016: FSRCNN = 12,464 MACs a low-resolution pixel), however it is computed: the rearranged one of `fsrcnn` also
multiplies the zeros it pads its kernel with, which are not counted.
The second convention is the one of the Taiwanese lecture slides on SRResNet (framework "trident", May 2020): per layer
with a weight MACC = weights x H_out x W_out and FLOPs = (2 weights - 1) x H_out x W_out + biases x H_out x W_out,
where norms and PReLU have weights too, and a deconvolution costs per output pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from youku.models.blocks import Interpolate
from youku.models.fsrcnn import Deconvolution
from youku.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call of one layer."""

    name: str
    kind: str
    output: tuple[int, ...]
    """(C, H, W)."""
    parameters: int
    """0 where an earlier call already counted the same weights."""
    macs: int
    macc: int
    """The slides' multiply-accumulates."""
    flops: int
    """The slides' floating-point operations."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Layers in the order they run, and the learnable parameters of the whole network."""

    layers: tuple[Layer, ...]
    parameters: int

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def macc(self) -> int:
        return sum(layer.macc for layer in self.layers)

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.layers)


def count(build: Callable[[], nn.Module], *shapes: tuple[int, int, int]) -> Cost:
    """Cost of a network for one input of those (C, H, W) without computing it: shapes alone go through."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # unlike "meta", its tensors keep a device for autocast

    with FakeTensorMode():
        return count_module(build(), *(torch.empty(1, *shape) for shape in shapes))


def count_module(module: nn.Module, *x: Tensor) -> Cost:
    """Cost of running `module` on `x` (1, C, H, W), by forward hooks on every layer; TypeError for weights unknown here."""
    rows: list[Layer] = []
    seen: set[nn.Module] = set()
    names = {
        layer: name or "network"
        for name, layer in module.named_modules()
        if not list(layer.children()) or layer._parameters
    }

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = dict(layer.named_parameters(recurse=False))
        weights = own["weight"].numel() if "weight" in own else 0
        biases = own["bias"].numel() if "bias" in own else 0
        positions = _positions(output)
        rows.append(
            Layer(
                name=names[layer],
                kind=type(layer).__name__,
                output=tuple(output.shape[1:]),
                parameters=0 if layer in seen else sum(parameter.numel() for parameter in own.values()),
                macs=_macs(names[layer], layer, inputs[0], output),
                macc=weights * positions,
                flops=(2 * weights - 1 + biases) * positions if weights else 0,
            )
        )
        seen.add(layer)

    handles = [layer.register_forward_hook(note) for layer in names]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(*x)
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return Cost(layers=tuple(rows), parameters=sum(parameter.numel() for parameter in module.parameters()))


def _macs(name: str, layer: nn.Module, x: Tensor, output: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        return layer.weight.numel() * _positions(output)
    if isinstance(layer, nn.ConvTranspose2d | Deconvolution):
        return layer.weight.numel() * _positions(x)
    if isinstance(layer, nn.Linear):
        return layer.weight.numel() * output.numel() // output.shape[-1]
    for key, parameter in layer.named_parameters(recurse=False):
        if parameter.numel() > max(parameter.shape, default=1):  # a vector scales or shifts channels, no more
            raise TypeError(f"{name}.{key}: no rule here for the multiply-adds of a {type(layer).__name__}")
    return 0


def _positions(x: Tensor) -> int:
    """H x W of (N, C, H, W), 1 of (N, C)."""
    return math.prod(x.shape[2:])


def measure_receptive_field_px(spec: ModelSpec, scale: int) -> int:
    """Side in input pixels of the square that the scale x scale outputs of one input pixel depend on.

    Measured: which inputs have a gradient, in double precision. All weights are made positive and sum to 1 per output,
    so that nothing cancels and no ReLU is shut. The window looked at is 2 px wider on each side than the halo.
    """
    net = spec.build(scale).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
        parameter.div_(parameter.numel() / parameter.shape[0] * 1.5)
    for layer in net.modules():
        if isinstance(layer, Interpolate):  # works in float32 whatever comes in
            layer.float().register_forward_hook(lambda layer, inputs, output: output.double())
    reach_px = spec.halo_px(scale) + 2
    side = 2 * reach_px + 1
    x = [
        torch.rand(1, *shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in spec.input_shapes(side, side)
    ]
    made = net(*x)
    first = reach_px * scale
    (made[0] if isinstance(made, tuple) else made)[..., first : first + scale, first : first + scale].sum().backward()
    furthest = 0
    for part in x:
        assert part.grad is not None
        grid_px = -(-side // part.shape[-1])
        touched = part.grad.abs().amax((0, 1)).nonzero() * grid_px - reach_px  # (number, 2), from the middle
        furthest = max(furthest, int(touched.abs().max()))
    return 2 * furthest + 1


def network_as_json(spec: ModelSpec, scale: int, width: int, height: int) -> tuple[dict[str, object], Cost]:
    """One network as numbers (the row of the table, and what --json prints), and its cost for a width x height input."""
    cost = count(lambda: spec.build(scale), *spec.input_shapes(height, width))
    entry = {
        "name": spec.name,
        "scale": scale,
        "scales": list(spec.scales),
        "any_scale": spec.any_scale,
        "colours": spec.colours.name,
        "frames": spec.num_frames,
        "parameters": cost.parameters,
        "input": [width, height],
        "macs": cost.macs,
        "trident_macc": cost.macc,
        "trident_flops": cost.flops,
        "receptive_field_px": 2 * spec.halo_px(scale) + 1 if spec.local else None,
        "bf16_safe": spec.bf16_safe,
        "trainable": spec.trainable,
        "source": spec.source,
        "download": asdict(spec.download) if spec.download else None,
    }
    return entry, cost


def layer_table(cost: Cost, trident: bool) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of layers, sums last; `trident` adds the slides' two counts."""
    header = ["layer", "kind", "output", "parameters", "MACs", *(["MACC", "FLOPs"] if trident else [])]

    def numbers(one: Layer | Cost) -> list[str]:
        counts = [one.parameters, one.macs, *([one.macc, one.flops] if trident else [])]
        return [f"{count:,}" for count in counts]

    rows = [[layer.name, layer.kind, "x".join(map(str, layer.output)), *numbers(layer)] for layer in cost.layers]
    return header, [*rows, ["sum", "", "", *numbers(cost)]]

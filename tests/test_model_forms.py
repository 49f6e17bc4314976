"""Single networks beside the table: the forms their papers count, and what is particular to each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from youku.models import MODELS, span
from youku.models.blocks import FullPrecision, Interpolate, PixelShuffle, ResizeConv, pixel_shuffle
from youku.models.enhancenet import EnhanceNet, OldFilm, oldfilm_block
from youku.models.fsrcnn import FSRCNN
from youku.models.span import SPAN
from youku.models.srcnn import SRCNN, VDSR
from youku.models.srresnet import PerceptualSR, improved, srresnet
from youku.video import resize

FORMS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "vdsr without biases": (lambda: VDSR(2, bias=False), 664_704),
    "srresnet without biases": (lambda: srresnet(4, bias=False), 1_546_771),
    "improved with the slide's 5x5 tail": (lambda: improved(4, tail_px=5), 645_122),
    "enhancenet x4 with BN": (lambda: EnhanceNet(4, batch_norm=True), 852_867 + 2_560),
    "enhancenet x2 with BN": (lambda: EnhanceNet(2, batch_norm=True), 815_939 + 2_560),
    "enhancenet luma x4 with BN": (lambda: EnhanceNet(4, num_planes=1, batch_norm=True), 850_561 + 2_560),
    "span-48 in training form": (lambda: in_branches(SPAN(4, 48)), 1_840_488),
    "oldfilm x2 without biases": (lambda: OldFilm(2, bias=False), 1_221_888),
    "oldfilm x4 without biases": (lambda: OldFilm(4, bias=False), 1_258_880),
    "oldfilm rgb x2 without biases": (lambda: OldFilm(2, num_planes=3, bias=False), 1_224_192),
    "oldfilm rgb x4 without biases": (lambda: OldFilm(4, num_planes=3, bias=False), 1_261_184),
}
WEIGHTS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "srcnn 9-1-5": (lambda: SRCNN(3), 8_032),
    "srcnn 9-3-5": (lambda: SRCNN(3, mapping_px=3), 24_416),
    "srcnn 9-5-5": (lambda: SRCNN(3, mapping_px=5), 57_184),
    "fsrcnn": (lambda: FSRCNN(3), 12_464),
    "fsrcnn-s": (lambda: FSRCNN(3, num_features=32, num_shrunk=5, num_mapping=1), 3_937),
}


class BranchedConv(nn.Module):
    """As published: zeros around, 1x1, 3x3, 1x1, and beside that chain one 1x1."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        chain = [
            nn.Conv2d(num_in, 2 * num_in, 1),
            nn.Conv2d(2 * num_in, 2 * num_out, 3),
            nn.Conv2d(2 * num_out, num_out, 1),
        ]
        self.conv = nn.Sequential(*chain)
        self.sk = nn.Conv2d(num_in, num_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(nn.functional.pad(x, [1, 1, 1, 1])) + self.sk(x)


def in_branches(module: SPAN) -> SPAN:
    """The training form: every 3x3 but the last in branches."""
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and not name.startswith("upscale"):
            module.set_submodule(name, BranchedConv(layer.in_channels, layer.out_channels))
    return module


ORDERS = ("bn before add", "relu after add", "bn after add", "pre-activation")


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
def test_parameter_count_of_other_forms(form: str) -> None:
    """Constructor options give the counts of the sources' other forms exactly."""
    build, count = FORMS[form]
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == count


@pytest.mark.parametrize("form", WEIGHTS)
def test_filter_weights_as_the_papers_count(form: str) -> None:
    """Filters alone, without biases and slopes, are the numbers printed in the papers."""
    build, count = WEIGHTS[form]
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters() if parameter.dim() == 4) == count


def test_pixel_shuffle_is_reshape_transpose_interleave() -> None:
    """The slides' walk-through, (16, 2, 2, H, W) with rows and then columns interleaved, is torch's PixelShuffle."""
    x = random(64, 6, 5)
    blocks = x.reshape(16, 2, 2, 6, 5).permute(0, 3, 4, 1, 2)  # (C, H, W, row, column)
    rows = torch.stack([blocks[:, :, :, 0], blocks[:, :, :, 1]], dim=2).flatten(1, 2)  # (C, 2 H, W, column)
    columns = torch.stack([rows[..., 0], rows[..., 1]], dim=3).flatten(2, 3)  # (C, 2 H, 2 W)
    assert torch.equal(columns, nn.PixelShuffle(2)(x[None])[0])


@pytest.mark.parametrize("size", [(2, 5, 7), (1, 1, 1), (1, 1, 7), (3, 9, 1)])
@pytest.mark.parametrize("planes", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pixel_shuffle_is_torchs_in_every_form(scale: int, planes: int, size: tuple[int, int, int]) -> None:
    """Wherever the samples lie: channels_last, planar, a part of more channels, in 16 bit, and in training."""
    number, height, width = size
    own = planes * scale**2
    plain = torch.rand(number, own + 9, height, width)
    last = plain.contiguous(memory_format=torch.channels_last)
    forms = [plain[:, :own], plain[:, :own].contiguous(), last[:, :own], last[:, 8 : 8 + own], last[:, 3 : 3 + own]]
    forms += [form.bfloat16() for form in forms]
    for x in (*forms, *(form.contiguous(memory_format=torch.channels_last) for form in forms)):
        assert torch.equal(pixel_shuffle(x, scale), F.pixel_shuffle(x, scale))
    x = last[:, :own].clone().requires_grad_()
    (PixelShuffle(scale)(x) ** 2).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 2 * x.detach())


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_resize_conv_keeps_a_flat_picture_flat(scale: int) -> None:
    """Away from the zero padding nearest neighbour and convolution leave no pattern in a constant input."""
    torch.manual_seed(0)
    with torch.inference_mode():
        out = ResizeConv(4, scale)(torch.full((1, 4, 9, 9), 0.5))
    inside = out[..., 3 * scale : -3 * scale, 3 * scale : -3 * scale]
    assert inside.amax(dim=(-1, -2)).sub(inside.amin(dim=(-1, -2))).max() < 1e-6


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.any_scale])
def test_any_scale_means_one_set_of_weights(name: str) -> None:
    """The x2 weights of such a network load strictly into x3 and x4."""
    spec = MODELS[name]
    states = [spec.build(scale).state_dict() for scale in (2, 3, 4)]
    for scale in (3, 4):
        spec.build(scale).load_state_dict(states[0])
    assert states[0] != {}


@pytest.mark.parametrize("name", ["vdsr", "enhancenet", "enhancenet-y", "oldfilm", "oldfilm-rgb", "oldfilm-nobn"])
def test_without_a_residual_it_is_bicubic(name: str) -> None:
    """With its last layer at zero such a network is the bicubic enlargement to the bit: no drift of colours."""
    module = MODELS[name].build(4).eval()
    last = module.tail[-1] if isinstance(module.tail, nn.Sequential) else module.tail
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    x = random(1, MODELS[name].channels, 9, 11)
    with torch.inference_mode():
        assert torch.equal(module(x), Interpolate(4)(x))


@pytest.mark.parametrize(("scale", "height", "width"), [(2, 9, 11), (3, 7, 5), (4, 2, 1)])
def test_enlargement_inside_networks_is_matlabs(scale: int, height: int, width: int) -> None:
    """Bicubic with mirrored edges, as imresize does it before SRCNN and VDSR, also on pictures smaller than the kernel."""
    x = random(1, 1, height, width)
    expected = resize.resize(x.double(), height * scale, width * scale, "bicubic", "symmetric")
    torch.testing.assert_close(Interpolate(scale)(x).double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["srresnet-slides", "srresnet-improved", "perceptual-sr", "perceptual-sr-deconv"])
def test_tanh_networks_stay_in_range(name: str) -> None:
    """Their tanh is mapped to [0, 1], and however large the last layer they cannot leave it."""
    module = MODELS[name].build(4).eval()
    nn.init.normal_(module.tail.layer.weight, 0, 10.0)
    with torch.inference_mode():
        out = module(random(1, 3, 12, 12))
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.max() - out.min() > 0.9


def test_vdsr_receptive_field() -> None:
    """Twenty 3x3 convolutions see 41 pixels at full size, as the paper says."""
    module = VDSR(2)
    x = random(1, 1, 3, 51).requires_grad_()
    residual = module.tail(module.body(module.head(x)))
    (grad,) = torch.autograd.grad(residual[..., 25].sum(), x)
    reached = grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (reached.min(), reached.max()) == (5, 45)


def test_improved_running_statistics() -> None:
    """The state dict holds 642,050 learnt values and 4,224 running ones, whose batches are not counted."""
    module = improved(4)
    module(random(2, 3, 8, 8))
    buffers = dict(module.named_buffers())
    running = [value for key, value in buffers.items() if key.endswith(("running_mean", "running_var"))]
    assert sum(value.numel() for value in running) == 4_224
    assert all(value == 0 for key, value in buffers.items() if key.endswith("num_batches_tracked"))
    assert any(value.abs().max() > 0 for key, value in buffers.items() if key.endswith("running_mean"))


def test_improved_norms_each_picture_by_itself_in_training() -> None:
    """In train mode a picture's output does not depend on the others in its batch (with batch norm it would)."""
    torch.manual_seed(0)
    slides, original = improved(2), srresnet(2)
    pair, other = random(2, 3, 8, 8), random(2, 3, 8, 8)
    other[1] = 1 - other[1].square()
    torch.testing.assert_close(slides(pair)[0], slides(other)[0])
    assert (original(pair)[0] - original(other)[0]).abs().max() > 1e-4


def test_improved_dilations() -> None:
    """The first convolution of each block is dilated by 1, 2, 4, 8 in turn, the second never."""
    blocks = list(improved(4).body)[:16]
    assert [block[0].dilation[0] for block in blocks] == [1, 2, 4, 8] * 4
    assert {block[3].dilation for block in blocks} == {(1, 1)}


@pytest.mark.parametrize("order", ORDERS)
def test_residual_orders_have_the_same_parts(order: str) -> None:
    """Every order of the report's figure holds two convolutions and two norms, 2 x (36,928 + 128) parameters."""
    block = oldfilm_block(order)
    assert sum(parameter.numel() for parameter in block.parameters()) == 2 * (36_928 + 128)


@pytest.mark.parametrize("order", ORDERS)
def test_oldfilm_trains_in_every_order(order: str) -> None:
    """Gradient reaches every parameter whatever the order of the block."""
    torch.manual_seed(0)
    module = OldFilm(2, order=order, num_blocks=2, residual_scale=0.1)
    module(random(2, 1, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())


def test_residual_orders_end_as_they_say() -> None:
    """ "relu after add" and "bn after add" put out no negative value; the others do, and pass x on where the branch is 0."""
    torch.manual_seed(0)
    x = random(2, 64, 6, 6) - 0.5
    for order in ("relu after add", "bn after add"):
        assert oldfilm_block(order)(x).min() >= 0
    for order in ("bn before add", "pre-activation"):
        assert oldfilm_block(order)(x).min() < 0
        assert torch.equal(oldfilm_block(order, residual_scale=0.0)(x), x)


def test_residual_scale_weighs_the_branch() -> None:
    """Scale 0.1 adds a tenth of what scale 1 adds."""
    torch.manual_seed(0)
    whole = oldfilm_block("bn before add").eval()
    tenth = oldfilm_block("bn before add", residual_scale=0.1).eval()
    tenth.load_state_dict(whole.state_dict())
    x = random(1, 64, 6, 6)
    torch.testing.assert_close(tenth(x) - x, 0.1 * (whole(x) - x))


def test_unknown_residual_order_is_named() -> None:
    """The error lists the orders there are."""
    with pytest.raises(ValueError, match="'bn first': expected bn before add, relu after add"):
        OldFilm(2, order="bn first")


@pytest.mark.parametrize("name", ["srcnn", "srcnn-935", "srcnn-955", "fsrcnn", "fsrcnn-s"])
def test_last_layer_can_have_its_own_learning_rate(name: str) -> None:
    """`last` is the layer that the papers train ten times slower, and not the whole network."""
    module = MODELS[name].build(3)
    last = {id(parameter) for parameter in module.last.parameters()}
    assert len(last) == 2
    assert len(last) < len(list(module.parameters()))
    assert isinstance(module.last, FullPrecision) == name.startswith("srcnn")


def test_deconvolution_form_differs_only_in_upscaling() -> None:
    """Perceptual-SR with transposed convolutions has the same head, body and tail, so the two compare fairly."""
    resized, strided = PerceptualSR(4).state_dict(), PerceptualSR(4, deconvolution=True).state_dict()
    shapes = [
        {key: value.shape for key, value in state.items() if not key.startswith("upscale")}
        for state in (resized, strided)
    ]
    assert shapes[0] == shapes[1]
    assert any(key.startswith("upscale") for key in resized.keys() ^ strided.keys())


def branched_span(num_channels: int) -> SPAN:
    """A seeded SPAN in training form whose biases are as large as trained ones can be."""
    torch.manual_seed(0)
    module = in_branches(SPAN(2, num_channels)).eval()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.3)
    return module


def test_branches_are_padded_before_the_chain() -> None:
    """One merged convolution equals the branches as published, in float64 to 1e-12, borders included."""
    torch.manual_seed(0)
    layer = BranchedConv(3, 5).double()
    x = random(2, 3, 7, 6).double()
    weight, bias = span.merge(dict(layer.named_parameters()))
    merged, expected = nn.functional.conv2d(x, weight, bias, padding=1), layer(x)
    torch.testing.assert_close(merged, expected, rtol=0, atol=1e-12)
    late = layer.conv[2](nn.functional.conv2d(layer.conv[0](x), layer.conv[1].weight, layer.conv[1].bias, padding=1))
    assert (late + layer.sk(x) - expected)[..., 0].abs().max() > 0.01  # padding later would differ at the border


@pytest.mark.parametrize("num_channels", [12, 48])
def test_span_merged_equals_its_training_form(num_channels: int) -> None:
    """The plain SPAN with merged kernels loads strictly and differs by less than 1e-5 in float32, borders included."""
    branched = branched_span(num_channels)
    plain = SPAN(2, num_channels).eval()
    plain.load_state_dict(span.merge_state(branched.state_dict()))
    x = random(2, 3, 13, 10)
    with torch.inference_mode():
        expected = branched(x)
        assert (plain(x) - expected).abs().max() < 1e-5 * max(1, expected.abs().max())
    assert expected.std() > 0.01


def test_span_training_form_counts() -> None:
    """Of 48 channels 20 layers are in branches; the merged kernels that authors keep frozen beside them are 396,240."""
    layers = [layer for layer in in_branches(SPAN(4, 48)).modules() if isinstance(layer, BranchedConv)]
    merged = [span.merge(dict(layer.named_parameters())) for layer in layers]
    assert len(layers) == 20
    assert sum(weight.numel() + bias.numel() for weight, bias in merged) == 396_240
    assert all(
        span.branch_shapes(layer.sk.in_channels, layer.sk.out_channels)[name] == layer.get_submodule(name).weight.shape
        for layer in layers
        for name in span.BRANCHES
    )

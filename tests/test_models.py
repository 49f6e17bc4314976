"""Every network of the table: exact sizes, shapes, gradients, determinism, tiles, half precision."""

from __future__ import annotations

import copy
from typing import NoReturn

import pytest
import torch
from torch.nn import functional as F

from youku.engines.torch_engine import TorchEngine
from youku.inference.pipeline import ensemble
from youku.inference.tiles import is_out_of_memory, run_tiled, run_within_memory
from youku.models import MODELS, spec_of
from youku.models.colours import Tensors
from youku.models.fsrcnn import Deconvolution
from youku.video import resize

CPU = torch.device("cpu")
CASES = [(name, scale) for name, spec in MODELS.items() for scale in spec.scales]
COUNTS = {
    ("bicubic", 2): 0, ("bicubic", 3): 0, ("bicubic", 4): 0, ("bicubic", 8): 0,
    ("lanczos", 2): 0, ("lanczos", 3): 0, ("lanczos", 4): 0, ("lanczos", 8): 0,
    ("srcnn", 2): 8_129, ("srcnn", 3): 8_129, ("srcnn", 4): 8_129,
    ("srcnn-935", 2): 24_513, ("srcnn-935", 3): 24_513, ("srcnn-935", 4): 24_513,
    ("srcnn-955", 2): 57_281, ("srcnn-955", 3): 57_281, ("srcnn-955", 4): 57_281,
    ("fsrcnn", 2): 12_809, ("fsrcnn", 3): 12_809, ("fsrcnn", 4): 12_809,
    ("fsrcnn-s", 2): 4_086, ("fsrcnn-s", 3): 4_086, ("fsrcnn-s", 4): 4_086,
    ("espcn", 2): 21_284, ("espcn", 3): 22_729, ("espcn", 4): 24_752,
    ("espcn-rgb", 2): 26_796, ("espcn-rgb", 3): 31_131, ("espcn-rgb", 4): 37_200,
    ("vdsr", 2): 665_921, ("vdsr", 3): 665_921, ("vdsr", 4): 665_921,
    ("srresnet", 2): 1_401_749, ("srresnet", 4): 1_549_462,
    ("srgan", 2): 1_401_749, ("srgan", 4): 1_549_462,
    ("srresnet-slides", 2): 1_399_297, ("srresnet-slides", 4): 1_546_754,
    ("srresnet-improved", 2): 639_233, ("srresnet-improved", 4): 642_050,
    ("edsr-baseline", 2): 1_369_859, ("edsr-baseline", 3): 1_554_499, ("edsr-baseline", 4): 1_517_571,
    ("edsr", 2): 40_729_603, ("edsr", 3): 43_680_003, ("edsr", 4): 43_089_923,
    ("enhancenet", 2): 815_939, ("enhancenet", 4): 852_867,
    ("enhancenet-y", 2): 813_633, ("enhancenet-y", 4): 850_561,
    ("perceptual-sr", 4): 401_859, ("perceptual-sr", 8): 438_915,
    ("perceptual-sr-deconv", 4): 401_859, ("perceptual-sr-deconv", 8): 438_915,
    ("oldfilm", 2): 1_224_065, ("oldfilm", 4): 1_261_121,
    ("oldfilm-rgb", 2): 1_226_371, ("oldfilm-rgb", 4): 1_263_427,
    ("oldfilm-scaled", 2): 1_224_065, ("oldfilm-scaled", 4): 1_261_121,
    ("oldfilm-nobn", 2): 1_219_841, ("oldfilm-nobn", 4): 1_256_769,
    ("vsrnet", 2): 283_073, ("vsrnet", 3): 283_073, ("vsrnet", 4): 283_073,
    ("vsrnet-symmetric", 2): 170_177, ("vsrnet-symmetric", 3): 170_177, ("vsrnet-symmetric", 4): 170_177,
    ("enhancenet-3frame", 2): 817_667, ("enhancenet-3frame", 4): 854_595,
    ("enhancenet-3frame-shared", 2): 815_907, ("enhancenet-3frame-shared", 4): 852_835,
    ("enhancenet-3frame-concat", 2): 819_395, ("enhancenet-3frame-concat", 4): 856_323,
    ("rlfn", 2): 526_856, ("rlfn", 3): 533_891, ("rlfn", 4): 543_740,
    ("span-28", 2): 141_580, ("span-28", 3): 145_375, ("span-28", 4): 150_688,
    ("span-48", 2): 410_700, ("span-48", 3): 417_195, ("span-48", 4): 426_288,
    ("srvgg-16", 2): 600_652, ("srvgg-16", 3): 609_307, ("srvgg-16", 4): 621_424,
    ("srvgg-32", 2): 1_192_524, ("srvgg-32", 3): 1_201_179, ("srvgg-32", 4): 1_213_296,
    ("waifu2x-vgg7", 2): 290_467, ("waifu2x-vgg7-y", 2): 287_585,
    ("waifu2x-upconv7", 2): 552_480, ("waifu2x-upconv7-y", 2): 544_000,
    ("msrresnet", 2): 1_369_859, ("msrresnet", 3): 1_554_499, ("msrresnet", 4): 1_517_571,
    ("imdn", 2): 694_404, ("imdn", 3): 703_059, ("imdn", 4): 715_176,
    ("rfdn", 2): 417_212, ("rfdn", 3): 423_977, ("rfdn", 4): 433_448,
    ("safmn", 2): 227_820, ("safmn", 3): 232_695, ("safmn", 4): 239_520,
    ("carn-m", 2): 414_787, ("carn-m", 3): 414_787, ("carn-m", 4): 414_787,
    ("disp", 2): 153_388, ("disp", 3): 157_723, ("disp", 4): 163_792,
    ("smfanet", 2): 185_628, ("smfanet", 3): 190_503, ("smfanet", 4): 197_328,
    ("smfanet-plus", 2): 480_300, ("smfanet-plus", 3): 486_795, ("smfanet-plus", 4): 495_888,
    ("pairs-t", 2): 38_622, ("pairs-t", 3): 43_179, ("pairs-t", 4): 42_528,
    ("pairs-s", 2): 86_182, ("pairs-s", 3): 92_251, ("pairs-s", 4): 91_384,
    ("pairs-m", 2): 358_134, ("pairs-m", 3): 367_227, ("pairs-m", 4): 365_928,
    ("pairs-l", 2): 634_182, ("pairs-l", 3): 646_299, ("pairs-l", 4): 644_568,
    ("recurrent-t", 2): 16_182, ("recurrent-t", 3): 19_947, ("recurrent-t", 4): 20_520,
    ("recurrent-s", 2): 78_566, ("recurrent-s", 3): 86_075, ("recurrent-s", 4): 87_224,
    ("recurrent-m", 2): 214_806, ("recurrent-m", 3): 226_059, ("recurrent-m", 4): 227_784,
    ("recurrent-l", 2): 452_550, ("recurrent-l", 3): 467_547, ("recurrent-l", 4): 469_848,
    ("bidirectional-t", 2): 31_446, ("bidirectional-t", 3): 35_211, ("bidirectional-t", 4): 35_784,
    ("bidirectional-s", 2): 156_326, ("bidirectional-s", 3): 163_835, ("bidirectional-s", 4): 164_984,
    ("bidirectional-m", 2): 429_942, ("bidirectional-m", 3): 441_195, ("bidirectional-m", 4): 442_920,
    ("bidirectional-l", 2): 907_590, ("bidirectional-l", 3): 922_587, ("bidirectional-l", 4): 924_888,
}  # fmt: skip

HUGE = 5_000_000  # parameters: such a network is checked where its size matters, not everywhere
SMALL = [case for case in CASES if COUNTS.get(case, 0) < HUGE]
LOCAL = [case for case in SMALL if MODELS[case[0]].local]
HALF = [case for case in SMALL if MODELS[case[0]].bf16_safe]
ONCE = [(name, min(MODELS[name].scales)) for name in dict(SMALL)]  # where the scale changes nothing
TRAINABLE = [case for case in ONCE if MODELS[case[0]].trainable]


def build(name: str, scale: int) -> torch.nn.Module:
    """A seeded network in eval mode whose norms hold moved statistics."""
    torch.manual_seed(0)
    module = MODELS[name].build(scale)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.InstanceNorm2d) and layer.running_mean is not None:
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
        if isinstance(layer, Deconvolution):  # the paper's init is nearly zero; make errors visible
            torch.nn.init.normal_(layer.weight, 0, 0.05)
    return module.eval()


def picture(name: str, height: int, width: int, batch: int = 1) -> Tensors:
    """Seeded network input: every frame's planes."""
    seeded = torch.Generator().manual_seed(1)
    shapes = MODELS[name].input_shapes(height, width)
    return tuple(torch.rand(batch, *shape, generator=seeded) for shape in shapes)


def middle(name: str, x: Tensors) -> Tensors:
    """The planes of the middle frame of a network's input."""
    spec = MODELS[name]
    firsts = [spec.num_frames // 2 * shape[0] for shape in spec.colours.shapes(1, 1)]
    return tuple(part[:, first:][:, : part.shape[1] // spec.num_frames] for first, part in zip(firsts, x, strict=True))


def run(module: torch.nn.Module, x: Tensors) -> Tensors:
    """The module's output, one tensor or several, without its memory."""
    made = module(*x)
    return made[: len(x)] if isinstance(made, tuple) else (made,)


def in_tiles(module: torch.nn.Module, x: Tensors, halo_px: int, tile_px: int) -> Tensors:
    """The module's output put together from tiles."""
    return run_tiled(TorchEngine(module, CPU).step, x, (), halo_px, tile_px)[0]


def furthest(ours: Tensors, theirs: Tensors) -> float:
    """The largest difference."""
    return max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_parameter_count(name: str, scale: int) -> None:
    """Learnable parameters equal the papers' numbers exactly."""
    with torch.device("meta"):
        module = MODELS[name].build(scale)
    assert sum(parameter.numel() for parameter in module.parameters()) == COUNTS[name, scale]


def test_every_model_has_a_count() -> None:
    """A new network cannot join the table without its count being pinned."""
    assert set(COUNTS) == set(CASES)


@pytest.mark.parametrize(("name", "scale"), SMALL)
def test_shape_at_odd_sizes(name: str, scale: int) -> None:
    """Output is exactly scale times an odd input."""
    with torch.inference_mode():
        out = run(build(name, scale), picture(name, 13, 17))
    assert [part.shape[1:] for part in out] == MODELS[name].colours.shapes(13 * scale, 17 * scale)


@pytest.mark.parametrize(("name", "scale"), [*LOCAL, ("edsr", 4)])
def test_tiled_equals_whole(name: str, scale: int) -> None:
    """With the spec's halo, tiles give the whole picture's output within 1e-5."""
    module, halo_px, tile_px = build(name, scale), MODELS[name].halo_px(scale), 20
    x = picture(name, 4, halo_px + 2 * tile_px)  # the first tile does not see the right end, nor the last the left
    with torch.inference_mode():
        whole, tiled = run(module, x), in_tiles(module, x, halo_px, tile_px)
    assert furthest(tiled, whole) < 1e-5


@pytest.mark.parametrize(("name", "scale"), LOCAL)
def test_halo_covers_the_receptive_field(name: str, scale: int) -> None:
    """No output sample of a pixel depends, however weakly, on input columns or rows beyond the halo."""
    module, halo_px = build(name, scale), MODELS[name].halo_px(scale)
    center = halo_px + 6
    for axis in (-1, -2):
        x = picture(name, 3, 2 * center + 1)
        x = tuple((part if axis == -1 else part.transpose(-1, -2).contiguous()).requires_grad_() for part in x)
        others = tuple(other for other in range(4) if other != 4 + axis)
        for made in run(module, x):  # of half size too: what lies within the pixel
            first, last = (
                -(-px * scale * made.shape[axis] // (scale * x[0].shape[axis])) for px in (center, center + 1)
            )
            grads = torch.autograd.grad(made.narrow(axis, first, last - first).sum(), x, retain_graph=True)
            for part, grad in zip(x, grads, strict=True):
                reached = (grad != 0).sum(dim=others).nonzero().flatten() * round(x[0].shape[axis] / part.shape[axis])
                assert reached.min() >= center - halo_px
                assert reached.max() <= center + halo_px


@pytest.mark.parametrize(("name", "scale"), [case for case in ONCE if MODELS[case[0]].local])
def test_halo_is_needed(name: str, scale: int) -> None:
    """Without a halo tiles differ: the tests above are not passing by accident."""
    module, x = build(name, scale), picture(name, 24, 24)
    with torch.inference_mode():
        assert furthest(in_tiles(module, x, 0, 12), run(module, x)) > 1e-4


@pytest.mark.parametrize(("name", "scale"), HALF)
def test_half_precision_stays_close(name: str, scale: int) -> None:
    """bf16 convolutions move the output by under 2/255 of its range on average where the spec says bf16_safe."""
    module, x = build(name, scale), picture(name, 10, 10)
    with torch.inference_mode():
        full = run(module, x)
        with torch.autocast("cpu", torch.bfloat16):
            half = run(module, x)
    for ours, exact in zip(half, full, strict=True):
        assert ours.dtype == torch.float32
        spread = (exact.max() - exact.min()).clamp(min=1.0)
        assert ((ours - exact).abs().mean() / spread) < 2 / 255


@pytest.mark.parametrize(("name", "scale"), SMALL)
def test_eval_is_deterministic_and_state_round_trips(name: str, scale: int) -> None:
    """Two runs agree to the bit, and so does a copy loaded from the state dict."""
    module, x = build(name, scale), picture(name, 7, 7)
    twin = MODELS[name].build(scale).eval()
    twin.load_state_dict(module.state_dict())
    with torch.inference_mode():
        once = run(module, x)
        assert all(map(torch.equal, run(module, x), once))
        assert all(map(torch.equal, run(twin, x), once))


@pytest.mark.parametrize(("name", "scale"), TRAINABLE)
def test_gradient_reaches_every_parameter(name: str, scale: int) -> None:
    """No parameter is dead, but those of the tails for other scales."""
    module = build(name, scale).train()
    torch.stack([part.square().mean() for part in run(module, picture(name, 8, 8, batch=2))]).sum().backward()
    dead = [key for key, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    others = tuple(f"upscale.{other}." for other in MODELS[name].scales if name == "carn-m" and other != scale)
    assert [key for key in dead if not key.startswith(others)] == []


@pytest.mark.parametrize(("name", "scale"), TRAINABLE)
def test_sixteen_steps_lower_the_loss(name: str, scale: int) -> None:
    """Each network learns two patches: the middle frame enlarged at half brightness, which no skip gives away."""
    torch.manual_seed(0)
    module = MODELS[name].build(scale)
    low = picture(name, 5, 5, batch=2)
    high = [0.5 * F.interpolate(part, scale_factor=scale, mode="bilinear") for part in middle(name, low)]
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    losses = []
    for _ in range(16):
        optimizer.zero_grad()
        made = run(module, low)
        pairs = [(part, truth[..., : part.shape[-2], : part.shape[-1]]) for part, truth in zip(made, high, strict=True)]
        loss = torch.stack([F.l1_loss(*pair) for pair in pairs]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_deconvolution_equals_conv_transpose(scale: int) -> None:
    """The rearranged deconvolution is torch's transposed convolution, value and gradient."""
    torch.manual_seed(0)
    layer = Deconvolution(5, scale).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.rand(2, 5, 7, 9, dtype=torch.float64)
    expected = F.conv_transpose2d(x, layer.weight, layer.bias, stride=scale, padding=4, output_padding=scale - 1)
    torch.testing.assert_close(layer(x), expected)
    (ours,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    (theirs,) = torch.autograd.grad(expected.square().sum(), layer.weight)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_model_equals_resize(scale: int) -> None:
    """The bicubic and the Lanczos network are the resize module's kernels with replicated edges."""
    for name in ("bicubic", "lanczos"):
        (x,) = picture(name, 11, 14)
        expected = resize.resize(x, 11 * scale, 14 * scale, name, "replicate")
        torch.testing.assert_close(MODELS[name].build(scale)(x), expected, atol=1e-5, rtol=0)


def test_ensemble_of_an_equivariant_network_changes_nothing() -> None:
    """Bicubic commutes with flips and rotations, so its 8-way ensemble is itself."""
    module, (x,) = MODELS["bicubic"].build(4), picture("bicubic", 12, 19)
    (out,), _ = ensemble(TorchEngine(module, CPU).step, (x,), ())
    assert (out - module(x)).abs().max() < 1e-5


def test_out_of_memory_is_retried_smaller() -> None:
    """A forward that fails on large tiles is run on halved ones and still gives the whole output."""
    module, (x,) = MODELS["bicubic"].build(2), picture("bicubic", 150, 150)
    sizes = []

    def tight(tile: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
        sizes.append(max(tile[0].shape[-2:]))
        if max(tile[0].shape[-2:]) > 80:
            raise torch.OutOfMemoryError("no room")
        return (module(*tile),), memory

    (out,), _, used_px = run_within_memory(tight, (x,), (), 2, 512)
    assert used_px <= 80 and max(sizes) > 80
    assert (out - module(x)).abs().max() < 1e-5


def test_a_real_allocation_failure_is_recognised() -> None:
    """torch's own words for a failed allocation on this machine count as out of memory."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_other_runtime_errors_are_not_swallowed() -> None:
    """Only memory errors lead to smaller tiles."""

    def broken(tile: Tensors, memory: Tensors) -> NoReturn:
        raise RuntimeError("weights and input differ")

    with pytest.raises(RuntimeError, match="differ"):
        run_within_memory(broken, (torch.zeros(1, 1, 64, 64),), (), 0, 32)


def test_memory_estimate_grows_with_the_network() -> None:
    """EDSR-baseline needs more bytes a pixel than FSRCNN, and both need some."""
    small, large = (
        TorchEngine(build(name, 4), CPU).bytes_per_px(picture(name, 16, 16)) for name in ("fsrcnn", "edsr-baseline")
    )
    assert 100 < small < large


def test_unknown_model_and_scale_are_named() -> None:
    """The error lists what there is."""
    with pytest.raises(ValueError, match="expected one of bicubic, "):
        spec_of("fsrcn", 4)
    with pytest.raises(ValueError, match="has scales 2, 4, not 3"):
        spec_of("srresnet", 3)


def test_building_leaves_the_table_alone() -> None:
    """Specs are immutable and every build is a new network."""
    first, second = MODELS["fsrcnn"].build(4), MODELS["fsrcnn"].build(4)
    assert first is not second
    assert copy.copy(MODELS["fsrcnn"]) == MODELS["fsrcnn"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "scale"), ONCE)
def test_gpu_agrees_with_cpu(name: str, scale: int) -> None:
    """Float32 on the GPU gives the CPU's output within a code value."""
    module, x = build(name, scale), picture(name, 32, 40)
    with torch.inference_mode():
        expected = run(module, x)
        got = run(copy.deepcopy(module).cuda(), tuple(part.cuda() for part in x))
    assert furthest(tuple(part.cpu() for part in got), expected) < 1 / 255

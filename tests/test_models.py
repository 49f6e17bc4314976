"""Every network of the table: exact sizes, shapes, gradients, determinism, tiles, half precision."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from youku.inference.ensemble import ensemble
from youku.inference.tiles import bytes_per_px, forward_tiled, forward_within_memory, is_out_of_memory
from youku.models import MODELS, spec_of
from youku.models.fsrcnn import Deconvolution
from youku.video import resize

CASES = [(name, scale) for name, spec in MODELS.items() for scale in spec.scales]
SMALL = [case for case in CASES if case[0] != "edsr"]  # 43 M parameters: checked where it matters, not everywhere
TILED = [case for case in CASES if case[0] != "edsr" or case[1] == 4]  # its halo is the same for every scale
HALF = [case for case in SMALL if MODELS[case[0]].half_safe]
COUNTS = {
    ("bicubic", 2): 0, ("bicubic", 3): 0, ("bicubic", 4): 0,
    ("fsrcnn", 2): 12_809, ("fsrcnn", 3): 12_809, ("fsrcnn", 4): 12_809,
    ("srresnet", 2): 1_401_749, ("srresnet", 4): 1_549_462,
    ("edsr-baseline", 2): 1_369_859, ("edsr-baseline", 3): 1_554_499, ("edsr-baseline", 4): 1_517_571,
    ("edsr", 2): 40_729_603, ("edsr", 3): 43_680_003, ("edsr", 4): 43_089_923,
}  # fmt: skip


def build(name: str, scale: int) -> torch.nn.Module:
    """A seeded network in eval mode whose norms hold moved statistics."""
    torch.manual_seed(0)
    module = MODELS[name].build(scale)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
        if isinstance(layer, Deconvolution):  # the paper's init is nearly zero; make errors visible
            torch.nn.init.normal_(layer.weight, 0, 0.05)
    return module.eval()


def picture(name: str, height: int, width: int) -> torch.Tensor:
    return torch.rand(1, MODELS[name].channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_parameter_count(name: str, scale: int) -> None:
    """Learnable parameters equal the papers' numbers exactly."""
    with torch.device("meta"):
        module = MODELS[name].build(scale) if name != "bicubic" else torch.nn.Identity()
    assert sum(parameter.numel() for parameter in module.parameters()) == COUNTS[name, scale]


def test_every_model_has_a_count() -> None:
    """A new network cannot join the table without its count being pinned."""
    assert set(COUNTS) == set(CASES)


@pytest.mark.parametrize(("name", "scale"), SMALL)
def test_shape_at_odd_sizes(name: str, scale: int) -> None:
    """Output is exactly scale times an odd input."""
    with torch.inference_mode():
        out = build(name, scale)(picture(name, 13, 17))
    assert out.shape == (1, MODELS[name].channels, 13 * scale, 17 * scale)


@pytest.mark.parametrize(("name", "scale"), TILED)
def test_tiled_equals_whole(name: str, scale: int) -> None:
    """With the spec's halo, tiles give the whole picture's output within 1e-5."""
    height, width, tile_px = (20, 150, 80) if name == "edsr" else (60, 103, 48)
    module = build(name, scale)
    x = picture(name, height, width)
    with torch.inference_mode():
        whole = module(x)
        tiled = forward_tiled(module, x, scale, MODELS[name].halo_px(scale), tile_px)
    assert (tiled - whole).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["fsrcnn", "edsr-baseline", "srresnet"])
def test_halo_is_needed(name: str) -> None:
    """Without a halo tiles differ: the test above is not passing by accident."""
    module, x = build(name, 4), picture(name, 60, 60)
    with torch.inference_mode():
        assert (forward_tiled(module, x, 4, 0, 30) - module(x)).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "scale"), HALF)
def test_half_precision_stays_close(name: str, scale: int) -> None:
    """bf16 convolutions move the output by under 2/255 of its range on average where the spec says half_safe."""
    module, x = build(name, scale), picture(name, 24, 24)
    with torch.inference_mode():
        full = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = module(x)
    assert half.dtype == torch.float32
    spread = (full.max() - full.min()).clamp(min=1.0)
    assert ((half - full).abs().mean() / spread) < 2 / 255


@pytest.mark.parametrize(("name", "scale"), SMALL)
def test_eval_is_deterministic_and_state_round_trips(name: str, scale: int) -> None:
    """Two runs agree to the bit, and so does a copy loaded from the state dict."""
    module, x = build(name, scale), picture(name, 16, 16)
    twin = MODELS[name].build(scale).eval()
    twin.load_state_dict(module.state_dict())
    with torch.inference_mode():
        assert torch.equal(module(x), module(x))
        assert torch.equal(module(x), twin(x))


@pytest.mark.parametrize(("name", "scale"), [case for case in SMALL if case[0] != "bicubic"])
def test_gradient_reaches_every_parameter(name: str, scale: int) -> None:
    """No parameter is dead."""
    module = build(name, scale).train()
    module(torch.rand(2, MODELS[name].channels, 8, 8)).square().mean().backward()
    dead = [key for key, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert dead == []


@pytest.mark.parametrize("name", ["fsrcnn", "srresnet", "edsr-baseline"])
def test_thirty_steps_lower_the_loss(name: str) -> None:
    """Each network learns one patch."""
    torch.manual_seed(0)
    module = MODELS[name].build(2)
    low = torch.rand(2, MODELS[name].channels, 8, 8)
    high = F.interpolate(low, scale_factor=2, mode="bilinear")
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.l1_loss(module(low), high)
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
    """The bicubic network is the resize module's kernel with replicated edges."""
    x = picture("bicubic", 11, 14)
    expected = resize.resize(x, 11 * scale, 14 * scale, "bicubic", "replicate")
    torch.testing.assert_close(MODELS["bicubic"].build(scale)(x), expected, atol=1e-5, rtol=0)


def test_ensemble_of_an_equivariant_network_changes_nothing() -> None:
    """Bicubic commutes with flips and rotations, so its 8-way ensemble is itself."""
    module, x = MODELS["bicubic"].build(4), picture("bicubic", 12, 19)
    assert (ensemble(module, x) - module(x)).abs().max() < 1e-5


def test_out_of_memory_is_retried_smaller() -> None:
    """A forward that fails on large tiles is run on halved ones and still gives the whole output."""
    module, x = MODELS["bicubic"].build(2), picture("bicubic", 150, 150)
    sizes = []

    def tight(tile: torch.Tensor) -> torch.Tensor:
        sizes.append(max(tile.shape[-2:]))
        if max(tile.shape[-2:]) > 80:
            raise torch.OutOfMemoryError("no room")
        return module(tile)

    out, used_px = forward_within_memory(tight, x, 2, 2, 512)
    assert used_px <= 80 and max(sizes) > 80
    assert (out - module(x)).abs().max() < 1e-5


def test_a_real_allocation_failure_is_recognised() -> None:
    """torch's own words for a failed allocation on this machine count as out of memory."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_other_runtime_errors_are_not_swallowed() -> None:
    """Only memory errors lead to smaller tiles."""

    def broken(tile: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("weights and input differ")

    with pytest.raises(RuntimeError, match="differ"):
        forward_within_memory(broken, torch.zeros(1, 1, 64, 64), 2, 0, 32)


def test_memory_estimate_grows_with_the_network() -> None:
    """EDSR-baseline needs more bytes a pixel than FSRCNN, and both need some."""
    device = torch.device("cpu")
    small, large = (bytes_per_px(build(name, 4), MODELS[name].channels, device) for name in ("fsrcnn", "edsr-baseline"))
    assert 100 < small < large


def test_unknown_model_and_scale_are_named() -> None:
    """The error lists what there is."""
    with pytest.raises(ValueError, match="expected one of bicubic, fsrcnn"):
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
@pytest.mark.parametrize("name", ["fsrcnn", "srresnet", "edsr-baseline"])
def test_gpu_agrees_with_cpu(name: str) -> None:
    """Float32 on the GPU gives the CPU's output within a code value."""
    module, x = build(name, 4), picture(name, 32, 40)
    with torch.inference_mode():
        expected = module(x)
        got = copy.deepcopy(module).cuda()(x.cuda()).cpu()
    assert (got - expected).abs().max() < 1 / 255

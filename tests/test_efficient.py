"""RLFN, SPAN, SRVGG and waifu2x: sizes beyond the table, starts, edges."""

from __future__ import annotations

import math

import pytest
import torch

from youku.models import MODELS
from youku.models.span import SPAN
from youku.models.srvgg import VGG7


@pytest.mark.parametrize(("num_channels", "count"), [(28, 150_688), (32, 194_608), (48, 426_288), (52, 498_208)])
def test_span_widths_of_the_papers(num_channels: int, count: int) -> None:
    """Every published width has its published size at x4."""
    assert sum(parameter.numel() for parameter in SPAN(4, num_channels).parameters()) == count


@pytest.mark.parametrize("size", [(8, 8), (5, 40), (1, 1), (15, 14)])
def test_rlfn_takes_pictures_smaller_than_its_pooling(size: tuple[int, int]) -> None:
    """A picture that does not fill one pooling window is continued by its edge pixels, not refused."""
    module, x = MODELS["rlfn"].build(2).eval(), torch.rand(1, 3, *size)
    with torch.inference_mode():
        out = module(x)
        filled = torch.nn.functional.pad(x, (0, max(0, 15 - size[1]), 0, max(0, 15 - size[0])), mode="replicate")
        assert torch.equal(out, module(filled)[..., : 2 * size[0], : 2 * size[1]])
    assert out.shape == (1, 3, 2 * size[0], 2 * size[1])


@pytest.mark.parametrize("name", ["waifu2x-vgg7", "waifu2x-upconv7"])
def test_waifu2x_pads_by_repeating_edges(name: str) -> None:
    """A flat picture stays flat up to its corners: no border of zeros enters the valid convolutions."""
    torch.manual_seed(0)
    with torch.inference_mode():
        out = MODELS[name].build(2).eval()(torch.full((1, 3, 6, 9), 0.7))
    phases = out.unflatten(2, (6, 2)).unflatten(4, (9, 2))  # a deconvolution may differ between its four phases
    assert (phases - phases[:, :, :1, :, :1]).abs().max() < 1e-5


def test_waifu2x_starts_as_its_authors_do() -> None:
    """Weights have std sqrt(4 / (1.01 (fan in + fan out))), biases are 0."""
    torch.manual_seed(0)
    layer = VGG7(2, num_planes=3).body[10]  # 128 to 128 channels
    assert layer.weight.std().item() == pytest.approx(math.sqrt(4 / (1.01 * 9 * 256)), rel=0.02)
    assert not layer.bias.any()


def test_srvgg_adds_detail_to_the_repeated_picture() -> None:
    """With its last convolution at zero the network is nearest-neighbour enlargement."""
    module = MODELS["srvgg-16"].build(3)
    for parameter in module.last.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 4, 5)
    with torch.inference_mode():
        assert torch.equal(module(x), x.repeat_interleave(3, 2).repeat_interleave(3, 3))


def test_an_untrained_span_starts_in_the_picture_range() -> None:
    """Its inside is 0-255 and its output [0, 1]: the last convolution starts 255 times smaller."""
    torch.manual_seed(0)
    with torch.inference_mode():
        assert MODELS["span-28"].build(2)(torch.rand(1, 3, 16, 16)).abs().max() < 1

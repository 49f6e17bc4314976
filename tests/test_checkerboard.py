"""The checkerboard check: what must fire fires, what must not does not, sizes and periods are right."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.looking.checkerboard import SIDE_PX, examine, strongest_line
from youku.models import MODELS

SEEDS = range(12)


def deconvolution(kernel_px: int) -> nn.Sequential:
    """Two convolutions and an untrained stride-2 deconvolution."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, kernel_px, stride=2, padding=(kernel_px - 1) // 2, output_padding=kernel_px % 2),
    )


def resize_convolution(mode: str) -> nn.Sequential:
    """The same with resize-convolution instead."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode=mode),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_fires_on_an_untrained_deconvolution(seed: int) -> None:
    """Stride 2 does not divide kernel 3: a grid of period 2, whatever the weights."""
    torch.manual_seed(seed)
    finding = examine(deconvolution(3), 1, 2, 4)
    assert finding.fires and finding.verdict.startswith("checkerboard: ") and "period 2 px" in finding.verdict


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("seed", SEEDS)
def test_silent_on_resize_convolution(seed: int, mode: str) -> None:
    """Repetition and convolution treat all phases alike, whatever the weights."""
    torch.manual_seed(seed)
    finding = examine(resize_convolution(mode), 1, 2, 6)
    assert not finding.fires and finding.verdict.startswith("no checkerboard")


def test_silent_on_a_deconvolution_set_to_interpolate() -> None:
    """A 4x4 deconvolution that holds the bilinear kernel is even: the class alone does not fire."""
    layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    with torch.no_grad():
        layer.weight.copy_(tent[:, None] * tent[None, :])
    finding = examine(layer, 1, 2, 2)
    assert not finding.fires and max(line.codes for line in finding.lines) < 1e-3


@pytest.mark.parametrize(("even", "fires"), [(False, True), (True, False)])
def test_sub_pixel_convolution_fires_until_its_phases_agree(even: bool, fires: bool) -> None:
    """Fresh weights a phase make a grid of period 4 or 2; the same weights in every phase do not (Aitken et al. 2017)."""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 16, 3, padding=1)
    if even:
        with torch.no_grad():
            conv.weight.copy_(conv.weight[:1].expand(16, -1, -1, -1))
            conv.bias.fill_(0.1)
    assert examine(nn.Sequential(conv, nn.PixelShuffle(4)), 1, 4, 2).fires == fires


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_clean_and_smooth(scale: int) -> None:
    """Interpolation leaves gray flat and a ramp straight."""
    finding = examine(MODELS["bicubic"].build(scale), 1, scale, 2)
    assert not finding.fires and finding.steps < 0.01


@pytest.mark.parametrize(("scale", "steps"), [(2, 1 / 4), (3, 2 / 27**0.5), (4, 2**0.5 / 4)])
def test_repeated_pixels_are_steps_and_no_checkerboard(scale: int, steps: float) -> None:
    """Nearest-neighbour on a ramp: the sawtooth's first wave has the amplitude worked out on paper, but no verdict."""
    finding = examine(nn.Upsample(scale_factor=scale, mode="nearest"), 1, scale, 2)
    assert not finding.fires and finding.steps == pytest.approx(steps, rel=1e-3)


@pytest.mark.parametrize(
    ("cycles_x", "cycles_y", "pattern"),
    [
        (1 / 4, 1 / 4, "diagonal grid, period 4 px"),
        (-1 / 4, 1 / 4, "diagonal grid, period 4 px"),
        (1 / 2, 1 / 2, "diagonal grid, period 2 px"),
        (1 / 2, 0, "vertical stripes, period 2 px"),
        (0, 1 / 3, "horizontal stripes, period 3 px"),
    ],
)
def test_period_direction_and_amplitude_are_read_off(cycles_x: float, cycles_y: float, pattern: str) -> None:
    """A wave of 2 code values over noise comes back as 2 code values, with its direction and period."""
    y, x = torch.meshgrid(*[torch.arange(3 * SIDE_PX, dtype=torch.float64)] * 2, indexing="ij")
    wave = 2 / 255 * torch.cos(2 * math.pi * (cycles_x * x + cycles_y * y))
    noise = torch.randn(wave.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 255
    line = strongest_line((0.3 + x / 500 + wave + noise)[None], 3, "test")
    assert line.pattern == pattern and line.codes == pytest.approx(2, rel=0.05) and line.fires


def test_noise_and_invisible_grids_do_not_fire() -> None:
    """Strong noise has no line that stands out; a clean line under half a code value is not seen."""
    side = 2 * SIDE_PX
    noise = torch.randn(1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 20 / 255
    assert not strongest_line(noise, 2, "noise").fires
    stripes = (torch.arange(side) % 2).double().expand(1, side, side)
    assert not strongest_line(stripes * 0.9 / 255, 2, "faint").fires
    assert strongest_line(stripes * 1.1 / 255, 2, "seen").fires


def test_a_grid_that_only_some_levels_show_is_found() -> None:
    """The pattern of one gray level is enough, and the verdict names it."""

    def network(x: Tensor) -> Tensor:
        out = F.interpolate(x, scale_factor=2, mode="bilinear")
        grid = (torch.arange(out.shape[-1]) % 2) * 4 / 255
        return torch.where(out > 0.7, out + grid, out)

    finding = examine(network, 1, 2, 2)
    assert [line.source for line in finding.lines if line.fires] == ["gray 0.75"] and "gray 0.75" in finding.verdict


def test_a_network_that_gives_nothing_is_no_grid() -> None:
    """All-zero output divides by no zero."""
    assert not examine(lambda x: F.interpolate(x, scale_factor=2) * 0, 3, 2, 1).fires

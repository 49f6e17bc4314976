"""What networks cost: both conventions against published figures, the reach by gradients, the verb `models`."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from youku import text_table
from youku.__main__ import main
from youku.models import FILES, MODELS, UNTRAINED, figures
from youku.models.cost import Cost, count, count_module, measure_receptive_field_px, network_as_json
from youku.models.figures import output_px
from youku.models.fsrcnn import Deconvolution

WIDTH, HEIGHT = 480, 270
# GMAC of a 480x270 input at x4 (x2 where marked), as published or counted by others; digits as given there.
GMAC = {
    ("srresnet", 4): "287.48",
    ("srresnet-slides", 4): "287.48",
    ("srresnet-improved", 4): "86.92",
    ("edsr-baseline", 4): "257.02",
    ("enhancenet", 4): "271.4",
    ("oldfilm", 2): "172.4",
    ("oldfilm", 4): "249.7",
    ("espcn-rgb", 4): "4.8",
    ("rlfn", 4): "67.1",
    ("span-28", 4): "19.4",
    ("span-48", 4): "55.1",
    ("srvgg-16", 4): "80.2",
    ("srvgg-32", 4): "156.7",
    ("pairs-t", 4): "5.5",
    ("disp", 4): "21.1",
    ("smfanet", 4): "23.3",
    ("smfanet-plus", 4): "58.9",
    ("pairs-s", 4): "11.8",
    ("pairs-m", 4): "47.2",
    ("pairs-l", 4): "83.2",
}
LOCAL = [  # quick to measure: shallow, or thin
    *((name, scale) for name in ("srcnn", "srcnn-955", "fsrcnn", "fsrcnn-s", "espcn") for scale in (2, 3, 4)),
    ("span-28", 4), ("srvgg-16", 4), ("enhancenet-y", 2), ("waifu2x-vgg7", 2), ("waifu2x-upconv7", 2), ("vdsr", 2),
]  # fmt: skip


def cost(name: str, scale: int, width: int = WIDTH, height: int = HEIGHT) -> Cost:
    spec = MODELS[name]
    return count(lambda: spec.build(scale), *spec.input_shapes(height, width))


@pytest.mark.parametrize(
    ("name", "macc", "flops"),
    [
        ("srresnet-slides", 9_094_381_568, 18_196_971_520),
        ("srresnet-improved", 2_758_885_376, 5_529_104_384),
    ],
)
def test_slides_pair_at_64x64(name: str, macc: int, flops: int) -> None:
    """The lecture slides' MACC and FLOPs come out to the last digit."""
    found = cost(name, 4, 64, 64)
    assert (found.macc, found.flops) == (macc, flops)


@pytest.mark.parametrize(("name", "scale"), GMAC)
def test_macs_of_a_frame(name: str, scale: int) -> None:
    """Plain MACs equal the published figure in every digit that it has (the last may be cut off, not rounded)."""
    digits = len(GMAC[name, scale].split(".")[1])
    (macs,) = (
        one["macs"] for one in figures.read() if (one["name"], one["scale"]) == (name, scale)
    )  # as counted below
    assert abs(macs / 1e9 - float(GMAC[name, scale])) < 0.6 * 10**-digits


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fsrcnn_costs_its_weights_per_input_pixel(scale: int) -> None:
    """12,464 MACs an input pixel at every scale: the paper's complexity, not that of the rearranged deconvolution."""
    assert cost("fsrcnn", scale).macs == 12_464 * WIDTH * HEIGHT


def test_edsr_and_bicubic_at_the_ends() -> None:
    """The largest costs 65.1 GMAC on a hundredth of a frame; fixed interpolation counts as nothing."""
    assert f"{cost('edsr', 4, 48, 27).macs / 1e9:.1f}" == "65.1"
    assert cost("bicubic", 4).macs == cost("bicubic", 4).parameters == 0


@pytest.mark.parametrize("name", MODELS)
def test_every_network_can_be_counted(name: str) -> None:
    """No layer is left out but tails for other scales: rows' parameters add up; what can be trained costs something."""
    spec = MODELS[name]
    found = cost(name, spec.scales[0], 40, 30)
    tails = 576 * (16 * 9 + 1) + 512 * (16 * 9 + 1) if name == "carn-m" else 0  # of x3 and x4
    assert sum(layer.parameters for layer in found.layers) + tails == found.parameters
    assert (found.macs > 0) == spec.trainable


def test_a_real_tensor_gives_the_same_count() -> None:
    """Counting by shapes alone equals counting while the network runs; hooks and mode are put back."""
    module = MODELS["fsrcnn"].build(3).train()
    assert count_module(module, torch.rand(1, 1, 12, 10)) == cost("fsrcnn", 3, 10, 12)
    assert module.training and not any(layer._forward_hooks for layer in module.modules())


def test_kinds_of_layers_by_hand() -> None:
    """Stride, groups, dilation, transposed and dense layers against counts worked out on paper."""
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),  # 144 weights, 5x5 out
        nn.Conv2d(8, 8, 3, dilation=2),  # 576 weights, 1x1 out
        nn.ConvTranspose2d(8, 2, 4, stride=3),  # 256 weights, 1x1 in, 4x4 out
        nn.Flatten(),
        nn.Linear(32, 7),
    )
    found = {layer.kind + layer.name: layer for layer in count_module(net, torch.rand(1, 4, 10, 10)).layers}
    macs = [found[key].macs for key in ("Conv2d0", "Conv2d1", "ConvTranspose2d2", "Linear4")]
    assert macs == [144 * 25, 576, 256, 224]
    assert found["ConvTranspose2d2"].macc == 256 * 16
    assert found["Conv2d0"].flops == (2 * 144 - 1 + 8) * 25


def test_shared_weights_cost_each_time_and_exist_once() -> None:
    """A layer that runs twice has two rows, its parameters in the first."""
    shared = nn.Conv2d(2, 2, 3, padding=1)
    found = count_module(nn.Sequential(shared, nn.ReLU(), shared), torch.rand(1, 2, 5, 5))
    assert found.parameters == 38 and found.macs == 2 * 36 * 25
    assert [layer.parameters for layer in found.layers if layer.kind == "Conv2d"] == [38, 0]


def test_weights_without_a_rule_are_named() -> None:
    """A layer whose multiply-adds nobody defined is an error, not a zero."""
    with pytest.raises(TypeError, match=r"0\.weight: no rule here"):
        count_module(nn.Sequential(nn.Conv1d(1, 2, 3)), torch.rand(1, 1, 9))


@pytest.mark.parametrize(("name", "scale"), LOCAL)
def test_halo_is_the_measured_reach(name: str, scale: int) -> None:
    """The receptive field that gradients show is 2 x halo + 1; on the interpolated picture halos are rounded up by one."""
    spec = MODELS[name]
    measured = measure_receptive_field_px(spec, scale)
    spare = 2 * spec.halo_px(scale) + 1 - measured
    assert spare in ((0, 2) if spec.any_scale else (0,))


def test_reach_of_dilated_convolutions() -> None:
    """Two 3x3 convolutions, the second dilated by 4: 1 + 2 + 8 px; a wider search finds no more."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 1, 3, padding=4, dilation=4))
    spec = replace(MODELS["fsrcnn"], build=lambda scale: net, halo_px=lambda scale: 7)
    assert measure_receptive_field_px(spec, 1) == 11


@pytest.mark.parametrize(("width", "kernel", "padding", "stride"), [(33, 9, 0, 1), (10, 3, 1, 2), (11, 4, 0, 3)])
def test_output_size_is_torchs(width: int, kernel: int, padding: int, stride: int) -> None:
    """The formula rounds as torch does."""
    out = F.conv1d(torch.zeros(1, 1, width), torch.zeros(1, 1, kernel), stride=stride, padding=padding)
    assert output_px(width, kernel, padding, stride) == out.shape[-1]


def test_impossible_convolutions_are_refused() -> None:
    """A kernel larger than the padded input, or a stride of 0."""
    with pytest.raises(ValueError, match="kernel of 9 px: larger than the 5 px input"):
        output_px(5, 9, 1, 1)
    with pytest.raises(ValueError, match="expected W, F, S >= 1"):
        output_px(5, 3, 1, 0)


def test_the_deconvolution_rule_reads_the_right_class() -> None:
    """Its weights are transposed, so the convolution's rule would be wrong by scale squared."""
    found = count_module(Deconvolution(3, 2), torch.rand(1, 3, 4, 5))
    assert found.macs == 243 * 20 and found.macc == 243 * 80


def test_table_lists_every_network(capsys: pytest.CaptureFixture) -> None:
    """`models` names each network once; --json holds the numbers behind the text."""
    assert main(["models", "--input", "64x64", "--trident"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(MODELS) + 1]] == list(MODELS)
    assert any("9,094,381,568" in line and "18,196,971,520" in line for line in lines)
    assert any(line.split()[:3] == ["smfanet", "Zheng-MJ/SMFANet", "Apache-2.0"] for line in lines[len(MODELS) :])
    assert any(line.startswith("disp") and line.endswith("clean pictures, shrunk by bicubic") for line in lines)
    assert main(["models", "--scale", "3", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in entries} == {name for name, spec in MODELS.items() if 3 in spec.scales}
    assert all(entry["scale"] == 3 for entry in entries)


def test_kept_figures_are_those_of_the_networks() -> None:
    """What `models` prints without building a network is what counting says; if not, run benchmarks/model_figures.py."""
    counted = [network_as_json(spec, scale, WIDTH, HEIGHT)[0] for spec in MODELS.values() for scale in spec.scales]
    assert figures.read() == counted


def test_every_network_is_found_in_its_file() -> None:
    """The table names the file of each spec, all specs of every file are in it, and what has weights is told apart."""
    named = {name: [spec.name for spec in import_module(f"youku.models.{name}").SPECS] for name in FILES.values()}
    assert sorted((name, file) for file, names in named.items() for name in names) == sorted(FILES.items())
    assert tuple(name for name, spec in MODELS.items() if not spec.trainable) == UNTRAINED


def test_structure_of_one_network(capsys: pytest.CaptureFixture) -> None:
    """`models NAME` shows each layer's output, the sums, the nested structure and the measured reach."""
    assert main(["models", "fsrcnn", "--scale", "2", "--print", "--measure"]) == 0
    out = capsys.readouterr().out
    assert "1x540x960" in out and "1,615,334,400" in out and "12,809" in out
    assert "FSRCNN(" in out and "measured by gradients: 17 px" in out
    assert main(["models", "fsrcnn", "--json", "--input", "10x10"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0]["output"] == [56, 10, 10]


def test_calculator(capsys: pytest.CaptureFixture) -> None:
    """--conv prints the side, and what the stride leaves over."""
    assert main(["models", "--conv", "33,9,0,1"]) == 0
    assert capsys.readouterr().out == "(33 - 9 + 2 x 0) / 1 + 1 = 25\n"
    assert main(["models", "--conv", "10,3,1,2"]) == 0
    assert "the last 1 px of the padded input unused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["nonesuch"], 1, "expected one of bicubic"),
        (["srresnet", "--scale", "3"], 1, "has scales 2, 4, not 3"),
        (["--scale", "17"], 1, "no network has it"),
        (["--print"], 2, "name it"),
        (["rlfn", "--measure"], 2, "looks at the whole picture"),
        (["--conv", "3,1"], 2, "expected W,F,P,S"),
        (["--conv", "5,9,0,1", "--trident"], 2, "drop the rest"),
        (["--input", "480"], 2, "expected WIDTHxHEIGHT"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture
) -> None:
    """Each wrong use says what was expected."""
    try:
        found = main(["models", *arguments])
    except SystemExit as error:
        found = error.code
    assert found == status and words in capsys.readouterr().err


def test_table_sets_numbers_to_the_right() -> None:
    """Columns line up; text starts at the left, numbers end at the right."""
    assert (
        text_table.lay_out(["name", "n"], [["a", "1,000"], ["bcdef", "-"]])
        == "name       n\na      1,000\nbcdef      -"
    )


def test_one_is_no_plural() -> None:
    """Of whatever is counted for a person."""
    assert [text_table.plural(number, "frame") for number in (0, 1, 25_000)] == ["0 frames", "1 frame", "25,000 frames"]

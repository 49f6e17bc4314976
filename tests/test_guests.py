"""DISP, SMFANet and SMFANet+: their specification's figures on a made picture, the published weights' on Set5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from youku.engines import weights
from youku.inference import evaluation, picture_scores, still
from youku.inference.picture_scores import PictureSet
from youku.inference.pipeline import Options
from youku.models import MODELS

CPU = torch.device("cpu")
DATA = Path(__file__).parents[2] / "shared/data"
needs_data = pytest.mark.skipif(not (DATA / "weights").is_dir(), reason="needs ../shared/data/weights")
FILES = {"disp": "disp_x4", "smfanet": "smfanet_x4", "smfanet-plus": "smfanet_plus_x4"}
SET5 = {"disp": 31.94, "smfanet": 32.25, "smfanet-plus": 32.51}
# mean, std and samples [c, row, column] of the output for 24x32; of 27x35, whose pooling cells overlap, the last pixel
EVEN = {
    "disp": (0.498330, 0.401333, 0.066862, 0.682362, 1.470132, 0.456922, 0.054691),
    "smfanet": (0.489443, 0.563938, 0.143711, 0.692613, 0.212216, 0.705635, 0.217868),
    "smfanet-plus": (0.538410, 0.408029, -0.228102, 0.678070, 1.122548, 0.962740, 0.421548),
}
ODD = {
    "disp": (0.498758, 0.404598, 0.419645, 0.622146, -0.170853),
    "smfanet": (0.493444, 0.575144, 0.692090, 0.945849, -0.173072),
    "smfanet-plus": (0.536532, 0.408577, 0.936118, 1.507947, -0.170204),
}


def made_picture(height: int, width: int) -> Tensor:
    row, column, channel = torch.meshgrid(*map(torch.arange, (height, width, 3)), indexing="ij")
    return (((37 * row + 57 * column + 101 * channel) % 256) / 255).permute(2, 0, 1)[None].float()


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_published_weights_give_the_reference(name: str) -> None:
    """Told by their keys, both sizes of picture, within 1e-4 of the authors' code."""
    network = weights.load(DATA / f"weights/{FILES[name]}.safetensors", None, None, CPU)
    assert (network.spec.name, network.scale) == (name, 4)
    with torch.inference_mode():
        for (height, width), expected in (((24, 32), EVEN[name]), ((27, 35), ODD[name])):
            out = network.module(made_picture(height, width))[0]
            places = [(0, 0, 0), (1, 10, 17), (2, 47, 63), (0, 95, 127), (1, 50, 100)]
            if height == 27:
                places = [(channel, 107, 139) for channel in range(3)]
            got = [out.mean(), out.std(correction=0), *(out[place] for place in places)]
            assert np.allclose([float(value) for value in got], expected, atol=1e-4)


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_published_weights_have_their_figure_on_set5(name: str) -> None:
    """Y of the rounded RGB output, crop 4: the authors' PSNR within 0.01."""
    network = weights.load(DATA / f"weights/{FILES[name]}.safetensors", None, None, CPU)
    found = [
        evaluation.error(still.enlarge(network, sample.low, Options()), sample.high, "y_crop_s", 4).psnr
        for sample in picture_scores.samples(PictureSet(folder=DATA / "bench/Set5"), 4)
    ]
    assert np.mean(found) == pytest.approx(SET5[name], abs=0.01)


@pytest.mark.parametrize("name", ["smfanet", "smfanet-plus"])
def test_the_gate_looks_at_the_whole_picture(name: str) -> None:
    """A change in one corner reaches the other, so the network runs untiled; pictures under a cell run too."""
    torch.manual_seed(0)
    module = MODELS[name].build(2).eval()
    for layer in module.modules():
        if hasattr(layer, "beta"):
            torch.nn.init.ones_(layer.beta)
    x = torch.rand(1, 3, 24, 40)
    other = x.clone()
    other[..., :3, :3] = 0
    with torch.inference_mode():
        assert (module(x) - module(other))[..., -8:, -8:].abs().max() > 0
        assert module(torch.rand(1, 3, 1, 9)).shape == (1, 3, 2, 18)
    assert not MODELS[name].local and not MODELS[name].bf16_safe

"""Weights of others: recognised by their keys, renamed, loaded strictly; real published files give their papers' numbers."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.conftest import textured_frame
from tests.test_model_forms import in_branches
from youku import predict
from youku.engines import published, shipped, weights
from youku.engines.forms import Published
from youku.engines.network import Network
from youku.engines.torch_engine import keep_in_range
from youku.inference import evaluation, pipeline, still, tiles
from youku.inference.pipeline import Options
from youku.looking import checkerboard
from youku.models import MODELS
from youku.models.blocks import Interpolate
from youku.models.colours import LEFT, NEUTRAL, RGB, Tensors
from youku.models.cost import measure_receptive_field_px
from youku.models.distillation import RLFN
from youku.models.edsr import DISP, DIV2K_MEAN, EDSR, MSRResNet
from youku.models.fsrcnn import FSRCNN
from youku.models.pairs import Pairs
from youku.models.smfanet import SMFANet
from youku.models.span import SPAN
from youku.models.spec import ModelSpec
from youku.models.srvgg import SRVGG
from youku.video import picture_sets, y4m

CPU = torch.device("cpu")
DATA = Path(__file__).parents[2] / "shared/data"
needs_data = pytest.mark.skipif(
    not (DATA / "weights").is_dir() or not (DATA / "bench/Set5").is_dir(), reason="needs shared/data: weights, Set5"
)
FORMS = [(form, scale) for form in published.PUBLISHED if not form.branched for scale in form.spec.scales]
SCALE_UNTOLD = {"carn-m", "fsrcnn", "fsrcnn-s", "srcnn-955", "vdsr"}


def form_of(model: str) -> Published:
    return next(form for form in published.PUBLISHED if form.model == model and not form.branched)


def foreign_state(form: Published, scale: int) -> dict[str, Tensor]:
    """Seeded weights of the form's network under its authors' keys."""
    torch.manual_seed(0)
    return {form.their_key(key): value for key, value in form.spec.build(scale).state_dict().items()}


def written(path: Path, state: dict[str, Tensor]) -> Path:
    """The state dict as a file of others: safetensors without a model's name, or a pickle."""
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def complaint(path: Path, model: str | None = None, scale: int | None = None) -> str:
    """What loading says."""
    with pytest.raises(ValueError) as caught:
        weights.load(path, model, scale, CPU)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("form", "scale"), FORMS, ids=[f"{form.source}-{form.model}-{scale}" for form, scale in FORMS])
def test_every_form_is_told_from_all_others(form: Published, scale: int) -> None:
    """Keys and shapes alone find the network and, where they tell it, the scale; every key has its place in ours."""
    with torch.device("meta"):  # shapes are enough
        own = form.spec.build(scale).state_dict()
    state = {form.their_key(key): value for key, value in own.items()}
    assert len(state) == len(own)
    assert published.recognise(state) is form
    assert form.scale(state) == (None if form.model in SCALE_UNTOLD else scale)
    renamed = form.in_our_names(state, "file")
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}


@pytest.mark.parametrize(
    "model", ["rlfn", "span-28", "srvgg-16", "fsrcnn", "espcn", "srcnn-955", "vdsr", "edsr-baseline"]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_published_file_computes_what_its_network_computed(tmp_path: Path, model: str, suffix: str) -> None:
    """Through the file and back under their keys, the network gives the same output to the bit."""
    path = written(tmp_path / f"theirs{suffix}", foreign_state(form_of(model), 3))
    network = weights.load(path, None, 3 if model in SCALE_UNTOLD else None, CPU)
    assert (network.spec.name, network.scale) == (model, 3)
    torch.manual_seed(0)
    expected = MODELS[model].build(3).eval().to(memory_format=torch.channels_last)
    x = torch.rand(1, network.spec.channels, 20, 18).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(network.module(x), expected(x))


def test_read_known_renames_and_says_what_it_found(tmp_path: Path) -> None:
    """Our keys, the network and the scale for a published file; a file of this kit comes as it is."""
    path = written(tmp_path / "theirs.pth", foreign_state(form_of("span-28"), 4))
    state, about = weights.read_known(path)
    assert set(state) == set(MODELS["span-28"].build(4).state_dict())
    assert (about["model"], about["scale"]) == ("span-28", "4")
    weights.save(tmp_path / "own.safetensors", state, "span-28", 4, {"step": "7"})
    assert weights.read_known(tmp_path / "own.safetensors")[1] == {"model": "span-28", "scale": "4", "step": "7"}


def branched_state(num_channels: int, merged: bool, scale: int = 4) -> tuple[SPAN, dict[str, Tensor]]:
    """A seeded SPAN in training form and its state dict as published; `merged` adds stale merged kernels."""
    torch.manual_seed(0)
    module = in_branches(SPAN(scale, num_channels)).eval()
    names = {"head": "conv_1", "mid": "conv_2", "join": "conv_cat", "upscale.0.layer": "upsampler.0"}
    names |= {f"blocks.{at}.convs.{index}": f"block_{at + 1}.c{index + 1}_r" for at in range(6) for index in range(3)}
    state = {}
    for key, value in module.state_dict().items():
        own = next(own for own in names if key.startswith(own + "."))
        state[names[own] + key.removeprefix(own)] = value
    if merged:
        layers = {key.removesuffix(".sk.bias"): value.shape[0] for key, value in state.items() if ".sk.bias" in key}
        for layer, num_out in layers.items():
            state[f"{layer}.eval_conv.weight"] = torch.zeros(num_out, state[f"{layer}.sk.weight"].shape[1], 3, 3)
            state[f"{layer}.eval_conv.bias"] = torch.zeros(num_out)
    return module, state


@pytest.mark.parametrize("merged", [True, False], ids=["with eval_conv", "branches alone"])
@pytest.mark.parametrize(("num_channels", "scale"), [(28, 4), (48, 2)])
def test_span_loads_from_its_training_form(tmp_path: Path, num_channels: int, scale: int, merged: bool) -> None:
    """Branches are merged on loading; the plain network computes what the branched one did, stale kernels or none."""
    module, state = branched_state(num_channels, merged, scale)
    torch.save({"params": state}, tmp_path / "trained.pth")
    network = weights.load(tmp_path / "trained.pth", None, None, CPU)
    assert (network.spec.name, network.scale) == (f"span-{num_channels}", scale)
    assert set(network.module.state_dict()) == set(MODELS[f"span-{num_channels}"].build(scale).state_dict())
    x = torch.rand(1, 3, 14, 11)
    with torch.inference_mode():
        expected = module(x)
        assert (network.module(x) - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


def test_half_precision_branches_are_merged_in_float32(tmp_path: Path) -> None:
    """A file in 16 bit gives the network that its float32 copy gives."""
    _, state = branched_state(28, False)
    halves = {key: value.half() for key, value in state.items()}
    short, _ = weights.read_known(written(tmp_path / "half.pth", halves))
    long, _ = weights.read_known(written(tmp_path / "float.pth", {key: value.float() for key, value in halves.items()}))
    assert all(torch.equal(short[key].float(), long[key]) for key in long)


def test_every_branch_at_fault_is_listed(tmp_path: Path) -> None:
    """Missing, misshapen and unknown keys of a training form are named as in the file."""
    _, state = branched_state(28, True)
    del state["block_3.c2_r.sk.bias"]
    state["conv_2.conv.1.weight"] = torch.zeros(56, 56, 1, 1)
    state["block_1.c1_r.eval_conv.bias"] = torch.zeros(3)
    said = complaint(written(tmp_path / "branches.safetensors", state))
    assert "do not fit span-28 of hongyuanyu/SPAN (training form): " in said and "missing block_3.c2_r.sk.bias" in said
    assert "conv_2.conv.1.weight has shape (56, 56, 1, 1), expected (56, 56, 3, 3)" in said
    assert "block_1.c1_r.eval_conv.bias has shape (3,), expected (28,)" in said
    _, whole = branched_state(28, False)
    whole["block_1.c1_r.conv.3.weight"] = torch.zeros(1)
    assert "unknown block_1.c1_r.conv.3.weight" in complaint(written(tmp_path / "more.safetensors", whole))
    del whole["block_1.c1_r.conv.3.weight"], whole["conv_cat.bias"]
    assert "missing conv_cat.bias" in complaint(written(tmp_path / "less.safetensors", whole))


def test_a_header_length_is_not_taken_for_a_pickle(tmp_path: Path) -> None:
    """A safetensors file whose first byte is a pickle's (header of 0x..80 bytes) is still read with its metadata."""
    path = tmp_path / "w.safetensors"
    for length in range(512):
        weights.save(path, MODELS["fsrcnn-s"].build(2).state_dict(), "fsrcnn-s", 2, {"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert weights.read(path)[1]["model"] == "fsrcnn-s"


@pytest.mark.parametrize("under", [("params",), ("params_ema",), ("state_dict",), ("model",), ("model", "state_dict")])
def test_nested_state_dicts_are_found(tmp_path: Path, under: tuple[str, ...]) -> None:
    """Weights lie under params, params_ema, state_dict or model, beside other entries, with DataParallel's prefix."""
    content: dict = {f"module.{key}": value for key, value in foreign_state(form_of("espcn"), 2).items()}
    for key in reversed(under):
        content = {"epoch": 3, key: content}
    torch.save(content, tmp_path / "nested.pth")
    assert weights.load(tmp_path / "nested.pth", None, None, CPU).scale == 2


def test_the_average_is_preferred(tmp_path: Path) -> None:
    """Of BasicSR's two sets the exponential average is loaded."""
    state = foreign_state(form_of("espcn"), 2)
    torch.save({"params": {key: value + 1 for key, value in state.items()}, "params_ema": state}, tmp_path / "two.pth")
    loaded, _ = weights.read(tmp_path / "two.pth")
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    """Refused with the function it names and what to do; nothing is run."""
    torch.save(
        {"params": foreign_state(form_of("espcn"), 2), "extra": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth"
    )
    said = complaint(tmp_path / "trap.pth")
    assert "refused: loading it would run" in said and "mkdir" in said and "state_dict()" in said
    assert not (tmp_path / "sprung").exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    """A module saved instead of its state dict needs its class, so it is refused by name."""
    torch.save(torch.nn.Conv2d(1, 1, 3), tmp_path / "whole.pth")
    assert "Conv2d" in complaint(tmp_path / "whole.pth")


def test_a_bare_pickle_is_refused_as_one(tmp_path: Path) -> None:
    """No warning of torch's, but one sentence that says what it is and what to do."""
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"run": Trap(tmp_path / "sprung")}))
    assert "refused: " in complaint(tmp_path / "evil.pth") and not (tmp_path / "sprung").exists()
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": 1}))
    assert "refused: is a bare pickle" in complaint(tmp_path / "plain.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """They would write garbage and be taken for finished; only `inspect` may look at them."""
    state = MODELS["fsrcnn"].build(4).state_dict()
    state["first.0.bias"][3] = float("nan")
    weights.save(tmp_path / "nan.safetensors", state, "fsrcnn", 4, {})
    assert "first.0.bias hold NaN or infinite values" in complaint(tmp_path / "nan.safetensors")
    assert weights.load(tmp_path / "nan.safetensors", None, None, CPU, look=True).spec.name == "fsrcnn"


def test_published_networks_see_the_range_of_pictures(tmp_path: Path) -> None:
    """Video outside 16-235 leaves [0, 1] as RGB: a published network gets it clipped, and what was clipped is added back.

    One of this kit gets it as it is.
    """
    form = form_of("span-28")
    path = written(tmp_path / "theirs.safetensors", foreign_state(form, 2))
    theirs = weights.load(path, None, None, CPU).module
    weights.save(tmp_path / "own.safetensors", weights.read_known(path)[0], "span-28", 2, {})
    own = weights.load(tmp_path / "own.safetensors", None, None, CPU).module
    x = torch.rand(1, 3, 12, 12) * 1.4 - 0.2
    with torch.inference_mode():
        expected = own(x.clamp(0, 1)) + Interpolate(2, edge="replicate")(x - x.clamp(0, 1))
        assert (theirs(x) - expected).abs().max() < 1e-6
        assert torch.equal(theirs(x.clamp(0, 1)), own(x.clamp(0, 1)))
        assert not torch.equal(own(x), own(x.clamp(0, 1)))


def full_ramp(spec: ModelSpec, side_px: int = 24) -> Tensors:
    """Gray luma from 0 to 255, left to right, then held, as the network's input."""
    luma = torch.arange(0, 256, 255 / 15).round().repeat_interleave(side_px)[None].expand(1, side_px, -1) / 255
    neutral = torch.full((1, side_px // 2, luma.shape[-1] // 2), NEUTRAL)
    parts = spec.colours.from_planes([luma, neutral, neutral], LEFT)
    return tuple(part.repeat(1, spec.num_frames, 1, 1) for part in parts)


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.colours == RGB and name != "edsr"])
def test_a_full_ramp_keeps_what_lies_outside_of_rgb(name: str) -> None:
    """Every RGB network, fresh: outside [0, 1] it is the clipped input's output and the excess enlarged; inside, itself."""
    spec, scale = MODELS[name], min(MODELS[name].scales)
    torch.manual_seed(0)
    module = spec.build(scale).eval()
    x = full_ramp(spec)[0][..., ::6]
    assert x.min() < -0.05 and x.max() > 1.05
    with torch.inference_mode():
        expected = module(x.clamp(0, 1))
        excess = (x - x.clamp(0, 1))[:, spec.num_frames // 2 * 3 :][:, :3]
        expected = expected + Interpolate(scale, edge="replicate")(excess)
        ranged = keep_in_range(module, spec, scale)
        assert (ranged(x) - expected).abs().max() < 1e-5


@needs_data
@pytest.mark.parametrize("file", ["rlfn_x4", "span_ch28_x4", "disp_x4", "smfanet_x4"])
def test_black_stays_black_and_white_white(file: str) -> None:
    """Real weights on the steps of a full ramp: in the middle of each, luma comes out within three codes, 0 and 255 too."""
    keeps_luma(weights.load(DATA / f"weights/{file}.safetensors", None, None, CPU))


@pytest.mark.parametrize("entry", shipped.SHIPPED, ids=lambda e: e.name)
def test_shipped_networks_keep_black_and_white(entry: shipped.Shipped) -> None:
    """So do the kit's own, which were trained on pictures' 16-235; their chroma stays neutral within two codes."""
    network = weights.load(entry.path, None, None, CPU)
    _, *chroma = keeps_luma(network)
    assert all((part[..., 30:-30] * 255 - 128).abs().max() < 2 for part in chroma)


@pytest.mark.parametrize("entry", [entry for entry in shipped.SHIPPED if entry.model == "fsrcnn"], ids=lambda e: e.name)
def test_a_flat_frame_is_flat_to_its_corners(entry: shipped.Shipped) -> None:
    """Whatever its level, and without a grid: FSRCNN's zero padding gave 12 to 20 codes more in the corners."""
    network = weights.load(entry.path, None, None, CPU)
    for level in (0, 16, 30, 128, 235, 255):
        (made,), _ = network.engine.step((torch.full((1, 1, 20, 24), level / 255),), ())
        assert made.shape == (1, 1, 20 * entry.scale, 24 * entry.scale)
        assert (made * 255 - level).abs().max() < 1.1, level
    halo_px = network.spec.halo_px(entry.scale)
    assert not checkerboard.examine(network.module, 1, entry.scale, halo_px).fires


def test_repeated_edges_leave_the_inside_as_it_was(tmp_path: Path) -> None:
    """Beyond the network's reach not a bit moves; metadata that names neither form, or planes of two sizes, is refused."""
    spec = MODELS["fsrcnn"]
    torch.manual_seed(0)
    state, outs = spec.build(2).state_dict(), []
    x = torch.rand(1, 1, 24, 30)
    for edges in ("zero", "replicate"):
        weights.save(tmp_path / "w.safetensors", state, "fsrcnn", 2, {"edges": edges})
        outs.append(weights.load(tmp_path / "w.safetensors", None, None, CPU).engine.step((x,), ())[0][0])
    reach = 2 * spec.halo_px(2)
    first, second = (out[..., reach:-reach, reach:-reach] for out in outs)
    assert torch.allclose(first, second, atol=1e-6) and (outs[0] - outs[1]).abs().max() > 1e-3
    weights.save(tmp_path / "w.safetensors", state, "fsrcnn", 2, {"edges": "mirrored"})
    assert "edges = 'mirrored': expected zero or replicate" in complaint(tmp_path / "w.safetensors")
    own = MODELS["pairs-t"].build(2).state_dict()
    weights.save(tmp_path / "w.safetensors", own, "pairs-t", 2, {"edges": "replicate"})
    assert "edges = replicate is for networks of one tensor" in complaint(tmp_path / "w.safetensors")


def keeps_luma(network: Network) -> Tensors:
    """The network's output for a full ramp, its luma looked at."""
    step_px = 24
    output, _ = network.engine.step(full_ramp(network.spec, step_px), ())
    luma = network.spec.colours.to_planes(output, LEFT)[0][0] * 255
    for index in range(16):
        middle = (index * step_px + step_px // 2) * network.scale
        level = round(index * 255 / 15)
        assert (luma[40:56, middle - 8 : middle + 8] - level).abs().max() < 3, level
    return output


def test_a_range_that_is_none_is_refused(tmp_path: Path) -> None:
    """input_range of the metadata is two code values, the first the smaller."""
    state = MODELS["espcn"].build(2).state_dict()
    for said in ("235-16", "16", "0-256", "a-b"):
        weights.save(tmp_path / "w.safetensors", state, "espcn", 2, {"input_range": said})
        assert f"input_range = {said!r}: expected two code values" in complaint(tmp_path / "w.safetensors")


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    """Truncated, a zip of something else, bytes, text, and things that are no state dict: one sentence each."""
    whole = written(tmp_path / "whole.pth", foreign_state(form_of("espcn"), 2)).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("clip.y4m", "YUV4MPEG2")
    (tmp_path / "noise.pt").write_bytes(np.random.default_rng(0).bytes(500))
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("cut.pth", "clips.zip", "noise.pt", "empty.pth"):
        assert "expected a whole torch checkpoint" in complaint(tmp_path / name)
    torch.save({"step": 5, "best": 1.0}, tmp_path / "last.pt")
    assert "got: 'step', 'best'; of a run of this kit give best.safetensors" in complaint(tmp_path / "last.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "got: list" in complaint(tmp_path / "list.pt")
    torch.save({}, tmp_path / "none.pt")
    assert "got: nothing" in complaint(tmp_path / "none.pt")


def test_every_key_at_fault_is_listed_in_the_files_own_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Missing, unknown and misshapen keys all appear, and predict exits with 1."""
    state = foreign_state(form_of("rlfn"), 4)
    for at in range(1, 6):
        del state[f"block_{at}.c5.bias"]
    state |= {f"surplus.{at}": torch.zeros(1) for at in range(6)}
    state["conv_2.weight"] = torch.zeros(52, 52, 1, 1)
    path = written(tmp_path / "rlfn.safetensors", state)
    said = complaint(path)
    assert all(f"missing block_{at}.c5.bias" in said for at in range(1, 6))
    assert all(f"unknown surplus.{at}" in said for at in range(6))
    assert "conv_2.weight has shape (52, 52, 1, 1), expected (52, 52, 3, 3)" in said
    with y4m.create(tmp_path / "in.y4m", y4m.make_header(16, 16)) as writer:
        writer.write(textured_frame(y4m.make_header(16, 16), 0))
    command = [str(tmp_path / "in.y4m"), str(tmp_path / "out.y4m"), "--weights", str(path), "--device", "cpu"]
    assert predict.main(command) == 1
    assert "missing block_1.c5.bias" in capsys.readouterr().err
    assert not (tmp_path / "out.y4m").exists()


def test_another_network_or_scale_is_refused(tmp_path: Path) -> None:
    """The file's own network and scale win over a wrong --model or --scale, and are named."""
    path = written(tmp_path / "span.pth", foreign_state(form_of("span-28"), 4))
    assert "holds weights of span-28, not of rlfn" in complaint(path, "rlfn")
    assert "is for x4, not x2" in complaint(path, None, 2)
    fsrcnn = written(tmp_path / "fsrcnn.pth", foreign_state(form_of("fsrcnn"), 4))
    assert "do not tell a scale; name it: --scale 2, 3, 4" in complaint(fsrcnn)
    with pytest.raises(ValueError, match="has scales 2, 3, 4, not 5"):
        weights.load(fsrcnn, None, 5, CPU)


@pytest.mark.parametrize(
    ("build", "scale", "base", "name"),
    [
        (lambda: RLFN(4, 46), 4, "rlfn", "rlfn-46-16-6"),
        (lambda: RLFN(2, 48, 12, 4), 2, "rlfn", "rlfn-48-12-4"),
        (lambda: SPAN(4, 26), 4, "span-28", "span-26"),
        (lambda: SPAN(2, 32, 5), 2, "span-28", "span-32-5"),
        (lambda: SRVGG(4, 8, 24), 4, "srvgg-16", "srvgg-8-24"),
        (lambda: EDSR(3, 32, 5, 1.0), 3, "edsr-baseline", "edsr-32-5"),
        (lambda: FSRCNN(3, 24, 8, 3), 3, "fsrcnn", "fsrcnn-24-8-3"),
        (lambda: MSRResNet(3, 32, 7), 3, "msrresnet", "msrresnet-32-7"),
        (lambda: Pairs(2, 16, 2), 2, "pairs-t", "pairs-16-2"),
        (lambda: SMFANet(2, 24, 3), 2, "smfanet", "smfanet-24-3"),
        (lambda: DISP(3, 16, 2), 3, "disp", "disp-16-2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_width_and_depth_come_from_the_shapes(
    tmp_path: Path, build: Callable[[], nn.Module], scale: int, base: str, name: str
) -> None:
    """Networks of other sizes than the table's load, compute what they computed, and run in tiles where their kin do."""
    torch.manual_seed(0)
    module = build().eval()
    usual = next(form for form in published.PUBLISHED if form.model == base and not form.branched)
    family = next(family for family in published.FAMILIES if family.form(*family.usual[0]).source == usual.source)
    sizes = tuple(int(part) for part in name.split("-")[1:])
    form = family.form(*(*sizes, 6) if base == "span-28" and len(sizes) == 1 else sizes)
    state = {form.their_key(key): value for key, value in module.state_dict().items()}
    path = written(tmp_path / "theirs.safetensors", state)
    network = weights.load(path, None, scale if base == "fsrcnn" else None, CPU)
    assert (network.spec.name, network.scale, network.spec.local) == (name, scale, form.spec.local)
    x = tuple(torch.rand(1, *shape) for shape in network.spec.input_shapes(22, 18))
    with torch.inference_mode():
        made, expected = network.engine.step(x, ())[0], module(*x)
    for ours, theirs in zip(made, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert (ours - theirs).abs().max() < 1e-5
    if network.spec.local:
        spare = network.spec.halo_px(scale) - (measure_receptive_field_px(network.spec, scale) - 1) // 2
        assert 0 <= spare <= 1


class TheirMSRResNet(nn.Module):
    """BasicSR's MSRResNet at x4, written from its definition."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_first, self.conv_hr, self.conv_last = (
            nn.Conv2d(a, b, 3, padding=1) for a, b in ((3, 8), (8, 8), (8, 3))
        )
        self.body = nn.ModuleList(
            nn.ModuleDict({f"conv{i}": nn.Conv2d(8, 8, 3, padding=1) for i in (1, 2)}) for _ in range(3)
        )
        self.upconv1, self.upconv2 = (nn.Conv2d(8, 32, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        out = F.leaky_relu(self.conv_first(x), 0.1)
        for block in self.body:
            out = out + block["conv2"](F.relu(block["conv1"](out)))  # type: ignore[index]
        for layer in (self.upconv1, self.upconv2):
            out = F.leaky_relu(F.pixel_shuffle(layer(out), 2), 0.1)
        out = self.conv_last(F.leaky_relu(self.conv_hr(out), 0.1))
        return out + F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


def their_block(bias: bool) -> list[nn.Module]:
    first, second = (nn.Conv2d(64, 64, 3, padding=1, bias=bias) for _ in range(2))
    return [first, nn.BatchNorm2d(64), nn.PReLU(), second, nn.BatchNorm2d(64)]


class TheirSRGAN(nn.Module):
    """leftthomas' generator at x2, written from its definition: 5 blocks, tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Conv2d(3, 64, 9, padding=4), nn.PReLU())
        for at in range(2, 7):
            parts = zip(("conv1", "bn1", "prelu", "conv2", "bn2"), their_block(True), strict=True)
            setattr(self, f"block{at}", nn.ModuleDict(dict(parts)))
        self.block7 = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64))
        stage = nn.ModuleDict({"conv": nn.Conv2d(64, 256, 3, padding=1), "prelu": nn.PReLU()})
        self.block8 = nn.ModuleList([stage, nn.Conv2d(64, 3, 9, padding=4)])

    def forward(self, x: Tensor) -> Tensor:
        first = out = self.block1(x)
        for at in range(2, 7):
            part = getattr(self, f"block{at}")
            out = out + part["bn2"](part["conv2"](part["prelu"](part["bn1"](part["conv1"](out)))))
        out = first + self.block7(out)
        stage: Any = self.block8[0]
        out = stage["prelu"](F.pixel_shuffle(stage["conv"](out), 2))
        return (torch.tanh(self.block8[1](out)) + 1) / 2


class TheirSRResNet(nn.Module):
    """Lornatang's generator at x4, of either generation of names, from its definition, clamp left out."""

    def __init__(self, names: tuple[str, str, str]) -> None:
        super().__init__()
        self.names = names
        self.trunk = nn.ModuleList(nn.ModuleDict({"rcb": nn.Sequential(*their_block(False))}) for _ in range(16))
        stages = (nn.Sequential(nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()) for _ in range(2))
        self.upsampling = nn.ModuleList(nn.ModuleDict({"upsample_block": stage}) for stage in stages)
        mid = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64))
        ends = (nn.Sequential(nn.Conv2d(3, 64, 9, padding=4), nn.PReLU()), mid, nn.Conv2d(64, 3, 9, padding=4))
        for name, layer in zip(names, ends, strict=True):
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        first, mid, last = (self.get_submodule(name) for name in self.names)
        head = out = first(x)
        for block in self.trunk:
            out = out + block["rcb"](out)  # type: ignore[index]
        out = head + mid(out)
        for stage in self.upsampling:
            out = stage["upsample_block"](out)  # type: ignore[index]
        return last(out)


class TheirTutorial(nn.Module):
    """sgrvinod's generator at x2, from its definition: input normalised as for ImageNet, output [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()

        def block(*layers: nn.Module) -> nn.ModuleDict:
            return nn.ModuleDict({"conv_block": nn.Sequential(*layers)})

        first, second = slice(0, 3), slice(3, 5)
        parts = [their_block(True) for _ in range(5)]
        self.conv_block1 = block(nn.Conv2d(3, 64, 9, padding=4), nn.PReLU())
        self.residual_blocks = nn.ModuleList(
            nn.ModuleDict({"conv_block1": block(*part[first]), "conv_block2": block(*part[second])}) for part in parts
        )
        self.conv_block2 = block(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64))
        stage = nn.ModuleDict({"conv": nn.Conv2d(64, 256, 3, padding=1), "prelu": nn.PReLU()})
        self.subpixel_convolutional_blocks = nn.ModuleList([stage])
        self.conv_block3 = block(nn.Conv2d(64, 3, 9, padding=4))

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        head = out = self.conv_block1["conv_block"]((x - mean) / std)
        for part in self.residual_blocks:
            inner: Any = part
            out = out + inner["conv_block2"]["conv_block"](inner["conv_block1"]["conv_block"](out))
        out = head + self.conv_block2["conv_block"](out)
        stage: Any = self.subpixel_convolutional_blocks[0]
        out = stage["prelu"](F.pixel_shuffle(stage["conv"](out), 2))
        return (torch.tanh(self.conv_block3["conv_block"](out)) + 1) / 2


class TheirLeaky(nn.Module):
    """twtygqyy's generator at x4, from its definition: no biases, leaky ReLUs of 0.2, no range inside."""

    def __init__(self) -> None:
        super().__init__()
        plain = partial(nn.Conv2d, padding=1, bias=False)
        self.conv_input, self.conv_output = (nn.Conv2d(a, b, 9, padding=4, bias=False) for a, b in ((3, 64), (64, 3)))
        self.residual = nn.ModuleList(
            nn.ModuleDict(
                {
                    "conv1": plain(64, 64, 3),
                    "bn1": nn.BatchNorm2d(64),
                    "conv2": plain(64, 64, 3),
                    "bn2": nn.BatchNorm2d(64),
                }
            )
            for _ in range(4)
        )
        self.conv_mid, self.bn_mid = plain(64, 64, 3), nn.BatchNorm2d(64)
        stages = [[plain(64, 256, 3), nn.PixelShuffle(2), nn.LeakyReLU(0.2)] for _ in range(2)]
        self.upscale4x = nn.Sequential(*stages[0], *stages[1])

    def forward(self, x: Tensor) -> Tensor:
        head = out = F.leaky_relu(self.conv_input(x), 0.2)
        for part in self.residual:
            inner: Any = part
            out = out + inner["bn2"](inner["conv2"](F.leaky_relu(inner["bn1"](inner["conv1"](out)), 0.2)))
        return self.conv_output(self.upscale4x(head + self.bn_mid(self.conv_mid(out))))


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        (TheirTutorial, "srresnet-imagenet-5"),
        (lambda: nn.ModuleDict({"net": TheirTutorial()}), "srresnet-imagenet-5"),
        (TheirLeaky, "srresnet-leaky-4"),
        (TheirMSRResNet, "msrresnet-8-3"),
        (TheirSRGAN, "srresnet-tanh-5"),
        (lambda: TheirSRResNet(("conv1", "conv2", "conv3")), "srresnet-unsigned-16"),
        (lambda: TheirSRResNet(("conv_block1", "conv_block2", "conv_block3")), "srresnet-unsigned-16"),
    ],
)
def test_common_ports_compute_what_their_definition_does(
    tmp_path: Path, theirs: Callable[[], nn.Module], name: str
) -> None:
    """Saved from the authors' form of the network, which is written out here, the weights give the same picture."""
    torch.manual_seed(0)
    module = theirs().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    torch.save({"state_dict": module.state_dict()}, tmp_path / "theirs.pth")
    network = weights.load(tmp_path / "theirs.pth", None, None, CPU)
    x = torch.rand(1, 3, 9, 12)
    module = module["net"] if isinstance(module, nn.ModuleDict) else module
    with torch.inference_mode():
        expected = module(x)
        assert network.spec.name == name and network.scale == expected.shape[-1] // 12
        assert (network.module(x) - expected).abs().max() < 1e-5


def test_a_near_miss_is_one_line_in_their_names(tmp_path: Path) -> None:
    """Of a network with a foreign layer in every block the first faults are said and the rest counted."""
    state = foreign_state(form_of("rlfn"), 4)
    state |= {f"block_{at}.extra.{index}.weight": torch.zeros(1) for at in range(1, 7) for index in range(5)}
    said = complaint(written(tmp_path / "near.pth", state))
    assert "do not fit rlfn of bytedance/RLFN: unknown block_1.extra.0.weight" in said
    assert "and 14 more" in said and len(said) < 1500 and "attention" not in said


def test_shapes_that_make_no_network_are_refused(tmp_path: Path) -> None:
    """Empty tensors and scalars under the keys of any family end in one sentence."""
    for number, family in enumerate(published.FAMILIES):
        for shape in ((0,), (), (1,), (0, 0, 3, 3), (2, 2, 3, 3)):
            state = {mark: torch.zeros(shape) for mark in family.marks}
            complaint(written(tmp_path / f"{number}-{len(shape)}-{sum(shape)}.pth", state))


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    """No entry of the table fits: the first keys and the known sources are said; a near miss says what differs."""
    said = complaint(written(tmp_path / "other.pth", {"stem.weight": torch.zeros(3, 3)}))
    assert "stem.weight" in said and "known of rlfn, span-28" in said and "--model" in said
    state = foreign_state(form_of("span-28"), 4)
    state["conv_1.eval_conv.weight"] = torch.zeros(40, 3, 3, 3)
    said = complaint(written(tmp_path / "wide.pth", state))
    assert "conv_1.eval_conv.weight has shape (40, 3, 3, 3), expected (28, 3, 3, 3)" in said


def test_edsr_with_another_mean_is_refused(tmp_path: Path) -> None:
    """EDSR-PyTorch's fixed shift layers are accepted with the DIV2K mean in 0-255 and refused with any other."""
    state = foreign_state(form_of("edsr-baseline"), 2)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{name}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        state[f"{name}.bias"] = sign * 255 * torch.tensor(DIV2K_MEAN)
    assert weights.load(written(tmp_path / "edsr.pt", state), None, None, CPU).scale == 2
    state["sub_mean.bias"] = state["sub_mean.bias"] / 255
    assert "sub_mean.bias is [-0.45, -0.44, -0.40]" in complaint(written(tmp_path / "unit.pt", state))


def test_weights_for_every_scale_take_any_scale(tmp_path: Path) -> None:
    """The scale in the metadata of SRCNN or VDSR is that of training; another may be asked, of FSRCNN not."""
    for model in ("srcnn", "fsrcnn"):
        state = MODELS[model].build(3).state_dict()
        weights.save(tmp_path / f"{model}.safetensors", state, model, 3, {})
    assert weights.load(tmp_path / "srcnn.safetensors", None, 2, CPU).scale == 2
    assert weights.load(tmp_path / "srcnn.safetensors", None, None, CPU).scale == 3
    assert "is for x3, not x2" in complaint(tmp_path / "fsrcnn.safetensors", None, 2)


def test_a_network_that_looks_at_the_whole_picture_runs_untiled(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """RLFN's output never depends on a tile side, and --tile is refused with the reason."""
    path = written(tmp_path / "rlfn.pth", foreign_state(form_of("rlfn"), 2))
    network = weights.load(path, None, None, CPU)
    x = torch.rand(1, 3, 40, 50).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = network.module(x)
        (tiled,), _ = tiles.run_tiled(network.engine.step, (x,), (), 10, 20)
    assert torch.equal(pipeline.run_network(network, (x,), Options(tile_px=16))[0], whole)
    assert (tiled - whole).abs().max() > 1e-5  # what running it in tiles would have cost
    with y4m.create(tmp_path / "in.y4m", y4m.make_header(16, 16)) as writer:
        writer.write(textured_frame(y4m.make_header(16, 16), 0))
    command = [str(tmp_path / "in.y4m"), str(tmp_path / "out.y4m"), "--weights", str(path), "--device", "cpu"]
    assert predict.main([*command, "--tile", "8"]) == 1
    assert "looks at the whole picture" in capsys.readouterr().err
    assert predict.main([*command, "--engine", "torch"]) == 0
    assert y4m.Clip(tmp_path / "out.y4m").header.width == 32


def test_an_untiled_picture_that_does_not_fit_is_one_sentence() -> None:
    """Out of memory becomes advice; another error passes through."""

    def tight(x: Tensors, memory: Tensors) -> NoReturn:
        raise torch.OutOfMemoryError("no room")

    def broken(x: Tensors, memory: Tensors) -> NoReturn:
        raise RuntimeError("weights and input differ")

    with pytest.raises(ValueError, match="2 picture\\(s\\) of 64x48 do not fit in memory"):
        tiles.run_whole(tight, (torch.zeros(2, 3, 48, 64),), ())
    with pytest.raises(RuntimeError, match="differ"):
        tiles.run_whole(broken, (torch.zeros(1, 3, 8, 8),), ())


def set5_y(model_file: str, scale: int) -> float:
    """Mean PSNR of Set5 under y_crop_s, from the MATLAB pictures."""
    network = weights.load(DATA / "weights" / model_file, None, scale, CPU)
    values = []
    for files in picture_sets.find(DATA / "bench/Set5", scale):
        low, high = picture_sets.load(files, scale)
        pred = still.enlarge(network, low, Options())
        values.append(evaluation.error(pred, still.read_picture(high), "y_crop_s", scale).psnr)
    return float(np.mean(values))


@needs_data
@pytest.mark.parametrize(("file", "expected"), [("rlfn_x4.safetensors", 32.24), ("span_ch28_x4.safetensors", 31.74)])
def test_efficient_networks_reach_their_published_psnr(file: str, expected: float) -> None:
    """The published weights give Set5 x4 within 0.01 dB of their authors' number, so the architecture is theirs."""
    assert set5_y(file, 4) == pytest.approx(expected, abs=0.01)


@needs_data
@pytest.mark.parametrize(("scale", "expected"), [(2, 37.51), (3, 33.65), (4, 31.35)])
def test_vdsr_reaches_its_published_psnr(scale: int, expected: float) -> None:
    """The official weights on MATLAB's bicubic Y give Set5 within 0.01 dB of what others measure with them."""
    assert set5_y("vdsr_official.safetensors", scale) == pytest.approx(expected, abs=0.01)


@needs_data
def test_animevideov3_is_srvgg() -> None:
    """The published compact network loads strictly and, made for animation, still draws Set5 above 28 dB."""
    assert set5_y("animevideov3_x4.safetensors", 4) > 28

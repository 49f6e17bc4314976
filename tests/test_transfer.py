"""Starting from other weights: what is loaded, new and skipped, between scales and relatives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.test_train import settings
from youku.engines import weights
from youku.models import MODELS, spec_of
from youku.training import run, state, transfer


def saved(tmp_path: Path, name: str, scale: int) -> str:
    """A weights file of a seeded network."""
    torch.manual_seed(1)
    path = tmp_path / f"{name}-x{scale}.safetensors"
    weights.save(path, MODELS[name].build(scale).state_dict(), name, scale, {})
    return str(path)


@pytest.mark.parametrize("scale", [3, 4])
def test_edsr_takes_all_but_the_upsampler(tmp_path: Path, scale: int) -> None:
    """From x2, exactly the upsampler's keys are new, also those whose shapes would fit."""
    module = MODELS["edsr-baseline"].build(scale)
    done = transfer.load_into(module, spec_of("edsr-baseline", scale), scale, saved(tmp_path, "edsr-baseline", 2))
    own = set(module.state_dict())
    assert set(done.new) == {key for key in own if key.startswith("upscale.")}
    assert set(done.loaded) == own - set(done.new) and all(key.startswith("upscale.") for key in done.skipped)
    words = str(done)
    assert f"{len(done.loaded)} tensors loaded" in words and "new: upscale" in words and "skipped: upscale" in words


def test_fsrcnn_trains_only_its_deconvolution(pairs: Path, tmp_path: Path) -> None:
    """After a transfer from x2 with --train-only last, all convolutions are bitwise those of x2; the deconvolution moved."""
    start = saved(tmp_path, "fsrcnn", 2)
    made = settings(pairs, init_from=start, train_only=("last",), lr=1e-2)
    fresh = state.make_state(made, torch.device("cpu")).module.state_dict()
    run.start(made, progress=False)
    before, _ = weights.read(start)
    after, about = weights.read(made.folder / "best.safetensors")
    assert about["scale"] == "4"
    for key, value in after.items():
        assert torch.equal(value, before[key]) != key.startswith("last.")
    assert not torch.equal(fresh["last.weight"], before["last.weight"])
    assert not torch.equal(after["last.weight"], fresh["last.weight"])


def test_a_network_for_every_scale_keeps_everything(tmp_path: Path) -> None:
    """VDSR's weights serve any scale: nothing is new."""
    module = MODELS["vdsr"].build(4)
    done = transfer.load_into(module, spec_of("vdsr", 4), 4, saved(tmp_path, "vdsr", 2))
    assert not done.new and not done.skipped


def test_vsrnet_starts_from_srcnn(tmp_path: Path) -> None:
    """With an SRCNN in every branch, five equal frames give SRCNN's own output."""
    start = saved(tmp_path, "srcnn-955", 4)
    torch.manual_seed(2)
    module = MODELS["vsrnet"].build(4)
    done = transfer.load_into(module, spec_of("vsrnet", 4), 4, start)
    assert not done.new and not done.skipped
    single = weights.load(start, None, None, torch.device("cpu")).module
    x = torch.rand(1, 1, 12, 14)
    with torch.inference_mode():
        torch.testing.assert_close(module(x.repeat(1, 5, 1, 1)), single(x), atol=1e-5, rtol=0)


def test_weights_that_do_not_fit_at_all_are_refused(tmp_path: Path) -> None:
    """It says what the file holds and what was asked for."""
    module = MODELS["espcn"].build(4)
    with pytest.raises(ValueError, match="holds fsrcnn x4, of which nothing fits espcn x4"):
        transfer.load_into(module, spec_of("espcn", 4), 4, saved(tmp_path, "fsrcnn", 4))


def test_unknown_layers_are_named(pairs: Path) -> None:
    """--train-only and --lr-factors list the layers that there are."""
    for changes in ({"train_only": ("tail",)}, {"lr_factors": ("tail=0.1",)}):
        with pytest.raises(ValueError, match="layer 'tail': fsrcnn has first, last, middle"):
            state.make_state(settings(pairs, **changes), torch.device("cpu"))
    with pytest.raises(ValueError, match="leave nothing to train"):
        state.make_state(settings(pairs, lr_factors=("first=0", "middle=0", "last=0")), torch.device("cpu"))


def test_layers_have_their_own_rates(pairs: Path) -> None:
    """last=0.1 gives the deconvolution a tenth of the rate at every step; FSRCNN's and SRCNN's papers ask for it."""
    made = settings(pairs, lr_factors=("last=0.1",), optimizer="sgd", momentum=0.0, lr=1.0, ema=0.0, clip_norm=1e-6)
    run.start(made, progress=False)
    plain = settings(pairs, name="plain", optimizer="sgd", momentum=0.0, lr=1.0, ema=0.0, clip_norm=1e-6)
    run.start(plain, progress=False)
    fresh = state.make_state(made, torch.device("cpu")).module.state_dict()
    slow, fast = (weights.read(config.folder / "best.safetensors")[0] for config in (made, plain))
    moved = {key: ((slow[key] - fresh[key]).norm() / (fast[key] - fresh[key]).norm()).item() for key in fresh}
    assert moved["last.bias"] == pytest.approx(0.1, rel=0.05)
    assert moved["first.0.weight"] == pytest.approx(1.0, rel=0.05)


def test_centring_must_agree(tmp_path: Path) -> None:
    """Weights trained on centred input start a run on centred input only."""
    torch.manual_seed(1)
    path = tmp_path / "centred.safetensors"
    weights.save(path, MODELS["fsrcnn"].build(4).state_dict(), "fsrcnn", 4, {"input_mean": "0.44"})
    module = MODELS["fsrcnn"].build(4)
    with pytest.raises(ValueError, match="was trained with --input-mean 0.44 --input-std 1; give the same"):
        transfer.load_into(module, spec_of("fsrcnn", 4), 4, str(path))
    assert transfer.load_into(module, spec_of("fsrcnn", 4), 4, str(path), 0.44).loaded


def test_frozen_norms_keep_their_statistics(pairs: Path) -> None:
    """--train-only tail leaves every other tensor of a batch-norm network as it was, running statistics included."""
    made = settings(pairs, model="srresnet", train_only=("tail",), ema=0.0, steps=2, val_every=2)
    before = state.make_state(made, torch.device("cpu")).module.state_dict()
    run.start(made, progress=False)
    after, _ = weights.read(made.folder / "best.safetensors")
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert changed and all(key.startswith("tail.") for key in changed)

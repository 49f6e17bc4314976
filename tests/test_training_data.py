"""What networks train on beyond plain clips: picture folders with partners, sizes, resizers, noise, several scales."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.test_train import settings
from youku.engines import weights
from youku.training import picture_pair as data
from youku.training import run, saving, state, trainer
from youku.training.config import TrainConfig
from youku.training.pairs import find_pairs
from youku.training.picture_pair import PicturePair
from youku.video import resize


def write_pictures(folder: Path, number: int = 3, height: int = 72, width: int = 96) -> Path:
    """Coloured blocks, different in every picture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        blocks = rng.integers(0, 255, (height // 6, width // 6, 3), np.uint8)
        Image.fromarray(blocks.repeat(6, 0).repeat(6, 1)).save(folder / f"{index}.png")
    return folder


def sampler(made: TrainConfig, scale_index: int = 0):
    train_pairs, _ = run.load_pairs(made)
    return trainer.make_samplers(made, train_pairs, torch.device("cpu"))[scale_index]


def test_a_low_resolution_folder_is_used(tmp_path: Path) -> None:
    """DIV2K's layout brings its own low resolution: it is read, not made."""
    high = write_pictures(tmp_path / "DIV2K_train_HR")
    low = tmp_path / "DIV2K_train_LR_bicubic" / "X2"
    low.mkdir(parents=True)
    for path in sorted(high.iterdir()):
        Image.new("RGB", (48, 36), (9, 9, 9)).save(low / f"{path.stem}x2.png")
    pairs = find_pairs([str(tmp_path)], 2)
    assert [pair.low_path.name for pair in pairs] == ["0x2.png", "1x2.png", "2x2.png"]
    assert (pairs[0].store.pictures(pairs[0], data.DEFAULT_RESIZER)[0] == 9).all()
    Image.new("RGB", (40, 36)).save(low / "0x2.png")
    with pytest.raises(ValueError, match=r"0x2.png: expected 48x36 \(x2 of 0.png\), got 40x36"):
        data._read_pair(PicturePair(high / "0.png", 2, low / "0x2.png"), data.DEFAULT_RESIZER)


def test_sizes_come_from_the_files_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run over many pictures begins at once: none is decoded to learn its size."""
    folder = write_pictures(tmp_path / "p")
    monkeypatch.setattr(data, "_read_pair", None)
    made = settings(folder, scale=2, rescale="1,0.5", patch_px=8)
    assert [pair.size for pair in run.load_pairs(made)[0]] == [(36, 48), (18, 24)] * 2


def test_judged_pictures_are_not_trained_on(tmp_path: Path) -> None:
    """A set's root and its HR folder are the same pictures."""
    folder = write_pictures(tmp_path / "Set" / "HR")
    with pytest.raises(ValueError, match=r"0.png is in --data too"):
        run.load_pairs(settings(folder.parent, val_data=(str(folder),)))


def test_resizers_are_mixed_patch_by_patch(tmp_path: Path) -> None:
    """With two resizers, patches of one batch come from both; each equals that resizer's own result."""
    folder = write_pictures(tmp_path / "p", number=2)
    made = settings(
        folder, scale=2, patch_px=36, batch=16, resizers=("box", "nearest"), augment=False, model="espcn-rgb"
    )
    batch = sampler(made).draw(0)
    found = set()
    for low, name in zip(batch.low[0], batch.names, strict=True):
        high = np.asarray(Image.open(folder / name.split()[0]))
        for resizer in ("box", "nearest"):
            small = torch.from_numpy(resize.shrink(high, 2, resizer).transpose(2, 0, 1).copy()).float() / 255
            fits = [torch.equal(low, small[:, :, left : left + 36]) for left in range(0, 13, 2)]
            found |= {resizer} if any(fits) else set()
    assert found == {"box", "nearest"}


def test_pictures_are_used_at_several_sizes(tmp_path: Path) -> None:
    """--rescale 1,0.5 doubles the pictures; the small ones are MATLAB reductions of the large."""
    folder = write_pictures(tmp_path / "p", number=2)
    made = settings(folder, scale=2, rescale="1,0.5", patch_px=8)
    train_pairs, val_pairs = run.load_pairs(made)
    assert [pair.zoom for pair in train_pairs] == [1.0, 0.5] and [pair.zoom for pair in val_pairs] == [1.0]
    picture = np.asarray(Image.open(train_pairs[1].path))
    assert np.array_equal(
        train_pairs[1].store.pictures(train_pairs[1], data.DEFAULT_RESIZER)[1], resize.imresize(picture, 36, 48)
    )


def test_clips_refuse_what_only_pictures_can_do(pairs: Path) -> None:
    """--rescale and --resizers would do nothing to clips: one sentence, no training."""
    with pytest.raises(ValueError, match="--rescale: Youku_0000"):
        run.load_pairs(settings(pairs, rescale="1,0.9"))
    with pytest.raises(ValueError, match="--resizers has no effect on Youku_0000"):
        run.start(settings(pairs, resizers=("box",)), progress=False)


def test_noise_is_added_to_the_input_only(pairs: Path) -> None:
    """Its sigma is in code values; the target stays clean; the same step has the same noise."""
    clean, noisy = (sampler(settings(pairs, noise=noise, batch=8)) for noise in (0.0, 5.0))
    one, other = clean.draw(0), noisy.draw(0)
    assert torch.equal(one.high[0], other.high[0]) and torch.equal(noisy.draw(0).low[0], other.low[0])
    assert ((other.low[0] - one.low[0]) * 255).std().item() == pytest.approx(5.0, rel=0.05)


def test_cutblur_cleans_a_rectangle_or_its_surroundings(pairs: Path, tmp_path: Path) -> None:
    """Some patches of a noisy input are the truth shrunk in one rectangle or around it; without damage it is refused."""
    made = settings(pairs, noise=40.0, batch=24, model="pairs-t")
    plain, some = sampler(made).draw(0), sampler(dataclasses.replace(made, cutblur=0.5)).draw(0)
    assert torch.equal(plain.high[0], some.high[0]) and torch.equal(plain.low[1], some.low[1])
    shrunk = F.interpolate(plain.high[0], (16, 16), mode="bicubic", antialias=True)
    changed = (plain.low[0] != some.low[0])[:, 0]
    kinds = set()
    for mask, own, clean in zip(changed, some.low[0][:, 0], shrunk[:, 0], strict=True):
        assert torch.equal(own[mask], clean[mask])
        around = not bool(mask.any()) or bool(mask[0, 0])
        rectangle = ~mask if around else mask
        rows, columns = rectangle.any(1), rectangle.any(0)
        assert torch.equal(rectangle, rows[:, None] & columns) and (not mask.any() or 4 <= rows.sum() <= 13)
        kinds.add((bool(mask.any()), around))
    assert kinds == {(False, True), (True, True), (True, False)}
    with pytest.raises(ValueError, match="--cutblur has no effect on pictures that are shrunk cleanly; add --noise"):
        sampler(settings(write_pictures(tmp_path / "p"), scale=2, cutblur=0.5))
    with pytest.raises(ValueError, match="cutblur = 0.5: is for networks of one frame, not recurrent-t"):
        settings(pairs, model="recurrent-t", cutblur=0.5)


def test_full_range_stretches_some_patches(tmp_path: Path) -> None:
    """A share of luma patches, low and high alike, is stretched so that 16-235 becomes 0-255; the rest stay."""
    folder = write_pictures(tmp_path / "p", number=4)
    plain, some = (sampler(settings(folder, full_range=share, batch=64, patch_px=8)).draw(0) for share in (0.0, 0.5))
    stretched = [not torch.equal(one, other) for one, other in zip(plain.low[0], some.low[0], strict=True)]
    assert 16 < sum(stretched) < 48
    for index, is_stretched in enumerate(stretched):
        for before, after in (
            (one[0][index], other[0][index]) for one, other in ((plain.low, some.low), (plain.high, some.high))
        ):
            expected = (before * 255 - 16) / 219 if is_stretched else before
            torch.testing.assert_close(after, expected)


def test_every_and_num_pairs_thin_the_data(pairs: Path) -> None:
    """--every 2 uses frames 0, 2, 4 only; --num-pairs 1 one clip only."""
    made = settings(pairs, every=2, num_pairs=1, batch=16)
    names = {name for step in range(6) for name in sampler(made).draw(step).names}
    assert {name.split()[0] for name in names} == {next(iter(names)).split()[0]}
    assert {int(name.split()[-1]) for name in names} == {0, 2, 4}


def test_mixed_scales_train_one_set_of_weights(tmp_path: Path) -> None:
    """--scales 2,3,4: each step has a batch of every scale, and the saved weights run at each of them."""
    folder = write_pictures(tmp_path / "p", number=4, height=96)
    made = settings(folder, model="srcnn", scales="2,3,4", patch_px=8, steps=2, val_every=2)
    train_pairs, _ = run.load_pairs(made)
    samplers = trainer.make_samplers(made, train_pairs, torch.device("cpu"))
    assert [one.draw(0).high[0].shape[-1] for one in samplers] == [16, 24, 32]
    run.start(made, progress=False)
    lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert np.isfinite(lines[-1]["val_psnr"])
    for scale in (2, 3, 4):
        network = weights.load(made.folder / "best.safetensors", None, scale, torch.device("cpu"))
        assert network.module(torch.rand(1, 1, 8, 9)).shape == (1, 1, 8 * scale, 9 * scale)


def test_mixed_scales_need_a_network_for_them(pairs: Path) -> None:
    """A network with an upsampler of its own is refused, and the able ones are named."""
    with pytest.raises(ValueError, match=r"fsrcnn has weights for one scale only; use srcnn.*vdsr"):
        settings(pairs, scales="2,3,4")
    with pytest.raises(ValueError, match="scales = 'x2': expected factors such as 2,3,4"):
        settings(pairs, scales="x2")


def test_zero_mean_input_travels_with_the_weights(pairs: Path) -> None:
    """A network trained on centred input is centred again when its weights are loaded."""
    made = settings(pairs, input_mean=0.44, input_std=0.5, ema=0.0)
    run.start(made, progress=False)
    _, about = weights.read(made.folder / "best.safetensors")
    assert (about["input_mean"], about["input_std"]) == ("0.44", "0.5")
    network = weights.load(made.folder / "best.safetensors", None, None, torch.device("cpu"))
    x = torch.rand(1, 1, 12, 12)
    with torch.inference_mode():
        got = network.module(x)
        plain = network.spec.build(4)
        plain.load_state_dict(weights.read(made.folder / "best.safetensors")[0])
        torch.testing.assert_close(got, plain((x - 0.44) / 0.5) * 0.5 + 0.44)


def test_training_stops_early(pairs: Path) -> None:
    """With a rate too small to change anything, two validations without a new best end the run: at step 3 of 50."""
    made = settings(pairs, steps=50, val_every=1, early_stop=2, lr=1e-30, schedule="constant", optimizer="sgd", ema=0.0)
    ending = run.start(made, progress=False)
    assert ending.finished and ending.stopped_early and ending.step == 3


def test_weights_are_kept_along_the_way(pairs: Path) -> None:
    """--keep-every 2 leaves the weights of steps 2, 4 and 6, and every validation leaves a picture."""
    made = settings(pairs, keep_every=2)
    run.start(made, progress=False)
    assert sorted(path.name for path in made.folder.glob("step-*")) == [
        f"step-000000{step}.safetensors" for step in (2, 4, 6)
    ]
    strips = sorted((made.folder / "samples").iterdir())
    assert [path.name for path in strips] == ["step-0000003-x4.png", "step-0000006-x4.png"]
    strip = np.asarray(Image.open(strips[0]))
    assert strip.shape == (96, 3 * 96 + 2 * 4) and strip[:, :96].std() > 10 and strip[:, 200:].std() > 10


def test_weights_are_kept_before_the_checkpoint(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed right after its last checkpoint has nothing left to do: the kept weights of that step are there."""

    def write_and_die(content: dict[str, Any], config: TrainConfig) -> None:
        state.write(content, config)
        if content["validated"] == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(saving, "write", write_and_die)
    made = settings(pairs, keep_every=6)
    with pytest.raises(KeyboardInterrupt):
        run.start(made, progress=False)
    assert run.start(made, resume=True, progress=False).finished
    assert (made.folder / "step-0000006.safetensors").exists()


@pytest.mark.parametrize("how", ["gaussian", "xavier", "kaiming"])
def test_initialisations_have_their_spread(pairs: Path, how: str) -> None:
    """Standard deviations of FSRCNN's first layer (1 -> 56, 5x5): 0.01, sqrt(2 / (25 + 1400)), sqrt(2 / 25)."""
    weight = trainer.make_state(settings(pairs, init=how), torch.device("cpu")).module.state_dict()["first.0.weight"]
    expected = {"gaussian": 0.01, "xavier": (2 / (25 + 1400)) ** 0.5, "kaiming": (2 / 25) ** 0.5}[how]
    assert weight.std().item() == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 1e-3), ("adamw", 1e-3), ("sgd", 1e-2), ("adadelta", 1.0)])
def test_every_optimizer_lowers_the_loss(pairs: Path, optimizer: str, lr: float) -> None:
    """Twelve steps on one and the same batch bring its loss clearly down."""
    made = settings(pairs, optimizer=optimizer, lr=lr, schedule="constant")
    state = trainer.make_state(made, torch.device("cpu"))
    stage, batch = trainer.stage_at(made, state), sampler(made).draw(0)
    losses = [trainer.train_step(state, made, stage, [batch]) for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]


def test_element_clipping_bounds_the_step(pairs: Path) -> None:
    """VDSR's paper: with plain SGD no weight moves by more than theta, whatever the learning rate."""
    made = settings(pairs, optimizer="sgd", momentum=0.0, lr=50.0, clip_element=1e-4, steps=1, val_every=1, ema=0.0)
    before = trainer.make_state(made, torch.device("cpu")).module.state_dict()
    run.start(made, progress=False)
    after, _ = weights.read(made.folder / "best.safetensors")
    largest = max((after[key] - before[key]).abs().max().item() for key in after)
    assert 0.9e-4 < largest <= 1.01e-4

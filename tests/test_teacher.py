"""--teacher: what it makes of pictures and clips, kept and used beside the truth or instead of it; what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.test_train import settings
from tests.test_training_data import write_pictures
from youku.engines import shipped, weights
from youku.inference import pipeline, still
from youku.inference.pipeline import Options
from youku.models import MODELS
from youku.training import run, state, teacher, trainer
from youku.training.config import TrainConfig
from youku.training.dataset import Batch
from youku.video import color

CPU = torch.device("cpu")
FSRCNN = str(shipped.FOLDER / "fsrcnn_x2.safetensors")


def drawn(made: TrainConfig, said: list[str] | None = None) -> Batch:
    pairs = teacher.with_taught(made, run.load_pairs(made)[0], (said if said is not None else []).append)
    return trainer.make_samplers(made, pairs, CPU)[0].draw(0)


def of_pictures(folder: Path, **changes: object) -> TrainConfig:
    values = {"scale": 2, "model": "espcn", "patch_px": 36, "augment": False, "teacher": FSRCNN, "batch": 3}
    return settings(folder, **(values | changes))


def test_pictures_are_taught_by_a_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch's third part is the teacher's luma there, of each resizer its own; a second run computes nothing."""
    folder = write_pictures(tmp_path / "p")
    for resizers in (("matlab-bicubic",), ("box", "nearest")):
        made = of_pictures(folder, resizers=resizers)
        batch, network = drawn(made), weights.load(FSRCNN, None, None, CPU)
        assert batch.taught is not None
        for low, taught in zip(batch.low[0], batch.taught, strict=True):
            whole = still.enlarge(network, low[0].numpy().astype(np.float64) * 255, Options()).luma / 255
            assert np.abs(taught[0].numpy() - whole)[12:-12, 12:-12].max() < 1.5 / 255
        assert (batch.taught - batch.high[0]).abs().max() > 10 / 255
        with monkeypatch.context() as patch:
            patch.setattr(still, "enlarge", None)
            again = drawn(made).taught
        assert again is not None and torch.equal(again, batch.taught)


@pytest.mark.parametrize(("model", "changes"), [("espcn", {}), ("recurrent-t", {"sequence": 3})])
def test_clips_are_taught_frame_by_frame(pairs: Path, model: str, changes: dict) -> None:
    """What the teacher makes of whole frames, of every moment of a sequence, turned and stretched as the truth is."""
    made = settings(pairs, model=model, teacher=str(shipped.FOLDER / "fsrcnn_x4.safetensors"), **changes)
    taught = teacher.with_taught(made, run.load_pairs(made)[0], str)
    network = weights.load(made.teacher, None, None, CPU)
    for pair in taught:
        frames = list(pipeline.upscale_frames(network, pair.low.header, pair.low, Options()))
        assert all(np.array_equal(pair.taught.frame(index)[0], planes[0]) for index, planes in enumerate(frames))
    batch, twin = drawn(replace(made, full_range=0.5)), [replace(pair, taught=pair.high) for pair in taught]
    same = trainer.make_samplers(replace(made, full_range=0.5), twin, CPU)[0].draw(0)
    assert (
        same.taught is not None and torch.equal(same.taught, same.high[0]) and torch.equal(same.high[0], batch.high[0])
    )
    assert batch.taught is not None and 0 < (batch.taught - batch.high[0]).abs().mean() < 0.03


def test_a_folder_teaches_what_it_holds(tmp_path: Path) -> None:
    """A gray picture is luma, a coloured one RGB, by SET/NAME or NAME of any kind; the truth stands in for the others."""
    folder, made_by = write_pictures(tmp_path / "set", 8), tmp_path / "teacher"
    (made_by / "set").mkdir(parents=True)
    Image.fromarray(np.full((72, 96), 100, np.uint8)).save(made_by / "set" / "3.png")
    Image.fromarray(np.full((72, 96, 3), (200, 40, 90), np.uint8)).save(made_by / "5.bmp")
    said: list[str] = []
    batch = drawn(of_pictures(folder, teacher=str(made_by), batch=40, patch_px=16), said)
    assert said == [f"teacher {made_by}: has 2 of 7 pictures, of the others the truth stands in"]
    red = color.rgb_to_yuv444(np.array([200, 40, 90.0]).reshape(3, 1, 1) / 255)[0, 0, 0]
    found = {}
    assert batch.taught is not None
    for name, taught, high in zip(batch.names, batch.taught, batch.high[0], strict=True):
        found[name[0]] = float(taught.mean()) if taught.std() < 1e-6 else torch.equal(taught, high)
    assert found.pop("3") == pytest.approx(100 / 255, abs=0.5 / 255) and found.pop("5") == pytest.approx(red, abs=1e-3)
    assert len(found) >= 4 and all(value is True for value in found.values())


def test_pictures_without_truth(tmp_path: Path) -> None:
    """--unlabelled adds pairs whose high resolution is what the teacher makes of them."""
    folder, low = write_pictures(tmp_path / "p"), write_pictures(tmp_path / "low", 2, 40, 44)
    made = of_pictures(folder, unlabelled=(str(low),), patch_px=16)
    *_, last = teacher.with_taught(made, run.load_pairs(made)[0], str)
    small, high = last.store.pictures(last, made.resizers[0])
    assert np.array_equal(small, np.asarray(Image.open(low / "1.png")))
    expected = still.enlarge(weights.load(FSRCNN, None, None, CPU), small, Options()).rgb
    assert np.array_equal(high, expected)
    assert run.start(replace(made, name="u"), progress=False).finished


def test_the_loss_has_its_share(tmp_path: Path) -> None:
    """A step's loss is the run's own plus the share times L1 to the teacher's output."""
    folder = write_pictures(tmp_path / "p")
    losses = {}
    for share in (0.0, 0.7):
        made = of_pictures(folder, teacher_share=share, loss="l2")
        batch, run_state = drawn(made), state.make_state(made, CPU)
        (pred,) = run_state.forward(batch.low, 2)
        losses[share] = trainer.train_step(run_state, made, trainer.stage_at(made, run_state), [batch])
        assert batch.taught is not None
        expected = F.mse_loss(pred, batch.high[0]) + share * F.l1_loss(pred, batch.taught)
        assert losses[share] == pytest.approx(expected.item(), rel=1e-5)
    assert losses[0.7] > losses[0.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": 4, "patch_px": 16}, "--teacher .*fsrcnn_x2.safetensors: is for x2, not x4"),
        ({"model": "espcn-rgb"}, "fsrcnn makes y, espcn-rgb learns rgb; give a teacher of rgb"),
        ({"teacher": "nowhere"}, "--teacher nowhere: no such weights file"),
        ({"teacher": "{here}"}, "holds no picture named as one of the 2 to train on, expected such as p/0.png"),
        ({"teacher": "{wrong}"}, "[012].png: expected 96x72 for .*png, got 10x9; check --scale"),
        ({"teacher": "{wrong}", "rescale": "1,0.5"}, "shrunk by matlab-bicubic; give weights as the teacher"),
        ({"teacher": "{wrong}", "unlabelled": ("{here}",)}, "--unlabelled: needs weights as --teacher, .*is a folder"),
        ({"model": "recurrent-t", "patch_px": 16}, "--teacher: a camera moves over pictures for recurrent-t"),
        ({"unlabelled": ("{here}",)}, "no pictures in it"),
    ],
)
def test_teachers_that_do_not_fit(tmp_path: Path, changes: dict, words: str) -> None:
    """Another scale, other colours, no pictures or other sizes: one sentence, and no run is begun."""
    folder = write_pictures(tmp_path / "p")
    places = {"{here}": tmp_path / "here", "{wrong}": tmp_path / "wrong"}
    for place in places.values():
        place.mkdir()
    for name in "012":
        Image.new("L", (10, 9)).save(tmp_path / "wrong" / f"{name}.png")
    named = {
        key: tuple(str(places[entry]) for entry in value) if isinstance(value, tuple) else str(places.get(value, value))
        if isinstance(value, str) else value
        for key, value in changes.items()
    }  # fmt: skip
    made = of_pictures(folder, **({"patch_px": 16} | named))
    with pytest.raises(ValueError, match=words):
        run.start(made, progress=False)
    assert not made.folder.exists() and MODELS["espcn"].trainable


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teacher_share": 0.5}, "teacher_share: has no effect without a teacher"),
        ({"unlabelled": ("x",)}, "unlabelled: has no effect without a teacher"),
        ({"teacher": "x", "model": "vdsr", "scales": "2,3"}, "teacher: enlarges by one factor; drop --scales"),
    ],
)
def test_settings_of_a_teacher_agree(pairs: Path, changes: dict, words: str) -> None:
    """What cannot have an effect, or not one alone, is refused before anything is read."""
    with pytest.raises(ValueError, match=words):
        settings(pairs, **changes)


def test_pictures_without_truth_beside_clips(pairs: Path, tmp_path: Path) -> None:
    """One kind of data a run: said before the teacher makes anything."""
    write_pictures(tmp_path / "p")
    made = settings(
        pairs, model="espcn", teacher=str(shipped.FOLDER / "fsrcnn_x4.safetensors"), unlabelled=(str(tmp_path / "p"),)
    )
    with pytest.raises(ValueError, match="--unlabelled: is for pictures, and --data has clips"):
        teacher.with_taught(made, run.load_pairs(made)[0], str)

"""Training: exact resume, data, precision, recipes, Ctrl-C, clear errors."""

from __future__ import annotations

import copy
import importlib.machinery
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import write_pair
from tests.test_files import _leftover
from youku import predict
from youku import train as verb
from youku.engines import shipped, weights
from youku.inference import pipeline, records
from youku.metrics import psnr
from youku.models import MODELS
from youku.models.discriminators import DISCRIMINATORS
from youku.pages import run_logs
from youku.training import config, experiment, fields, gan, losses, precision, progress, run, trainer, transfer, vgg
from youku.training import settings as fields_of
from youku.training import state as states
from youku.training.config import TrainConfig
from youku.training.dataset import Sampler, batches, in_turn
from youku.training.pairs import find_pairs
from youku.training.validation import against_bicubic, validate
from youku.video import ffmpeg, resize, y4m

REPO = Path(__file__).parents[1]


def settings(pairs: Path, **changes: object) -> TrainConfig:
    """A run of a few steps on the small pairs, beside them."""
    values: dict = {
        "name": "r", "runs": str(pairs.parent / "runs"), "data": (str(pairs),), "val_clips": 1, "val_frames": 1,
        "val_metric": "psnr", "steps": 6, "val_every": 3, "save_every": 3, "log_every": 1, "patch_px": 16, "batch": 2,
        "device": "cpu",
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


def last(made: TrainConfig) -> dict:
    return states.read_checkpoint(made.folder / "last.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "perceptual-sr", "accumulate": 2, "loss": "l1+0.2*ssim", "patch_px": 8},
        {"dtype": "auto"},
        {"model": "pairs-t"},
        {"model": "recurrent-t", "sequence": 3},
        {"model": "bidirectional-t", "sequence": 3},
    ],
)
def test_resume_is_bit_identical(pairs: Path, changes: dict) -> None:
    """Three steps, then a resume of three more, leave the very bits of six steps in one go."""
    straight = settings(pairs, name="straight", **changes)
    assert run.start(straight, progress=False).finished
    broken = settings(pairs, name="broken", **changes)
    train_pairs, val_pairs = run.load_pairs(broken)
    broken.folder.mkdir(parents=True)
    state = states.make_state(broken, torch.device("cpu"))
    sampler_steps = batches(trainer.make_samplers(broken, train_pairs, torch.device("cpu")), 0, 1)
    state.module.train()
    for _ in range(3):
        trainer.train_step(
            state, broken, trainer.stage_at(broken, state), [next(sampler_steps) for _ in range(broken.accumulate)]
        )
    sampler_steps.close()
    states.write(states.content_of(state), broken)
    assert trainer.train(broken, train_pairs, val_pairs, resume=True, progress=False).step == 6
    first, second = last(straight), last(broken)
    for part in ("module", "average"):
        assert all(torch.equal(first[part][key], second[part][key]) for key in first[part])
    for key, moments in first["optimizer"]["state"].items():
        assert all(torch.equal(value, second["optimizer"]["state"][key][name]) for name, value in moments.items())


def _sampler(made: TrainConfig, train_pairs: list) -> Sampler:
    return trainer.make_samplers(made, train_pairs, torch.device("cpu"))[0]


def test_a_validation_that_was_cut_off_is_made_up_for(pairs: Path) -> None:
    """Stopped on the step of a due validation, or killed after it was logged: the best is the same, and is told once."""
    straight = settings(pairs, name="straight")
    run.start(straight, progress=False)
    broken = settings(pairs, name="broken")
    train_pairs, val_pairs = run.load_pairs(broken)
    broken.folder.mkdir(parents=True)
    state = states.make_state(broken, torch.device("cpu"))
    state.module.train()
    draw = in_turn(trainer.make_samplers(broken, train_pairs, torch.device("cpu")))
    for step in range(3):
        trainer.train_step(state, broken, trainer.stage_at(broken, state), [draw(step)])
    states.write(states.content_of(state), broken)  # the validation of step 3 did not come to pass
    (broken.folder / "log.jsonl").write_text('{"step": 3, "loss": 1}\n{"step": 3, "val_psnr": 1}\n')  # or all but
    trainer.train(broken, train_pairs, val_pairs, resume=True, progress=False)
    first, second = last(straight), last(broken)
    assert all(first[key] == second[key] for key in ("best", "since_best", "validated"))
    kept, made = (weights.read(config.folder / "best.safetensors")[0] for config in (straight, broken))
    assert all(torch.equal(kept[key], made[key]) for key in kept)
    lines = [json.loads(line) for line in (broken.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "val_psnr" in line] == [3, 6]


def test_a_checkpoint_that_is_read_and_saved_is_the_same(pairs: Path) -> None:
    """Nothing was trained in between, as where only the last validation had been cut off: no part differs."""
    made = settings(pairs)
    run.start(made, progress=False)
    before = last(made)
    state = states.make_state(made, torch.device("cpu"), resume=True)
    states.restore(state, made.folder / "last.pt")
    states.write(states.content_of(state), made)
    assert str(before) == str(last(made))


def test_run_folder_holds_what_it_promises(pairs: Path) -> None:
    """config.toml reads back, log.jsonl has every step once, best weights name their network."""
    made = settings(pairs)
    run.start(made, command="python -m youku train", progress=False)
    assert TrainConfig(**fields.read(made.folder / "config.toml", TrainConfig)) == made
    lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "val_psnr" in line] == [3, 6]
    network = weights.load(made.folder / "best.safetensors", None, None, torch.device("cpu"))
    assert (network.spec.name, network.scale) == ("fsrcnn", 4)


def test_same_seed_same_loss(pairs: Path) -> None:
    """Two runs log the same losses; another seed does not."""
    logs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = settings(pairs, name=name, seed=seed)
        run.start(made, progress=False)
        lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
        logs.append([line["loss"] for line in lines if "loss" in line])
    assert logs[0] == logs[1] != logs[2]


def test_validation_in_the_contest_metric(pairs: Path) -> None:
    """--val-metric score logs PSNR, VMAF and 0.8 PSNR + 0.2 VMAF."""
    made = settings(pairs, val_metric="score", val_every=6)
    run.start(made, progress=False)
    line = json.loads((made.folder / "log.jsonl").read_text().splitlines()[-1])
    assert line["val_score"] == pytest.approx(0.8 * line["val_psnr"] + 0.2 * line["val_vmaf"])


def test_batch_is_a_function_of_seed_and_step(pairs: Path) -> None:
    """Any order and number of threads gives the same patches."""
    sampler = _sampler(settings(pairs), find_pairs([str(pairs)], 4))
    stream = batches([sampler], 0, 3)
    first = [next(stream) for _ in range(4)]
    stream.close()
    again = sampler.draw(2)
    assert torch.equal(first[2].low[0], again.low[0]) and torch.equal(first[2].high[0], again.high[0])
    assert first[2].names == again.names and not torch.equal(first[2].low[0], first[3].low[0])


def test_the_network_keeps_its_threads() -> None:
    """Cutting patches in a fresh process leaves the caller all of its torch threads, so that results do not depend on it."""
    code = (
        "import os, torch; from types import SimpleNamespace; from youku.training.dataset import batches\n"
        "draw = lambda steps: [torch.get_num_threads() for _ in steps]\n"
        "sampler = SimpleNamespace(device=torch.device('cpu'), at_once=2, draw_all=draw)\n"
        "drawn = batches([sampler], 0, 2)\n"
        "inside = [next(drawn) for _ in range(6)]; drawn.close()\n"
        "assert inside == [1] * 6, inside\n"
        "assert torch.get_num_threads() == 2, torch.get_num_threads()\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=REPO, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_low_and_high_patches_show_the_same_place(pairs: Path) -> None:
    """Shrinking the high patch gives the low patch, flips and rotations included."""
    sampler = _sampler(settings(pairs, batch=8), find_pairs([str(pairs)], 4))
    batch = sampler.draw(0)
    small = torch.nn.functional.avg_pool2d(batch.high[0], 4)
    assert ((small - batch.low[0]).abs().mean()) < 4 / 255


def test_pictures_train_too(tmp_path: Path) -> None:
    """A folder of pictures gives on-the-fly bicubic pairs, for luma and RGB networks."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(3):
        pixels = rng.integers(0, 255, (12, 16, 3), np.uint8).repeat(6, 0).repeat(6, 1)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index}.png")
    for model in ("fsrcnn", "edsr-baseline"):
        made = settings(tmp_path / "pictures", name=model, model=model, steps=2, val_every=2, patch_px=8, scale=2)
        assert run.start(made, progress=False).finished
        assert (made.folder / "best.safetensors").exists()


SMALL = [name for name, spec in MODELS.items() if spec.trainable and name != "edsr"]  # 43 M parameters


@pytest.mark.parametrize("name", SMALL)
def test_every_network_trains_and_predicts(tmp_path: Path, name: str) -> None:
    """The same verbs for all: one step of training, its weights found again by name, one frame enlarged."""
    scale = 4 if 4 in MODELS[name].scales else 2
    for clip_id in range(2):
        write_pair(tmp_path / "clips", clip_id, 16, 12, 2, scale)
    small = {"patch_px": 8, "batch": 1, "samples": False, "optimizer": "sgd", "ema": 0.0}  # of which less is written
    made = settings(tmp_path / "clips", model=name, scale=scale, steps=1, val_every=1, **small)
    assert run.start(made, progress=False).finished
    low, out = str(tmp_path / "clips" / "Youku_00000_l.y4m"), tmp_path / "out.y4m"
    trained = str(made.folder / "best.safetensors")
    assert predict.main([low, str(out), "--weights", trained, "--device", "cpu", "--frames", "1"]) == 0
    assert (y4m.Clip(out).header.width, y4m.Clip(out).num_frames) == (16 * scale, 1)


def test_frames_of_a_clip_train_together(pairs: Path) -> None:
    """A three-frame network gets three frames a patch, and validates each frame among its neighbours."""
    made = settings(pairs, model="enhancenet-3frame", steps=1, val_every=1, batch=1, val_frames=2, patch_px=8)
    train_pairs, val_pairs = run.load_pairs(made)
    assert _sampler(made, train_pairs).draw(0).low[0].shape == (1, 9, 8, 8)
    assert run.start(made, progress=False).finished
    network = weights.load(made.folder / "best.safetensors", None, None, torch.device("cpu"))
    whole = list(pipeline.upscale_frames(network, val_pairs[0].low.header, val_pairs[0].low, pipeline.Options()))
    scores = [psnr.yuv(whole[index], val_pairs[0].high.frame(index)) for index in (0, 2)]
    assert validate(network, val_pairs, 2, with_vmaf=False).psnr == pytest.approx(sum(scores) / 2, abs=1e-6)


def test_split_holds_whole_clips_out(pairs: Path) -> None:
    """No clip is in both parts."""
    found = find_pairs([str(pairs)], 4)
    train_pairs, val_pairs = run.split_pairs(found, 1)
    names = [pair.name for pair in train_pairs]
    assert len(train_pairs) == 2 and val_pairs[0].name not in names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_saves_weights_and_says_how_to_go_on(
    pairs: Path, capsys: pytest.CaptureFixture, number: signal.Signals
) -> None:
    """The step in flight ends, all is saved, weights for --weights and the resume command are named; exit 128 + signal."""
    folder = pairs.parent / "runs" / "c"
    command = [
        "--data", str(pairs), "--runs", str(folder.parent), "--name", "c", "--steps", "3000", "--val-clips", "1",
        "--val-metric", "psnr", "--patch-px", "8", "--batch", "1", "--log-every", "1", "--val-every", "3000",
        "--save-every", "3000", "--device", "cpu",
    ]  # fmt: skip

    def interrupt() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not _has_lines(folder / "log.jsonl", 3):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    status = verb.main(command)
    waiting.join()
    err = capsys.readouterr().err
    assert status == 128 + number and f"--resume {folder}" in err and "Traceback" not in err
    assert f"{folder}/last.safetensors holds its weights" in err
    saved = states.read_checkpoint(folder / "last.pt")
    assert 3 <= saved["step"] < 3000
    network = weights.load(folder, None, None, torch.device("cpu"))  # what predict and evaluate take with --weights
    assert network.path == folder / "last.safetensors"
    assert all(torch.equal(value, saved["average"][key]) for key, value in network.module.state_dict().items())


def test_a_stop_breaks_a_validation_off(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole frames and VMAF may take minutes: the state is saved before, the run is not finished, a resume makes up."""
    made = settings(pairs, steps=2, val_every=2, save_every=100)
    whole = trainer.validation.validate

    def stopped(*given: object, **named: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    monkeypatch.setattr(trainer.validation, "validate", stopped)
    began = time.monotonic()
    ending = run.start(made, progress=False)
    assert (ending.step, ending.finished, ending.stopped_by) == (2, False, signal.SIGTERM)
    assert time.monotonic() - began < 20 and last(made)["validated"] == 0
    assert weights.find(made.folder).name == "last.safetensors"
    monkeypatch.setattr(trainer.validation, "validate", whole)
    assert run.start(made, resume=True, progress=False).finished
    assert weights.find(made.folder).name == "best.safetensors"


def test_a_folder_has_one_writer(pairs: Path, capsys: pytest.CaptureFixture) -> None:
    """A second train or resume beside a live one is one sentence, exit 1, and nothing written; a killed one leaves no lock."""
    made = settings(pairs)
    begun, told = os.pipe()
    if not (other := os.fork()):
        with run.sole_writer(made.folder):
            os.write(told, b"held")
            time.sleep(60)
    try:
        assert os.read(begun, 4) == b"held"
        command = ["--data", str(pairs), "--runs", made.runs, "--name", made.name, "--val-metric", "psnr"]
        assert verb.main([*command, "--val-clips", "1", "--device", "cpu"]) == 1
        err = capsys.readouterr().err
        assert "another train writes into it now" in err and "Traceback" not in err
        assert [path.name for path in made.folder.iterdir()] == [".lock"]
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    assert run.start(made, progress=False).finished
    with run.sole_writer(made.folder), pytest.raises(ValueError, match="another train writes into it"):
        run.start(made, resume=True, progress=False)


def test_a_full_disk_ends_training_in_one_sentence(pairs: Path, capsys: pytest.CaptureFixture) -> None:
    """No traceback of torch's writer; the checkpoint of before is whole and nothing half made stays."""
    made = settings(pairs, steps=2, val_every=2, save_every=1)
    run.start(made, progress=False)
    before = (made.folder / "last.pt").read_bytes()
    _longer(made.folder / "config.toml", 2, 4)
    limits, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, limits[1]))
    try:
        assert verb.main(["--resume", str(made.folder)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)
    err = capsys.readouterr().err
    assert "error: " in err and "Traceback" not in err
    assert (made.folder / "last.pt").read_bytes() == before
    assert not list(made.folder.glob(".last*"))


def test_the_weights_of_one_run_have_the_same_bytes_again(pairs: Path) -> None:
    """Same seed, same best.safetensors and last.safetensors, byte for byte."""
    found = []
    for name in "ab":
        made = settings(pairs, name=name, steps=2, val_every=2)
        run.start(made, progress=False)
        found.append([(made.folder / f"{kind}.safetensors").read_bytes() for kind in ("best", "last")])
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, dict]:
    """A small run after two steps, and what its last.pt holds."""
    folder = tmp_path_factory.mktemp("run") / "clips"
    for clip_id in range(2):
        write_pair(folder, clip_id, 16, 12, 1)
    made = settings(folder, model="fsrcnn-s", steps=2, val_every=2, patch_px=8, batch=1, samples=False)
    run.start(made, progress=False)
    return made, last(made)


def _moments(content: dict) -> dict:
    return content["optimizer"]["state"][0]


DAMAGE: dict[str, Callable[[dict], object]] = {
    "no module": lambda content: content.pop("module"),
    "no precision": lambda content: content.pop("precision"),
    "no generator": lambda content: content.pop("torch_rng"),
    "module of text": lambda content: content.update(module="x"),
    "module of numbers": lambda content: content.update(module=dict.fromkeys(content["module"], 1)),
    "another module": lambda content: content.update(average={"x": torch.zeros(1)}),
    "integers": lambda content: content.update(module={k: v.to(torch.int32) for k, v in content["module"].items()}),
    "step of text": lambda content: content.update(step="3"),
    "step below 0": lambda content: content.update(step=-3),
    "best of a list": lambda content: content.update(best=[1.0]),
    "best of no number": lambda content: content.update(best=float("nan")),
    "generator of floats": lambda content: content.update(torch_rng=torch.zeros(5056)),
    "generator too short": lambda content: content.update(torch_rng=torch.zeros(3, dtype=torch.uint8)),
    "optimizer empty": lambda content: content.update(optimizer={}),
    "optimizer of text": lambda content: content["optimizer"].update(state="abc"),
    "moments missing": lambda content: _moments(content).pop("exp_avg"),
    "moments of another shape": lambda content: _moments(content).update(exp_avg=torch.zeros(2)),
    "moments of text": lambda content: _moments(content).update(exp_avg="x"),
    "moments unknown": lambda content: content["optimizer"]["state"].update({99: _moments(content)}),
    "a list": lambda content: content.update(optimizer=[1, 2]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_of_wrong_parts_is_one_sentence(checkpoint: tuple[TrainConfig, dict], damage: str) -> None:
    """Whole as a file, but without a key, with another type or shape: named, before a step is made."""
    made, content = checkpoint
    hurt = copy.deepcopy(content)
    DAMAGE[damage](hurt)
    states.write_checkpoint(made.folder / "hurt.pt", hurt)
    with pytest.raises(ValueError, match=r"hurt\.pt: is (not of this run|no whole checkpoint) \(") as caught:
        states.restore(states.make_state(made, torch.device("cpu"), resume=True), made.folder / "hurt.pt")
    assert "\n" not in str(caught.value)


def test_settings_come_from_the_config_alone(checkpoint: tuple[TrainConfig, dict]) -> None:
    """What a checkpoint says of the optimizer's settings is not believed."""
    made, content = checkpoint
    hurt = copy.deepcopy(content)
    hurt["optimizer"]["param_groups"] = [{"params": "x", "betas": None}]
    states.write_checkpoint(made.folder / "hurt.pt", hurt)
    state = states.make_state(made, torch.device("cpu"), resume=True)
    states.restore(state, made.folder / "hurt.pt")
    assert state.optimizer.param_groups[0]["betas"] == (0.9, 0.999) and state.step == 2


def _has_lines(path: Path, number: int) -> bool:
    return path.exists() and len(path.read_text().splitlines()) >= number


def test_nonfinite_loss_names_step_and_clips(pairs: Path) -> None:
    """An exploding run stops, names the step and the clips, and leaves the last good checkpoint."""
    made = settings(pairs, lr=1e30, steps=50, val_every=50, save_every=1, loss="l2")
    with pytest.raises(ValueError, match=r"step \d+: the loss is (nan|inf).*Youku_0000\d_l.y4m frame \d"):
        run.start(made, progress=False)
    saved = last(made)
    assert saved["step"] >= 1 and all(bool(value.isfinite().all()) for value in saved["module"].values())


def test_apex_is_explained_where_it_cannot_be_imported() -> None:
    """The sentence says what happened to apex.amp and what to use."""
    with pytest.raises(ValueError, match=r"removed it from apex after tag\s+25.05.*--amp-backend torch"):
        precision.choose(True, "apex", torch.device("cpu"))


def test_apex_is_driven_where_it_can_be_imported(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """initialize, scale_loss and state_dict of apex.amp are called as its documentation says."""
    calls = []

    class Amp:
        @staticmethod
        def initialize(module, optimizer, opt_level, verbosity):
            calls.append(opt_level)
            return module, optimizer

        @staticmethod
        def scale_loss(loss, optimizer):
            calls.append("scale")
            return _Scaled(loss)

        @staticmethod
        def master_params(optimizer):
            return [parameter for group in optimizer.param_groups for parameter in group["params"]]

        @staticmethod
        def state_dict() -> dict:
            return {"scale": 1}

    class _Scaled:
        def __init__(self, loss):
            self.loss = loss

        def __enter__(self):
            return self.loss

        def __exit__(self, *_):
            return None

    package = type(sys)("apex")
    package.amp = Amp  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apex", package)
    made = settings(pairs, dtype="auto", amp_backend="apex", steps=2, val_every=2, clip_norm=1.0)
    assert run.start(made, progress=False).finished
    assert calls[0] == "O1" and calls.count("scale") == 2
    assert last(made)["precision"] == {"scale": 1}


def test_names_that_help_shows_are_those_of_the_rooms() -> None:
    """The flags list losses, initialisers, discriminators and resizers without loading what computes them."""
    assert list(fields_of.TERMS) == losses.all_terms() == [*losses.PIXEL, *vgg.TERMS, *gan.TERMS]
    assert (list(fields_of.INITS), list(fields_of.DISCRIMINATORS)) == (list(transfer.INITS), list(DISCRIMINATORS))
    assert list(fields_of.SHRINKERS) == list(resize.SHRINKERS)


def test_recipes_are_valid_and_every_fault_is_listed(tmp_path: Path) -> None:
    """All shipped recipes load; an unknown key and a wrong type are reported together."""
    for path in sorted(config.RECIPES.glob("*.toml")):
        assert TrainConfig(**config.read_recipe(path.stem)).model in MODELS
    bad = tmp_path / "bad.toml"
    bad.write_text('lrr = 1\nbatch = "many"\nsamples = 1\n')
    with pytest.raises(ValueError, match=r"unknown key lrr; batch = 'many': expected int; samples = 1: expected bool"):
        config.read_recipe(str(bad))
    bad.write_text("= nonsense")
    with pytest.raises(ValueError, match="not a TOML recipe"):
        config.read_recipe(str(bad))
    with pytest.raises(ValueError, match=r"expected one of 10min, 1h, demo, .* \(or a path ending in .toml\)"):
        config.read_recipe("nothing")


NAMES = ["..", "..\\x", "../x", "a/b", "a\\b", "C:x", "", ".", " ", "x.", "x ", "a\nb", "a\tb", "a\0b", "a*", "a" * 300]


@pytest.mark.parametrize("name", [*NAMES, "caf\udce9"])
def test_a_run_has_a_plain_name(name: str) -> None:
    """No path, on any system; nothing that a terminal or a TOML file would make something else of."""
    with pytest.raises(ValueError, match=r"name = .*: expected (a plain folder name|UTF-8 text)"):
        TrainConfig(name=name)
    assert TrainConfig(name="edsr x4 (\u00e9t\u00e9), 2nd.try").name


def test_any_text_comes_back_from_the_run_folder(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newlines, quotes and control characters in --data and in the command leave a config.toml that reads back."""
    folder = pairs.parent / 'a\n"b"\\ \x07\x7f\u2028'
    pairs.rename(folder)
    made = settings(folder, runs=str(folder.parent / "runs"), steps=1, val_every=1, samples=False)
    run.start(made, command="train --data 'a\nsteps = 9'\r\x1b \udce9", progress=False)
    assert run.resumed_config(made.folder) == made
    with pytest.raises(ValueError, match="data: '.*' is not UTF-8 text without NUL; rename the file or folder"):
        settings(folder, data=("x\udce9",))


HOSTILE = {
    "nested lists": b"steps = " + b"[" * 20000,
    "nested tables": b"steps = " + b"{a=" * 20000,
    "a long path": b"steps." + b"a." * 3000 + b"b = 1",
    "digits": b"steps = " + b"9" * 5000,
    "a large number": b"steps = " + b"9" * 300,
    "many batches": b"batch = 999999999\naccumulate = 999999999",
    "UTF-16": "steps = 3".encode("utf-16"),
    "zeros": bytes(100),
    "two of one key": b"steps = 1\nsteps = 2",
    "a date": b"steps = 1979-05-27",
    "nan": b"lr = nan",
    "a table": b"[steps]\nx = 1",
    "an odd key": b'"a\\nb\\u0000" = 1',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_settings_are_one_short_sentence(tmp_path: Path, what: str, capsys: pytest.CaptureFixture) -> None:
    """As a recipe, as the config.toml of a run and as an experiment: exit 1, no traceback."""
    (tmp_path / "config.toml").write_bytes(HOSTILE[what])
    for flag in (["--recipe", str(tmp_path / "config.toml")], ["--resume", str(tmp_path)]):
        assert verb.main(flag) == 1
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 900 and "sys." not in err
    (tmp_path / "e.toml").write_bytes(b"[base]\n" + HOSTILE[what] + b"\n[variants.a]\nlog_every = 7\n")
    with pytest.raises(ValueError) as caught:
        experiment.configs(experiment.read(str(tmp_path / "e.toml")), "runs", {})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_recipe_of_another_encoding_is_told_how_to_save(tmp_path: Path, encoding: str) -> None:
    """UTF-16, as Windows' own editors call "Unicode", is named; so is what to do."""
    (tmp_path / "r.toml").write_bytes('\ufeffmodel = "espcn"\r\n'.encode(encoding))
    with pytest.raises(ValueError, match=r"r\.toml: not a TOML recipe: it is UTF-16 text; save it as UTF-8"):
        config.read_recipe(str(tmp_path / "r.toml"))


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    (tmp_path / "r.toml").write_bytes(b'\xef\xbb\xbfmodel = "espcn"\r\nsteps = 3\r\n')
    assert config.read_recipe(str(tmp_path / "r.toml")) == {"model": "espcn", "steps": 3}


def test_all_wrong_values_are_reported_together() -> None:
    """One message names every bad field."""
    with pytest.raises(ValueError, match=r"patch_px = 9.*batch = 0.*srresnet: has scales.*loss 'l3'"):
        TrainConfig(batch=0, patch_px=9, model="srresnet", scale=3, loss="l3")


def test_data_faults_are_reported_together(pairs: Path, tmp_path: Path) -> None:
    """A missing ground truth, a frame count mismatch, a missing folder and a file for one come in one message."""
    (pairs / "Youku_00000_h_GT.y4m").unlink()
    data = (pairs / "Youku_00001_l.y4m").read_bytes()
    (pairs / "Youku_00001_l.y4m").write_bytes(data[: -(6 + 32 * 24 * 3 // 2)])
    with pytest.raises(ValueError) as caught:
        find_pairs([str(pairs), str(tmp_path / "nowhere"), __file__], 4)
    message = str(caught.value)
    assert f"{__file__}: is a file, no folder of clips or pictures; make pairs FROM=" in message
    assert "h_GT.y4m is missing" in message and "has 5 frames" in message and "nowhere: no such folder" in message


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    """It says what was expected in the folder and how to make it."""
    with pytest.raises(
        ValueError, match=r"expected clips named Youku_00000_l\.y4m or pictures, found neither; make pairs"
    ):
        find_pairs([str(tmp_path)], 4)


def test_wrong_scale_is_explained(pairs: Path) -> None:
    """x4 pairs under --scale 2 are refused with both sizes."""
    with pytest.raises(ValueError, match=r"expected 64x48 \(x2 of Youku_00000_l.y4m\), got 128x96"):
        find_pairs([str(pairs)], 2)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "one bit", "pickle"])
def test_bad_checkpoints_are_refused(tmp_path: Path, damage: str) -> None:
    """A cut file, another file, and a pickle that would run code all give one sentence."""
    path = tmp_path / "last.pt"
    states.write_checkpoint(path, {"step": 1})
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "foreign":
        path.write_bytes(b"not a checkpoint")
    elif damage == "one bit":
        states.write_checkpoint(path, {"weight": torch.zeros(4000)})
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        torch.save({"format": 2, "run": os.system}, path)
    with pytest.raises(ValueError, match=r"last.pt: (expected a whole torch checkpoint|refused: loading)"):
        states.read_checkpoint(path)


@pytest.mark.parametrize("form", [torch.zeros(2), torch.zeros(0), "2", None, [2]])
def test_a_form_of_another_type_is_refused(tmp_path: Path, form: object) -> None:
    torch.save({"format": form}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt: is not a checkpoint of format 2"):
        states.read_checkpoint(tmp_path / "last.pt")


def test_settings_out_of_bounds_name_the_file(tmp_path: Path) -> None:
    """A config.toml that was edited; a carriage return alone ends no line, as TOML has it."""
    (tmp_path / "config.toml").write_bytes(b"lr = -1.0\n")
    with pytest.raises(ValueError, match=r"config\.toml: lr = -1\.0: expected a positive number"):
        run.resumed_config(tmp_path)
    (tmp_path / "config.toml").write_bytes(b"# a comment\rlr = 0.5\n")
    with pytest.raises(ValueError, match=r"config\.toml: not a TOML recipe"):
        run.resumed_config(tmp_path)
    with pytest.raises(ValueError, match=r"loss 'x+'\.\.\.: has 9999 letters, expected at most 1000"):
        TrainConfig(loss="x" * 9999)


def test_what_cannot_work_leaves_no_run_behind(pairs: Path, tmp_path: Path) -> None:
    """A missing VGG file of the second stage, a bad start and a bad layer are said before the folder is made."""
    late = {"pretrain_steps": 3, "loss": "l2+0.01*vgg19:relu5_4", "model": "espcn"}
    for changes in (late, {"init_from": str(tmp_path / "none.safetensors")}, {"train_only": ("tail",)}):
        made = settings(pairs, name="never", **changes)
        with pytest.raises(ValueError):
            run.start(made, progress=False)
        assert not made.folder.exists()


def test_resume_may_name_the_vgg_file_anew(pairs: Path, capsys: pytest.CaptureFixture) -> None:
    """Where a file lies is no setting of the run: --vgg-weights goes with --resume, other flags do not."""
    made = settings(pairs)
    run.start(made, progress=False)
    assert verb.main(["--resume", str(made.folder), "--batch", "3", "--steps", str(made.steps)]) == 1
    assert "drop --batch, or begin another run" in capsys.readouterr().err
    assert verb.main(["--resume", str(made.folder), "--batch", str(made.batch)]) == 0  # as `make train` repeats it
    assert verb.main(["--resume", str(made.folder), "--vgg-weights", "x.pth"]) == 1
    assert "vgg_weights = x.pth: has no effect on loss l1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vgg_weights": "x.pth"}, "vgg_weights = x.pth: has no effect on loss l1"),
        ({"discriminator": "enhancenet"}, "discriminator: has no effect on loss l1, which has no adversary"),
        ({"d_lr": 1e-3}, "d_lr: has no effect"),
        ({"pretrain_loss": "l1"}, "pretrain_loss = l1: has no effect without pretrain_steps"),
        ({"model": "vdsr", "scales": "2,4", "scale": 3}, "scale = 3: is not among scales = 2,4"),
        ({"clip_norm": float("nan")}, "clip_norm = nan: expected a number"),
        ({"lr": 1e-8}, "lr_min = 1e-06: expected at most lr = 1e-08"),
        ({"name": ".."}, "expected a plain folder name"),
        ({"seed": 1 << 70}, "expected less than 2"),
        ({"full_range": 1.5}, "full_range = 1.5: expected a share from 0 to 1"),
    ],
)
def test_options_without_effect_are_refused(changes: dict, words: str) -> None:
    """Nobody is left to think that a loss looked through VGG, or that there was an adversary."""
    with pytest.raises(ValueError, match=words):
        TrainConfig(**changes)


def test_a_run_is_never_overwritten(pairs: Path) -> None:
    """The same name again is refused with both ways out."""
    run.start(settings(pairs), progress=False)
    with pytest.raises(ValueError, match="go on with --resume .* or choose another --name"):
        run.start(settings(pairs), progress=False)


def test_a_damaged_run_folder_is_told(pairs: Path, capsys: pytest.CaptureFixture) -> None:
    """A cut config.toml never goes on with other settings, a fresh run never takes weights away, and each says the way out."""
    made = settings(pairs, steps=2, val_every=2)
    run.start(made, progress=False)
    folder, config_file = made.folder, made.folder / "config.toml"
    whole, best = config_file.read_text(), (made.folder / "best.safetensors").read_bytes()
    config_file.write_text(whole[: whole.index("lr_gamma")])
    with pytest.raises(
        ValueError, match=r"config.toml: its end is missing; put the whole file back, or begin a new run"
    ):
        run.resumed_config(folder)
    older = [
        line for line in whole.splitlines() if not line.startswith(("#", "keep_every"))
    ]  # of before there was that field
    config_file.write_text("\n".join(older))
    assert run.resumed_config(folder) == made
    config_file.write_text(whole)
    (folder / "last.pt").write_bytes((folder / "last.pt").read_bytes()[:999])
    with pytest.raises(ValueError, match=f"last.pt: .*may begin from its weights: --init-from {folder}"):
        run.start(run.resumed_config(folder), resume=True, progress=False)
    again = settings(pairs, name="again", steps=1, val_every=1, init_from=str(folder))
    assert run.start(again, progress=False).finished
    clip = [str(pairs / "Youku_00000_l.y4m"), str(pairs.parent / "o.y4m")]
    assert predict.main([*clip, "--weights", str(again.folder), "--device", "cpu"]) == 0
    assert f"on cpu; {again.folder / 'best.safetensors'}" in capsys.readouterr().err  # which of its files it took
    for left in ("last.pt", "last.safetensors"):
        (folder / left).unlink()
        with pytest.raises(ValueError, match="of a run already; choose another --name, or move it away"):
            run.start(made, progress=False)
    assert (folder / "best.safetensors").read_bytes() == best
    for path in (again.folder / "samples").iterdir():
        path.unlink()
    (again.folder / "samples").rmdir()
    (again.folder / "samples").touch()
    _longer(again.folder / "config.toml", 1, 2)
    with pytest.raises(ValueError, match="samples: expected a folder, found a file; move it away"):
        run.start(run.resumed_config(again.folder), resume=True, progress=False)


def _longer(config_file: Path, steps: int, more: int) -> None:
    config_file.write_text(config_file.read_text().replace(f"\nsteps = {steps}\n", f"\nsteps = {more}\n"))


def test_a_torn_log_and_a_missing_start_do_not_block_resume(pairs: Path) -> None:
    """A half-written log line is dropped; --init-from is needed only once."""
    first = settings(pairs, name="first", steps=3)
    run.start(first, progress=False)
    start = pairs.parent / "start.safetensors"
    (first.folder / "best.safetensors").rename(start)
    made = settings(pairs, name="second", steps=4, init_from=str(start))
    train_pairs, val_pairs = run.load_pairs(made)
    made.folder.mkdir(parents=True)
    state = states.make_state(made, torch.device("cpu"))
    state.step = 2
    states.write(states.content_of(state), made)
    start.unlink()
    (made.folder / "log.jsonl").write_text('{"step": 1, "loss": 1}\n{"step": 3, "loss": 1}\n{"step": 2, "lo')
    assert trainer.train(made, train_pairs, val_pairs, resume=True, progress=False).finished
    steps = [json.loads(line)["step"] for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 3, 3, 4, 4]


def test_vmaf_needs_are_checked_before_the_first_step(pairs: Path, tmp_path: Path) -> None:
    """--val-metric score on pictures is refused at once, and validation data must not be training data."""
    (tmp_path / "p").mkdir()
    for index in range(3):
        Image.new("RGB", (64, 64), (index, 2, 3)).save(tmp_path / "p" / f"{index}.png")
    with pytest.raises(ValueError, match=r"1.png: a picture, and VMAF is for clips; use --val-metric psnr"):
        run.start(settings(tmp_path / "p", val_metric="score"), progress=False)
    for clip_id in range(2):
        write_pair(tmp_path / "small", clip_id, 16, 8, 1, 2)
    with pytest.raises(
        ValueError, match=r"Youku_0000._l.y4m: VMAF: libvmaf measures no picture under 17x17, got 32x16"
    ):
        run.start(settings(tmp_path / "small", val_metric="score", patch_px=8, scale=2), progress=False)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="Youku_00000_l.y4m is in --data too"):
        run.load_pairs(settings(pairs, val_data=(str(pairs),)))


def test_flags_override_the_recipe(tmp_path: Path) -> None:
    """Defaults < recipe < flags."""
    path = tmp_path / "r.toml"
    path.write_text("batch = 3\nlr = 1\n")
    args = verb.main.parser().parse_args(["--recipe", str(path), "--batch", "5", "--no-augment"])
    made = config.from_flags(args, config.read_recipe(args.recipe))
    assert (made.batch, made.lr, made.augment, made.model) == (5, 1.0, False, "fsrcnn")


@pytest.mark.parametrize(
    ("flags", "pretrain"),
    [("", 15000), ("--steps 200", 150), ("--steps 1", 0), ("--pretrain-steps 9", 9), ("--pretrain-steps 0", 0)],
)
def test_a_stage_keeps_its_share_of_other_steps(flags: str, pretrain: int) -> None:
    """A recipe of two stages takes --steps as one of a single stage does."""
    made = verb.read_settings(verb.main.parser().parse_args(["--recipe", "1h", *flags.split()]))
    assert made.pretrain_steps == pretrain


@pytest.mark.parametrize(
    ("line", "name"),
    [("", "fsrcnn"), ("--model espcn", "espcn"), ("--recipe espcn", "espcn"), ("--recipe vdsr --name mine", "mine")],
)
def test_a_run_is_called_by_its_recipe_or_network(line: str, name: str) -> None:
    """As `make train RECIPE=...` calls it, unless --name says otherwise."""
    assert verb.read_settings(verb.main.parser().parse_args(line.split())).name == name


def test_the_first_steps_say_how_long_the_run_takes(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, by the pace after the first step, whether or not there is a bar; not where nothing is left."""
    clock = itertools.count()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: 2.0 * next(clock))
    pace = progress.Pace(102)
    told = [pace.after_step() for _ in range(102)]
    (sentence,) = filter(None, told)
    assert re.fullmatch(
        r"about \d+ (s|min) for (99|100) steps at 0\.\d+ steps/s, validations apart; Ctrl-C .*", sentence
    )
    monkeypatch.undo()
    monkeypatch.setattr(progress, "PACE_SEC", 0.0)
    said: list[str] = []
    run.start(settings(pairs, steps=3), progress=False, say=said.append)
    assert len([line for line in said if line.startswith("about ") and "for 1 step at" in line]) == 1


def test_a_finished_run_has_nothing_to_resume(pairs: Path, capsys: pytest.CaptureFixture) -> None:
    """It says so, and how to have more steps; no file of it changes."""
    made = settings(pairs, steps=2)
    run.start(made, progress=False)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in made.folder.iterdir()}
    assert verb.main(["--resume", str(made.folder)]) == 0
    told = capsys.readouterr().err
    assert f"{made.folder}: finished at step 2, all that it was to have; nothing to do." in told
    assert f"--init-from {made.folder} --steps N --name " in told and "going on" not in told
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in made.folder.iterdir()} == before


def test_tensorboard_gets_the_log_where_it_is_installed(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure of log.jsonl goes to TensorBoard's writer at its step; without the package nothing is asked of it."""
    told: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            assert folder.endswith("tensorboard") and purge_step is None

        def add_scalar(self, key: str, value: float, step: int) -> None:
            told.append((key, value, step))

        def close(self) -> None:
            told.append(("closed", 0.0, 0))

    for name in ("tensorboard", "torch.utils.tensorboard"):
        module = type(sys)(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.SummaryWriter = Writer  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    made = settings(pairs)
    run.start(made, progress=False)
    lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    figures = [(key, value, line["step"]) for line in lines for key, value in line.items() if key != "step"]
    assert told == [*figures, ("closed", 0.0, 0)]


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each: for whom, its network, length, about its time, and the first line of its file, a sentence of its own."""
    assert verb.main(["--list"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("edsr-baseline ")]
    assert "papers" in line and "300,000 x 16" in line and "Lim et al. 2017" in line and "32.09 dB" in line
    assert all("contest" in line for line in lines[:4]) and "papers" in lines[-1]
    times = {line.split()[0]: re.search(r" x \d+ +(~?\d+ \w+)", line)[1] for line in lines}
    told = {"10min": "9 minutes", "1h": "61 minutes", "demo": "1 minute", "overnight": "6 hours"}  # by their files
    assert {name: time for name, time in times.items() if time[0] != "~"} == told
    assert times["edsr"].endswith("days") and times["recurrent-s"] == "~2 h"  # eight frames a step
    for name in ("10min", "1h", "overnight"):  # for how long, where, and for what
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert re.search("(minutes|hours) on two cores", line)
        assert re.search(r"\+1\.\d in score; GPU not measured|gain and GPU not measured", line)
    assert len(lines) == len(list(config.RECIPES.glob("*.toml"))) and all(line[-1] in ".:)" for line in lines)


def test_killed_after_its_first_weights_a_run_goes_on(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run begins from is kept as its best after the state is there to be resumed."""
    made = settings(pairs, model="fsrcnn", init_from="shipped", steps=2, val_every=2)
    with monkeypatch.context() as patched:

        def killed(*_: object) -> None:
            raise RuntimeError("killed")

        patched.setattr(trainer, "save_weights", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run.start(made, progress=False)
    assert run.start(made, resume=True, progress=False).finished
    assert (made.folder / "best.safetensors").exists()


@pytest.mark.parametrize("pretrain", [{}, {"pretrain_steps": 2, "pretrain_loss": "l1", "loss": "l2"}])
def test_a_fine_tune_that_spoils_its_weights_keeps_them(
    pairs: Path, pretrain: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a run begins from is validated first; where no step is better, best.safetensors are those, and that is said."""
    told: list[str] = []
    made = settings(pairs, model="fsrcnn", init_from="shipped", lr=1.0, steps=4, val_every=2, ema=0.0, **pretrain)
    run.start(made, progress=False, say=told.append)
    assert any("step 0: validation" in line and "begins from" in line for line in told)
    best, about = weights.read(made.folder / "best.safetensors")
    start = shipped.find(("fsrcnn",), 4)
    assert about["step"] == "0" and start
    assert all(torch.equal(best[key], value) for key, value in weights.read(start.path)[0].items())
    assert sum("dB above bicubic (" in line or "dB BELOW bicubic (" in line for line in told) == 1
    line = ["--data", str(pairs), "--model", "fsrcnn", "--init-from", "shipped", "--lr", "1", "--ema", "0"]
    line += [
        "--steps",
        "2",
        "--val-every",
        "2",
        "--val-metric",
        "psnr",
        "--runs",
        str(made.folder),
        "--batch",
        "2",
        "--patch-px",
        "16",
    ]
    assert verb.main(line) == 0
    assert "no step was better than the weights that it began from" in capsys.readouterr().err
    assert "0 (its start)" in run_logs.summary_table([run_logs.read_log(made.folder)])
    (pairs / "low").mkdir()
    shutil.copy(next(pairs.glob("*_l.y4m")), pairs / "low")
    assert predict.main([str(pairs / "low"), str(pairs / "out"), "--weights", str(made.folder), "--device", "cpu"]) == 0
    assert "no step of its run was better than the weights that it began from" in capsys.readouterr().err
    assert {records.model_of(path) for path in (pairs / "out").glob("*.y4m")} == {"fsrcnn x4, as its run began"}


def test_a_log_has_fifty_lines_or_more(pairs: Path) -> None:
    """As many steps apart as give that, 100 at most; --log-every says another number."""
    usual = {steps: settings(pairs, steps=steps, log_every=0).log_steps for steps in (6, 100, 400, 5000, 20000)}
    assert usual == {6: 1, 100: 2, 400: 8, 5000: 100, 20000: 100}
    assert settings(pairs, steps=400, log_every=70).log_steps == 70


def test_the_first_validation_says_where_bicubic_stands(pairs: Path) -> None:
    """A run below bicubic is told in words, once; so is one above it."""
    told: list[str] = []
    made = settings(pairs, steps=4, val_every=2)
    run.start(made, progress=False, say=told.append)
    (line,) = [line for line in told if "bicubic" in line]
    wanted = r"\d+\.\d{3} dB BELOW bicubic \(\d+\.\d{3} dB\) so far; train on, or begin from trained weights .*"
    assert re.fullmatch(wanted, line)
    clips = find_pairs([str(pairs)], 4)
    low = against_bicubic(99.0, clips, 2)
    assert re.fullmatch(r"\d+\.\d{3} dB above bicubic \(\d+\.\d{3} dB\)", low)


def test_a_run_begins_from_the_shipped_weights(pairs: Path) -> None:
    """`shipped` names the kit's own for compressed input, of another scale where there is none of this; none is told."""
    assert shipped.start_of("a.pth", "pairs-s", 4) == "a.pth"
    assert shipped.start_of("shipped", "pairs-m", 4).endswith("pairs_m_x4_video.safetensors")
    assert shipped.start_of("shipped", "pairs-m", 2).endswith("pairs_m_x4_video.safetensors")
    assert shipped.start_of("shipped-clean", "pairs-s", 3).endswith("pairs_s_x3_clean.safetensors")
    assert shipped.start_of("shipped", "recurrent-s", 2).endswith("pairs_s_x2_video.safetensors")
    made = states.make_state(settings(pairs, model="fsrcnn", init_from="shipped"), torch.device("cpu"))
    assert made.transfer is not None and not made.transfer.new
    with pytest.raises(ValueError, match="the kit brings no weights of espcn, but of fsrcnn, pairs-s"):
        states.make_state(settings(pairs, model="espcn", init_from="shipped"), torch.device("cpu"))


def test_what_best_means_follows_the_data(pairs: Path, tmp_path: Path) -> None:
    """Clips are validated by the score where it can be measured, pictures by PSNR; the run's config says which."""
    told: list[str] = []
    made = settings(pairs, val_metric="auto", steps=1, val_every=1)
    run.start(made, progress=False, say=told.append)
    wanted = "score" if ffmpeg.has_libvmaf() else "psnr"
    assert run.resumed_config(made.folder).val_metric == wanted
    (tmp_path / "p").mkdir()
    for name in "ab":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)).save(
            tmp_path / f"p/{name}.png"
        )
    pictures = settings(tmp_path / "p", val_metric="auto", steps=1, val_every=1, name="pictures")
    run.start(pictures, progress=False, say=told.append)
    assert run.resumed_config(pictures.folder).val_metric == "psnr"
    assert any(line.startswith("validated by PSNR alone: ") and ".png" in line for line in told)


def test_a_fine_tune_keeps_how_its_start_wants_pictures(pairs: Path) -> None:
    """FSRCNN of the kit repeats edges and clips luma to 16-235; so do the weights of a run that began from it."""
    made = settings(pairs, model="fsrcnn", init_from="shipped")
    run.start(made, progress=False)
    _, about = weights.read(made.folder / "best.safetensors")
    assert (about["edges"], about["input_range"]) == ("replicate", "16-235")
    lines = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    network = weights.load(made.folder / "best.safetensors", None, None, torch.device("cpu"))
    again = trainer.validation.validate(network, run.load_pairs(made)[1], made.val_frames, False)
    best = max(line["val_psnr"] for line in lines if "val_psnr" in line)
    assert again.psnr == pytest.approx(best, abs=1e-3)  # what was validated is what is run


def test_a_finished_run_leaves_nothing_of_a_killed_save(pairs: Path) -> None:
    """Killed between the last save's two files, it is found finished and writes nothing; what was half written goes."""
    made = settings(pairs, steps=2, val_every=2)
    run.start(made, progress=False)
    left = _leftover(made.folder, start="1")
    assert run.start(made, resume=True, progress=False).finished
    assert not left.exists() and (made.folder / "last.safetensors").exists()

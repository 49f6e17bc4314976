"""Soup: the mean is kept where it validates better than the best checkpoint, and nothing is written where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from youku import soup
from youku.engines import shipped, weights
from youku.training import fields
from youku.training.config import TrainConfig


@pytest.fixture
def runs(pairs: Path, tmp_path: Path) -> Path:
    """Two run folders whose weights lie as far from the shipped ones, on opposite sides; a third, of another network."""
    entry = shipped.find(("fsrcnn",), 4)
    assert entry is not None
    state, about = weights.read(entry.path)
    kept = {key: value for key, value in about.items() if key not in ("model", "scale")}
    torch.manual_seed(0)
    noise = {key: 0.05 * torch.randn_like(value) * value.abs().mean() for key, value in state.items()}
    folder = tmp_path / "runs"
    for name, sign in (("up", 1), ("down", -1), ("far", 30)):
        config = TrainConfig(
            data=(str(pairs),), val_clips=1, val_metric="psnr", runs=str(folder), name=name, device="cpu"
        )
        config.folder.mkdir(parents=True)
        (config.folder / "config.toml").write_text(fields.to_toml(config, {}))
        moved = {key: value + sign * noise[key] for key, value in state.items()}
        weights.save(config.folder / "best.safetensors", moved, "fsrcnn", 4, kept)
    return folder


def test_a_mean_that_validates_better_is_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the two that cancel, not of the third; the file is weights like any other, and says what it is made of."""
    assert soup.main([str(runs / name) for name in ("far", "up", "down")]) == 0
    out, err = capsys.readouterr()
    assert "far/soup.safetensors: mean of 2, PSNR" in out and err.count("PSNR") == 5
    state, about = weights.read(runs / "far/soup.safetensors")
    entry = shipped.find(("fsrcnn",), 4)
    assert entry is not None
    for key, value in weights.read(entry.path)[0].items():
        assert torch.allclose(state[key], value, atol=1e-6)
    assert about["edges"] == "replicate" and "up/best.safetensors" in about["soup"] and "far" not in about["soup"]


def test_a_mean_that_does_not_rise_is_not_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is an input touched."""
    assert soup.main([str(runs / "up"), str(runs / "far"), "--out", str(runs / "mixed.safetensors")]) == 0
    assert "no mean rises above" in capsys.readouterr().out and not (runs / "mixed.safetensors").exists()


def test_damaged_weights_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file itself, of several; nothing is written."""
    damaged = runs / "down/best.safetensors"
    state, about = weights.read(damaged)
    kept = {key: value for key, value in about.items() if key not in ("model", "scale")}
    weights.save(damaged, {key: value * float("nan") for key, value in state.items()}, "fsrcnn", 4, kept)
    assert soup.main([str(runs / name) for name in ("up", "down", "far")]) == 1
    assert f"error: {damaged}: the network's output is not finite" in capsys.readouterr().err
    assert not list(runs.rglob("soup.safetensors"))


def test_what_does_not_mix_is_one_sentence(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another network, one checkpoint alone, the same twice, no run to validate by, an output that is an input."""
    other = shipped.find(("fsrcnn",), 2)
    assert other is not None
    up = str(runs / "up")
    for line, status, words in (
        ([up, str(other.path)], 1, "differ in scale; a soup needs checkpoints of one network"),
        ([up], 1, "expected two or more checkpoints"),
        ([up, up], 1, "one is named twice"),
        ([f"{up}/best.safetensors", str(other.path)], 2, "expected a run whose validation counts"),
        ([up, str(runs / "down"), "--out", f"{up}/best.safetensors"], 1, "is the input"),
        ([up, str(runs / "down"), "--out", up], 1, "up: expected a file, found a folder"),
    ):
        try:
            told = soup.main(line)
        except SystemExit as stop:
            told = stop.code
        assert told == status, line
        said = capsys.readouterr().err
        assert words in said and "PSNR" not in said, line  # before anything was validated

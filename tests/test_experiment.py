"""Controlled experiments: every shipped one is valid, a small one runs, goes on and prints its table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.test_training_data import write_pictures
from youku.experiment import main
from youku.training import experiment

SMALL = """
question = "Many steps or few?"
source = "a test"
tests = ["matlab-bicubic", "box"]
[base]
model = "espcn"
scale = 2
patch_px = 8
batch = 2
val_metric = "psnr"
[variants.two]
steps = 2
[variants.one]
steps = 1
"""


@pytest.mark.parametrize("name", experiment.names())
def test_every_experiment_is_valid_and_changes_little(name: str) -> None:
    """All variants are good settings, differ from each other, and share everything that [base] says or they change."""
    told = experiment.read(name)
    settings = experiment.configs(told, "runs", {})
    assert len(settings) >= 2 and told.question and told.source
    assert len({str(sorted(changes.items())) for changes in told.variants.values()}) == len(settings)


def test_a_small_experiment_runs_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Two variants, two tests: a value for each; run again, nothing is trained anew and the figures are the same."""
    (tmp_path / "e.toml").write_text(SMALL)
    folder = write_pictures(tmp_path / "p", number=4)
    command = [str(tmp_path / "e.toml"), "--data", str(folder), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in rows] == ["two", "one"] and all(len(row["psnr"]) == 2 for row in rows)
    assert rows[0]["psnr"] != rows[1]["psnr"] and rows[0]["bicubic"] == rows[1]["bicubic"]
    written = (tmp_path / "runs" / "e" / "two" / "log.jsonl").read_text()
    assert main(command) == 0
    out = capsys.readouterr().out
    assert (tmp_path / "runs" / "e" / "two" / "log.jsonl").read_text() == written
    assert "Many steps or few?  [a test]" in out and f"{rows[0]['psnr'][0]:.2f}" in out and "steps = 2" in out


def test_tests_shrink_afresh_what_brings_its_own_low_resolution(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A validation set with a low-resolution folder is still tested under each resizer: the columns differ."""
    (tmp_path / "e.toml").write_text(SMALL)
    folder = write_pictures(tmp_path / "p", number=3)
    high = write_pictures(tmp_path / "set" / "HR", number=1)
    low = tmp_path / "set" / "LR_bicubic" / "X2"
    low.mkdir(parents=True)
    Image.new("RGB", (48, 36), (9, 9, 9)).save(low / "0x2.png")
    command = [str(tmp_path / "e.toml"), "--data", str(folder), "--val-data", str(high.parent), "--json"]
    assert main([*command, "--runs", str(tmp_path / "runs"), "--device", "cpu"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["bicubic"][0] != row["bicubic"][1] and min(row["bicubic"]) > 12


def test_other_settings_do_not_mix_with_an_old_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A finished variant with other settings is refused, not silently reported."""
    (tmp_path / "e.toml").write_text(SMALL)
    folder = write_pictures(tmp_path / "p", number=4)
    command = [str(tmp_path / "e.toml"), "--data", str(folder), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert main(command) == 0
    assert main([*command, "--batch", "3"]) == 1
    assert "holds a run with other settings" in capsys.readouterr().err


def test_overrides_show_and_idle_ones_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The table tells the settings that were used; a flag that every variant sets itself would change nothing."""
    (tmp_path / "e.toml").write_text(SMALL)
    folder = write_pictures(tmp_path / "p", number=4)
    command = [str(tmp_path / "e.toml"), "--data", str(folder), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    assert main([*command, "--batch", "3"]) == 0
    assert "batch = 3" in capsys.readouterr().out
    assert main([*command, "--steps", "9"]) == 1
    assert "--steps: every variant sets it itself" in capsys.readouterr().err


def test_bad_experiments_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Unknown names list the known ones; unknown keys are named; none at all is a usage error."""
    assert main(["l1-or-l2"]) == 1
    assert "one of batch-norm" in capsys.readouterr().err
    (tmp_path / "e.toml").write_text("[base]\n[variants.a]\nstepz = 1\n")
    assert main([str(tmp_path / "e.toml")]) == 1
    assert "[variants.a]: unknown key stepz" in capsys.readouterr().err
    (tmp_path / "e.toml").write_text("question = 'what'\n")
    assert main([str(tmp_path / "e.toml")]) == 1
    assert "at least one variant" in capsys.readouterr().err
    for content, words in (
        ("[variants]\na = 1\n", "a table [variants.NAME] each"),
        ("tests = 'box'\n[variants.a]\nsteps = 1\n", "tests = 'box': expected a list"),
        ("tests = ['bocks']\n[variants.a]\nsteps = 1\n", "expected a list of matlab-bicubic"),
        ("base = 'x'\n[variants.a]\nsteps = 1\n", "base: expected a table"),
    ):
        (tmp_path / "e.toml").write_text(content)
        assert main([str(tmp_path / "e.toml")]) == 1
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_the_list_tells_the_questions(capsys: pytest.CaptureFixture) -> None:
    """--list shows every experiment of the kit."""
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in experiment.names()) and "L1 or L2?" in out

"""bench: every figure is a rate above 0, what is too slow is left out, and JSON says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import moved
from youku import bench
from youku.looking import speed


def test_a_short_run_prints_every_kind_of_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Networks, predictions beside the bare network, training steps, the disk; then what limits."""
    monkeypatch.setattr(speed, "NETWORKS", ("fsrcnn",))
    monkeypatch.setattr(speed, "TRAINED", ("fsrcnn",))
    monkeypatch.setattr(speed, "SIZES", ((48, 32), (96, 64)))
    monkeypatch.setattr(speed, "DISK_BYTES", 1 << 24)
    assert bench.main(["--device", "cpu", "--seconds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    kinds = {row["what"].split()[0] for row in found["figures"]}
    assert {"write,", "read", "fsrcnn", "predict", "train"} <= kinds and "cpu" in found["machine"]
    assert all(row["rate"] > 0 for row in found["figures"])
    assert {row["what"] for row in found["figures"] if row["of_bare"]} == {
        "predict fsrcnn, y4m to y4m, 48x32 x4",
        "train fsrcnn, batch 16 of 48 px",
    }
    assert len(found["limits"]) >= 2
    assert bench.main(["--seconds", "0"]) == 1


def test_rate_counts_calls_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow first call is a warm-up; one that takes the whole share is the figure."""
    now = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])

    def act(seconds: list[float]) -> None:
        now[0] += seconds.pop(0)

    assert speed.rate(lambda takes=[0.5, 0.25, 0.25, 0.5]: act(takes), 1, torch.device("cpu")) == pytest.approx(3)  # type: ignore[misc]
    assert speed.rate(lambda takes=[5.0]: act(takes), 1, torch.device("cpu")) == pytest.approx(0.2)  # type: ignore[misc]


def test_a_slow_disk_is_named() -> None:
    """A disk that takes fewer frames than are predicted is what limits."""
    rows: list[speed.Row] = [("write, synced", 31.1, "MB/s", None), ("predict fsrcnn", 20.0, "frames/s", 0.5)]
    told = speed.limits(rows)
    assert "50% of the bare network" in told[0] and "takes 10 frames of 1080p a second" in told[1]


def test_what_moved_between_two_runs_of_the_benchmarks(tmp_path: Path) -> None:
    """A line whose figure moved by more than the noise, beside the one before; a script that needs an input is left out."""
    (tmp_path / "a.py").write_text("import pathlib; print(pathlib.Path('figures').read_text())")
    (tmp_path / "needs.py").write_text(
        "import argparse; p = argparse.ArgumentParser(); p.add_argument('film'); p.parse_args()"
    )
    line = [sys.executable, Path(moved.__file__), "--scripts", tmp_path, "--kept", tmp_path / "kept"]
    told = []
    for figures in (
        "x2  3.10 s\nx2  1,000 s\nsame 5",
        "x2  3.05 s\nx2  2,000 s\nsame 5\nnew 7",
        "x2  3.05 s\nx2  2,000 s\nsame 5\nnew 7",
    ):
        (tmp_path / "figures").write_text(figures)
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        told.append(done.stdout.splitlines())
    assert told[0] == ["== a.py", "x2  3.10 s", "x2  1,000 s", "same 5", "== needs.py", told[0][-1]]
    assert told[0][-1].startswith("needs an input") and "film" in told[0][-1]
    assert told[1][1:-2] == ["x2 1,000 s -> x2 2,000 s".replace(" -> ", "  ->  ")] and told[2][1] == "nothing moved"
    (tmp_path / "needs.py").write_text("raise SystemExit(3)")
    assert subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False).returncode == 1

"""The doctor finds what is there and says what to do about what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from youku import contest, doctor
from youku.video import ffmpeg


def test_a_working_machine_has_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Exit 0, python, torch, ffmpeg and libvmaf named; every note carries advice."""
    assert doctor.main(["--json", "--data", str(tmp_path)]) == 0
    checks = json.loads(capsys.readouterr().out)
    found = {check["what"]: check for check in checks}
    assert {"python", "torch", "device", "ffmpeg", "libvmaf", "disk", "train clips"} <= set(found)
    assert "vmaf_v0.6.1" in found["libvmaf"]["found"]
    assert all(check["advice"] for check in checks if check["status"] != "ok")


def test_a_broken_ffmpeg_is_a_problem_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """IMAGEIO_FFMPEG_EXE pointing at something else is reported, exit 1."""
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    for cached in (ffmpeg.binary, ffmpeg.ask, ffmpeg.passthrough):
        cached.cache_clear()
    try:
        assert doctor.main(["--data", str(tmp_path)]) == 1
        assert "set IMAGEIO_FFMPEG_EXE" in capsys.readouterr().out
    finally:
        for cached in (ffmpeg.binary, ffmpeg.ask, ffmpeg.passthrough):
            cached.cache_clear()


def test_pairs_are_counted(tmp_path: Path) -> None:
    """A missing ground truth shows as an uneven count."""
    folder = tmp_path / "clips" / "train"
    folder.mkdir(parents=True)
    for name in (contest.low_name(0), contest.high_name(0), contest.low_name(1)):
        (folder / name).write_bytes(b"")
    train, val, *_ = doctor.check_data(tmp_path)
    assert train.found == "2 low, 1 ground truth" and train.status == "note"
    assert val.found == "none" and "make pairs FROM=another_video.mp4 INTO=val" in val.advice


def test_sets_of_the_readme_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that the README names: where it lies, here or in the data folder, or where people get it, with the licence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/t91").mkdir(parents=True)
    (tmp_path / "SMFANet_plus_DF2K_100w_x4SR.pth").touch()
    set5, t91, network = doctor.check_public(Path("data"))
    assert (set5.status, t91.found, network.found) == ("note", "data/t91", "SMFANet_plus_DF2K_100w_x4SR.pth")
    assert "PAN" in set5.advice and "licence" in set5.advice
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert all(f" {name} " in readme for name in doctor.PUBLIC)


def test_first_steps_are_those_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing: own pairs, the contest's clips or the demo, then training; with a run, the rehearsal."""
    monkeypatch.chdir(tmp_path)
    told = [one.advice for one in doctor.check_data(tmp_path)]
    wanted = ("make pairs FROM=", "make demo"), ("INTO=val", "make download"), ("make download",), ("make train",)
    assert all(word in advice for advice, words in zip(told, wanted, strict=True) for word in words)
    (tmp_path / "runs/1h").mkdir(parents=True)
    (tmp_path / "runs/1h/best.safetensors").touch()
    runs = doctor.check_data(tmp_path)[-1]
    assert runs.found == "1h" and "make rehearsal" in runs.advice

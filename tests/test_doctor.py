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
    train, val, _ = doctor.check_data(tmp_path)
    assert train.found == "2 low, 1 ground truth" and train.status == "note"
    assert val.found == "none"

"""benchmarks/sharpening.py: which clips it takes, and that a mask moves the figures as it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import textured_frame, write_pair
from youku import contest
from youku.exchange.score_clips import Scoring
from youku.exchange.scorefile import write_score
from youku.video import ffmpeg, interpolate, y4m


@pytest.fixture(scope="module")
def sharpening() -> Any:
    path = Path(__file__).parents[1] / "benchmarks" / "sharpening.py"
    found = importlib.util.spec_from_file_location("sharpening", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_worst_and_the_median_clip_are_taken(sharpening: Any) -> None:
    """Neighbouring frames in the middle of the clip with the lowest and the one with the median PSNR."""
    clips = [
        {"id": f"{index:05d}", "whole": True, "frames": list(range(10)), "submission": {"psnr": float(decibels)}}
        for index, decibels in enumerate((33, 31, 35, 30, 32))
    ]
    chosen = sharpening.choose(clips)
    assert [(clip["id"], why) for why, clip, _ in chosen] == [("00003", "lowest PSNR"), ("00004", "median PSNR")]
    assert [list(positions) for *_, positions in chosen] == [[3, 4, 5, 6]] * 2
    assert len(sharpening.choose(clips[:1])) == 1


def test_without_a_mask_a_frame_is_itself(sharpening: Any) -> None:
    """Amount 0 gives the very planes; a mask changes luma alone."""
    header = y4m.make_header(48, 32)
    planes = textured_frame(header, 0)
    assert sharpening.sharpened(planes, header, 0.0, 0.0) is planes
    masked = sharpening.sharpened(planes, header, 1.5, 0.5)
    assert not np.array_equal(masked[0], planes[0]) and masked[1] is planes[1]


@pytest.mark.skipif(not ffmpeg.has_libvmaf(), reason="this ffmpeg has no libvmaf")
def test_a_scored_submission_gives_a_table(
    sharpening: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sharpened bicubic: VMAF rises, and the score is 0.8 PSNR + 0.2 VMAF of the same row."""
    monkeypatch.setattr(sharpening, "SIGMAS_PX", (1.5,))
    monkeypatch.setattr(sharpening, "AMOUNTS", (0.5,))
    write_pair(tmp_path / "clips", 150, 32, 24, 2)
    low = y4m.Clip(tmp_path / "clips" / contest.low_name(150))
    with y4m.create(tmp_path / "pred" / contest.result_name(150, True), low.header.resized(128, 96)) as writer:
        for planes in low:
            writer.write(interpolate.upscale(planes, low.header, 4))
    clips, test_set = tmp_path / "clips", contest.test_set("150-150")
    write_score(Scoring(tmp_path / "pred", clips, clips, test_set, with_vmaf=False).score(), tmp_path)
    assert sharpening.main([str(tmp_path)]) == 0
    *_, bare, masked = (list(map(float, line.split())) for line in capsys.readouterr().out.splitlines()[2:4])
    assert bare[1] == 0 and masked[3] > bare[3]
    assert masked[5] == pytest.approx(0.8 * masked[2] + 0.2 * masked[3], abs=2e-3)

"""The whole way in small: stand-in clips to report, through the very functions of the verbs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from youku import demo
from youku.video import standin, y4m


def halved(scene: standin.Scene) -> standin.Scene:
    """The scene at half its size, in whole low-resolution pixels; what was odd stays odd."""
    odd_px = scene.width_px % 8
    return dataclasses.replace(scene, width_px=scene.width_px // 16 * 8 + odd_px, height_px=104 + odd_px)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of 20 training steps on small and shortened scenes."""
    out = tmp_path_factory.mktemp("demo")
    patch = pytest.MonkeyPatch()
    patch.setattr(standin, "NUM_FRAMES", 26)
    patch.setattr(standin, "TRAIN_SCENES", tuple(map(halved, standin.TRAIN_SCENES[-3:])))
    patch.setattr(standin, "VAL_SCENES", tuple(map(halved, standin.VAL_SCENES)))
    try:
        assert demo.main(["--out", str(out), "--steps", "20"]) == 0
        assert demo.main(["--out", str(out), "--steps", "20"]) == 0  # a second run finds everything done
    finally:
        patch.undo()
    return out


def test_demo_makes_a_checked_submission(made: Path) -> None:
    """Eight files, five whole and three sampled, names by id, one odd-sized."""
    with zipfile.ZipFile(made / "submissions/demo/demo.zip") as archive:
        names = archive.namelist()
    assert names == [demo.TEST_SET.name(clip_id) for clip_id in demo.TEST_SET.ids]
    predictions = made / "runs/demo/predictions"
    assert [y4m.Clip(predictions / name).num_frames for name in names] == [26] * 5 + [2] * 3
    odd = y4m.Clip(made / "clips/val/Youku_00151_l.y4m").header
    assert odd.width % 2 == 1 and odd.height % 2 == 1


def test_demo_scores_both_rows_and_writes_the_page(made: Path) -> None:
    """score.json holds submission and bicubic; the report is one page without outside requests."""
    result = json.loads((made / "submissions/demo/score.json").read_text())
    assert {"submission", "bicubic"} <= set(result["totals"])
    assert result["totals"]["bicubic"]["psnr"] > 20
    page = (made / "submissions/demo/report.html").read_text()
    assert "Youku_00150" in page and "<script src" not in page


def test_stand_in_clips_have_what_they_promise() -> None:
    """Bars are studio black, the cut is a cut, the camera moves, the same scene gives the same bytes."""
    bars = next(iter(standin.scene_frames(standin.VAL_SCENES[2], 1)))
    assert (bars[0][: standin.BAR_PX] == 16).all() and (bars[1][: standin.BAR_PX // 2] == 128).all()
    assert bars[0][standin.BAR_PX :].std() > 10
    frames = [planes[0].astype(int) for planes in standin.scene_frames(standin.VAL_SCENES[3], 6)]
    steps = [float(np.abs(a - b).mean()) for a, b in itertools.pairwise(frames)]
    assert steps[2] == max(steps) and min(steps) > 0.1
    again = [planes[0].astype(int) for planes in standin.scene_frames(standin.VAL_SCENES[3], 6)]
    assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))

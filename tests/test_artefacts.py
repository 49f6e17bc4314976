"""artefacts: flicker, overshoot and colour shift are what their definitions say, and `score --artefacts` shows them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_clip
from youku import contest, score
from youku.exchange import scorefile, totals
from youku.metrics import artefacts
from youku.video import interpolate, y4m
from youku.video.y4m import Planes

TEST_SET = "150-155"  # 150-154 whole, 155 sampled
HEADER = y4m.make_header(64, 48)
NUM_FRAMES = 3


def noise(seed: int, shape: tuple[int, int] = (48, 64), low: int = 60, high: int = 180) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def frame(seed: int) -> Planes:
    return noise(seed), noise(seed + 1, (24, 32)), noise(seed + 2, (24, 32))


def test_flicker_is_change_that_is_not_in_the_film() -> None:
    """An error that stands still costs nothing, one that comes and goes by d costs d, at any depth."""
    before, now = noise(0), noise(1)
    assert artefacts.flicker(now + 9, before + 9, now, before) == 0
    assert artefacts.flicker(now + 9, before + 4, now, before) == 5
    assert artefacts.flicker(now, before + 9, now, before) == 9
    deep = [plane.astype(np.uint16) * 4 for plane in (now + 9, before + 4, now, before)]
    assert artefacts.flicker(*deep, depth=10) == 5


def test_overshoot_counts_samples_beyond_the_truth_beside_edges() -> None:
    """A step of 50 to 150: only the two columns on each side count, and only beyond the tolerance of 4."""
    high = np.where(np.arange(32) < 16, 50, 150).astype(np.uint8) + np.zeros((20, 1), np.uint8)
    assert artefacts.overshoot(high, high) == (0, 20 * 4)
    pred = high.copy()
    pred[:, 16] += 5  # halo on the bright side
    pred[:, 14] -= 4  # within the tolerance
    pred[:, 25] += 50  # far from any edge
    assert artefacts.overshoot(pred, high) == (20, 80)
    assert artefacts.overshoot(pred.astype(np.uint16) * 4, high.astype(np.uint16) * 4, depth=10) == (20, 80)


def test_sharpening_overshoots_and_blurring_does_not() -> None:
    """An unsharp mask on a soft edge leaves the truth's range, a blurred one stays within it."""
    from skimage.filters import gaussian

    high = 100 + 60 * np.tanh((np.arange(64) - 32) / 1.5) + np.zeros((40, 1))
    soft = gaussian(high, 2.0, preserve_range=True)
    truth = high.round().astype(np.uint8)
    sharp = (high + 1.0 * (high - soft)).round().astype(np.uint8)
    assert artefacts.overshoot(soft.round().astype(np.uint8), truth)[0] == 0
    assert artefacts.overshoot(sharp, truth)[0] > 40


def test_colour_shift_has_a_sign_a_plane() -> None:
    """Mean difference of each plane, in code values of 8 bit whatever the depth."""
    high = frame(0)
    pred = (high[0] + np.uint8(3), high[1] - np.uint8(2), high[2])
    assert artefacts.colour_shift(pred, high) == pytest.approx((3, -2, 0))
    deep = [tuple(plane.astype(np.uint16) * 4 for plane in planes) for planes in (pred, high)]
    assert artefacts.colour_shift(*deep, depth=10) == pytest.approx((3, -2, 0))


def test_gauge_takes_flicker_between_neighbours_only() -> None:
    """Frames 0, 1 and 25 have one pair of neighbours; a clip without any, or without edges, has None."""
    gauge = artefacts.Gauge()
    for index, error in ((0, 0), (1, 6), (25, 30)):
        high = frame(index)
        gauge.add(index, (high[0] + np.uint8(error), *high[1:]), high)
    assert gauge.result().flicker == 6
    assert gauge.result().shift_y == pytest.approx(12)
    lone, flat = artefacts.Gauge(), tuple(np.full_like(plane, 90) for plane in frame(0))
    lone.add(0, flat, flat)
    assert lone.result().flicker is None and lone.result().overshoot_percent is None


def test_mono_has_no_chroma_shift() -> None:
    """One plane gives one shift."""
    gauge = artefacts.Gauge()
    gauge.add(0, (noise(0),), (noise(0),))
    assert gauge.result().shift_u is None and gauge.result().shift_y == 0


def test_opposite_tints_do_not_cancel_in_the_totals() -> None:
    """Two clips of +2 and -2 are off by 2."""
    clips = [
        artefacts.Artefacts(flicker=None, overshoot_percent=1.0, shift_y=sign * 2.0, shift_u=None, shift_v=None)
        for sign in (1, -1)
    ]
    assert totals.artefact_totals(clips) == {
        "flicker": None, "overshoot_percent": 1.0, "shift_y": 2.0, "shift_u": None, "shift_v": None
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, and a submission whose every second frame is 8 brighter."""
    root = tmp_path_factory.mktemp("artefacts")
    test_set = contest.test_set(TEST_SET)
    for clip_id in test_set.ids:
        highs = [frame(100 * clip_id)] * NUM_FRAMES
        lows = [interpolate.downscale(planes, HEADER, 4) for planes in highs]
        sent = test_set.frames(clip_id, NUM_FRAMES)
        preds = [(highs[i][0] + np.uint8(8 * (i % 2)), *highs[i][1:]) for i in sent]
        for path, header, frames in (
            (root / "clips" / contest.high_name(clip_id), HEADER, highs),
            (root / "clips" / contest.low_name(clip_id), HEADER.resized(16, 12), lows),
            (root / "pred" / test_set.name(clip_id), HEADER, preds),
        ):
            write_clip(path, header, frames)
    return root


def line_of(folder: Path, out: Path) -> list[str]:
    clips = str(folder / "clips")
    line = [str(folder / "pred"), "--low", clips, "--high", clips, "--test-set", TEST_SET]
    return [*line, "--no-vmaf", "--jobs", "1", "--out", str(out)]


def test_score_shows_both_systems_and_the_report_still_reads_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows on stdout, an entry a clip in score.json, columns in score.csv; the reader takes the file."""
    assert score.main([*line_of(folder, tmp_path), "--artefacts"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.split("artefacts ")[1].splitlines() if line.startswith("pred"))
    assert row.split()[1] == "8.000"
    saved = json.loads((tmp_path / "score.json").read_text())
    assert saved["artefacts"]["submission"]["flicker"] == 8 and saved["artefacts"]["bicubic"]["flicker"] == 0
    assert saved["clips"][5]["artefacts"]["submission"]["flicker"] is None  # sampled
    assert scorefile.read_score(tmp_path)["totals"]["submission"]["psnr"] > 20
    with (tmp_path / "score.csv").open() as file:
        assert float(next(csv.DictReader(file))["flicker"]) == 8


def test_without_the_flag_nothing_changes(folder: Path, tmp_path: Path) -> None:
    """score.json has no new key and score.csv no new column."""
    assert score.main(line_of(folder, tmp_path)) == 0
    saved = json.loads((tmp_path / "score.json").read_text())
    assert "artefacts" not in saved and "artefacts" not in saved["clips"][0]
    assert "flicker" not in (tmp_path / "score.csv").read_text()

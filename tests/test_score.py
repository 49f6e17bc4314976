"""score: shipped bytes against ground truth under every convention, beside bicubic on the same frames."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from youku import contest, predict, score
from youku.engines import shipped
from youku.exchange import pairing, scorefile
from youku.exchange.score_clips import Scoring
from youku.exchange.submission import Submission, make_submission
from youku.exchange.totals import Reading, format_table
from youku.metrics import psnr, ssim, vmaf
from youku.video import ffmpeg, interpolate, y4m
from youku.video.y4m import Planes, make_header

TEST_SET = contest.test_set("150-155")  # 150-154 whole, 155 sampled
NUM_FRAMES = {True: 4, False: 26}  # of a clip sent whole, of a sampled one (frames 0 and 25)
HEADER = make_header(160, 96)

needs_libvmaf = pytest.mark.skipif(not ffmpeg.has_libvmaf(), reason="this ffmpeg has no libvmaf")


def high_frame(clip_id: int, index: int) -> Planes:
    rng = np.random.default_rng(clip_id)
    coarse = np.kron(rng.integers(20, 200, (24, 60), dtype=np.uint8), np.ones((4, 4), np.uint8))
    luma = (coarse + rng.integers(0, 30, coarse.shape, dtype=np.uint8))[:, index : index + 160]
    return np.ascontiguousarray(luma), luma[::2, ::2] // 2 + 60, 200 - luma[::2, ::2] // 2


def better(low: Planes, high: Planes) -> Planes:
    """A prediction half way between bicubic and the truth."""
    up = interpolate.upscale(low, make_header(40, 24), 4)
    return tuple(((a.astype(int) + b + 1) // 2).astype(np.uint8) for a, b in zip(up, high, strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips/ (LR and GT together, as val is published) and pred/."""
    root = tmp_path_factory.mktemp("score")
    for clip_id in TEST_SET.ids:
        num_frames = NUM_FRAMES[TEST_SET.is_whole(clip_id)]
        highs = [high_frame(clip_id, index) for index in range(num_frames)]
        lows = [interpolate.downscale(planes, HEADER, 4) for planes in highs]
        sent = TEST_SET.frames(clip_id, num_frames)
        for path, header, frames in (
            (root / "clips" / contest.high_name(clip_id), HEADER, highs),
            (root / "clips" / contest.low_name(clip_id), make_header(40, 24), lows),
            (root / "pred" / TEST_SET.name(clip_id), HEADER, [better(lows[i], highs[i]) for i in sent]),
        ):
            with y4m.create(path, header) as writer:
                for planes in frames:
                    writer.write(planes)
    return root


@pytest.fixture(scope="module")
def full(made: Path) -> dict[str, Any]:
    """The whole score, VMAF included where the binary has it."""
    has_vmaf = ffmpeg.has_libvmaf()
    how = Scoring(made / "pred", made / "clips", made / "clips", TEST_SET, with_vmaf=has_vmaf, everything=True)
    return how.score("half")


def quick(path: Path, made: Path, **options: Any) -> dict[str, Any]:
    return Scoring(path, made / "clips", made / "clips", TEST_SET, with_vmaf=False, **options).score()


def test_every_frame_is_the_metric_of_the_shipped_planes(made: Path, full: dict[str, Any]) -> None:
    """The sampled clip's second frame is source frame 25: PSNR and SSIM computed by hand agree."""
    clip = full["clips"][5]
    pred = y4m.Clip(made / "pred" / clip["file"]).frame(1)
    high = y4m.Clip(made / "clips" / clip["high"]).frame(25)
    curves = clip["submission"]["per_frame"]
    assert (clip["frames"], clip["whole"]) == ([0, 25], False)
    assert curves["psnr_yuv"][1] == psnr.yuv(pred, high)
    assert curves["psnr_y"][1] == psnr.y(pred, high)
    assert curves["ssim"][1] == pytest.approx(ssim.plane(pred[0], high[0]), abs=1e-7)


def test_bicubic_row_is_on_the_same_frames(made: Path, full: dict[str, Any]) -> None:
    """The baseline is upscale() of the LR clip at the scored frames, and the better prediction beats it."""
    clip = full["clips"][5]
    low, high = y4m.Clip(made / "clips" / clip["low"]), y4m.Clip(made / "clips" / clip["high"])
    wanted = [psnr.yuv(interpolate.upscale(low.frame(i), low.header, 4), high.frame(i)) for i in (0, 25)]
    assert clip["bicubic"]["per_frame"]["psnr_yuv"] == wanted
    lanczos = [psnr.yuv(interpolate.upscale(low.frame(i), low.header, 4, "lanczos"), high.frame(i)) for i in (0, 25)]
    assert clip["lanczos"]["per_frame"]["psnr_yuv"] == lanczos != wanted
    assert full["totals"]["submission"]["psnr"] > full["totals"]["bicubic"]["psnr"] + 3


def test_totals_pool_clips_and_frames(full: dict[str, Any]) -> None:
    """clip: mean of six clip means; frame: mean over 5 x 4 + 2 frames; for each of yuv, y, rgb."""
    totals, clips = full["totals"]["submission"], full["clips"]
    for planes in ("yuv", "y"):
        curves = [clip["submission"]["per_frame"][f"psnr_{planes}"] for clip in clips]
        assert totals[f"psnr_{planes}_clip"] == pytest.approx(np.mean([np.mean(curve) for curve in curves]))
        assert totals[f"psnr_{planes}_frame"] == pytest.approx(np.mean([value for curve in curves for value in curve]))
    assert totals["psnr_rgb_clip"] == pytest.approx(np.mean([clip["submission"]["psnr_rgb"] for clip in clips]))


@needs_libvmaf
def test_vmaf_is_measured_on_the_shipped_files_and_enters_the_score(made: Path, full: dict[str, Any]) -> None:
    """Whole clips only by default; the value of a clip is that of the two files alone; 0.8 PSNR + 0.2 VMAF."""
    totals, clips = full["totals"]["submission"], full["clips"]
    pred, high = y4m.Clip(made / "pred" / clips[0]["file"]), y4m.Clip(made / "clips" / clips[0]["high"])
    alone = vmaf.measure(pred, high, pred.header, threads=1)
    assert clips[0]["submission"]["vmaf"] == pytest.approx(vmaf.pool(alone.vmaf), abs=1e-9)
    assert clips[0]["submission"]["vmaf_neg"] == pytest.approx(vmaf.pool(alone.neg), abs=1e-9)
    values = [clip["submission"]["vmaf"] for clip in clips]
    assert totals["vmaf_full"] == pytest.approx(np.mean(values[:5]))
    assert totals["vmaf_all"] == pytest.approx(np.mean(values))
    assert totals["score"] == pytest.approx(0.8 * totals["psnr_yuv_clip"] + 0.2 * totals["vmaf_full"])
    assert full["tools"]["libvmaf"] == alone.version


@needs_libvmaf
def test_only_what_the_score_needs_is_measured(made: Path, full: dict[str, Any]) -> None:
    """By default no RGB, no NEG, no VMAF of sampled clips: the score and what it is made of are the same."""
    lean = Scoring(made / "pred", made / "clips", made / "clips", TEST_SET).score()
    for system in ("submission", "bicubic"):
        totals, everything = lean["totals"][system], full["totals"][system]
        not_measured = {"psnr_rgb_clip", "psnr_rgb_frame", "vmaf_all", "vmaf_neg_full", "vmaf_neg_all"}
        assert {key for key, value in totals.items() if value is None} == not_measured
        for key in everything.keys() - not_measured:
            assert totals[key] == pytest.approx(everything[key], abs=1e-12), key
    table = format_table(lean)
    assert (
        "PSNR rgb" not in table
        and "NEG" not in table
        and "PSNR rgb" in format_table(full)
        and "NEG" in format_table(full)
    )


def test_the_references_are_measured_once(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run takes it from the cache, equal; a changed clip, a damaged entry and --artefacts measure it again."""
    clips = tmp_path / "clips"
    shutil.copytree(made / "clips", clips)

    def run(**options: Any) -> dict[str, Any]:
        return Scoring(made / "pred", clips, clips, TEST_SET, with_vmaf=False, **options).score()

    upscaled: list[int] = []
    monkeypatch.setattr(
        interpolate, "upscale", lambda *args, real=interpolate.upscale: upscaled.append(1) or real(*args)
    )
    first = run()
    num_all = len(upscaled)
    second = run()
    assert len(upscaled) == num_all == 2 * sum(len(clip["frames"]) for clip in first["clips"])
    assert second["clips"] == first["clips"] and second["totals"] == first["totals"]
    changed = clips / first["clips"][0]["high"]
    data = bytearray(changed.read_bytes())
    data[-1] ^= 255
    changed.write_bytes(bytes(data))
    assert run()["clips"][1:] == first["clips"][1:] and len(upscaled) == num_all + 2 * len(first["clips"][0]["frames"])
    for entry in (Path(os.environ["XDG_CACHE_HOME"]) / "youku").glob("[bl]*/*"):
        entry.write_text('{"values": {"psnr_yuv": [1, "x"]}, "versions": []}')
    upscaled.clear()
    assert run()["clips"][1:] == first["clips"][1:] and len(upscaled) == num_all
    upscaled.clear()
    assert run(with_artefacts=True)["clips"][1]["bicubic"] == first["clips"][1]["bicubic"] and len(upscaled) == num_all


def test_a_file_in_the_place_of_the_cache_stops_nothing(
    made: Path, full: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "youku").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    score = Scoring(made / "pred", made / "clips", made / "clips", TEST_SET, with_vmaf=False).score()
    assert score["totals"]["bicubic"]["psnr"] == full["totals"]["bicubic"]["psnr"]


def test_zip_and_folder_score_the_same(made: Path, tmp_path: Path) -> None:
    """The bytes inside the zip are what is scored; one or two clips at once change nothing."""
    packed = make_submission(made / "pred", "half", made / "clips", TEST_SET, tmp_path)
    from_zip, from_folder = quick(Path(packed["path"]), made, jobs=2), quick(made / "pred", made, jobs=1)
    assert from_zip["totals"] == from_folder["totals"]
    assert from_zip["clips"] == from_folder["clips"]
    assert from_zip["name"] == "half"


def test_protocol_chooses_the_figures(made: Path) -> None:
    """--psnr-planes rgb --psnr-pool frame picks that total; without VMAF there is no final score."""
    totals = quick(made / "pred", made, reading=Reading(psnr_planes="rgb", psnr_pool="frame"))["totals"]["submission"]
    assert totals["psnr"] == totals["psnr_rgb_frame"]
    assert (totals["score"], totals["vmaf"]) == (None, None)
    with pytest.raises(ValueError, match="--vmaf-pool 'median': expected one of mean, harmonic"):
        Reading(vmaf_pool="median")


def test_what_clips_were_cut_from_is_kept(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pairs.json beside the ground truth says it: cuts of one film have no interval, and that is said."""
    listed = {f"{clip_id:05d}": {"source": "raw/film.mp4", "source_bytes": 9, "frames": 4} for clip_id in TEST_SET.ids}
    pairs = made / "clips" / "pairs.json"
    pairs.write_text(json.dumps({"pairs": listed}))
    command = [str(made / "pred"), "--low", str(made / "clips"), "--high", str(made / "clips"), "--no-vmaf"]
    try:
        assert score.main([*command, "--test-set", "150-155", "--out", str(tmp_path)]) == 0
        assert {clip["film"] for clip in scorefile.read_score(tmp_path)["clips"]} == {"film.mp4 (9 bytes)"}
        assert ": not known (5 whole clips of 1 film, it takes 3 films)." in capsys.readouterr().out
        pairs.write_text("{")
        assert score.main([*command, "--test-set", "150-155", "--out", str(tmp_path)]) == 1
        assert "pairs.json" in capsys.readouterr().err
    finally:
        pairs.unlink()


def test_exact_match_is_inf_in_json_and_table(made: Path, tmp_path: Path) -> None:
    """A clip equal to its ground truth: inf dB, inf mean, the string "inf" in score.json, SSIM 1."""
    pred = Path(shutil.copytree(made / "pred", tmp_path / "pred"))
    shutil.copy(made / "clips/Youku_00150_h_GT.y4m", pred / "Youku_00150_h_Res.y4m")
    result = quick(pred, made)
    assert math.isinf(result["totals"]["submission"]["psnr"])
    scorefile.write_score(result, tmp_path)
    saved = json.loads((tmp_path / "score.json").read_text())
    assert saved["clips"][0]["submission"]["psnr_yuv"] == saved["totals"]["submission"]["psnr"] == "inf"
    assert saved["clips"][0]["submission"]["ssim"] == pytest.approx(1)
    assert "inf" in format_table(result)


def test_written_files_hold_the_agreed_keys(full: dict[str, Any], tmp_path: Path) -> None:
    """score.json is read back by the report's reader; score.csv has a line a clip and system."""
    scorefile.write_score(full, tmp_path)
    saved = json.loads((tmp_path / "score.json").read_text())
    assert list(saved) == ["name", "test_set", "created", "protocol", "tools", "paths", "totals", "interval", "clips"]
    wanted = {f"psnr_{planes}_{how}" for planes in contest.PSNR_PLANES for how in contest.PSNR_POOLS}
    wanted |= {"score", "psnr", "vmaf", "ssim", "vmaf_full", "vmaf_all", "vmaf_neg_full", "vmaf_neg_all"}
    assert set(saved["totals"]["bicubic"]) == wanted
    assert scorefile.read_score(tmp_path)["clips"][0]["file"] == "Youku_00150_h_Res.y4m"
    with (tmp_path / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["system"]) for row in rows[:2]] == [("150", "submission"), ("150", "bicubic")]
    assert len(rows) == 18


def test_score_without_vmaf_is_read_back(made: Path, tmp_path: Path) -> None:
    """Null where nothing was computed, and the report's reader takes it."""
    scorefile.write_score(quick(made / "pred", made), tmp_path)
    assert scorefile.read_score(tmp_path)["clips"][0]["submission"]["vmaf"] is None


def test_command_line_prints_both_rows_and_writes_beside(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table on stdout with bicubic, submission and difference; files next to the folder; --json prints the document."""
    pred = Path(shutil.copytree(made / "pred", tmp_path / "run/predictions"))
    line = [
        str(pred),
        "--low",
        str(made / "clips"),
        "--high",
        str(made / "clips"),
        "--test-set",
        "150-155",
        "--no-vmaf",
    ]
    assert score.main(line) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in ("bicubic", "lanczos", "run ", "over bicubic", "00155", "libvmaf not run"))
    assert (tmp_path / "run/score.json").is_file()
    assert score.main([*line, "--json", "--out", str(tmp_path / "elsewhere")]) == 0
    assert json.loads(capsys.readouterr().out)["test_set"] == "150-155"
    assert (tmp_path / "elsewhere/score.csv").is_file()


def test_folders_beside_each_other_keep_their_scores(made: Path, tmp_path: Path) -> None:
    """Each folder's score has a folder of its own; nothing is written into what was scored."""
    for name in ("first", "second"):
        pred = Path(shutil.copytree(made / "pred", tmp_path / name))
        where = ["--low", str(made / "clips"), "--high", str(made / "clips"), "--test-set", "150-155"]
        assert score.main([str(pred), *where, "--no-vmaf"]) == 0
    assert [scorefile.read_score(tmp_path / f"{name}-score")["name"] for name in ("first", "second")] == [
        "first",
        "second",
    ]
    assert not list(tmp_path.glob("*.json")) and not list(tmp_path.glob("first/*.json"))


def rewrite(path: Path, num_frames: int, header: y4m.Header, frames: list[Planes]) -> None:
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            writer.write(frames[index % len(frames)])


@pytest.mark.parametrize(
    ("name", "num_frames", "header", "words"),
    [
        ("clips/Youku_00151_h_GT.y4m", 3, HEADER, "3 frames, its LR clip has 4"),
        ("clips/Youku_00151_h_GT.y4m", 4, make_header(80, 48), "80x48 C420mpeg2, expected 160x96 C420mpeg2"),
        ("pred/Youku_00151_h_Res.y4m", 3, HEADER, "3 frames, expected 4"),
        ("pred/Youku_00151_h_Res.y4m", 5, HEADER, "5 frames, expected 4"),
        ("pred/Youku_00151_h_Res.y4m", 4, make_header(80, 48), "its GT clip is 160x96"),
    ],
)
def test_mismatches_are_one_sentence(
    name: str, num_frames: int, header: y4m.Header, words: str, made: Path, tmp_path: Path
) -> None:
    """Frame counts and sizes of GT and prediction: the file, what it has, what was expected."""
    root = Path(shutil.copytree(made, tmp_path / "copy"))
    planes = tuple(np.zeros(shape, np.uint8) for shape in header.plane_shapes)
    rewrite(root / name, num_frames, header, [planes])
    with pytest.raises(ValueError, match=words) as caught:
        quick(root / "pred", root)
    assert Path(name).name in str(caught.value)


def test_missing_files_are_listed_together(made: Path, tmp_path: Path) -> None:
    """A missing prediction and a missing GT clip in one message, before anything is measured."""
    root = Path(shutil.copytree(made, tmp_path / "copy"))
    (root / "pred/Youku_00155_h_Sub25_Res.y4m").unlink()
    (root / "clips/Youku_00152_h_GT.y4m").unlink()
    with pytest.raises(ValueError, match=r"Youku_00152_h_GT.*Youku_00155_h_Sub25_Res") as caught:
        quick(root / "pred", root)
    assert "\n" not in str(caught.value)


def test_missing_libvmaf_says_what_to_do(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before the first clip, with the way out."""
    monkeypatch.setattr(ffmpeg, "has_libvmaf", lambda: False)
    with pytest.raises(ffmpeg.FFmpegError, match="score with --no-vmaf"):
        Scoring(made / "pred", made / "clips", made / "clips", TEST_SET).score()


@needs_libvmaf
@pytest.mark.parametrize("side", [16, 8])
def test_a_clip_too_small_for_vmaf_is_named_and_the_others_scored(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], side: int
) -> None:
    """A clip of 16 pixels has PSNR and SSIM, no VMAF, and one sentence with its name, one of 8 no SSIM; the others have all."""
    names = (contest.low_name(150), contest.high_name(150), TEST_SET.name(150))
    for folder, name in zip(("clips", "clips", "pred"), names, strict=True):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(made / folder / name, tmp_path / folder / name)
    for folder, name, own in (
        ("clips", contest.low_name(151), side // 4),
        ("clips", contest.high_name(151), side),
        ("pred", TEST_SET.name(151), side),
    ):
        header = make_header(own, own)
        with y4m.create(tmp_path / folder / name, header) as writer:
            writer.write(tuple(np.full(shape, 90, np.uint8) for shape in header.plane_shapes))
    clips = tmp_path / "clips"
    both = Scoring(tmp_path / "pred", clips, clips, contest.test_set("150-151")).score()
    said = capsys.readouterr().err
    assert f"{TEST_SET.name(151)}: VMAF: libvmaf measures no picture under 17x17, got {side}x{side}" in said
    assert (f"{TEST_SET.name(151)}: SSIM: takes pictures of 11 pixels" in said) == (side < 11)
    first, tiny = (clip["submission"] for clip in both["clips"])
    assert tiny["vmaf"] is None and tiny["psnr_yuv"] == math.inf and (tiny["ssim"] is None) == (side < 11)
    assert both["totals"]["submission"]["vmaf"] == first["vmaf"] > 0


def test_weights_are_predicted_with_first(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a folder beside them, as predict makes the frames that are scored; other factors and shares are refused."""
    clips = str(made / "clips")
    line = ["--low", clips, "--high", clips, "--test-set", str(TEST_SET), "--no-vmaf"]
    for scale in (2, 4):
        shutil.copy(shipped.find(("fsrcnn",), scale).path, tmp_path / f"w{scale}.safetensors")  # type: ignore[union-attr]
    assert score.main([str(tmp_path / "w4.safetensors"), *line]) == 0
    folder = tmp_path / f"w4-{TEST_SET}"
    assert {path.name for path in folder.glob("predictions/*.y4m")} == set(map(TEST_SET.name, TEST_SET.ids))
    apart = tmp_path / "apart"
    how = ["--weights", str(tmp_path / "w4.safetensors"), "--frames", "scored", "--test-set", str(TEST_SET)]
    assert predict.main([clips, str(apart), *how]) == 0
    for path in apart.glob("*.y4m"):
        assert path.read_bytes() == (folder / "predictions" / path.name).read_bytes()
    assert json.loads((folder / "score.json").read_text())["name"] == folder.name
    capsys.readouterr()
    assert score.main([str(tmp_path / "w2.safetensors"), *line]) == 1
    assert "enlarges by 2, the contest by 4" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        score.main([str(tmp_path / "w4.safetensors"), *line, "--shard", "1/2"])
    shutil.copytree(clips, tmp_path / "torn")
    (tmp_path / "torn" / contest.high_name(TEST_SET.ids[-1])).unlink()
    torn = [str(tmp_path / "w4.safetensors"), *line, "--high", str(tmp_path / "torn"), "--out", str(tmp_path / "new")]
    assert score.main(torn) == 1
    assert f"cannot find {contest.high_name(TEST_SET.ids[-1])} in" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()  # nothing was predicted


def test_why_a_member_is_not_scored(tmp_path: Path) -> None:
    """What is there and cannot be used is not only missing."""
    name = TEST_SET.name(TEST_SET.ids[0])
    submission = Submission(tmp_path / "a.zip", {name: 9}, {name: "twice in the zip"})
    with pytest.raises(ValueError, match=rf"cannot find {name} in \S+a\.zip \(twice in the zip\)"):
        pairing.pair_up(submission, TEST_SET, tmp_path, tmp_path)

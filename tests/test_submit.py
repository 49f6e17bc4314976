"""submit and submission: every rule has a case, all faults at once, deterministic zips, and zips made by others."""

from __future__ import annotations

import json
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from youku import contest, files, submit
from youku.exchange.submission import Verdict, check_submission, make_submission, warnings_of
from youku.exchange.submission_checks import guess_test_set, name_faults
from youku.inference import records
from youku.video import interpolate, y4m
from youku.video.y4m import Planes, make_header

TEST_SET = contest.test_set("200-206")  # 200-204 whole, 205 and 206 sampled
NUM_FRAMES = {True: 8, False: 27}  # of a clip sent whole, of a sampled one (frames 0 and 25)
WHOLE, SAMPLED = "Youku_00201_h_Res.y4m", "Youku_00205_h_Sub25_Res.y4m"


def low_frame(clip_id: int, index: int, height: int, width: int) -> Planes:
    """A picture that differs from clip to clip and moves two pixels a frame; U and V differ."""
    rows, columns = np.mgrid[:height, :width]
    luma = 120 + 60 * np.sin((columns + 2 * index) / 3 + clip_id) * np.cos(rows / 4)
    small = luma[::2, ::2]
    return luma.astype(np.uint8), (100 + small / 10).astype(np.uint8), (170 - small / 10).astype(np.uint8)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(LR folder, folder of right predictions): tiny clips, one of another and odd size."""
    root = tmp_path_factory.mktemp("made")
    low, pred = root / "low", root / "pred"
    for clip_id in TEST_SET.ids:
        header = make_header(25, 19) if clip_id == 202 else make_header(32, 24, fps=24 if clip_id % 2 else 25)
        num_frames = NUM_FRAMES[TEST_SET.is_whole(clip_id)]
        frames = [low_frame(clip_id, i, header.height, header.width) for i in range(num_frames)]
        with y4m.create(low / contest.low_name(clip_id), header) as writer:
            for planes in frames:
                writer.write(planes)
        with y4m.create(pred / TEST_SET.name(clip_id), interpolate.scaled_header(header, 4)) as writer:
            for index in TEST_SET.frames(clip_id, num_frames):
                writer.write(interpolate.upscale(frames[index], header, 4))
    return low, pred


@pytest.fixture
def low(made: tuple[Path, Path]) -> Path:
    return made[0]


@pytest.fixture
def pred(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A private copy of the right predictions, to be broken."""
    return Path(shutil.copytree(made[1], tmp_path / "pred"))


def rewrite(path: Path, change: Callable[[list[Planes]], list[Planes]], header: y4m.Header | None = None) -> None:
    """Write a clip again with other frames or another header."""
    clip = y4m.Clip(path)
    frames = change([tuple(plane.copy() for plane in planes) for planes in clip])
    with y4m.create(path, header or clip.header) as writer:
        for planes in frames:
            writer.write(planes)


def verdict_on(folder: Path, low: Path | None) -> Verdict:
    return check_submission(folder, TEST_SET, low)


def faults_of(folder: Path, low: Path | None) -> list[str]:
    return list(verdict_on(folder, low).faults)


def test_right_predictions_have_no_fault(made: tuple[Path, Path]) -> None:
    """Whole, sampled and odd-sized clips of a plain bicubic pass every check, without a warning."""
    verdict = verdict_on(made[1], made[0])
    assert (verdict.faults, verdict.warnings, verdict.skipped) == ((), (), ())
    assert verdict.num_frames == 5 * 8 + 2 * 2


@pytest.mark.parametrize(
    ("width", "height", "chroma"), [(8, 1, "420jpeg"), (8, 1, "mono"), (1, 8, "444"), (2, 2, "420jpeg")]
)
def test_clips_of_one_line_are_judged_by_the_rules_alone(width: int, height: int, chroma: str, tmp_path: Path) -> None:
    """They hold nothing to compare pictures by; 2x2 is the smallest that is compared."""
    low, large = make_header(width, height, chroma=chroma), make_header(4 * width, 4 * height, chroma=chroma)
    for path, header in (("low/Youku_00150_l.y4m", low), ("pred/Youku_00150_h_Res.y4m", large)):
        with y4m.create(tmp_path / path, header) as writer:
            writer.write(tuple(np.full(shape, 90, np.uint8) for shape in header.plane_shapes))
    verdict = check_submission(tmp_path / "pred", contest.test_set("val", tmp_path / "low"), tmp_path / "low")
    assert (verdict.faults, verdict.warnings) == ((), ())


PLANE_WARNINGS: dict[str, tuple[Callable[[list[Planes]], list[Planes]], str]] = {
    "U and V swapped": (lambda frames: [(f[0], f[2], f[1]) for f in frames], "U and V are swapped"),
    "luma offset": (lambda frames: [(f[0] - np.uint8(16), f[1], f[2]) for f in frames], "luma is -16 codes off"),
    "range stretched": (
        lambda frames: [(((f[0] - 16.0) * 255 / 219).clip(0, 255).astype(np.uint8), f[1], f[2]) for f in frames],
        "contrast is 1.1|luma is",
    ),
    "chroma lost": (lambda frames: [(f[0], f[1] * 0 + 128, f[2] * 0 + 128) for f in frames], "colours differ"),
    "black": (lambda frames: [tuple(p * 0 + 16 for p in f) for f in frames], r"8 frames \(.*\) are one flat value"),
    "last frame never rendered": (
        lambda frames: frames[:-1] + [tuple(p * 0 + 16 for p in frames[-1])],
        "frame 7 is one flat value",
    ),
    "shifted by one": (lambda frames: frames[1:] + frames[-1:], "frame 0 looks like frame 1"),
    "reversed": (lambda frames: frames[::-1], "not in place"),
    "two frames exchanged": (lambda frames: [frames[1], frames[0], *frames[2:]], r"2 frames \(0, 1\) are not in place"),
    "upside down": (lambda frames: [tuple(p[::-1] for p in f) for f in frames], "luma differs"),
}


@pytest.mark.parametrize("case", sorted(PLANE_WARNINGS))
def test_pictures_that_look_wrong_are_warned_of(case: str, pred: Path, low: Path) -> None:
    """Compared with the LR clip, each mistake is found in its file and nowhere else; it breaks no rule of the contest."""
    change, words = PLANE_WARNINGS[case]
    rewrite(pred / WHOLE, change)
    verdict = verdict_on(pred, low)
    assert verdict.faults == () and len(verdict.warnings) == 1, verdict
    assert re.search(words, verdict.warnings[0]) and verdict.warnings[0].startswith(f"{WHOLE}: ")


def test_a_warning_is_printed_kept_in_the_manifest_and_refuses_nothing(
    pred: Path, low: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip 16 codes too dark is packed; stderr, manifest and --check --json name clip, figure and meaning."""
    rewrite(pred / WHOLE, PLANE_WARNINGS["luma offset"][0])
    out = str(tmp_path / "out")
    line = [str(pred), "--name", "a", "--low", str(low), "--test-set", "200-206", "--out", out]
    for _ in range(2):  # written, then up to date
        assert submit.main(line) == 0
        assert f"warning: {WHOLE}: luma is -16 codes off the low-resolution clip (range" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "out/a/manifest.json").read_text())
    assert len(warnings_of(manifest)) == 1 and manifest["files"][1]["warnings"] == warnings_of(manifest)
    assert "warnings" not in manifest["files"][0]
    check = ["--check", f"{out}/a/a.zip", "--low", str(low), "--test-set", "200-206", "--json"]
    assert submit.main(check) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["valid"] and told["faults"] == [] and told["warnings"] == warnings_of(manifest)


@pytest.mark.parametrize(
    ("num_frames", "words"),
    [(7, r"7 frames, expected 8 \(frames 0-7 of a clip of 8\)"), (9, "9 frames, expected 8")],
)
def test_wrong_frame_counts_are_faults(num_frames: int, words: str, pred: Path, low: Path) -> None:
    """One frame short or more is named in its file and nowhere else."""
    rewrite(pred / WHOLE, lambda frames: [*frames, frames[-1]][:num_frames])
    (fault,) = faults_of(pred, low)
    assert re.search(words, fault) and fault.startswith(WHOLE)


def test_sampled_clip_of_wrong_frames_is_named(pred: Path, low: Path) -> None:
    """Frames 0 and 1 instead of 0 and 25."""
    rewrite(
        pred / SAMPLED,
        lambda frames: [frames[0], interpolate.upscale(low_frame(205, 1, 24, 32), make_header(32, 24), 4)],
    )
    assert "frame 25 looks like frame 1" in verdict_on(pred, low).warnings[0]


def test_hard_coded_size_is_named(pred: Path, low: Path) -> None:
    """A 128x96 file where the clip's own input asks for 100x76."""
    shutil.copy(pred / "Youku_00201_h_Res.y4m", pred / "Youku_00202_h_Res.y4m")
    faults = [fault for fault in faults_of(pred, low) if "size" in fault]
    assert faults == [
        "Youku_00202_h_Res.y4m: size 128x96, expected 100x76 (4 x 25x19); take the size from each clip's own input"
    ]


def test_header_tokens_must_be_those_of_the_input(pred: Path, low: Path) -> None:
    """Another frame rate than the input's is a fault; both headers are shown."""
    rewrite(pred / WHOLE, lambda frames: frames, make_header(128, 96, fps=30))
    faults = faults_of(pred, low)
    assert len(faults) == 1
    assert "F30:1" in faults[0]
    assert "F24:1" in faults[0]


def test_damaged_files_are_named_with_frame_and_byte(pred: Path, low: Path) -> None:
    """Cut in a frame, not a y4m, empty: one fault each, the others still checked."""
    data = (pred / WHOLE).read_bytes()
    (pred / WHOLE).write_bytes(data[:-100])
    (pred / SAMPLED).write_bytes(b"RIFF....AVI ")
    (pred / "Youku_00206_h_Sub25_Res.y4m").write_bytes(b"")
    faults = faults_of(pred, low)
    assert len(faults) == 3
    assert "frame 7 at byte" in faults[0]
    assert all("YUV4MPEG2" in fault for fault in faults[1:])


def test_names_are_judged_by_id_not_by_order() -> None:
    """A missing last clip, sampled sent whole, a space, a foreign id, inputs and others: each its sentence."""
    names = [TEST_SET.name(clip_id) for clip_id in TEST_SET.ids]
    assert name_faults(names, TEST_SET) == []
    assert "1 of 7 files missing: Youku_00206_h_Sub25_Res.y4m" in name_faults(names[:-1], TEST_SET)[0]
    for extra, words in (
        ("Youku_00205_h_Res.y4m", "every 25th frame; expected Youku_00205_h_Sub25_Res.y4m"),
        ("Youku_00201_h_Sub25_Res.y4m", "sent whole; expected Youku_00201_h_Res.y4m"),
        ("Youku_00205 _h_Sub25_Res.y4m", "a space in the name; rename it to Youku_00205_h_Sub25_Res.y4m"),
        ("Youku_00207_h_Sub25_Res.y4m", "not in the test set 200-206"),
        ("Youku_00201_l.y4m", "not a result"),
        ("youku_00201_h_res.y4m", "not a name of the contest"),
        ("notes.txt", "not a name of the contest"),
    ):
        faults = name_faults([*names, extra], TEST_SET)
        assert len(faults) == 1
        assert words in faults[0]


def test_a_misnamed_clip_is_one_fault_not_two() -> None:
    """A sampled clip under the whole name is not reported as missing as well."""
    names = [TEST_SET.name(clip_id) for clip_id in TEST_SET.ids if clip_id != 205]
    assert len(name_faults([*names, "Youku_00205_h_Res.y4m"], TEST_SET)) == 1


def test_all_faults_are_reported_at_once_and_nothing_is_written(
    pred: Path, low: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three different faults in one run; exit 1; no folder of the submission."""
    (pred / SAMPLED).unlink()
    (pred / "Thumbs.db").write_bytes(b"x")
    rewrite(pred / WHOLE, lambda frames: frames[:-1])
    out = tmp_path / "out"
    line = [str(pred), "--name", "a", "--low", str(low), "--test-set", "200-206", "--out", str(out)]
    assert submit.main(line) == 1
    error = capsys.readouterr().err
    assert "3 faults, nothing was written" in error
    assert all(words in error for words in ("1 of 7 files missing", "Thumbs.db", "7 frames, expected 8"))
    assert not out.exists()


def test_missing_low_resolution_clip_is_a_fault(pred: Path, low: Path, tmp_path: Path) -> None:
    """What cannot be compared is not passed in silence."""
    partial = Path(shutil.copytree(low, tmp_path / "low"))
    (partial / "Youku_00203_l.y4m").unlink()
    assert "Youku_00203_l.y4m is missing" in faults_of(pred, partial)[0]


def test_zip_is_flat_deterministic_and_listed(pred: Path, low: Path, tmp_path: Path) -> None:
    """Same clips, other file times, another folder: byte-identical zip and manifest; hashes match the files."""
    first = make_submission(pred, "a", low, TEST_SET, tmp_path / "one")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted(pred.iterdir(), reverse=True):
        shutil.copyfile(path, copy / path.name)
    second = make_submission(copy, "a", low, TEST_SET, tmp_path / "two")
    zips = [Path(made["path"]) for made in (first, second)]
    assert zips[0].read_bytes() == zips[1].read_bytes()
    assert (tmp_path / "one/a/manifest.json").read_bytes() == (tmp_path / "two/a/manifest.json").read_bytes()
    with zipfile.ZipFile(zips[0]) as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == sorted(TEST_SET.name(clip_id) for clip_id in TEST_SET.ids)
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {stat.S_IFREG | 0o644}
        assert archive.read(WHOLE) == (pred / WHOLE).read_bytes()
    manifest = json.loads((tmp_path / "one/a/manifest.json").read_text())
    assert manifest["test_set"] == "200-206"
    assert manifest["num_frames"] == 44
    assert [(e["frames"], e["width"], e["height"], e["whole"]) for e in manifest["files"]][2] == (8, 100, 76, True)


def test_second_run_is_up_to_date_and_a_change_is_packed(pred: Path, low: Path, tmp_path: Path) -> None:
    """Up to date while hashes and settings agree; a changed level, a damaged zip or manifest is written anew."""

    def make(level: int = 6) -> bool:
        return bool(make_submission(pred, "a", low, TEST_SET, tmp_path, level)["up_to_date"])

    assert [make(), make(), make(1), make(1)] == [False, True, False, True]
    assert "model" not in json.loads((tmp_path / "a/manifest.json").read_text())
    records.record_of(pred / WHOLE).write_text('{"made_by": {"model": "pairs-s x4"}}')
    line = [
        str(pred),
        "--name",
        "a",
        "--low",
        str(low),
        "--test-set",
        str(TEST_SET),
        "--out",
        str(tmp_path),
        "--level",
        "1",
    ]
    assert submit.main(line) == 0
    assert json.loads((tmp_path / "a/manifest.json").read_text())["model"] == "pairs-s x4"
    records.record_of(pred / WHOLE).unlink()
    (tmp_path / "a/a.zip").write_bytes(b"damaged")
    assert [make(1), make(1)] == [False, True]
    (tmp_path / "a/manifest.json").write_text("{")
    assert [make(1), make(1)] == [False, True]


def test_too_little_disk_leaves_no_folder(
    pred: Path, low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before anything is made."""
    monkeypatch.setattr(files, "free_bytes", lambda folder: 1000)
    with pytest.raises(ValueError, match="the zip, uncompressed at worst, needs"):
        make_submission(pred, "a", low, TEST_SET, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_check_accepts_our_own_zip_and_says_what_it_skipped(
    pred: Path, low: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is skipped with --low; without, checks left out are named (and 8 frames are not the contest's 100)."""
    made = make_submission(pred, "a", low, TEST_SET, tmp_path)
    assert submit.main(["--check", made["path"], "--low", str(low), "--test-set", "200-206"]) == 0
    assert "no fault found" in capsys.readouterr().out
    assert submit.main(["--check", made["path"], "--test-set", "200-206", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert "need --low" in verdict["skipped"][0]
    assert len(verdict["faults"]) == 7  # 8 for 100, 2 for 4
    assert "2 frames, expected 4" in verdict["faults"][-1]


def zip_with(
    path: Path, pred: Path, change: Callable[[zipfile.ZipFile], None], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for item in sorted(pred.iterdir()):
            archive.write(item, item.name)
        change(archive)
    return path


def link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("Youku_00201_h_Res.y4m.lnk")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


ZIP_FAULTS: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "path escape": (lambda a: a.writestr("../evil.y4m", b"x"), "unsafe name"),
    "absolute path": (lambda a: a.writestr("/tmp/evil.y4m", b"x"), "unsafe name"),
    "backslash": (lambda a: a.writestr("x\\evil.y4m", b"x"), "unsafe name"),
    "folder": (lambda a: a.writestr("results/x.y4m", b"x"), "the zip must be flat"),
    "folder entry": (lambda a: a.writestr("results/", b""), "the zip must be flat"),
    "link": (link, "a link or special file"),
    "bomb": (lambda a: a.writestr("bomb.y4m", bytes(8 << 20)), "zip bomb"),
    "extra": (lambda a: a.writestr("readme.txt", b"x"), "not a name of the contest"),
}


@pytest.mark.parametrize("case", sorted(ZIP_FAULTS))
def test_unsafe_zips_are_refused(case: str, pred: Path, low: Path, tmp_path: Path) -> None:
    """Each unsafe or extra entry is named; nothing is unpacked."""
    change, words = ZIP_FAULTS[case]
    path = zip_with(tmp_path / "theirs.zip", pred, change)
    before = sorted(tmp_path.rglob("*"))
    assert any(words in fault for fault in faults_of(path, low))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_entries_are_named(pred: Path, low: Path, tmp_path: Path) -> None:
    """A clip twice in the zip is ambiguous."""
    path = zip_with(tmp_path / "theirs.zip", pred, lambda a: a.writestr(WHOLE, b"x"))
    assert f"{WHOLE}: twice in the zip; make the zip again" in faults_of(path, low)


def test_wrong_crc_encryption_and_truncation(pred: Path, low: Path, tmp_path: Path) -> None:
    """A flipped pixel bit is found by its CRC, an encrypted entry by its flag, a cut zip is not a zip."""
    path = zip_with(tmp_path / "theirs.zip", pred, lambda a: None, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(WHOLE)
    middle = entry.header_offset + entry.compress_size // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert any(WHOLE in fault and "damaged inside theirs.zip" in fault for fault in faults_of(path, low))
    data = bytearray(whole)
    at = whole.rindex(WHOLE.encode()) - 46 + 8  # flags in the central directory
    data[at] |= 1
    path.write_bytes(data)
    assert f"{WHOLE}: encrypted; make the zip again" in faults_of(path, low)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"is not a whole zip \(it is cut short\)"):
        faults_of(path, low)
    path.write_bytes(b"Rar!\x1a\x07\0" + bytes(100))
    with pytest.raises(ValueError, match=r"is not a whole zip \(it is a RAR archive\)"):
        faults_of(path, low)


def test_test_set_is_guessed_from_names() -> None:
    """The published sets are recognised; an unknown range must be given."""
    test_set = contest.test_set("round1-test")
    assert guess_test_set([test_set.name(clip_id) for clip_id in test_set.ids]) == test_set
    assert guess_test_set(["Youku_00003_h_Res.y4m"]) is None
    assert guess_test_set(["readme.txt"]) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["{pred}", "--name", "my name", "--low", "{low}", "--test-set", "200-206"], "no space"),
        (["{pred}", "--name", "a", "--low", "{low}", "--test-set", "200-206", "--level", "12"], "--level 12"),
        (["{pred}/none", "--name", "a", "--low", "{low}", "--test-set", "200-206"], "expected a folder"),
        (["{pred}", "--name", "a", "--low", "{pred}/none", "--test-set", "200-206"], "check --low"),
        (["--check", "{pred}/none.zip"], "no such zip or folder"),
        (["--check", "{low}/.."], "say which with --test-set"),
    ],
)
def test_mistakes_on_the_command_line(
    line: list[str], words: str, made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 and one sentence."""
    filled = [part.format(low=made[0], pred=made[1]) for part in line]
    assert submit.main([*filled, "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [(["p", "--name", "a"], "--low, --test-set not given"), (["p", "--check", "p"], "--check validates only")],
)
def test_incomplete_commands_are_usage_errors(line: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the usage line, and what is missing."""
    with pytest.raises(SystemExit) as caught:
        submit.main(line)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_folders_with_spaces_and_chinese_names_work(pred: Path, low: Path, tmp_path: Path) -> None:
    """Only the submission's own name is restricted."""
    folder = tmp_path / "my 预测"
    pred.rename(folder)
    made = make_submission(folder, "a", low, TEST_SET, tmp_path / "输出 x")
    assert Path(made["path"]).is_file()

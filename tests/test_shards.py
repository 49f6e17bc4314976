"""--shard: the same split everywhere, by size; all shards together make what one run makes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.conftest import textured_frame, write_pair
from tests.test_score import TEST_SET, made  # noqa: F401
from youku import contest, convert, degrade, predict, score, shards
from youku.exchange.score_clips import Scoring
from youku.shards import Shard
from youku.video import y4m

VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
SHARDS = ("1/2", "2/2")


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def slurm(monkeypatch: pytest.MonkeyPatch, **values: int) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))


def test_a_split_is_by_size_and_whole() -> None:
    """One large item has a shard for itself; every item is in exactly one shard, in order; empty shards are allowed."""
    sizes = [1, 1, 30, 1, 1, 1, 1, 1]
    parts = [Shard(number, 2).pick(range(8), lambda index: sizes[index]) for number in (1, 2)]
    assert parts == [[2], [0, 1, 3, 4, 5, 6, 7]]
    many = [Shard(number, 10).pick(range(8), lambda index: sizes[index]) for number in range(1, 11)]
    assert sorted(index for part in many for index in part) == list(range(8)) and [] in many


def test_no_shard_is_far_above_the_mean() -> None:
    sizes = [(7 * index) % 101 + 1 for index in range(500)]
    loads = [sum(sizes[i] for i in Shard(number, 7).pick(range(500), sizes.__getitem__)) for number in range(1, 8)]
    assert max(loads) < 1.02 * sum(loads) / 7


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ID": 5, "MIN": 5, "MAX": 8, "COUNT": 4}, "1/4"),
        ({"ID": 3, "MIN": 0, "MAX": 3, "COUNT": 4, "STEP": 1}, "4/4"),
        ({"ID": 9, "MIN": 1, "MAX": 9, "COUNT": 5, "STEP": 2}, "5/5"),
    ],
)
def test_slurm_arrays_begin_anywhere(monkeypatch: pytest.MonkeyPatch, values: dict[str, int], expected: str) -> None:
    slurm(monkeypatch, **values)
    assert str(shards.parse("auto")) == expected


def test_kubernetes_counts_from_0_and_tells_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    assert str(shards.parse("auto/12")) == "1/12"
    monkeypatch.setenv("JOB_COMPLETIONS", "4")
    assert str(shards.parse("auto")) == "1/4"


@pytest.mark.parametrize(
    ("text", "variables", "words"),
    [
        ("0/4", {}, "shard 0 of 4: expected 1 to 4"),
        ("5/4", {}, "shard 5 of 4"),
        ("1/0", {}, "shard 1 of 0"),
        ("3", {}, "expected I/N"),
        ("-1/4", {}, "expected I/N"),
        ("auto", {}, "run it in a job array"),
        ("auto", {"JOB_COMPLETION_INDEX": "2"}, "does not tell of how many; give auto/N"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}, "shard 3 of 2"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x"}, "SLURM_ARRAY_TASK_ID is 'x'"),
        (
            "auto",
            dict(zip(["SLURM_ARRAY_TASK_" + n for n in ("ID", "MIN", "MAX", "COUNT")], "1182", strict=True)),
            "gaps",
        ),
    ],
)
def test_a_shard_that_is_none_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        shards.parse(text)


@pytest.mark.parametrize(
    "line",
    [
        (predict, ["{0}/Youku_00000_l.y4m", "{0}/out.y4m", "--model", "bicubic", "--shard", "1/2"]),
        (convert, ["{0}/Youku_00000_l.y4m", "{0}/out.yuv", "--shard", "1/2"]),
        (degrade, ["--list-presets", "--shard", "1/2"]),
    ],
)
def test_what_cannot_be_split_says_so(pairs: Path, line: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag without an effect is refused."""
    verb, words = line
    with pytest.raises(SystemExit) as ending:
        verb.main([word.format(pairs) for word in words])
    assert ending.value.code == 2 and capsys.readouterr().err


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not Path(name).name.startswith(".")}


def test_shards_of_predict_and_convert_make_what_one_run_makes(tmp_path: Path, pairs: Path) -> None:
    """In each of the two verbs, byte for byte, and no clip twice."""
    write_pair(pairs, 3, 64, 48, 4)
    for name, verb, options in (
        ("high", predict, ["--model", "bicubic"]),
        ("few", convert, ["--every", "2"]),
        ("pictures", convert, ["--planes"]),
    ):
        assert verb.main([str(pairs), str(tmp_path / name), *options]) == 0
        whole, parts = contents(tmp_path / name), []
        for shard in SHARDS:
            folder = tmp_path / f"{name}-{shard[0]}"
            assert verb.main([str(pairs), str(folder), *options, "--shard", shard]) == 0
            parts.append(contents(folder))
        assert parts[0] and parts[1] and not parts[0].keys() & parts[1].keys()
        assert parts[0] | parts[1] == whole and len(whole) >= 4


@pytest.mark.parametrize("split", [[], ["--split-every", "2"]])
def test_shards_of_degrade_share_one_folder(tmp_path: Path, split: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, bytes and list are those of one run, whoever comes first; the whole command then finds all of it made."""
    sources = tmp_path / "sources"
    for index, num_frames in enumerate((3, 6, 2)):
        with y4m.create(sources / f"{index}.y4m", header := y4m.make_header(32, 32)) as writer:
            for frame in range(num_frames):
                writer.write(textured_frame(header, frame))
    line = [str(sources), "", "--preset", "bicubic", "--noise", "2", *split]
    for name, chosen in (("whole", [()]), ("parts", [("--shard", shard) for shard in reversed(SHARDS)])):
        line[1] = str(tmp_path / name)
        for shard in chosen:
            assert degrade.main([*line, *shard]) == 0
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert json.loads(whole.pop("pairs.json")) == json.loads(parts.pop("pairs.json"))
    assert whole == parts and len(whole) == 2 * (6 if split else 3)
    monkeypatch.setattr("youku.video.pair_folder.make_pair", None)
    assert degrade.main(line) == 0


def test_parts_of_a_score_merge_to_the_bytes_of_one_run(
    tmp_path: Path,
    made: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is measured again, except a clip whose bytes have changed since; the parts go once the score is written."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    clips = str(made / "clips")
    line = [
        str(made / "pred"),
        "--low",
        clips,
        "--high",
        clips,
        "--test-set",
        str(TEST_SET),
        "--no-vmaf",
        "--artefacts",
    ]
    assert score.main([*line, "--out", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    many = tmp_path / "many"
    for shard in SHARDS:
        assert score.main([*line, "--out", str(many), "--shard", shard]) == 0
        assert not (many / "score.json").exists()
    assert "the same command without --shard" in capsys.readouterr().out
    damaged = min((many / ".score-parts").iterdir())
    damaged.write_text("{")
    measured, real = [], Scoring._measure
    monkeypatch.setattr(
        Scoring, "_measure", lambda self, clip, *how: measured.append(clip.name) or real(self, clip, *how)
    )
    assert score.main([*line, "--out", str(many)]) == 0
    assert len(measured) == 1
    assert contents(many) == contents(tmp_path / "one") and not (many / ".score-parts").exists()


def test_a_part_of_other_bytes_is_not_taken(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A result that was made again after its shard was scored is measured anew."""
    import shutil

    pred, clips = tmp_path / "pred", str(made / "clips")
    shutil.copytree(made / "pred", pred)
    line = [str(pred), "--low", clips, "--high", clips, "--test-set", "150-151", "--no-vmaf", "--out", str(tmp_path)]
    assert score.main([*line, "--shard", "1/1"]) == 0
    name = contest.test_set("150-151").name(151)
    shutil.copy(pred / contest.test_set("150-151").name(150), pred / name)
    assert score.main(line) == 0
    rows = json.loads((tmp_path / "score.json").read_text())["clips"]
    assert rows[0]["submission"]["psnr_y"] > rows[1]["submission"]["psnr_y"]

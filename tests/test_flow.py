"""The README's way from own clips to a ranked rehearsal: its own commands, through the Makefile, on tiny clips."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import textured_frame
from youku.__main__ import main
from youku.exchange.scorefile import read_score
from youku.video import container, y4m
from youku.video.encoding import Encoding

ROOT = Path(__file__).parents[1]
QUICK = {"train": ["--steps", "2", "--batch", "2", "--val-clips", "1", "--val-frames", "1", "--val-metric", "psnr"]}


def verbs_of(command: str, folder: Path) -> list[list[str]]:
    """What `make ...`, typed in `folder`, would run: the arguments of each `python -m youku`."""
    told = folder / "told"
    told.write_text("")
    words = shlex.split(command)
    made = subprocess.run([*words, "-f", ROOT / "Makefile"], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return [line.split("\t")[3:-1] for line in told.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a set-up that writes down what it is asked to run."""
    monkeypatch.chdir(tmp_path)
    for name in ("requirements.txt", "pyproject.toml", ".venv/bin/python", ".venv/.ready"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('#!/bin/sh\n{ printf \'%s\\t\' "$0" "$@"; echo; } >> told\n')
    (tmp_path / ".venv/bin/python").chmod(stat.S_IRWXU)
    return tmp_path


def write_film(path: Path, num_frames: int) -> None:
    header = y4m.make_header(192, 192)
    with container.create(path, header, Encoding(crf=30)) as writer:
        for index in range(num_frames):
            writer.write(textured_frame(header, index))


def test_own_clips_to_a_ranked_rehearsal(desk: Path, capsys: pytest.CaptureFixture) -> None:
    """At most six commands, run as the README prints them: two submissions beside each other, each scored and reported."""
    block = (ROOT / "README.md").read_text().split("## A submission tonight")[1].split("```")[1]
    commands = re.findall(r"^(make [^#\n]*)", block, re.MULTILINE)
    assert 1 < len(commands) <= 6
    write_film(desk / "holiday.mp4", 102)
    write_film(desk / "garden.mp4", 2)
    for command in commands:
        for verb, *rest in verbs_of(command, desk):
            assert main([verb, *rest, *QUICK.get(verb, [])]) == 0, (command, capsys.readouterr().err)
    scores = [read_score(desk / "submissions" / name) for name in ("1h-val", "1h-val-ensemble")]
    assert [(score["name"], score["test_set"], len(score["clips"])) for score in scores] == [
        ("1h-val", "0-0", 1),
        ("1h-val-ensemble", "0-0", 1),
    ]
    assert scores[0]["totals"]["submission"]["psnr"] != scores[1]["totals"]["submission"]["psnr"]
    pages = sorted(page.relative_to(desk / "submissions").as_posix() for page in desk.glob("submissions/*/*.html"))
    assert pages == [
        "1h-val-ensemble/report.html",
        "1h-val/compare-1h-val-ensemble.html",
        "1h-val/report.html",
    ]
    board = (desk / "submissions/leaderboard.md").read_text()
    assert board.count("| 1h-val: pairs-s x4 |") == board.count("| 1h-val-ensemble: pairs-s+ x4 |") == 1
    made = {
        str(one.relative_to(desk)) for name in ("data", "runs", "submissions") for one in (desk / name).rglob("*.*")
    }
    line = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(line, cwd=ROOT, input="\n".join(made), capture_output=True, text=True, check=False)
    assert "repository" in ignored.stderr or {*ignored.stdout.splitlines()} == made  # git status stays clean


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("make score report ARGS=--all", [["--all"], [], None]),
        ("make score report REPORT_ARGS='--num-clips 4' SCORE_ARGS=--no-vmaf", [["--no-vmaf"], ["--num-clips", "4"], None]),
        ("make report ARGS='--num-clips 4'", [["--num-clips", "4"], None]),
        ("make submission ARGS='--batch 2'", [["--batch", "2"], []]),
        ("make setup train submission ARGS=--amp", [["--amp"], [], []]),
    ],
)  # fmt: skip
def test_each_verb_gets_its_own_arguments(desk: Path, command: str, wanted: list) -> None:
    """ARGS goes to the first target; VERB_ARGS to that verb. (None: the leaderboard, which takes none.)"""
    found = verbs_of(command, desk)
    assert len(found) == len(wanted)
    for line, own in zip(found, wanted, strict=True):
        assert own is None or line[len(line) - len(own) :] == own
        assert line.count("--all") + line.count("--amp") == (own in (["--all"], ["--amp"]))


def test_targets_pair_what_belongs_together(desk: Path) -> None:
    """`make score` takes the rehearsal, `make submission` the test clips; a tweak has a name and folders of its own."""
    (score,) = verbs_of("make score", desk)
    assert score[1] == "submissions/1h-val/1h-val.zip" and score[-1] == "val"
    assert score[2:6] == ["--low", "data/clips/val", "--high", "data/clips/val"]
    predict, submit = verbs_of("make submission NAME=mine", desk)
    assert predict[1:5] == ["data/clips/test", "runs/mine/predictions/mine-round1-test", "--weights", "runs/mine"]
    assert submit[1:4] == [predict[2], "--name", "mine-round1-test"]
    predict, submit = verbs_of("make submission PREDICT_ARGS='--sharpen 1.5,0.5 --ensemble' TEST_SET=val", desk)
    assert predict[1:3] == ["data/clips/val", "runs/1h/predictions/1h-val-sharpen-1.5-0.5-ensemble"]
    assert submit[3] == "1h-val-sharpen-1.5-0.5-ensemble"
    (train,) = verbs_of("make train RECIPE=espcn", desk)
    assert train == ["train", "--recipe", "espcn", "--name", "espcn"]
    (desk / "runs/espcn").mkdir(parents=True)
    (desk / "runs/espcn/last.pt").touch()  # a run that was stopped goes on
    (train,) = verbs_of("make train RECIPE=espcn", desk)
    assert train == ["train", "--resume", "runs/espcn"]

"""The leaderboard: order, text that stays text, and scores that cannot be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from youku import report
from youku.exchange import leaderboard

PROTOCOL = {
    "psnr_planes": "yuv",
    "psnr_pool": "clip",
    "vmaf_clips": "full",
    "vmaf_model": "vmaf_v0.6.1",
    "vmaf_pool": "mean",
}


def add_score(root: Path, folder: str, name: str, score: float | None, psnr: float = 30.0) -> None:
    """A folder with the least that a score.json holds."""
    totals: dict[str, Any] = {"score": score, "psnr": psnr, "vmaf": None, "ssim": 0.9, "vmaf_neg_full": 50.0}
    clip = {"id": 150, "file": "a", "low": "b", "high": "c", "whole": True, "frames": [0], "width": 4, "height": 4}
    (root / folder).mkdir(parents=True)
    (root / folder / "score.json").write_text(
        json.dumps(
            {
                "name": name,
                "test_set": "150-199",
                "created": "2026-01-02T03:04:05+00:00",
                "protocol": PROTOCOL,
                "tools": {},
                "paths": {},
                "totals": {"submission": totals, "bicubic": totals},
                "clips": [clip | {"submission": {"psnr_yuv": psnr}, "bicubic": {"psnr_yuv": psnr}}],
            }
        )
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "submissions"
    add_score(root, "plain", "plain", 35.5)
    add_score(root, "best one", "a|b <i>", 41.25)
    add_score(root, "unscored", "psnr only", None)
    (root / "best one" / "report.html").write_text("")
    (root / "leaderboard.md").write_text(f"{leaderboard.HEADING}old\n")
    return root


def test_best_score_comes_first(root: Path) -> None:
    """Rows fall in score, what has no score is last, and nothing of the table before stays."""
    path, faults = report.write_leaderboard(root)
    text = path.read_text()
    assert faults == []
    assert text.startswith(leaderboard.HEADING) and "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[3] for row in rows] == ["41.250", "35.500", "n/a"]
    assert [row.split(" | ")[5] for row in rows] == ["the best", "-5.750", "n/a"]
    assert report.write_leaderboard(root)[0].read_text() == text


def test_a_row_names_its_network(root: Path) -> None:
    """As a manifest beside the score says; one that is damaged, or of older versions, says nothing."""
    (root / "plain" / "manifest.json").write_text('{"model": "pairs-s x4, as its run began"}')
    (root / "best one" / "manifest.json").write_text("[")
    (root / "unscored" / "manifest.json").write_text("{}")
    rows = leaderboard.format_board(leaderboard.read_entries(root)[0]).splitlines()[4:]
    names = [row.split(" | ")[0] for row in rows]
    assert names == ["| a\\|b \\<i\\>", "| plain: pairs-s x4, as its run began", "| psnr only"]


def test_other_films_under_the_same_ids_are_another_test_set(root: Path) -> None:
    """They are told by bicubic's figure, and are not set against each other; the row says which clip tells them apart."""
    add_score(root, "other film", "other film", 40.0, psnr=33.0)
    rows = [line.split(" | ") for line in leaderboard.format_board(leaderboard.read_entries(root)[0]).splitlines()[4:]]
    assert [(row[0], row[5]) for row in rows if "the best" in row] == [
        ("| a\\|b \\<i\\>", "the best"),
        ("| other film", "the best"),
    ]
    assert rows[1][1].startswith(r"150-199, not that of a\|b \<i\>: clip 00150 is of two films, ")
    assert [row[1] for row in rows if "other" not in row[0]] == ["150-199"] * 3


def test_a_submission_is_no_folder_of_submissions(root: Path) -> None:
    """Named instead of its parent, it gets no README of its own; and it is not compared with itself."""
    with pytest.raises(ValueError, match=r"is a submission itself; name the folder that holds them"):
        report.write_leaderboard(root / "plain")
    assert not (root / "plain" / "leaderboard.md").exists()
    with pytest.raises(ValueError, match="named twice"):
        report.write_report(root / "plain", others=[root / "plain"])


def test_cells_are_escaped_and_pages_linked(root: Path) -> None:
    """A name full of markup stays text in one cell; the link to a page holds no blank; protocol columns are there."""
    row = next(
        line for line in leaderboard.format_board(leaderboard.read_entries(root)[0]).splitlines() if "41" in line
    )
    assert row.startswith(
        r"| a\|b \<i\> | 150-199 | 1 | 41.250 | not known (1 whole clip of 1 film, it takes 3 films) | the best "
        "| 41.250 | 30.000 | n/a | 50.000 | 0.9000 | yuv by clip | "
    )
    assert row.endswith("| 2026-01-02 | [report](best%20one/report.html) |")
    assert r"full clips, vmaf\_v0.6.1, mean" in row
    assert leaderboard._plain("a\n\x1b[31m b") == r"a \\x1b\[31m b"


def test_a_file_of_others_is_named(root: Path) -> None:
    """And stays as it is."""
    (root / "leaderboard.md").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"leaderboard\.md: exists and is no leaderboard of this kit"):
        report.write_leaderboard(root)
    assert (root / "leaderboard.md").read_bytes() == b"caf\xe9"


def test_damaged_score_is_left_out_and_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One damaged score does not stop the others; stderr names it."""
    (root / "plain" / "score.json").write_text("{")
    assert report.main(["--leaderboard", str(root)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{root / 'leaderboard.md'}\n"
    assert err.startswith("left out: ")
    assert "plain/score.json" in err
    assert "35.500" not in (root / "leaderboard.md").read_text()


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda score: [score],
    "a number": lambda score: 5,
    "test set true": lambda score: score | {"test_set": True},
    "name of half a sign": lambda score: score | {"name": "\ud800"},
    "protocol a number": lambda score: score | {"protocol": 5},
    "protocol of numbers": lambda score: score | {"protocol": PROTOCOL | {"vmaf_model": -0.0}},
    "totals a list": lambda score: score | {"totals": []},
    "psnr of 400 digits": lambda score: score | {"totals": {"submission": {"psnr": 10**400}}},
    "psnr not finite": lambda score: score | {"totals": {"submission": {"psnr": float("inf")}}},
    "score nan": lambda score: score | {"totals": {"submission": {"score": float("nan")}}},
    "clips an object": lambda score: score | {"clips": {"a": 1}},
    "clip twice": lambda score: score | {"clips": score["clips"] * 2},
    "id of 400 digits": lambda score: score | {"clips": [score["clips"][0] | {"id": 10**400}]},
    "id negative": lambda score: score | {"clips": [score["clips"][0] | {"id": -1}]},
    "frames of text": lambda score: score | {"clips": [score["clips"][0] | {"frames": ["0"]}]},
    "curve a number": lambda score: score | {"clips": [score["clips"][0] | {"bicubic": {"per_frame": {"ssim": 5}}}]},
    "curves a list": lambda score: score | {"clips": [score["clips"][0] | {"bicubic": {"per_frame": [1]}}]},
    "nested": lambda score: "DEEP",
}


@pytest.mark.parametrize("case", BAD)
def test_no_score_ends_the_board(root: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever one score.json holds, it is named, with what was expected, and left out; the others are listed."""
    path = root / "plain" / "score.json"
    text = json.dumps(BAD[case](json.loads(path.read_text())))
    path.write_text(text.replace('"DEEP"', "[" * 100_000))
    assert report.main(["--leaderboard", str(root)]) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"left out: {path}: expected ") and len(err.splitlines()) == 1 and len(err) < 400
    board = (root / "leaderboard.md").read_text()
    assert "41.250" in board and "35.500" not in board


def test_what_cannot_be_read_is_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in place of score.json costs the others nothing; one whose name is no text is linked by its bytes."""
    (root / "odd" / "score.json").mkdir(parents=True)
    shutil.copytree(root / "plain", root / os.fsdecode(b"\xff"))
    (root / os.fsdecode(b"\xff") / "report.html").write_text("")
    assert report.main(["--leaderboard", str(root)]) == 0
    assert capsys.readouterr().err.count("left out: ") == 1
    board = (root / "leaderboard.md").read_text()
    assert "35.500" in board and "[report](%FF/report.html)" in board


def test_empty_and_missing_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a score the board says so; a folder that is not there is an error."""
    path, _ = report.write_leaderboard(tmp_path)
    assert "No submission has been scored yet" in path.read_text()
    assert report.main(["--leaderboard", str(tmp_path / "none")]) == 1
    assert "expected a folder of submissions" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--leaderboard", "a", "b"], ["--leaderboard", "--out", "x"]])
def test_arguments_that_make_no_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to report on, and flags of a page beside --leaderboard, are usage errors."""
    with pytest.raises(SystemExit) as stopped:
        report.main(argv)
    assert stopped.value.code == 2
    assert "expected a scored" in (err := capsys.readouterr().err) or "--leaderboard takes" in err


def test_what_a_score_holds_stays_in_a_sentence(root: Path) -> None:
    """Values of thousands of letters or with control characters are told short and harmless."""
    path = root / "plain" / "score.json"
    score = json.loads(path.read_text())
    for hurt in ({"tools": {"a\n\x1b[2J": 3}}, {"protocol": {**PROTOCOL, "vmaf_clips": "\x1b" + "x" * 9999}}):
        path.write_text(json.dumps(score | hurt))
        (fault,) = leaderboard.read_entries(root)[1]
        assert fault.isprintable() and len(fault) < 1000

"""Files appear whole or not at all; disk full, read-only and blocked paths are one sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from youku import files
from youku.__main__ import main
from youku.video import y4m


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error in the middle leaves the old content and no temporary file."""
    path = tmp_path / "a b \u6587\u4ef6.bin"
    with files.atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), files.atomic_write(path) as file:
        file.write(b"new but broken")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    """Files are readable like any other, not 0600 as temporary files are."""
    with files.atomic_write(tmp_path / "x") as file:
        file.write(b"1")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    """One sentence, whether the file is the folder or its parent."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="expected a folder, found a file"):
            files.make_folder(folder)


def test_json_round_trip_and_damage(tmp_path: Path) -> None:
    """What was written is read; damage names the file."""
    files.write_json(tmp_path / "a.json", {"name": "\u4f18\u9177", "n": [1, 2]})
    assert files.read_json(tmp_path / "a.json") == {"name": "\u4f18\u9177", "n": [1, 2]}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: expected JSON"):
        files.read_json(tmp_path / "a.json")


def test_free_space_is_checked_before_the_work(tmp_path: Path) -> None:
    """The message says how much is needed and how much there is, for a folder that does not exist yet."""
    with pytest.raises(ValueError, match=r"this needs 1000000\.00 GB, the disk has"):
        files.require_free(tmp_path / "not" / "yet", 10**15, "this")
    files.require_free(tmp_path, 1, "this")


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    """FIPS 180-4's example."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of one megabyte, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_disk_full_leaves_nothing(small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """predict onto a full disk: one sentence, exit 1, no half file."""
    header = y4m.make_header(160, 120)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        for _ in range(8):
            writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "the disk is full" in error and "Traceback" not in error
    assert list(small_disk.iterdir()) == []


def test_read_only_output_is_one_sentence(small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """predict into a read-only file system says so and exits 1."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    header = y4m.make_header(16, 16)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        writer.write(tuple(np.zeros(shape, "u1") for shape in header.plane_shapes))
    assert main(["predict", str(tmp_path / "in.y4m"), str(small_disk / "out.y4m")]) == 1
    error = capsys.readouterr().err
    assert "read-only" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, '{"a":' * 50_000, "1" * 5000, "\xff", "", "\ufeff{}"], ids=lambda text: text[:3]
)
def test_damaged_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    """Damage of any kind, also nesting too deep and numbers too long, names the file."""
    (tmp_path / "a.json").write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    with pytest.raises(ValueError, match=r"a\.json: expected JSON, got damage \(.+\); make the file again"):
        files.read_json(tmp_path / "a.json")


SHAPE = {"name": str, "count": int, "rate": (float, None), "on": bool, "rows": [{"id": int}]}
FITTING: dict[str, Any] = {
    "name": "a",
    "count": 1,
    "rate": None,
    "on": True,
    "rows": [{"id": 1, "more": 2}],
    "other": [],
}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", 5, "t.name: expected text, got 5"),
        ("name", "\ud800", "t.name: expected text"),
        ("count", True, "t.count: expected a whole number, got True"),
        ("count", 1.5, "got 1.5"),
        ("count", 10**400, "got a number of too many digits"),
        ("rate", float("nan"), "t.rate: expected a number or null, got nan"),
        ("rate", float("inf"), "got inf"),
        ("rate", 10**400, "too many digits"),
        ("on", 1, "expected true or false"),
        ("rows", {}, "t.rows: expected a list, got an object"),
        ("rows", [{"id": 1}, {}], "t.rows[1]: 'id' is missing"),
        ("rows", [{"id": []}], "t.rows[0].id: expected a whole number, got a list"),
    ],
)
def test_require_names_the_place(key: str, value: Any, words: str) -> None:
    """What fits passes; each value of another type, range or length is one sentence with its place in the file."""
    files.require(FITTING, SHAPE, "t")
    with pytest.raises(ValueError) as caught:
        files.require(FITTING | {key: value}, SHAPE, "t")
    assert words in str(caught.value)

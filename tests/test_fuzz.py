"""The fuzz script: what it calls right and wrong, and that the readers hold a few of its cases."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from pathlib import Path

import pytest

from benchmarks import fuzz
from youku import files

SOME = 12  # cases a kind: the script itself makes thousands


@pytest.mark.parametrize("name", fuzz.KINDS)
def test_readers_hold_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every case is read or refused in a sentence that names the file, and the valid files are read."""
    monkeypatch.setattr(fuzz, "SLOW_SEC", 0)  # no timer in the process of the tests
    kind = fuzz.KINDS[name]
    seeds, path = kind.seeds(), tmp_path / kind.place
    files.make_folder(path.parent)
    for data in [*seeds, *(fuzz.case(kind, name, seeds, 2, number) for number in range(SOME))]:
        path.write_bytes(data)
        outcome = fuzz.judge(kind, path, 1 << 40)
        assert outcome == "read" or (outcome == "refused" and data not in seeds)


def test_a_case_is_its_seed_kind_and_number() -> None:
    """Whatever ran before: so a run may stop and go on, and any case may be made again."""
    kind = fuzz.KINDS["zip"]
    seeds = kind.seeds()
    made = {fuzz.case(kind, "zip", seeds, seed, number) for seed in (0, 1) for number in range(30)}
    assert len(made) > 50 and fuzz.case(kind, "zip", seeds, 1, 7) in made


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (KeyError("x"), "traceback"), (ValueError("no name"), "traceback"), (fuzz.Slow(), "hang"),
        (MemoryError(), "above 1 GB"), (ValueError("{path}: (MemoryError)"), "above 1 GB"),
        (ValueError("{path}: two\nlines"), "traceback"), (ValueError("{path}: " + "x" * 5000), "traceback"),
        (ValueError("{path}: one sentence"), "refused"), (FileNotFoundError(2, "not there", "x"), "refused"),
        (OSError("no file is named"), "traceback"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_counted(tmp_path: Path, raised: BaseException, outcome: str) -> None:
    """Errors other than a sentence that names the file, cases that take too long or too much, are not right."""
    if isinstance(raised, ValueError):
        raised = ValueError(str(raised).replace("{path}", str(tmp_path / "x")))

    def read(path: Path) -> bool:
        raise raised

    kind = dataclasses.replace(fuzz.KINDS["zip"], read=read)
    assert fuzz.judge(kind, tmp_path / "x", 0) == outcome


def test_memory_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that holds more than the bound for a moment."""
    monkeypatch.setattr(fuzz, "MOST_BYTES", 1 << 20)
    kind = dataclasses.replace(fuzz.KINDS["zip"], read=lambda path: bool(b"x" * (fuzz._most_bytes() + (64 << 20))))
    assert fuzz.judge(kind, tmp_path / "x", 0) == "above 1 GB"


def test_a_worker_that_dies_counts_and_the_next_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases 0 and 1 are read, 2 ends the process, 3 is read; a second run has nothing left to do."""

    def work(name: str, seed: int, found: Path, num_cases: int, shared: fuzz.Shared) -> None:
        for number in range(shared[0], num_cases):
            if number == 2:
                os._exit(1)
            shared[2 + fuzz.OUTCOMES.index("read")] += 1
            shared[0] = number + 1

    monkeypatch.setattr(fuzz, "_work", work)
    monkeypatch.setattr(fuzz, "multiprocessing", multiprocessing.get_context("fork"))
    for _ in range(2):
        counts = fuzz.count("zip", 0, tmp_path, 4)
        assert (counts["done"], counts["read"], counts["died"], counts["hang"]) == (4, 3, 1, 0)

"""The fuzz script: what it calls right and wrong, and that the readers hold a few of its cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz


@pytest.mark.parametrize("kind", fuzz.READERS)
def test_readers_hold_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Every case is read or refused in a sentence that names the file, and the valid files are read."""
    monkeypatch.setattr(fuzz, "SLOW_SEC", 0)  # no alarm in the process of the tests
    seeds, rng, path = fuzz._seeds(kind, tmp_path), np.random.default_rng(2), tmp_path / "case"
    for data in [*seeds, *(fuzz._damage(seeds[number % len(seeds)], kind, rng) for number in range(25))]:
        path.write_bytes(data)
        outcome = fuzz._judge(kind, path)
        assert outcome == "read" or (outcome == "refused" and data not in seeds)


@pytest.mark.parametrize(
    ("raised", "outcome"), [(KeyError("x"), "traceback"), (ValueError("no name"), "traceback"), (fuzz.Slow(), "hang")]
)
def test_what_is_wrong_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, outcome: str
) -> None:
    """Errors other than a sentence that names the file, and cases that take too long, are not right."""

    def read(path: Path) -> bool:
        raise raised

    monkeypatch.setitem(fuzz.READERS, "json", read)
    assert fuzz._judge("json", tmp_path / "x") == outcome

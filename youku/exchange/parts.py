"""What was measured of one clip, and the parts of a score that several machines measured, kept until they are merged.

OUT/.score-parts/KEY.json holds one clip's values; KEY is of all that decides them: the bytes that were shipped, both clips,
the frames, what is measured. So a part is taken for exactly the clip that it is of, or the clip is measured again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from youku import files
from youku.exchange import baseline
from youku.exchange.submission import Submission
from youku.exchange.totals import FrameValues
from youku.metrics.artefacts import Artefacts

FOLDER = ".score-parts"


@dataclass(frozen=True)
class Measured:
    """What one pass over a clip gave, by system; `versions` of libvmaf."""

    values: dict[str, FrameValues]
    artefacts: dict[str, Artefacts] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)


def entry(
    out: Path, submission: Submission, name: str, pair: tuple[Path, Path], frames: Sequence[int], how: dict[str, Any]
) -> Path:
    """The file of a clip's part, whether it is there or not."""
    shipped = submission.path / name if submission.path.is_dir() else submission.path
    contents = [files.sha256(path) for path in (shipped, *pair)]
    decided_by = json.dumps([baseline.VERSION, name, contents, list(frames), how], sort_keys=True)
    return out / FOLDER / f"{hashlib.sha256(decided_by.encode()).hexdigest()[:40]}.json"


def read(path: Path, num_frames: int) -> Measured | None:
    """The part that is kept there; None where there is none or it is damaged."""
    try:
        kept = files.read_json(path)
        values = {system: FrameValues(**rows) for system, rows in kept["values"].items()}
        artefacts = {system: Artefacts(**marks) for system, marks in kept["artefacts"].items()}
        counts = {len(row) for rows in values.values() for row in asdict(rows).values()}
        return Measured(values, artefacts, set(kept["versions"])) if counts <= {0, num_frames} else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def write(path: Path, measured: Measured) -> None:
    """Keep a part; unlike JSON's own rules, infinity is a number here."""
    kept = {**asdict(measured), "versions": sorted(measured.versions)}
    files.write_json(path, kept)


def drop(out: Path) -> None:
    """Remove the parts of a score that is written."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)

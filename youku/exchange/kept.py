"""What was measured of a clip, kept in a JSON file that is named after all that decides it.

Two folders hold such files: the user's cache the rows of bicubic and Lanczos, which are measured once for a test set, and
OUT/.score-parts what several machines measured, until it is merged. What is damaged is measured again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from youku import files
from youku.exchange.totals import FrameValues
from youku.metrics.artefacts import Artefacts

VERSION = 3  # counts up when the kit enlarges or measures otherwise


@dataclass(frozen=True)
class Measured:
    """What one pass over a clip gave, by system; `versions` of libvmaf."""

    values: dict[str, FrameValues]
    artefacts: dict[str, Artefacts] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)


def place(folder: Path, *decided_by: Any) -> Path:
    """The file of a measurement, whether it is there or not."""
    key = json.dumps([VERSION, *decided_by], sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"


def read(path: Path, systems: Sequence[str], num_frames: int) -> Measured | None:
    """What is kept of those systems on so many frames; None where there is none or it is damaged."""
    try:
        kept = files.read_json(path)
        values = {system: FrameValues(**kept["values"][system]) for system in systems}
        artefacts = {system: Artefacts(**marks) for system, marks in kept["artefacts"].items()}
        rows = [row for one in values.values() for row in asdict(one).values()]
        is_whole = all(len(row) in (0, num_frames) and all(isinstance(value, float) for value in row) for row in rows)
        is_whole &= all(len(one.psnr_yuv) == num_frames for one in values.values())
        return Measured(values, artefacts, set(kept["versions"])) if is_whole else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def write(path: Path, measured: Measured) -> None:
    """Keep it; unlike JSON's own rules, infinity is a number here."""
    files.write_json(path, {**asdict(measured), "versions": sorted(measured.versions)})

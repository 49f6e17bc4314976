"""The rows of bicubic and Lanczos of a clip, measured once and kept in the user's cache under what decides them.

A pair of clips (LR, GT), its scored frames and what is measured -> FrameValues. A file whose stamp has changed is another
file; an entry that is damaged, or cannot be written, is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from youku import files
from youku.exchange.totals import FrameValues

VERSION = 2  # counts up when the kit enlarges or measures otherwise


def entry(system: str, low: Path, high: Path, frames: Sequence[int], measured: dict[str, Any]) -> Path:
    """The file that holds the row of a reference for this pair, whether it is there or not."""
    pair = [(str(path.resolve()), files.stamp(path)) for path in (low, high)]
    decided_by = json.dumps([VERSION, pair, list(frames), measured], sort_keys=True)
    return files.cache_folder(system) / f"{hashlib.sha256(decided_by.encode()).hexdigest()[:40]}.json"


def read(path: Path, num_frames: int) -> tuple[FrameValues, set[str]] | None:
    """Values a frame and versions of libvmaf, or None where they are not kept."""
    try:
        kept = files.read_json(path)
        files.require(kept, {"values": dict, "versions": [str]}, path.name)
        rows = {field.name: kept["values"].get(field.name) for field in fields(FrameValues)}
        files.require(rows, {name: [float] for name in rows}, path.name)
    except (ValueError, OSError):
        return None
    if any(len(row) not in (0, num_frames) for row in rows.values()) or len(rows["psnr_yuv"]) != num_frames:
        return None
    return FrameValues(**rows), set(kept["versions"])


def write(path: Path, values: FrameValues, versions: set[str]) -> None:
    """Keep a row; JSON has no infinity, so one with an exact match is not kept, and no cache or a full one is no error."""
    rows = asdict(values)
    if all(math.isfinite(value) for row in rows.values() for value in row):
        with contextlib.suppress(OSError, ValueError):  # a file in the place of its folder
            files.write_json(path, {"values": rows, "versions": sorted(versions)})

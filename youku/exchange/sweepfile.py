"""Keep a sharpening sweep beside the score it belongs to, so that a page shows it without measuring it again.

Swept clips (id, reason, frames, points) <-> submissions/NAME/sweep.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from youku import files

KEYS = ("sigma_px", "amount", "psnr", "vmaf", "vmaf_neg", "score")


def write_sweep(folder: Path, created: str, clips: list[dict[str, Any]]) -> Path:
    """Write folder/sweep.json for the score made at `created`."""
    path = folder / "sweep.json"
    files.write_json(path, {"created": created, "clips": clips})
    return path


def read_sweep(folder: Path, created: str) -> tuple[list[dict[str, Any]], str]:
    """The swept clips, and a sentence for the page where there are none; ValueError for a damaged file."""
    path = folder / "sweep.json"
    command = "python -m youku report --sweep measures it"
    if not path.is_file():
        return [], f"Not measured: it takes minutes; {command}."
    sweep = files.read_json(path)
    try:
        if sweep["created"] != created:
            return [], f"The sweep belongs to an earlier score; {command} again."
        clips = [
            {
                "clip": str(clip["clip"]),
                "reason": str(clip["reason"]),
                "frames": [int(frame) for frame in clip["frames"]],
                "points": [{key: float(point[key]) for key in KEYS} for point in clip["points"]],
            }
            for clip in sweep["clips"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a sweep written by this kit ({error}); {command} again") from None
    if any(len(clip["points"]) < 2 for clip in clips):
        raise ValueError(f"{path}: expected a sweep written by this kit (a clip without points); {command} again")
    return clips, ""

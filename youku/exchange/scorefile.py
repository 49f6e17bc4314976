"""Write a submission's score.json and score.csv, and read score.json back into numbers: null is None, "inf" infinity.

The dict of `score` <-> submissions/NAME/score.json; damage is one clear sentence.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from youku import contest, files
from youku.exchange.totals import CHOICES, SYSTEMS

KEYS = ("name", "test_set", "created", "protocol", "tools", "paths", "totals", "clips")


def read_score(folder: Path) -> dict[str, Any]:
    """folder/score.json with numbers as float or None, clips by id, `psnr` and `curve` of a clip under the protocol.

    ValueError where the file is missing, damaged or not a score.
    """
    path = folder / "score.json"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; score the submission first: python -m youku score {folder}")
    score = files.read_json(path)
    try:
        return _normalise(score)
    except (KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{path}: expected a score written by this kit: {reason}; score the submission again")


def write_score(score: dict[str, Any], out: str | Path) -> tuple[Path, Path]:
    """Write OUT/score.json and OUT/score.csv (one line a clip and system, then totals); infinite values are "inf"."""
    import pandas

    out = files.make_folder(out)
    rows = []
    for clip in score["clips"]:
        for system in SYSTEMS:
            values = {key: value for key, value in clip[system].items() if key != "per_frame"}
            about = {"id": clip["id"], "file": clip["file"], "whole": clip["whole"], "frames": len(clip["frames"])}
            rows.append({**about, "system": system, **values, **clip.get("artefacts", {}).get(system, {})})
    with files.atomic_write(out / "score.csv") as file:
        pandas.DataFrame(rows).to_csv(file, index=False, lineterminator="\n", float_format="%.6f")
    files.write_json(out / "score.json", plain(score))
    return out / "score.json", out / "score.csv"


def plain(value: Any) -> Any:
    """JSON has no infinity: the string "inf" stands for it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _normalise(score: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in KEYS if key not in score]
    missing += [key for key in CHOICES if not missing and key not in score["protocol"]]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    planes, vmaf_clips = score["protocol"]["psnr_planes"], score["protocol"]["vmaf_clips"]
    if planes not in contest.PSNR_PLANES or vmaf_clips not in contest.VMAF_CLIPS:
        raise ValueError(f"protocol has psnr_planes {planes!r} and vmaf_clips {vmaf_clips!r}")
    if not score["clips"]:
        raise ValueError("it holds no clips")
    totals = {system: _numbers(score["totals"].get(system)) for system in SYSTEMS}
    for total in totals.values():
        total["vmaf_neg"] = total.get(f"vmaf_neg_{vmaf_clips}")
    clips = [_clip(clip, planes) for clip in sorted(score["clips"], key=lambda clip: clip["id"])]
    return {**score, "totals": totals, "clips": clips}


def _clip(clip: dict[str, Any], planes: str) -> dict[str, Any]:
    """A clip with its id as five digits; curves of nothing but nulls are dropped."""
    systems: dict[str, Any] = {}
    for system in SYSTEMS:
        table = clip.get(system) or {}
        curves = {
            key: [_number(value) for value in curve] for key, curve in (table.get("per_frame") or {}).items() if curve
        }
        for key, curve in curves.items():
            if len(curve) != len(clip["frames"]):
                raise ValueError(
                    f"clip {clip['id']:05d} has {len(clip['frames'])} frames and {len(curve)} values of {key}"
                )
        values = _numbers(table)
        known = {key: curve for key, curve in curves.items() if any(value is not None for value in curve)}
        systems[system] = {**values, "psnr": values.get(f"psnr_{planes}"), "per_frame": known}
    curve_key = "psnr_y" if planes == "y" else "psnr_yuv"  # no RGB curve is stored
    wanted = {key: clip[key] for key in ("file", "low", "high", "whole", "frames", "width", "height")}
    return {**wanted, **systems, "id": f"{clip['id']:05d}", "curve": curve_key}


def _numbers(table: dict[str, Any] | None) -> dict[str, float | None]:
    return {key: _number(value) for key, value in (table or {}).items() if key != "per_frame"}


def _number(value: Any) -> float | None:
    """A value of score.json: null is None, "inf" is infinity."""
    if value is None or value == "inf":
        return None if value is None else math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f'expected a number, null or "inf", got {value!r}')
    return float(value)

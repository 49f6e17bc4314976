"""Write a submission's score.json and score.csv, and read score.json back into numbers: null is None, "inf" infinity.

The dict of `score` <-> submissions/NAME/score.json; whatever is wrong with the file is one clear sentence, for all that
its readers use was checked here by type, range and length.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from youku import contest, files
from youku.exchange.totals import PROTOCOL, SYSTEMS
from youku.metrics import psnr

CLIP = {"id": int, "file": str, "low": str, "high": str, "whole": bool, "frames": [int], "width": int, "height": int}
SCORE = {
    "name": str, "test_set": str, "created": str, "protocol": dict.fromkeys(PROTOCOL, str), "tools": dict, "paths": dict,
    "totals": dict, "clips": [CLIP],
}  # fmt: skip
MOST_LETTERS = 500  # of what is wrong: a file may have put anything into it
MAX_SIDE_PX = 32768
MAX_VALUE = 1e6  # no measure comes near; sums and figures stay finite


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
    except ValueError as error:
        reason = files.printable(str(error), MOST_LETTERS)
    raise ValueError(f"{path}: expected a score written by this kit: {reason}; score the submission again")


def unlike(score: dict[str, Any], first: dict[str, Any]) -> str:
    """Why two scores that were read cannot be compared; "" for one protocol on the same frames of the same films.

    A film is told by bicubic's figures, which are of its LR and GT alone; what has none counts as the same.
    """
    same = ("id", "frames", "width", "height")
    forms, others = ([[clip[key] for key in same] for clip in one["clips"]] for one in (score, first))
    if forms != others:
        return f"clips, frames or sizes are not the same (test sets {score['test_set']} and {first['test_set']})"
    if score["protocol"] != first["protocol"]:
        return "the protocols are not the same"
    for clip, other in zip(score["clips"], first["clips"], strict=True):
        values = zip(_bicubic_db(clip), _bicubic_db(other), strict=False)
        if apart := [pair for pair in values if None not in pair and abs(pair[0] - pair[1]) > psnr.SAME_DB]:
            told = " and ".join(f"{value:.3f}" for value in apart[0])
            return f"clip {clip['id']} is of two films, or shrunk in two ways (bicubic has {told} dB)"
    return ""


def _bicubic_db(clip: dict[str, Any]) -> list[Any]:
    """PSNR of bicubic: of the clip, then of its frames where they were kept."""
    return [clip["bicubic"].get("psnr_yuv"), *clip["bicubic"]["per_frame"].get("psnr_yuv", [])]


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


def _normalise(score: Any) -> dict[str, Any]:
    files.require(score, SCORE, "score")
    for key in ("tools", "paths"):
        files.require(score[key], dict.fromkeys(score[key], (str, None)), key)
    planes, vmaf_clips = score["protocol"]["psnr_planes"], score["protocol"]["vmaf_clips"]
    if planes not in contest.PSNR_PLANES or vmaf_clips not in contest.VMAF_CLIPS:
        raise ValueError(f"protocol has psnr_planes {planes!r} and vmaf_clips {vmaf_clips!r}")
    if not score["clips"]:
        raise ValueError("it holds no clips")
    # maybe no lanczos
    totals = {system: _numbers(score["totals"].get(system), f"totals.{system}") for system in SYSTEMS}
    for total in totals.values():
        total["vmaf_neg"] = total.get(f"vmaf_neg_{vmaf_clips}")
    clips = [_clip(clip, planes) for clip in sorted(score["clips"], key=lambda clip: clip["id"])]
    if len({clip["id"] for clip in clips}) < len(clips):
        raise ValueError("a clip is there twice")
    return {**score, "totals": totals, "clips": clips}


def _clip(clip: dict[str, Any], planes: str) -> dict[str, Any]:
    """A clip with its id as five digits; curves of nothing but nulls are dropped."""
    name, frames = f"clip {clip['id']:05d}", clip["frames"]
    if not 0 <= clip["id"] <= 99999 or not frames or frames[0] < 0:
        raise ValueError(f"{name}: expected an id of 0 to 99999 and frames from 0 on")
    if not all(0 < clip[side] <= MAX_SIDE_PX for side in ("width", "height")):
        raise ValueError(f"{name}: expected sides of 1 to {MAX_SIDE_PX} pixels")
    if any(after <= before for before, after in itertools.pairwise(frames)):
        raise ValueError(f"{name}: expected frames in ascending order")
    film = clip.get("film")  # older scores lack it
    files.require(film, (str, None), f"{name}.film")
    systems: dict[str, Any] = {}
    for system in SYSTEMS:
        values = _numbers(clip.get(system), f"{name}.{system}")
        curves = (clip.get(system) or {}).get("per_frame") or {}
        files.require(curves, dict, f"{name}.{system}.per_frame")
        curves = {key: curve for key, curve in curves.items() if curve}
        for key, curve in curves.items():
            files.require(curve, list, f"{name}.{system}.{key}")
            if len(curve) != len(frames):
                raise ValueError(f"{name} has {len(frames)} frames and {len(curve)} values of {key}")
        curves = {key: [_number(value, key) for value in curve] for key, curve in curves.items()}
        known = {key: curve for key, curve in curves.items() if any(value is not None for value in curve)}
        systems[system] = {**values, "psnr": values.get(f"psnr_{planes}"), "per_frame": known}
    curve_key = "psnr_y" if planes == "y" else "psnr_yuv"  # no RGB curve is stored
    return {**{key: clip[key] for key in CLIP}, **systems, "film": film, "id": f"{clip['id']:05d}", "curve": curve_key}


def _numbers(table: Any, name: str) -> dict[str, float | None]:
    files.require(table, (dict, None), name)
    return {key: _number(value, f"{name}.{key}") for key, value in (table or {}).items() if key != "per_frame"}


def _number(value: Any, name: str) -> float | None:
    """A value of score.json: null is None, "inf" is infinity."""
    if value is None or value == "inf":
        return None if value is None else math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_VALUE:
        shown = ascii(value)[:60] if isinstance(value, str | float) else "something else"
        raise ValueError(f'{name}: expected a number, null or "inf", got {shown}')
    return float(value)

"""Tally a submission's measurements: values a frame, a clip, and in total under the contest's disputed conventions.

Integer planes of a prediction and its ground truth -> FrameValues (lists of values a frame) -> a clip's values -> totals
and score = 0.8 PSNR + 0.2 VMAF. An exact match is inf dB, and so is every mean that contains one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from youku import cli, contest
from youku.metrics import artefacts, plane_ssim, psnr, vmaf
from youku.metrics.artefacts import Artefacts
from youku.text_table import lay_out, minus
from youku.video.y4m import Header, Planes

REFERENCES = ("bicubic", "lanczos")  # kernels whose rows are always beside it; the first is what gains are taken from
SYSTEMS = ("submission", *REFERENCES)
CURVES = ("psnr_yuv", "psnr_y", "ssim", "vmaf", "vmaf_neg")  # per-frame lists kept in score.json


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One reading of the contest's rules: what participants dispute, the likeliest option of each first and the default."""

    psnr_planes: str = cli.option(contest.PSNR_PLANES[0], "samples in the MSE", choices=contest.PSNR_PLANES)
    psnr_pool: str = cli.option(contest.PSNR_POOLS[0], "mean by clip or by frame", choices=contest.PSNR_POOLS)
    vmaf_clips: str = cli.option(contest.VMAF_CLIPS[0], "full = whole clips only", choices=contest.VMAF_CLIPS)
    vmaf_model: str = cli.option(next(iter(vmaf.MODELS)), "libvmaf model", choices=tuple(vmaf.MODELS))
    vmaf_pool: str = cli.option(vmaf.POOLS[0], "mean over a clip's frames", choices=vmaf.POOLS)

    def __post_init__(self) -> None:
        for item in fields(self):
            if (value := getattr(self, item.name)) not in (known := item.metadata["choices"]):
                raise ValueError(f"--{item.name.replace('_', '-')} {value!r}: expected one of {', '.join(known)}")


PROTOCOL = tuple(item.name for item in fields(Reading))


@dataclass(frozen=True)
class FrameValues:
    """Per-frame values of one system on one clip."""

    psnr_yuv: list[float] = field(default_factory=list)
    psnr_y: list[float] = field(default_factory=list)
    psnr_rgb: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    vmaf: list[float] = field(default_factory=list)
    vmaf_neg: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """What is measured of a clip beside PSNR of planes and SSIM, which cost a fraction of it."""

    rgb: bool = True
    vmaf: bool = True
    neg: bool = True


def measure_frame(
    systems: dict[str, Planes], high: Planes, header: Header, rows: dict[str, FrameValues], with_rgb: bool = True
) -> None:
    """Append PSNR and SSIM of one frame of each system to its row; the ground truth is converted to RGB once."""
    high_rgb = psnr.to_rgb(high, header) if with_rgb else None
    for system, planes in systems.items():
        row, decibels = rows[system], psnr.frame(planes, high, header, high_rgb, with_rgb)
        row.psnr_yuv.append(decibels["yuv"])
        row.psnr_y.append(decibels["y"])
        if with_rgb:
            row.psnr_rgb.append(decibels["rgb"])
        if min(high[0].shape) >= plane_ssim.WINDOW_PX:
            row.ssim.append(plane_ssim.plane(planes[0], high[0], header.depth))


def totals_of(clips: Sequence[tuple[bool, FrameValues]], reading: Reading) -> dict[str, float | None]:
    """Every convention's figure for one system over (sent whole, values) clips, then the score under `reading`."""
    totals: dict[str, float | None] = {}
    for planes in contest.PSNR_PLANES:
        values = [asdict(row)[f"psnr_{planes}"] for _, row in clips]
        for how in contest.PSNR_POOLS:
            totals[f"psnr_{planes}_{how}"] = psnr.pool(values, how) if all(values) else None
    for which in contest.VMAF_CLIPS:
        chosen = [row for whole, row in clips if which == "all" or whole]
        for name in ("vmaf", "vmaf_neg"):
            values = [_pooled(getattr(row, name), reading) for row in chosen]
            is_part = None in values and which == "all" != reading.vmaf_clips  # the sampled clips were not measured
            totals[f"{name}_{which}"] = None if is_part else _mean(values)
    psnr_db = totals[f"psnr_{reading.psnr_planes}_{reading.psnr_pool}"]
    vmaf_value = totals[f"vmaf_{reading.vmaf_clips}"]
    assert psnr_db is not None
    total = contest.score(psnr_db, vmaf_value) if vmaf_value is not None else None
    mean_ssim = _mean([psnr.mean(row.ssim) if row.ssim else None for _, row in clips])
    return {"score": total, "psnr": psnr_db, "vmaf": vmaf_value, "ssim": mean_ssim, **totals}


def clip_values(row: FrameValues, reading: Reading) -> dict[str, Any]:
    """One clip of one system as score.json holds it: means, pooled VMAF, per-frame lists; None where not measured."""
    curves = asdict(row)
    return {
        **{key: psnr.mean(curves[key]) if curves[key] else None for key in ("psnr_yuv", "psnr_y", "psnr_rgb", "ssim")},
        "vmaf": _pooled(row.vmaf, reading),
        "vmaf_neg": _pooled(row.vmaf_neg, reading),
        "per_frame": {key: curves[key] or None for key in CURVES},
    }


def _pooled(values: Sequence[float], reading: Reading) -> float | None:
    return vmaf.pool(values, reading.vmaf_pool) if values else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return psnr.mean(known) if known else None


def artefact_totals(clips: Sequence[Artefacts]) -> dict[str, float | None]:
    """Means over the clips in which each was measured; shifts by size, so that two opposite tints do not cancel."""
    rows = [asdict(clip) for clip in clips]
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {
        name: float(np.mean(np.abs(values) if name.startswith("shift") else values)) if values else None
        for name, values in known.items()
    }


# figure of a system -> its head
TOTALS = {
    "score": "score", "psnr": "PSNR", "vmaf": "VMAF", "ssim": "SSIM", "psnr_yuv_clip": "PSNR yuv",
    "psnr_y_clip": "PSNR y", "psnr_rgb_clip": "PSNR rgb", "vmaf_all": "VMAF all", "vmaf_neg_all": "NEG all",
}  # fmt: skip
ARTEFACTS = {"flicker": "flicker", "overshoot_percent": "overshoot"}
ARTEFACTS |= {f"shift_{plane}": f"|{plane.upper()} shift|" for plane in "yuv"}
# figure of a clip -> its head, digits, and whether the gain over bicubic is shown
CLIP_COLUMNS = (("psnr_yuv", "PSNR yuv", 3, True), ("ssim", "SSIM", 4, False), ("vmaf", "VMAF", 2, True))


def format_table(score: dict[str, Any]) -> str:
    """The totals of all systems and the gain over bicubic, the protocol and tools, then one line a clip."""
    protocol, tools = score["protocol"], score["tools"]
    legend = (
        f"\nscore = {contest.PSNR_WEIGHT} PSNR + {contest.VMAF_WEIGHT} VMAF; PSNR {protocol['psnr_planes']} by "
        f"{protocol['psnr_pool']}; {protocol['vmaf_model']} {protocol['vmaf_pool']} of {protocol['vmaf_clips']} clips; "
        f"libvmaf {tools['libvmaf'] or 'not run'}, ffmpeg {tools['ffmpeg']}\n"
    )
    clips = score["clips"]
    columns = [
        ["clip", *(f"{clip['id']:05d}" for clip in clips)],
        ["frames", *(str(len(clip["frames"])) for clip in clips)],
    ]
    for key, head, digits, with_gain in CLIP_COLUMNS:
        ours, theirs = ([clip[system][key] for clip in clips] for system in SYSTEMS[:2])
        columns += [[head, *_cells(ours, digits)], ["bicubic", *_cells(theirs, digits)]]
        columns += [["gain", *_cells(map(minus, ours, theirs), digits, "+")]] if with_gain else []
    negs = [clip["submission"]["vmaf_neg"] for clip in clips]
    columns += [["NEG", *_cells(negs, 2)]] if set(negs) != {None} else []
    totals = _all_systems(score["test_set"], score["name"], score["totals"], TOTALS)
    return "\n".join([totals, legend, _lay_out(columns)])


def format_artefacts(score: dict[str, Any]) -> str:
    """Both systems and their difference, from a score's "artefacts" entries."""
    window_px, tolerance = artefacts.WINDOW_PX, artefacts.TOLERANCE
    return (
        _all_systems("artefacts", score["name"], score["artefacts"], ARTEFACTS)
        + "\nflicker, shifts in code values; overshoot in % of the samples beside edges: beyond the "
        f"{window_px}x{window_px} truth by more than {tolerance}; means over clips, less is better"
    )


def _all_systems(corner: str, name: str, table: dict[str, dict[str, float | None]], heads: dict[str, str]) -> str:
    """Rows of the references, submission and its difference from bicubic; a column that was not measured is left out."""
    columns = [[corner, *REFERENCES, name, "over bicubic"]]
    for key, head in heads.items():
        ours, *theirs = (table[system][key] for system in SYSTEMS)
        digits = 4 if key == "ssim" else 3
        if {ours, *theirs} != {None}:
            gain = _cells([minus(ours, theirs[0])], digits, "+")
            columns.append([head, *_cells([*theirs, ours], digits), *gain])
    return _lay_out(columns)


def _lay_out(columns: Sequence[Sequence[str]]) -> str:
    header, *rows = zip(*columns, strict=True)
    return lay_out(header, rows)


def _cells(values: Iterable[float | None], places: int, sign: str = "") -> list[str]:
    return ["-" if value is None else f"{value:{sign}.{places}f}" for value in values]

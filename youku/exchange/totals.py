"""Tally a submission's measurements: values a frame, a clip, and in total under the contest's disputed conventions.

Integer planes of a prediction and its ground truth -> Frames (lists of values a frame) -> a clip's values -> totals
and score = 0.8 PSNR + 0.2 VMAF. An exact match is inf dB, and so is every mean that contains one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from youku import contest
from youku.metrics import psnr, vmaf
from youku.metrics.artefacts import SYSTEMS
from youku.text_table import minus
from youku.video.y4m import Header, Planes

CURVES = ("psnr_yuv", "psnr_y", "ssim", "vmaf", "vmaf_neg")  # per-frame lists kept in score.json


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The disputed choices, first option of each the default."""

    psnr_planes: str = contest.PSNR_PLANES[0]
    psnr_pool: str = contest.PSNR_POOLS[0]
    vmaf_clips: str = contest.VMAF_CLIPS[0]
    vmaf_model: str = "vmaf_v0.6.1"
    vmaf_pool: str = vmaf.POOLS[0]

    def __post_init__(self) -> None:
        for name, value, known in (
            ("--psnr-planes", self.psnr_planes, contest.PSNR_PLANES),
            ("--psnr-pool", self.psnr_pool, contest.PSNR_POOLS),
            ("--vmaf-clips", self.vmaf_clips, contest.VMAF_CLIPS),
            ("--vmaf-model", self.vmaf_model, tuple(vmaf.MODELS)),
            ("--vmaf-pool", self.vmaf_pool, vmaf.POOLS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}: expected one of {', '.join(known)}")


@dataclass(frozen=True)
class Frames:
    """Per-frame values of one system on one clip."""

    psnr_yuv: list[float] = field(default_factory=list)
    psnr_y: list[float] = field(default_factory=list)
    psnr_rgb: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    vmaf: list[float] = field(default_factory=list)
    vmaf_neg: list[float] = field(default_factory=list)


def measure_frame(systems: dict[str, Planes], high: Planes, header: Header, rows: dict[str, Frames]) -> None:
    """Append PSNR and SSIM of one frame of each system to its row; the ground truth is converted to RGB once."""
    from youku.metrics import ssim
    from youku.video import color

    high_rgb = color.planes_to_rgb(high, header.depth, header.layout)
    for system, planes in systems.items():
        row = rows[system]
        errors = psnr.plane_errors(planes, high)
        sizes, peak = [plane.size for plane in high], float((1 << header.depth) - 1)
        row.psnr_yuv.append(psnr.decibels(sum(errors) / sum(sizes), peak))
        row.psnr_y.append(psnr.decibels(errors[0] / sizes[0], peak))
        row.psnr_rgb.append(psnr.pictures(color.planes_to_rgb(planes, header.depth, header.layout), high_rgb))
        row.ssim.append(ssim.plane(planes[0], high[0], header.depth))


def totals_of(clips: Sequence[tuple[bool, Frames]], protocol: Protocol) -> dict[str, float | None]:
    """Every convention's figure for one system over (sent whole, values) clips, then the score under `protocol`."""
    totals: dict[str, float | None] = {}
    for planes in contest.PSNR_PLANES:
        values = [asdict(row)[f"psnr_{planes}"] for _, row in clips]
        for how in contest.PSNR_POOLS:
            totals[f"psnr_{planes}_{how}"] = psnr.pool(values, how)
    for which in contest.VMAF_CLIPS:
        chosen = [row for whole, row in clips if which == "all" or whole]
        totals[f"vmaf_{which}"] = _mean([_pooled(row.vmaf, protocol) for row in chosen])
        totals[f"vmaf_neg_{which}"] = _mean([_pooled(row.vmaf_neg, protocol) for row in chosen])
    psnr_db, vmaf_value = (
        totals[f"psnr_{protocol.psnr_planes}_{protocol.psnr_pool}"],
        totals[f"vmaf_{protocol.vmaf_clips}"],
    )
    assert psnr_db is not None
    total = contest.score(psnr_db, vmaf_value) if vmaf_value is not None else None
    mean_ssim = _mean([psnr.mean(row.ssim) for _, row in clips])
    return {"score": total, "psnr": psnr_db, "vmaf": vmaf_value, "ssim": mean_ssim, **totals}


def clip_values(row: Frames, protocol: Protocol) -> dict[str, Any]:
    """One clip of one system as score.json holds it: means, pooled VMAF, per-frame lists; None where not measured."""
    curves = asdict(row)
    return {
        **{key: psnr.mean(curves[key]) for key in ("psnr_yuv", "psnr_y", "psnr_rgb", "ssim")},
        "vmaf": _pooled(row.vmaf, protocol),
        "vmaf_neg": _pooled(row.vmaf_neg, protocol),
        "per_frame": {key: curves[key] or None for key in CURVES},
    }


def _pooled(values: Sequence[float], protocol: Protocol) -> float | None:
    return vmaf.pool(values, protocol.vmaf_pool) if values else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return psnr.mean(known) if known else None


def format_table(score: dict[str, Any]) -> str:
    """The totals of both systems and their difference, the protocol and tools, then one line a clip."""
    protocol, totals, tools = score["protocol"], score["totals"], score["tools"]
    columns = (
        "score",
        "psnr",
        "vmaf",
        "ssim",
        "psnr_yuv_clip",
        "psnr_y_clip",
        "psnr_rgb_clip",
        "vmaf_all",
        "vmaf_neg_all",
    )
    heads = ("score", "PSNR", "VMAF", "SSIM", "PSNR yuv", "PSNR y", "PSNR rgb", "VMAF all", "NEG all")
    digits = (3, 3, 3, 4, 3, 3, 3, 3, 3)
    width = max(len(score["name"]), len("difference"))
    lines = [" ".join([f"{score['test_set']:{width}}", *(f"{head:>9}" for head in heads)])]
    ours, theirs = ([totals[system][column] for column in columns] for system in SYSTEMS)
    for label, values, sign in (
        ("bicubic", theirs, ""),
        (score["name"], ours, ""),
        ("difference", [minus(a, b) for a, b in zip(ours, theirs, strict=True)], "+"),
    ):
        cells = [_cell(value, places, sign) for value, places in zip(values, digits, strict=True)]
        lines.append(" ".join([f"{label:{width}}", *(f"{cell:>9}" for cell in cells)]))
    lines.append(
        f"\nscore = {contest.PSNR_WEIGHT} PSNR + {contest.VMAF_WEIGHT} VMAF; PSNR {protocol['psnr_planes']} by "
        f"{protocol['psnr_pool']}; {protocol['vmaf_model']} {protocol['vmaf_pool']} of {protocol['vmaf_clips']} clips; "
        f"libvmaf {tools['libvmaf'] or 'not run'}, ffmpeg {tools['ffmpeg']}\n"
    )
    heads = ("PSNR yuv", "bicubic", "gain", "SSIM", "bicubic", "VMAF", "bicubic", "gain", "NEG")
    lines.append(" ".join([f"{'clip':5} {'frames':>6}", *(f"{head:>8}" for head in heads)]))
    lines += [_clip_line(clip) for clip in score["clips"]]
    return "\n".join(lines)


def _clip_line(clip: dict[str, Any]) -> str:
    a, b = (clip[system] for system in SYSTEMS)
    cells = [
        *(_cell(a["psnr_yuv"], 3), _cell(b["psnr_yuv"], 3), _cell(minus(a["psnr_yuv"], b["psnr_yuv"]), 3, "+")),
        *(_cell(a["ssim"], 4), _cell(b["ssim"], 4)),
        *(
            _cell(a["vmaf"], 2),
            _cell(b["vmaf"], 2),
            _cell(minus(a["vmaf"], b["vmaf"]), 2, "+"),
            _cell(a["vmaf_neg"], 2),
        ),
    ]
    return " ".join([f"{clip['id']:05d} {len(clip['frames']):>6}", *(f"{cell:>8}" for cell in cells)])


def _cell(value: float | None, places: int, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{places}f}"

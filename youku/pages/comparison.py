"""Crop one frame's layers for the page: a viewer with a divider, or the small pictures beside a worst frame.

Frames by layer -> PNG data URIs by layer, with the box they were cut from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from youku.pages import footage, stills
from youku.pages.cells import Cell
from youku.pages.footage import Frame
from youku.video.y4m import Header

CROP_HEIGHT_PX, CROP_WIDTH_PX = 224, 336  # fits a phone at 1x and a desk at 2x
STAGE_WIDTH_PX = 672
SMALL_HEIGHT_PX, SMALL_WIDTH_PX = 144, 216


@dataclass(frozen=True)
class Comparison:
    """The crops of one frame as PNG data URIs by layer, and a small picture of the whole frame."""

    clip: Mapping[str, Any]
    reason: str
    frame: int
    box: stills.Box
    layers: dict[str, str]
    scale: int
    thumb: str
    thumb_width: int
    thumb_height: int
    header: Header
    facts: list[tuple[str, Cell, Cell, Cell]]

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return f"still-{self.clip['id']}-{self.frame}"

    @property
    def start(self) -> tuple[str, str]:
        """The two layers compared first, left and right."""
        if "sr2" in self.layers:
            return "sr2", "sr"
        return ("bicubic", "sr") if "bicubic" in self.layers else ("sr", "gt")

    @property
    def zoom(self) -> int:
        """Whole-number enlargement that fills the stage on a desk."""
        return max(1, STAGE_WIDTH_PX // self.box.width)

    @property
    def zooms(self) -> list[int]:
        """The enlargements offered."""
        return sorted({1, max(1, self.zoom // 2), self.zoom, 2 * self.zoom})


def compare(
    clip: Mapping[str, Any],
    reason: str,
    position: int,
    frames: Mapping[str, Frame],
    facts: list[tuple[str, Cell, Cell, Cell]],
) -> Comparison:
    """Crop one frame where its picture has most detail."""
    header = frames["sr"][0]
    scale = footage.scale_of(frames)
    guide = frames.get("gt", frames["sr"])
    box = stills.detailed_box(guide[1][0], guide[0].depth, CROP_HEIGHT_PX, CROP_WIDTH_PX, scale)
    shown = "gt" if "gt" in frames else "sr"
    thumb = stills.thumbnail(stills.to_rgb(*frames[shown]))
    layers = _crops(frames, box, scale)
    return Comparison(clip, reason, clip["frames"][position], box, layers, scale, *thumb, header, facts)


def small_crops(frames: Mapping[str, Frame]) -> tuple[dict[str, str], stills.Box]:
    """Crops where the submission errs most (without ground truth: where detail is densest), LR left out."""
    header, planes = frames["sr"]
    if "gt" in frames:
        box = stills.wrong_box(planes[0], frames["gt"][1][0], header.depth, SMALL_HEIGHT_PX, SMALL_WIDTH_PX)
    else:
        box = stills.detailed_box(planes[0], header.depth, SMALL_HEIGHT_PX, SMALL_WIDTH_PX)
    return _crops({layer: frame for layer, frame in frames.items() if layer != "lr"}, box, 1), box


def _crops(frames: Mapping[str, Frame], box: stills.Box, scale: int) -> dict[str, str]:
    return {
        layer: stills.png_uri((box.shrunk(scale) if layer == "lr" else box).cut(stills.to_rgb(*frames[layer])))
        for layer in footage.LAYERS
        if layer in frames
    }

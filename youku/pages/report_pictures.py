"""Cut the pictures of a report: viewers with a divider, crops of the worst frames, a filmstrip of each clip.

Chosen frames and the files they come from, some of them perhaps gone -> pictures as data URIs, with a sentence for
whatever was left out; a filmstrip without its clip holds numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from youku.metrics import psnr
from youku.pages import crops, report_frames, score_tables
from youku.pages.crops import Box
from youku.pages.report_frames import ChosenFrame, Frame, FrameSources, ScoredClip
from youku.pages.score_tables import ShownNumber
from youku.video import resize
from youku.video.y4m import Header

CROP_HEIGHT_PX, CROP_WIDTH_PX = 224, 336  # fits a phone at 1x and a desk at 2x
STAGE_WIDTH_PX = 672
THUMB_WIDTH_PX = 240
SMALL_HEIGHT_PX, SMALL_WIDTH_PX = 144, 216
STILL_WIDTH_PX = 144  # shown at 112 CSS px: sharp enough on a phone's display
MOST_STILLS = 20  # of a clip, evenly spaced; frames that are pictured large are added


@dataclass(frozen=True)
class Viewer:
    """The crops of one frame as PNG data URIs by layer, and a small picture of the whole frame."""

    chosen: ChosenFrame
    box: Box
    layers: dict[str, str]
    scale: int
    thumb: str
    thumb_width: int
    thumb_height: int
    header: Header
    numbers: list[tuple[Any, ...]]  # rows of a table of gains

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


@dataclass(frozen=True)
class WorstFrame:
    """A row of a table of worst frames; without its clip there are no crops."""

    chosen: ChosenFrame
    numbers: list[ShownNumber]
    crops: dict[str, str]
    box: Box | None
    repeated: bool  # its crops stand in the table above


@dataclass(frozen=True)
class ReportPictures:
    """What was pictured: viewers, the worst frames by measure, and what had to be left out."""

    viewers: list[Viewer]
    worst: dict[str, list[WorstFrame]]
    notes: list[str]

    def anchors(self, clip: ScoredClip) -> dict[int, str]:
        """Where the frames of a clip are pictured, by position."""
        places = [("worst", row.chosen) for table in self.worst.values() for row in table if row.crops]
        places += [("still", item.chosen) for item in self.viewers]
        return {one.position: f"{kind}-{one.place}" for kind, one in places if one.clip is clip}


@dataclass(frozen=True)
class Still:
    """One frame of a filmstrip; `anchor` is "" where nothing larger is in the page, `uri` where the clip is gone."""

    frame: int
    uri: str
    psnr: str
    values: str
    anchor: str


@dataclass(frozen=True)
class Filmstrip:
    """A clip's stills in the order of time, each `width` x `height` pixels; one frame in `every` is shown."""

    clip: ScoredClip
    stills: Sequence[Still]
    width: int
    height: int
    every: int


def cut_pictures(
    large: Sequence[ChosenFrame], worst: Mapping[str, Sequence[ChosenFrame]], sources: FrameSources
) -> ReportPictures:
    """Cut every chosen frame, reading each clip once; clips whose files are gone are named in the notes."""
    small = {(one.clip["id"], one.position) for chosen in worst.values() for one in chosen}
    clips = {one.clip["id"]: one.clip for chosen in (large, *worst.values()) for one in chosen}
    cut: dict[tuple[str, int], tuple[dict[str, str], Box]] = {}
    viewers: dict[str, Viewer] = {}
    missing = []
    for clip_id, clip in sorted(clips.items()) if sources.shipped["sr"] is not None else ():
        own = [one for one in large if one.clip is clip]
        positions = {position for name, position in small if name == clip_id}
        try:
            frames = sources.frames(clip, {*positions, *(one.position for one in own)})
        except FileNotFoundError as error:
            missing.append(f"clip {clip_id} ({error})")
            continue
        for one in own:
            viewers[clip_id] = make_viewer(one, frames[one.position])
        cut |= {(clip_id, position): small_crops(frames[position]) for position in sorted(positions)}
    rows_of: dict[str, list[WorstFrame]] = {}
    shown: set[tuple[str, int]] = set()  # frames whose crops stand in the page already
    for measure, chosen in worst.items():
        rows_of[measure] = []
        for one in chosen:
            key = one.clip["id"], one.position
            pictures, box = cut.get(key, ({}, None))
            numbers = score_tables.frame_numbers(one.clip, one.position)
            repeated = key in shown
            rows_of[measure].append(
                WorstFrame(one, numbers, {} if repeated else pictures, box, repeated and bool(pictures))
            )
            shown.add(key)
    notes = [f"Pictures left out: {', '.join(missing)}."] if missing else []
    return ReportPictures([viewers[one.clip["id"]] for one in large if one.clip["id"] in viewers], rows_of, notes)


def make_viewer(chosen: ChosenFrame, frames: Mapping[str, Frame]) -> Viewer:
    """Crop one frame where its picture has most detail."""
    scale = report_frames.scale_of(frames)
    header, planes = frames.get("gt", frames["sr"])
    box = crops.detailed_box(planes[0], header.depth, CROP_HEIGHT_PX, CROP_WIDTH_PX, scale)
    width = min(THUMB_WIDTH_PX, header.width)
    height = max(1, round(header.height * width / header.width))
    thumb = crops.data_uri(resize.imresize(psnr.to_rgb(planes, header), height, width))
    numbers = score_tables.clip_numbers(chosen.clip)
    layers = _crops(frames, box, scale)
    return Viewer(chosen, box, layers, scale, thumb, width, height, frames["sr"][0], numbers)


def small_crops(frames: Mapping[str, Frame]) -> tuple[dict[str, str], Box]:
    """Crops where the submission errs most (without ground truth: where detail is densest), LR left out."""
    header, planes = frames["sr"]
    if "gt" in frames:
        box = crops.wrong_box(planes[0], frames["gt"][1][0], header.depth, SMALL_HEIGHT_PX, SMALL_WIDTH_PX)
    else:
        box = crops.detailed_box(planes[0], header.depth, SMALL_HEIGHT_PX, SMALL_WIDTH_PX)
    return _crops({layer: frame for layer, frame in frames.items() if layer != "lr"}, box, 1), box


def _crops(frames: Mapping[str, Frame], box: Box, scale: int) -> dict[str, str]:
    made = {}
    for layer in (layer for layer in report_frames.LAYERS if layer in frames):
        header, planes = frames[layer]
        made[layer] = crops.data_uri((box.shrunk(scale) if layer == "lr" else box).cut(psnr.to_rgb(planes, header)))
    return made


def make_filmstrip(clip: ScoredClip, sources: FrameSources, anchors: Mapping[int, str]) -> Filmstrip:
    """Every n-th frame of a clip so that at most `MOST_STILLS` are shown, and those with an anchor.

    ValueError where LR and GT are not those that were scored.
    """
    every = -(-len(clip["frames"]) // MOST_STILLS)
    sources.check_given(clip)
    path = next(iter(sources.given_files(clip).values()), None)  # LR, else GT: cheap to reach at random
    width, height = STILL_WIDTH_PX, max(1, round(clip["height"] * STILL_WIDTH_PX / clip["width"]))
    stills = []
    for position in sorted({*range(0, len(clip["frames"]), every), *anchors}):
        uri = ""
        if path is not None:
            header, planes = report_frames.frame_at(path, clip["frames"], position)
            uri = crops.data_uri(resize.imresize(psnr.to_rgb(planes, header), height, width), "jpeg")
        told = score_tables.frame_values(clip, position)
        stills.append(Still(clip["frames"][position], uri, *told, anchors.get(position, "")))
    return Filmstrip(clip, stills, width, height, every)

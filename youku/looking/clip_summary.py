"""Say what there is to say of a clip: header, survey, sharpness, information measures, the predicted benefit.

Header and frames, read once -> ClipSummary -> text, plain data, a picture. Sharpness (first frame) and information
(first three) are measured inside the bars, which hold no picture, and of an interlaced clip on the lines of one field:
what moves between two fields is a comb, which would count as detail.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from youku import text_table
from youku.cli import Watch, unwatched
from youku.files import printable
from youku.looking import clip_measures
from youku.looking.clip_measures import Information, Sharpness, Survey
from youku.pages import plots
from youku.text_table import listed
from youku.video import clips, ffmpeg, letterbox
from youku.video.letterbox import Bars
from youku.video.y4m import Header, Planes
from youku.video.y4m_header import in_square_pixels

MOST_CUTS_SHOWN = 20
SHAPES = {"4:3": 4 / 3, "16:9": 16 / 9}  # of television
SAME_SHAPE = 0.03  # 720 samples of a line with A12:11 are 2.3 % wider than 4:3, of which 702 show the picture
BLUE, RED, GRAY = "#1f6feb", "#d9480f", "#868e96"


@dataclass(frozen=True, kw_only=True)
class ClipSummary:
    """A clip's numbers."""

    header: Header
    survey: Survey
    sharpness: Sharpness
    information: Information
    codec: str | None
    """What the file is coded in, as FFmpeg calls it; None for y4m, whose header is the file's own."""
    counted: str
    """The number of frames looked at, called the first of the clip where it goes on or may."""

    @property
    def part(self) -> str:
        """What sharpness and information are of: a frame, of an interlaced clip a field."""
        return "field" if self.header.is_interlaced else "frame"

    @property
    def picture(self) -> Header:
        """The header without bars."""
        return letterbox.picture_header(self.header, self.survey.bars)


def summarise_clip(path: Path, num_frames: int | None, watch: Watch = unwatched) -> ClipSummary:
    """Look once at all frames or the first `num_frames`; ValueError for none, and for a file that is no clip."""
    try:
        with clips.open_clip(path, num_needed=num_frames) as opened:
            header, known = opened.header, opened.num_frames
            codec = opened.recording.codec if opened.recording else None
            total = min(filter(None, (num_frames, opened.likely_frames)), default=None)
            frames = iter(watch(islice(opened.frames, num_frames), path.name, total))
            first = list(islice(frames, clip_measures.NUM_FRAMES))
            found = clip_measures.survey(header, chain(first, frames), str(path))
    except ffmpeg.NoVideoError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: holds no weights (safetensors, .pth), and {told}") from None
    part, bars, pictures = _without_combs(header, found.bars, first)
    number = found.num_frames
    is_all = num_frames is None or number < num_frames or number == known
    counted = str(number) if is_all else f"first {number}" + (f" of {known}" if known is not None else "")
    inside = [letterbox.picture(planes, part, bars) for planes in pictures]
    return ClipSummary(
        header=header,
        survey=found,
        sharpness=clip_measures.measure_sharpness(inside[0][0], header.depth),
        information=clip_measures.measure_information(letterbox.picture_header(part, bars), inside),
        codec=codec,
        counted=counted,
    )


def _without_combs(header: Header, bars: Bars, frames: list[Planes]) -> tuple[Header, Bars, list[Planes]]:
    """Of an interlaced clip the first field of each frame, every second line; of any other what there is."""
    if not header.is_interlaced:
        return header, bars, frames
    halved = replace(bars, top=-(-bars.top // 2), bottom=-(-bars.bottom // 2))
    fields = [tuple(plane[::2] for plane in planes) for planes in frames]
    return header.resized(header.width, -(-header.height // 2)), halved, fields


def clip_text(clip: ClipSummary) -> str:
    """A line a fact, the verdict last."""
    header, found = clip.header, clip.survey
    fps = float(header.fps)
    rows = [
        [plane.name, f"{plane.least:g}", f"{plane.mean:.2f}", f"{plane.most:g}", f"{plane.std:.2f}"]
        for plane in found.planes
    ]
    lines = [
        f"file       {_file(clip)}",
        f"size       {_size(header)}",
        f"fields     {_fields(header)}",
        f"samples    {header.depth} bit, C{header.chroma}",
        f"frames     {clip.counted}, {found.num_frames / fps:.2f} s at {fps:.5g} a second",
        "",
        text_table.lay_out(["plane", "min", "mean", "max", "std"], rows),
        "code values of 8 bit, all frames",
        "",
        f"range      {found.outside_percent:.2f}% of the luma samples lie outside 16-235",
        f"colour     {'grey: chroma is neutral or absent' if found.is_grey else 'colour'}",
        f"bars       {_bars(clip)}",
        f"cuts       {_cuts(found.cuts)}",
        f"change     {_change(found.differences)}",
        f"sharpness  {_sharpness(clip.sharpness)}, first {clip.part}",
        f"detail     {_information(clip.information, clip.part)}",
        "",
        f"predicted benefit of super-resolution: {clip.information.verdict}",
    ]
    return "\n".join(lines)


def clip_as_json(clip: ClipSummary) -> dict[str, Any]:
    """The same as plain data, with the histogram and the difference curve."""
    header, found = clip.header, clip.survey
    return {
        "header": list(header.tokens),
        "width": header.width,
        "height": header.height,
        "shown": in_square_pixels((header.width, header.height), header.aspect),
        "chroma": header.chroma,
        "depth": header.depth,
        "fps": float(header.fps),
        "is_interlaced": header.is_interlaced,
        "frames": found.num_frames,
        "planes": [asdict(plane) for plane in found.planes],
        "outside_percent": found.outside_percent,
        "is_grey": found.is_grey,
        "bars": asdict(found.bars),
        "picture": {"width": clip.picture.width, "height": clip.picture.height},
        "cuts": list(found.cuts),
        "differences": list(found.differences),
        "luma_counts": found.luma_counts.tolist(),
        "sharpness": asdict(clip.sharpness),
        "information": asdict(clip.information),
    }


def _file(clip: ClipSummary) -> str:
    if clip.codec is None:
        return f"a y4m clip: {printable(clip.header.encode().decode('latin-1').strip(), None)}"
    return f"{'a picture' if clip.counted == '1' else 'a video'}, coded as {clip.codec}"


def _size(header: Header) -> str:
    """In pixels and, where these are oblong, as it is shown."""
    shown = width, height = in_square_pixels((header.width, header.height), header.aspect)
    if shown == (header.width, header.height):
        return f"{header.size} pixels"
    near = (name for name, ratio in SHAPES.items() if abs(width / height / ratio - 1) < SAME_SHAPE)
    return (
        f"{header.size} oblong pixels, shown as {next(near, f'{width / height:.2f}:1')}: {width}x{height} square ones"
    )


def _fields(header: Header) -> str:
    if header.is_interlaced:
        return "interlaced, two moments in each frame: enlarge it with `predict --deinterlace`"
    return "progressive, whole frames" if "Ip" in header.tokens else "not told"


def _bars(clip: ClipSummary) -> str:
    sides = [f"{side} {lines}" for side, lines in asdict(clip.survey.bars).items() if lines]
    return f"{', '.join(sides)}: picture {clip.picture.size}" if sides else "none"


def _cuts(cuts: tuple[int, ...]) -> str:
    return f"{len(cuts)}, at frame {listed([*map(str, cuts)], MOST_CUTS_SHOWN)}" if cuts else "none"


def _change(differences: tuple[float, ...]) -> str:
    if not differences:
        return "one frame alone"
    most = int(np.argmax(differences))
    return f"{np.mean(differences):.2f} code values a frame, most {differences[most]:.2f} at frame {most + 1}"


def _sharpness(found: Sharpness) -> str:
    spread = "no edges" if found.edge_spread_px is None else f"edges {found.edge_spread_px:.2f} px wide"
    return f"{spread}, gradient energy {found.gradient_energy:.1f}, contrast {found.contrast:.1f}"


def _information(found: Information, part: str) -> str:
    frames = f"first {part}" if found.num_frames == 1 else f"mean of the first {found.num_frames} {part}s"
    return (
        f"PNG makes it {found.ratio:.2f} times smaller, entropy {found.entropy_bits:.2f} bits a luma sample, {frames}"
    )


def draw_clip(found: Survey, title: str, path: str | Path) -> None:
    """The luma histogram beside the change from frame to frame, with cuts, as a PNG; ValueError without matplotlib."""
    with plots.png_figure(path, 110, 11, 4) as figure:
        figure.suptitle(title)
        left, right = figure.subplots(1, 2)
        left.bar(np.arange(256), 100 * found.luma_counts / found.luma_counts.sum(), width=1.0, color=BLUE)
        left.axvspan(-0.5, 15.5, color=GRAY, alpha=0.2, label="outside 16-235")
        left.axvspan(235.5, 255.5, color=GRAY, alpha=0.2)
        left.set(title="luma histogram", xlabel="code value of 8 bit", ylabel="samples, %", xlim=(-0.5, 255.5))
        left.legend(frameon=False, fontsize=8)
        frames = np.arange(1, len(found.differences) + 1)
        right.plot(frames, found.differences, color=BLUE, linewidth=1.4, marker="." if len(frames) < 60 else "")
        for index, cut in enumerate(found.cuts):
            right.axvline(cut, color=RED, linewidth=1, linestyle="--", label="" if index else "cut")
        right.set(title="change from the frame before", xlabel="frame", ylabel="mean |luma difference|, code values")
        right.set_ylim(bottom=0)
        right.set_xlim(0, max(1, len(frames)))
        if found.cuts:
            right.legend(frameon=False, fontsize=8)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)

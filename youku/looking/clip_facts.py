"""Gather what `inspect` tells of a clip: header, survey, sharpness, information measures, the predicted benefit.

Header and frames, read once -> Facts -> text and plain data. Sharpness (first frame) and information (first three) are
measured inside the bars, which hold no picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from youku import text_table
from youku.looking import information, sharpness
from youku.looking.information import Information
from youku.looking.sharpness import Sharpness
from youku.looking.survey import Survey, survey
from youku.video import letterbox
from youku.video.y4m import Header, Planes

MOST_CUTS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A clip's numbers."""

    header: Header
    survey: Survey
    sharpness: Sharpness
    information: Information
    is_decoded: bool = False
    """The header is the decoder's, not the file's own."""
    most_frames: int | None = None
    """As many were asked for; None for all."""
    clip_frames: int | None = None
    """The clip's length where it is known without decoding."""

    @property
    def counted(self) -> str:
        """The number of frames looked at, called the first of the clip where it goes on or may."""
        number = self.survey.num_frames
        if self.most_frames is None or number < self.most_frames or number == self.clip_frames:
            return str(number)
        return f"first {number}" if self.clip_frames is None else f"first {number} of {self.clip_frames}"

    @property
    def picture(self) -> Header:
        """The header without bars."""
        return letterbox.picture_header(self.header, self.survey.bars)


def gather(
    header: Header,
    frames: Iterable[Planes],
    *,
    is_decoded: bool = False,
    most_frames: int | None = None,
    clip_frames: int | None = None,
) -> Facts:
    """One pass over the frames, already limited to `most_frames`; ValueError for none."""
    first: list[Planes] = []

    def kept() -> Iterator[Planes]:
        for planes in frames:
            if len(first) < information.NUM_FRAMES:
                first.append(planes)
            yield planes

    found = survey(header, kept())
    inside = [letterbox.picture(planes, header, found.bars) for planes in first]
    return Facts(
        header=header,
        survey=found,
        sharpness=sharpness.measure(inside[0][0], header.depth),
        information=information.measure(letterbox.picture_header(header, found.bars), inside),
        is_decoded=is_decoded,
        most_frames=most_frames,
        clip_frames=clip_frames,
    )


def describe(facts: Facts) -> str:
    """A line a fact, the verdict last."""
    header, found = facts.header, facts.survey
    fps = float(header.fps)
    rows = [
        [plane.name, f"{plane.least:g}", f"{plane.mean:.2f}", f"{plane.most:g}", f"{plane.std:.2f}"]
        for plane in found.planes
    ]
    lines = [
        f"{'decoded' if facts.is_decoded else 'header':11}{header.encode().decode('latin-1').strip()}",
        f"size       {header.width}x{header.height}, C{header.chroma}, {header.depth} bit, {_fields(header)}",
        f"frames     {facts.counted}, {found.num_frames / fps:.2f} s at {fps:.5g} a second",
        "",
        text_table.lay_out(["plane", "min", "mean", "max", "std"], rows),
        "code values of 8 bit, all frames",
        "",
        f"range      {found.outside_percent:.2f}% of the luma samples lie outside 16-235",
        f"colour     {'grey: chroma is neutral or absent' if found.is_grey else 'colour'}",
        f"bars       {_bars(facts)}",
        f"cuts       {_cuts(found.cuts)}",
        f"change     {_change(found.differences)}",
        f"sharpness  {_sharpness(facts.sharpness)}",
        f"detail     {_information(facts.information)}",
        "",
        f"predicted benefit of super-resolution: {facts.information.verdict}",
    ]
    return "\n".join(lines)


def as_json(facts: Facts) -> dict[str, Any]:
    """The same as plain data, with the histogram and the difference curve."""
    header, found = facts.header, facts.survey
    return {
        "header": list(header.tokens),
        "width": header.width,
        "height": header.height,
        "chroma": header.chroma,
        "depth": header.depth,
        "fps": float(header.fps),
        "is_interlaced": header.is_interlaced,
        "frames": found.num_frames,
        "planes": [asdict(plane) for plane in found.planes],
        "outside_percent": found.outside_percent,
        "is_grey": found.is_grey,
        "bars": asdict(found.bars),
        "picture": {"width": facts.picture.width, "height": facts.picture.height},
        "cuts": list(found.cuts),
        "differences": list(found.differences),
        "luma_counts": found.luma_counts.tolist(),
        "sharpness": asdict(facts.sharpness),
        "information": asdict(facts.information),
    }


def _fields(header: Header) -> str:
    if header.is_interlaced:
        return "interlaced: deinterlace before enlarging (ffmpeg -i IN -vf bwdif OUT)"
    return "progressive" if "Ip" in header.tokens else "fields not told"


def _bars(facts: Facts) -> str:
    sides = [f"{side} {lines}" for side, lines in asdict(facts.survey.bars).items() if lines]
    return f"{', '.join(sides)}: picture {facts.picture.width}x{facts.picture.height}" if sides else "none"


def _cuts(cuts: tuple[int, ...]) -> str:
    if not cuts:
        return "none"
    more = f" and {len(cuts) - MOST_CUTS_SHOWN} more" if len(cuts) > MOST_CUTS_SHOWN else ""
    return f"{len(cuts)}, at frame {', '.join(map(str, cuts[:MOST_CUTS_SHOWN]))}{more}"


def _change(differences: tuple[float, ...]) -> str:
    if not differences:
        return "one frame alone"
    most = int(np.argmax(differences))
    return f"{np.mean(differences):.2f} code values a frame, most {differences[most]:.2f} at frame {most + 1}"


def _sharpness(found: Sharpness) -> str:
    spread = "no edges" if found.edge_spread_px is None else f"edges {found.edge_spread_px:.2f} px wide"
    return f"{spread}, gradient energy {found.gradient_energy:.1f}, contrast {found.contrast:.1f}, first frame"


def _information(found: Information) -> str:
    frames = "first frame" if found.num_frames == 1 else f"mean of the first {found.num_frames} frames"
    return f"{found.ratio:.2f} raw bits to a PNG bit, entropy {found.entropy_bits:.2f} bits a luma sample, {frames}"

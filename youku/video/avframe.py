"""FFmpeg's frames and ours: a decoded frame -> header, tags and planes; planes -> a frame for an encoder.

Also FFmpeg's filters, and what it says meanwhile: what PyAV cannot tell of a frame.

A layout that y4m cannot hold becomes the nearest one that it can: more chroma samples rather than fewer, no alpha, RGB
as 4:4:4 by BT.601 in studio range. Range and matrix of Y'CbCr are kept: they are tags, not a reason to rescale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from youku.video.ffmpeg import Filter, pix_fmt
from youku.video.y4m import Header, Planes

UNKNOWN, BT601 = 2, 6  # ITU-T H.273; 6 is SMPTE 170M
MATRICES = {"601": BT601, "709": 1, "2020": 9, "240m": 7, "fcc": 4}
BT470BG, CONSTANT_2020 = 5, 10
_UNREAD = {0: "RGB", 8: "YCgCo", CONSTANT_2020: "BT.2020 of constant luminance", 11: "SMPTE 2085", 14: "ICtCp"}
STUDIO, FULL = 1, 2
_LAYOUTS = {(1, 1): "444", (1, 2): "444", (2, 1): "422", (2, 2): "420", (4, 1): "422", (4, 2): "420", (4, 4): "420"}
_DEPTHS = (8, 9, 10, 12, 14, 16)
_SITINGS = {"left": "420mpeg2", "topleft": "420paldv"}  # all others are 420jpeg, as in ffmpeg's yuv4mpegenc
# as on ffmpeg's command line; RGB, which nothing has to equal, more exactly
_SCALER = Interpolation.BICUBIC
_RGB_SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# damage of which FFmpeg says less than an error: a playlist's segment, part of an HEVC picture, a packet of ASF
PASSED_OVER = re.compile(r"Failed to open segment|undecodable NALU: ([12]?\d|3[01])$|freeing incomplete packet")

Turn = tuple[bool, bool, bool]  # transposed, and then flipped from left to right, from top to bottom


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What a file says of its pictures, besides what a Header says; codes as in ITU-T H.273."""

    range: int = 0
    """0 not said, STUDIO (16-235) or FULL."""
    matrix: int = UNKNOWN
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN
    siting: str | None = None
    """Where 4:2:0 chroma lies, as a Header names it."""
    turn: tuple[int, ...] = ()
    """Display matrix (nine numbers) by which a player turns the pictures."""
    mastering: bytes = b""
    """HDR10's mastering display: FFmpeg's AVMasteringDisplayMetadata."""
    light: tuple[int, ...] = ()
    """HDR10's MaxCLL and MaxFALL, candelas a square metre."""

    @property
    def matrix_name(self) -> str:
        """As `color` calls it; 601 where the file does not say, or says what cannot be read, as FFmpeg has it."""
        known = {code: name for name, code in MATRICES.items()} | {CONSTANT_2020: "2020"}
        return known.get(self.matrix, "601")

    @property
    def misread(self) -> str | None:
        """One phrase on a matrix that is read as another; None for one that is read as it is."""
        if self.matrix in (*MATRICES.values(), BT470BG, UNKNOWN):
            return None
        name = _UNREAD.get(self.matrix, f"matrix {self.matrix} of H.273")
        return f"colours coded by {name} are read as BT.{self.matrix_name} where they become RGB"


def turn_of(matrix: Sequence[int]) -> Turn:
    """The turn nearest to a display matrix a b . c d . . . ., by which x' = a x + c y and y' = b x + d y; none for ()."""
    a, b, _, c, d = matrix[:5] or (1, 0, 0, 0, 1)
    is_transposed = abs(b) > abs(a)
    return is_transposed, (c if is_transposed else a) < 0, (b if is_transposed else d) < 0


def nearest_chroma(layout: VideoFormat, is_transposed: bool = False) -> str:
    """The y4m chroma name, without a siting, that holds a pixel format with the least loss: 420, 444p10, mono."""
    parts = [part for part in layout.components if not part.is_alpha]
    most = 8 if layout.has_palette else max(part.bits for part in parts)
    depth = next((depth for depth in _DEPTHS if depth >= most), _DEPTHS[-1])
    if len(parts) == 1 and not layout.has_palette:
        return "mono" if depth == 8 else f"mono{depth}"
    if is_rgb(layout):
        name = "444"
    else:
        steps = (16 // layout.chroma_width(16), 16 // layout.chroma_height(16))
        name = _LAYOUTS[steps[::-1] if is_transposed and steps == (2, 1) else steps]
    return name if depth == 8 else f"{name}p{depth}"


def is_rgb(layout: VideoFormat) -> bool:
    return layout.is_rgb or layout.has_palette


def what_is_lost(frame: VideoFrame, chroma: str, codec: str, alpha_mode: str = "0", is_asked: bool = False) -> str:
    """One phrase on what becomes of a frame in a y4m layout; nothing where its samples stay, or were asked to become that.

    `alpha_mode` is WebM's: 1 where alpha lies beside pictures that decode without it. Alpha is told in any case.
    """
    layout, told = frame.format, []
    if not is_asked and not _same_samples(layout, chroma):
        to_rgb = " (BT.601, 16-235)" if is_rgb(layout) and not chroma.startswith("mono") else ""
        told.append(f"{layout.name} is turned into C{chroma}{to_rgb}")
    if any(part.is_alpha for part in layout.components) and codec == "mjpeg":
        told.append("from CMYK")  # FFmpeg's fourth plane of JPEG is black ink
    elif alpha_mode == "1" or _has_alpha(frame):
        told.append("alpha dropped")
    return ", ".join(told)


def _has_alpha(frame: VideoFrame) -> bool:
    """Of a palette: whether a colour that is used is not opaque; what is not used may be anything."""
    if frame.format.has_palette:
        indices, palette = (np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes)
        used = indices.reshape(frame.height, -1)[:, : frame.width]
        return bool((palette[3::4][np.unique(used)] < 255).any())  # B, G, R, A each
    return any(part.is_alpha for part in frame.format.components)


def _same_samples(layout: VideoFormat, chroma: str) -> bool:
    return layout.name.replace("yuvj", "yuv") == pix_fmt(chroma)


def read_tags(frame: VideoFrame, data: dict[str, bytes], siting: str | None) -> Tags:
    """The tags of a decoded frame as its planes will have them; `data` is FFmpeg's side data by kind."""
    is_gray = nearest_chroma(frame.format).startswith("mono")  # ffmpeg takes any gray for full range, if none is said
    is_full = frame.format.name.startswith("yuvj") or (is_gray and not frame.color_range)
    rgb = is_rgb(frame.format)
    return Tags(
        range=STUDIO if rgb else FULL if is_full else frame.color_range,
        matrix=BT601 if rgb else frame.colorspace,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        siting=siting,
        turn=tuple(np.frombuffer(data.get("DISPLAYMATRIX", b""), "i4").tolist()),
        mastering=data.get("MASTERING_DISPLAY_METADATA", b""),
        light=tuple(np.frombuffer(data.get("CONTENT_LIGHT_LEVEL", b""), "u4").tolist()),
    )


def require_depth(frame: VideoFrame, name: str, index: int | str) -> None:
    """What a Header's does, of a decoded frame: those of raw and lossless coders may hold anything."""
    header = Header(frame.width, frame.height, (f"C{nearest_chroma(frame.format)}",))
    if header.depth > 8 and _same_samples(frame.format, header.chroma):
        header.require_depth(tuple(_views(frame, header.dtype)), name, index)


def make_header(
    frame: VideoFrame, chroma: str, fps: Fraction, aspect: Fraction | None, tags: Tags, turn: Turn, field: str
) -> Header:
    """The header that ffmpeg writes before such frames (yuv4mpegenc.c); `field` is p, t or b."""
    width, height = (frame.height, frame.width) if turn[0] else (frame.width, frame.height)
    if aspect and turn[0]:
        aspect = 1 / aspect
    name = _SITINGS.get(tags.siting or "", "420jpeg") if chroma == "420" else chroma
    tokens = [f"W{width}", f"H{height}", f"F{fps.numerator}:{fps.denominator}", f"I{field}"]
    tokens += [f"A{aspect.numerator}:{aspect.denominator}" if aspect else "A0:0", f"C{name}"]
    tokens += [] if name.startswith("mono") else [f"XYSCSS={name.upper()}"]
    tokens += [{STUDIO: "XCOLORRANGE=LIMITED", FULL: "XCOLORRANGE=FULL"}[tags.range]] if tags.range else []
    return Header(width, height, tuple(tokens))


def to_planes(frame: VideoFrame, header: Header, turn: Turn, matrix: str = "601") -> Planes:
    """Read-only planes of a decoded frame in the header's layout, depth and size; RGB becomes Y'CbCr of `matrix`."""
    is_transposed, flips_x, flips_y = turn
    height, width = (header.width, header.height) if is_transposed else (header.height, header.width)
    layout = pix_fmt(header.chroma)
    if (frame.width, frame.height) != (width, height) or not _same_samples(frame.format, header.chroma):
        rgb = is_rgb(frame.format)
        frame = frame.reformat(
            width,
            height,
            layout,
            dst_colorspace=(Colorspace.ITU601 if matrix == "601" else Colorspace(MATRICES[matrix])) if rgb else None,
            dst_color_range=ColorRange.MPEG if rgb else None,
            interpolation=_RGB_SCALER if rgb else _SCALER,
            threads=1,
        )
    upright = np.s_[:: -1 if flips_y else 1, :: -1 if flips_x else 1]
    return tuple((plane.T if is_transposed else plane)[upright] for plane in _views(frame, header.dtype))


def rgb_to_planes(picture: np.ndarray, header: Header, matrix: str) -> Planes:
    """An 8-bit RGB picture (H, W, 3) as studio-range planes, by FFmpeg's scaler: quicker than `color`, and less exact."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    return to_planes(frame, header, turn_of(()), matrix)


def to_frame(planes: Planes, header: Header) -> VideoFrame:
    """A frame for an encoder with a copy of the planes."""
    frame = VideoFrame(header.width, header.height, pix_fmt(header.chroma))
    for view, plane in zip(_views(frame, header.dtype, is_writable=True), planes, strict=True):
        view[:] = plane
    return frame


def _views(frame: VideoFrame, dtype: np.dtype, is_writable: bool = False) -> list[np.ndarray]:
    """The planes (H, W) of a frame as arrays over its own memory; a decoder may still look at it, so read-only."""
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
        rows.flags.writeable = is_writable
        views.append(rows[::-1] if plane.line_size < 0 else rows)
    return views


def _graph(frame: Any, filters: tuple[Filter, ...]) -> Any:
    graph: Any = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    nodes = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    return graph


def filtered(frames: Iterator[Any], filters: tuple[Filter, ...]) -> Iterator[Any]:
    """What FFmpeg's filters make of the frames."""
    if (first := next(frames, None)) is None:
        return
    graph = _graph(first, filters)
    for frame in chain([first], frames, [None]):
        graph.push(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                yield graph.pull()


def look_at(frame: Any) -> tuple[dict[str, bytes], str | None, str]:
    """Side data, chroma siting (None: not said) and field order (p, t, b) of a frame, past what PyAV cannot tell."""
    known = {kind.value for kind in SideDataType}  # any other kind on a frame, such as EXIF, makes PyAV 18 raise
    unknown = tuple(("sidedata", f"mode=delete:type={number}") for number in range(48) if number not in known)
    graph = _graph(frame, (*unknown, ("showinfo", "checksum=0")))
    with listen(av.logging.INFO) as said:
        graph.push(frame)
        data = {item.type.name: bytes(item) for item in graph.pull().side_data}
    found = re.search(r" fmt:\S+ (?:cl:(\S+) )?.* i:(\w)", " ".join(said))
    siting = found[1] if found and found[1] not in ("unspecified", "unknown") else None
    return data, siting, found[2].lower() if found else "p"


@contextmanager
def listen(level: int = av.logging.ERROR) -> Iterator[list[str]]:
    """What FFmpeg says in this thread, at `level` or worse; the list is filled when the block ends."""
    said: list[str] = []
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture() as logs:
        try:
            yield said
        finally:
            av.logging.set_level(None)
            heard = [words.strip() for found, _, words in logs if found <= level or PASSED_OVER.search(words.strip())]
            said += filter(None, heard)

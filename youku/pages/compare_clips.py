"""Put versions of one clip together, frame by frame: opened, enlarged to one size, drawn on a canvas, measured, written.

Two or three clips of the same pictures, the reference first -> an mp4 or a PNG of canvases, and the luma PSNR of the
others against the reference. Smaller versions are enlarged by bicubic, and labelled so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from youku import cli, files
from youku.metrics import psnr
from youku.pages import compare_canvas
from youku.pages.compare_canvas import Sheet
from youku.pages.crops import Box
from youku.text_table import plural
from youku.video import avframe, clips, color, container, ffmpeg, interpolate, y4m
from youku.video.avframe import Tags
from youku.video.clips import Opened
from youku.video.encoding import Encoding
from youku.video.y4m import Header, Planes

MOST_WIDE_PX = 2880  # of a canvas, unless asked for: three 1080p pictures beside each other fill no screen
MOST_MAGNIFIED = 8  # unless asked for: a narrow region would become very tall
ASPECT_TOLERANCE = 0.03  # 97x55 and 388x220 are one picture


class Version(NamedTuple):
    """One of the clips, open."""

    path: Path
    clip: Opened

    @property
    def header(self) -> Header:
        return self.clip.header


def open_version(path: str | Path, stack: ExitStack, num_frames: int | None = None) -> Version:
    """Open a y4m clip or any video, of which `num_frames` will be looked at; closed with `stack`."""
    Path(path).stat()  # a file, never the pipe "-"
    return Version(Path(path), stack.enter_context(clips.open_clip(path, num_needed=num_frames)))


def common_size(versions: Sequence[Version]) -> tuple[int, int]:
    """(width, height) of the largest; ValueError where the shapes are of different pictures."""
    largest = max((version.header for version in versions), key=lambda header: header.width * header.height)
    for version in versions:
        ratio = (version.header.width / version.header.height) / (largest.width / largest.height)
        if abs(ratio - 1) > ASPECT_TOLERANCE:
            raise ValueError(
                f"{version.path}: {version.header.size} is of another shape than "
                f"{largest.size}; expected versions of one picture, crop them alike first"
            )
    return largest.width, largest.height


def enlarged(planes: Planes, header: Header, target: Header) -> Planes:
    """A frame by bicubic at the target's size, chroma at its siting; as it is where it has that size."""
    if header.size == target.size:
        return planes
    scale_x, scale_y = target.width / header.width, target.height / header.height
    if scale_x == scale_y and scale_x == int(scale_x):
        return interpolate.upscale(planes, header, int(scale_x))
    return interpolate.fit(planes, header, target)


def version_labels(given: str | None, versions: Sequence[Version], size: tuple[int, int]) -> tuple[str, ...]:
    """Names given with commas, or the files', with what was done to the smaller ones."""
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        if len(names) != len(versions):
            raise cli.UsageError(
                f"--labels {given}: expected {plural(len(versions), 'label')} with commas, got {len(names)}"
            )
    else:
        names = [version.path.stem for version in versions]
        if len(set(names)) < len(names):
            names = [f"{version.path.absolute().parent.name}/{version.path.stem}" for version in versions]
        names = [
            name if name.isascii() and name.isprintable() else letter
            for name, letter in zip(names, "ABC", strict=False)
        ]
    if not all(name.isascii() and name.isprintable() for name in names):
        raise cli.UsageError(f"--labels {given}: Pillow's own font has Latin letters alone; write the labels in ASCII")
    headers = [version.header for version in versions]
    return tuple(
        name if (one.width, one.height) == size
        else f"{name} ({one.size}, bicubic x{size[1] / one.height:.3g})"
        for name, one in zip(names, headers, strict=True)
    )  # fmt: skip


def shown_size(size: tuple[int, int], num_beside: int) -> tuple[int, int]:
    """(width, height) of each of the pictures beside each other, so that their canvas is at most MOST_WIDE_PX wide."""
    width = min(size[0], MOST_WIDE_PX // num_beside)
    return width, max(1, round(size[1] * width / size[0]))


def zoom_box(
    text: str, magnify: int | None, size: tuple[int, int], cell_width: int, full_width: int = 0
) -> tuple[Box, int]:
    """X,Y,W,H in pixels of the largest version and how often it is magnified; it lies inside and fits its cell.

    `full_width` is what the cell has with --full, which is advised where it is wider.
    """
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isdigit() for word in words):
        raise cli.UsageError(f"--zoom {text}: expected X,Y,W,H in whole pixels, such as 800,400,320,180")
    left, top, width, height = map(int, words)
    if not width or not height or left + width > size[0] or top + height > size[1]:
        raise ValueError(f"--zoom {text}: expected a region inside the picture of {size[0]}x{size[1]}")
    magnify = max(2, min(MOST_MAGNIFIED, cell_width // width)) if magnify is None else magnify
    if width * magnify > cell_width:
        raise ValueError(
            f"--zoom {text}: {magnify} times {width} is wider than its cell of {cell_width}; "
            f"W may be {cell_width // magnify}" + (", or give --full" if cell_width < full_width else "")
        )
    return Box(top, left, height, width), magnify


def in_step(versions: Sequence[Version], num_frames: int | None) -> Iterator[tuple[Planes, ...]]:
    """Frames of all versions together; ValueError naming every count where they differ, at once where they are known."""
    known = [version.clip.num_frames for version in versions]
    limited = [min(count, num_frames or count) for count in known if count is not None]
    if None not in known and len(set(limited)) > 1:
        raise _uneven(versions, limited)
    return _together(versions, [islice(version.clip.frames, num_frames) for version in versions])


def _together(versions: Sequence[Version], streams: Sequence[Iterator[Planes]]) -> Iterator[tuple[Planes, ...]]:
    for index, now in enumerate(zip_longest(*streams)):
        if None in now:
            left = [(planes is not None) + sum(1 for _ in stream) for planes, stream in zip(now, streams, strict=True)]
            raise _uneven(versions, [index + count for count in left])
        yield now


def _uneven(versions: Sequence[Version], counts: Sequence[int]) -> ValueError:
    told = ", ".join(f"{version.path} has {count}" for version, count in zip(versions, counts, strict=True))
    return ValueError(
        f"frame counts differ: {told}; give versions of the same frames; where they begin with the same one, "
        f"--max-frames {min(counts)} compares what all have"
    )


def draw(
    versions: Sequence[Version], frames: Iterable[Sequence[Planes]], sheet: Sheet, matrix: str
) -> Iterator[tuple[np.ndarray, list[float]]]:
    """Of each frame the canvas (H, W, 3), and the others' mean squared luma errors against the reference."""
    width, height = common_size(versions)
    targets = [version.header.resized(width, height) for version in versions]
    for index, now in enumerate(frames):
        pictures, lumas = [], []
        for planes, version, target in zip(now, versions, targets, strict=True):
            large = enlarged(planes, version.header, target)
            lumas.append(large[0].astype(np.float32) / (1 << (target.depth - 8)))  # (H, W), code values of 8 bit
            pictures.append(color.planes_to_rgb(large, target.depth, target.layout, matrix, target.is_full_range))
        errors = [float(np.square(luma - lumas[0]).mean()) for luma in lumas[1:]]
        yield compare_canvas.compose(sheet, pictures, lumas, index / float(versions[0].header.fps)), errors


def write_still(
    versions: Sequence[Version], sheet: Sheet, matrix: str, out: str | Path, frame: int
) -> list[float | None]:
    """The canvas of one frame as a PNG; returns the others' luma PSNR in dB, None for an exact copy."""
    from PIL import Image

    frames = islice(in_step(versions, frame + 1), frame, None)
    drawn = next(draw(versions, frames, sheet, matrix), None)
    if drawn is None:
        raise ValueError(f"--frame {frame}: {versions[0].path} ends before it; frames count from 0")
    with files.atomic_path(out) as temporary:
        Image.fromarray(drawn[0]).save(temporary, "PNG")
    return _psnr_db([drawn[1]])


def write_video(
    versions: Sequence[Version],
    frames: Iterable[Sequence[Planes]],
    sheet: Sheet,
    matrix: str,
    out: str | Path,
    crf: int,
) -> tuple[int, list[float | None]]:
    """All canvases as an mp4 with the reference's times and audio; returns their number and `write_still`'s PSNR over all."""
    drawn, source = draw(versions, frames, sheet, matrix), versions[0].clip.recording
    first = next(drawn, None)
    if first is None:
        raise ValueError(f"{out}: nothing to write, the source gave 0 frames")
    header = y4m.make_header(first[0].shape[1], first[0].shape[0], versions[0].header.fps)
    tags = Tags(range=avframe.STUDIO, matrix=avframe.MATRICES[matrix])
    squared: list[list[float]] = []
    with files.atomic_path(out) as whole:
        with container.create(whole, header, Encoding(crf=crf), source, tags=tags) as writer:
            for picture, errors in chain([first], drawn):
                squared.append(errors)
                writer.write(avframe.rgb_to_planes(picture, header, matrix))
        if source is not None:  # aac, since mp4 holds few of the others; the question mark: none is no error
            line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-i", str(whole.absolute())]
            line += ["-i", str(Path(source.path).absolute()), "-map", "0:v", "-map", "1:a:0?"]
            # -shortest would cut pictures where audio ends first
            line += ["-c:v", "copy", "-c:a", "aac", "-b:a", "192k", "-t", f"{float(writer.end * source.tick):.6f}"]
            line += ["-video_track_timescale", str(source.tick.denominator), "-movflags", "+faststart"]
            with files.atomic_path(whole) as sounding:  # absolute, or a colon in the name would be a protocol
                ffmpeg.run([*line, str(sounding.absolute())], str(out))
    return writer.num_frames, _psnr_db(squared)


def _psnr_db(squared: Sequence[Sequence[float]]) -> list[float | None]:
    means = np.mean(squared, axis=0)  # (frames, versions) to (versions,)
    return [psnr.decibels(float(mean)) if mean else None for mean in means]

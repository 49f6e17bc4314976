"""Compare two or three versions of a clip by eye: side by side or a moving wipe, a magnified region, error heat maps.

A B [C] (y4m or any video of the same pictures; smaller ones are enlarged by bicubic, and labelled so) -> an mp4, or a
PNG of one frame; luma PSNR of B and C against A on stdout. A is the reference: its frame rate, its audio (as aac).
Source: the old-film report's comparison video (B.1: left scaled, right beside it, twice the width).

    python -m youku compare low.y4m pred.y4m high.y4m --labels input,ours,truth --out cmp.mp4
    python -m youku compare high.y4m pred.y4m --heat --zoom 800,400,320,180 --out cmp.png --frame 25
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from youku import cli, files
from youku.pages import panels
from youku.pages.panels import Sheet
from youku.pages.stills import Box
from youku.video import clips, color, film, interpolate, resize
from youku.video.recording import Recording
from youku.video.y4m import Header, Planes

HEAT_MAX = 32.0  # code values
MOST_MAGNIFIED = 8  # unless asked for: a narrow region would become very tall
ASPECT_TOLERANCE = 0.03  # 97x55 and 388x220 are one picture


@dataclass(frozen=True)
class Version:
    """An opened clip; `num_frames` where it is known without reading."""

    path: Path
    header: Header
    frames: Iterator[Planes]
    num_frames: int | None = None
    recording: Recording | None = None


@dataclass
class Tally:
    """Squared luma errors of the versions against the first, frame by frame."""

    squared: list[list[float]] = field(default_factory=list)

    def add(self, lumas: Sequence[np.ndarray]) -> None:
        self.squared.append([float(np.square(luma - lumas[0]).mean()) for luma in lumas[1:]])

    def psnr_db(self) -> list[float | None]:
        """PSNR of all frames together; None for an exact copy."""
        means = np.mean(self.squared, axis=0)
        return [10 * math.log10(255**2 / mean) if mean else None for mean in means]


def open_version(path: str | Path, stack: ExitStack) -> Version:
    """Open a clip or video for all its frames; closed with `stack`."""
    opened = stack.enter_context(clips.open_clip(path))
    return Version(Path(path), opened.header, iter(opened.frames), opened.num_frames, opened.recording)


def common_size(versions: Sequence[Version]) -> tuple[int, int]:
    """(width, height) of the largest; ValueError where the shapes are of different pictures."""
    largest = max((version.header for version in versions), key=lambda header: header.width * header.height)
    for version in versions:
        ratio = (version.header.width / version.header.height) / (largest.width / largest.height)
        if abs(ratio - 1) > ASPECT_TOLERANCE:
            raise ValueError(
                f"{version.path}: {version.header.width}x{version.header.height} is of another shape than "
                f"{largest.width}x{largest.height}; expected versions of one picture, crop them alike first"
            )
    return largest.width, largest.height


def fit(planes: Planes, header: Header, target: Header) -> Planes:
    """A frame enlarged by bicubic to the target's size, chroma at its siting; as it is where it has that size."""
    if (header.width, header.height) == (target.width, target.height):
        return planes
    scale_x, scale_y = target.width / header.width, target.height / header.height
    if scale_x == scale_y and scale_x == int(scale_x):
        return interpolate.upscale(planes, header, int(scale_x))
    shift_y, shift_x = color.chroma_shift(header.layout, scale_y)[0], color.chroma_shift(header.layout, scale_x)[1]
    out = []
    for index, (plane, (height, width)) in enumerate(zip(planes, target.plane_shapes, strict=True)):
        shifts = (shift_y, shift_x) if index else (0.0, 0.0)
        large = resize.resize(plane.astype(np.float32), height, width, "bicubic", "replicate", *shifts)
        out.append(resize.to_integers(large, header.depth))
    return tuple(out)


def label_all(given: str | None, versions: Sequence[Version], size: tuple[int, int]) -> tuple[str, ...]:
    """--labels or the files' names, with what was done to the smaller ones."""
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        if len(names) != len(versions):
            raise cli.UsageError(f"--labels {given}: expected {len(versions)} labels with commas, got {len(names)}")
    else:
        names = [version.path.stem for version in versions]
        if len(set(names)) < len(names):
            names = [f"{version.path.absolute().parent.name}/{version.path.stem}" for version in versions]
        names = [name if name.isascii() else letter for name, letter in zip(names, "ABC", strict=False)]
    if not all(name.isascii() and name.isprintable() for name in names):
        raise cli.UsageError(f"--labels {given}: Pillow's own font has Latin letters alone; write the labels in ASCII")
    return tuple(name + _enlarged(version.header, size) for name, version in zip(names, versions, strict=True))


def _enlarged(header: Header, size: tuple[int, int]) -> str:
    if (header.width, header.height) == size:
        return ""
    return f" ({header.width}x{header.height}, bicubic x{size[1] / header.height:.3g})"


def together(versions: Sequence[Version], num_frames: int | None) -> Iterator[tuple[Planes, ...]]:
    """Frames of all versions in step; ValueError naming every count where they differ."""
    streams = [islice(version.frames, num_frames) for version in versions]
    index = 0
    while True:
        now = [next(stream, None) for stream in streams]
        whole = tuple(planes for planes in now if planes is not None)
        if not whole:
            return
        if len(whole) < len(now):
            left = [(planes is not None) + sum(1 for _ in stream) for planes, stream in zip(now, streams, strict=True)]
            raise _uneven(versions, [index + count for count in left])
        yield whole
        index += 1


def check_counts(versions: Sequence[Version], num_frames: int | None) -> None:
    """Refuse clips of different lengths before any work, where the lengths are known."""
    counts = [version.num_frames for version in versions if version.num_frames is not None]
    limited = [min(count, num_frames or count) for count in counts]
    if len(counts) == len(versions) and len(set(limited)) > 1:
        raise _uneven(versions, limited)


def _uneven(versions: Sequence[Version], counts: Sequence[int]) -> ValueError:
    told = ", ".join(f"{version.path} has {count}" for version, count in zip(versions, counts, strict=True))
    return ValueError(
        f"frame counts differ: {told}; give versions of the same frames, or --frames {min(counts)} to compare the first"
    )


def draw_all(
    versions: Sequence[Version], frames: Iterable[Sequence[Planes]], sheet: Sheet, matrix: str, tally: Tally
) -> Iterator[np.ndarray]:
    """One canvas a frame; errors go into `tally`."""
    width, height = common_size(versions)
    targets = [version.header.resized(width, height) for version in versions]
    for index, now in enumerate(frames):
        fitted = [
            fit(planes, version.header, target) for planes, version, target in zip(now, versions, targets, strict=True)
        ]
        lumas = [
            planes[0].astype(np.float32) / (1 << (target.depth - 8))
            for planes, target in zip(fitted, targets, strict=True)
        ]
        tally.add(lumas)
        pictures = [
            color.planes_to_rgb(planes, target.depth, target.layout, matrix)
            for planes, target in zip(fitted, targets, strict=True)
        ]
        yield panels.compose(sheet, pictures, lumas, index / float(versions[0].header.fps))


def parse_zoom(text: str, magnify: int | None, size: tuple[int, int], num_cells: int = 1) -> tuple[Box, int]:
    """X,Y,W,H in pixels of the largest version and how often it is magnified; it lies inside and fits its cell."""
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isdigit() for word in words):
        raise cli.UsageError(f"--zoom {text}: expected X,Y,W,H in whole pixels, such as 800,400,320,180")
    left, top, width, height = map(int, words)
    if not width or not height or left + width > size[0] or top + height > size[1]:
        raise ValueError(f"--zoom {text}: expected a region inside the picture of {size[0]}x{size[1]}")
    cell_width = size[0] // num_cells
    magnify = max(2, min(MOST_MAGNIFIED, cell_width // width)) if magnify is None else magnify
    if width * magnify > cell_width:
        raise ValueError(
            f"--zoom {text}: {magnify} times {width} is wider than its cell of {cell_width}; "
            f"W may be {cell_width // magnify}"
        )
    return Box(top, left, height, width), magnify


def save_still(args: argparse.Namespace, versions: Sequence[Version], sheet: Sheet, tally: Tally) -> int:
    """The canvas of frame --frame as a PNG."""
    from PIL import Image

    frames = islice(together(versions, args.frame + 1), args.frame, None)
    canvas = next(draw_all(versions, frames, sheet, args.matrix, tally), None)
    if canvas is None:
        raise ValueError(f"--frame {args.frame}: {versions[0].path} ends before it; frames count from 0")
    with files.atomic_path(args.out) as temporary:
        Image.fromarray(canvas).save(temporary, "PNG")
    return 1


def save_video(args: argparse.Namespace, versions: Sequence[Version], sheet: Sheet, tally: Tally) -> int:
    """All canvases as an mp4 with A's audio; returns the number of frames."""
    from tqdm import tqdm

    total = args.frames or versions[0].num_frames
    frames = tqdm(together(versions, args.frames), total=total, unit="frame", disable=not sys.stderr.isatty())
    canvases = draw_all(versions, frames, sheet, args.matrix, tally)
    return film.write_mp4(
        args.out,
        canvases,
        versions[0].header.fps,
        crf=args.crf,
        matrix=args.matrix,
        source=versions[0].recording,
        frames=range(args.frames) if args.frames else None,
    )


def _check(args: argparse.Namespace) -> None:
    if not 2 <= len(args.clips) <= 3:
        raise cli.UsageError(f"expected two or three clips, got {len(args.clips)}")
    suffix = Path(args.out).suffix.lower()
    if suffix not in (".mp4", ".png"):
        raise cli.UsageError(f"--out {args.out}: expected a name that ends in .mp4 or .png")
    if (suffix == ".png") != (args.frame is not None):
        raise cli.UsageError("--frame N goes with --out FILE.png, and FILE.png with --frame N")
    if (args.frame is not None and args.frame < 0) or (args.frames is not None and args.frames < 1):
        raise cli.UsageError("expected --frame 0 or more, --frames 1 or more")
    if args.wipe and args.heat:
        raise cli.UsageError("--heat lies under versions side by side; drop --wipe or --heat")
    if not 0 <= args.crf <= 51 or (args.magnify is not None and args.magnify < 1) or args.heat_max <= 0:
        raise cli.UsageError("expected --crf 0 to 51, --magnify 1 or more, --heat-max above 0")
    for clip in args.clips:
        if Path(args.out).exists() and Path(clip).exists() and Path(args.out).samefile(clip):
            raise cli.UsageError(f"--out {args.out}: is one of the clips; name another file")


def _run(args: argparse.Namespace) -> int:
    _check(args)
    tally = Tally()
    with ExitStack() as stack:
        versions = [open_version(clip, stack) for clip in args.clips]
        size = common_size(versions)
        num_cells = len(versions) if args.wipe else 1
        zoom, magnify = parse_zoom(args.zoom, args.magnify, size, num_cells) if args.zoom else (None, 2)
        sheet = Sheet(
            labels=label_all(args.labels, versions, size),
            wipe=args.wipe,
            zoom=zoom,
            magnify=magnify,
            heat_max=args.heat_max if args.heat else None,
        )
        if args.frame is None:
            check_counts(versions, args.frames)
        save = save_video if args.frame is None else save_still
        num_frames = save(args, versions, sheet, tally)
    print(show(args, sheet, tally, num_frames))
    return 0


def show(args: argparse.Namespace, sheet: Sheet, tally: Tally, num_frames: int) -> str:
    """What was written, and each version's PSNR against the first."""
    figures = tally.psnr_db()
    if args.json:
        rows: list[dict[str, object]] = [
            {"label": sheet.labels[0], "clip": str(args.clips[0]), "psnr_db": None, "is_reference": True}
        ]
        for label, clip, value in zip(sheet.labels[1:], args.clips[1:], figures, strict=True):
            rows.append({"label": label, "clip": str(clip), "psnr_db": value, "is_reference": False})
        return json.dumps({"out": args.out, "frames": num_frames, "versions": rows}, indent=2)
    lines = [f"{args.out}: {num_frames} frame{'s' if num_frames > 1 else ''}"]
    for label, value in zip(sheet.labels[1:], figures, strict=True):
        told = "identical luma" if value is None else f"luma PSNR {value:.2f} dB"
        lines.append(f"{label} against {sheet.labels[0]}: {told}")
    return "\n".join(lines)


def make_parser() -> argparse.ArgumentParser:
    """The verb's command line."""
    parser = cli.make_parser("compare", __doc__)
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="two or three versions, the reference first")
    parser.add_argument("--out", required=True, metavar="FILE", help="cmp.mp4, or cmp.png with --frame")
    parser.add_argument("--frame", type=int, metavar="N", help="draw this frame alone (from 0), as PNG")
    parser.add_argument("--frames", type=int, metavar="N", help="compare the first N frames, whatever the lengths")
    parser.add_argument("--labels", metavar="A,B,C", help="names above the pictures (default: the files')")
    parser.add_argument("--wipe", action="store_true", help="one picture, split by a moving line")
    parser.add_argument("--zoom", metavar="X,Y,W,H", help="show this region again below, magnified")
    parser.add_argument(
        "--magnify", type=int, metavar="N", help="how many times (default: so that it fills its cell, 2 to 8)"
    )
    parser.add_argument("--heat", action="store_true", help="error heat maps of B (and C) against A, with colour bar")
    parser.add_argument(
        "--heat-max", type=float, default=HEAT_MAX, metavar="CODES", help="brightest at this error (default 32)"
    )
    parser.add_argument("--crf", type=int, default=16, metavar="N", help="x264 quality, 0 lossless to 51 (default 16)")
    parser.add_argument("--matrix", choices=list(color.MATRICES), default="601", help="colour matrix (default 601)")
    parser.add_argument("--json", action="store_true", help="machine-readable on stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())

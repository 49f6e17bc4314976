"""Compare two or three versions of a clip by eye: side by side or a moving wipe, a magnified region, error heat maps.

A B [C] (y4m or any video of the same pictures; smaller ones are enlarged by bicubic, and labelled so) -> an mp4, or a
PNG of one frame; luma PSNR of B and C against A on stdout. A is the reference: its frame rate, its audio (as aac). Where
it is the truth, PSNR is quality; of two enlargements of an old film, which has none, it is likeness, not which is better.
Pictures are shown in their shape, oblong pixels as square ones, and smaller where the canvas would be over 2880 px wide
(--full does not); --zoom shows pixels as they are.
Source: the old-film report's comparison video (B.1: left scaled, right beside it, twice the width).

    python -m youku compare low.y4m pred.y4m high.y4m --labels input,ours,truth --out cmp.mp4
    python -m youku compare high.y4m pred.y4m --heat --zoom 800,400,320,180 --out cmp.png --frame 25
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from youku import cli, files
from youku.pages import compare_clips
from youku.pages.compare_canvas import Sheet
from youku.text_table import plural
from youku.video import color
from youku.video.y4m_header import in_square_pixels


def _check(args: argparse.Namespace) -> None:
    if not 2 <= len(args.clips) <= 3:
        raise cli.UsageError(f"expected two or three clips, got {len(args.clips)}")
    suffix = Path(args.out).suffix.lower()
    if suffix not in (".mp4", ".png"):
        raise cli.UsageError(f"--out {args.out}: expected a name that ends in .mp4 or .png")
    if (suffix == ".png") != (args.frame is not None):
        raise cli.UsageError("--frame N goes with --out FILE.png, and FILE.png with --frame N")
    if (args.frame is not None and args.frame < 0) or (args.max_frames is not None and args.max_frames < 1):
        raise cli.UsageError("expected --frame 0 or more, --max-frames 1 or more")
    if args.wipe and args.heat:
        raise cli.UsageError("--heat lies under versions side by side; drop --wipe or --heat")
    if not 0 <= args.crf <= 51 or (args.magnify is not None and args.magnify < 1) or args.heat_max <= 0:
        raise cli.UsageError("expected --crf 0 to 51, --magnify 1 or more, --heat-max above 0")
    files.protect(*args.clips)
    files.refuse_target(args.out)


def _run(args: argparse.Namespace) -> int:
    _check(args)
    num_needed = args.max_frames if args.frame is None else args.frame + 1
    with ExitStack() as stack:
        opened = [compare_clips.open_version(clip, stack, num_needed) for clip in args.clips]
        size = compare_clips.common_size(opened)
        whole = in_square_pixels(size, *(one.header.aspect for one in opened))
        shown = whole if args.full else compare_clips.shown_size(whole, 1 if args.wipe else len(opened))
        cells = [one[0] // (len(opened) if args.wipe else 1) for one in (shown, whole)]
        zoom, magnify = compare_clips.zoom_box(args.zoom, args.magnify, size, *cells) if args.zoom else (None, 2)
        sheet = Sheet(
            labels=compare_clips.version_labels(args.labels, opened, size),
            wipe=args.wipe,
            zoom=zoom,
            magnify=magnify,
            heat_max=args.heat_max if args.heat else None,
            shown=shown,
        )
        if shown != size:
            full = "" if shown == whole else "; --full for every pixel"
            cli.say(f"pictures of {size[0]}x{size[1]} are shown at {shown[0]}x{shown[1]}{full}")
        if args.frame is not None:
            num_frames, psnr_db = 1, compare_clips.write_still(opened, sheet, args.matrix, args.out, args.frame)
        else:
            frames = compare_clips.in_step(opened, args.max_frames)
            total = min(filter(None, (args.max_frames, opened[0].clip.likely_frames)), default=None)
            bar = cli.watch(frames, Path(args.out).name, total)
            num_frames, psnr_db = compare_clips.write_video(opened, bar, sheet, args.matrix, args.out, args.crf)
    _tell(args, sheet.labels, psnr_db, num_frames)
    return 0


def _tell(args: argparse.Namespace, labels: Sequence[str], psnr_db: Sequence[float | None], num_frames: int) -> None:
    """What was written, and each version's PSNR against the first."""
    rows = [
        {"label": label, "clip": str(clip), "psnr_db": value, "is_reference": index == 0}
        for index, (label, clip, value) in enumerate(zip(labels, args.clips, [None, *psnr_db], strict=True))
    ]
    meant = "PSNR is likeness to it, and quality where it is the truth"
    lines = [f"{args.out}: {plural(num_frames, 'frame')}, reference {labels[0]}; {meant}"]
    for label, value in zip(labels[1:], psnr_db, strict=True):
        told = "identical luma" if value is None else f"luma PSNR {value:.2f} dB"
        lines.append(f"{label} against {labels[0]}: {told}")
    made = {"out": args.out, "frames": num_frames, "versions": rows}
    cli.answer(args, made, *(files.printable(line, None) for line in lines))


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("clips", nargs="+", metavar="CLIP", help="two or three versions, the reference first")
    add("--out", required=True, metavar="FILE", help="cmp.mp4, or cmp.png with --frame")
    add("--frame", type=int, metavar="N", help="draw this frame alone (from 0), as PNG")
    add("--max-frames", type=int, metavar="N", help="compare the first N frames, whatever the lengths")
    add("--labels", metavar="A,B,C", help="names above the pictures (default: the files')")
    add("--wipe", action="store_true", help="one picture, split by a moving line")
    add("--full", action="store_true", help="every pixel, however wide (default: 2880 px at most)")
    add("--zoom", metavar="X,Y,W,H", help="show this region again below, magnified")
    add("--magnify", type=int, metavar="N", help="how many times (default: so that it fills its cell, 2 to 8)")
    add("--heat", action="store_true", help="error heat maps of B (and C) against A, with colour bar")
    add("--heat-max", type=float, default=32.0, metavar="CODES", help="brightest at this error (default 32)")
    add("--crf", type=int, default=16, metavar="N", help="x264 quality, 0 lossless to 51 (default 16)")
    add("--matrix", choices=list(color.MATRICES), default="601", help="colour matrix (default 601)")
    add("--json", action="store_true", help="machine-readable on stdout")


main = cli.Verb("compare", __doc__, _add_flags, _run, opens_videos=True)

if __name__ == "__main__":
    raise SystemExit(main())

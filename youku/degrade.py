"""Make training pairs shaped like the contest's from any video, y4m clip or folder of pictures.

SRC... -> OUT/Youku_NNNNN_h_GT.y4m (cropped to a multiple of the factor) and OUT/Youku_NNNNN_l.y4m (smaller, damaged),
8-bit 4:2:0, listed in OUT/pairs.json. The damage: blur, scaling plane by plane at the chroma's siting, tone, noise, and
real video codecs, before or after the scaling. The presets follow the old-film report's list of degradations and the
contest's own data, which were compressed by a real platform. Same seed and sources, same bytes.

`--check` measures pairs that were made elsewhere (a restored film against the old print) and refuses those whose
frames, pixels (0.25 small pixels) or brightness (gain 5 %, mean 2 code values) disagree.

Run: python -m youku degrade film.mp4 data/clips/train --preset youku --split-every 100
     python -m youku degrade --list-presets
     python -m youku degrade --check data/clips/train
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from youku import __version__, cli, contest, files
from youku.video import alignment, codecs, ffmpeg, y4m
from youku.video.clips import Source, find_sources, open_420
from youku.video.degradation import KERNELS, ORDERS, PRESETS, VERDICTS, Degradation, crop, make_pair
from youku.video.y4m import Header, Planes

MANIFEST = "pairs.json"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which frames and which part of each source become clips."""

    split_every: int = 0
    """Frames of one clip; 0 makes one clip of each source."""
    max_frames: int = 0
    """Most frames taken from one source; 0 takes all."""
    every: int = 1
    """Take frames 0, N, 2N and so on of each source."""
    size: tuple[int, int] | None = None
    """(width, height): larger frames are cut to it around their middle."""
    sequence: bool = False
    """A folder of pictures is one clip; otherwise each picture is a clip of one frame."""

    def __post_init__(self) -> None:
        if self.split_every < 0 or self.max_frames < 0 or self.every < 1:
            raise ValueError("split-every and max-frames: expected 0 or more; every: expected 1 or more")


def degrade_sources(
    sources: Sequence[Source], folder: str | Path, degradation: Degradation, cut: Cut, first_id: int = 0, seed: int = 0
) -> list[int]:
    """Make pairs numbered from `first_id`; returns the ids made, those already there with the same settings left out.

    A file that this command did not make is never replaced: ValueError.
    """
    folder = Path(folder)
    pairs = _read_manifest(folder)
    made: list[int] = []
    clip_id = first_id
    for source in sources:
        settings = _settings(source, degradation, cut, seed)
        if not cut.split_every and _is_current(folder, clip_id, pairs, {**settings, "first_frame": 0}):
            clip_id += 1
            continue
        with open_420(source) as opened:
            header, frames = _cut_frames(opened.header, opened.frames, cut)
            if min(header.width, header.height) < degradation.scale:
                raise ValueError(
                    f"{source.name}: {header.width}x{header.height} is too small for a factor of {degradation.scale}"
                )
            files.make_folder(folder)  # only now: what cannot be read leaves nothing behind
            first_frame = 0
            for piece in _pieces(_progress(frames, source), cut.split_every):
                entry = {**settings, "first_frame": first_frame}
                if _is_current(folder, clip_id, pairs, entry):
                    num_frames = sum(1 for _ in piece)
                else:
                    num_frames = _make_one(folder, clip_id, pairs, entry, piece, header, degradation, seed)
                    made.append(clip_id)
                first_frame += num_frames
                clip_id += 1
            if first_frame == 0:
                raise ValueError(f"{source.name}: the source gave 0 frames")
    return made


def _make_one(
    folder: Path, clip_id: int, pairs: dict[str, Any], entry: dict[str, Any], frames: Iterator[Planes],
    header: Header, degradation: Degradation, seed: int,
) -> int:  # fmt: skip
    if not 0 <= clip_id <= 99999:
        raise ValueError(f"clip id {clip_id}: contest names have five digits; choose another --first-id")
    low, high = folder / contest.low_name(clip_id), folder / contest.high_name(clip_id)
    key = f"{clip_id:05d}"
    for path in (low, high):
        if path.exists() and key not in pairs:
            raise ValueError(f"{path}: exists and is not in {MANIFEST}; choose another --first-id or another folder")
    if key in pairs and pairs[key].get("source") != entry["source"]:
        free = 1 + max(int(taken) for taken in pairs)
        raise ValueError(
            f"{low}: is a pair of {pairs[key].get('source')}; add --first-id {free}, or name another folder"
        )
    pairs[key] = {**entry, "frames": None}  # claimed: a run that is killed here may be repeated
    files.write_json(folder / MANIFEST, {"pairs": pairs})
    clip_seed = int(np.random.SeedSequence([seed, clip_id]).generate_state(1)[0])
    num_frames = make_pair(frames, header, low, high, degradation, clip_seed)
    pairs[key] = {**entry, "frames": num_frames, "versions": _versions()}
    files.write_json(folder / MANIFEST, {"pairs": pairs})
    return num_frames


def _settings(source: Source, degradation: Degradation, cut: Cut, seed: int) -> dict[str, Any]:
    """What decides a pair's bytes, as JSON keeps it."""
    total_bytes = sum(path.stat().st_size for path in source.paths)
    modified = max(path.stat().st_mtime_ns for path in source.paths)
    known = {"source": source.name, "source_bytes": total_bytes, "source_mtime_ns": modified, "seed": seed}
    return json.loads(json.dumps({**known, "cut": asdict(cut), "degradation": asdict(degradation)}))


def _is_current(folder: Path, clip_id: int, pairs: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Whether both files are there, whole, and made with the same settings."""
    have = pairs.get(f"{clip_id:05d}")
    if not have or not have.get("frames") or any(have.get(key) != value for key, value in entry.items()):
        return False
    try:
        clips = [y4m.Clip(folder / name(clip_id)) for name in (contest.low_name, contest.high_name)]
    except (FileNotFoundError, y4m.Y4MError):
        return False
    return all(clip.num_frames == have["frames"] for clip in clips)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        return {}
    manifest = files.read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("pairs"), dict):
        raise ValueError(f'{path}: expected {{"pairs": ...}}; move it away or name another folder')
    return manifest["pairs"]


def _versions() -> dict[str, str]:
    return {"youku": __version__, "ffmpeg": ffmpeg.version(), "numpy": np.__version__}


def _cut_frames(header: Header, frames: Iterable[Planes], cut: Cut) -> tuple[Header, Iterator[Planes]]:
    """Choose frames and cut them to the wanted size around the middle, on whole chroma samples."""
    last = cut.max_frames * cut.every if cut.max_frames else None
    kept = itertools.islice(frames, 0, last, cut.every)
    most_width, most_height = cut.size or (header.width, header.height)
    width, height = min(header.width, most_width), min(header.height, most_height)
    target = header.resized(width, height)
    top_px, left_px = (header.height - height) // 4 * 2, (header.width - width) // 4 * 2
    return target, (crop(planes, target, top_px, left_px) for planes in kept)


def _pieces(frames: Iterable[Planes], length: int) -> Iterator[Iterator[Planes]]:
    """Runs of `length` frames (0 = all) of one stream; each must be used up before the next is asked for."""
    stream = iter(frames)
    for first in stream:
        rest = itertools.islice(stream, length - 1) if length else stream
        yield itertools.chain([first], rest)


def _progress(frames: Iterable[Planes], source: Source) -> Iterable[Planes]:
    from tqdm import tqdm

    return tqdm(frames, desc=Path(source.name).name, unit="frame", disable=None, leave=False)


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("degrade", __doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="SRC... OUT_FOLDER: each source a video, y4m, picture, frame%%3d.png or a folder of them",
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default="bicubic", help="where the settings start (default bicubic)"
    )
    parser.add_argument("--list-presets", action="store_true", help="say what each preset does and where it comes from")
    parser.add_argument("--check", metavar="FOLDER", help="measure the pairs in FOLDER and exit 1 if any is bad")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="factor between the sizes (default 4)")
    parser.add_argument("--kernel", choices=(*KERNELS, "mixed"), help="mixed draws one for each clip")
    parser.add_argument("--blur", type=float, metavar="SIGMA", help="Gaussian before scaling, in large pixels")
    parser.add_argument("--unsharp", type=float, metavar="CHANCE", help="share of clips sharpened first, both sizes")
    parser.add_argument("--darken", type=float, metavar="SHARE", help="luma above black taken away, 0.2 = 20 %%")
    parser.add_argument("--tone", type=float, metavar="SHARE", help="largest random change of contrast, 0.1 = 10 %%")
    parser.add_argument("--noise", type=float, metavar="SIGMA", help="Gaussian noise after scaling, in code values")
    parser.add_argument("--codec", choices=(*codecs.CODECS, "none"), help="video codec, in place of the preset's")
    parser.add_argument("--crf", type=int, help="quality of x264, x265: 0-51, larger is worse")
    parser.add_argument("--qscale", type=int, help="quantiser of mpeg1, mpeg2, mpeg4, mjpeg: 1-31, larger is worse")
    parser.add_argument("--bitrate", help="bits a second, such as 768k")
    parser.add_argument("--order", choices=ORDERS, help="scale then code, or code then scale")
    parser.add_argument("--first-id", type=int, default=0, help="number of the first pair (default 0)")
    parser.add_argument("--split-every", type=int, default=0, metavar="N", help="cut a source into clips of N frames")
    parser.add_argument("--max-frames", type=int, default=0, metavar="N", help="take at most N frames of a source")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th frame, such as 20 or 1000")
    parser.add_argument("--size", metavar="WxH", help="cut larger frames to this size around their middle")
    parser.add_argument("--sequence", action="store_true", help="a folder of pictures is one clip")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def choose(args: argparse.Namespace) -> Degradation:
    """The preset with the given flags in place of its values."""
    names = ("scale", "kernel", "unsharp", "blur", "darken", "tone", "noise", "order")
    changes: dict[str, Any] = {name: vars(args)[name] for name in names if vars(args)[name] is not None}
    rates = {name: vars(args)[name] for name in ("crf", "qscale", "bitrate") if vars(args)[name] is not None}
    if args.codec == "none":
        changes["codings"] = ()
    elif args.codec:
        changes["codings"] = (codecs.Coding(codec=args.codec, **rates),)
    if rates and args.codec in (None, "none"):
        raise ValueError(
            f"--{next(iter(rates))} belongs to a codec; add --codec x264, x265, mpeg1, mpeg2, mpeg4 or mjpeg"
        )
    chosen = replace(PRESETS[args.preset], **changes)
    if args.order and not chosen.codings:
        raise ValueError(f"--order {args.order} has no effect without a codec; add --codec")
    return chosen


def list_presets() -> str:
    """A line or two each: name, what differs from plain bicubic, what its source says of it."""
    plain, lines = asdict(PRESETS["bicubic"]), []
    for name, preset in PRESETS.items():
        changed = {key: value for key, value in asdict(preset).items() if value != plain[key] and key != "codings"}
        words = [f"{key} {value}" for key, value in changed.items()]
        words += [_describe(coding) for coding in preset.codings]
        lines += [f"{name:<17}{', '.join(words) or 'bicubic'}", f"{'':17}{VERDICTS[name]}"]
    lines += [
        "",
        "Old and restored prints of one film (4.8.1, 4.9.1) are not made here: name them like the contest's and --check.",
        "Fewer, more different frames of one film (4.9.6): --every 20 or --every 1000. One scene (4.8.1): --max-frames.",
    ]
    return "\n".join(lines)


def _describe(coding: codecs.Coding) -> str:
    rates = {"crf": coding.crf, "qscale": coding.qscale, "bitrate": coding.bitrate}
    return " ".join([coding.codec, *(f"{name} {value}" for name, value in rates.items() if value is not None)])


def check_pairs(folder: str | Path, as_json: bool = False) -> None:
    """Print how the clips of each pair lie to each other; ValueError naming the pairs that are none."""
    from tqdm import tqdm

    pairs, lonely = alignment.find_pairs(folder)
    found = [alignment.measure(*pair) for pair in tqdm(pairs, unit="pair", disable=None, leave=False)]
    if as_json:
        rows = [{**asdict(one), "faults": alignment.faults(one)} for one in found]
        print(json.dumps({"folder": str(folder), "pairs": rows, "alone": lonely}).replace("NaN", "null"))
    else:
        print("\n".join(alignment.table(found)))
    bad = [f"{one.clip_id:05d} ({', '.join(alignment.faults(one))})" for one in found if alignment.faults(one)]
    bad += [f"{name} (its other half is missing)" for name in lonely]
    shift = alignment.common_shift(found)
    if shift:
        print(
            f"all pairs share a shift of {shift[0]:+.2f}, {shift[1]:+.2f} small pixels: {alignment.PHASE}",
            file=sys.stderr,
        )
    if bad:
        raise ValueError(f"{folder}: {len(bad)} bad of {len(pairs) + len(lonely)}: {'; '.join(bad)}")


def _act(args: argparse.Namespace) -> int:
    if args.list_presets or args.check:
        if args.paths or (args.list_presets and args.check):
            raise cli.UsageError("--list-presets and --check FOLDER stand alone; leave the rest out")
        print(list_presets()) if args.list_presets else check_pairs(args.check, args.json)
        return 0
    if len(args.paths) < 2:
        raise cli.UsageError("expected SRC... OUT_FOLDER, --check FOLDER or --list-presets")
    *names, folder = args.paths
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", args.size) if args.size else None
    if args.size and not size:
        raise ValueError(f"--size {args.size}: expected WIDTHxHEIGHT such as 1920x1080")
    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: expected 0 or more")
    cut = Cut(
        split_every=args.split_every,
        max_frames=args.max_frames,
        every=args.every,
        size=(int(size[1]), int(size[2])) if size else None,
        sequence=args.sequence,
    )
    sources = find_sources(names, cut.sequence)
    made = degrade_sources(sources, folder, choose(args), cut, args.first_id, args.seed)
    if args.json:
        print(json.dumps({"folder": folder, "made": made}))
    elif made:
        print(f"{len(made)} pairs made in {folder}: {', '.join(f'{clip_id:05d}' for clip_id in made)}")
    else:
        print(f"{folder}: up to date")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _act, argv)


if __name__ == "__main__":
    raise SystemExit(main())

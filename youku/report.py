"""Write one self-contained HTML page about a scored submission: totals, clips, per-frame curves, pictures to compare.

submissions/NAME/score.json, the shipped clips, LR and GT clips -> submissions/NAME/report.html (opens offline).
The page is a pure function of its inputs: the same score and clips give the same bytes.
Run: python -m youku report submissions/NAME [--low FOLDER] [--high FOLDER] [--out FILE] [--num-clips 2]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from youku import cli, contest, files
from youku.exchange import scorefile
from youku.metrics import tally
from youku.pages import chart, stills
from youku.video import interpolate
from youku.video.y4m import Header

CROP_HEIGHT_PX, CROP_WIDTH_PX = 224, 336  # fits a phone at 1x and a desk at 2x
STAGE_WIDTH_PX = 672

# total in score.json -> (label, unit, digits); the order of the folded table
TOTALS = {
    "score": ("Score", "", 3),
    "psnr": ("PSNR as scored", "dB", 3),
    "vmaf": ("VMAF as scored", "", 3),
    "ssim": ("SSIM, luma", "", 4),
    "psnr_yuv_clip": ("PSNR over Y, U and V, mean of clips", "dB", 3),
    "psnr_yuv_frame": ("PSNR over Y, U and V, mean of frames", "dB", 3),
    "psnr_y_clip": ("PSNR over luma, mean of clips", "dB", 3),
    "psnr_y_frame": ("PSNR over luma, mean of frames", "dB", 3),
    "psnr_rgb_clip": ("PSNR over RGB, mean of clips", "dB", 3),
    "psnr_rgb_frame": ("PSNR over RGB, mean of frames", "dB", 3),
    "vmaf_full": ("VMAF, whole clips", "", 3),
    "vmaf_all": ("VMAF, all clips", "", 3),
    "vmaf_neg_full": ("VMAF NEG, whole clips", "", 3),
    "vmaf_neg_all": ("VMAF NEG, all clips", "", 3),
}
PLANES = {"yuv": "YUV", "y": "Y", "rgb": "RGB"}
LAYERS = {"lr": "LR", "bicubic": "Bicubic", "sr": "Submission", "gt": "Ground truth"}


@dataclass(frozen=True)
class Cell:
    """A number as shown, and as sorted ("" where it was not computed); tone is up, down or empty."""

    text: str
    value: str
    tone: str = ""


@dataclass(frozen=True)
class Comparison:
    """The crops of one frame as PNG data URIs by layer, and a small picture of the whole frame."""

    clip: dict[str, Any]
    reason: str
    frame: int
    box: stills.Box
    layers: dict[str, str]
    scale: int
    thumb: str
    thumb_width: int
    thumb_height: int
    header: Header

    @property
    def start(self) -> tuple[str, str]:
        """The two layers compared first, left and right."""
        others = [layer for layer in ("bicubic", "gt") if layer in self.layers]
        return (others[0], "sr") if others[0] == "bicubic" else ("sr", "gt")

    @property
    def zoom(self) -> int:
        """Whole-number enlargement that fills the stage on a desk."""
        return max(1, STAGE_WIDTH_PX // self.box.width)

    @property
    def zooms(self) -> list[int]:
        """The enlargements offered."""
        return sorted({1, max(1, self.zoom // 2), self.zoom, 2 * self.zoom})

    @property
    def facts(self) -> list[tuple[str, Cell, Cell, Cell]]:
        """The clip's own numbers."""
        keys = (("PSNR (dB)", "psnr", 3), ("VMAF", "vmaf", 2), ("SSIM", "ssim", 4))
        return [(label, *_versus(self.clip, key, digits)) for label, key, digits in keys]


def write_report(
    folder: Path, low: Path | None = None, high: Path | None = None, out: Path | None = None, num_clips: int = 2
) -> Path:
    """Write the page of the scored submission in `folder`, `num_clips` worst and best clips pictured; returns its path.

    `low` and `high` replace the LR and GT folders named in score.json. ValueError without a usable score.json.
    """
    import jinja2

    if num_clips < 0:
        raise ValueError(f"--num-clips {num_clips}: expected 0 or more")
    for flag, given in (("--low", low), ("--high", high)):
        if given is not None and not given.is_dir():
            raise ValueError(f"{flag} {given}: expected a folder of y4m clips; check the path")
    out = out or folder / "report.html"
    if out.is_dir():
        raise ValueError(f"{out}: expected a file name for the page, found a folder; name a file with --out")
    score = scorefile.read_score(folder)
    comparisons, notes = _compare(score, folder, low, high, num_clips)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        score=score,
        created=_moment(score["created"]),
        totals=_totals(score),
        details=[(TOTALS[key][0], TOTALS[key][1], *_versus(score["totals"], key, TOTALS[key][2])) for key in TOTALS],
        rows=[_row(clip) for clip in score["clips"]],
        whole=[(clip, _charts(clip)) for clip in score["clips"] if clip["whole"]],
        sampled=[(clip, _charts(clip)) for clip in score["clips"] if not clip["whole"]],
        comparisons=comparisons,
        notes=notes,
        planes=PLANES[score["protocol"]["psnr_planes"]],
        curve_planes=PLANES[score["clips"][0]["curve"].removeprefix("psnr_")],
        names=LAYERS,
        weights=(contest.PSNR_WEIGHT, contest.VMAF_WEIGHT),
        stage_width=STAGE_WIDTH_PX,
    )
    with files.atomic_write(out) as file:
        file.write(page.encode())
    return out


def _moment(text: str) -> str:
    """A time stamp as people write it; any other text as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text


def _text(value: float | None, digits: int, sign: str = "") -> str:
    if value is None:
        return "n/a"
    text = f"{value:{sign}.{digits}f}".replace("inf", "\u221e")
    if float(f"{value:.{digits}f}") == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "\u2212")


def _cell(value: float | None, digits: int) -> Cell:
    return Cell(_text(value, digits), "" if value is None else str(value).replace("inf", "Infinity"))


def _versus(sides: dict[str, Any], key: str, digits: int) -> tuple[Cell, Cell, Cell]:
    """Submission, bicubic and signed difference."""
    ours, theirs = sides["submission"].get(key), sides["bicubic"].get(key)
    gain = tally.minus(ours, theirs)
    rounded = 0.0 if gain is None else round(gain, digits)
    tone = "up" if rounded > 0 else "down" if rounded < 0 else ""
    plain = _cell(gain, digits)
    return _cell(ours, digits), _cell(theirs, digits), Cell(_text(gain, digits, "+"), plain.value, tone)


def _totals(score: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = [("Score", "", "score", 3), ("PSNR", "dB", "psnr", 3), ("VMAF", "", "vmaf", 3)]
    rows += [("SSIM", "", "ssim", 4), ("VMAF NEG", "", "vmaf_neg", 3)]
    return [(label, unit, *_versus(score["totals"], key, digits)) for label, unit, key, digits in rows]


def _row(clip: dict[str, Any]) -> tuple[dict[str, Any], list[Cell]]:
    """A clip and its cells in the order of the table's columns."""
    psnr, vmaf, ssim = (_versus(clip, key, digits) for key, digits in (("psnr", 3), ("vmaf", 2), ("ssim", 4)))
    return clip, [*psnr, *vmaf, *ssim, _cell(clip["submission"].get("vmaf_neg"), 2)]


def _charts(clip: dict[str, Any]) -> list[chart.Chart]:
    """PSNR and VMAF over the frames, each where it was computed."""
    label = PLANES[clip["curve"].removeprefix("psnr_")]
    made = []
    for key, title, digits in ((clip["curve"], f"PSNR {label} (dB)", 2), ("vmaf", "VMAF (0\u2013100)", 1)):
        curves = {side: clip[side]["per_frame"].get(key) for side in ("submission", "bicubic")}
        curves = {side: curve for side, curve in curves.items() if curve}
        if any(value is not None for curve in curves.values() for value in curve):
            made.append(chart.make_chart(title, clip["frames"], curves, digits))
    return made


def _compare(
    score: dict[str, Any], folder: Path, low: Path | None, high: Path | None, num_clips: int
) -> tuple[list[Comparison], list[str]]:
    """Pictures of the clips at both ends of the ranking, and a sentence for whatever had to be left out."""
    if num_clips == 0:
        return [], ["Pictures were switched off (--num-clips 0)."]
    paths = score["paths"]
    shipped = _locate(folder, paths.get("submission"), folder / f"{folder.resolve().name}.zip")
    sources = {"low": low or _locate(folder, paths.get("low")), "high": high or _locate(folder, paths.get("high"))}
    if shipped is None:
        return [], [f"Pictures are left out: the submitted clips ({paths.get('submission')}) were not found."]
    found, missing = [], []
    for clip, reason in _ranked(score["clips"], num_clips):
        try:
            found.append(_comparison(clip, reason, shipped, sources))
        except FileNotFoundError as error:
            missing.append(f"clip {clip['id']} ({error})")
    return found, [f"Pictures left out: {', '.join(missing)}."] if missing else []


def _locate(folder: Path, *places: str | Path | None) -> Path | None:
    """The first place that exists, read from the current folder or from the submission's."""
    tries = [base / place for place in places if place for base in (Path(), folder)]
    return next((path for path in tries if path.exists()), None)


def _ranked(clips: list[dict[str, Any]], num_clips: int) -> list[tuple[dict[str, Any], str]]:
    """The smallest and the largest PSNR gains over bicubic, or PSNR where no gain is known; no clip twice."""
    gains = {clip["id"]: tally.minus(clip["submission"]["psnr"], clip["bicubic"].get("psnr")) for clip in clips}
    what, sign = "PSNR gain over bicubic", "+"
    if all(gain is None for gain in gains.values()):
        gains, what, sign = {clip["id"]: clip["submission"]["psnr"] for clip in clips}, "PSNR", ""
    known = sorted((gain, clip["id"], clip) for clip in clips if (gain := gains[clip["id"]]) is not None)
    num_best = min(num_clips, -(-len(known) // 2))
    num_worst = min(num_clips, len(known) - num_best)
    ends = [("Smallest", known[:num_worst]), ("Largest" if num_worst else "The only clip's", known[::-1][:num_best])]
    return [(clip, f"{end} {what}: {_text(gain, 3, sign)} dB") for end, picked in ends for gain, _, clip in picked]


def _comparison(clip: dict[str, Any], reason: str, shipped: Path, sources: dict[str, Path | None]) -> Comparison:
    """Crop the frame whose PSNR gain is the clip's median where the picture has most detail."""
    position = _median_frame(clip)
    header, planes = stills.packed_frame(shipped, clip["file"], position)
    frames = {"sr": (header, planes)}
    for side, layer in (("low", "lr"), ("high", "gt")):
        root = sources[side]
        if root is not None and (root / clip[side]).is_file():
            frames[layer] = stills.frame_at(root / clip[side], clip["frames"], position)
    scale = header.width // frames["lr"][0].width if "lr" in frames else contest.SCALE
    if "lr" in frames:
        small = frames["lr"][0]
        frames["bicubic"] = interpolate.scaled_header(small, scale), interpolate.upscale(frames["lr"][1], small, scale)
    if len(frames) == 1:
        raise FileNotFoundError(f"neither {clip['low']} nor {clip['high']} was found")
    for layer, (size, _) in frames.items():
        if layer != "lr" and (size.width, size.height) != (header.width, header.height):
            raise ValueError(
                f"clip {clip['id']}: the submission is {header.width}x{header.height}, {LAYERS[layer]} "
                f"{size.width}x{size.height}; give the folders it was scored with (--low, --high)"
            )
    guide = frames.get("gt", frames["sr"])
    box = stills.detailed_box(guide[1][0], guide[0].depth, CROP_HEIGHT_PX, CROP_WIDTH_PX, scale)
    pictures = {layer: stills.to_rgb(*frames[layer]) for layer in LAYERS if layer in frames}
    layers = {
        layer: stills.png_uri(box.shrunk(scale).cut(picture) if layer == "lr" else box.cut(picture))
        for layer, picture in pictures.items()
    }
    thumb = stills.thumbnail(pictures["gt" if "gt" in pictures else "sr"])
    return Comparison(clip, reason, clip["frames"][position], box, layers, scale, *thumb, header)


def _median_frame(clip: dict[str, Any]) -> int:
    """Position of the frame with the median gain (or PSNR): neither the luckiest nor the unluckiest picture."""
    ours = clip["submission"]["per_frame"].get(clip["curve"], [])
    theirs = clip["bicubic"]["per_frame"].get(clip["curve"]) or [0.0] * len(ours)
    gains = [(tally.minus(*pair), position) for position, pair in enumerate(zip(ours, theirs, strict=True))]
    finite = sorted((gain, position) for gain, position in gains if gain is not None and math.isfinite(gain))
    return finite[len(finite) // 2][1] if finite else len(clip["frames"]) // 2


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("report", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a scored submission: submissions/NAME")
    parser.add_argument("--low", type=Path, metavar="FOLDER", help="LR clips (default: where score.json found them)")
    parser.add_argument("--high", type=Path, metavar="FOLDER", help="GT clips (default: where score.json found them)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: FOLDER/report.html)")
    parser.add_argument(
        "--num-clips", type=int, default=2, metavar="N", help="picture the N worst and N best clips (default: 2)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


def _run(args: argparse.Namespace) -> int:
    print(write_report(args.folder, args.low, args.high, args.out, args.num_clips))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

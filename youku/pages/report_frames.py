"""Choose, find and read the frames that a report shows: clips at both ends of the ranking, and the worst frames.

Clips of a score, normalised by `scorefile` -> ChosenFrames. Folders of LR and ground truth, zips or folders of what was
shipped, some of them perhaps gone -> frames by layer. Layers: "lr", "bicubic", "sr" (the submission), "sr2", "sr3"
(others beside it), "gt". What a score names is opened only where it bears the name that the contest gives to a file of
that clip, inside its folder; a link counts as what it leads to.
"""

from __future__ import annotations

import errno
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku import contest
from youku.metrics import psnr
from youku.pages import plots
from youku.text_table import minus
from youku.video import interpolate, y4m
from youku.video.y4m import Header, Planes

Frame = tuple[Header, Planes]
LAYERS = ("lr", "bicubic", "sr", "sr2", "sr3", "gt")  # as a viewer lists them
SHIPPED = ("sr", "sr2", "sr3")
# What zipfile raises on damage, whatever its kind
BAD_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, IndexError, MemoryError, OverflowError,
    RuntimeError, UnicodeDecodeError,
)  # fmt: skip
SYSTEMS = {"bicubic": "bicubic", "sr": "submission"}  # layer -> its name in score.json
APART = 12  # frames of one clip nearer than this (half a second) show the same thing
ScoredClip = dict[str, Any]


@dataclass(frozen=True)
class ChosenFrame:
    """A frame to picture; `position` counts the frames that were sent."""

    clip: ScoredClip
    position: int
    reason: str = ""

    @property
    def frame(self) -> int:
        """Its number in the whole clip."""
        return int(self.clip["frames"][self.position])

    @property
    def place(self) -> str:
        """What ends the id of its pictures in the page."""
        return f"{self.clip['id']}-{self.frame}"


def choose_ends(clips: Sequence[ScoredClip], num_clips: int) -> list[ChosenFrame]:
    """The smallest and the largest PSNR gains over bicubic, or PSNR where no gain is known; no clip twice."""
    gains = {clip["id"]: minus(clip["submission"]["psnr"], clip["bicubic"].get("psnr")) for clip in clips}
    what, sign = "PSNR gain over bicubic", "+"
    if all(gain is None for gain in gains.values()):
        gains, what, sign = {clip["id"]: clip["submission"]["psnr"] for clip in clips}, "PSNR", ""
    known = sorted((gain, clip["id"], clip) for clip in clips if (gain := gains[clip["id"]]) is not None)
    num_best = min(num_clips, -(-len(known) // 2))
    num_worst = min(num_clips, len(known) - num_best)
    ends = [("Smallest", known[:num_worst]), ("Largest" if num_worst else "The only clip's", known[::-1][:num_best])]
    return [
        ChosenFrame(clip, _median_position(clip), f"{end} {what}: {plots.number_text(gain, 3, sign)} dB")
        for end, picked in ends
        for gain, _, clip in picked
    ]


def choose_worst(clips: Sequence[ScoredClip], key: str | None, num_frames: int) -> list[ChosenFrame]:
    """The smallest finite values of a per-frame curve (None: the clip's own PSNR), worst first, apart in a clip."""
    known = []
    for index, clip in enumerate(clips):
        curve = clip["submission"]["per_frame"].get(key or clip["curve"], [])
        known += [(value, index, at) for at, value in enumerate(curve) if value is not None and math.isfinite(value)]
    picked: list[ChosenFrame] = []
    for _, index, position in sorted(known):
        chosen = ChosenFrame(clips[index], position)
        near = [other for other in picked if other.clip is chosen.clip and abs(other.frame - chosen.frame) < APART]
        if len(picked) < num_frames and not near:
            picked.append(chosen)
    return picked


def _median_position(clip: ScoredClip) -> int:
    """Position of the frame with the median gain (or PSNR): neither the luckiest nor the unluckiest picture."""
    ours = clip["submission"]["per_frame"].get(clip["curve"], [])
    theirs = (ours and clip["bicubic"]["per_frame"].get(clip["curve"])) or [0.0] * len(ours)
    gains = [(minus(*pair), position) for position, pair in enumerate(zip(ours, theirs, strict=True))]
    finite = sorted((gain, position) for gain, position in gains if gain is not None and math.isfinite(gain))
    return finite[len(finite) // 2][1] if finite else len(clip["frames"]) // 2


@dataclass(frozen=True)
class FrameSources:
    """Folders of LR and GT clips, and the zip or folder of each submission by layer; what was not found is None."""

    low: Path | None
    high: Path | None
    shipped: Mapping[str, Path | None]

    def given_files(self, clip: ScoredClip) -> dict[str, Path]:
        """The y4m files of a clip that lie in LR's and GT's folder, by layer."""
        folders = {"lr": (self.low, clip["low"]), "gt": (self.high, clip["high"])}
        paths = {layer: folder / name for layer, (folder, name) in folders.items() if folder is not None}
        return {layer: path for layer, path in paths.items() if _is_clip(path)}

    def frames(self, clip: ScoredClip, positions: Collection[int]) -> dict[int, dict[str, Frame]]:
        """Frames of one clip by position, then layer, bicubic made from LR; FileNotFoundError without two to compare.

        ValueError where sizes do not fit together or a file is damaged.
        """
        by_layer = {
            layer: packed_frames(place, clip["file"], positions) for layer, place in self.shipped.items() if place
        }
        given = self.given_files(clip)
        if not given:
            raise FileNotFoundError(f"neither {clip['low']} nor {clip['high']} was found")
        for layer, path in given.items():
            by_layer[layer] = {position: frame_at(path, clip["frames"], position) for position in positions}
        found = {}
        for position in positions:
            layers = {layer: frames[position] for layer, frames in by_layer.items()}
            found[position] = _with_bicubic(clip, layers, scale_of(layers), position)
        return found

    def check_given(self, clip: ScoredClip) -> None:
        """ValueError where the LR and GT that lie there are not those that were scored, by their first frame."""
        layers = {layer: frame_at(path, clip["frames"], 0) for layer, path in self.given_files(clip).items()}
        if len(layers) == 2:
            _with_bicubic(clip, layers, layers["gt"][0].width // layers["lr"][0].width, 0)


def check_names(clips: Sequence[ScoredClip], path: Path) -> None:
    """ValueError, naming the score's `path`, where a clip's files do not bear their contest names: it may be anybody's."""
    for clip in clips:
        clip_id = int(clip["id"])
        results = [contest.result_name(clip_id, whole) for whole in (True, False)]
        wanted = {"file": results, "low": [contest.low_name(clip_id)], "high": [contest.high_name(clip_id)]}
        for key, names in wanted.items():
            if clip[key] not in names:
                raise ValueError(
                    f"{path}: score of clip {clip['id']}: {key} is {ascii(clip[key])[:80]}, expected {' or '.join(names)}; "
                    "score the submission again"
                )


def _is_clip(path: Path) -> bool:
    """A file, or a link to a file of the same name."""
    return path.is_file() and path.resolve().name == path.name


def find_sources(
    scores: Sequence[Mapping[str, Any]],
    folders: Sequence[Path],
    names: Mapping[str, str],
    low: Path | None,
    high: Path | None,
) -> tuple[FrameSources, list[str]]:
    """Where each submission's clips lie, and a sentence for each that is gone."""
    shipped, notes = {}, []
    for layer, score, folder in zip(SHIPPED, scores, folders, strict=False):
        wanted = score["paths"].get("submission")
        shipped[layer] = _locate(folder, wanted, folder.resolve() / f"{folder.resolve().name}.zip")
        if shipped[layer] is None:
            what = "Pictures are left out" if layer == "sr" else f"{names[layer]} is left out of the pictures"
            notes.append(f"{what}: the submitted clips ({wanted}) were not found.")
    paths = scores[0]["paths"]
    low, high = low or _locate(folders[0], paths.get("low")), high or _locate(folders[0], paths.get("high"))
    return FrameSources(low, high, shipped), notes


def scale_of(layers: Mapping[str, Frame]) -> int:
    """How many times wider the submission is than LR; the contest's scale without LR."""
    return layers["sr"][0].width // layers["lr"][0].width if "lr" in layers else contest.SCALE


def packed_frames(shipped: Path, name: str, positions: Collection[int]) -> dict[int, Frame]:
    """Frames by position as they were sent, from a folder or in one pass straight out of the zip."""
    if shipped.is_dir():
        return {position: frame_at(shipped / name, [], position) for position in positions}
    try:
        with zipfile.ZipFile(shipped) as archive:
            member = next((entry for entry in archive.infolist() if Path(entry.filename).name == name), None)
            if member is None:
                raise FileNotFoundError(f"{name} is not in {shipped.name}")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack all at once
                raise zipfile.BadZipFile(f"{name} is compressed by method {member.compress_type}, expected deflate")
            with archive.open(member) as file:
                reader = y4m.StreamReader(file, f"{shipped}: {name}")
                read = enumerate(reader)  # to the end, where zipfile compares the checksum
                found = {position: (reader.header, planes) for position, planes in read if position in positions}
    except (*BAD_ZIP, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # what a seek to nowhere gives
            raise
        raise ValueError(
            f"{shipped}: expected a zip, got a damaged one ({str(error)[:200]}); make the submission again"
        ) from None
    missing = sorted(set(positions) - set(found))
    if missing:
        raise ValueError(f"{shipped}: {name} has no frame {missing[0]}; score the submission again")
    return found


def frame_at(path: Path, frames: Sequence[int], position: int) -> Frame:
    """A frame of a y4m file by position; a file with all frames of the clip is read at `frames[position]`."""
    if not _is_clip(path):
        raise FileNotFoundError(f"{path.name} was not found")
    clip = y4m.Clip(path)
    index = frames[position] if frames and clip.num_frames != len(frames) else position
    if index >= clip.num_frames:
        raise ValueError(f"{path}: expected frame {index}, the clip has {clip.num_frames}; score the submission again")
    return clip.header, clip.frame(index)


def _with_bicubic(clip: ScoredClip, layers: dict[str, Frame], scale: int, position: int) -> dict[str, Frame]:
    """The layers and what bicubic makes of LR; ValueError where a size, or PSNR, is not the one that was scored."""
    if "lr" in layers:
        header, planes = layers["lr"]
        layers["bicubic"] = interpolate.scaled_header(header, scale), interpolate.upscale(planes, header, scale)
    truth = layers["gt" if "gt" in layers else "sr"][0]
    wanted = clip["width"], clip["height"], truth.layout, truth.depth
    for layer, (header, _) in layers.items():
        form = header.width, header.height, header.layout, header.depth
        if layer != "lr" and form != wanted:
            was, now = (f"{width}x{height} {layout} of {depth} bit" for width, height, layout, depth in (wanted, form))
            raise ValueError(
                f"clip {clip['id']}: expected {was}, as it was scored, {layer} is {now}; give the folders it was scored "
                "with (--low, --high)"
            )
    for layer, system in SYSTEMS.items():
        told = clip[system]["per_frame"].get("psnr_yuv", [None] * len(clip["frames"]))[position]
        if told is None or not {layer, "gt"} <= set(layers):
            continue
        (header, pred), (_, high) = layers[layer], layers["gt"]
        found = psnr.yuv(pred, high, header.depth)
        if abs(found - told) > psnr.SAME_DB:
            raise ValueError(
                f"clip {clip['id']}, frame {clip['frames'][position]}: {system} has {found:.2f} dB against the ground truth "
                f"there, score.json says {told:.2f}: other files were scored; give their folders (--low, --high), or score again"
            )
    return layers


def _locate(folder: Path, *places: str | Path | None) -> Path | None:
    """The first place that exists, read from the current folder or from the submission's."""
    tries = [base / place for place in places if place for base in (Path(), folder)]
    return next((path for path in tries if _exists(path)), None)


def _exists(path: Path) -> bool:
    """A file or folder; a path of thousands of letters or with a zero byte is none."""
    try:
        return path.is_dir() or path.is_file()
    except (OSError, ValueError):
        return False

"""Find and read the frames that a report shows: LR and ground truth from their folders, shipped ones from a zip or folder.

Folders and zips, some of them perhaps gone -> frames by layer. Layers: "lr", "bicubic", "sr" (the submission),
"sr2", "sr3" (others beside it), "gt".
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from youku import contest
from youku.video import interpolate, y4m
from youku.video.y4m import Header, Planes

Frame = tuple[Header, Planes]
LAYERS = ("lr", "bicubic", "sr", "sr2", "sr3", "gt")  # as a viewer lists them
SHIPPED = ("sr", "sr2", "sr3")


@dataclass(frozen=True)
class FrameSources:
    """Folders of LR and GT clips, and the zip or folder of each submission by layer; what was not found is None."""

    low: Path | None
    high: Path | None
    shipped: Mapping[str, Path | None]

    def given_files(self, clip: Mapping[str, Any]) -> dict[str, Path]:
        """The y4m files of a clip that lie in LR's and GT's folder, by layer."""
        folders = {"lr": (self.low, clip["low"]), "gt": (self.high, clip["high"])}
        paths = {layer: folder / name for layer, (folder, name) in folders.items() if folder is not None}
        return {layer: path for layer, path in paths.items() if path.is_file()}

    def frames(self, clip: Mapping[str, Any], positions: Collection[int]) -> dict[int, dict[str, Frame]]:
        """Frames of one clip by position, then layer, bicubic made from LR; FileNotFoundError without two to compare.

        ValueError where sizes do not fit together or a file is damaged.
        """
        found: dict[int, dict[str, Frame]] = {position: {} for position in positions}
        for layer, place in self.shipped.items():
            if place is not None:
                header, by_position = packed_frames(place, clip["file"], positions)
                for position in positions:
                    found[position][layer] = header, by_position[position]
        given = self.given_files(clip)
        if not given:
            raise FileNotFoundError(f"neither {clip['low']} nor {clip['high']} was found")
        for position, layers in found.items():
            layers |= {layer: frame_at(path, clip["frames"], position) for layer, path in given.items()}
            if "lr" in layers:
                header, planes = layers["lr"]
                scale = scale_of(layers)
                layers["bicubic"] = interpolate.scaled_header(header, scale), interpolate.upscale(planes, header, scale)
            _check_sizes(clip, layers)
        return found


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


def packed_frames(shipped: Path, name: str, positions: Collection[int]) -> tuple[Header, dict[int, Planes]]:
    """Frames by position as they were sent, from a folder or in one pass straight out of the zip."""
    if shipped.is_dir():
        frames = {position: frame_at(shipped / name, [], position) for position in positions}
        return next(iter(frames.values()))[0], {position: planes for position, (_, planes) in frames.items()}
    try:
        with zipfile.ZipFile(shipped) as archive:
            member = next((entry for entry in archive.namelist() if Path(entry).name == name), None)
            if member is None:
                raise FileNotFoundError(f"{name} is not in {shipped.name}")
            with archive.open(member) as file:
                reader = y4m.read_stream(file, f"{shipped}: {member}")
                read = enumerate(islice(reader, max(positions) + 1))
                found = {position: planes for position, planes in read if position in positions}
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{shipped}: expected a zip, got a damaged one ({error}); make the submission again") from None
    missing = sorted(set(positions) - set(found))
    if missing:
        raise ValueError(f"{shipped}: {name} has no frame {missing[0]}; score the submission again")
    return reader.header, found


def frame_at(path: Path, frames: Sequence[int], position: int) -> Frame:
    """A frame of a y4m file by position; a file with all frames of the clip is read at `frames[position]`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} was not found")
    clip = y4m.Clip(path)
    index = frames[position] if frames and clip.num_frames != len(frames) else position
    if index >= clip.num_frames:
        raise ValueError(f"{path}: expected frame {index}, the clip has {clip.num_frames}; score the submission again")
    return clip.header, clip.frame(index)


def _check_sizes(clip: Mapping[str, Any], layers: Mapping[str, Frame]) -> None:
    header = layers["sr"][0]
    for layer, (size, _) in layers.items():
        if layer != "lr" and (size.width, size.height) != (header.width, header.height):
            raise ValueError(
                f"clip {clip['id']}: the submission is {header.width}x{header.height}, {layer} "
                f"{size.width}x{size.height}; give the folders it was scored with (--low, --high)"
            )


def _locate(folder: Path, *places: str | Path | None) -> Path | None:
    """The first place that exists, read from the current folder or from the submission's."""
    tries = [base / place for place in places if place for base in (Path(), folder)]
    return next((path for path in tries if path.exists()), None)

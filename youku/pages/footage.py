"""Find the frames that a page shows: LR and ground truth from their folders, shipped frames from a zip or folder.

Folders and zips, some of them perhaps gone -> frames by layer. Layers: "lr", "bicubic", "sr" (the submission),
"sr2", "sr3" (others beside it), "gt".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku import contest
from youku.pages import stills
from youku.video import interpolate, y4m
from youku.video.y4m import Header, Planes

Frame = tuple[Header, Planes]
LAYERS = ("lr", "bicubic", "sr", "sr2", "sr3", "gt")  # as a viewer lists them
SHIPPED = ("sr", "sr2", "sr3")


@dataclass(frozen=True)
class Footage:
    """Folders of LR and GT clips, and the zip or folder of each submission by layer; what was not found is None."""

    low: Path | None
    high: Path | None
    shipped: Mapping[str, Path | None]

    def frames(self, clip: Mapping[str, Any], positions: Collection[int]) -> dict[int, dict[str, Frame]]:
        """Frames of one clip by position, then layer, bicubic made from LR; FileNotFoundError without two to compare.

        ValueError where sizes do not fit together or a file is damaged.
        """
        found: dict[int, dict[str, Frame]] = {position: {} for position in positions}
        for layer, place in self.shipped.items():
            if place is not None:
                header, by_position = stills.packed_frames(place, clip["file"], positions)
                for position in positions:
                    found[position][layer] = header, by_position[position]
        for position, layers in found.items():
            for layer, folder, name in (("lr", self.low, clip["low"]), ("gt", self.high, clip["high"])):
                if folder is not None and (folder / name).is_file():
                    layers[layer] = stills.frame_at(folder / name, clip["frames"], position)
            if "lr" in layers:
                header, planes = layers["lr"]
                scale = scale_of(layers)
                layers["bicubic"] = interpolate.scaled_header(header, scale), interpolate.upscale(planes, header, scale)
            elif "gt" not in layers:
                raise FileNotFoundError(f"neither {clip['low']} nor {clip['high']} was found")
            _check_sizes(clip, layers)
        return found

    def small_clip(self, clip: Mapping[str, Any]) -> y4m.Clip | None:
        """The clip whose frames are cheapest to reach at random: LR, else GT, else none."""
        for folder, name in ((self.low, clip["low"]), (self.high, clip["high"])):
            if folder is not None and (folder / name).is_file():
                return y4m.Clip(folder / name)
        return None


def scale_of(layers: Mapping[str, Frame]) -> int:
    """How many times wider the submission is than LR; the contest's scale without LR."""
    return layers["sr"][0].width // layers["lr"][0].width if "lr" in layers else contest.SCALE


def _check_sizes(clip: Mapping[str, Any], layers: Mapping[str, Frame]) -> None:
    header = layers["sr"][0]
    for layer, (size, _) in layers.items():
        if layer != "lr" and (size.width, size.height) != (header.width, header.height):
            raise ValueError(
                f"clip {clip['id']}: the submission is {header.width}x{header.height}, {layer} "
                f"{size.width}x{size.height}; give the folders it was scored with (--low, --high)"
            )


def locate(folder: Path, *places: str | Path | None) -> Path | None:
    """The first place that exists, read from the current folder or from the submission's."""
    tries = [base / place for place in places if place for base in (Path(), folder)]
    return next((path for path in tries if path.exists()), None)

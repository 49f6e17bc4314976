"""Take still pictures out of clips: one frame of a file, folder or zip, the box with most texture, PNG for a page.

Clips and planes -> frames, boxes in pixels, data URIs. For looking at; scores never pass through here.
"""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from youku.video import color, resize, y4m
from youku.video.y4m import Header, Planes

EDGE_LIMIT = 40.0  # 8-bit code values; one hard edge (subtitle, bar) must not outweigh texture
BAR_SPREAD = 10.0  # a bar's line: this little between its 5th and 95th percentile
BAR_LEVEL = 40.0  # and a median darker than this


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The box of a picture (H, W) or (H, W, C), contiguous."""
        return np.ascontiguousarray(picture[self.top : self.top + self.height, self.left : self.left + self.width])

    def shrunk(self, scale: int) -> Box:
        """The same box in a frame `scale` times smaller; sides and corner must be multiples of `scale`."""
        assert not any(side % scale for side in (self.top, self.left, self.height, self.width)), (self, scale)
        return Box(self.top // scale, self.left // scale, self.height // scale, self.width // scale)


def detailed_box(luma: np.ndarray, depth: int, height: int, width: int, multiple: int = 1) -> Box:
    """The box up to `height` x `width` with most gradient energy, off the bars; all sides multiples of `multiple`."""
    values = luma.astype(np.float32) / (1 << (depth - 8))
    squares = np.diff(values, axis=0, append=values[-1:]) ** 2 + np.diff(values, axis=1, append=values[:, -1:]) ** 2
    return _densest(values, np.minimum(squares, EDGE_LIMIT**2), height, width, multiple)


def wrong_box(pred: np.ndarray, high: np.ndarray, depth: int, height: int, width: int) -> Box:
    """The box up to `height` x `width` where `pred` has most squared error against `high`, off the bars."""
    values, other = (luma.astype(np.float32) / (1 << (depth - 8)) for luma in (high, pred))
    return _densest(values, (values - other) ** 2, height, width, 1)


def _densest(values: np.ndarray, squares: np.ndarray, height: int, width: int, multiple: int) -> Box:
    """The box off the bars of `values` with the largest sum of `squares`."""
    top, bottom = _content(values)
    left, right = _content(values.T)
    top, left = -(-top // multiple) * multiple, -(-left // multiple) * multiple
    height = min(height, bottom - top) // multiple * multiple
    width = min(width, right - left) // multiple * multiple
    energy = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    energy[1:, 1:] = squares.cumsum(0, dtype=np.float64).cumsum(1)
    tops = np.arange(top, bottom - height + 1, multiple)[:, None]
    lefts = np.arange(left, right - width + 1, multiple)[None, :]
    inside = energy[tops + height, lefts + width] - energy[tops, lefts + width] - energy[tops + height, lefts]
    inside += energy[tops, lefts]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return Box(int(tops[row, 0]), int(lefts[0, column]), height, width)


def _content(values: np.ndarray) -> tuple[int, int]:
    """First and one past the last line that is not a dark, even bar; the whole range of a dark frame."""
    low, middle, high = np.percentile(values, (5, 50, 95), axis=1)
    lines = np.flatnonzero((high - low > BAR_SPREAD) | (middle > BAR_LEVEL))
    if lines.size == 0 or lines[-1] - lines[0] < len(values) // 4:  # a dark frame, not bars
        return 0, len(values)
    return int(lines[0]), int(lines[-1]) + 1


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
                reader = y4m.StreamReader(file, f"{shipped}: {member}")
                read = enumerate(islice(reader, max(positions) + 1))
                found = {position: planes for position, planes in read if position in positions}
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{shipped}: expected a zip, got a damaged one ({error}); make the submission again") from None
    missing = sorted(set(positions) - set(found))
    if missing:
        raise ValueError(f"{shipped}: {name} has no frame {missing[0]}; score the submission again")
    return reader.header, found


def frame_at(path: Path, frames: list[int], position: int) -> tuple[Header, Planes]:
    """A frame of a y4m file by position; a file with all frames of the clip is read at `frames[position]`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} was not found")
    clip = y4m.Clip(path)
    index = frames[position] if frames and clip.num_frames != len(frames) else position
    if index >= clip.num_frames:
        raise ValueError(f"{path}: expected frame {index}, the clip has {clip.num_frames}; score the submission again")
    return clip.header, clip.frame(index)


def to_rgb(header: Header, planes: Planes) -> np.ndarray:
    """8-bit RGB (H, W, 3) of a frame."""
    return color.planes_to_rgb(planes, header.depth, header.layout)


def png_uri(picture: np.ndarray) -> str:
    """A picture (H, W, 3) as a data URI."""
    return _uri(picture, "png", optimize=True)


def jpeg_uri(picture: np.ndarray, quality: int = 72) -> str:
    """A picture (H, W, 3) as a small lossy data URI: for finding one's way, never for judging."""
    return _uri(picture, "jpeg", quality=quality)


def _uri(picture: np.ndarray, kind: str, **options: int) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnail(picture: np.ndarray, max_width: int = 240) -> tuple[str, int, int]:
    """A small whole frame as a data URI, its width and height."""
    width = min(max_width, picture.shape[1])
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return png_uri(resize.imresize(picture, height, width)), width, height

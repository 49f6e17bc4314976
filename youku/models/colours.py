"""What a network's channels mean: planes, windows and pictures become its input, its output planes, codes and pictures.

Planes as tensors are float (N, h, w) in code values / (255 << depth - 8), so that 128 is the same number at every depth;
`layout` is a y4m header's (sub_x, sub_y, siting), sub_x 0 for mono. RGB is BT.601 studio, unclipped. Input and output
are `Tensors`: one for luma and RGB, two for 4:2:0; as many go out as come in. A network names one of the objects below
in its spec; nothing else in the kit asks which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from youku.video import color, resize

Layout = tuple[int, int, str]
Plane = TypeVar("Plane")
LEFT: Layout = (2, 2, "left")  # of video codecs and of the contest's clips
NEUTRAL = 128 / 255
Tensors = tuple[Tensor, ...]
"""What crosses the model border at once: (N, C, h, w) each, of the picture's size, of a multiple, or subsampled."""
NUM_TURNS = 8  # the flips and quarter turns of a picture


@dataclass(frozen=True)
class Luma:
    """Y alone; what is missing of a frame (its chroma) is interpolated."""

    name: str = "y"
    """As shown to the user."""
    channels: int = 1
    """Of the first tensor of one frame, in and out."""

    def shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(C, h, w) of each tensor of one frame of that size."""
        return [(1, height, width)]

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        """The planes of a frame that the network looks at."""
        return tuple(planes[:1])

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        """Planes (N, h, w) to network input."""
        return (planes[0][:, None],)  # (N, H, W) -> (N, 1, H, W)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        """Network output to float planes (N, h, w): the first ones of the layout, as many as it knows."""
        return [output[0][:, 0]]  # (N, 1, H, W) -> (N, H, W)

    def from_rgb(self, rgb: Tensor) -> Tensors:
        """Pictures (N, 3, H, W) in [0, 1] to network input."""
        return (color.rgb_to_yuv444(rgb)[:, :1],)

    def from_picture(self, low: np.ndarray) -> Tensors:
        """A uint8 RGB picture (h, w, 3), or float luma (h, w) in code values, to network input as MATLAB converts it."""
        luma = np.ascontiguousarray(low if low.ndim == 2 else color.luma_of_picture(low))
        return (torch.from_numpy(luma)[None, None].float() / 255,)  # (h, w) in 0-255 -> (1, 1, h, w) in [0, 1]

    def to_picture(self, output: Tensors, low: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(luma, rgb) of the output for `low`: float (H, W) in 0-255 as rounded when shipped, and uint8 (H, W, 3)."""
        luma = output[0][0].cpu().numpy().astype(np.float64)  # (1, H, W) in [0, 1]
        codes = resize.to_integers(luma[0] * 255).astype(np.float64)
        if low.ndim == 2:
            return codes, None
        yuv = color.rgb_to_yuv444(np.moveaxis(low, -1, 0).astype(np.float64) / 255)  # (3, h, w)
        chroma = resize.resize(yuv[1:], *luma.shape[1:])  # (2, H, W): bicubic
        return codes, _to_rgb_codes(color.yuv444_to_rgb(np.concatenate([luma, chroma])))

    def coded(self, matrix: str, full_range: bool) -> Luma:
        """The same for frames coded by another matrix and range; luma is taken as it is."""
        return self

    def to_full_range(self, x: Tensors) -> Tensors:
        """Network input or target as full-range video would hold it: 16-235 stretched to 0-255, where it is luma."""
        return ((x[0] * 255 - 16) / 219,)

    def turned(self, x: Tensors, turn: int) -> Tensors:
        """Network input (N, C, h, w) after `turn` % 4 quarter turns and then, from 4 on, a mirroring of the columns."""
        quarter = (torch.rot90(part, turn % 4, (-2, -1)) for part in x)
        return tuple(part.flip(-1) if turn >= NUM_TURNS // 2 else part for part in quarter)

    def turned_back(self, output: Tensors, turn: int) -> Tensors:
        """Network output for `turned` input as for the upright one, of the tensors that are `kept`."""
        unmirrored = (part.flip(-1) if turn >= NUM_TURNS // 2 else part for part in output)
        return tuple(torch.rot90(part, -turn, (-2, -1)) for part in unmirrored)

    def kept(self, turn: int, height: int, width: int) -> tuple[bool, ...]:
        """Which tensors of a picture of that size lie after the turn as the network wants them."""
        return (True,)


@dataclass(frozen=True)
class Rgb(Luma):
    """R'G'B', by the same calls as luma; chroma is brought to luma's size at its siting, and back."""

    name: str = "rgb"
    channels: int = 3
    matrix: str = "601"
    full_range: bool = False

    def shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        return [(3, height, width)]

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(planes)

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        luma = planes[0]
        height, width = luma.shape[-2:]
        chroma = [color.upsample_chroma(plane, height, width, layout) for plane in planes[1:]]
        neutral = [torch.full_like(luma, NEUTRAL)] * 2  # mono
        return (
            color.yuv444_to_rgb(torch.stack([luma, *(chroma or neutral)], dim=-3), self.matrix, self.full_range),
        )  # 3 x (N, H, W) -> (N, 3, H, W)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        yuv = color.rgb_to_yuv444(output[0], self.matrix, self.full_range)  # (N, 3, H, W)
        num_chroma = 2 if layout[0] else 0
        return [yuv[:, 0], *(color.downsample_chroma(yuv[:, 1 + index], layout) for index in range(num_chroma))]

    def from_rgb(self, rgb: Tensor) -> Tensors:
        return (rgb,)

    def from_picture(self, low: np.ndarray) -> Tensors:
        if low.ndim == 2:
            raise ValueError("works on RGB, here is luma alone; give a folder of pictures")
        planes = np.ascontiguousarray(np.moveaxis(low, -1, 0))
        return (torch.from_numpy(planes)[None].float() / 255,)  # (h, w, 3) in 0-255 -> (1, 3, h, w) in [0, 1]

    def to_picture(self, output: Tensors, low: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        rgb = _to_rgb_codes(output[0][0].cpu().numpy().astype(np.float64))
        return color.luma_of_picture(rgb), rgb

    def coded(self, matrix: str, full_range: bool) -> Rgb:
        return replace(self, matrix=matrix, full_range=full_range)

    def to_full_range(self, x: Tensors) -> Tensors:
        return x


@dataclass(frozen=True)
class Yuv420(Luma):
    """Y' and, at half its size and sited as LEFT, Cb and Cr: the planes of nearly every video, not converted at all.

    What else comes is brought to that for the network to look at: chroma of another siting moves by a fraction of a
    sample (bicubic) and its output back; that of 4:2:2 and 4:4:4 is halved, mono gets neutral chroma, a picture is
    converted by BT.601 studio. 4:2:2, 4:4:4 and pictures have finer chroma than the network sees; theirs is interpolated
    from their own samples, as with `Luma`. Odd sizes have a chroma sample more than half, in and out.
    """

    name: str = "yuv420"

    def shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        return [(1, height, width), (2, -(-height // 2), -(-width // 2))]

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(planes)

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        """Planes (N, h, w) to (N, 1, H, W) and (N, 2, ceil(H / 2), ceil(W / 2))."""
        luma, chroma = planes[0][:, None], list(planes[1:])
        if not chroma:  # mono
            (num, height, width), number = self.shapes(*luma.shape[-2:])[1], luma.shape[0]
            return luma, luma.new_full((number, num, height, width), NEUTRAL)
        return luma, color.to_420(torch.stack(chroma, dim=1), layout, LEFT)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        luma = [output[0][:, 0]]
        if layout[:2] != LEFT[:2]:
            return luma
        return luma + list(color.to_420(output[1], LEFT, layout).unbind(1))

    def from_rgb(self, rgb: Tensor) -> Tensors:
        yuv = color.rgb_to_yuv444(rgb)
        return yuv[:, :1], color.to_420(yuv[:, 1:], (1, 1, "center"), LEFT)

    def from_picture(self, low: np.ndarray) -> Tensors:
        (luma,) = super().from_picture(low)
        if low.ndim == 2:
            return self.from_planes([luma[:, 0]], (0, 0, ""))
        rgb = torch.from_numpy(np.ascontiguousarray(np.moveaxis(low, -1, 0)))[None].float() / 255
        return luma, self.from_rgb(rgb)[1]  # luma as MATLAB converts it

    def to_full_range(self, x: Tensors) -> Tensors:
        return *super().to_full_range(x[:1]), (x[1] - NEUTRAL) * (255 / 224) + NEUTRAL

    def turned(self, x: Tensors, turn: int) -> Tensors:
        """Chroma is resampled to its siting where the turn moves it."""
        height, width = x[0].shape[-2:]
        luma, chroma = super().turned(x, turn)
        return luma, color.resited(chroma, *_moved(height, width, turn))

    def kept(self, turn: int, height: int, width: int) -> tuple[bool, ...]:
        """Luma always; chroma where the turn leaves its siting: it would have to be resampled, and come out softer."""
        return True, _moved(height, width, turn) == (0.0, 0.0)


Colours = Luma
Y = Luma()
RGB = Rgb()
YUV420 = Yuv420()


def to_tensors(frames: Sequence[Sequence[np.ndarray]], depth: int, device: torch.device) -> list[Tensor]:
    """Stack the same plane of several frames: integers (h, w) to a list of float32 (N, h, w); codes cross as they are."""
    return [codes_to(planes, device).float() / _unit(depth) for planes in zip(*frames, strict=True)]


def codes_to(planes: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Equal planes (h, w) of integers as (N, h, w) on a device: uint8, or int32 of deeper ones."""
    batch = torch.from_numpy(np.stack(planes))
    if device.type == "cuda":  # whose copies out of other memory wait for all that it was given before
        batch = batch.pin_memory()
    if batch.dtype == torch.uint8:
        return batch.to(device, non_blocking=True)
    return batch.view(torch.int16).to(device, non_blocking=True).to(torch.int32) & 0xFFFF


def windows_to_input(
    windows: Sequence[Sequence[Sequence[np.ndarray]]],
    depth: int,
    layout: Layout,
    colours: Colours,
    device: torch.device,
) -> Tensors:
    """N windows of T frames, oldest first, to network input (N, T * C, H, W)."""
    by_place = []
    for frames in zip(*windows, strict=True):
        needed = [colours.needed(planes) for planes in frames]
        by_place.append(colours.from_planes(to_tensors(needed, depth, device), layout))
    return tuple(
        torch.cat(parts, dim=1) for parts in zip(*by_place, strict=True)
    )  # T of (N, C, H, W) -> (N, T C, H, W)


def to_codes(plane: Tensor, depth: int) -> Tensor:
    """Float plane to integers of a clip's depth, uint8 or uint16: half up, clipped to the full range (never to 16-235)."""
    return rounded(plane.float(), depth, _unit(depth))


def rounded(values: Tensor, depth: int, unit: float = 1.0) -> Tensor:
    """Values of which 1 is `unit` codes of a depth as integers, uint8 or uint16, on their device."""
    if values.device.type == "cpu":
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number is found by who hands it on
            return torch.from_numpy(resize.to_integers(values.numpy(), depth, unit))
    codes = (values * unit).add_(0.5).clamp_(0, (1 << depth) - 0.5)  # the cast rounds down
    return codes.to(torch.uint8) if depth == 8 else codes.to(torch.int32).to(torch.int16).view(torch.uint16)


def _moved(height: int, width: int, turn: int) -> tuple[float, float]:
    """(rows, columns) of half-size chroma after a turn, in samples, at which its own siting LEFT is to be read.

    A sample k lies on luma 2 k + offset, which turning over an even size makes 1 - offset, over an odd one -offset.
    """

    def over(offset: float, size: int) -> float:
        return (1 - size % 2) - offset

    down, right = 0.5, 0.0
    for _ in range(turn % 4):
        down, right, height, width = over(right, width), down, width, height
    if turn >= NUM_TURNS // 2:
        right = over(right, width)
    return (0.5 - down) / 2, -right / 2


def _unit(depth: int) -> float:
    """The code value that becomes 1.0."""
    return float(255 << (depth - 8))


def _to_rgb_codes(rgb: np.ndarray) -> np.ndarray:
    """(3, H, W) in [0, 1] to a uint8 picture (H, W, 3)."""
    return resize.to_integers(np.moveaxis(rgb, 0, -1) * 255)

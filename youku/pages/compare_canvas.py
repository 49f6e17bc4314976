"""Lay versions of one frame out for the eye: side by side or a wipe, labels, a magnified region, error heat maps.

RGB pictures (H, W, 3) of one size and their luma (H, W) in code values of 8 bit -> one RGB canvas of even size. Labels
stand in strips above the pictures and cover no pixel. Layout after the old-film report's B.1: left and right, twice the
width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from youku.metrics import psnr
from youku.pages.crops import Box

BACKGROUND = (24, 26, 30)
INK = (240, 240, 240)
MARK = (255, 220, 0)
LEAST_FONT_PX = 14
WIPE_SECONDS = 6.0
# no error is black, then violet, red, orange, pale yellow: darker is always less, also in gray
HEAT_COLOURS = ((0, 0, 0), (70, 15, 110), (190, 45, 70), (250, 150, 20), (255, 255, 200))
NUM_TICKS = 5
HEAT_TABLE = np.stack(  # (256, 3) uint8
    [
        np.interp(np.arange(256) / 255 * (len(HEAT_COLOURS) - 1), range(len(HEAT_COLOURS)), one) + 0.5
        for one in zip(*HEAT_COLOURS, strict=True)
    ],
    axis=1,
).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What is drawn of each frame."""

    labels: tuple[str, ...]
    """One a version."""
    wipe: bool = False
    """One picture, split by moving lines, in place of one picture a version."""
    zoom: Box | None = None
    """Region shown again below, `magnify` times larger."""
    magnify: int = 2
    heat_max: float | None = None
    """Code values at which the error heat map is brightest; None draws none."""
    shown: tuple[int, int] | None = None
    """(width, height) of each picture on the canvas, its own size by default; magnified regions keep their pixels."""


def compose(sheet: Sheet, pictures: Sequence[np.ndarray], lumas: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """The canvas of one frame; `seconds` into the clip places the wipe."""
    width, height = sheet.shown or pictures[0].shape[1::-1]
    font_px = max(LEAST_FONT_PX, round(height / 30))
    shown = [wiped(pictures, seconds)] if sheet.wipe else list(pictures)
    labels = (f"{sheet.labels[0]}, reference", *sheet.labels[1:])
    heads = [labels] if sheet.wipe else [(label,) for label in labels]
    rows = [_row(heads, [fitted(outlined(one, sheet.zoom), width, height) for one in shown], font_px)]
    if sheet.zoom:
        box = sheet.zoom
        place = f"x{sheet.magnify}: {box.width}x{box.height} at {box.left},{box.top}"
        places = [(f"{label}, {place}" if sheet.wipe else place,) for label in sheet.labels]
        cell_width = width // len(pictures) if sheet.wipe else width
        # every pixel as a square, so that what is seen is what is there
        squares = [box.cut(one).repeat(sheet.magnify, axis=0).repeat(sheet.magnify, axis=1) for one in pictures]
        crops = [_on_background(one, one.shape[0], cell_width) for one in squares]
        row = _row(places, crops, font_px)
        rows.append(_on_background(row, row.shape[0], width) if sheet.wipe else row)
    if sheet.heat_max is not None:
        errors = [np.abs(luma - lumas[0]) for luma in lumas[1:]]
        titles = [
            (f"{in_decibels(error)}: |{label} - {sheet.labels[0]}|",)
            for label, error in zip(sheet.labels[1:], errors, strict=True)
        ]
        maps = [fitted(heat_map(error, sheet.heat_max), width, height) for error in errors]
        key = colour_key(height, width, sheet.heat_max, font_px)
        rows.append(_row([("luma error, code values of 8 bit",), *titles], [key, *maps], font_px))
    drawn = np.concatenate(rows)
    height, width = drawn.shape[:2]
    return _on_background(drawn, height + height % 2, width + width % 2)  # 4:2:0 wants even sides


def wiped(pictures: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """Each version between two dark-edged lines that swing from side to side; at 0 s the shares are equal."""
    count, width, half_px = len(pictures), pictures[0].shape[1], _line_px(pictures[0])
    swing = math.sin(2 * math.pi * seconds / WIPE_SECONDS)
    out = pictures[0].copy()
    for index in range(1, count):
        at = min(width, max(0, round(width * (index + swing) / count)))
        out[:, at:] = pictures[index][:, at:]
        out[:, max(0, at - 3 * half_px) : at + 3 * half_px] = BACKGROUND
        out[:, max(0, at - half_px) : at + half_px] = INK
    return out


def outlined(picture: np.ndarray, box: Box | None) -> np.ndarray:
    """A copy with a frame of one pixel (two from 720 lines on) just outside the box."""
    if box is None:
        return picture
    out, line_px = picture.copy(), _line_px(picture)
    bottom, right = box.top + box.height + line_px, box.left + box.width + line_px
    out[max(0, box.top - line_px) : bottom, max(0, box.left - line_px) : right] = MARK
    out[box.top : box.top + box.height, box.left : box.left + box.width] = box.cut(picture)
    return out


def fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture at another size: of smaller ones each pixel is the mean of what it covers, larger ones are bicubic."""
    from PIL import Image

    if picture.shape[:2] == (height, width):
        return picture
    is_larger = width > picture.shape[1] or height > picture.shape[0]
    kernel = Image.Resampling.BICUBIC if is_larger else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), kernel))


def heat_map(error: np.ndarray, heat_max: float) -> np.ndarray:
    """Absolute errors (H, W) as colours (H, W, 3); `heat_max` and more are the brightest."""
    return HEAT_TABLE[(np.clip(error / heat_max, 0, 1) * 255 + 0.5).astype(np.uint8)]


def in_decibels(error: np.ndarray) -> str:
    """Mean absolute error and PSNR of a luma error in words."""
    squared = float(np.square(error, dtype=np.float64).mean())
    mean = float(error.mean(dtype=np.float64))
    return f"mean {mean:.2f}, {psnr.decibels(squared):.2f} dB" if squared else "identical"


@lru_cache(maxsize=1)  # a tenth of the time of a frame, and the same in all of a video
def colour_key(height: int, width: int, heat_max: float, font_px: int) -> np.ndarray:
    """A panel with the heat map's colour bar and its code values."""
    from PIL import Image, ImageDraw

    bar_width, bar_height = max(1, width * 4 // 5), max(2, min(2 * font_px, height // 3))
    left, top = (width - bar_width) // 2, max(0, (height - bar_height) // 2 - font_px)
    panel = np.full((height, width, 3), BACKGROUND, np.uint8)
    panel[top : top + bar_height, left : left + bar_width] = heat_map(np.linspace(0, heat_max, bar_width), heat_max)
    image = Image.fromarray(panel)
    pen = ImageDraw.Draw(image)
    pen.rectangle((left - 1, top - 1, left + bar_width, top + bar_height), outline=INK)
    for index in range(NUM_TICKS):
        share = index / (NUM_TICKS - 1)
        text = f"{'>= ' if share == 1 else ''}{share * heat_max:g}"
        at = left + share * bar_width
        pen.line((at, top + bar_height, at, top + bar_height + font_px // 3), fill=INK)
        pen.text((at, top + bar_height + font_px // 2), text, fill=INK, font=_font(font_px), anchor="mt")
    return np.asarray(image)


def strip(texts: tuple[str, ...], width: int, font_px: int) -> np.ndarray:
    """A line of labels: one at the left, two at both ends, three with one in the middle; long ones are cut with dots."""
    from PIL import Image, ImageDraw

    height, margin = round(1.6 * font_px), font_px // 2
    image = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(image)
    room = width / len(texts) - 2 * margin
    for index, text in enumerate(texts):
        share = index / max(1, len(texts) - 1)
        anchor = "lm" if share == 0 else "rm" if share == 1 else "mm"
        at = margin + share * (width - 2 * margin)
        pen.text((at, height / 2), shortened(text, room, font_px), fill=INK, font=_font(font_px), anchor=anchor)
    return np.asarray(image)


def shortened(text: str, room_px: float, font_px: int) -> str:
    """The text, or as much of its start as fits with three dots."""
    font, kept = _font(font_px), text
    while kept and font.getlength(kept if kept == text else kept + "...") > room_px:
        kept = kept[:-1]
    return text if kept == text else kept + "..." if kept else ""


def _line_px(picture: np.ndarray) -> int:
    return 1 + (picture.shape[0] >= 720)


def _font(size_px: int):  # type: ignore[no-untyped-def]  # Pillow's type would be a heavy import
    from PIL import ImageFont

    return ImageFont.load_default(size_px)


def _row(heads: Sequence[tuple[str, ...]], panels: Sequence[np.ndarray], font_px: int) -> np.ndarray:
    """Panels of one height beside each other, each under its label."""
    columns = [
        np.concatenate([strip(head, one.shape[1], font_px), one]) for head, one in zip(heads, panels, strict=True)
    ]
    return np.concatenate(columns, axis=1)


def _on_background(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture at the top of a panel of that size, in its middle from left to right."""
    assert picture.shape[1] <= width, (picture.shape, width)
    left = (width - picture.shape[1]) // 2
    out = np.full((height, width, 3), BACKGROUND, np.uint8)
    out[: picture.shape[0], left : left + picture.shape[1]] = picture
    return out

"""Find cuts: places where a clip goes from one shot to another between two frames.

Luma planes of two frames -> whether the second opens a new shot. Both frames are averaged down to thumbnails of about 96
pixels, the old one's brightness is brought nearer to the new one's (fades), and every 8 x 8 block of the new one is
looked up in the old one within +-8 thumbnail pixels, a twelfth of the width (pans and moving objects are found again).
A block is lost where what is left exceeds half of its detail; a cut loses most blocks. Flat blocks that stay, such as
letterbox bars, tell nothing and do not count. Source: our own measure, checked on film and phone footage.
"""

from __future__ import annotations

import numpy as np

from youku.video import motion

THUMBNAIL_PX = 96  # longer side
RADIUS_PX = 8
NOISE_FLOOR = 2.0  # code values a sample
FADE_STEP = 16.0  # code values a frame: the most that a fade changes the mean; more is a cut
LOST_SHARE = 0.5
CUT_CHANGE = (
    0.6  # film cuts lose 0.72 to 1.0 of the blocks, cars that rush through the view 0.5, most footage under 0.1
)


def is_cut(previous: np.ndarray, luma: np.ndarray, depth: int = 8) -> bool:
    """Whether `luma` opens a new shot after the frame `previous`; both are luma planes of one size.

    Blocks are first looked for at their own places: the search can only find more, and is mostly not needed.
    """
    before, now = thumbnail(previous, depth), thumbnail(luma, depth)
    radii_px = (0, RADIUS_PX) if now.size > 1 else (0,)  # one pixel looks the same from everywhere
    return all(lost_share(before, now, radius_px) > CUT_CHANGE for radius_px in radii_px)


def thumbnail(luma: np.ndarray, depth: int = 8) -> np.ndarray:
    """uint8 luma averaged over whole squares so that the longer side is about 96 pixels; small pictures stay."""
    side_px = max(1, round(max(luma.shape) / THUMBNAIL_PX))
    height, width = (max(1, side // side_px) for side in luma.shape)
    rows = motion.to_bytes(luma, depth)[: height * side_px, : width * side_px]
    side_y, side_x = min(side_px, rows.shape[0]), min(side_px, rows.shape[1])
    summed = np.add.reduce(rows.reshape(height, side_y, -1), axis=1, dtype=np.uint32)
    return (summed.reshape(height, width, side_x).mean(axis=2) / side_y + 0.5).astype(np.uint8)


def lost_share(previous: np.ndarray, small: np.ndarray, radius_px: int = RADIUS_PX) -> float:
    """Share of the blocks of a thumbnail that cannot be found in the previous one: 0 for the same picture, 1 for another."""
    step = np.clip(float(small.mean()) - float(previous.mean()), -FADE_STEP, FADE_STEP)
    lit = np.clip(previous + step + 0.5, 0, 255).astype(np.uint8)
    left_over = motion.search(lit, small, radius_px)[1] / motion.BLOCK_PX**2
    if left_over.max() <= LOST_SHARE * NOISE_FLOOR:
        return 0.0  # whatever the detail
    detail = np.maximum(_detail(previous), _detail(small)) + NOISE_FLOOR
    told = (detail > 2 * NOISE_FLOOR) | (left_over > NOISE_FLOOR)
    return float((left_over[told] > LOST_SHARE * detail[told]).mean()) if told.any() else 0.0


def _detail(small: np.ndarray) -> np.ndarray:
    """Mean absolute deviation of each 8 x 8 block from its own mean."""
    px = motion.BLOCK_PX
    padded = motion.with_edges(small, 0, -small.shape[0] % px, -small.shape[1] % px).astype(np.float32)
    blocks = padded.reshape(padded.shape[0] // px, px, padded.shape[1] // px, px)
    return np.abs(blocks - blocks.mean(axis=(1, 3), keepdims=True)).mean(axis=(1, 3))

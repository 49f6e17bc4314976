"""A camera that moves over a still picture: pan, zoom, rotation and a hand that shakes, a few frames each.

Random generator -> `path`, affine maps from the pixels of a view to those of the picture; picture, map -> `view`.
Half of the paths only pan and shake, by whole pixels: such views are as sharp as the picture, and once shrunk by s they
move by 1 / s of a pixel. The others turn and zoom as well and are interpolated (bicubic). Speeds are ours, most of them
slow, as a small picture of a film moves little from frame to frame.
"""

from __future__ import annotations

import numpy as np

MOST_SPEED_PX = 3.0  # of a pan, in low-resolution pixels a frame; half of the pans are slower than 0.4
SHAKE_PX = 0.35  # standard deviation of a hand, likewise
MOST_TURN = np.deg2rad(0.5)  # a frame
MOST_ZOOM = 0.01  # natural logarithm, a frame


def path(
    rng: np.random.Generator, num_frames: int, view_px: int, height: int, width: int, unit_px: float = 1.0
) -> np.ndarray:
    """(num_frames, 2, 3): maps (x, y, 1) of a square view of `view_px` to a place in a picture of that size.

    `unit_px` is a low-resolution pixel in the picture's. The views stay inside: motion that does not fit is halved until
    it does, along either side for itself, so that a picture of the view's size stands still. ValueError where the picture
    is smaller than the view.
    """
    if min(height, width) < view_px:
        raise ValueError(f"a view of {view_px} px does not fit into a picture of {width}x{height}")
    time = np.arange(num_frames) - num_frames // 2
    speed, bearing = MOST_SPEED_PX * rng.random() ** 3, rng.uniform(0, 2 * np.pi)
    pan = time[:, None] * speed * np.array([np.cos(bearing), np.sin(bearing)])
    shake = rng.normal(0, SHAKE_PX, (num_frames, 2)) * (rng.random() < 0.5)
    turns, zooms = (rng.uniform(-most, most) * time for most in (MOST_TURN, MOST_ZOOM))
    is_whole = bool(rng.random() < 0.5)
    places = rng.random(2)
    share = 0.0 if is_whole else 1.0
    moved = (pan + shake) * unit_px  # (num_frames, 2) as x, y
    while True:
        made = _maps(moved, share * turns, share * zooms, view_px)
        low, high = _extent(made, view_px)
        room = np.array([width, height]) - (high - low)
        if (room >= 0).all():
            break
        share = share / 2 if share > 0.01 else 0.0
        halved = np.where(np.abs(moved).max(axis=0) > 0.25, moved / 2, 0.0)
        moved = np.where(room < 0, halved, moved)  # along a side that has the room it goes on
    start = places * room - low
    made[:, :, 2] += start
    if is_whole:
        made[:, :, 2] = np.clip(np.floor(made[:, :, 2] + 0.5), 0, [width - view_px, height - view_px])
    return made


def view(picture: np.ndarray, where: np.ndarray, view_px: int) -> np.ndarray:
    """The square of `view_px` that the map shows of a uint8 picture (H, W, 3), as uint8."""
    if np.array_equal(where[:, :2], np.eye(2)) and np.array_equal(where, np.floor(where)):
        left, top = where[:, 2].astype(int)
        return picture[top : top + view_px, left : left + view_px]
    from PIL import Image

    low, high = _extent(where[None], view_px)
    first = np.maximum(0, np.floor(low).astype(int) - 3)  # bicubic reads two samples on each side
    last = np.ceil(high).astype(int) + 3
    part = np.ascontiguousarray(picture[first[1] : last[1], first[0] : last[0]])
    shifted = where[:, 2] - first
    coefficients = (*where[0, :2], shifted[0], *where[1, :2], shifted[1])
    seen = Image.fromarray(part).transform(
        (view_px,) * 2, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(seen)


def _maps(moved: np.ndarray, turns: np.ndarray, zooms: np.ndarray, view_px: int) -> np.ndarray:
    """Maps around the middle of the view, whose place is still to come."""
    cosines, sines = np.cos(turns) * np.exp(zooms), np.sin(turns) * np.exp(zooms)
    linear = np.stack([np.stack([cosines, -sines], -1), np.stack([sines, cosines], -1)], 1)  # (num_frames, 2, 2)
    middle = np.full(2, view_px / 2)
    return np.concatenate([linear, (moved + middle - linear @ middle)[:, :, None]], axis=2)


def _extent(maps: np.ndarray, view_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(least, most) x and y that the corners of the views reach."""
    corners = np.array([[0, view_px, 0, view_px], [0, 0, view_px, view_px], [1, 1, 1, 1]], np.float64)
    reached = maps @ corners  # (num_frames, 2, 4)
    return reached.min(axis=(0, 2)), reached.max(axis=(0, 2))

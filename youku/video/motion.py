"""Motion compensation by block matching: bring a neighbouring frame onto a reference frame, without an external tool.

Planes of two frames -> the neighbour's planes, moved. Luma is matched in blocks of 8 x 8 within +-16 pixels by the sum
of absolute differences, refined to half pixels; chroma follows the same vectors at its own subsampling. Where a match is
poor the result falls back to the reference: r = exp(-k e), k = 1/8, r * compensated + (1 - r) * reference, with e the
difference left, in 8-bit code values. Source of the blend: Kappeler et al. 2016, "Video Super-Resolution with
Convolutional Neural Networks" (VSRnet), whose own vectors come from a variational optical flow.

By the same search `is_cut` finds cuts: places where a clip goes from one shot to another between two frames.
Luma planes of two frames -> whether the second opens a new shot. Both frames are averaged down to thumbnails of about 96
pixels, the old one's brightness is brought nearer to the new one's (fades), and every 8 x 8 block of the new one is
looked up in the old one within +-8 thumbnail pixels, a twelfth of the width (pans and moving objects are found again).
A block is lost where what is left exceeds half of its detail; a cut loses most blocks. Flat blocks that stay, such as
letterbox bars, tell nothing and do not count. Source: our own measure, checked on film and phone footage.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from youku.video import resize
from youku.video.y4m import Layout, Planes

BLOCK_PX = 8
SEARCH_PX = 16
BLEND_RATE = 1 / 8  # k of the paper, for 8-bit code values
CUBIC_MARGIN_PX = 2

THUMBNAIL_PX = 96  # longer side
RADIUS_PX = 8
NOISE_FLOOR = 2.0  # code values a sample
FADE_STEP = 16.0  # code values a frame: the most that a fade changes the mean; more is a cut
LOST_SHARE = 0.5
# film cuts lose 0.72 to 1.0 of the blocks, cars that rush through the view 0.5, most footage under 0.1
CUT_CHANGE = 0.6


def align(neighbour: Planes, reference: Planes, layout: Layout, depth: int = 8) -> Planes:
    """`neighbour` compensated to `reference` and blended with it; the planes that both hold, luma first."""
    return blend(compensate(neighbour, find_motion(neighbour[0], reference[0], depth), layout, depth), reference, depth)


def find_motion(neighbour: np.ndarray, reference: np.ndarray, depth: int = 8) -> np.ndarray:
    """Vectors (rows, columns, 2) = (down, right) in half pixels, one for each 8 x 8 block of the reference luma.

    Block (i, j) of the reference is found in the neighbour at its own place plus the vector. Of equal matches the
    shortest vector wins, so that still and flat blocks stay where they are.
    """
    fine = upsample(neighbour, 2, 2, SEARCH_PX + 1)
    whole, _ = search(to_bytes(neighbour, depth), to_bytes(reference, depth), SEARCH_PX)
    best, best_cost = 2 * whole, _mismatch(fine, reference, 2 * whole)
    for move in itertools.product((-1, 0, 1), repeat=2):
        vectors = 2 * whole + move
        cost = _mismatch(fine, reference, vectors)
        better = cost < best_cost
        best[better], best_cost[better] = vectors[better], cost[better]
    return best


def search(neighbour: np.ndarray, reference: np.ndarray, radius_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Exhaustive whole-pixel match of uint8 planes: (vectors (rows, columns, 2) in pixels, their SAD (rows, columns)).

    Edges repeat, in the neighbour beyond the picture and in blocks that the picture cuts.
    """
    height, width = reference.shape
    below, after = -height % BLOCK_PX, -width % BLOCK_PX
    blocks = with_edges(reference, 0, below, after)
    around = with_edges(neighbour, radius_px, below, after)
    tall, wide = blocks.shape
    num = 2 * radius_px + 1
    sad = np.empty((num, tall // BLOCK_PX, num, wide // BLOCK_PX), np.uint16)
    still = blocks[:, None]
    for top in range(num):  # all horizontal moves at once
        moved = sliding_window_view(around[top : top + tall], wide, axis=1)  # (tall, num, wide)
        sad[top] = _block_sums(np.maximum(still, moved) - np.minimum(still, moved))  # without leaving 8 bits
    by_length = _by_length(radius_px)
    candidates = sad.transpose(0, 2, 1, 3).reshape(num * num, -1)[by_length]
    first = candidates.argmin(axis=0)  # of equal ones the shortest
    least = np.take_along_axis(candidates, first[None], axis=0)[0]
    vectors = np.stack(np.divmod(by_length[first], num), axis=-1) - radius_px
    return vectors.reshape(tall // BLOCK_PX, wide // BLOCK_PX, 2), least.reshape(tall // BLOCK_PX, -1).astype(np.int64)


def compensate(planes: Planes, vectors: np.ndarray, layout: Layout, depth: int = 8) -> Planes:
    """Every plane read at its own place plus the block's vector (half luma pixels), bicubic between samples, rounded."""
    moved = []
    for index, plane in enumerate(planes):
        sub_x, sub_y, _ = layout if index else (1, 1, "")
        fine = upsample(plane, 2 * sub_y, 2 * sub_x, SEARCH_PX // min(sub_y, sub_x) + 1)
        block = (BLOCK_PX // sub_y, BLOCK_PX // sub_x)
        values = _gather(fine, vectors, plane.shape, (2 * sub_y, 2 * sub_x), block)
        moved.append(resize.to_integers(values, depth).astype(plane.dtype, copy=False))
    return tuple(moved)


def blend(compensated: Planes, reference: Planes, depth: int = 8) -> Planes:
    """r * compensated + (1 - r) * reference with r = exp(-k e) of luma; chroma takes the mean r of the luma it covers."""
    error = np.abs(compensated[0].astype(np.float32) - reference[0]) / (1 << (depth - 8))
    trust = np.exp(-BLEND_RATE * error)
    out = []
    for moved, still in zip(compensated, reference, strict=False):  # the reference may bring chroma that is not wanted
        share = _shrunk(trust, *moved.shape)
        mixed = still + share * (moved.astype(np.float32) - still)
        out.append(resize.to_integers(mixed, depth).astype(moved.dtype, copy=False))
    return tuple(out)


def with_edges(plane: np.ndarray, margin_px: int, below_px: int, right_px: int) -> np.ndarray:
    """`np.pad(..., "edge")` by a margin all around and more at two sides, with a tenth of its overhead."""
    if not (margin_px or below_px or right_px):
        return plane
    rows, columns = (
        np.arange(-margin_px, side + margin_px + more).clip(0, side - 1)
        for side, more in zip(plane.shape, (below_px, right_px), strict=True)
    )
    return plane.take(rows, 0).take(columns, 1)


def to_bytes(luma: np.ndarray, depth: int) -> np.ndarray:
    """The upper 8 bits of a plane."""
    return luma if depth == 8 else (luma >> (depth - 8)).astype(np.uint8)


def upsample(plane: np.ndarray, factor_y: int, factor_x: int, margin_px: int) -> np.ndarray:
    """Float plane on a grid `factor` times finer, `margin_px` of repeated edge around it; every factor-th sample is kept.

    Keys' kernel (a = -0.5): linear interpolation would take the detail that the neighbours are asked for.
    """
    padded = np.pad(plane, margin_px + CUBIC_MARGIN_PX, "edge").astype(np.float32)
    return _upsample_rows(_upsample_rows(padded, factor_y).T, factor_x).T


def _upsample_rows(rows: np.ndarray, factor: int) -> np.ndarray:
    phases, margin_px = resize.bank(factor, "bicubic", 0.5 - 0.5 / factor)
    assert margin_px == CUBIC_MARGIN_PX
    inner = rows.shape[0] - 2 * margin_px
    out = np.empty((inner, factor, rows.shape[1]), np.float32)
    for phase, weights in enumerate(phases.tolist()):
        out[:, phase] = sum(weight * rows[tap : tap + inner] for tap, weight in enumerate(weights) if weight)
    return out.reshape(inner * factor, -1)


def _mismatch(fine: np.ndarray, reference: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Sum of absolute differences of every block (rows, columns) at its half-pixel vector; edges repeat."""
    values = _gather(fine, vectors, reference.shape, (2, 2), (BLOCK_PX, BLOCK_PX))
    difference = np.abs(values - reference)
    below, after = (-side % BLOCK_PX for side in reference.shape)
    return _block_sums(np.pad(difference, ((0, below), (0, after)), "edge"))


def _gather(
    fine: np.ndarray, vectors: np.ndarray, shape: tuple[int, int], factors: tuple[int, int], block: tuple[int, int]
) -> np.ndarray:
    """Values (H, W) of a finer grid at each sample's place plus its block's vector, both in fine steps."""
    height, width = shape
    margin_y = (fine.shape[0] - factors[0] * height) // 2
    margin_x = (fine.shape[1] - factors[1] * width) // 2
    spread = np.repeat(np.repeat(vectors, block[0], 0), block[1], 1)[:height, :width]
    rows = spread[..., 0] + (factors[0] * np.arange(height) + margin_y)[:, None]
    columns = spread[..., 1] + (factors[1] * np.arange(width) + margin_x)
    return fine[rows, columns]


def _block_sums(values: np.ndarray) -> np.ndarray:
    """Sums over blocks of 8 x 8 along the first and last axis; 64 differences of 8 bits fit in 16."""
    dtype = np.uint16 if values.dtype == np.uint8 else np.float32
    rows = np.add.reduce(values.reshape(-1, BLOCK_PX, *values.shape[1:]), axis=1, dtype=dtype)
    total = rows[..., 0::BLOCK_PX]
    for column in range(1, BLOCK_PX):  # several times faster than a sum over a short last axis
        total = total + rows[..., column::BLOCK_PX]
    return total


@lru_cache(maxsize=8)
def _by_length(radius_px: int) -> np.ndarray:
    """Places in the (down, right) table of whole-pixel vectors within the radius, the shortest first."""
    span = np.arange(-radius_px, radius_px + 1)
    return np.argsort((span[:, None] ** 2 + span**2).ravel(), kind="stable")


def _shrunk(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mean over the luma samples that each sample of a plane (height, width) covers."""
    step_y, step_x = -(-values.shape[0] // height), -(-values.shape[1] // width)
    below, after = height * step_y - values.shape[0], width * step_x - values.shape[1]
    return resize.block_means(np.pad(values, ((0, below), (0, after)), "edge"), step_y, step_x)


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
    rows = to_bytes(luma, depth)[: height * side_px, : width * side_px]
    side_y, side_x = min(side_px, rows.shape[0]), min(side_px, rows.shape[1])
    summed = np.add.reduce(rows.reshape(height, side_y, -1), axis=1, dtype=np.uint32)
    return (summed.reshape(height, width, side_x).mean(axis=2) / side_y + 0.5).astype(np.uint8)


def lost_share(previous: np.ndarray, small: np.ndarray, radius_px: int = RADIUS_PX) -> float:
    """Share of the blocks of a thumbnail that cannot be found in the previous one: 0 for the same picture, 1 for another."""
    step = np.clip(float(small.mean()) - float(previous.mean()), -FADE_STEP, FADE_STEP)
    lit = np.clip(previous + step + 0.5, 0, 255).astype(np.uint8)
    left_over = search(lit, small, radius_px)[1] / BLOCK_PX**2
    if left_over.max() <= LOST_SHARE * NOISE_FLOOR:
        return 0.0  # whatever the detail
    detail = np.maximum(_detail(previous), _detail(small)) + NOISE_FLOOR
    told = (detail > 2 * NOISE_FLOOR) | (left_over > NOISE_FLOOR)
    return float((left_over[told] > LOST_SHARE * detail[told]).mean()) if told.any() else 0.0


def _detail(small: np.ndarray) -> np.ndarray:
    """Mean absolute deviation of each 8 x 8 block from its own mean."""
    px = BLOCK_PX
    padded = with_edges(small, 0, -small.shape[0] % px, -small.shape[1] % px).astype(np.float32)
    blocks = padded.reshape(padded.shape[0] // px, px, padded.shape[1] // px, px)
    return np.abs(blocks - blocks.mean(axis=(1, 3), keepdims=True)).mean(axis=(1, 3))

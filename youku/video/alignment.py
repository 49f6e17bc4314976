"""Measure how a low and a high clip lie to each other: frames, pixels, brightness; and judge whether they make a pair.

Two clips -> Alignment -> faults in words. Luma alone, at the low clip's size: the high clip is averaged over blocks of
scale x scale, so that a shift of 0 means half-pixel centres, the convention of every resizer here.
A shift that is the same in every pair is the phase of the resizer that made them: sampling each block's top left pixel
gives (scale - 1) / (2 scale) small pixels, 0.375 at x4. A network learns it and then shifts every picture it enlarges.

Source: old-film report, section 4.8.1 (2): pairs of an old and a restored film are of use only when frames and pixels
agree. The sub-pixel shift is a cross-correlation refined by a matrix Fourier transform [Guizar-Sicairos 2008].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import numpy as np

from youku import contest, text_table
from youku.text_table import plural
from youku.video import resize, y4m

NUM_SAMPLES = 5  # frames of a clip that are looked at
MAX_OFFSET = 5  # frames
MARGIN_PX = 8  # left out at each side, where a shift brings in what the other clip does not show
UPSAMPLE = 50  # shifts come in steps of 1/50 pixel

# A pair beyond one of these is refused. What the presets of `degrade` do lies within (blur+tone and darken apart).
MOST_SHIFT_PX = 0.25
MOST_GAIN_CHANGE = 0.05
MOST_BRIGHTNESS = 2.0  # code values of 8 bit
LEAST_CORRELATION = 0.8

# What an explanation costs beside its lack of correlation: a frame of offset, a small pixel of shift, and a small pixel
# by which the shift changes within the clip. A pan that is a frame off looks like a shift, but real cameras are never so
# steady that it stays the same; where one is, the smaller movement is believed.
_COST_FRAME, _COST_SHIFT, _COST_UNSTEADY = 0.002, 0.001, 0.3


PHASE = (
    "that is the phase of the resizer that made them, not an accident (0.375 at x4: each block's top left pixel was "
    "taken); a network would learn it and shift what it enlarges, so make the small clips again"
)


@dataclass(frozen=True)
class Alignment:
    """How the high clip lies to the low one; nan where nothing could be measured."""

    clip_id: int
    frames: tuple[int, int]
    """Number of frames of the low and of the high clip."""
    scale: int
    """Factor between the sizes; 0 where there is none."""
    offset_frames: int = 0
    """Frame i of the low clip shows frame i + offset of the high one."""
    shift_x_px: float = math.nan
    """How far the low picture lies to the right of the high one, in small pixels."""
    shift_y_px: float = math.nan
    """The same downwards."""
    gain: float = math.nan
    """Luma contrast of low over high."""
    brightness: float = math.nan
    """Mean luma of low minus mean luma of high, in code values of 8 bit."""
    correlation: float = math.nan
    """Of the two lumas once aligned, 1 = the same picture."""
    twice: int | None = None
    """Another pair that shows the same frames, made in the same way."""


def find_pairs(folder: str | Path) -> tuple[list[tuple[int, Path, Path]], list[str]]:
    """(id, low, high) of the contest-named pairs in a folder, and the names of clips whose other half is missing."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name the folder of the pairs")
    known = {contest.parse_name(path.name): path for path in sorted(folder.iterdir())}
    ids = sorted({name[0] for name in known if name and name[1] in ("l", "h_GT")})
    if not ids:
        raise ValueError(f"{folder}: no clips named like {contest.low_name(0)} and {contest.high_name(0)} in it")
    pairs, lonely = [], []
    for clip_id in ids:
        low, high = known.get((clip_id, "l")), known.get((clip_id, "h_GT"))
        if low and high:
            pairs.append((clip_id, low, high))
        else:
            lonely.append((low or high or folder).name)
    return pairs, lonely


def measure(clip_id: int, low_path: str | Path, high_path: str | Path) -> Alignment:
    """Compare up to five frames spread over the clips, each with its neighbours of up to five frames away."""
    low, high = y4m.Clip(low_path), y4m.Clip(high_path)
    counts = (low.num_frames, high.num_frames)
    scale = high.header.width // low.header.width
    sizes = (low.header.width * scale, low.header.height * scale)
    if scale < 1 or sizes != (high.header.width, high.header.height):
        return Alignment(clip_id, counts, 0)
    num_frames = min(counts)
    indices = sorted({round((at + 0.5) * num_frames / NUM_SAMPLES - 0.5) for at in range(NUM_SAMPLES)})
    lows = {index: _luma(low, index, 1) for index in indices if 0 <= index < num_frames}
    tried = []
    for offset in sorted(range(-MAX_OFFSET, MAX_OFFSET + 1), key=abs):
        shown = {index: luma for index, luma in lows.items() if 0 <= index + offset < high.num_frames}
        if len(shown) * 2 > len(lows) or not offset:  # or too few are left to tell
            pairs = [(luma, _luma(high, index + offset, scale)) for index, luma in shown.items()]
            tried.append(_compare(Alignment(clip_id, counts, scale, offset), pairs))
    return min(tried, key=itemgetter(0))[1]


def faults(found: Alignment) -> list[str]:
    """What keeps the two clips from being a pair, in words; empty for a good one."""
    if not found.scale:
        return ["the sizes have no whole factor"]
    words = [] if found.twice is None else [f"shows frames of {found.twice:05d} once more"]
    if found.frames[0] != found.frames[1]:
        words.append(f"{plural(found.frames[0], 'frame')} against {found.frames[1]}")
    if math.isnan(found.correlation):
        return [*words, "flat pictures: nothing to compare"]
    if found.correlation < LEAST_CORRELATION:
        return [*words, "different pictures"]
    if found.offset_frames:
        frames = plural(abs(found.offset_frames), "frame")
        words.append(f"low is {frames} {'ahead' if found.offset_frames > 0 else 'behind'}")
    if math.hypot(found.shift_x_px, found.shift_y_px) > MOST_SHIFT_PX:
        words.append("shifted")
    if abs(found.gain - 1) > MOST_GAIN_CHANGE or abs(found.brightness) > MOST_BRIGHTNESS:
        words.append("brightness")
    return words


def common_shift(found: Sequence[Alignment]) -> tuple[float, float] | None:
    """(x, y) where two or more clips share a shift beyond the limit, to a tenth of a pixel: the phase of a resizer."""
    shifts = np.array([(one.shift_x_px, one.shift_y_px) for one in found if not math.isnan(one.correlation)])
    if len(shifts) < 2 or np.abs(shifts - np.median(shifts, axis=0)).max() > 0.1:
        return None
    x, y = np.median(shifts, axis=0)
    return (float(x), float(y)) if math.hypot(x, y) > MOST_SHIFT_PX else None


def table(found: Sequence[Alignment]) -> str:
    """One line a clip under a heading, the verdict last."""
    rows = []
    for one in found:
        figures = [f"{one.offset_frames:+d}", f"{one.shift_x_px:+.2f}", f"{one.shift_y_px:+.2f}"]
        figures += [f"{one.gain:.3f}", f"{one.brightness:+.2f}", f"{one.correlation:.3f}"]
        rows.append([f"{one.clip_id:05d}", str(one.frames[0]), *figures, ", ".join(faults(one)) or "ok"])
    heads = ("clip", "frames", "offset", "shift x", "shift y", "gain", "bright", "corr", "verdict")
    return text_table.lay_out(heads, rows)


def _luma(clip: y4m.Clip, index: int, scale: int) -> np.ndarray:
    """Luma of one frame in code values of 8 bit, float64, averaged over blocks."""
    plane = clip.frame(index)[0]
    total = np.zeros((plane.shape[0] // scale, plane.shape[1] // scale), np.uint32)
    for at in range(scale * scale):
        total += plane[at // scale :: scale, at % scale :: scale]
    return total / (scale * scale << (clip.header.depth - 8))


def _compare(of: Alignment, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, Alignment]:
    """What the offset of `of` costs, and how low lies to high then: the median shift, and all frames as one."""
    shifts = np.array([_shift(low, high) for low, high in pairs])
    shift_y, shift_x = (float(value) for value in np.median(shifts, axis=0))
    margin = min(MARGIN_PX, min(pairs[0][0].shape) // 4)
    inner = slice(margin, -margin or None)
    lows = np.stack([low[inner, inner] for low, _ in pairs])
    highs = np.stack([_moved(high, shift_y, shift_x)[inner, inner] for _, high in pairs])
    brightness = float(lows.mean() - highs.mean())
    both, _, power = _moments(lows, highs)
    if power < 1e-6:
        return math.nan, replace(of, brightness=brightness)
    side_px = min(8, *lows.shape[1:])
    coarse = (resize.block_means(frames, side_px, side_px) for frames in (lows, highs))
    coarse_both, coarse_own, _ = _moments(*coarse)  # so that lost detail is not lost contrast
    gain, correlation = coarse_both / max(coarse_own, 1e-9), both / math.sqrt(power)
    unsteady = float(np.hypot(*np.abs(shifts - np.median(shifts, axis=0)).mean(axis=0)))
    cost = 1 - correlation + _COST_FRAME * abs(of.offset_frames) + _COST_SHIFT * math.hypot(shift_x, shift_y)
    found = replace(
        of, shift_x_px=shift_x, shift_y_px=shift_y, gain=gain, brightness=brightness, correlation=correlation
    )
    return cost + _COST_UNSTEADY * unsteady, found


def _moments(lows: np.ndarray, highs: np.ndarray) -> tuple[float, float, float]:
    """Covariance, variance of `highs`, product of both variances."""
    low, high = lows - lows.mean(), highs - highs.mean()
    own = float((high * high).mean())
    return float((low * high).mean()), own, own * float((low * low).mean())


def _shift(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """(y, x) by which `high` must be moved to lie on `low`."""
    from skimage.registration import phase_cross_correlation

    shift, _, _ = phase_cross_correlation(_edges(low), _edges(high), upsample_factor=UPSAMPLE, normalization=None)
    return float(shift[0]), float(shift[1])


def _edges(picture: np.ndarray) -> np.ndarray:
    """The picture less its blurred self, faded out towards the borders: no brightness, no wrap-around."""
    from skimage.filters import gaussian

    detail = picture - gaussian(picture, 2.0, mode="nearest")
    rows, columns = (np.hanning(size + 2)[1:-1] for size in picture.shape)
    return detail * rows[:, None] * columns


def _moved(picture: np.ndarray, shift_y: float, shift_x: float) -> np.ndarray:
    """The picture moved by a fraction of pixels, by the phase of its Fourier transform; what wraps is in the margin."""
    if not shift_y and not shift_x:
        return picture
    phase = np.fft.fftfreq(picture.shape[0])[:, None] * shift_y + np.fft.rfftfreq(picture.shape[1]) * shift_x
    return np.fft.irfft2(np.fft.rfft2(picture) * np.exp(-2j * np.pi * phase), picture.shape)

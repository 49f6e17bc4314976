"""What a submission is checked for: the contest's rules, and whether its pictures look like what they came from.

Names, headers and counts -> faults: rules of the contest, which refuse a submission. Planes, frame by frame -> warnings
with their figures: guesses, which refuse nothing, for a network that was trained for a minute may well be 5 codes too
dark. All that is found is returned, each one sentence for the person who must mend it.
"""

from __future__ import annotations

import numpy as np

from youku import contest
from youku.contest import TestSet
from youku.text_table import plural
from youku.video import interpolate, resize
from youku.video.y4m import Clip, Header, Planes

# Bounds of the difference to the low-resolution clip, in 8-bit codes. A network that removes noise stays below 3; a
# plane error goes far beyond.
MAX_LUMA_OFFSET = 5.0
MAX_LUMA_DIFFERENCE = 12.0
MAX_CHROMA_DIFFERENCE = 8.0
MAX_GAIN = 1.1  # 8-bit studio range stretched to full range is 255 / 219 = 1.16


def guess_test_set(names: list[str]) -> TestSet | None:
    """The published test set that holds every clip named, if there is exactly one."""
    ids = {parsed[0] for parsed in map(contest.parse_name, names) if parsed}
    sets = [contest.test_set(name) for name in ("val", "round1-test", "round2-testa", "round2-testb")]
    fitting = [test_set for test_set in sets if ids and ids <= set(test_set.ids)]
    return fitting[0] if len(fitting) == 1 else None


def name_faults(names: list[str], test_set: TestSet) -> list[str]:
    """Missing and extra files of a test set, one sentence a group or file."""
    expected = {test_set.name(clip_id): clip_id for clip_id in test_set.ids}
    faults, explained = [], set()
    for name in sorted(set(names) - set(expected)):
        fault, clip_id = _extra_fault(name, test_set)
        faults.append(fault)
        explained.add(clip_id)
    missing = [name for name, clip_id in expected.items() if name not in names and clip_id not in explained]
    if missing:
        shown = ", ".join(missing if len(missing) <= 6 else [*missing[:3], "...", *missing[-2:]])
        faults.insert(0, f"{len(missing)} of {plural(len(expected), 'file')} missing: {shown}; predict them first")
    return faults


def _extra_fault(name: str, test_set: TestSet) -> tuple[str, int | None]:
    """Why a file is not one of the test set's, and the id it stands for where that is clear."""
    tidy = "".join(name.split())
    parsed = contest.parse_name(tidy)
    if parsed is None:
        reason = "a space in the name" if tidy != name else "not a name of the contest"
        return f"{name!r}: {reason}; expected names like {test_set.name(test_set.ids[0])}", None
    clip_id, kind = parsed
    if clip_id not in test_set.ids:
        return f"{name}: clip {clip_id:05d} is not in the test set {test_set}; remove it", None
    wanted = test_set.name(clip_id)
    if tidy != name:
        return f"{name!r}: a space in the name; rename it to {wanted}", clip_id
    if kind in ("l", "h_GT"):
        return f"{name}: an input or ground truth clip, not a result; remove it", None
    how = "whole" if test_set.is_whole(clip_id) else f"as every {contest.SAMPLE_EVERY}th frame"
    return f"{name}: clip {clip_id:05d} is sent {how}; expected {wanted}", clip_id


def count_faults(num_frames: int, indices: range, low: Clip | None) -> list[str]:
    """A clip has exactly the frames that are scored."""
    if num_frames == len(indices):
        return []
    source = f" of a clip of {low.num_frames}" if low else ""
    what = f"frames {indices[0]}-{indices[-1]}" if indices.step == 1 else f"every {indices.step}th frame"
    return [
        f"{plural(num_frames, 'frame')}, expected {len(indices)} ({what}{source}); predict it again with --frames scored"
    ]


def header_faults(header: Header, low: Clip | None) -> list[str]:
    """Size exactly x4, every other token as in the low-resolution clip."""
    scale = contest.SCALE
    if low is None:
        odd = header.width % scale or header.height % scale
        return [f"size {header.size} is not a multiple of {scale}"] if odd else []
    wanted, faults = interpolate.scaled_header(low.header, scale), []
    if header.size != wanted.size:
        from_low = f"({scale} x {low.header.size}); take the size from each clip's own input"
        faults.append(f"size {header.size}, expected {wanted.size} {from_low}")
    if header.resized(wanted.width, wanted.height).tokens != wanted.tokens:
        own, others = " ".join(header.tokens), " ".join(wanted.tokens)
        faults.append(f"header '{own}', expected '{others}' (only W and H may change)")
    return faults


class Likeness:
    """Compare frames, shrunk by 4, with the low-resolution frames they should come from; gathers, then warns."""

    def __init__(self, low: Clip) -> None:
        self._low, self._unit = low, float(1 << (low.header.depth - 8))  # codes of deeper clips count as 8-bit codes
        # half-size luma of every frame, to find which frame a prediction looks like
        self._thumbs = np.stack([self._thumb(frame[0]) for frame in low])
        self._flat: list[int] = []
        self._moved: list[tuple[int, int]] = []  # (expected frame, frame it looks like)
        self._rows: list[tuple[float, ...]] = []

    def _thumb(self, luma: np.ndarray) -> np.ndarray:
        return (resize.block_means(luma, 2, 2) / self._unit).astype(np.int16)

    def add(self, planes: Planes, index: int) -> None:
        small = [resize.block_means(plane, contest.SCALE, contest.SCALE) / self._unit for plane in planes]
        low = [plane.astype(np.float32) / self._unit for plane in self._low.frame(index)]
        if np.ptp(planes[0]) == 0 and np.ptp(low[0]) > 8:
            self._flat.append(index)
            return
        distances = np.abs(self._thumbs - self._thumb(small[0] * self._unit)).mean(axis=(1, 2))
        best = int(distances.argmin())
        if distances[best] < 0.5 * distances[index] and distances[index] - distances[best] > 0.5:
            self._moved.append((index, best))
        straight = swapped = 0.0
        if len(planes) == 3:
            straight = _difference(small[1], low[1]) + _difference(small[2], low[2])
            swapped = _difference(small[1], low[2]) + _difference(small[2], low[1])
        luma, wanted = small[0].ravel(), low[0].ravel()
        gain = 1.0
        if wanted.std() > 8 and luma.std() > 1 and np.corrcoef(luma, wanted)[0, 1] > 0.98:
            gain = float(luma.std() / wanted.std())
        offset = float(luma.mean() - wanted.mean())
        self._rows.append((_difference(small[0], low[0]), offset, straight / 2, swapped / 2, gain))

    def warnings(self) -> list[str]:
        found = []
        if self._flat:
            found.append(f"{_frames(self._flat)} one flat value (black or never rendered)")
        if self._moved:
            index, best = self._moved[0]
            found.append(
                f"{_frames([moved for moved, _ in self._moved])} not in place: frame {index} looks like frame {best} "
                "of the low-resolution clip (shifted or out of order)"
            )
        if not self._rows:
            return found
        difference, offset, straight, swapped, gain = np.median(np.array(self._rows), axis=0)
        low = "the low-resolution clip"
        if swapped < 0.5 * straight and straight - swapped > 1:
            codes = f"{swapped:.0f} codes off that one, {straight:.0f} off its own"
            found.append(f"U and V are swapped: each looks like the other plane of {low} ({codes})")
        elif straight > MAX_CHROMA_DIFFERENCE:
            found.append(f"colours differ from {low} by {straight:.0f} codes (planes lost or misplaced)")
        if abs(offset) > MAX_LUMA_OFFSET:
            why = "range or plane order, or a network that is not trained yet"
            found.append(f"luma is {offset:+.0f} codes off {low} ({why})")
        elif not 1 / MAX_GAIN < gain < MAX_GAIN:
            found.append(f"contrast is {gain:.2f} times {low}'s (studio range taken for full, or back)")
        elif difference > MAX_LUMA_DIFFERENCE and not self._moved:
            found.append(f"luma differs from {low} by {difference:.0f} codes (another clip, or planes misplaced)")
        return found


def _difference(small: np.ndarray, low: np.ndarray) -> float:
    """Mean absolute difference over the common size (chroma of odd pictures may differ by a line)."""
    height, width = min(small.shape[0], low.shape[0]), min(small.shape[1], low.shape[1])
    return float(np.abs(small[:height, :width] - low[:height, :width]).mean())


def _frames(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:6])) + (" ..." if len(indices) > 6 else "")
    return f"{len(indices)} frames ({shown}) are" if len(indices) > 1 else f"frame {shown} is"

"""Windows of consecutive frames for multi-frame networks: cut-aware, neighbours motion-compensated to the middle frame.

A window holds `width` frames (odd), oldest first. Beyond the ends of the clip, or beyond a cut, the nearest frame of the
shot stands in; so the window of a clip of one frame is that frame, `width` times, and a multi-frame network runs on it.
`windows` streams a clip with bounded memory; `cut_window` reaches one window, or a box of one, at random: on whole
frames both give the same planes. Source: models.md 4.11 and 8.3; `video.motion`, `video.scenes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from youku.video import motion, scenes
from youku.video.y4m import Clip, Header, Planes


def windows(
    frames: Iterable[Planes],
    header: Header,
    width: int,
    wanted: Sequence[int] | None = None,
    needed: Callable[[Planes], Planes] = tuple,
) -> Iterator[tuple[Planes, ...]]:
    """The window of every frame, or of the `wanted` ones (increasing frame numbers) among all frames of a clip.

    `needed` picks the planes that are used of the neighbours; the middle frame is always whole. Reads width // 2 frames ahead and
    ends without an error where the clip does.
    """
    radius = width // 2
    source, num_read = iter(frames), 0
    held: dict[int, Planes] = {}
    cuts: set[int] = set()
    for middle in itertools.count() if wanted is None else wanted:
        while num_read <= middle + radius and (planes := next(source, None)) is not None:
            if num_read > max(0, middle - radius) and scenes.is_cut(held[num_read - 1][0], planes[0], header.depth):
                cuts.add(num_read)
            held[num_read] = planes
            num_read += 1
            held = {index: planes for index, planes in held.items() if index >= min(middle - radius, num_read - 1)}
        if middle >= num_read:
            return
        indices = neighbours(middle, width, num_read, cuts.__contains__)
        yield tuple(_align_all(held, indices, middle, header, needed))


def cut_window(clip: Clip, index: int, width: int, top: int, left: int, height: int, width_px: int) -> list[Planes]:
    """The window of one frame, cut to a box in luma pixels (on whole chroma samples) and compensated within the box."""
    indices = neighbours(index, width, clip.num_frames, lambda number: _opens_shot(clip, number))
    boxes = {number: clip.patch(number, top, left, height, width_px) for number in set(indices)}
    return _align_all(boxes, indices, index, clip.header, needed=tuple)


def neighbours(middle: int, width: int, num_frames: int, opens_shot: Callable[[int], bool]) -> list[int]:
    """Frame numbers of a window: the clip's own neighbours, the outermost of the shot repeated beyond its ends."""
    before, after = [middle], [middle]
    for _ in range(width // 2):
        first, last = before[0], after[-1]
        before.insert(0, first if first == 0 or opens_shot(first) else first - 1)
        after.append(last if last + 1 == num_frames or opens_shot(last + 1) else last + 1)
    return before[:-1] + after


def _align_all(
    frames: dict[int, Planes], indices: Sequence[int], middle: int, header: Header, needed: Callable[[Planes], Planes]
) -> list[Planes]:
    reference = frames[middle]
    aligned = {middle: reference}
    for index in indices:
        if index not in aligned:
            aligned[index] = motion.align(needed(frames[index]), reference, header.layout, header.depth)
    return [aligned[index] for index in indices]


@lru_cache(maxsize=1 << 16)
def _opens_shot(clip: Clip, index: int) -> bool:
    """Whether a cut lies before the frame; training asks again and again for the same frames."""
    return scenes.is_cut(clip.frame(index - 1)[0], clip.frame(index)[0], clip.header.depth)

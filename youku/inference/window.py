"""Windows of consecutive frames, cut-aware: what a network sees at each moment of a clip, and where its memory ends.

A window holds `width` frames (odd), oldest first. Beyond the ends of the clip, or beyond a cut, the nearest frame of the
shot stands in; so the window of a clip of one frame is that frame, `width` times, and a multi-frame network runs on it.
Networks that ask for it get the neighbours motion-compensated to the middle frame. `moments` streams a clip with bounded
memory; `cut_frames` reaches a box of any frames at random: on whole windows both give the same planes.
Source: models.md 4.11 and 8.3; `video.motion`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from youku.models.spec import ModelSpec
from youku.video.y4m import Clip, Header, Planes


@dataclass(frozen=True)
class Moment:
    """What a network sees at one frame of a clip."""

    index: int
    """Number of the middle frame."""
    frames: list[Planes]
    """T of them, oldest first; the middle one has all its planes."""
    opens_shot: bool
    """What a network remembers ends here; told of every cut only to those that remember."""
    is_wanted: bool
    """False where the frame is run for the memory alone."""

    @property
    def middle(self) -> Planes:
        return self.frames[len(self.frames) // 2]


def moments(
    frames: Iterable[Planes], header: Header, spec: ModelSpec, wanted: Sequence[int] | None = None
) -> Iterator[Moment]:
    """The moment of every frame, or of the `wanted` ones (increasing frame numbers) among all frames of a clip.

    A network with memory also gets the frames that warm it up before a wanted one, or all of them, and one that sees a shot
    at once as many behind it; what is remembered ends where frames are left out.
    Reads half a window ahead and ends without an error where the clip does.
    """
    radius = spec.num_frames // 2
    looks_back = max(radius, int(spec.memory))
    source, num_read = iter(frames), 0
    held: dict[int, Planes] = {}
    cuts: set[int] = {0}
    last = -1
    for middle in _middles(wanted, spec):
        while num_read <= middle + radius and (planes := next(source, None)) is not None:
            if num_read > max(0, middle - looks_back) and _is_cut(held[num_read - 1], planes, header):
                cuts.add(num_read)
            held[num_read] = planes
            num_read += 1
            held = {index: planes for index, planes in held.items() if index >= min(middle - radius, num_read - 1)}
        if middle >= num_read:
            return
        indices = neighbours(middle, spec.num_frames, num_read, cuts.__contains__)
        seen = _gather(held, indices, middle, header, spec.colours.needed, spec.aligned)
        yield Moment(middle, seen, middle in cuts or middle > last + 1, wanted is None or middle in wanted)
        last = middle


def parts_of_shots(coming: Iterable[Moment], length: int, shared: int) -> Iterator[list[Moment]]:
    """Moments in lists of one shot, for a network that sees it at once: at most `length` each, where any is wanted.

    Two parts of a longer shot share 2 * `shared` moments, each of which is wanted in the part that goes on further.
    """

    def unwanted(some: list[Moment]) -> list[Moment]:
        return [replace(one, is_wanted=False) for one in some]

    part: list[Moment] = []
    for moment in itertools.chain(coming, [None]):
        if part and (moment is None or moment.opens_shot or len(part) == length):
            ends = part[-shared:] if moment and not moment.opens_shot else []
            made = part[: len(part) - len(ends)] + unwanted(ends)
            if any(one.is_wanted for one in made):
                yield made
            part = unwanted(part[-2 * shared : -shared]) + ends if ends else []
        if moment:
            part.append(moment)


def around(clip: Clip, index: int, length: int) -> list[int]:
    """`length` frame numbers around one of its shot, as `neighbours` finds them; of an even number one more before it."""
    return neighbours(index, length | 1, clip.num_frames, lambda number: _opens_shot(clip, number))[:length]


def cut_frames(
    clip: Clip, numbers: Sequence[int], middle: int, top: int, left: int, height: int, width_px: int, aligned: bool
) -> list[Planes]:
    """A box in luma pixels of those frames, where asked compensated within it to the one called `middle`."""
    boxes = {number: clip.patch(number, top, left, height, width_px) for number in {middle, *numbers}}
    return _gather(boxes, numbers, middle, clip.header, tuple, aligned)


def neighbours(middle: int, width: int, num_frames: int, opens_shot: Callable[[int], bool]) -> list[int]:
    """Frame numbers of a window: the clip's own neighbours, the outermost of the shot repeated beyond its ends."""
    before, after = [middle], [middle]
    for _ in range(width // 2):
        first, last = before[0], after[-1]
        before.insert(0, first if first == 0 or opens_shot(first) else first - 1)
        after.append(last if last + 1 == num_frames or opens_shot(last + 1) else last + 1)
    return before[:-1] + after


def _middles(wanted: Sequence[int] | None, spec: ModelSpec) -> Iterator[int]:
    """Frames that are run: those that are wanted, and with memory also those before and after them."""
    if wanted is None:
        yield from itertools.count()
        return
    following, warm_up = 0, spec.warm_up_frames
    after = warm_up if spec.at_once_px else 0
    for index in wanted:
        first = index if not spec.memory else index - warm_up if warm_up else 0
        yield from range(max(following, first), index + after + 1)
        following = max(following, index + after + 1)


def _gather(
    frames: dict[int, Planes],
    indices: Sequence[int],
    middle: int,
    header: Header,
    needed: Callable[[Planes], Planes],
    aligned: bool,
) -> list[Planes]:
    reference = frames[middle]
    seen = {middle: reference}
    for index in indices:
        if index not in seen:
            planes = needed(frames[index])
            seen[index] = _align(planes, reference, header) if aligned else planes
    return [seen[index] for index in indices]


def _align(planes: Planes, reference: Planes, header: Header) -> Planes:
    from youku.video import motion  # few networks ask for it

    return motion.align(planes, reference, header.layout, header.depth)


def _is_cut(previous: Planes, planes: Planes, header: Header) -> bool:
    from youku.video import motion  # networks that see one frame never ask

    return motion.is_cut(previous[0], planes[0], header.depth)


_KNOWN_CUTS: WeakKeyDictionary[Clip, dict[int, bool]] = WeakKeyDictionary()


def _opens_shot(clip: Clip, index: int) -> bool:
    """Whether a cut lies before the frame: kept while the clip lives, since training asks again and again."""
    known = _KNOWN_CUTS.setdefault(clip, {})
    if index not in known:
        known[index] = _is_cut(clip.frame(index - 1), clip.frame(index), clip.header)
    return known[index]

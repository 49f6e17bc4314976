"""Folds for cross-validation: which clips a run keeps back, so that N runs judge every clip without having seen it.

Clips that go on where the one before ends (one scene, cut into clips) stay together: a network that saw one has seen the
other. Groups go, the largest first, to the fold with the fewest clips; the same data always make the same folds.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from youku import contest
from youku.text_table import plural
from youku.training.pairs import ClipPair, Pair
from youku.video import manifest, motion, y4m

MOST_NAMED = 8


def split(pairs: Sequence[Pair], fold: str) -> tuple[list[Pair], list[Pair]]:
    """(training, validation) for fold "K/N"; ValueError for fewer groups than folds."""
    number, num_folds = map(int, fold.split("/"))
    if not 1 <= number <= num_folds or num_folds < 2:
        raise ValueError(f"--fold {fold}: expected K/N with N from 2 on and K from 1 to N, such as 1/5")
    found = groups(pairs)
    if len(found) < num_folds:
        most = len(found)
        fewer = (
            f"fewer folds (train --fold K/{most}; an experiment: a copy of youku/training/experiments/folds.toml with {most} "
            f'variants, fold = "K/{most}") or '
        )
        raise ValueError(
            f"--fold {fold}: found {plural(len(found), 'group')} of clips or pictures (what goes on from one clip to the "
            f"next is one scene), expected {num_folds} or more; take {fewer * (most > 1)}more clips"
        )
    folds: list[list[Pair]] = [[] for _ in range(num_folds)]
    for group in sorted(found, key=len, reverse=True):
        min(folds, key=len).extend(group)
    held = [pair for pair in pairs if pair in folds[number - 1]]
    return [pair for pair in pairs if pair not in held], held


def told(held: Sequence[Pair]) -> str:
    """A phrase: which pairs are held out, where they are few."""
    return f": {', '.join(pair.name for pair in held)}" if len(held) <= MOST_NAMED else ""


def groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs in order, those of one scene together; a picture is a group of its own."""
    found: list[list[Pair]] = []
    for pair in pairs:
        if found and _goes_on(found[-1][-1], pair):
            found[-1].append(pair)
        else:
            found.append([pair])
    return found


def shared_film(pairs: Sequence[Pair], others: Sequence[Pair]) -> str:
    """What clips of both were cut from: a film, as pairs.json beside them says, or a scene that goes on; "" for nothing."""
    if film := same_film(truths(pairs), truths(others)):
        return film
    in_order = sorted({*pairs, *others}, key=lambda pair: pair.source)
    for one, other in itertools.pairwise(in_order):
        if (one in others) != (other in others) and _goes_on(one, other):
            return f"the scene of {one.name} and {other.name}"
    return ""


def same_film(truths: Sequence[Path], others: Sequence[Path]) -> str:
    """A film that ground truths of both were cut from, as pairs.json beside them says, under one name or two; "" for none.

    Under two where its size is the same and clips of both begin with the same picture.
    """
    ours, theirs = _films(truths), _films(others)
    if shared := ours.keys() & theirs.keys():
        return min(shared)
    sizes = set(map(_size, ours)) & set(map(_size, theirs))
    begun, copied = _beginnings(ours, sizes), _beginnings(theirs, sizes)
    both = sorted(f"{begun[first]}, the same as {copied[first]}," for first in begun.keys() & copied.keys())
    return both[0] if both else ""


def truths(pairs: Sequence[Pair]) -> list[Path]:
    """The ground truths of those that are clips."""
    return [pair.high.path.resolve() for pair in pairs if isinstance(pair, ClipPair)]


def _films(truths: Sequence[Path]) -> dict[str, list[Path]]:
    """The clips of each film that is known."""
    listed = {folder: manifest.films(folder) for folder in {path.parent for path in truths}}
    found = dict[str, list[Path]]()
    for path in truths:
        name = contest.parse_name(path.name)
        if name and (film := listed[path.parent].get(name[0])):
            found.setdefault(film, []).append(path)
    return found


def _size(film: str) -> str:
    return film.rpartition(" (")[2]


def _beginnings(films: Mapping[str, list[Path]], sizes: Collection[str]) -> dict[tuple[str, bytes], str]:
    """Films of these sizes by size and some rows of a clip's first picture; one of a single grey tells nothing."""
    found = dict[tuple[str, bytes], str]()
    for film, paths in films.items():
        for path in paths if _size(film) in sizes else ():
            luma = y4m.Clip(path).frame(0)[0][::16]
            if luma.min() < luma.max():
                found[_size(film), luma.tobytes()] = film
    return found


def _goes_on(before: Pair, pair: Pair) -> bool:
    """Whether a clip begins in the shot in which the one before ends."""
    if not (isinstance(before, ClipPair) and isinstance(pair, ClipPair)) or before.size != pair.size:
        return False
    last, first = before.low.frame(before.num_frames - 1)[0], pair.low.frame(0)[0]
    return before.source.parent == pair.source.parent and not motion.is_cut(last, first, pair.depth)

"""What the kinds of `fuzz` share: what a kind is, and damage to bytes and to trees of plain values.

A reader returns whether what it took is right, or raises a ValueError whose sentence names the file.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from youku import files

# in the place of any value
WRONG = (
    None, True, -1, 0, 1 << 70, 0.5, math.nan, math.inf, "", "x", "nan", "\ud800", "a\nb\x1b[2J", "long" * 5000, [], {}, [[]],
    {"": None}, [1] * 99,
)  # fmt: skip
KEYS = ("", 5, None, "\ud800", "a\nb\x1b[2J", "long" * 5000)


@dataclass(frozen=True)
class Kind:
    """What is damaged, and who must hold it; `place` is where the reader expects the file, below the case's folder."""

    seeds: Callable[[], Sequence[bytes]]
    """Small valid files, which are read."""
    damage: Callable[[bytes, Random], bytes]
    read: Callable[[Path], bool]
    num_cases: int = 30_000
    num_quick: int = 500
    place: str = "case"


def scramble(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, and at times a piece left out, doubled, put in or zeroed, or the rest cut off."""
    changed = bytearray(data or b"x")
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    start = rng.randrange(len(changed))
    stop = start + rng.choice((1, 2, 7, 64))
    if rng.random() < 0.3:
        changed[start:stop] = rng.choice(
            (b"", changed[start:stop] * 2, rng.randbytes(stop - start), bytes(stop - start))
        )
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.15 else changed)


def damage_tree(tree: Any, rng: Random, wrong: Sequence[Any] = WRONG) -> Any:
    """A copy in which some values, at any depth, are gone, are others, or lie under other keys."""
    root = copy.deepcopy({"": tree})
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place: Any = root
        key: Any = ""
        while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        match rng.randrange(5):
            case 0 if place is not root:
                del place[key]
            case 1 if isinstance(place, dict) and place is not root:
                place[rng.choice((*KEYS, f"{key}x"))] = place.pop(key)
            case _:
                place[key] = copy.deepcopy(rng.choice(wrong))
    return root[""]


@contextmanager
def collected(errors: list[ValueError], path: Path, *names: str) -> Iterator[None]:
    """Keep a ValueError whose sentence names the file (or a member of it) under the file's whole path."""
    try:
        yield
    except ValueError as error:
        if not any(name in str(error) for name in (path.name, *names)):
            raise
        errors.append(ValueError(f"{path}: {error}"))


@contextmanager
def named(path: Path) -> Iterator[None]:
    """The same where one refusal is all."""
    errors: list[ValueError] = []
    with collected(errors, path):
        yield
    if errors:
        raise errors[0]


def put(path: Path, data: bytes) -> Path:
    files.make_folder(path.parent)
    path.write_bytes(data)
    return path

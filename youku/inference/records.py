"""What made an output, in a hidden record beside it; by it, and by the content of both files, an output is up to date.

A file's content is its digest (video.segments). It is read again only where the file's stamp has changed: size, inode and
the times of its last writing and its last change, of which the system lets nobody set the second. A record that is
damaged or cannot be read is no record of anything: the output is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from youku import files, leftovers
from youku.video import file_names, segments, y4m

MOST_NAME_BYTES = 255  # of every file system in use


def record_of(target: str | Path) -> Path:
    """The hidden file beside an output; ValueError where its name, and so the output's, is too long."""
    target = Path(target)
    record = target.with_name(f".{target.name}.json")
    if (over := len(os.fsencode(record.name)) - MOST_NAME_BYTES) > 0:
        raise ValueError(
            f"{target}: its name is {len(os.fsencode(target.name))} bytes long; with the hidden record beside it "
            f"{MOST_NAME_BYTES - len(record.name) + len(target.name)} fit, so shorten it by {over}"
        )
    if record.exists() and not record.is_file():
        raise ValueError(f"{record}: is no file, and lies where the record of {target.name} belongs; move it away")
    return record


def read(record: Path) -> dict[str, Any]:
    """A record's content; nothing where there is none or it is damaged."""
    return files.recall(record, dict) or {}


def write(target: Path, record: dict[str, Any], durable: bool) -> None:
    """Write the record of an output; what the system refuses is told of the output, which the user named."""
    try:
        files.write_json(record_of(target), record, durable)
    except OSError as error:
        error.filename = str(target)
        raise


@contextmanager
def claimed(target: Path, record: dict[str, Any]) -> Iterator[None]:
    """A record without an output, while that is made: a run that is killed here may be repeated.

    Where nothing came of it, by an error or a stop, the record is again what it was before, or none.
    """
    place, there = record_of(target), _seen(target)
    before = None
    with suppress(OSError):  # none, or one that cannot be read
        before = place.read_bytes()

    def undo() -> None:
        if _seen(target) == there:
            with suppress(OSError):
                place.unlink(missing_ok=True) if before is None else place.write_bytes(before)

    with leftovers.undone(undo):
        write(target, record, durable=False)
        yield


def _seen(target: Path) -> str:
    return _of_all(target, files.stamp) if exists(target) else ""


def content_of(path: str | Path, known: Any = None, digest: str = "") -> dict[str, str]:
    """Digest and stamp of a file; `known` is what a record says of both, `digest` the first, from who has just made it."""
    stamp = _of_all(path, files.stamp)
    if os.name == "posix" and isinstance(known, dict) and known.get("stamp") == stamp and "digest" in known:
        return known
    return {"digest": digest or _of_all(path, segments.digest_of), "stamp": stamp}


def _of_all(path: str | Path, of: Callable[[Path], str]) -> str:
    """What tells a file, or the pictures that a pattern stands for, by their numbers."""
    if not file_names.is_pattern(path):
        return of(Path(path))
    told = [f"{picture.name} {of(picture)}" for _, picture in sorted(file_names.numbered(Path(path)).items())]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def exists(target: Path) -> bool:
    """Whether there is such a file, or a picture of such a pattern."""
    return target.exists() or (file_names.is_pattern(target) and bool(file_names.numbered(target)))


def is_up_to_date(target: Path, known: dict[str, Any], made_by: dict[str, str]) -> bool:
    """True for a finished output of that record, made alike; ValueError for a whole one that was not made here."""
    if not exists(target):
        return False
    if record_of(target).exists():
        output = known.get("output")
        if known.get("made_by") != made_by or not isinstance(output, dict):
            return False
        return content_of(target, output)["digest"] == output.get("digest")
    try:
        if target.suffix.lower() == ".y4m":
            y4m.Clip(target).check()
    except y4m.Y4MError:
        return False  # broken: make it again
    raise ValueError(f"{target}: exists and was not made here; use --force to replace it")


def pinned(folder: Path, name: str, most: int, is_begun: bool, value: int) -> int:
    """The value of the run which began an output; `most` or more is not noted in its folder, so without a note it was that.

    `value`, from now on, where none began it.
    """
    record = folder / f"{name}.json"
    if record.exists():
        known = read(record).get(name)
        if isinstance(known, int) and known > 0:
            return known
    elif is_begun:
        return most
    if value < most:
        files.write_json(record, {name: value})
    return value


def key_of(made_by: dict[str, str]) -> str:
    """One name for all that decides an output's bytes."""
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def model_of(target: Path) -> str:
    """The network that made an output; "" where no record says it."""
    made_by = read(record_of(target)).get("made_by")
    return str(made_by.get("model", "")) if isinstance(made_by, dict) else ""

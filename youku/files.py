"""Write files whole: temporary file beside the target, fsync, rename. Also sha256 and JSON.

No output is ever one of the inputs that a verb named to `protect`, whatever its name; what a killed run left is removed
by whoever writes into the same folder next (`leftovers`).
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from youku import leftovers

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 64 << 10
NAME_MAX_BYTES = 255

_inputs: dict[tuple[int, int], str] = {}
_playlists = [False]


@contextmanager
def atomic_path(path: str | Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success sync it and rename it to `path`, on any error remove it.

    What is not `durable` is not waited for: a note that a power cut may empty, and whose reader takes that for no note.
    ValueError where `path` is an input, OSError where its name is too long: both before the work. Whatever a library
    makes of a full disk is told as the OSError that it is, and every error names `path`, none the temporary file.
    A link is replaced, and what it leads to, which may be a device, stays.
    """
    path = Path(path)
    refuse_target(path)
    make_folder(path.parent)
    with leftovers.unfinished(path, path.suffix) as temporary:
        try:
            temporary.touch()
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
        except Exception as error:
            if full := _full_disk(temporary, path, error):
                raise full from error
            raise


@contextmanager
def atomic_write(path: str | Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes `path` only when the block ends without an error."""
    with atomic_path(path, durable) as temporary, open(temporary, "wb") as file:
        yield file


@contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new hidden folder beside `path`, for what is moved to its place later; it is removed at the end."""
    path = Path(path)
    _check_target(path)
    make_folder(path.parent)
    with leftovers.unfinished(path) as folder:
        folder.mkdir()
        yield folder


def protect(*paths: str | Path | None) -> None:
    """Name input files of this run, "-" for stdin: no writer here overwrites one. What is no file is passed over."""
    for path in (path for path in paths if path):
        with suppress(OSError):
            state = os.fstat(0) if str(path) == "-" else Path(path).stat()
            if stat.S_ISREG(state.st_mode):
                _inputs[state.st_dev, state.st_ino] = "stdin" if str(path) == "-" else str(path)


def refuse_input(*paths: str | Path) -> None:
    """ValueError where an output is one of the protected inputs: the same file on the disk, by whatever name or link."""
    for path in paths:
        with suppress(OSError):  # nothing is there that could be lost
            state = os.fstat(1) if str(path) == "-" else Path(path).stat()
            if source := _inputs.get((state.st_dev, state.st_ino)):
                raise ValueError(
                    f"{path}: is the input {source}; inputs are never overwritten, choose another output name"
                )


def refuse_target(path: str | Path) -> None:
    """What `atomic_path` raises of a name, for whoever works long before there is something to write."""
    _check_target(Path(path))
    if Path(path).is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def allow_playlists(is_allowed: bool) -> None:
    """Whether this run may open inputs that lead to other local files: playlists (m3u8), concat scripts. At first not."""
    _playlists[0] = is_allowed


def playlists_allowed() -> bool:
    return _playlists[0]


def begin_run() -> None:
    """Forget what belonged to the run before in this process."""
    _inputs.clear()
    _playlists[0] = False
    leftovers.look_again()


def _check_target(path: Path) -> None:
    refuse_input(path)
    if len(os.fsencode(path.name)) > NAME_MAX_BYTES:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))


def _full_disk(temporary: Path, path: Path, error: Exception) -> OSError | None:
    """The OSError behind what a library made of a disk that takes no more: found by writing a little more; else None."""
    try:
        if isinstance(error, OSError) and error.errno in FULL:
            raise error
        with open(temporary, "ab") as file:
            file.write(bytes(PROBE_BYTES))
        sync(temporary)
    except OSError as found:
        if found.errno in FULL:
            return OSError(found.errno, os.strerror(found.errno), str(path))
    return None


def make_folder(folder: str | Path) -> Path:
    """Create `folder` and its parents; ValueError with one sentence where a file stands in the way."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        found = "a file" if place.exists() else "a link to nothing"
        raise ValueError(f"{place}: expected a folder, found {found}; move it away or name another folder") from None
    return folder


@contextmanager
def own_folder(folder: str | Path) -> Iterator[Path]:
    """`make_folder`, and one that was not there before goes again where the block leaves nothing in it."""
    is_new = not Path(folder).exists()
    try:
        yield make_folder(folder)
    finally:
        if is_new:
            with suppress(OSError):
                Path(folder).rmdir()


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: str | Path) -> None:
    """Wait until a file's bytes are safe on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file)


def write_json(path: str | Path, value: Any, durable: bool = True) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all; bytes of a name that are no UTF-8 as &#56575;."""
    with atomic_write(path, durable) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode(errors="xmlcharrefreplace") + b"\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; ValueError naming the file and place when it is damaged."""
    try:
        return parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got damage ({error}); make the file again") from None


def recall(path: str | Path, shape: Any) -> Any:
    """What the kit has noted in a JSON file, of that shape (`require`); None where there is none, or another."""
    with suppress(OSError, ValueError):
        found = read_json(path)
        require(found, shape, Path(path).name)
        return found
    return None


def decode(data: bytes) -> str:
    """A text file's bytes as UTF-8; ValueError also for UTF-16, which editors and shells of Windows write, by its name."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16 text; save it as UTF-8")
    return data.decode("utf-8")


def parse_json(text: str | bytes) -> Any:
    """JSON, or ValueError whatever is wrong with it: signs, bytes, nesting too deep, numbers too long."""
    try:
        return json.loads(text if isinstance(text, str) else decode(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def require(value: Any, shape: Any, name: str) -> None:
    """ValueError, naming the place, where parsed JSON is not of `shape`; the one check of a file's schema.

    A shape is a type (float: any finite number; int: of at most 15 digits; str: text that UTF-8 can hold), None, a
    tuple of such shapes, [shape] for a list of it, or {key: shape} for an object with those keys and maybe others.
    """
    if isinstance(shape, tuple):
        if not any(_is_of(value, one) for one in shape):
            raise ValueError(f"{name}: expected {' or '.join(_SHAPES[one] for one in shape)}, got {_shown(value)}")
    elif isinstance(shape, list):
        require(value, list, name)
        for index, item in enumerate(value):
            require(item, shape[0], f"{name}[{index}]")
    elif isinstance(shape, dict):
        require(value, dict, name)
        if missing := [key for key in shape if key not in value]:
            raise ValueError(f"{name}: {', '.join(map(repr, missing))} is missing")
        for key, one in shape.items():
            require(value[key], one, f"{name}.{key}")
    else:
        require(value, (shape,), name)


_SHAPES: dict[Any, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
    None: "null",
}  # fmt: skip


def _is_of(value: Any, kind: type | None) -> bool:
    if kind is None or isinstance(value, bool):
        return value is None if kind is None else kind is bool
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and abs(value) < 10**15
    if kind is str:
        return isinstance(value, str) and not any("\ud800" <= sign <= "\udfff" for sign in value)
    return isinstance(value, kind)


def _shown(value: Any) -> str:
    """A value in a few words, however long or deep it is."""
    if isinstance(value, list | dict):
        return _SHAPES[type(value)]
    return "a number of too many digits" if isinstance(value, int) and abs(value) >= 10**15 else ascii(value)[:60]


def printable(text: str, most: int | None = 80) -> str:
    """What a file says of itself, such as a key, for a sentence: on one line, without signs that act on a terminal."""
    cut = text if most is None or len(text) <= most else f"{text[:most]}..."
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in cut)


def free_bytes(folder: str | Path) -> int:
    """Free space of the disk under `folder`, or under its nearest parent that exists."""
    folder = Path(folder).absolute()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def require_free(folder: str | Path, needed_bytes: int, what: str) -> None:
    """ValueError when the disk under `folder` has less than `needed_bytes` free."""
    free = free_bytes(folder)
    if free < needed_bytes:
        unit, size = ("GB", 1e9) if needed_bytes >= 1e9 else ("MB", 1e6)
        raise ValueError(
            f"{Path(folder).absolute()}: {what} needs {needed_bytes / size:.2f} {unit}, the disk has "
            f"{free / size:.2f} {unit} free; free some space or choose another folder"
        )


def stamp(path: str | Path) -> str:
    """What changes when a file does: size, inode, and the times of its last writing and its last change.

    The system lets nobody set the last of them, so a file of the same stamp holds what it held.
    """
    state = Path(path).stat()
    return f"{state.st_size} {state.st_ino} {state.st_mtime_ns} {state.st_ctime_ns}"


def cache_folder(name: str) -> Path:
    """Where what can be made again is kept for this user: $XDG_CACHE_HOME/youku/NAME, else ~/.cache/youku/NAME.

    A relative path is no $XDG_CACHE_HOME (XDG Base Directory Specification).
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "youku" / name

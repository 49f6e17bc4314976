"""Write files whole: temporary file beside the target, fsync, rename. Also sha256 and JSON."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

MOST_OPEN_FILES = 8192  # macOS refuses "unlimited"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success sync it and rename it to `path`, on any error remove it."""
    path = Path(path)
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".tmp" + path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes `path` only when the block ends without an error."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        yield file


def make_folder(folder: str | Path) -> Path:
    """Create `folder` and its parents; ValueError with one sentence where a file stands in the way."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{folder}: expected a folder, found a file; move it away or name another folder") from None
    return folder


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; ValueError naming the file and place when it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected JSON, got damage ({error}); make the file again") from None


def free_bytes(folder: str | Path) -> int:
    """Free space of the disk under `folder`, or under its nearest parent that exists."""
    folder = Path(folder).absolute()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def require_free(folder: str | Path, needed_bytes: int, what: str) -> None:
    """ValueError when the disk under `folder` has less than `needed_bytes` free."""
    free = free_bytes(folder)
    if free < needed_bytes:
        raise ValueError(
            f"{Path(folder).absolute()}: {what} needs {needed_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free; "
            "free some space or choose another folder"
        )


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as the system lets it: every mapped clip holds one."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@lru_cache(maxsize=1)
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Clips in an object store: any URL that fsspec opens (s3://, oss://, gs://, https://, file://, memory://), the one user of it.

Reading: an object, or the objects of a folder -> files in the user's cache, whole, under a name that changes when the object
does; what is there already is not fetched again. Of clips to train on the blocks that are read, no others (`Blocks`).
Writing: a finished file -> an object, which appears whole or not at all (a multipart upload shows when it is completed, a file
is renamed). Credentials come the usual ways of each store (environment, ~/.aws, roles); none is read from a URL, shown or
kept. ValueError says in one sentence what a store refuses.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.request import url2pathname

from youku import files, stops

SCHEMES = ("s3", "oss", "gs", "https", "http", "memory")
BUCKETS = ("s3", "oss", "gs")
PACKAGES = {"s3": "s3fs", "oss": "ossfs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}
BLOCK_BYTES = 8 << 20  # read and written at once
RANGE_BYTES = 256 << 10  # of a clip to train on, fetched by the frame
AT_ONCE = 4  # objects; a store answers each slowly


def is_url(name: str | Path) -> bool:
    return re.match(rf"({'|'.join(SCHEMES)})://", str(name)) is not None


def shown(url: str) -> str:
    """A URL as it may be said: without names, passwords and signatures."""
    return re.sub(r"(?<=://)[^/@]*@|\?.*", "", url)


def local(name: str, by_range: bool = False) -> str:
    """The file or folder that stands for `name` here: itself, or the copy of what a URL names.

    With `by_range` the y4m clips of a folder are holes that `need` fills: for `video.y4m.Clip` alone.
    """
    if not is_url(name):
        return _plain(name)
    system, path = _system(name)
    with _told(name):
        if system.isdir(path):
            found = [one["name"] for one in system.ls(path, detail=True) if one["type"] == "file"]
            folder = _cache(name) / ("ranges" if by_range else "") / PurePosixPath(path).name
            with stops.workers(AT_ONCE, "objects") as (pool, _):
                get = _open if by_range else _fetch
                stops.results([pool.submit(get, system, one, folder, name) for one in found], lambda: None)
            names = {PurePosixPath(one).name for one in found}
            for copy in files.make_folder(folder).iterdir():
                if copy.name not in names and not copy.name.startswith("."):
                    copy.unlink()  # it is no longer in the store
            return str(folder)
        return str(_fetch(system, path, _cache(name), name))


def _plain(name: str) -> str:
    """A path, of file:// too; ValueError for URLs that nothing here opens."""
    if name.startswith("file://"):
        host, slash, path = name.removeprefix("file://").partition("/")
        if host not in ("", "localhost") or not slash:
            raise ValueError(f"{name}: expected file:///PATH, from the root on")
        return url2pathname(f"/{path}")
    if re.match(r"[a-z][a-z0-9+.-]*://", name):
        raise ValueError(f"{shown(name)}: expected one of {', '.join(SCHEMES)}, file, or a path")
    return name


def staged(name: str, source: str) -> str:
    """Where the output of `source` is made before `upload`; what is no URL is itself.

    ValueError, before the work, where nothing could be put there: no package, bucket, credentials or store that takes it.
    """
    if not is_url(name):
        return _plain(name)
    if name.rstrip("/") == source.rstrip("/"):
        raise ValueError(f"{shown(name)}: is the input itself; choose another output name")
    require_place(name)
    return str(_cache(name) / "out" / PurePosixPath(name.rstrip("/")).name) + ("/" if name.endswith("/") else "")


def require_place(name: str) -> None:
    """ValueError, before the work, where a URL takes nothing: no such bucket, no right to it, or a server to read from alone."""
    scheme = name.partition(":")[0]
    if scheme in ("http", "https"):
        raise ValueError(f"{shown(name)}: is for reading alone; name a place in a store, such as s3://bucket/folder")
    system, path = _system(name)
    with _told(name):
        _mark(system, path)  # of what is not there yet, too, a store says whether one may ask
        if scheme in BUCKETS and not system.exists(path.strip("/").partition("/")[0]):
            raise FileNotFoundError
        if scheme == "file":
            files.make_folder(path)


def upload(paths: Sequence[Path], name: str, is_folder: bool, force: bool, say: Callable[[str], object]) -> None:
    """Put finished files to a URL (any other name has them already); what the store has stays as it is.

    ValueError where another object is there, unless `force`.
    """
    if not is_url(name):
        return
    system, target = _system(name)
    for path in paths:
        place = f"{target.rstrip('/')}/{path.name}" if is_folder or name.endswith("/") else target
        note = path.with_name(f".{path.name}.uploaded")
        with _told(name):
            known, digest, there = note.read_text() if note.exists() else "", files.sha256(path), _mark(system, place)
            is_own = known.endswith(f" {there}")  # as it was left by the last upload
            if there and not is_own and not force and _digest(system, place) != digest:
                raise ValueError(f"{shown(name)}: {path.name} exists and was not made here; use --force to replace it")
            if there and (not is_own or known == f"{digest} {there}") and not force:
                note.write_text(f"{digest} {there}")
                say(f"{shown(name)}: has {path.name} already")
                continue
            _put(system, path, place, name)
            note.write_text(f"{digest} {_mark(system, place)}")
            say(f"{shown(name)}: {path.name} is there, {path.stat().st_size} bytes")


def _put(system: Any, path: Path, place: str, name: str) -> None:
    """Make a file an object, which appears at its end; ValueError where it did not arrive whole."""
    with system.transaction:  # a local file, or one in memory, appears at its end too
        with path.open("rb") as file, system.open(place, "wb", block_size=BLOCK_BYTES) as remote:
            while block := file.read(BLOCK_BYTES):
                remote.write(block)
    system.invalidate_cache()
    if system.size(place) != path.stat().st_size:
        raise ValueError(f"{shown(name)}: holds {system.size(place)} bytes after the upload; run the command again")


def back_up(paths: Sequence[Path], name: str, known: dict[str, str]) -> None:
    """Put files into a folder in a store, whatever was there, but for those whose content is `known` to be there."""
    system, target = _system(name)
    with _told(name):
        for path in paths:
            if known.get(path.name) != (digest := files.sha256(path)):
                _put(system, path, f"{target.rstrip('/')}/{path.name}", name)
                known[path.name] = digest


def holds(name: str, file: str) -> bool:
    """Whether there is a file of that name in a folder in a store."""
    system, target = _system(name)
    with _told(name):
        return bool(_mark(system, f"{target.rstrip('/')}/{file}"))


def open_at(url: str, offset: int) -> tuple[Any, int, str]:
    """(file at `offset`, bytes of the object, what changes when it does), for whoever streams; close it."""
    system, path = _system(url)
    with _told(url):
        size, mark = system.size(path), _mark(system, path)
        file = system.open(path, "rb", block_size=BLOCK_BYTES)
        file.seek(offset)
        return file, size, mark


def _fetch(system: Any, path: str, folder: Path, url: str) -> Path:
    """The copy of an object in `folder`, made anew where the object has changed; ValueError where it does meanwhile."""
    target, mark = folder / PurePosixPath(path).name, _mark(system, path)
    if not mark:
        raise FileNotFoundError
    note = target.with_name(f".{target.name}.mark")
    if target.exists() and note.exists() and note.read_text() == mark:
        return target
    with files.atomic_write(target) as file, system.open(path, "rb", block_size=BLOCK_BYTES) as remote:
        while block := remote.read(BLOCK_BYTES):
            file.write(block)
        system.invalidate_cache()
        if _mark(system, path) != mark:
            raise ValueError(f"{shown(url)}: {target.name} changed while it was read; run the command again")
    note.write_text(mark)
    return target


def needs(path: Path) -> Callable[[int, int], None]:
    """What has to be called with (start, end) before those bytes of a file are read or mapped."""
    blocks = _blocks.get(str(path))
    return blocks.need if blocks else lambda start, end: None


class Blocks:
    """An object read by range: what came of it lies in a file of its size, and a note says which blocks that are."""

    def __init__(self, system: Any, path: str, target: Path, url: str) -> None:
        self._system, self._path, self._target, self._url = system, path, target, url
        self._size, self._mark, self._lock = system.size(path), _mark(system, path), threading.Lock()
        self._note = target.with_name(f".{target.name}.blocks")
        head = hashlib.sha256(f"{self._mark} {RANGE_BYTES}".encode()).digest()
        files.make_folder(target.parent)
        with files.locked(target.with_name(f".{target.name}.lock")):  # another process of the run makes it too
            known = self._note.read_bytes() if target.exists() and self._note.exists() else b""
            if not known.startswith(head):
                known = head + bytes(-(-self._size // RANGE_BYTES))
                self._note.unlink(missing_ok=True)
                with files.atomic_write(target) as file:
                    file.truncate(self._size)
                with files.atomic_write(self._note) as file:
                    file.write(known)
        self._num_head, self._here = len(head), bytearray(known[len(head) :])

    def need(self, start: int, end: int) -> None:
        """Fetch what is missing of those bytes; ValueError where the object has changed since it was opened."""
        first, last = start // RANGE_BYTES, -(-min(end, self._size) // RANGE_BYTES)
        if self._here.find(0, first, last) < 0:
            return
        with self._lock, _told(self._url):
            while (at := self._here.find(0, first, last)) >= 0:
                stop = self._here.find(1, at, last)
                self._fetch(at, stop if stop >= 0 else last)

    def _fetch(self, at: int, stop: int) -> None:
        start, end = at * RANGE_BYTES, min(stop * RANGE_BYTES, self._size)
        data = self._system.cat_file(self._path, start=start, end=end)
        self._system.invalidate_cache()
        if len(data) != end - start or _mark(self._system, self._path) != self._mark:
            raise ValueError(
                f"{shown(self._url)}: {self._target.name} changed while it was read; run the command again"
            )
        here = b"\1" * (stop - at)
        for file, place, part in ((self._target, start, data), (self._note, self._num_head + at, here)):
            with file.open("r+b") as opened:
                opened.seek(place)
                opened.write(part)
            files.sync(file)  # what is noted is there, whatever happens
        self._here[at:stop] = here


def _open(system: Any, path: str, folder: Path, url: str) -> Path:
    """The place of an object that is read by range where it is a clip, else `_fetch`."""
    target = folder / PurePosixPath(path).name
    if target.suffix.lower() != ".y4m":
        return _fetch(system, path, folder, url)
    _blocks[str(target)] = Blocks(system, path, target, url)
    return target


_blocks: dict[str, Blocks] = {}


def _digest(system: Any, path: str) -> str:
    with system.open(path, "rb", block_size=BLOCK_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mark(system: Any, path: str) -> str:
    """What changes when an object does; empty where there is none."""
    with suppress(FileNotFoundError):
        about = system.info(path)
        return " ".join(str(about.get(key, "")) for key in ("size", "ETag", "etag", "mtime", "created", "LastModified"))
    return ""


def _cache(url: str) -> Path:
    return files.cache_folder("objects") / hashlib.sha256(url.encode()).hexdigest()[:20]


def _system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL and the path in it; ValueError where a package is missing."""
    try:
        import fsspec

        with _told(url):
            return fsspec.core.url_to_fs(url)
    except ImportError:
        package = PACKAGES.get(url.partition(":")[0], "fsspec")
        raise ValueError(
            f"{shown(url)}: needs a package that is not installed; run pip install fsspec {package}"
        ) from None


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors of a store in one sentence, without what it says of the request."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{shown(url)}: no such bucket or object; check the URL") from None
    except PermissionError as error:
        reason = str(error).partition("\n")[0][:100]
        raise ValueError(f"{shown(url)}: access denied ({reason}); check the credentials of this store") from None
    except (ValueError, ImportError, KeyboardInterrupt):
        raise
    except Exception as error:
        kind = type(error).__name__
        if "redential" in kind or "Token" in kind or "redential" in str(error):
            raise ValueError(
                f"{shown(url)}: no valid credentials ({kind}); set them as the store's own tools do"
            ) from None
        if isinstance(error, OSError) and error.filename is not None:
            raise  # of this machine's disk
        raise ValueError(f"{shown(url)}: the store failed ({kind}); run the command again later") from None

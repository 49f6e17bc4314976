"""What stands on this disk for the URLs of a command: copies of what it reads, and a place for what it makes.

Reading: an object, or the objects of a folder -> files in the user's cache, whole; a note says of which object each is, and
what is there already is not fetched again. Of clips to train on the blocks that are read, no others (`Blocks`).
Writing: files in the cache, which are put to their URL once the command has ended well. An object that was not made here
stays as it is. What is said names the URL.
"""

from __future__ import annotations

import hashlib
import re
import threading
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from youku import files, leftovers, stops, stores, urls
from youku.text_table import plural

RANGE_BYTES = 256 << 10  # of a clip to train on, fetched by the frame
RUNS = "runs"
AT_ONCE = 4  # objects; a store answers each slowly

# The arguments that name what a verb makes (of `degrade` the last of its paths too), and those of a folder that only this
# machine can hold.
MADE = {"target", "out", "save", "png"}
HERE = {"download": {"data"}, "train": {"runs"}, "demo": {"out"}, "doctor": {"data"}}
BESIDE = {"score": "submission", "report": "folders", "soup": "runs"}  # it lies there, without --out
GO_ON = ("predict", "degrade", "submit")  # with what they have made; the others make it anew


def stand_in(args: Namespace, given: dict[str, Any], verb: str, ends: ExitStack) -> dict[str, Path]:
    """Put paths in the place of the URLs that are `given` in `args`; for each of an output where it is made, until `ends`.

    ValueError for what the verb or the store does not take, before anything is fetched.
    """
    found = [(name, url) for name, value in given.items() for url in urls.texts(value) if urls.URL.match(url)]
    made = []
    for name, url in found:
        if name in HERE.get(verb, ()):
            raise ValueError(f"{urls.shown(url)}: {verb} goes on in that folder; name one of this machine")
        if name == BESIDE.get(verb) and not args.out:
            raise ValueError(f"{urls.shown(url)}: {verb} writes beside it, where it is no URL; add --out PLACE")
        if name in MADE or (name == "paths" and len(args.paths) > 1 and url == args.paths[-1]):
            made += [url] * urls.is_url(url)
    places = [PurePosixPath(url) for _, url in found]
    for url in made:
        if places.count(PurePosixPath(url)) > 1:
            raise ValueError(f"{urls.shown(url)}: is the input itself; choose another output name")
        if given.get("shard") and verb in ("score", "degrade"):
            raise ValueError(
                f"{urls.shown(url)}: the shards of {verb} meet in OUT; name a folder that all machines share"
            )
    stages = {url: _stage(url, verb, given.get("force"), ends) for url in made}
    paths = {url: str(stages.get(url) or local(url, is_deep=verb == "evaluate")) for _, url in found}
    paths |= {url: f"{path}/" for url, path in paths.items() if url.endswith("/")}
    for name, value in given.items():
        setattr(
            args, name, [paths.get(one, one) for one in value] if isinstance(value, list) else paths.get(value, value)
        )
    return stages


def local(name: str, by_range: bool = False, is_deep: bool = False) -> str:
    """The file or folder that stands for `name` here: itself, or the copy of what a URL names, `is_deep` with all below.

    With `by_range` the y4m clips of a folder are holes that `need` fills: for `video.y4m.Clip` alone.
    """
    if not urls.is_url(name):
        return urls.plain(name)
    is_page, (start, _, last) = name.startswith("http"), name.rstrip("/").rpartition("/")
    if re.search(r"%\d*d", last) and not is_page:  # pictures by number
        return f"{local(start)}/{last}"
    system, path = stores.system_of(name)
    place = PurePosixPath(path.partition("?")[0] if is_page else path)  # what signs a request names no file
    copy = _cache(name) / ("ranges" if by_range else "in") / place.name
    urls.call(copy, name)
    with stores.told(name):
        if (is_page and not name.endswith("/")) or not system.isdir(path):  # to ask a server of pages is to read it all
            return str(_fetch(system, path, copy, name))
        top = PurePosixPath(path)
        found = {copy / PurePosixPath(one).relative_to(top): one for one in system.find(path, None if is_deep else 1)}
        with stops.workers(AT_ONCE, "objects") as (pool, _):
            get = _open if by_range else _fetch
            stops.results([pool.submit(get, system, one, place, name) for place, one in found.items()], lambda: None)
        for gone in {*_files(files.make_folder(copy))} - found.keys():
            gone.unlink()  # it is no longer in the store
    return str(copy)


def _stage(url: str, verb: str, force: bool | None, ends: ExitStack) -> Path:
    """Where a verb makes what is put to a URL, holding what it may go on with; else each run has a place of its own.

    ValueError where nothing could be put there: no package, bucket, credentials or store that takes it, or another's object.
    """
    stores.require_place(url)
    system, target = stores.system_of(url)
    folder = _cache(url) / "out"
    if verb not in GO_ON:
        folder = ends.enter_context(files.temporary_folder(_cache(url) / RUNS / "run"))
    stage = folder / PurePosixPath(url).name
    urls.call(stage, url)
    with stores.told(url):
        for path in _files(folder):
            if _known(path)[0] and not stores.mark_of(system, _place(target, stage, path)):
                path.unlink()  # what is no longer in the store is made again
        if verb == "degrade" and system.isdir(target):  # it numbers pairs after those that are there
            for one in system.find(target):
                _fetch(system, one, stage / PurePosixPath(one).relative_to(target), url)
        if system.isfile(target):
            _is_there(system, stage, target, url, force)
    return stage


def put(url: str, stage: Path, force: bool | None) -> str:
    """Put what was made to its URL, and say so; ValueError where another object is there, unless `force`."""
    system, target = stores.system_of(url)
    made, num_put = _files(stage.parent), 0
    with stores.told(url):
        for path in made:
            place = _place(target, stage, path)
            if not _is_there(system, path, place, url, force):
                stores.put(system, path, place, url)
                _remember(path, stores.mark_of(system, place))
                num_put += 1
    others = f", {len(made) - num_put} there already" if num_put < len(made) else ""
    return f"{urls.shown(url)}: {plural(num_put, 'file')} put there{others}"


def _is_there(system: Any, path: Path, place: str, url: str, force: bool | None) -> bool:
    """Whether an object holds a file; ValueError where it is neither that nor what was put there from here, unless `force`."""
    there, (known, is_same) = stores.mark_of(system, place), _known(path)
    if there and there != known and not force:
        if not path.exists() or stores.digest_of(system, place) != files.sha256(path):
            advice = "remove it or choose another name" if force is None else "use --force to replace it"
            raise ValueError(f"{urls.shown(url)}: {path.name} exists and was not made here; {advice}")
        _remember(path, there)
        return True
    return bool(there) and there == known and is_same


def _files(folder: Path) -> list[Path]:
    """What lies below a folder of the cache, without what is hidden."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _place(target: str, stage: Path, path: Path) -> str:
    """The object of a file on a stage."""
    return str(PurePosixPath(target).parent / path.relative_to(stage.parent).as_posix())


def _fetch(system: Any, path: str, target: Path, url: str) -> Path:
    """The copy of an object, made anew where either has changed; ValueError where the object does meanwhile."""
    mark = stores.mark_of(system, path)
    if not mark:
        raise FileNotFoundError
    if _known(target) == (mark, True):
        return target
    with files.atomic_write(target) as file, system.open(path, "rb", block_size=stores.BLOCK_BYTES) as remote:
        while block := remote.read(stores.BLOCK_BYTES):
            file.write(block)
        system.invalidate_cache()
        if stores.mark_of(system, path) != mark:
            raise ValueError(f"{urls.shown(url)}: {target.name} changed while it was read; run the command again")
    _remember(target, mark)
    return target


def _known(path: Path) -> tuple[str, bool]:
    """What was noted of the object that a file was the same as, "" for none, and whether the file is as it was then."""
    if not (note := _note(path)).exists():
        return "", False
    mark, _, stamp = note.read_text().rpartition("\n")
    return mark, path.exists() and files.stamp(path) == stamp


def _remember(path: Path, mark: str) -> None:
    files.make_folder(_note(path).parent)
    _note(path).write_text(f"{mark}\n{files.stamp(path)}")


def _note(path: Path) -> Path:
    """It outlives the folder of the run that made the file."""
    cache = files.cache_folder("objects")
    key, kind, *parts = path.relative_to(cache).parts
    return cache.joinpath("notes", key, kind, *(parts[1:] if kind == RUNS else parts))


class Blocks:
    """An object read by range: what came of it lies in a file of its size, and a note says which blocks that are."""

    def __init__(self, system: Any, path: str, target: Path, url: str) -> None:
        self._system, self._path, self._target, self._url = system, path, target, url
        self._size, self._mark, self._lock = system.size(path), stores.mark_of(system, path), threading.Lock()
        self._note = target.with_name(f".{target.name}.blocks")
        head = hashlib.sha256(f"{self._mark} {RANGE_BYTES}".encode()).digest()
        files.make_folder(target.parent)
        with leftovers.locked(target.with_name(f".{target.name}.lock")):  # another process of the run makes it too
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
        with self._lock, stores.told(self._url):
            while (at := self._here.find(0, first, last)) >= 0:
                stop = self._here.find(1, at, last)
                self._fetch(at, stop if stop >= 0 else last)

    def _fetch(self, at: int, stop: int) -> None:
        start, end = at * RANGE_BYTES, min(stop * RANGE_BYTES, self._size)
        data = self._system.cat_file(self._path, start=start, end=end)
        self._system.invalidate_cache()
        if len(data) != end - start or stores.mark_of(self._system, self._path) != self._mark:
            raise ValueError(
                f"{urls.shown(self._url)}: {self._target.name} changed while it was read; run the command again"
            )
        here = b"\1" * (stop - at)
        for file, place, part in ((self._target, start, data), (self._note, self._num_head + at, here)):
            with file.open("r+b") as opened:
                opened.seek(place)
                opened.write(part)
            files.sync(file)  # what is noted is there, whatever happens
        self._here[at:stop] = here


def _open(system: Any, path: str, target: Path, url: str) -> Path:
    """The place of an object that is read by range where it is a clip, else `_fetch`."""
    if target.suffix.lower() != ".y4m":
        return _fetch(system, path, target, url)
    urls.read_by_range(target, Blocks(system, path, target, url).need)
    return target


def _cache(url: str) -> Path:
    return files.cache_folder("objects") / hashlib.sha256(str(PurePosixPath(url)).encode()).hexdigest()[:20]

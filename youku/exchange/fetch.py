"""Fetch one URL into one file, resumable at any byte, never spliced from two versions, absent until whole.

URL (http, https, file) -> FILE, by way of FILE.part (the bytes so far, written unbuffered in blocks, so a kill loses
at most the block in flight) and FILE.part.json (the version of the remote file that those bytes belong to).
A break resumes at its byte (`objects`); a changed remote file, a server without ranges, one that sends other bytes than
before, or one that names no version (neither a strong ETag nor Last-Modified) starts anew. A part that is a whole zip by
every check is whole, however long the server calls it. A web page or an empty answer in place of the file is said in
words and costs nothing of the part. A FILE that is there already is set aside as FILE.unusable, once the new one is whole.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import requests

from youku.exchange import objects, zips
from youku.exchange.objects import Body, Broken, Busy, FetchError, Revision
from youku.files import make_folder, recall, write_json
from youku.video.segments import write_back

BLOCK_BYTES = 256 << 10  # at most; what has arrived is written at once (1 MiB costs page faults: 0.6x the speed)
HEAD_BYTES = 64  # of a file: two files, or two places of one, do not agree in them
MAX_PAUSE_SEC = 60  # also where a server asks for more with Retry-After
NOTE = {"url": str, "validator": str, "total_bytes": (int, None)}
PLAIN_TEXT = re.compile(rb"[\t\r\n -~]{1,1000}")  # such as a store's refusal
PAGE_TITLE = re.compile(rb"<(?:title|Code)[^>]*>([^<]{1,80})<", re.IGNORECASE)


class Stopped(Exception):
    """The caller's stop event was set; the part stays for the next run."""


def aside_path(path: str | Path) -> Path:
    """Where a file goes that could not be used."""
    return Path(f"{path}.unusable")


def part_path(path: str | Path) -> Path:
    """Where the bytes of an unfinished `path` lie."""
    return Path(f"{path}.part")


def fetch(
    url: str,
    path: str | Path,
    *,
    retries: int = 5,
    backoff_sec: float = 0.5,
    on_bytes: Callable[[int, int | None], None] = lambda have, total: None,
    stop: threading.Event | None = None,
) -> None:
    """Bring `url` to `path`, going on from an earlier part; `on_bytes(have, total)` after every block.

    Gives up after `retries` broken connections in a row that brought nothing new. FetchError, Stopped, OSError.
    """
    path, stop = Path(path), stop or threading.Event()
    make_folder(path.parent)
    with _open_part(part_path(path)) as part, objects.make_session(backoff_sec) as session:
        failures, furthest, broken = 0, -1, None
        while True:
            is_whole = isinstance(broken, Busy) and failures == retries  # the last try asks for no range
            try:
                if _transfer(session, url, part, on_bytes, stop, first=furthest < 0, is_whole=is_whole):
                    break
                broken = None
            except Broken as error:
                broken = error
                if _is_whole_zip(Path(part.name)):  # it may be shorter than the server says
                    break
            have = part.seek(0, os.SEEK_END)
            failures = failures + 1 if have <= furthest else int(broken is not None)  # a range may be short by design
            furthest = max(have, furthest)
            if failures > retries:
                reason = (
                    f"the connection broke {failures} times in a row at byte {have} ({broken or 'nothing new came'})"
                )
                raise FetchError(url, reason, dead=False)
            pause_sec = max(broken.pause_sec, backoff_sec * 2 ** (failures - 1)) if broken else 0
            if stop.wait(min(MAX_PAUSE_SEC, pause_sec)):
                raise Stopped
        os.fsync(part.fileno())
        if path.exists():
            path.replace(aside_path(path))
        Path(part.name).replace(path)
        _note_path(part).unlink(missing_ok=True)


def forget(path: str | Path) -> None:
    """Remove the note of a whole `path` that a kill right after its renaming left."""
    if Path(path).exists() and not part_path(path).exists():
        Path(f"{part_path(path)}.json").unlink(missing_ok=True)


def _transfer(
    session: requests.Session,
    url: str,
    part: BinaryIO,
    on_bytes: Callable[[int, int | None], None],
    stop: threading.Event,
    first: bool,
    is_whole: bool,
) -> bool:
    """One connection's worth: append to `part` what is missing, or begin anew where `is_whole`.

    False where only a range came, Broken where less did.
    """
    revision, have = _read_note(part, url), part.seek(0, os.SEEK_END)
    if have and have == revision.total_bytes:  # killed between the last block and the rename
        return True
    offset = have if revision.validator and have < (revision.total_bytes or have + 1) and not is_whole else 0
    with closing(objects.read(session, url, offset, revision, first)) as body:
        block = _first_block(url, body, part)
        if body.start == 0:
            _start_anew(part, body.revision)
        have, total = body.start, body.revision.total_bytes
        on_bytes(have, total)
        written_back = have
        while block:
            _write(part, block)
            have += len(block)
            written_back = write_back(part, written_back, have)
            on_bytes(have, total)
            if stop.is_set():
                raise Stopped
            block = body.read(BLOCK_BYTES)
    if body.end not in (None, have):
        raise Broken(f"expected {body.end} bytes, got {have}")
    return total in (None, have)


def _first_block(url: str, body: Body, part: BinaryIO) -> bytes:
    """What comes first, before anything is given up for it; FetchError where it is not of the file."""
    if body.start:
        return _rest(body, part)
    block = body.read(BLOCK_BYTES)
    head = block.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] in (b"<", b"{") or (body.end == len(block) and PLAIN_TEXT.fullmatch(head)):  # more may come after "PK"
        title = PAGE_TITLE.search(block) or (head[:1] != b"<" and re.search(rb"(.{1,80})", head))
        words = f' ("{" ".join(title[1].decode(errors="replace").split())}")' if title else ""
        raise FetchError(
            url, f"the server sent a page{words} in place of the file; a login or an error, see it in a browser"
        )
    if not block:
        raise FetchError(url, "the server sent an empty file")
    if body.packing and not block.startswith(b"PK"):  # zips are fetched; "none" and the like pack nothing
        raise FetchError(url, f"the server sent it packed by {body.packing}, not plain as asked, nor by gzip")
    return block


def _rest(body: Body, part: BinaryIO) -> bytes:
    """The first block behind the part; Broken where the server sends other bytes than before, and the part is given up."""
    is_same = True
    with open(part.name, "rb") as file:
        start = file.read(min(HEAD_BYTES, body.start))
        file.seek(body.start - body.before)
        while is_same and (left := body.start - file.tell()) and (block := body.read(min(left, BLOCK_BYTES))):
            is_same = block == file.read(len(block))
    block = body.read(BLOCK_BYTES)
    if not is_same or (len(start) == HEAD_BYTES and block.startswith(start)):
        _note_path(part).unlink(missing_ok=True)  # without its note the part is not gone on with
        raise Broken("the server sends other bytes than before")
    return block


def _is_whole_zip(part: Path) -> bool:
    """Whether it is a zip from its first byte on, of safe members which all are what their CRCs are of."""
    try:
        with zips.open_zip(part) as bundle:
            infos = bundle.infolist()
            if zips.unsafe_members(bundle) or 0 not in [info.header_offset for info in infos]:
                return False
            for info in infos:
                with suppress(zips.ForeignZip), zips.open_member(bundle, info) as member:
                    while member.read(BLOCK_BYTES):
                        pass
    except zips.DamagedZip:
        return False
    return True


@contextmanager
def _open_part(path: Path) -> Iterator[BinaryIO]:
    """The part file for appending, unbuffered, ours alone; ValueError while another process fetches it."""
    with path.open("ab", buffering=0) as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(part.fileno()), path.stat()):
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise ValueError(f"{path}: another download is writing it; wait for that one to end") from None
        try:
            yield part
        except FetchError:
            if part.seek(0, os.SEEK_END) == 0:
                path.unlink()
                _note_path(part).unlink(missing_ok=True)
            raise


def _write(part: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    try:
        while view:
            view = view[part.write(view) :]
    except OSError as error:
        error.filename = part.name
        raise


def _start_anew(part: BinaryIO, revision: Revision) -> None:
    """Empty the part before its note changes: at no moment does a note speak of another revision's bytes."""
    _note_path(part).unlink(missing_ok=True)
    if part.seek(0, os.SEEK_END):
        part.truncate(0)
        os.fsync(part.fileno())
    write_json(_note_path(part), asdict(revision))


def _note_path(part: BinaryIO) -> Path:
    return Path(f"{part.name}.json")


def _read_note(part: BinaryIO, url: str) -> Revision:
    """What the part belongs to; an absent or damaged note, or another URL's, means: nothing that can be resumed."""
    note = recall(_note_path(part), NOTE)
    return Revision(url, note["validator"], note["total_bytes"]) if note and note["url"] == url else Revision(url)

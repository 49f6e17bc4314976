"""Fetch one URL into one file, resumable at any byte, never spliced from two versions, absent until whole.

URL (http, https, file) -> FILE, by way of FILE.part (the bytes so far, written unbuffered in blocks, so a kill loses
at most the block in flight) and FILE.part.json (the version of the remote file that those bytes belong to).
A break resumes with `Range` and `If-Range`; a changed remote file, a server without ranges, or one that names no
version (neither a strong ETag nor Last-Modified) starts anew.

Source: RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14.4 (Content-Range).
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3

from youku.files import make_folder, read_json, write_json

BLOCK_BYTES = 256 << 10  # at most; what has arrived is written at once (1 MiB costs page faults: 0.6x the speed)
WRITE_BACK_BYTES = 16 << 20  # handed to the disk early, so that the closing fsync has little left to wait for
TIMEOUT_SEC = (10, 60)  # to connect, between two packets
MAX_PAUSE_SEC = 60
_PLAIN = {"Accept-Encoding": "identity"}  # lengths and ranges must count the file's own bytes
_BUSY = (429, 500, 502, 503, 504)  # asked again, after Retry-After where the server says so


class FetchError(ValueError):
    """A file that cannot be had; `reason` leaves the URL out, `dead` means that asking again will not help."""

    def __init__(self, url: str, reason: str, dead: bool = True, unreachable: bool = False) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason, self.dead, self.unreachable = reason, dead, unreachable


class Stopped(Exception):
    """The caller's stop event was set; the part stays for the next run."""


class _Broken(Exception):
    """The connection ended before the file did; worth another try."""


@dataclass(frozen=True)
class _Version:
    """What remote file a part belongs to; an empty validator means that it cannot be resumed."""

    url: str
    validator: str = ""
    total_bytes: int | None = None


@dataclass(frozen=True)
class _Body:
    """An open answer: bytes from `start` on, of the file `version`; `read(n)` gives b"" at its end."""

    start: int
    version: _Version
    read: Callable[[int], bytes]
    close: Callable[[], None]


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
    with _open_part(part_path(path)) as part, make_session(retries, backoff_sec) as session:
        failures, furthest = 0, -1
        while True:
            try:
                _transfer(session, url, part, on_bytes, stop, first=furthest < 0)
                break
            except _Broken as error:
                have = part.seek(0, os.SEEK_END)
                failures = 1 if have > furthest else failures + 1
                furthest = max(have, furthest)
                if failures > retries:
                    reason = f"the connection broke {failures} times in a row at byte {have} ({error})"
                    raise FetchError(url, reason, dead=False) from None
            if stop.wait(min(MAX_PAUSE_SEC, backoff_sec * 2 ** (failures - 1))):
                raise Stopped
        os.fsync(part.fileno())
        Path(part.name).replace(path)
        _note_path(part).unlink(missing_ok=True)


def probe(session: requests.Session, url: str) -> int | None:
    """Size in bytes without fetching, None where the server does not say; FetchError where the file cannot be had."""
    if urlsplit(url).scheme == "file":
        with closing(_open_file(url, 0, _Version(url))) as body:
            return body.version.total_bytes
    try:
        answer = session.head(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT_SEC, allow_redirects=True)
    except requests.RequestException as error:
        raise _unreachable(url, error) from None
    if answer.status_code in (403, 405, 501):  # some servers sign or allow GET alone: let the transfer find out
        return None
    if not answer.ok:
        raise _refused(url, answer)
    return _whole_number(answer.headers.get("Content-Length"))


def make_session(retries: int = 5, backoff_sec: float = 0.5) -> requests.Session:
    """A session that asks again when a server is busy or does not pick up; breaks in a body are fetch's own matter."""
    retry = urllib3.Retry(None, connect=min(retries, 2), read=0, redirect=10, status=retries, other=0)
    retry = retry.new(backoff_factor=backoff_sec, status_forcelist=_BUSY, raise_on_status=False)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def _transfer(
    session: requests.Session,
    url: str,
    part: BinaryIO,
    on_bytes: Callable[[int, int | None], None],
    stop: threading.Event,
    first: bool,
) -> None:
    """One connection's worth: append to `part` what is missing; _Broken when the end did not come."""
    version, have = _read_note(part, url), part.seek(0, os.SEEK_END)
    if have and have == version.total_bytes:  # killed between the last block and the rename
        return
    offset = have if version.validator and have < (version.total_bytes or have + 1) else 0
    with closing(_open(session, url, offset, version, first)) as body:
        if body.start == 0:
            _start_anew(part, body.version)
        have, total = body.start, body.version.total_bytes
        on_bytes(have, total)
        written_back = have
        while block := body.read(BLOCK_BYTES):
            _write(part, block)
            have += len(block)
            if have - written_back >= WRITE_BACK_BYTES:
                _write_back(part, written_back, have)
                written_back = have
            on_bytes(have, total)
            if stop.is_set():
                raise Stopped
    if total is not None and have != total:
        raise _Broken(f"expected {total} bytes, got {have}")


def _open(session: requests.Session, url: str, offset: int, version: _Version, first: bool) -> _Body:
    """Only the first try takes an unreachable host for dead: later on, the network is away for a while."""
    if urlsplit(url).scheme == "file":
        return _open_file(url, offset, version)
    try:
        return _open_http(session, url, offset, version)
    except requests.RequestException as error:
        failure = _unreachable(url, error)
        if first and failure.dead:
            raise failure from None
        raise _Broken(failure.reason) from None


def _open_http(session: requests.Session, url: str, offset: int, version: _Version) -> _Body:
    headers = _PLAIN | ({"Range": f"bytes={offset}-", "If-Range": version.validator} if offset else {})
    answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SEC)
    start, end, total = _content_range(answer)
    same = _validator(answer) in ("", version.validator) and version.total_bytes in (None, total)
    if offset and answer.status_code == 416 and total == offset and same:
        return _Body(offset, version, lambda _: b"", answer.close)
    if offset and answer.status_code == 206 and start == offset and same and end == total:
        return _Body(offset, _Version(url, version.validator, total), _reader(answer), answer.close)
    if answer.status_code == 200:  # ranges ignored, or the file changed (that is what If-Range asks for)
        total = _whole_number(answer.headers.get("Content-Length"))
        return _Body(0, _Version(url, _validator(answer), total), _reader(answer), answer.close)
    answer.close()
    if offset and answer.status_code in (206, 412, 416):  # a part of something else: never splice
        return _open_http(session, url, 0, _Version(url))
    raise _refused(url, answer)


def _reader(answer: requests.Response) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        try:
            return answer.raw.read1(count, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise _Broken(type(error).__name__) from None

    return read


def _open_file(url: str, offset: int, version: _Version) -> _Body:
    """A file:// URL, with size and time of change as its validator."""
    source = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        file = source.open("rb")
    except OSError as error:
        raise FetchError(url, f"cannot be read ({error.strerror})") from None
    stat = os.fstat(file.fileno())
    found = _Version(url, f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size)
    start = file.seek(offset if found == version else 0)
    return _Body(start, found, file.read, file.close)


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


def _write_back(part: BinaryIO, start: int, end: int) -> None:
    """Ask Linux to begin writing these bytes to disk (measured: a 512 MB fetch spends 0.2 s less in fsync)."""
    if sys.platform == "linux":
        os.posix_fadvise(part.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _start_anew(part: BinaryIO, version: _Version) -> None:
    """Empty the part before its note changes: at no moment does a note speak of another version's bytes."""
    _note_path(part).unlink(missing_ok=True)
    if part.seek(0, os.SEEK_END):
        part.truncate(0)
        os.fsync(part.fileno())
    write_json(_note_path(part), asdict(version))


def _note_path(part: BinaryIO) -> Path:
    return Path(f"{part.name}.json")


def _read_note(part: BinaryIO, url: str) -> _Version:
    """What the part belongs to; an absent or damaged note, or another URL's, means: nothing that can be resumed."""
    try:
        version = _Version(**read_json(_note_path(part)))
    except (FileNotFoundError, ValueError, TypeError):
        return _Version(url)
    return version if version.url == url else _Version(url)


def _validator(answer: requests.Response) -> str:
    """A strong ETag, else Last-Modified, else ""; a weak ETag may not guard a range."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _content_range(answer: requests.Response) -> tuple[int | None, int | None, int | None]:
    """(start, end (exclusive), total) of "bytes 5-9/10" and "bytes */10"; None for what is not said."""
    match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", answer.headers.get("Content-Range", ""))
    if not match:
        return None, None, None
    return _whole_number(match[1]), int(match[2]) + 1 if match[2] else None, int(match[3])


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _refused(url: str, answer: requests.Response) -> FetchError:
    return FetchError(url, f"the server answered {answer.status_code} {answer.reason}", answer.status_code not in _BUSY)


def _unreachable(url: str, error: requests.RequestException) -> FetchError:
    """Why a host gave no answer, in words; not dead where it answered the call and then fell silent."""
    host, cause = urlsplit(url).netloc, error.args[0] if error.args else error
    if isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason:
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return FetchError(url, f"the host name {host} is not known (no network, or the host is gone)", unreachable=True)
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return FetchError(url, f"{host} refused the connection or cannot be reached ({cause})", unreachable=True)
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return FetchError(url, f"{host} did not answer within {TIMEOUT_SEC[0]} s", unreachable=True)
    if isinstance(
        error, requests.exceptions.ProxyError | requests.exceptions.SSLError | requests.exceptions.InvalidURL
    ):
        return FetchError(url, f"{host} cannot be reached ({cause})", unreachable=True)
    return FetchError(url, f"{host} broke off before it answered ({type(cause).__name__})", dead=False)

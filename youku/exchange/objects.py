"""Remote objects by URL, the one place that knows schemes: how large an object is, and its bytes from any place on.

URL (http, https, file) -> size, or an open Body of one Revision of the object. `fetch` makes whole files of them; what
is read or written elsewhere some day gets its scheme here.

Source: RFC 9110 sections 8.8 (validators), 13.1.5 (If-Range), 14.4 (Content-Range).
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

SCHEMES = ("http", "https", "file")
TIMEOUT_SEC = (10, 60)  # to connect, between two packets
_PLAIN = {"Accept-Encoding": "identity"}  # lengths and ranges must count the object's own bytes
_BUSY = (429, 500, 502, 503, 504)  # asked again, after Retry-After where the server says so


class FetchError(ValueError):
    """A file that cannot be had; `reason` leaves the URL out, `dead` means that asking again will not help."""

    def __init__(self, url: str, reason: str, dead: bool = True, unreachable: bool = False) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason, self.dead, self.unreachable = reason, dead, unreachable


class Broken(Exception):
    """The connection ended before the file did; worth another try."""


@dataclass(frozen=True)
class Revision:
    """Which state of an object bytes belong to; an empty validator means that it cannot be resumed."""

    url: str
    validator: str = ""
    total_bytes: int | None = None


@dataclass(frozen=True)
class Body:
    """An open answer: bytes from `start` on, of that revision; `read(n)` gives b"" at its end."""

    start: int
    revision: Revision
    read: Callable[[int], bytes]
    close: Callable[[], None]


def make_session(retries: int = 5, backoff_sec: float = 0.5) -> requests.Session:
    """A session that asks again when a server is busy or does not pick up; breaks in a body are fetch's own matter."""
    retry = urllib3.Retry(None, connect=min(retries, 2), read=0, redirect=10, status=retries, other=0)
    retry = retry.new(backoff_factor=backoff_sec, status_forcelist=_BUSY, raise_on_status=False)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def size_of(session: requests.Session, url: str) -> int | None:
    """Size in bytes without fetching, None where the server does not say; FetchError where the file cannot be had."""
    if urlsplit(url).scheme == "file":
        with closing(_open_file(url, 0, Revision(url))) as body:
            return body.revision.total_bytes
    try:
        answer = session.head(url, headers=_PLAIN, timeout=TIMEOUT_SEC, allow_redirects=True)
    except requests.RequestException as error:
        raise _unreachable(url, error) from None
    if answer.status_code in (403, 405, 501):  # some servers sign or allow GET alone: let the transfer find out
        return None
    if not answer.ok:
        raise _refused(url, answer)
    return _whole_number(answer.headers.get("Content-Length"))


def read(session: requests.Session, url: str, offset: int, revision: Revision, first: bool) -> Body:
    """The object's bytes from `offset` on where it is still that revision, else from 0; Broken is worth another try.

    Only the `first` try takes an unreachable host for dead: later on, the network is away for a while.
    """
    if urlsplit(url).scheme == "file":
        return _open_file(url, offset, revision)
    try:
        return _open_http(session, url, offset, revision)
    except requests.RequestException as error:
        failure = _unreachable(url, error)
        if first and failure.dead:
            raise failure from None
        raise Broken(failure.reason) from None


def _open_http(session: requests.Session, url: str, offset: int, revision: Revision) -> Body:
    headers = _PLAIN | ({"Range": f"bytes={offset}-", "If-Range": revision.validator} if offset else {})
    answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SEC)
    start, end, total = _content_range(answer)
    same = _validator(answer) in ("", revision.validator) and revision.total_bytes in (None, total)
    if offset and answer.status_code == 416 and total == offset and same:
        return Body(offset, revision, lambda _: b"", answer.close)
    if offset and answer.status_code == 206 and start == offset and same and end == total:
        return Body(offset, Revision(url, revision.validator, total), _reader(answer), answer.close)
    if answer.status_code == 200:  # ranges ignored, or the file changed (that is what If-Range asks for)
        total = _whole_number(answer.headers.get("Content-Length"))
        return Body(0, Revision(url, _validator(answer), total), _reader(answer), answer.close)
    answer.close()
    if offset and answer.status_code in (206, 412, 416):  # a part of something else: never splice
        return _open_http(session, url, 0, Revision(url))
    raise _refused(url, answer)


def _reader(answer: requests.Response) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        try:
            return answer.raw.read1(count, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise Broken(type(error).__name__) from None

    return read


def _open_file(url: str, offset: int, revision: Revision) -> Body:
    """A file:// URL, with size and time of change as its validator."""
    source = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        file = source.open("rb")
    except OSError as error:
        raise FetchError(url, f"cannot be read ({error.strerror})") from None
    stat = os.fstat(file.fileno())
    found = Revision(url, f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size)
    start = file.seek(offset if found == revision else 0)
    return Body(start, found, file.read, file.close)


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

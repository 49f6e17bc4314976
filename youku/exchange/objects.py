"""Remote objects by URL, the one place that knows schemes: how large an object is, and its bytes from any place on.

URL (http, https, file, or of a store) -> size, or an open Body of one Revision. `fetch` makes whole files; what
is read or written elsewhere some day gets its scheme here. A range is believed where the answer says that it begins
where asked or before, belongs to that revision and is as long as it says; it may be shorter than asked. Any other answer
to a range, also a refusal, leads to the whole object. A body in another Content-Encoding is decoded, where that can be
done, and never resumed.

Source: RFC 9110 sections 8.4 (Content-Encoding), 8.8 (validators), 10.2.3 (Retry-After), 13.1.5 (If-Range), 14.4
(Content-Range).
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

from youku import files, urls

SCHEMES = ("file", *urls.SCHEMES)
TIMEOUT_SEC = (10, 60)  # to connect, between two packets
_PLAIN = {"Accept-Encoding": "identity"}  # lengths and ranges must count the object's own bytes
_BUSY = (429, 500, 502, 503, 504)  # asked again, after Retry-After where the server says so
_HOPELESS = (requests.exceptions.ProxyError, requests.exceptions.SSLError)


class FetchError(ValueError):
    """A file that cannot be had; `reason` leaves the URL out, `dead` means that asking again will not help."""

    def __init__(self, url: str, reason: str, dead: bool = True, unreachable: bool = False) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason, self.dead, self.unreachable = reason, dead, unreachable


class Broken(Exception):
    """The connection ended before the file did; worth another try, after `pause_sec` where the server says so."""

    def __init__(self, reason: str, pause_sec: float = 0) -> None:
        super().__init__(reason)
        self.pause_sec = pause_sec


class Busy(Broken):
    """The server answered that it could not; some do so to every range."""


@dataclass(frozen=True)
class Revision:
    """Which state of an object bytes belong to; an empty validator means that it cannot be resumed."""

    url: str
    validator: str = ""
    total_bytes: int | None = None


@dataclass(frozen=True)
class Body:
    """An open answer: bytes from `start` to `end` (None: of the object), of that revision; `read(n)` gives b"" at its end.

    `read` first gives as many as the server sends `before` the start.
    """

    start: int
    end: int | None
    revision: Revision
    read: Callable[[int], bytes]
    close: Callable[[], None]
    packing: str = ""
    """A Content-Encoding that is not undone, as nothing here knows it."""
    before: int = 0


def make_session(backoff_sec: float = 0.5) -> requests.Session:
    """A session that tries twice to connect; all else that is worth another try is fetch's own matter."""
    retry = urllib3.Retry(None, connect=2, read=0, redirect=10, status=0, other=0, backoff_factor=backoff_sec)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def size_of(session: requests.Session, url: str) -> int | None:
    """Size in bytes without fetching, None where the server does not say; FetchError where the file cannot be had."""
    try:
        if opener := _opener(url):
            with closing(opener(url, 0, Revision(url))) as body:
                return body.revision.total_bytes
        answer = session.head(url, headers=_PLAIN, timeout=TIMEOUT_SEC, allow_redirects=True)
    except FetchError:
        raise
    except (requests.RequestException, ValueError) as error:  # the latter for an address that is none
        raise _unreachable(url, error) from None
    if answer.status_code in (403, 405, 501, *_BUSY):  # some servers sign or allow GET alone: the transfer finds out
        return None
    if not answer.ok:
        raise _refused(url, answer)
    return None if _is_encoded(answer) else _whole_number(answer.headers.get("Content-Length"))


def read(session: requests.Session, url: str, offset: int, revision: Revision, first: bool) -> Body:
    """The object's bytes from `offset` on where it is still that revision, else from 0; Broken is worth another try.

    Only the `first` try takes an unreachable host for dead: later on, the network is away for a while.
    """
    try:
        opener = _opener(url)
        return opener(url, offset, revision) if opener else _open_http(session, url, offset, revision)
    except FetchError:
        raise
    except (requests.RequestException, ValueError) as error:  # the latter for an address that is none
        failure = _unreachable(url, error)
        if first and failure.dead:
            raise failure from None
        raise Broken(failure.reason) from None


def _open_http(session: requests.Session, url: str, offset: int, revision: Revision) -> Body:
    headers = _PLAIN | ({"Range": f"bytes={offset}-", "If-Range": revision.validator} if offset else {})
    answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SEC)
    start, end, total = _content_range(answer)
    length = _whole_number(answer.headers.get("Content-Length"))
    total = revision.total_bytes if total is None else total
    same = _validator(answer) in ("", revision.validator) and revision.total_bytes in (None, total)
    if offset and answer.status_code == 416 and total == offset and same:
        return Body(offset, offset, revision, lambda _: b"", answer.close)
    begin = start or 0  # without one there is no end
    fits = (
        end and total and begin <= offset < end <= total and length in (None, end - begin) and not _is_encoded(answer)
    )
    if offset and answer.status_code == 206 and same and fits:
        found = Revision(url, revision.validator, total)
        return Body(offset, end, found, _reader(answer), answer.close, before=offset - begin)
    if answer.status_code == 200:  # ranges ignored, or the file changed (that is what If-Range asks for)
        if _is_encoded(answer):
            return Body(0, None, Revision(url), _reader(answer), answer.close, _unknown(answer))
        return Body(0, length, Revision(url, _validator(answer), length), _reader(answer), answer.close)
    answer.close()
    if answer.status_code in _BUSY:
        reason = f"the server answered {answer.status_code} {answer.reason}"
        raise Busy(reason, _whole_number(answer.headers.get("Retry-After")) or 0)
    if offset:  # a part of something else, or no ranges at all: never splice
        return _open_http(session, url, 0, Revision(url))
    raise _refused(url, answer)


def _is_encoded(answer: requests.Response) -> bool:
    """Sent in another form in spite of what was asked: its lengths and ranges are not those of the object."""
    return answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def _unknown(answer: requests.Response) -> str:
    """The codings that urllib3 has no decoder for, as br and zstd without their packages: it hands such bytes on."""
    codings = answer.headers.get("Content-Encoding", "").lower().replace(" ", "").split(",")
    return files.printable(", ".join(coding for coding in codings if coding not in answer.raw.CONTENT_DECODERS))


def _reader(answer: requests.Response) -> Callable[[int], bytes]:
    encoded = _is_encoded(answer) and not _unknown(answer)

    def read(count: int) -> bytes:
        try:
            return answer.raw.read1(count, decode_content=encoded)
        except urllib3.exceptions.HTTPError as error:
            raise Broken(type(error).__name__) from None

    return read


def _opener(url: str) -> Callable[[str, int, Revision], Body] | None:
    """What opens a URL that is not of HTTP."""
    scheme = urlsplit(url).scheme
    return None if scheme in ("http", "https") else _open_file if scheme == "file" else _open_stored


def _open_stored(url: str, offset: int, revision: Revision) -> Body:
    """An object of a store that fsspec opens; where it is another than before, from its beginning."""
    from youku import stores

    try:
        file, total_bytes, validator = stores.opened(url)
    except ValueError as error:
        raise FetchError(url, str(error).removeprefix(f"{urls.shown(url)}: ")) from None
    found = Revision(url, validator, total_bytes)

    def read(count: int) -> bytes:
        try:
            return file.read(count)
        except Exception as error:  # the store's own kinds
            raise Broken(type(error).__name__) from None

    return Body(file.seek(offset if found == revision else 0), total_bytes, found, read, file.close)


def _open_file(url: str, offset: int, revision: Revision) -> Body:
    """A file:// URL, with size and time of change as its validator."""
    source = Path(urllib.request.url2pathname(urlsplit(url).path))
    try:
        file = source.open("rb")
    except OSError as error:
        told = next((f", as {place} is not there" for place in reversed(source.parents) if not place.exists()), "")
        raise FetchError(url, f"cannot be read ({error.strerror}{told})") from None
    stat = os.fstat(file.fileno())
    found = Revision(url, f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_size)
    start = file.seek(offset if found == revision else 0)
    return Body(start, stat.st_size, found, file.read, file.close)


def _validator(answer: requests.Response) -> str:
    """A strong ETag, else Last-Modified, else ""; a weak ETag may not guard a range."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _content_range(answer: requests.Response) -> tuple[int | None, int | None, int | None]:
    """(start, end (exclusive), total) of "bytes 5-9/10", "bytes 5-9/*" and "bytes */10"; None for what is not said."""
    match = re.fullmatch(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", answer.headers.get("Content-Range", ""))
    if not match:
        return None, None, None
    return _whole_number(match[1]), int(match[2]) + 1 if match[2] else None, _whole_number(match[3])


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _refused(url: str, answer: requests.Response) -> FetchError:
    return FetchError(url, f"the server answered {answer.status_code} {answer.reason}")


def _unreachable(url: str, error: requests.RequestException | ValueError) -> FetchError:
    """Why a host gave no answer, in words; not dead where it answered the call and then fell silent."""
    cause = error.args[0] if error.args else error
    if isinstance(error, requests.TooManyRedirects | ValueError):  # of requests' own kinds those of addresses
        return FetchError(url, f"leads to no file ({cause})", unreachable=True)
    host = urlsplit(url).netloc
    if isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason:
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return FetchError(url, f"the host name {host} is not known (no network, or the host is gone)", unreachable=True)
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return FetchError(url, f"{host} refused the connection or cannot be reached ({cause})", unreachable=True)
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return FetchError(url, f"{host} did not answer within {TIMEOUT_SEC[0]} s", unreachable=True)
    if isinstance(error, _HOPELESS):
        return FetchError(url, f"{host} cannot be reached ({cause})", unreachable=True)
    return FetchError(url, f"{host} broke off before it answered ({type(cause).__name__})", dead=False)

"""URLs among the words of a command: which are some, how they are said, and what stands here for them (`copies` puts it there).

Nothing here knows a store, so what names no URL loads none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

BUCKETS = ("s3", "oss", "gs", "az")
SCHEMES = (*BUCKETS, "https", "http")
URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://|(?i:{'|'.join(SCHEMES)}|file):/")  # or what was meant to be one


_urls: dict[str, str] = {}  # of what stands here
_needs: dict[str, Callable[[int, int], None]] = {}


def is_url(name: str | Path) -> bool:
    return re.match(rf"({'|'.join(SCHEMES)})://", str(name)) is not None


def shown(url: str) -> str:
    """A URL as it may be said: without names, passwords and signatures."""
    return re.sub(r"(?<=://)[^/@]*@|\?.*", "", url)


def plain(name: str) -> str:
    """A path, of file:// too; ValueError for URLs that nothing here opens."""
    if name.startswith("file://"):
        host, slash, path = name.removeprefix("file://").partition("/")
        if host not in ("", "localhost") or not slash:
            raise ValueError(f"{name}: expected file:///PATH, from the root on")
        from urllib.request import url2pathname  # with all of HTTP: a tenth of a second for every verb

        return url2pathname(f"/{path}")
    if URL.match(name):
        raise ValueError(f"{shown(name)}: expected one of {'://, '.join(SCHEMES)}://, file://, or a path")
    return name


def texts(value: Any) -> list[str]:
    """The words in the value of an argument."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def forget() -> None:
    """Nothing stands here for a URL any more."""
    _urls.clear()


def call(path: Path, url: str) -> None:
    """What stands at `path` is called by that URL from now on."""
    _urls[str(path)] = shown(url).rstrip("/")


@contextmanager
def named_in_print() -> Iterator[None]:
    """What is printed names the URLs, where there are some."""
    if not _urls:
        yield
        return
    with redirect_stdout(_Named(sys.stdout)), redirect_stderr(_Named(sys.stderr)):
        yield


class _Named:
    """A stream of text on which what stands here for a URL is called by it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(named(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def named(text: str) -> str:
    for path, url in _urls.items():
        text = text.replace(path, url)
    return text


def read_by_range(path: Path, need: Callable[[int, int], None]) -> None:
    """Have `need` called before bytes of that file are read."""
    _needs[str(path)] = need


def needs(path: Path) -> Callable[[int, int], None]:
    """What has to be called with (start, end) before those bytes of a file are read or mapped."""
    return _needs.get(str(path), lambda start, end: None)

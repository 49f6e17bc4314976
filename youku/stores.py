"""An object store: a URL of what fsspec opens and this process does not outlive (s3, oss, gs, az, https), its one user.

A finished file -> an object, which appears whole or not at all (a multipart upload shows when it is completed, a file is
renamed). Credentials come the usual ways of each store (environment, ~/.aws, roles); none is read from a URL, shown or
kept. ValueError says in one sentence what a store refuses. What stands here for the URLs of a command: `copies`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from youku import files
from youku.urls import BUCKETS, shown

PACKAGES = {"s3": "s3fs", "oss": "ossfs", "gs": "gcsfs", "az": "adlfs"}
BLOCK_BYTES = 8 << 20  # read and written at once
# to HEAD a store says no more of an expired token than Bad Request, which s3fs makes EINVAL (22)
DENIED = re.compile(r"permission|forbidden|denied|unauthori[sz]ed|authenticat|\berrno 22\b|\b40[13]\b", re.IGNORECASE)
MARKS = ("size", "ETag", "etag", "mtime", "created", "LastModified", "Last-Modified")  # the last of a server of pages


def require_place(name: str) -> None:
    """ValueError, before the work, where a URL takes nothing: no such bucket, no right to it, or a server to read from alone."""
    scheme = name.partition(":")[0]
    if scheme in ("http", "https"):
        raise ValueError(f"{shown(name)}: is for reading alone; name a place in a store, such as s3://bucket/folder")
    system, path = system_of(name)
    with told(name):
        mark_of(system, path)  # of what is not there yet, too, a store says whether one may ask
        if scheme in BUCKETS and not system.exists(path.strip("/").partition("/")[0]):
            raise FileNotFoundError
        if scheme == "file":
            files.make_folder(path)


def put(system: Any, path: Path, place: str, name: str) -> None:
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
    system, target = system_of(name)
    with told(name):
        for path in paths:
            if known.get(path.name) != (digest := files.sha256(path)):
                put(system, path, f"{target.rstrip('/')}/{path.name}", name)
                known[path.name] = digest


def holds(name: str, file: str) -> bool:
    """Whether there is a file of that name in a folder in a store."""
    system, target = system_of(name)
    with told(name):
        return bool(mark_of(system, f"{target.rstrip('/')}/{file}"))


def opened(url: str) -> tuple[Any, int, str]:
    """(file, bytes of the object, what changes when it does), for whoever streams; close it."""
    system, path = system_of(url)
    with told(url):
        size, mark = system.size(path), mark_of(system, path)
        return system.open(path, "rb", block_size=BLOCK_BYTES), size, mark


def digest_of(system: Any, path: str) -> str:
    with system.open(path, "rb", block_size=BLOCK_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mark_of(system: Any, path: str) -> str:
    """What changes when an object does; empty where there is none."""
    try:
        about = system.info(path)
    except FileNotFoundError as error:
        if _is_unreached(error):
            raise
        return ""
    return " ".join(str(about.get(key, "")) for key in MARKS)


def system_of(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL and the path in it; ValueError where a package is missing."""
    if url.startswith(BUCKETS) and re.match(r"\w+://[^/]*@", url):
        raise ValueError(f"{shown(url)}: expected no credentials in it; set them as the store's own tools do")
    for package in PACKAGES.values():
        logging.getLogger(package).setLevel(logging.CRITICAL)  # what it logs is told as an error, where it is one
    try:
        import fsspec

        with told(url):
            system, path = fsspec.core.url_to_fs(url)
    except ImportError:
        package = PACKAGES.get(url.partition(":")[0], "aiohttp")
        raise ValueError(
            f"{shown(url)}: needs a package that is not installed; run pip install fsspec {package}"
        ) from None
    if url.startswith(BUCKETS) and not path.strip("/"):
        raise ValueError(f"{shown(url)}: names no bucket; expected {url.partition(':')[0]}://BUCKET/PATH")
    return system, path


@contextmanager
def told(url: str) -> Iterator[None]:
    """Errors of a store in one sentence, without what it says of the request."""
    try:
        yield
    except FileNotFoundError as error:
        if _is_unreached(error):
            raise ValueError(f"{shown(url)}: the server is not reached; check the URL and the network") from None
        raise ValueError(f"{shown(url)}: no such bucket or object; check the URL") from None
    except ImportError:
        raise
    except Exception as error:
        kind, reason = type(error).__name__, shown(str(error).partition("\n")[0][:100])
        is_own = str(error).startswith((shown(url), str(files.cache_folder("objects"))))
        if is_own or (isinstance(error, OSError) and error.filename is not None):
            raise  # worded already, or of this machine's disk
        if "redential" in kind or "Token" in kind or "redential" in str(error):
            said = f"no valid credentials ({kind}); set them as the store's own tools do"
        elif re.search("ConnectionError|ConnectTimeout|Connector", kind):  # of botocore and aiohttp
            said = "the server is not reached; check the URL, the network and the settings of this store"
        elif DENIED.search(f"{kind} {error}"):
            said = f"access denied ({reason}); check the credentials of this store"
        else:
            why = reason if isinstance(error, ValueError) else kind
            said = f"the store failed ({why}); check the URL and the settings of this store, or run the command again later"
        raise ValueError(f"{shown(url)}: {said}") from None


def _is_unreached(error: FileNotFoundError) -> bool:
    """Whether it is what fsspec makes of a web server that does not answer, and no word of that server."""
    return isinstance(error.__cause__, OSError)

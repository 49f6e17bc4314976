"""download: resumable transfer, safe unpacking and verification, against a loopback server and small archives."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import urllib3

from youku import contest, download, files
from youku.exchange import archive, downloads, objects, zips
from youku.exchange import fetch as transfer
from youku.exchange.fetch import fetch
from youku.exchange.objects import FetchError
from youku.video import y4m

ROOT = Path(__file__).parents[1]


Twist = Callable[[bytes, int], tuple[int, dict[str, str], bytes]]  # body, first byte asked for -> status, headers, body


class Server(ThreadingHTTPServer):
    """Serves `bodies` by path with Range and ETag; the switches below make it misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.ranges = True  # False: answer 200 to a Range
        self.if_range = True  # False: answer 206 whatever If-Range says
        self.drops: list[int] = []  # bytes after which the next bodies break off
        self.pause_sec = 0.0  # after every 64 KiB
        self.status: dict[str, int] = {}
        self.headers: dict[str, str] = {}
        self.twist: Twist | None = None  # answers a GET with a Range itself
        self.lengths = True  # False: neither Content-Length nor a way to resume known
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        server.requests.append((self.command, self.path, asked))
        if self.path in server.status or self.path not in server.bodies:
            self.send_response(server.status.get(self.path, 404))
            self.send_header("Content-Length", "0")
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        data, tag = server.bodies[self.path], server.tags.get(self.path, '"one"')
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if server.twist and body and start:
            status, headers, sent = server.twist(data, start)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(sent)), "ETag": tag} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)
            return
        if server.if_range and self.headers.get("If-Range") not in (None, tag):
            start = 0
        if start and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if tag:
            self.send_header("ETag", tag)
        for name, value in server.headers.items():
            self.send_header(name, value)
        if server.lengths:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            end = start + server.drops.pop(0) if server.drops else len(data)
            for at in range(start, min(end, len(data)), 1 << 16):
                self.wfile.write(data[at : min(at + (1 << 16), end)])
                time.sleep(server.pause_sec)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


DATA = random.Random(1).randbytes(1_000_000)


def gets(server: Server) -> list[str]:
    """The Range headers of the GETs so far."""
    return [asked for method, _, asked in server.requests if method == "GET"]


# -- one URL, one file --------------------------------------------------------------------------------------------


def test_fetch_whole(server: Server, tmp_path: Path) -> None:
    """A quiet server: the file is whole, the part and its note are gone, a name with spaces and Chinese works."""
    server.bodies["/a%20%E7%89%87.zip"] = DATA
    target = tmp_path / "a \u7247.zip"
    fetch(server.url + "a \u7247.zip", target)
    assert target.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [target]


def test_fetch_resumes_after_broken_bodies(server: Server, tmp_path: Path) -> None:
    """A body that breaks mid-stream goes on where it broke, as often as it takes while it brings something new."""
    server.bodies["/a"], server.drops = DATA, [100_000] * 8
    fetch(server.url + "a", tmp_path / "a", retries=2, backoff_sec=0)
    assert (tmp_path / "a").read_bytes() == DATA
    assert gets(server) == ["", *(f"bytes={index * 100_000}-" for index in range(1, 9))]


def test_fetch_ignored_range_starts_anew(server: Server, tmp_path: Path) -> None:
    """A server that answers 200 to a Range is taken at its word: the part is emptied, nothing is spliced."""
    server.bodies["/a"], server.ranges, server.drops = DATA, False, [300_000, 200_000]
    fetch(server.url + "a", tmp_path / "a", backoff_sec=0)
    assert (tmp_path / "a").read_bytes() == DATA
    assert len(gets(server)) == 3


def test_fetch_gives_up_without_progress(server: Server, tmp_path: Path) -> None:
    """Broken connections that bring nothing new end after `retries`, with the place named and the part kept."""
    server.bodies["/a"], server.drops = DATA, [50_000] + [0] * 20
    with pytest.raises(FetchError, match=r"broke 4 times in a row at byte 50000") as caught:
        fetch(server.url + "a", tmp_path / "a", retries=3, backoff_sec=0)
    assert not caught.value.dead
    assert (tmp_path / "a.part").read_bytes() == DATA[:50_000]


@pytest.mark.parametrize("honest", [True, False], ids=["if-range kept", "if-range ignored"])
def test_fetch_changed_file_restarts(server: Server, tmp_path: Path, honest: bool) -> None:
    """A file that changed between two tries is fetched anew, also from a server that ignores If-Range."""
    server.bodies["/a"], server.drops, server.if_range = DATA, [400_000, 0, 0], honest
    with pytest.raises(FetchError):
        fetch(server.url + "a", tmp_path / "a", retries=2, backoff_sec=0)
    assert (tmp_path / "a.part").stat().st_size == 400_000
    changed = random.Random(2).randbytes(len(DATA))
    server.bodies["/a"], server.tags["/a"] = changed, '"two"'
    server.requests.clear()
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == changed
    assert gets(server) == (["bytes=400000-"] if honest else ["bytes=400000-", ""])


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_fetch_without_version_restarts(server: Server, tmp_path: Path, tag: str) -> None:
    """Without a strong ETag or Last-Modified nothing says that the rest belongs to the part: start anew."""
    server.bodies["/a"], server.tags["/a"], server.drops = DATA, tag, [400_000]
    fetch(server.url + "a", tmp_path / "a", backoff_sec=0)
    assert (tmp_path / "a").read_bytes() == DATA
    assert gets(server) == ["", ""]


def _range(data: bytes, start: int, end: int) -> dict[str, str]:
    return {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}


TWISTS: dict[str, tuple[Twist, list[str]]] = {
    "capped": (
        lambda data, start: (206, _range(data, start, min(start + 300_000, len(data))), data[start : start + 300_000]),
        ["", "bytes=400000-", "bytes=700000-"],
    ),
    "total unknown": (
        lambda data, start: (206, {"Content-Range": f"bytes {start}-{len(data) - 1}/*"}, data[start:]),
        ["", "bytes=400000-"],
    ),
    "forbidden": (lambda data, start: (403, {}, b"no ranges"), ["", "bytes=400000-", ""]),
    "not found": (lambda data, start: (404, {}, b""), ["", "bytes=400000-", ""]),
    "broken": (lambda data, start: (500, {}, b""), ["", "bytes=400000-", ""]),
    "416 without a length": (lambda data, start: (416, {}, b""), ["", "bytes=400000-", ""]),
    "from 0, said": (lambda data, start: (206, _range(data, 0, len(data)), data), ["", "bytes=400000-"]),
    "earlier, and short": (
        lambda data, start: (206, _range(data, start - 9, start + 300_000), data[start - 9 : start + 300_000]),
        ["", "bytes=400000-", "bytes=700000-"],
    ),
    "from 0, said and not so": (
        lambda data, start: (206, _range(data, 0, len(data)) | {"Content-Length": str(len(data))}, data[start:] * 2),
        ["", "bytes=400000-", ""],
    ),
    "from 0, not said": (
        lambda data, start: (206, _range(data, start, len(data)), data[: len(data) - start]),
        ["", "bytes=400000-", ""],
    ),
    "longer than said": (
        lambda data, start: (206, _range(data, start, start + 10), data[start:]),
        ["", "bytes=400000-", ""],
    ),
    "numbers without end": (
        lambda data, start: (206, {"Content-Range": f"bytes {start}-{'9' * 5000}/{'9' * 5000}"}, data[start:]),
        ["", "bytes=400000-", ""],
    ),
    "packed": (
        lambda data, start: (
            206,
            _range(data, start, len(data)) | {"Content-Encoding": "gzip"},
            gzip.compress(data[start:]),
        ),
        ["", "bytes=400000-", ""],
    ),
}


@pytest.mark.parametrize("twist", TWISTS)
def test_fetch_whatever_a_range_is_answered(server: Server, tmp_path: Path, twist: str) -> None:
    """A range that fits is used, though it be shorter than asked; any other answer leads to the whole file."""
    server.bodies["/a"], server.drops = DATA, [400_000]
    server.twist, asked = TWISTS[twist]
    fetch(server.url + "a", tmp_path / "a", retries=2, backoff_sec=0)
    assert (tmp_path / "a").read_bytes() == DATA and list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert gets(server) == asked


def test_fetch_takes_a_whole_zip_for_whole_that_is_said_to_be_longer(server: Server, tmp_path: Path) -> None:
    """A length that no file reaches ends nothing: every check of the zip does; one that is cut or damaged is no whole one."""
    with zipfile.ZipFile(tmp_path / "z", "w") as bundle:
        bundle.writestr("a", DATA)
    data = (tmp_path / "z").read_bytes()
    server.lengths, server.headers["Content-Length"] = False, str(len(data) + 1000)
    server.bodies |= {"/a": data, "/cut": data[:-30], "/damaged": data[:500] + b"!" + data[501:], "/inner": b"x" + data}
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == data and gets(server) == [""]
    for name in ("cut", "damaged", "inner"):
        with pytest.raises(FetchError, match="broke 2 times"):
            fetch(server.url + name, tmp_path / name, retries=1, backoff_sec=0)


def test_fetch_decodes_what_was_packed_on_the_way(server: Server, tmp_path: Path) -> None:
    """Content-Encoding gzip against our wish: the file itself arrives, and its packed size is not taken for its own."""
    server.bodies["/a"] = gzip.compress(DATA)
    server.headers["Content-Encoding"] = "gzip"
    with objects.make_session() as session:
        assert objects.size_of(session, server.url + "a") is None
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "x-compress", "a\x1b[31m"])
def test_fetch_says_how_a_file_was_packed_that_it_cannot_unpack(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coding: str
) -> None:
    """An unknown Content-Encoding is named, and nothing of it is kept; a zip that was not packed after all is taken."""
    monkeypatch.setattr(urllib3.HTTPResponse, "CONTENT_DECODERS", ["gzip", "deflate"])
    server.bodies["/a"], server.headers["Content-Encoding"] = DATA, coding
    with pytest.raises(FetchError, match=r"packed by (br|zstd|x-compress|a\\x1b\[31m), not plain as asked") as caught:
        fetch(server.url + "a", tmp_path / "a")
    assert caught.value.dead and list(tmp_path.iterdir()) == []
    server.headers["Content-Encoding"] = "none"
    server.bodies["/a"] = b"PK\x03\x04" + DATA
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"PK\x03\x04" + DATA


PAGES = {
    "html": (b"<!DOCTYPE html><html><title>Log  in</title>", r'a page \("Log in"\) in place'),
    "xml": (b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', r'\("NoSuchKey"\)'),
    "untitled": (b"  \n<p>busy", "the server sent a page in place"),
    "json": (b'{"error": "quota exceeded"}', r'a page \("{"error": "quota exceeded"}"\) in place'),
    "text": (b"Rate limit exceeded\n", r'a page \("Rate limit exceeded"\) in place'),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize("page", PAGES)
def test_fetch_says_that_a_page_came(server: Server, tmp_path: Path, page: str) -> None:
    """A page or nothing with status 200 is said in words; what an earlier try brought is kept, and gone on with."""
    server.bodies["/a"], words = PAGES[page]
    with pytest.raises(FetchError, match=words) as caught:
        fetch(server.url + "a", tmp_path / "a")
    assert caught.value.dead and list(tmp_path.iterdir()) == []
    (tmp_path / "a.part").write_bytes(DATA[:1000])
    note = {"url": server.url + "a", "validator": '"one"', "total_bytes": len(DATA)}
    (tmp_path / "a.part.json").write_text(json.dumps(note))
    with pytest.raises(FetchError, match=words):
        fetch(server.url + "a", tmp_path / "a")
    server.bodies["/a"] = DATA
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA and gets(server)[-1] == "bytes=1000-"


def test_fetch_takes_no_first_bytes_for_a_page(tmp_path: Path) -> None:
    """A zip whose first two bytes, which are letters, come alone and long before the others."""
    whole = b"PK\3\4" + DATA
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole[:2])
                time.sleep(0.3)
                line.sendall(whole[2:])

        thread = threading.Thread(target=serve)
        thread.start()
        fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/a", tmp_path / "a")
        thread.join()
    assert (tmp_path / "a").read_bytes() == whole


@pytest.mark.parametrize("place", ["{url}a", "http://[::1", "file:///etc/passwd"])
def test_fetch_says_that_an_address_leads_nowhere(server: Server, tmp_path: Path, place: str) -> None:
    """Round in a circle, to what is no address, or to what a server may not name: told of the file, which is not fetched."""
    server.status["/a"], server.headers["Location"] = 302, place.format(url=server.url)
    with pytest.raises(FetchError, match=rf"^{server.url}a: leads to no file \(") as caught:
        fetch(server.url + "a", tmp_path / "a")
    assert caught.value.dead and list(tmp_path.iterdir()) == []
    with objects.make_session() as session, pytest.raises(FetchError, match="leads to no file"):
        objects.size_of(session, server.url + "a")
    with pytest.raises(FetchError, match=r"^http://\[::1/a: leads to no file"):
        fetch("http://[::1/a", tmp_path / "a")


def test_fetch_busy_waits_as_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server is asked again after Retry-After, at most a minute, and by a wait that a stop ends."""
    server.bodies["/a"], server.status["/a"], server.headers["Retry-After"] = DATA, 503, "86400"
    waited: list[float] = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda seconds: waited.append(seconds))
    with pytest.raises(FetchError, match="503"):
        fetch(server.url + "a", tmp_path / "a", retries=2, stop=stop)
    assert waited == [60, 60] and list(tmp_path.iterdir()) == []


def test_fetch_sets_aside_what_is_there(server: Server, tmp_path: Path) -> None:
    """A file under the name is replaced when the new one is whole, and never lost."""
    server.bodies["/a"] = DATA
    (tmp_path / "a").write_bytes(b"old")
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA and (tmp_path / "a.unusable").read_bytes() == b"old"


def test_fetch_416_on_a_whole_part_is_done(server: Server, tmp_path: Path) -> None:
    """A whole part of unknown length: the server answers 416 with that very length, so the file is done."""
    server.bodies["/a"] = DATA
    (tmp_path / "a.part").write_bytes(DATA)
    note = {"url": server.url + "a", "validator": '"one"', "total_bytes": None}
    (tmp_path / "a.part.json").write_text(json.dumps(note))
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA
    assert gets(server) == [f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("note", [None, "{", '{"no": 1}', "another mirror", "[" * 9999, "wrong types"])
def test_fetch_part_of_unknown_origin_restarts(server: Server, tmp_path: Path, note: str | None) -> None:
    """A part without a note, with a damaged one or with another URL's is not trusted."""
    server.bodies["/a"] = DATA
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    if note == "another mirror":
        note = json.dumps({"url": "http://other/a", "validator": '"one"', "total_bytes": len(DATA)})
    if note == "wrong types":
        note = json.dumps({"url": server.url + "a", "validator": 5, "total_bytes": "many"})
    if note:
        (tmp_path / "a.part.json").write_text(note)
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_fetch_without_length(server: Server, tmp_path: Path) -> None:
    """A server that tells no length: the end of the body is the end of the file."""
    server.bodies["/a"], server.lengths = DATA, False
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_fetch_from_file_url_resumes(tmp_path: Path) -> None:
    """A file:// URL resumes by size and time of change, and starts anew when the source changed."""
    source, target = tmp_path / "my \u7247.bin", tmp_path / "out" / "copy"
    source.write_bytes(DATA)
    fetch(source.as_uri(), target)
    assert target.read_bytes() == DATA
    stop = threading.Event()
    stop.set()
    target.unlink()
    with pytest.raises(transfer.Stopped):
        fetch(source.as_uri(), target, stop=stop)
    part = transfer.part_path(target)
    assert part.read_bytes() == DATA[: transfer.BLOCK_BYTES]
    seen: list[int] = []
    fetch(source.as_uri(), target, on_bytes=lambda have, total: seen.append(have))
    assert target.read_bytes() == DATA and seen[0] == transfer.BLOCK_BYTES
    with pytest.raises(transfer.Stopped):
        fetch(source.as_uri(), target, stop=stop)
    source.write_bytes(DATA[::-1])
    os.utime(source, ns=(1, 1))
    fetch(source.as_uri(), target)
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("{server}none", "404 Not Found"),
        ("{server}closed", "403 Forbidden"),
        ("http://127.0.0.1:9/a", "refused"),
        ("http://no-such-host.invalid/a", "is not known"),
        ("file:///no/such/file", "No such file or directory, as /no is not there"),
        ("file:///etc/no such", "No such file or directory\\)"),
    ],
)
def test_fetch_dead_links(server: Server, tmp_path: Path, url: str, words: str) -> None:
    """Each kind of dead link is said in words, and no file is left behind."""
    server.status["/closed"] = 403
    with pytest.raises(FetchError, match=words) as caught:
        fetch(url.format(server=server.url), tmp_path / "a", backoff_sec=0)
    assert caught.value.dead and list(tmp_path.iterdir()) == []


def test_fetch_full_disk(server: Server, tmp_path: Path) -> None:
    """A full disk ends the transfer at once, naming the file; it is no broken connection."""
    server.bodies["/a"] = DATA
    (tmp_path / "a.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        fetch(server.url + "a", tmp_path / "a")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "a.part")
    assert len(gets(server)) == 1


def test_fetch_refuses_a_second_writer(server: Server, tmp_path: Path) -> None:
    """Two downloads of one file do not mix their bytes: the second is told to wait."""
    server.bodies["/a"], server.pause_sec = DATA, 0.05
    thread = threading.Thread(target=fetch, args=(server.url + "a", tmp_path / "a"))
    thread.start()
    while not (tmp_path / "a.part").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    with pytest.raises(ValueError, match="another download"):
        fetch(server.url + "a", tmp_path / "a")
    thread.join()
    assert (tmp_path / "a").read_bytes() == DATA


def test_fetch_survives_kills(server: Server, tmp_path: Path) -> None:
    """Killed three times, each run asks for exactly the bytes behind the last one that reached the disk."""
    server.bodies["/a"], server.pause_sec = DATA, 0.02
    code = "import sys; from youku.exchange.fetch import fetch; fetch(sys.argv[1], sys.argv[2])"
    command = [sys.executable, "-c", code, server.url + "a", str(tmp_path / "a")]
    part, asked = tmp_path / "a.part", [""]
    for goal in (100_000, 300_000, 600_000):
        process = subprocess.Popen(command, cwd=ROOT)
        while process.poll() is None and not (part.exists() and part.stat().st_size >= goal):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        asked.append(f"bytes={part.stat().st_size}-")
    fetch(server.url + "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA
    assert gets(server) == asked


# -- archives -----------------------------------------------------------------------------------------------------


def clip_bytes(path: Path, width: int, height: int, num_frames: int = 2, chroma: str = "420mpeg2") -> bytes:
    """A small clip of seeded noise as file bytes."""
    noise = np.random.default_rng(width)
    header = y4m.make_header(width, height, chroma=chroma)
    with y4m.create(path, header) as writer:
        for _ in range(num_frames):
            writer.write(tuple(noise.integers(0, 256, shape, np.uint8) for shape in header.plane_shapes))
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def low(tmp_path: Path) -> bytes:
    return clip_bytes(tmp_path / "low.y4m", 16, 8)


@pytest.fixture
def high(tmp_path: Path) -> bytes:
    return clip_bytes(tmp_path / "high.y4m", 64, 32)


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip and give its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path.read_bytes()


@pytest.fixture
def mirror(server: Server, tmp_path: Path, low: bytes, high: bytes) -> Server:
    """Round 1's first pair of archives with clips 0 and 1; inputs under a folder, truth bare."""
    lows = {f"youku_00000_00049_l/{contest.low_name(clip_id)}": low for clip_id in (0, 1)}
    highs = {contest.high_name(clip_id): high for clip_id in (0, 1)}
    base = "/round1/train/"
    server.bodies[f"{base}input/youku_00000_00049_l.zip"] = pack(tmp_path / "l.zip", {**lows, "read.me": b"hello"})
    server.bodies[f"{base}label/youku_00000_00049_h_GT.zip"] = pack(tmp_path / "h.zip", highs)
    return server


def test_choose_follows_the_table(tmp_path: Path) -> None:
    """Rounds, splits, clip ranges and kinds pick the archives that hold them, and of those only the clips asked for."""
    assert len(archive.choose(tmp_path)) == 9
    assert len(archive.choose(tmp_path, "all")) == 9 + 26
    found = archive.choose(tmp_path, splits="val,test", kind="input")
    assert [item.archive.name for item in found] == ["youku_00150_00199_l.zip", "youku_00200_00249_l.zip"]
    assert found[0].clip_path(150) == tmp_path / "clips" / "val" / "Youku_00150_l.y4m"
    found = archive.choose(tmp_path, clips="48-51", kind="label")
    assert [item.clip_ids for item in found] == [(48, 49), (50, 51)]
    assert [item.archive.split for item in archive.choose(tmp_path, "2", "test")] == ["round2-testa", "round2-testb"]
    assert [item.clip_ids[0] for item in archive.choose(tmp_path, splits="round2-testb")] == [900]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"splits": "tset"}, "expected train, val or test"),
        ({"rounds": "2", "splits": "val"}, "round 2 has no val"),
        ({"clips": "9-5"}, "expected FIRST-LAST"),
        ({"clips": "x"}, "expected FIRST-LAST"),
        ({"clips": "300"}, "round 2 250-949"),
        ({"splits": "test", "kind": "label"}, "test splits have no labels"),
    ],
)
def test_choose_refuses(tmp_path: Path, choice: dict[str, str], words: str) -> None:
    """A choice that holds nothing is an error that says what there is."""
    with pytest.raises(ValueError, match=words):
        archive.choose(tmp_path, **choice)


def test_download_then_up_to_date(mirror: Server, tmp_path: Path, low: bytes, high: bytes) -> None:
    """Clips arrive whole and verified; a second run says so without a single request."""
    wanted = archive.choose(tmp_path / "data", clips="0-1")
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert haul.complete and not haul.findings and len(haul.fetched) == 2
    assert haul.ignored == ["youku_00000_00049_l.zip: read.me"]
    train = tmp_path / "data" / "clips" / "train"
    assert (train / "Youku_00000_l.y4m").read_bytes() == low and (train / "Youku_00001_h_GT.y4m").read_bytes() == high
    mirror.requests.clear()
    assert downloads.download(wanted, mirror.url, num_frames=2).up_to_date
    assert mirror.requests == []


def test_a_kill_right_after_the_transfer_leaves_no_note(mirror: Server, tmp_path: Path) -> None:
    """The zip has its name, the note of its part was not removed any more: the next run does."""
    wanted = archive.choose(tmp_path / "data", clips="0", kind="input")
    assert downloads.download(wanted, mirror.url, num_frames=2).complete
    note = tmp_path / "data" / "raw" / "youku_00000_00049_l.zip.part.json"
    note.write_text("{}")
    wanted[0].clip_path(0).unlink()  # nothing was unpacked yet
    assert downloads.download(wanted, mirror.url, num_frames=2).complete and not note.exists()


def test_download_one_clip(mirror: Server, tmp_path: Path) -> None:
    """A range of one clip unpacks that clip alone, and a damaged clip is made again from the zip at hand."""
    wanted = archive.choose(tmp_path / "data", clips="1", kind="input")
    assert downloads.download(wanted, mirror.url, num_frames=2).complete
    clips = sorted((tmp_path / "data" / "clips").rglob("*.y4m"))
    assert [path.name for path in clips] == ["Youku_00001_l.y4m"]
    clips[0].write_bytes(clips[0].read_bytes()[:-5])
    mirror.requests.clear()
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert haul.complete and not haul.up_to_date and mirror.requests == []


def test_zips_put_there_by_hand(tmp_path: Path, low: bytes) -> None:
    """A zip in data/raw is used without network; --delete-zips removes it once its clips are whole."""
    zip_path = tmp_path / "data" / "raw" / "youku_00000_00049_l.zip"
    pack(zip_path, {contest.low_name(0): low})
    wanted = archive.choose(tmp_path / "data", clips="0", kind="input")
    haul = downloads.download(wanted, "http://127.0.0.1:9/", num_frames=2, delete_zips=True)
    assert haul.complete and haul.deleted == [zip_path.name] and not zip_path.exists()


def archive_at_hand(tmp_path: Path, low: bytes) -> tuple[list[archive.Wanted], Path]:
    """An input zip with clip 0 in data/raw, unpacked; the wish and the clip."""
    zip_path, wanted = by_hand(tmp_path)
    pack(zip_path, {contest.low_name(0): low})
    assert downloads.download(wanted, "file:///no/mirror", num_frames=2).complete
    return wanted, wanted[0].clip_path(0)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut after a frame": lambda data: data[: data.rindex(b"FRAME")],
    "overwritten in its middle": lambda data: data[:90] + bytes(20) + data[110:],
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("keep", ["zip and record", "zip", "record"])
def test_whole_is_as_the_archive_has_it(tmp_path: Path, low: bytes, damage: str, keep: str) -> None:
    """A clip of fewer frames or other samples is damaged, told by the zip's CRC or its record, times set back or not."""
    wanted, clip = archive_at_hand(tmp_path, low)
    before = clip.stat()
    clip.write_bytes(DAMAGE[damage](low))
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    if "record" not in keep:
        wanted[0].record_path.unlink()
    if "zip" not in keep:
        wanted[0].zip_path.unlink()
    assert [finding.state for finding in archive.verify(wanted, 2)] == ["damaged"]
    haul = downloads.download(wanted, "file:///no/mirror", num_frames=2)
    assert haul.complete == ("zip" in keep) and not haul.up_to_date
    assert (clip.read_bytes() == low) == ("zip" in keep)


def test_a_rerun_reads_no_whole_clip(tmp_path: Path, low: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compared is remembered, also after a touch; a damaged record only costs the comparison."""
    wanted, clip = archive_at_hand(tmp_path, low)
    read: list[Path] = []
    crc = archive._crc
    monkeypatch.setattr(archive, "_crc", lambda path: read.append(path) or crc(path))
    for change, num_read in ((lambda: None, 0), (clip.touch, 1), (lambda: None, 1)):
        change()
        assert downloads.download(wanted, "file:///no/mirror", num_frames=2).up_to_date
        assert len(read) == num_read
    for text in ("{", "[" * 9999, "[]", '{"Youku_00000_l.y4m": {"bytes": "1", "crc": 1, "changed_ns": [1, 2]}}'):
        wanted[0].record_path.write_text(text)
        assert downloads.download(wanted, "file:///no/mirror", num_frames=2).up_to_date
    assert len(read) == 5


def test_too_few_frames_without_archive_or_record(tmp_path: Path, low: bytes) -> None:
    """Where nothing says how long a clip is, one with fewer frames than the contest's clips is not whole."""
    wanted, clip = archive_at_hand(tmp_path, low)
    wanted[0].record_path.unlink()
    wanted[0].zip_path.unlink()
    assert archive.verify(wanted, 2) == []
    (finding,) = archive.verify(wanted, 3)
    assert finding.state == "damaged" and "expected 3 frames, got 2" in finding.detail and clip.exists()


@pytest.mark.parametrize(
    "state", ["cut", "page", "empty", "unsafe", "wrong crc", "another archive", "wrong name", "lost entry"]
)
def test_unusable_zip_is_fetched_anew(mirror: Server, tmp_path: Path, low: bytes, state: str) -> None:
    """Whatever lies in data/raw in place of the archive, one run brings the clips and sets it aside."""
    zip_path, wanted = by_hand(tmp_path)
    data = pack(zip_path, {contest.low_name(0): low}, zipfile.ZIP_STORED)
    data = {
        "lost entry": b"",
        "cut": data[:-30],
        "page": b"<html>",
        "empty": b"",
        "unsafe": pack(zip_path, {contest.low_name(0): low, "../x": b""}),
        "wrong crc": data.replace(low[-9:], low[-10:-1]),
        "another archive": pack(zip_path, {contest.low_name(60): low}),
        "wrong name": data[: len(data) // 2] + data[len(data) // 2 :].replace(b"Youku_00000", b"Youku_00001"),
    }[state]
    if state == "lost entry":  # of three, the directory's end tells the bytes of two: clip 0 is the last
        data = bytearray(pack(zip_path, {contest.low_name(clip_id): low for clip_id in (2, 1, 0)}))
        end = data.index(b"PK\x05\x06")
        entry_bytes = struct.unpack_from("<I", data, end + 12)[0] // 3
        del data[end - entry_bytes : end]
        struct.pack_into("<I", data, end - entry_bytes + 12, 2 * entry_bytes)
    zip_path.write_bytes(data)
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert haul.complete and len(haul.replaced) == 1 and haul.fetched == [zip_path.name], haul
    assert wanted[0].clip_path(0).read_bytes() == low
    assert zip_path.with_name(f"{zip_path.name}.unusable").read_bytes() == data


def test_clips_of_a_damaged_zip_are_made_anew(mirror: Server, tmp_path: Path, low: bytes) -> None:
    """What was unpacked of it, and recorded as its archive has it, is compared with the one that takes its place."""
    zip_path, other = by_hand(tmp_path)[0], clip_bytes(tmp_path / "other.y4m", 8, 8)
    data = pack(zip_path, {contest.low_name(0): other, contest.low_name(1): low}, zipfile.ZIP_STORED)
    zip_path.write_bytes(data.replace(low[-9:], low[-10:-1]))
    wanted = archive.choose(tmp_path / "data", clips="0-1", kind="input")
    assert not downloads.download(wanted, "file:///no/such/mirror", num_frames=2).complete
    assert wanted[0].clip_path(0).read_bytes() == other
    assert downloads.download(wanted, mirror.url, num_frames=2).complete
    assert [wanted[0].clip_path(clip_id).read_bytes() for clip_id in (0, 1)] == [low, low]
    assert downloads.download(wanted, mirror.url, num_frames=2).fetched == []


def test_zip_damaged_on_the_server(mirror: Server, tmp_path: Path) -> None:
    """A damaged archive fetched just now is told once, and fetched again by the next run: then it may be mended."""
    (path,) = (path for path in mirror.bodies if path.endswith("_l.zip"))
    sound = mirror.bodies[path]
    mirror.bodies[path] = sound[:-30]
    wanted = archive.choose(tmp_path / "data", clips="0", kind="input")
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert not haul.complete and len(gets(mirror)) == 1 and "so the server sent it" in haul.errors[0]
    mirror.bodies[path] = sound
    assert downloads.download(wanted, mirror.url, num_frames=2).complete


@pytest.mark.parametrize(("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd")])
def test_foreign_packer_is_named(mirror: Server, tmp_path: Path, low: bytes, method: int, name: str) -> None:
    """A sound zip that Python cannot unpack is kept, with the packer and the tool named: fetching brings the same."""
    zip_path, wanted = by_hand(tmp_path)
    data = bytearray(pack(zip_path, {contest.low_name(0): low}))
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 10, method)
    damaged = bytes(data)
    struct.pack_into("<H", data, 8, method)
    zip_path.write_bytes(data)
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert f"packed by {name} (method {method})" in haul.errors[0] and "7z e -o" in haul.errors[0]
    assert zip_path.read_bytes() == data and gets(mirror) == []
    zip_path.write_bytes(damaged)  # in the directory alone it is damage
    assert downloads.download(wanted, mirror.url, num_frames=2).complete


def test_names_of_another_case(tmp_path: Path, low: bytes) -> None:
    """Some packers change the case of names: the clip gets its own, and is not told as ignored."""
    zip_path, wanted = by_hand(tmp_path)
    pack(zip_path, {f"A/{contest.low_name(0).upper()}": low})
    haul = downloads.download(wanted, "file:///no/mirror", num_frames=2)
    assert haul.complete and not haul.ignored


def test_clip_absent_from_its_zip(mirror: Server, tmp_path: Path) -> None:
    """A clip asked for that the archive does not hold is an error; the others are unpacked."""
    wanted = archive.choose(tmp_path / "data", clips="1-2", kind="input")
    haul = downloads.download(wanted, mirror.url, num_frames=2)
    assert not haul.complete and "Youku_00002_l.y4m: it is not in the archive" in haul.errors[0]
    assert [(Path(finding.path).name, finding.state) for finding in haul.findings] == [("Youku_00002_l.y4m", "missing")]


def test_verify_names_what_is_odd(tmp_path: Path, low: bytes) -> None:
    """Wrong frame count, chroma and pairing are listed as odd; damage and absence count as not there."""
    folder = files.make_folder(tmp_path / "clips" / "train")
    (folder / contest.low_name(0)).write_bytes(low)
    (folder / contest.high_name(0)).write_bytes(clip_bytes(tmp_path / "a.y4m", 48, 32, 3, "444"))
    (folder / contest.low_name(1)).write_bytes(low[:-1])
    findings = archive.verify(archive.choose(tmp_path, clips="0-1"), num_frames=2)
    told = {(Path(finding.path).name, finding.state): finding.detail for finding in findings}
    assert [finding.state for finding in findings] == ["damaged", "odd", "odd", "odd", "odd", "missing"]
    details = " ".join(finding.detail for finding in findings)
    for words in ("expected 2 frames, got 3", "got C444", "48x32 against 16x8", "low-resolution clip 2"):
        assert words in details
    assert "expected 192 bytes, got 191" in told["Youku_00001_l.y4m", "damaged"]


# -- archives that must not be trusted ----------------------------------------------------------------------------


def by_hand(tmp_path: Path) -> tuple[Path, list[archive.Wanted]]:
    """Where a hand-made input zip goes, and the wish for its clip 0."""
    data = tmp_path / "data"
    return data / "raw" / "youku_00000_00049_l.zip", archive.choose(data, clips="0", kind="input")


def refuse(tmp_path: Path, words: str) -> None:
    """The zip at hand leads to an error with `words`, no clip at all, and is kept where no other can be had."""
    zip_path, wanted = by_hand(tmp_path)
    before = zip_path.read_bytes()
    haul = downloads.download(wanted, "file:///no/such/mirror", num_frames=2, delete_zips=True)
    assert len(haul.errors) == 2 and re.search(words, haul.errors[0]), haul.errors
    assert str(zip_path) in haul.errors[0] and "kept until a new one is whole" in haul.errors[0]
    assert zip_path.read_bytes() == before
    made = [path for path in tmp_path.rglob("*") if path.is_file() and path != zip_path]
    assert made == []


def put_at(data: bytes, value: bytes, offset: int, signature: bytes = b"PK\x01\x02") -> bytes:
    """Bytes with others at an offset from the first signature: of the directory's entry, or of the member itself."""
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def linked(path: Path, low: bytes) -> bytes:
    info = zipfile.ZipInfo(contest.low_name(0))
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return pack(path, {info: b"/etc/passwd"})  # type: ignore[dict-item]


def alone(path: Path, low: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    return pack(path, {contest.low_name(0): low}, method)


def beside(name: str) -> Callable[[Path, bytes], bytes]:
    return lambda path, low: pack(path, {contest.low_name(0): low, name: low})


BAD_CLIP = r"Youku_00000_l\.y4m: "
HURT = bytes(30)
UNTRUSTED: dict[str, tuple[Callable[[Path, bytes], bytes], str]] = {
    **{name: (beside(name), "it leaves its folder") for name in ("../Youku_00000_l.y4m", "a/../../x", "a\\..\\..\\x")},
    **{name: (beside(name), "unsafe name, an absolute path") for name in ("/etc/x", "C:\\x")},
    "link": (linked, "refused: a link"),
    "twice": (beside(f"again/{contest.low_name(0)}"), "refused: twice in the zip"),
    "encrypted": (
        lambda path, low: put_at(put_at(alone(path, low), b"\1", 8), b"\1", 6, b"PK\x03\x04"),
        "refused: encrypted",
    ),
    "bomb": (lambda path, low: alone(path, bytes(2 << 20)), "200:1"),
    "too large": (
        lambda path, low: put_at(alone(path, low), struct.pack("<I", 3_000_000_000), 24),
        "unpacks to 3000000000 bytes",
    ),
    "wrong CRC": (
        lambda path, low: put_at(alone(path, low, zipfile.ZIP_STORED), b"\0", 200, b"PK\x03\x04"),
        f"{BAD_CLIP}Bad CRC-32",
    ),
    "deflate": (lambda path, low: put_at(alone(path, low), HURT, 70, b"PK\x03\x04"), BAD_CLIP),
    "bzip2": (lambda path, low: put_at(alone(path, low, zipfile.ZIP_BZIP2), HURT, 70, b"PK\x03\x04"), BAD_CLIP),
    "LZMA": (lambda path, low: put_at(alone(path, low, zipfile.ZIP_LZMA), HURT, 70, b"PK\x03\x04"), BAD_CLIP),
    **{
        f"cut at {keep}": (
            lambda path, low, keep=keep: alone(path, low)[:keep],
            "it is cut short" if keep else "it is empty",
        )
        for keep in (0, 10, 300, -1)
    },
    "without a member": (lambda path, low: pack(path, {}), "is damaged .nothing is in it"),
    "web page": (lambda path, low: pack(path, {}) and b"<!DOCTYPE html>" * 100, "is not a whole zip"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", UNTRUSTED)
def test_a_zip_that_must_not_be_trusted(tmp_path: Path, low: bytes, case: str) -> None:
    """Unsafe by name, kind or size, damaged in its stream whatever the packer, cut, or no zip: told, and nothing is made."""
    make, words = UNTRUSTED[case]
    path = by_hand(tmp_path)[0]
    path.write_bytes(make(path, low))
    refuse(tmp_path, words)


# -- the command --------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """(status, stdout, stderr) of the verb."""
    status = download.main(argv)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_command_reports_odd_clips(mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two-frame clips are there, so exit 0, and odd, so listed; the second run says up to date."""
    argv = ("--clips", "0-1", "--data", str(tmp_path / "my \u6570\u636e"), "--base-url", mirror.url)
    status, out, err = run(capsys, *argv)
    assert status == 0 and out.count("expected 100 frames, got 2") == 4 and "4 of 4 clips" in out
    assert "fetched youku_00000_00049_l.zip" in err
    assert "up to date: 4 of 4" in run(capsys, *argv)[1]
    result = json.loads(run(capsys, *argv, "--json")[1])
    assert result["up_to_date"] and len(result["findings"]) == 4


def test_command_dead_host(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead host is one sentence for all archives, with what to do, and exit 1."""
    monkeypatch.setattr(files, "free_bytes", lambda folder: 1 << 40)  # whatever this disk has
    status, out, err = run(capsys, "--data", str(tmp_path), "--base-url", "http://127.0.0.1:9/", "--clips", "0-60")
    assert status == 1 and "0 of 122 clips" in out
    assert "Youku_00000_l.y4m to Youku_00049_l.y4m (50 clips)" in out and len(out.splitlines()) == 5
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "refused" in errors[0] and "--base-url" in errors[0] and "by hand" in errors[0]
    assert "youku_00050_00099_h_GT.zip" in errors[0]


def test_command_404_keeps_the_rest(mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One dead link among living ones: the living are fetched, the dead one is named, exit 1."""
    del mirror.bodies["/round1/train/label/youku_00000_00049_h_GT.zip"]
    status, out, err = run(capsys, "--data", str(tmp_path / "d"), "--base-url", mirror.url, "--clips", "0")
    assert status == 1 and "1 of 2 clips" in out
    assert "404 Not Found: youku_00000_00049_h_GT.zip" in err and "--base-url" in err


def test_command_dry_run(mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run asks for sizes only, marks estimates, says why a size is unknown, and writes nothing."""
    size = len(mirror.bodies["/round1/train/label/youku_00000_00049_h_GT.zip"])
    argv = ("--data", str(tmp_path / "d"), "--base-url", mirror.url, "--clips", "0-50", "--dry-run")
    status, out, _ = run(capsys, *argv)
    assert status == 0 and "size unknown, the server answered 404" in out and "free on disk" in out and "0 of 50" in out
    assert re.search(
        r"fetch and unpack: [\d.]+ GB\* to [\d.]+ GB\*; free on disk: [\d.]+ GB, (perhaps )?(not )?enough", out
    )
    assert {method for method, _, _ in mirror.requests} == {"HEAD"} and not (tmp_path / "d").exists()
    assert json.loads(run(capsys, *argv, "--json")[1])["to_fetch_bytes"]["youku_00000_00049_h_GT.zip"] == size


@pytest.mark.parametrize("free", [10**9, 10**12])
@pytest.mark.parametrize(
    "way", ["clips/train/pairs.json", "raw/youku_00000_00049_l.zip/x", "clips/train/Youku_00000_l.y4m/x"]
)
def test_a_dry_run_is_never_refused(
    mirror: Server, tmp_path: Path, way: str, free: int, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own pairs and folders in the way are named, beside the figures and whether the disk has room; the real run refuses."""
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=free))
    (tmp_path / way).parent.mkdir(parents=True)
    (tmp_path / way).write_text('{"pairs": {"00000": {"source": "own.mp4", "frames": 2}}}')
    argv = ("--data", str(tmp_path), "--base-url", mirror.url, "--clips", "0-49")
    status, out, _ = run(capsys, *argv, "--dry-run")
    assert status == 0 and (", enough" if free > 10**11 else ", not enough: another --data") in out
    (said,) = (line.removeprefix("in the way: ") for line in out.splitlines() if line.startswith("in the way: "))
    assert run(capsys, *argv)[::2] == (1, f"error: {said}\n")
    assert json.loads(run(capsys, *argv, "--dry-run", "--json")[1])["in_the_way"][0] == said


@pytest.mark.parametrize("url", ["ftp://host/", "data/raw"])
def test_command_bad_base_url(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    """A base that is not http, https or file is refused before anything happens."""
    status, _, err = run(capsys, "--data", str(tmp_path), "--base-url", url)
    assert status == 1 and "expected http://" in err


@pytest.mark.parametrize("where", ["data", "data/raw", "data/clips"])
def test_command_file_in_the_way(
    mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """A file where a folder is expected is named, once for all archives."""
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_bytes(b"")
    status, _, err = run(capsys, "--data", str(tmp_path / "data"), "--base-url", mirror.url, "--clips", "0")
    assert status == 1 and err.count(f"{tmp_path / where}: expected a folder, found a file") == 1


@pytest.mark.parametrize("name", ["raw/youku_00000_00049_l.zip", "clips/train/Youku_00000_l.y4m"])
def test_command_folder_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A folder under the name of a zip or clip is named, not removed."""
    (tmp_path / name).mkdir(parents=True)
    status, _, err = run(capsys, "--data", str(tmp_path), "--clips", "0", "--kind", "input")
    assert status == 1 and "found a folder" in err and (tmp_path / name).is_dir()


def test_command_too_little_disk(
    mirror: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free space is checked before the first byte is fetched."""
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    status, _, err = run(capsys, "--data", str(tmp_path / "d"), "--base-url", mirror.url, "--clips", "0")
    assert status == 1 and "free some space" in err and "GET" not in {method for method, _, _ in mirror.requests}


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_command_cannot_write_clips(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    low: bytes,
    number: int,
    words: str,
) -> None:
    """A disk that fills or refuses while unpacking is one sentence with the clip's name, and leaves no half clip."""

    def fail(source: object, target: object, length: int) -> None:
        raise OSError(number, os.strerror(number))

    pack(by_hand(tmp_path)[0], {contest.low_name(0): low})
    monkeypatch.setattr(zips.shutil, "copyfileobj", fail)
    status, _, err = run(capsys, "--data", str(tmp_path / "data"), "--clips", "0", "--kind", "input")
    assert status == 1 and words in err and "Youku_00000_l.y4m" in err
    assert list((tmp_path / "data" / "clips").rglob("*.*")) == []


@pytest.mark.parametrize("jobs", ["0", "-1", "x"])
def test_command_usage(jobs: str) -> None:
    """A wrong flag value is a usage error: exit 2."""
    with pytest.raises(SystemExit, match="2"):
        download.main(["--jobs", jobs])

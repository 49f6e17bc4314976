"""Turn what a parser raises over a damaged or hostile file into one sentence, and bound what such a file may cost.

A file's size and what it claims -> nothing, or ValueError naming the file.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FREE_BYTES = 1 << 26  # what any file may claim
MOST_RATIO = 2000  # and above that, bytes a byte of the file: deflate, the best packer of samples here, gives 1032
# files that only list others: M3U (HLS too), PLS, ffconcat, ASX, XSPF, SMIL, DASH
_LIST = re.compile(rb"(\xef\xbb\xbf)?\s*(#ext|ffconcat|\[playlist\]|(<[?!].*)?<(asx|playlist|smil|mpd)\b)", re.DOTALL)
_RAISED = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError, SyntaxError, EOFError)


@contextmanager
def worded(path: str | Path, what: str) -> Iterator[None]:
    """Errors of a parser become "PATH: damaged WHAT (...)"; those that name the file already, and the system's, pass."""
    try:
        yield
    except (*_RAISED, OSError, MemoryError, struct.error, zlib.error) as error:
        if str(error).startswith(f"{path}: ") or (isinstance(error, OSError) and error.errno is not None):
            raise
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not {what} or a damaged one ({told}); make it again") from None


def _avi(file: BinaryIO, size: int) -> bool:
    """The head of a RIFF file says how long it is; 0 and all ones are left by unfinished writers."""
    return size < int.from_bytes(file.read(8)[4:], "little") + 8 < 1 << 32


def _flv(file: BinaryIO, size: int) -> bool:
    """Every tag is followed by its length, and the metadata may say the file's."""
    claimed = file.read(1 << 16).partition(b"filesize\0")[2][:8]
    if len(claimed) == 8 and size < struct.unpack(">d", claimed)[0]:
        return True
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    file.seek(max(0, size - 4 - length))
    return length != 11 + int.from_bytes(file.read(4)[1:], "big")


def _mxf(file: BinaryIO, size: int) -> bool:
    """The head (SMPTE 377, behind a run-in of at most 64 KiB) says where the footer lies; 0 in files never closed."""
    head = file.read(1 << 17)
    key = head.find(bytes.fromhex("060e2b34020501010d0102010102"))
    length = head[key + 16 : key + 17]
    value = key + 17 + (length[0] & 127 if length > b"\x7f" else 0)
    return key >= 0 and size < int.from_bytes(head[value + 24 : value + 32], "big") + 17


def _ogg(file: BinaryIO, size: int) -> bool:
    """The last page of a stream is marked (RFC 3533), and every page says how many bytes it has."""
    file.seek(max(0, size - 27 - 255 - 255 * 255))
    page = file.read().rpartition(b"OggS")[2]
    lengths = page[23 : 23 + page[22]] if len(page) > 22 else b""
    return not lengths or not page[1] & 4 or len(page) < 23 + page[22] + sum(lengths)


def _asf(file: BinaryIO, size: int) -> bool:
    """The file properties say how long the file is, unless it was broadcast (ASF specification, 3.2)."""
    head = file.read(1 << 17)
    start = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    is_broadcast = bool(head[start + 88 : start + 89] != b"" and head[start + 88] & 1)
    return start >= 0 and not is_broadcast and size < int.from_bytes(head[start + 40 : start + 48], "little")


def _obu(file: BinaryIO, size: int) -> bool:
    """Each unit of AV1's low-overhead format says how long it is, in seven bits a byte (AV1 specification, 5.3 and 5.2)."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(10)
        start = 2 if head[0] & 4 else 1
        length, place = 0, place + start
        for index, byte in enumerate(head[start:]):
            length, place = length | (byte & 127) << 7 * index, place + 1
            if byte < 128:
                break
        if not head[0] & 2:  # it goes on to the end, or is none
            return False
        place += length
    return place > size


_CUTS = {"avi": _avi, "flv": _flv, "mxf": _mxf, "ogg": _ogg, "asf": _asf, "obu": _obu}
# bytes of what a file is a whole number of: dv has 10 sequences of 12,000 a frame in 60 Hz, 12 in 50 Hz
_UNITS = {"dv": (120_000, 144_000), "mpegts": (188, 192, 204)}


def ends_early(path: str | Path, kind: str) -> str:
    """What shows that a video is cut short where its demuxer (FFmpeg's name, `kind`) keeps silent; "" for nothing."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        is_cut = _CUTS[kind](file, size) if kind in _CUTS else all(size % unit for unit in _UNITS.get(kind, (1,)))
    return "the file is cut short" if is_cut else ""


def why_unopened(path: str | Path, refusal: str, said: Sequence[str], error: Exception, is_trusted: bool) -> str:
    """What is told of a file that FFmpeg does not open, by what it `said`; `refusal` tells what a video would be.

    Playlists are told as what they are, under any name, also where nothing but a name that must not be opened stops them.
    """
    words = said[-1].partition(", consider")[0] if said else getattr(error, "strerror", None) or str(error)
    is_led = any("not on whitelist" in words or "Unsafe file name" in words for words in said)
    with open(path, "rb") as file:
        is_list = _LIST.match(file.read(1 << 10).lower()) or Path(path).suffix.lower() in (".m3u", ".m3u8")
    if not is_led and not is_list:
        return f"{refusal} that ffmpeg reads ({words}); check the file, or name another"
    if not is_trusted:
        return "leads to other files or addresses; open one that you trust with --allow-playlists"
    if is_led:
        return "leads to addresses; only what lies in local files is opened"
    return f"is a playlist that ffmpeg cannot follow ({words}); name what it lists"


def require_plausible(path: str | Path, claimed_bytes: int, what: str) -> None:
    """ValueError where `what` claims more than a file of this size can hold, before it costs memory."""
    size_bytes = Path(path).stat().st_size
    if claimed_bytes > FREE_BYTES + MOST_RATIO * size_bytes:
        raise ValueError(
            f"{path}: {what} claims {claimed_bytes} bytes, more than a file of {size_bytes} can hold; make it again"
        )

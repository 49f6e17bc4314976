"""Zips from elsewhere and for elsewhere: what is unsafe in one, members unpacked to named paths, files packed alike.

A zip with one unsafe member is refused as a whole, whoever made it: absolute or .. paths, links, encryption, a member
larger than the caller allows or packed more than 200:1, a clip that is there twice, members that overlap, no name, an
LZMA dictionary above 256 MB. Damage of any kind, wherever a member is opened or read, is a DamagedZip with the member's
name; a packer that Python lacks is a ForeignZip, for to fetch such a zip again would bring the same.
Packing is deterministic: flat, sorted by the caller, fixed times and modes; the same files and zlib give the same bytes,
whatever the number of threads that deflate.

Source: PKWARE APPNOTE 6.3.10 (4.4.4 flags, 4.4.5 methods); D. Fifield, "A better zip bomb", WOOT 2019.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from youku import contest, files, stops, threads
from youku.exchange.deflate import Deflater
from youku.text_table import plural

MAX_RATIO = 200  # unpacked : packed; real video stays under 10, deflate's limit is 1032
RATIO_FROM_BYTES = 1 << 20  # a smaller member cannot hurt
DEFAULT_LEVEL = 6
MOST_THREADS = 8  # that deflate at once
BLOCK_BYTES = 1 << 20
MOST_LETTERS = 200  # of what zipfile says: a name of 64 KB may be in it
SMALL_BYTES = 4096  # read at once where Python unpacks all that it was given: bzip2 grows 20,000 times, LZMA 7,000
MAX_END_BYTES = 22 + 0xFFFF  # the directory's end and its comment (4.3.16)
MAX_DICTIONARY_BYTES = 256 << 20
PACKERS = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 10: "IBM TERSE", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd",
}  # fmt: skip
SIGNS = {b"<": "a web page", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x1f\x8b": "a gzip file"}
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, IndexError, MemoryError, OverflowError,
    RuntimeError, ValueError,
)  # fmt: skip


class DamagedZip(ValueError):
    """A zip that is cut, corrupt, unsafe or no zip at all: another copy may be whole."""


class ForeignZip(ValueError):
    """A sound zip that does not give what is wanted: packed by a method Python lacks, or without a clip asked for."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip for reading; DamagedZip where it is none, or its directory cannot be read."""
    try:
        with reading():
            return zipfile.ZipFile(path)
    except DamagedZip as error:
        with path.open("rb") as file:
            head = file.read(100).lstrip()
        reason = next((f"it is {what}" for sign, what in SIGNS.items() if head.startswith(sign)), str(error))
        if not head or (head.startswith(b"PK\3\4") and not zipfile.is_zipfile(path)):
            reason = "it is cut short" if head else "it is empty"
        raise DamagedZip(f"{path}: is not a whole zip ({reason}); pack it again, or fetch it anew") from None


@contextmanager
def reading() -> Iterator[None]:
    """Every way in which zipfile shows damage (also a place that cannot be sought) as DamagedZip."""
    try:
        yield
    except _DAMAGE as error:
        raise DamagedZip(str(error)[:MOST_LETTERS] or type(error).__name__) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # bz2 says "Invalid data stream" without a number
            raise
        raise DamagedZip("it points to no place in the file" if error.errno else str(error)) from None


class _Member(io.RawIOBase):
    """A member's bytes: damage is DamagedZip, and no read unpacks much more than it was asked for."""

    _source: Any = io.BytesIO()  # until it is opened; typeshed's IO[bytes] lacks read1

    def __init__(self, bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        self._most_bytes = BLOCK_BYTES if plain else SMALL_BYTES
        with reading():
            _require_small(bundle, info)
            self._source = bundle.open(info)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with reading():
            data = self._source.read1(min(len(buffer), self._most_bytes))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


@contextmanager
def open_member(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[BinaryIO]:
    """A member as a buffered stream that checks its CRC at its end; DamagedZip, or ForeignZip where Python cannot."""
    try:
        member = _Member(bundle, info)
    except DamagedZip:
        if (name := PACKERS.get(info.compress_type)) is None or _local_method(bundle, info) != info.compress_type:
            raise
        raise ForeignZip(f"is packed by {name} (method {info.compress_type}), which Python does not unpack") from None
    with io.BufferedReader(member, BLOCK_BYTES) as file:
        yield file


def _require_small(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """The dictionary of an LZMA member: after version and length of its properties, one byte and the size (5.8.8)."""
    if info.compress_type == zipfile.ZIP_LZMA:
        raw: Any = copy.copy(info)
        raw.compress_type, raw.file_size, raw.CRC = zipfile.ZIP_STORED, info.compress_size, None
        with bundle.open(raw) as source:
            if (asked := struct.unpack("<5xI", source.read(9))[0]) > MAX_DICTIONARY_BYTES:
                raise DamagedZip(f"asks for a dictionary of {asked} bytes")


def _local_method(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """The method in the member's own header; the directory's may be damaged."""
    with open(str(bundle.filename), "rb") as file, reading():
        file.seek(info.header_offset + 8)
        return int(struct.unpack("<H", file.read(2))[0])


def unsafe_members(bundle: zipfile.ZipFile, max_bytes: int | None = None) -> dict[str, str]:
    """Member -> what is unsafe about it, told from the zip's directory alone; trust nothing where this is not empty."""
    found: dict[str, str] = {}
    seen, packed_bytes = set[str](), 0
    for info in bundle.infolist():
        base = PurePosixPath(info.filename).name  # a clip is itself under any folder
        fault = _fault(info, max_bytes) or ("twice in the zip" if base in seen else "")
        seen.update({base} if contest.parse_name(base) else ())
        packed_bytes += info.compress_size
        if fault:
            found[info.filename] = fault
    if packed_bytes > Path(str(bundle.filename)).stat().st_size:
        found = {name: found.get(name, "overlaps others, as in a zip bomb") for name in bundle.namelist()}
    return found


def _fault(info: zipfile.ZipInfo, max_bytes: int | None) -> str:
    raw = info.orig_filename
    if not raw:
        return "no name"
    name, kind = raw.replace("\\", "/"), stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "unsafe name, an absolute path"
    if ".." in name.split("/"):
        return "unsafe name, it leaves its folder by '..'"
    if "\\" in raw or ":" in raw or not raw.isprintable():
        return "unsafe name, with a backslash, a colon or a sign that cannot be printed"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or special file"
    if info.flag_bits & 0x41:  # by password, by a strong cipher
        return "encrypted"
    if info.flag_bits & 0x20:
        return "a patch for another file (flag bit 5)"
    if max_bytes is not None and info.file_size > max_bytes:
        return f"unpacks to {info.file_size} bytes, more than the {max_bytes} allowed for one clip"
    if info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return f"packed more than {MAX_RATIO}:1, as a zip bomb or empty pictures are"
    return ""


def unpack(
    path: Path, targets: Mapping[str, Path], max_bytes: int, on_clip: Callable[[Path, int], None] = lambda *_: None
) -> list[str]:
    """Stream the clips named in `targets` to their paths, calling `on_clip(path, crc)` after each; returns what is no clip.

    After the sound ones were unpacked, DamagedZip names every damaged one, or else ForeignZip those that this zip cannot
    give; DamagedZip before the first where a member is unsafe. Names may differ in case.
    """
    with open_zip(path) as bundle:
        for member, fault in unsafe_members(bundle, max_bytes).items():
            raise DamagedZip(
                f"{path}: member {member!r} is refused: {fault}; nothing was unpacked, do not trust this file"
            )
        infos = [info for info in bundle.infolist() if not info.filename.endswith("/")]
        inside = {PurePosixPath(info.filename).name: info for info in infos}
        inside = {name.lower(): info for name, info in inside.items()} | inside
        found = {name: inside.get(name) or inside.get(name.lower()) for name in targets}
        needed = sum(info.file_size for info in found.values() if info)
        files.require_free(next(iter(targets.values())).parent, needed, f"unpacking {path.name}")
        damaged, foreign = [], []
        for name, info in found.items():
            try:
                if info is None:
                    raise ForeignZip("it is not in the archive")
                _unpack_one(bundle, info, targets[name])
                on_clip(targets[name], info.CRC)
            except DamagedZip as error:
                damaged.append(f"{name}: {error}")
            except ForeignZip as error:
                foreign.append(f"{name}: {error}")
        if None in found.values():
            damaged += _damaged_heads(bundle, infos, targets)
        if damaged:
            raise DamagedZip(f"{path}: is damaged ({'; '.join(damaged)})")
        if foreign:
            place = next(iter(targets.values())).parent
            advice = "get them from another source"
            if len(foreign) > list(found.values()).count(None):  # not only absent
                advice = f"unpack it with 7-Zip 24 or newer (7z e -o{place} {path}) and run again"
            told = f"{path}: is sound and does not give {plural(len(foreign), 'clip')} ({'; '.join(foreign)}); {advice}"
            raise ForeignZip(told)
        return [one.filename for one in infos if one not in found.values() and not _kin(Path(one.filename).name)]


def _damaged_heads(bundle: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], targets: Mapping[str, Path]) -> list[str]:
    """Why a clip may be missing by damage: another name in its own header, fewer entries than told, other things."""
    with open(str(bundle.filename), "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_END_BYTES))
        tail = file.read()
    told = int.from_bytes(tail[(at := tail.rfind(b"PK\5\6") + 10) : at + 2], "little")
    damaged = [] if told in (len(bundle.infolist()), 0xFFFF) else [f"its directory has {len(infos)} of {told} entries"]
    for info in infos:
        try:
            with open_member(bundle, info):
                pass
        except DamagedZip as error:
            damaged.append(f"{info.filename}: {error}")
        except ForeignZip:
            pass
    kin = {_kin(PurePosixPath(info.filename).name) for info in infos} & {_kin(name) for name in targets}
    return damaged or ([] if kin - {None} else [f"{'none of its clips' if infos else 'nothing'} is in it"])


def _kin(name: str) -> tuple[int, str] | None:
    """What the clips of one published archive have in common."""
    parsed = contest.parse_name(name)
    return (parsed[0] // contest.CLIPS_PER_ARCHIVE, parsed[1]) if parsed else None


def _unpack_one(bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """One member; zipfile checks the CRC at the end of the stream, so damage never gets a final name."""
    try:
        with open_member(bundle, info) as source, files.atomic_write(target) as file:
            shutil.copyfileobj(source, file, BLOCK_BYTES)
            if file.tell() != info.file_size:
                raise DamagedZip(f"expected {info.file_size} bytes, got {file.tell()}")
    except OSError as error:
        error.filename = str(target)
        raise


def pack(
    paths: Sequence[Path],
    zip_path: Path,
    level: int = DEFAULT_LEVEL,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> dict[str, str]:
    """Stream files into a flat zip that appears whole; returns name -> sha256 of the bytes packed."""
    method, number = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED, min(MOST_THREADS, threads.cores())
    with files.atomic_path(zip_path) as temporary, stops.workers(number, "deflate") as (pool, _):
        with zipfile.ZipFile(temporary, "w", method) as bundle:
            make = partial(Deflater, pool, number, level) if level else None
            digests = {path.name: _pack_one(bundle, path, make, on_bytes) for path in paths}
        with zipfile.ZipFile(temporary) as bundle:
            if damaged := bundle.testzip():
                raise ValueError(f"{zip_path}: {damaged} does not read back as written; check the disk and run again")
    return digests


def _pack_one(
    bundle: zipfile.ZipFile, path: Path, make: Callable[[], Deflater] | None, on_bytes: Callable[[int], object]
) -> str:
    """Pack one file and return its sha256; opened by bare name the entry gets 1980-01-01, whatever the file's time."""
    digest = hashlib.sha256()
    with path.open("rb") as source, bundle.open(path.name, "w", force_zip64=path.stat().st_size > 1 << 30) as target:
        if make:
            target._compressor = make()  # type: ignore[attr-defined]  # in the place of zlib's, which has one thread
        while block := source.read(BLOCK_BYTES):
            target.write(block)
            digest.update(block)
            on_bytes(len(block))
    entry = bundle.infolist()[-1]  # modes and system are written with the directory, at the end
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    return digest.hexdigest()

"""Zips from elsewhere and for elsewhere: what is unsafe in one, members unpacked to named paths, files packed alike.

A zip with one unsafe member is refused as a whole, whoever made it: absolute or .. paths, links, encryption, a member
larger than the caller allows or packed more than 200:1, a clip that is there twice, members that overlap.
Packing is deterministic: flat, sorted by the caller, fixed times and modes; the same files and zlib give the same bytes.

Source: PKWARE APPNOTE 6.3 (flag bit 0: encryption); D. Fifield, "A better zip bomb", WOOT 2019.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from youku import contest, files

MAX_RATIO = 200  # unpacked : packed; real video stays under 10, deflate's limit is 1032
RATIO_FROM_BYTES = 1 << 20  # a smaller member cannot hurt
DEFAULT_LEVEL = 6
BLOCK_BYTES = 1 << 20


class DamagedZip(ValueError):
    """A zip that is cut, corrupt or lacks members."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip for reading; DamagedZip where it is none, or its directory cannot be read."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        raise DamagedZip(
            f"{path}: is not a whole zip ({error}); pack it again, or delete it and fetch it anew"
        ) from None


@contextmanager
def reading() -> Iterator[None]:
    """Every way in which a packed stream shows damage, or a packer unknown to Python, as DamagedZip."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise DamagedZip(str(error)) from None
    except OSError as error:
        if error.errno is None:  # bz2 says "Invalid data stream" this way
            raise DamagedZip(str(error)) from None
        raise


def unsafe_members(bundle: zipfile.ZipFile, max_bytes: int | None = None) -> dict[str, str]:
    """Member -> what is unsafe about it, told from the zip's directory alone; trust nothing where this is not empty."""
    found: dict[str, str] = {}
    seen, packed_bytes = set(), 0
    for info in bundle.infolist():
        base = PurePosixPath(info.filename).name
        key = base if contest.parse_name(base) else info.filename  # a clip is itself under any folder
        fault = _fault(info, max_bytes) or ("twice in the zip" if key in seen else "")
        seen.add(key)
        packed_bytes += info.compress_size
        if fault:
            found[info.filename] = fault
    if packed_bytes > Path(str(bundle.filename)).stat().st_size:
        found = {name: found.get(name, "overlaps others, as in a zip bomb") for name in bundle.namelist()}
    return found


def _fault(info: zipfile.ZipInfo, max_bytes: int | None) -> str:
    raw = info.orig_filename
    name, kind = raw.replace("\\", "/"), stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "unsafe name, an absolute path"
    if ".." in name.split("/"):
        return "unsafe name, it leaves its folder by '..'"
    if "\\" in raw or ":" in raw or not raw.isprintable():
        return "unsafe name, with a backslash, a colon or a sign that cannot be printed"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or special file"
    if info.flag_bits & 1:
        return "encrypted"
    if max_bytes is not None and info.file_size > max_bytes:
        return f"unpacks to {info.file_size} bytes, more than the {max_bytes} allowed for one clip"
    if info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return f"packed more than {MAX_RATIO}:1, as a zip bomb or empty pictures are"
    return ""


def unpack(
    path: Path, targets: Mapping[str, Path], max_bytes: int, on_clip: Callable[[Path], None] = lambda _: None
) -> list[str]:
    """Stream the clips named in `targets` to their paths, calling `on_clip` after each; returns the members ignored.

    DamagedZip names every damaged or absent clip, after the sound ones were unpacked; ValueError where one is unsafe.
    """
    with open_zip(path) as bundle:
        for member, fault in unsafe_members(bundle, max_bytes).items():
            raise ValueError(
                f"{path}: member {member!r} is refused: {fault}; nothing was unpacked, "
                "do not trust this file: delete it and get it from another source"
            )
        inside = {PurePosixPath(info.filename).name: info for info in bundle.infolist() if not info.is_dir()}
        needed = sum(info.file_size for name, info in inside.items() if name in targets)
        files.require_free(next(iter(targets.values())).parent, needed, f"unpacking {path.name}")
        faults = []
        for name, target in targets.items():
            try:
                if name not in inside:
                    raise DamagedZip("it is not in the archive")
                _unpack_one(bundle, inside[name], target)
                on_clip(target)
            except DamagedZip as error:
                faults.append(f"{name}: {error}")
        if faults:
            raise DamagedZip(
                f"{path}: has {len(faults)} damaged or missing members ({'; '.join(faults)}); "
                "delete this file and run the same command again to fetch it anew"
            )
        return [info.filename for name, info in inside.items() if not contest.parse_name(name)]


def _unpack_one(bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """One member; zipfile checks the CRC at the end of the stream, so damage never gets a final name."""
    try:
        with reading(), files.atomic_write(target) as file, bundle.open(info) as source:
            shutil.copyfileobj(source, file, BLOCK_BYTES)
            if file.tell() != info.file_size:
                raise EOFError(f"expected {info.file_size} bytes, got {file.tell()}")
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
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with files.atomic_path(zip_path) as temporary:
        with zipfile.ZipFile(temporary, "w", method, compresslevel=level) as bundle:
            digests = {path.name: _pack_one(bundle, path, on_bytes) for path in paths}
        with zipfile.ZipFile(temporary) as bundle:
            if damaged := bundle.testzip():
                raise ValueError(f"{zip_path}: {damaged} does not read back as written; check the disk and run again")
    return digests


def _pack_one(bundle: zipfile.ZipFile, path: Path, on_bytes: Callable[[int], object]) -> str:
    """Pack one file and return its sha256; opened by bare name the entry gets 1980-01-01, whatever the file's time."""
    digest = hashlib.sha256()
    with path.open("rb") as source, bundle.open(path.name, "w", force_zip64=path.stat().st_size > 1 << 30) as target:
        while block := source.read(BLOCK_BYTES):
            target.write(block)
            digest.update(block)
            on_bytes(len(block))
    entry = bundle.infolist()[-1]  # modes and system are written with the directory, at the end
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    return digest.hexdigest()

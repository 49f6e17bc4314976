"""zips: what is unsafe in a zip is one check with one verdict, for what is downloaded and for what is submitted."""

from __future__ import annotations

import random
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from youku import contest
from youku.exchange import deflate, zips
from youku.exchange.submission import check_submission, open_submission

CLIP = contest.result_name(200, True)


def link(bundle: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("link")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    bundle.writestr(entry, "/etc/passwd")


UNSAFE: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "path escape": (lambda bundle: bundle.writestr("../x", b"x"), "unsafe name, it leaves its folder by '..'"),
    "absolute path": (lambda bundle: bundle.writestr("/tmp/x", b"x"), "unsafe name, an absolute path"),
    "drive": (lambda bundle: bundle.writestr("C:x", b"x"), "unsafe name, an absolute path"),
    "backslash": (lambda bundle: bundle.writestr("a\\x", b"x"), "unsafe name, with a backslash"),
    "escape sequence": (
        lambda bundle: bundle.writestr("a\x1b[2J", b"x"),
        "unsafe name, with a backslash, a colon or a",
    ),
    "link": (link, "a link or special file"),
    "bomb": (lambda bundle: bundle.writestr("x", bytes(2 << 20)), "packed more than 200:1"),
    "clip twice": (lambda bundle: bundle.writestr(f"again/{CLIP}", b"x"), "twice in the zip"),
    "no name": (lambda bundle: bundle.writestr(zipfile.ZipInfo(""), b"x"), "no name"),
}


def verdicts(path: Path) -> tuple[str, str]:
    """(what unpacking says, what a submission's faults say)."""
    with pytest.raises(ValueError) as caught:
        zips.unpack(path, {CLIP: path.parent / "out" / CLIP}, 10**9)
    assert not (path.parent / "out").exists()
    return str(caught.value), "; ".join(check_submission(path, contest.test_set("200-200")).faults)


@pytest.mark.parametrize("case", sorted(UNSAFE))
def test_download_and_submit_refuse_alike(case: str, tmp_path: Path) -> None:
    """Each unsafe member beside a sound clip: the same words from both, nothing unpacked, no control sign printed."""
    add, words = UNSAFE[case]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(CLIP, b"YUV4MPEG2")
        add(bundle)
    for verdict in verdicts(tmp_path / "a.zip"):
        assert words in verdict and verdict.isprintable()


def test_overlapping_members_are_refused_alike(tmp_path: Path) -> None:
    """Members that together are longer than the zip share their bytes, as in a zip bomb."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(CLIP, b"YUV4MPEG2")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 20, 10_000)  # packed size in the directory
    path.write_bytes(data)
    assert all("overlaps others" in verdict for verdict in verdicts(path))


def test_what_is_packed_is_safe_and_reads_back(tmp_path: Path) -> None:
    """Our own zip has no fault, and unpacking gives the files again, byte for byte."""
    (tmp_path / CLIP).write_bytes(bytes(range(256)) * 20)
    digests = zips.pack([tmp_path / CLIP], tmp_path / "a.zip")
    assert list(digests) == [CLIP] and open_submission(tmp_path / "a.zip").wrong == {}
    assert zips.unpack(tmp_path / "a.zip", {CLIP: tmp_path / "out" / CLIP}, 10**6) == []
    assert (tmp_path / "out" / CLIP).read_bytes() == (tmp_path / CLIP).read_bytes()


def damage_entry(path: Path, offset: int, form: str, value: int) -> None:
    """Overwrite one field of the first entry of the zip's directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)


ENTRIES = {
    "patch data": (8, "<H", 0x20, "flag bit 5"),
    "strong cipher": (8, "<H", 0x41, "encrypted"),
    "offset beyond the file": (42, "<I", 0xFFFFFF00, ""),
    "offset of another place": (42, "<I", 9, "Bad magic number"),
    "unknown method": (10, "<H", 77, "method"),
    "version of the future": (6, "<H", 0xFF, ""),
    "name of no length": (28, "<H", 0, ""),
    "crc": (16, "<I", 1, "Bad CRC-32"),
    "other size": (24, "<I", 5, ""),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_damaged_entry_is_one_sentence(case: str, tmp_path: Path) -> None:
    """Whatever field of the directory is damaged, unpacking and checking say so with zip or member named."""
    offset, form, value, words = ENTRIES[case]
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(CLIP, b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(384))
    damage_entry(path, offset, form, value)
    with pytest.raises(zips.DamagedZip, match=r"a\.zip") as caught:
        zips.unpack(path, {CLIP: tmp_path / "out" / CLIP}, 10**6)
    try:
        told = "; ".join(check_submission(path, contest.test_set("200-200")).faults)
    except ValueError as error:
        told = str(error)
    assert words in str(caught.value) and words in told and (CLIP in told or "a.zip" in told)
    assert list(tmp_path.rglob("*.y4m")) == [] and list(tmp_path.rglob("*.tmp*")) == []


def test_lzma_dictionary_is_bounded(tmp_path: Path) -> None:
    """A dictionary of 4 GB in the head of an LZMA member is damage, told before it is asked for."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as bundle:
        bundle.writestr(CLIP, b"x" * 500)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 30 + len(CLIP) + 5, 0xFFFFFFFF)
    path.write_bytes(data)
    with pytest.raises(zips.DamagedZip, match=f"{CLIP}: asks for a dictionary of 4294967295 bytes"):
        zips.unpack(path, {CLIP: tmp_path / CLIP}, 10**6)


def test_a_member_costs_no_more_than_is_read(tmp_path: Path) -> None:
    """LZMA packs zeros 7000:1, and zipfile unpacks all it was given: what is read goes in small steps."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as bundle:
        bundle.writestr("x", random.Random(1).randbytes(20_000) + bytes(80_000_000))
    with zips.open_zip(path) as bundle, zips.open_member(bundle, bundle.getinfo("x")) as member:
        tracemalloc.start()
        assert len(member.read(1_000_000)) == 1_000_000
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 45_000_000


def test_a_name_of_any_length_stays_a_sentence(tmp_path: Path) -> None:
    """A member's own header that claims a name of 64 KB: what lies there is not poured out."""
    path, name = tmp_path / "a.zip", contest.low_name(150)
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(name, bytes(range(256)) * 999)
    data = bytearray(path.read_bytes())
    data[26:28] = b"\xff\xff"
    path.write_bytes(data)
    with pytest.raises(zips.DamagedZip, match=f"{name}: File name in directory") as caught:
        zips.unpack(path, {name: tmp_path / "out" / name}, 1 << 20)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("num_bytes", [0, 1, 1000, 3000, 7777])
def test_deflate_gives_one_stream_whatever_the_threads(num_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and pieces of any length unpack to what went in; a block looks back into the one before it."""
    monkeypatch.setattr(deflate, "BLOCK_BYTES", 1000)
    data = bytes(random.Random(0).choices(range(256), k=900)) * 9
    streams = set()
    for number, piece in ((1, 10_000), (3, 333), (2, 1000)):
        with ThreadPoolExecutor(number) as pool:
            packer = deflate.Deflater(pool, number, 6)
            pieces = [data[at : min(at + piece, num_bytes)] for at in range(0, num_bytes, piece)]
            streams.add(b"".join([packer.compress(each) for each in pieces]) + packer.flush())
    assert len(streams) == 1
    stream = streams.pop()
    assert zlib.decompress(stream, -zlib.MAX_WBITS) == data[:num_bytes]
    assert len(stream) < 1200  # 900 random bytes and repeats of them


def test_packing_deflates_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same zip on a machine of one core and of eight, not made by zipfile's own compressor."""
    monkeypatch.setattr(deflate, "BLOCK_BYTES", 1 << 10)
    (tmp_path / "a.y4m").write_bytes(data := random.Random(0).randbytes(500) * 20)
    found = []
    for number in (1, 8):
        monkeypatch.setattr(zips.threads, "cores", lambda number=number: number)
        zips.pack([tmp_path / "a.y4m"], tmp_path / "a.zip")
        found.append((tmp_path / "a.zip").read_bytes())
    assert found[0] == found[1]
    plain = zlib.compressobj(zips.DEFAULT_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    assert plain.compress(data) + plain.flush() not in found[0]
    assert zipfile.ZipFile(tmp_path / "a.zip").read("a.y4m") == data

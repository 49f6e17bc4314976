"""zips: what is unsafe in a zip is one check with one verdict, for what is downloaded and for what is submitted."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from youku import contest
from youku.exchange import zips
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

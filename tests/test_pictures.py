"""Picture files: what is damaged, hostile or misnamed gets one sentence, whichever way it is read."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from youku import convert
from youku.video import pictures

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data, words",
    [
        (bomb(20000, 20000), "is larger than 178956970 pixels"),
        (bomb(13000, 13000), "the picture claims 507000000 bytes, more than a file of"),
        (b"", "not a picture or a damaged one"),
        (b"<html>not found</html>", "not a picture or a damaged one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture or a damaged one"),
    ],
)
def test_what_is_no_picture_costs_nothing(tmp_path: Path, data: bytes, words: str) -> None:
    """Bombs, pages and programs are named in one sentence, before memory is taken for what they claim."""
    path = tmp_path / "b.png"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for read in (pictures.read_head, pictures.read_size, pictures.read_rgb):
            with pytest.raises(ValueError, match=words) as error:
                read(path)
            assert str(error.value).startswith(f"{path}: ")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_overwritten_bytes_never_trace_back(tmp_path: Path, suffix: str) -> None:
    """Damage anywhere: a picture or ValueError that names the file; of a PNG no other picture, since it has checksums."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(30):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            rgb = pictures.read_rgb(path)
            assert suffix != "png" or np.array_equal(rgb, PIXELS)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")


@pytest.mark.parametrize("route", ["ffmpeg", "float"])
@pytest.mark.parametrize("kind", ["cut png", "wrong crc", "cut jpg"])
def test_a_damaged_picture_in_a_set_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], route: str, kind: str
) -> None:
    """One damaged picture of three ends the conversion by either route; it is neither left out nor filled with gray."""
    suffix = "jpg" if kind == "cut jpg" else "png"
    for number in range(3):
        Image.fromarray(PIXELS).save(tmp_path / f"{number}.{suffix}")
    path = tmp_path / f"1.{suffix}"
    data = path.read_bytes()
    place = data.find(b"IDAT") + 40
    wrong = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    path.write_bytes(wrong if kind == "wrong crc" else data[: len(data) * 2 // 3])
    assert convert.main([str(tmp_path), str(tmp_path / "out.y4m"), "--route", route]) == 1
    assert capsys.readouterr().err.startswith("error: ") and not (tmp_path / "out.y4m").exists()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    """As it is told before the picture is decoded, and as it is."""
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / f"a{suffix}", exif=exif)
    sides = (32, 24) if orientation >= 5 else (24, 32)
    assert pictures.read_size(tmp_path / f"a{suffix}") == sides
    assert pictures.read_rgb(tmp_path / f"a{suffix}").shape[:2] == sides


def test_pictures_are_what_they_hold_and_not_what_they_are_called(tmp_path: Path) -> None:
    """JPEG called .PNG, and png in capitals beside small letters, are read by ffmpeg's route, every one of them."""
    for kind, names in (("jpeg", ("a.PNG", "b.png")), ("png", ("c.PNG", "d.png"))):
        folder = tmp_path / kind
        folder.mkdir()
        for name in names:
            Image.fromarray(PIXELS).save(folder / name, kind)
        out = tmp_path / f"{kind}.y4m"
        assert convert.main([str(folder), str(out)]) == 0
        assert out.read_bytes().count(b"FRAME\n") == 2

"""Kinds of `fuzz`: y4m clips, zips of them, HDF5 files, pictures. What is taken gives its own bytes back."""

from __future__ import annotations

import io
import shutil
import zipfile
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from benchmarks.damage import Kind, collected, named, put, scramble
from youku import contest, files
from youku.exchange import submission, zips
from youku.looking import clip_summary
from youku.pages import report_frames
from youku.video import clips, conversion, hdf5, picture_sets, pictures, y4m

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
HEAD = "YUV4MPEG2 W8 H6 F25:1 Ip A1:1 C{} XYSCSS=420JPEG\n"
LONG = "9" * 400
TOKENS = """W8 H8 W0 W-8 W99999 W32768 H32768 H07 F25:1 F0:0 F0:1 F1:0 F F: F25 F-1:1 F30000/1001 F2147483647:1
    F1:2147483647 F1:2147483648 A1:1 A0:0 A0:1 A1:0 A255:1 A1:2147483647 C C420 C420jpeg C444p16 C444p10 Cmono Cmono9
    C422 C411 C420p17 CMONO Ip It Ib Im I? Iq I X XYSCSS=420 XYSCSS=444P16 XYSCSS=MONO XYSCSS= XCOLORRANGE=FULL
    XCOLORRANGE=x""".split()  # noqa: SIM905
TOKENS += ["", " ", "\t", "\0", "\xff", "\x85", f"F{LONG}:1", f"F1:{LONG}", f"W{LONG}", f"A{LONG}:1", "X" * 5000]
LINES = (
    b"FRAME", b"FRAM\n", b"FRAMES\n", b"frame\n", b"FRAME\r\n", b"FRAME\tI\n", b"FRAME  \n", b"FRAME Ip  XFRAME\n", b"\n",
    b"FRAME \xff\xa0\n", b"FRAME \x1c\n", b"FRAME " + b"x" * 5000 + b"\n", b"", b" FRAME\n", b"FRAME\nFRAME\n",
)  # fmt: skip


def _clips() -> list[bytes]:
    found = [HEAD.format("420jpeg").encode() + b"FRAME\n" * 13]  # pixels that look like lines of frames
    for chroma, bits, num_samples in (("420jpeg", 8, 72), ("444p10", 10, 144), ("mono", 8, 48), ("422p12", 12, 96)):
        rng, kind = np.random.default_rng(bits), np.uint8 if bits == 8 else np.uint16
        frames = [rng.integers(0, 1 << bits, num_samples, kind).tobytes() for _ in range(2)]
        found.append(HEAD.format(chroma).encode() + b"".join(b"FRAME\n" + frame for frame in frames))
    return [*found, found[1].replace(b"FRAME\n", b"FRAME Ixyz XABC=1\n")]


def _damage_clip(data: bytes, rng: Random, head_share: float = 0.6) -> bytes:
    head, _, body = data.partition(b"\n")
    words, frames = head.decode().split(" "), [b"FRAME" + rest for rest in body.split(b"FRAME")[1:]]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if rng.random() < head_share:
            _damage_words(words, rng)
            continue
        at = rng.randrange(len(frames))
        line, newline, pixels = frames[at].partition(b"\n")
        frames[at] = rng.choice(
            (rng.choice(LINES) + pixels, line + newline + scramble(pixels, rng), scramble(frames[at], rng),
             frames[at] * 2, b"", frames[at])
        )  # fmt: skip
    head = " ".join(words).encode("latin-1")
    return (scramble(head, rng) if rng.random() < 0.1 else head) + b"\n" + b"".join(frames)


def _damage_words(words: list[str], rng: Random) -> None:
    at, token = rng.randrange(len(words) + 1), rng.choice(TOKENS)
    match rng.randrange(7):
        case 0 | 1:
            words.insert(at, token)
        case 2 if words:
            words.pop(at - 1)
        case 3 if words:
            words.insert(at, rng.choice(words))
        case 4 if words:
            words[at - 1] = token
        case 5 if words:
            other = rng.choice(("0", LONG, "-", ":", "9", "\xb2"))
            words[at - 1] = words[at - 1].replace(rng.choice("0123456789:"), other)
        case 6:
            rng.shuffle(words)


def _read_clip(path: Path) -> bool:
    """Mapped and streamed, a clip gives its own bytes back, or both refuse it."""
    told: list[bytes | y4m.Y4MError] = []
    for read in (_mapped, _streamed):
        try:
            told.append(read(path))
        except y4m.Y4MError as error:
            told.append(error)
    errors = [one for one in told if isinstance(one, y4m.Y4MError)]
    if len(errors) == 2:
        raise min(errors, key=lambda error: str(error).startswith(f"{path}: "))
    return not errors and told[0] == told[1]


def _mapped(path: Path) -> bytes:
    """The planes, after a copy of head and frames was the file's own bytes but for the blank of `FRAME `."""
    clip, back = y4m.Clip(path), io.BytesIO()
    writer = y4m.Writer(back, clip.header)
    for index, planes in enumerate(clip):
        writer.write(planes, clip.frame_params(index))
    assert clip.header.fps and clip.header.aspect != 0
    y4m.parse_header(clip.header.resized(16, 12).at_rate(Fraction(30)).encode(), str(path))
    is_own = back.getvalue().replace(b"FRAME \n", b"FRAME\n") == path.read_bytes().replace(b"FRAME \n", b"FRAME\n")
    return _samples(clip) if is_own else b"other"


def _streamed(path: Path) -> bytes:
    return _samples(y4m.StreamReader(io.BytesIO(path.read_bytes()), str(path)))


def _samples(frames: y4m.Clip | y4m.StreamReader) -> bytes:
    return b"".join(plane.tobytes() for planes in frames for plane in planes)


def _read_film(path: Path) -> bool:
    """What `convert` to a video and `inspect` make of heads that the reader takes."""
    with named(path):
        clip_summary.clip_text(clip_summary.summarise_clip(path, None))
    target = path.with_name("film.mkv")
    with named(target):
        num_frames = conversion.convert(path, target, conversion.Conversion(codec="ffv1"))
    with clips.open_clip(target) as opened:
        return num_frames == len(list(opened.frames)) == y4m.Clip(path).num_frames


NAMES = (contest.low_name(150), contest.low_name(151), contest.test_set("val").name(150))
MEMBERS = dict(zip(NAMES, _clips()[1:4], strict=True))
LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# (place, size) of the fields of a record; the first five are told twice, by a member and by its entry
TWINS = (((6, 2), (8, 2)), ((8, 2), (10, 2)), ((14, 4), (16, 4)), ((18, 4), (20, 4)), ((22, 4), (24, 4)))
FIELDS = {
    LOCAL: (*(local for local, _ in TWINS), (4, 2), (10, 4), (26, 2), (28, 2)),
    CENTRAL: (*(entry for _, entry in TWINS), (4, 2), (6, 2), (28, 2), (30, 2), (32, 2), (34, 2), (38, 4), (42, 4)),
    END: ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
VALUES = (0, 1, 8, 9, 12, 14, 20, 32, 64, 93, 95, 98, 99, 2048, 0x7FFF, 0xFFFF, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
BAD_NAMES = ("", "/", "../", "a/", "C:", "\\", "\0", "\n", "\x1b[2J", "CON", "\xe9")


def _zips() -> list[bytes]:
    packers = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    found = [_zipped(packer, "") for packer in (*packers, zipfile.ZIP_LZMA)]
    return [*found, _zipped(zipfile.ZIP_DEFLATED, "any/", True), b"#!/bin/sh\n" + found[1], found[1] + b"\0" * 40]


def _zipped(packer: int, folder: str, is_64: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packer) as bundle:
        for name, data in MEMBERS.items():
            with bundle.open(folder + name, "w", force_zip64=is_64) as member:
                member.write(data)
        bundle.comment = b"a comment"
    return out.getvalue()


def damage_zip(data: bytes, rng: Random) -> bytes:
    """Fields of its records changed, in one place or in both, members renamed, or any bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        match rng.randrange(8):
            case 0 | 1 | 2:
                kind = rng.choice((LOCAL, CENTRAL, CENTRAL, END))
                _set(changed, rng.choice(_places(changed, kind)), rng.choice(FIELDS[kind]), rng)
            case 3:
                share, twin, value = rng.random(), rng.choice(TWINS), rng.choice(VALUES)
                for kind, field in zip((LOCAL, CENTRAL), twin, strict=True):
                    places = _places(changed, kind)
                    _set(changed, places[int(share * len(places))], field, rng, value)
            case 4:
                name, bad = rng.choice(NAMES).encode(), rng.choice(BAD_NAMES).encode()
                changed = bytearray(changed.replace(name, (bad + name)[: len(name)], rng.choice((1, 2))))
            case _:
                changed = bytearray(scramble(bytes(changed), rng))
    return bytes(changed)


def _places(data: bytearray, kind: bytes) -> list[int]:
    """Where records of a kind begin."""
    found = [-1]
    while (at := data.find(kind, found[-1] + 1)) >= 0:
        found.append(at)
    return found[1:] or [0]


def _set(data: bytearray, place: int, field: tuple[int, int], rng: Random, value: int | None = None) -> None:
    start, size = place + field[0], field[1]
    old = int.from_bytes(data[start : start + size], "little")
    near = (old + 1, old - 1, old ^ 1 << rng.randrange(8 * size), rng.getrandbits(8 * size), rng.choice(VALUES))
    new = (rng.choice(near) if value is None else value) % (1 << 8 * size)
    data[start : start + size] = new.to_bytes(size, "little")[: len(data[start : start + size])]


def _read_zip(path: Path) -> bool:
    """`download` unpacks, `submit` and `score` stream, `report` picks frames: every byte given is the member's own."""
    out, errors, is_right, num_taken = path.with_name("clips"), list[ValueError](), True, 0
    for name, data in MEMBERS.items():
        frames = [[plane.tobytes() for plane in frame] for frame in y4m.StreamReader(io.BytesIO(data), name)]
        with collected(errors, path):
            (out / name).unlink(missing_ok=True)
            zips.unpack(path, {name: out / name}, 1 << 20)
            is_right &= (out / name).exists()
        num_taken += (out / name).exists()
        is_right &= not (out / name).exists() or (out / name).read_bytes() == data
        with collected(errors, path, name):
            opened = submission.open_submission(path)
            if name in opened.members and name not in opened.wrong:
                with opened.open(name) as reader:
                    is_right &= frames == [[plane.tobytes() for plane in frame] for frame in reader]
        with collected(errors, path), suppress(FileNotFoundError):
            found = report_frames.packed_frames(path, name, {0})
            is_right &= [plane.tobytes() for plane in found[0][1]] == frames[0]
    if is_right and not num_taken:
        raise errors[0]
    return is_right


def _pictures() -> list[bytes]:
    found = []
    for name in ("png", "jpeg", "bmp", "tiff", "webp"):
        out, exif = io.BytesIO(), Image.Exif()
        exif[0x112] = 6  # to be turned
        Image.fromarray(PIXELS).save(out, name, **({"exif": exif} if name in ("jpeg", "webp") else {}))
        found.append(out.getvalue())
    return found


def _read_picture(path: Path) -> bool:
    """A PNG has checksums, so that another picture is wrong."""
    rgb = pictures.read_rgb(path)
    is_own = not path.read_bytes().startswith(b"\x89PNG") or np.array_equal(rgb, PIXELS)
    return is_own and rgb.shape[:2] == pictures.read_size(path)


def _hdf5() -> list[bytes]:
    with files.temporary_folder("/tmp/pictures") as folder:
        pairs = [picture_sets.PictureFiles(put(folder / "a.png", _pictures()[0]), None)]
        for form in conversion.FORMS:
            hdf5.write(pairs, folder / form, conversion.Content(hdf5=form))
        return [(folder / form).read_bytes() for form in conversion.FORMS]


def _read_hdf5(path: Path) -> bool:
    """`convert` makes pictures of it, `evaluate` reads pairs of it."""
    out, errors, is_right = path.with_name("out"), list[ValueError](), True
    shutil.rmtree(out, ignore_errors=True)
    with collected(errors, path):
        is_right &= hdf5.to_pictures(path, out) > 0
    with collected(errors, path):
        is_right &= all(high.shape[0] == 4 * low.shape[0] for _, low, high in hdf5.read_evaluation(path, 4))
    if len(errors) == 2:
        raise errors[0]
    return is_right


KINDS = {
    "y4m": Kind(_clips, _damage_clip, _read_clip, 1_000_000, 5_000),
    "film": Kind(_clips, partial(_damage_clip, head_share=0.9), _read_film, 3_000, 100, "film.y4m"),
    "zip": Kind(_zips, damage_zip, _read_zip),
    "hdf5": Kind(_hdf5, scramble, _read_hdf5, num_quick=100),
    "picture": Kind(_pictures, scramble, _read_picture),
}

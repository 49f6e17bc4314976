"""Raw frames with their own timestamps as a Matroska stream: what a y4m pipe to ffmpeg cannot say.

Planes and nanoseconds -> bytes for `ffmpeg -f matroska -i pipe:0`. Source: RFC 8794 (EBML) and RFC 9559 (Matroska),
codec V_UNCOMPRESSED; the four-letter codes are those of ffmpeg's table of raw formats (libavcodec/raw.c).
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO

import numpy as np

from youku.video.y4m import Header, Planes

UNKNOWN_SIZE = bytes([0x01] + [0xFF] * 7)
# (sub_x, sub_y) -> code of 8-bit planes; above 8 bit it is "Y", number of planes and layout, depth
_EIGHT_BIT = {(2, 2): b"I420", (2, 1): b"Y42B", (1, 1): b"444P", (0, 0): b"Y800"}
_DEEP = {(2, 2): b"3\x0b", (2, 1): b"3\x0a", (1, 1): b"3\x00", (0, 0): b"1\x00"}


def four_letters(header: Header) -> bytes:
    """The code that tells ffmpeg the pixel format of a clip's planes."""
    layout = header.layout[:2]
    return _EIGHT_BIT[layout] if header.depth == 8 else b"Y" + _DEEP[layout] + bytes([header.depth])


def write_head(file: IO[bytes], header: Header, fps: Fraction) -> None:
    """Everything before the first frame; one tick is a nanosecond, `fps` is the usual rate."""
    head = _uint(0x4286, 1) + _uint(0x42F7, 1) + _uint(0x42F2, 4) + _uint(0x42F3, 8)
    head += _element(0x4282, b"matroska") + _uint(0x4287, 4) + _uint(0x4285, 2)
    info = _uint(0x2AD7B1, 1) + _element(0x4D80, b"youku") + _element(0x5741, b"youku")
    picture = _uint(0xB0, header.width) + _uint(0xBA, header.height) + _element(0x2EB524, four_letters(header))
    track = _uint(0xD7, 1) + _uint(0x73C5, 1) + _uint(0x83, 1) + _uint(0x9C, 0)
    track += _element(0x22B59C, b"und") + _element(0x86, b"V_UNCOMPRESSED")
    track += _uint(0x23E383, round(10**9 / fps)) + _element(0xE0, picture)
    file.write(_element(0x1A45DFA3, head) + _id(0x18538067) + UNKNOWN_SIZE)
    file.write(_element(0x1549A966, info) + _element(0x1654AE6B, _element(0xAE, track)))


def write_frame(file: IO[bytes], planes: Planes, time_ns: int, duration_ns: int) -> None:
    """One frame as a cluster of its own, so that its time is exact however far from the last one."""
    assert time_ns >= 0 and duration_ns > 0, (time_ns, duration_ns)
    data = [np.ascontiguousarray(plane) for plane in planes]
    block = bytes([0x81, 0, 0, 0])  # track 1, 0 ns after its cluster, no flags
    block_head = _id(0xA1) + _size(len(block) + sum(plane.nbytes for plane in data)) + block
    tail = _uint(0x9B, duration_ns)
    group_bytes = len(block_head) + sum(plane.nbytes for plane in data) + len(tail)
    group_head = _id(0xA0) + _size(group_bytes)
    time = _uint(0xE7, time_ns)
    file.write(_id(0x1F43B675) + _size(len(time) + len(group_head) + group_bytes) + time + group_head + block_head)
    for plane in data:
        file.write(plane.data)
    file.write(tail)


def _element(number: int, data: bytes) -> bytes:
    return _id(number) + _size(len(data)) + data


def _uint(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _id(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _size(value: int) -> bytes:
    """A length in eight bytes, the first of them the marker."""
    return (value | 1 << 56).to_bytes(8, "big")

"""Block matching: vectors, chroma, half pixels, the blend, and that compensation brings a neighbour nearer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from youku.metrics import psnr
from youku.video import motion, y4m
from youku.video.y4m import Header, Planes

REAL = Path(__file__).parents[2] / "shared/data"


def texture(height: int, width: int, smooth_px: int = 2) -> np.ndarray:
    """Seeded blurred noise, float in 0-255: detail everywhere, no repetition."""
    values = np.random.default_rng(0).normal(size=(height + 8 * smooth_px, width + 8 * smooth_px))
    for axis in (0, 1):
        for _ in range(smooth_px):
            values = values + np.roll(values, 1, axis)
    values = values[4 * smooth_px :][:height, 4 * smooth_px :][:, :width]
    return np.clip(128 + 45 * values / values.std(), 0, 255)


def pan(header: Header, down: int, right: int) -> tuple[Planes, Planes]:
    """(neighbour, reference): the same content, moved by whole chroma samples between them."""
    neighbour, reference = [], []
    sub_x, sub_y, _ = header.layout
    for index, (height, width) in enumerate(header.plane_shapes):
        dy, dx = (down, right) if index == 0 else (down // sub_y, right // sub_x)
        scene = (texture(height + 32, width + 32) * (1 << header.depth - 8)).astype(header.dtype)
        reference.append(scene[16 : 16 + height, 16 : 16 + width])
        neighbour.append(scene[16 - dy : 16 - dy + height, 16 - dx : 16 - dx + width])  # content at +dy, +dx
    return tuple(neighbour), tuple(reference)


def plane_psnr(one: np.ndarray, other: np.ndarray) -> float:
    return psnr.y((one,), (other,))


@pytest.mark.parametrize("chroma", ["420mpeg2", "422", "444", "mono", "420p10"])
def test_a_pan_is_undone_in_every_plane(chroma: str) -> None:
    """Away from the edges the moved neighbour is the reference to the bit, luma and chroma, at every subsampling."""
    header = y4m.make_header(80, 64, chroma=chroma)
    neighbour, reference = pan(header, -6, 10)
    vectors = motion.find_motion(neighbour[0], reference[0], header.depth)
    assert (vectors[2:-2, 2:-2] == (-12, 20)).all()
    moved = motion.compensate(neighbour, vectors, header.layout, header.depth)
    for got, expected in zip(moved, reference, strict=True):
        inner = tuple(slice(side // 4, -side // 4) for side in expected.shape)
        assert got.dtype == expected.dtype
        assert np.array_equal(got[inner], expected[inner])


def test_compensation_beats_the_raw_neighbour_on_a_pan() -> None:
    """In dB to the reference the whole frame gains by the motion alone, and keeps the gain through the blend."""
    header = y4m.make_header(95, 61)
    neighbour, reference = pan(header, 4, -10)
    moved = motion.compensate(neighbour, motion.find_motion(neighbour[0], reference[0]), header.layout)
    aligned = motion.align(neighbour, reference, header.layout)
    for raw, by_motion, blended, expected in zip(neighbour, moved, aligned, reference, strict=True):
        assert plane_psnr(by_motion, expected) > plane_psnr(raw, expected) + 6
        assert plane_psnr(blended, expected) >= plane_psnr(by_motion, expected)


def test_half_pixels_are_found() -> None:
    """A pan of 1.5 pixels down and 0.5 left is found as (3, -1) half pixels."""
    fine = texture(160, 200, smooth_px=6)
    reference = fine[20:148:2, 20:180:2].astype(np.uint8)
    neighbour = fine[17:145:2, 21:181:2].astype(np.uint8)
    vectors = motion.find_motion(neighbour, reference)
    assert (vectors[1:-1, 1:-1] == (3, -1)).all()
    moved = motion.compensate((neighbour,), vectors, (0, 0, "center"))[0]
    assert plane_psnr(moved[8:-8, 8:-8], reference[8:-8, 8:-8]) > plane_psnr(neighbour, reference) + 10


@pytest.mark.parametrize("chroma", ["420mpeg2", "mono", "420p10"])
def test_no_motion_changes_nothing(chroma: str) -> None:
    """A neighbour equal to the reference comes back to the bit, flat parts and odd sizes included."""
    header = y4m.make_header(37, 29, chroma=chroma)
    _, reference = pan(header, 0, 0)
    reference[0][:12] = 40
    aligned = motion.align(reference, reference, header.layout, header.depth)
    assert all(np.array_equal(got, expected) for got, expected in zip(aligned, reference, strict=True))
    assert not motion.find_motion(reference[0], reference[0], header.depth).any()


def test_depth_does_not_change_the_vectors() -> None:
    """The same picture at 10 bit moves as at 8."""
    neighbour, reference = pan(y4m.make_header(64, 48), 3, 5)
    deep = [plane.astype(np.uint16) << 2 for plane in (neighbour[0], reference[0])]
    assert np.array_equal(motion.find_motion(neighbour[0], reference[0]), motion.find_motion(*deep, depth=10))


def test_the_blend_follows_the_paper() -> None:
    """r = exp(-e / 8): all of the compensated sample at e = 0, 1 / e of it at 8, nearly none at 80; chroma in step."""
    still = tuple(np.full(shape, 100, np.uint8) for shape in ((8, 8), (4, 4)))
    for error, share in ((0, 1.0), (8, np.exp(-1)), (80, np.exp(-10))):
        moved = (still[0] + np.uint8(error), still[1] + np.uint8(60))
        luma, chroma = motion.blend(moved, still)
        assert (luma == np.floor(100 + share * error + 0.5)).all()
        assert (chroma == np.floor(100 + share * 60 + 0.5)).all()


def test_the_blend_reads_errors_in_8_bit_values() -> None:
    """At 10 bit a difference of 32 is the 8 bit difference of 8."""
    moved, still = (np.full((8, 8), value, np.uint16) for value in (432, 400))
    assert (motion.blend((moved,), (still,), 10)[0] == round(400 + 32 * np.exp(-1))).all()


def test_a_foreign_frame_falls_back_to_the_reference() -> None:
    """Where nothing matches the result is near the reference, not near the neighbour."""
    _, reference = pan(y4m.make_header(64, 48, chroma="mono"), 0, 0)
    foreign = (255 - reference[0][::-1],)
    aligned = motion.align(foreign, reference, (0, 0, "center"))[0]
    assert plane_psnr(aligned, reference[0]) > plane_psnr(aligned, foreign[0]) + 6


def test_luma_alone_can_be_aligned() -> None:
    """A neighbour without chroma is aligned to a whole reference: one plane comes back, the same as with chroma."""
    header = y4m.make_header(48, 40)
    neighbour, reference = pan(header, 2, 2)
    alone = motion.align(neighbour[:1], reference, header.layout)
    assert len(alone) == 1
    assert np.array_equal(alone[0], motion.align(neighbour, reference, header.layout)[0])


@pytest.mark.skipif(not (REAL / "y4m").is_dir(), reason="needs the real clips of ../shared/data")
@pytest.mark.parametrize(
    ("name", "luma_db", "chroma_db"),
    [("park_joy_480x270_10f.y4m", 6, 2), ("foreman_352x288_60f.y4m", 6, 0), ("c422_640x360_3f.y4m", 10, 6)],
)
def test_real_clips_gain(name: str, luma_db: float, chroma_db: float) -> None:
    """Motion alone brings natural luma nearer by several dB; chroma too, save foreman's, still within noise (44 dB)."""
    clip = y4m.Clip(REAL / "y4m" / name)
    neighbour, reference = clip.frame(0), clip.frame(2)
    moved = motion.compensate(neighbour, motion.find_motion(neighbour[0], reference[0]), clip.header.layout)
    gains = [
        plane_psnr(got, plane) - plane_psnr(raw, plane)
        for got, raw, plane in zip(moved, neighbour, reference, strict=True)
    ]
    assert gains[0] > luma_db
    assert min(gains[1:]) > chroma_db


@pytest.mark.skipif(not (REAL / "vid4").is_dir(), reason="needs the real clips of ../shared/data")
@pytest.mark.parametrize("name", ["calendar_GT", "foliage_GT", "calendar_LRx4_BI"])
def test_vid4_gains(name: str) -> None:
    """Two frames apart, the motion alone gains over the raw neighbour on a part of Vid4, also at a quarter of the size."""
    from PIL import Image

    paths = sorted((REAL / "vid4" / name).glob("*.png"))
    neighbour, reference = (np.asarray(Image.open(paths[index]).convert("L"))[:240, :360] for index in (0, 2))
    moved = motion.compensate((neighbour,), motion.find_motion(neighbour, reference), (0, 0, "center"))[0]
    assert plane_psnr(moved, reference) > plane_psnr(neighbour, reference) + 3

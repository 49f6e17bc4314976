"""color: known colours, other implementations, round trips, and chroma at its siting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from youku.video import color, ffmpeg, y4m

LAYOUTS = [(2, 2, "center"), (2, 2, "left"), (2, 2, "topleft"), (2, 1, "left"), (1, 1, "center")]

# 8-bit studio-range code values of pure colours: BT.601-7 and BT.709-6, rounded
KNOWN = [
    ("601", (1, 1, 1), (235, 128, 128)),
    ("601", (0, 0, 0), (16, 128, 128)),
    ("601", (1, 0, 0), (81, 90, 240)),
    ("601", (0, 1, 0), (145, 54, 34)),
    ("601", (0, 0, 1), (41, 240, 110)),
    ("709", (1, 0, 0), (63, 102, 240)),
    ("709", (0, 1, 0), (173, 42, 26)),
    ("709", (0, 0, 1), (32, 240, 118)),
]


@pytest.mark.parametrize(("matrix", "rgb", "yuv"), KNOWN)
def test_known_colours(matrix: str, rgb: tuple[int, ...], yuv: tuple[int, ...]) -> None:
    """Pure colours have the code values of the standards."""
    picture = np.array(rgb, np.float64).reshape(3, 1, 1)
    got = color.rgb_to_yuv444(picture, matrix) * 255
    assert tuple(np.round(got.ravel()).astype(int)) == yuv


def test_full_range_white_and_black() -> None:
    """Full range spans 0 to 255."""
    picture = np.array([[[0.0, 1.0]]] * 3)
    np.testing.assert_allclose(color.rgb_to_yuv444(picture, full_range=True)[0] * 255, [[0, 255]], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(color.MATRICES)), st.booleans(), st.integers(0, 2**32 - 1))
def test_float_round_trip_is_exact(matrix: str, full_range: bool, seed: int) -> None:
    """RGB comes back within 1e-12, out-of-gamut values too."""
    rgb = np.random.default_rng(seed).uniform(-0.5, 1.5, (2, 3, 4, 5))
    back = color.yuv444_to_rgb(color.rgb_to_yuv444(rgb, matrix, full_range), matrix, full_range)
    np.testing.assert_allclose(back, rgb, atol=1e-12)


def test_numpy_equals_torch() -> None:
    """Both libraries give the same float64 planes."""
    rgb = np.random.default_rng(0).random((3, 6, 7))
    np.testing.assert_allclose(color.rgb_to_yuv444(torch.from_numpy(rgb)).numpy(), color.rgb_to_yuv444(rgb), atol=1e-15)


def test_agrees_with_scikit_image() -> None:
    """Y'CbCr and the papers' luma equal skimage's rgb2ycbcr, which follows MATLAB's coefficients."""
    from skimage.color import rgb2ycbcr

    picture = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    expected = rgb2ycbcr(picture)
    ours = color.rgb_to_yuv444(np.moveaxis(picture, -1, 0) / 255.0) * 255
    np.testing.assert_allclose(np.moveaxis(ours, 0, -1), expected, atol=0.01)
    np.testing.assert_allclose(color.luma_of_picture(picture), expected[..., 0], atol=1e-9)


def test_agrees_with_ffmpeg(tmp_path: Path) -> None:
    """A 4:4:4 frame becomes the RGB that ffmpeg's exact converter gives, within 1 code value."""
    header = y4m.make_header(32, 16, chroma="444")
    rgb = np.random.default_rng(1).integers(30, 226, (3, 16, 32)) / 255.0
    planes = tuple(np.round(color.rgb_to_yuv444(rgb) * 255).astype(np.uint8))
    path = tmp_path / "a.y4m"
    with y4m.create(path, header) as writer:
        writer.write(planes)
    options = {"format": "rawvideo", "pix_fmt": "rgb24", "sws_flags": "accurate_rnd+full_chroma_int"}
    with ffmpeg.piped_output(ffmpeg.build(str(path), "pipe:1", {}, options), "rgb") as stdout:
        theirs = np.frombuffer(stdout.read(), np.uint8).reshape(16, 32, 3)
    ours = color.planes_to_rgb(planes, 8, header.layout)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_upsampled_chroma_ramp_lies_at_its_siting(layout: tuple[int, int, str]) -> None:
    """A chroma ramp reads, at luma column x, the chroma coordinate that the siting gives to x."""
    sub_x, sub_y, siting = layout
    height, width = 24, 32
    offset_x = 0.5 if sub_x == 2 and siting == "center" else 0.0  # luma column of chroma column 0
    offset_y = 0.5 if sub_y == 2 and siting != "topleft" else 0.0
    y, x = np.mgrid[0 : height // sub_y, 0 : width // sub_x]
    up_x = color.upsample_chroma(x.astype(float), height, width, layout)
    up_y = color.upsample_chroma(y.astype(float), height, width, layout)
    np.testing.assert_allclose(up_x[12, 8:24], (np.arange(8, 24) - offset_x) / sub_x, atol=1e-9)
    np.testing.assert_allclose(up_y[8:16, 12], (np.arange(8, 16) - offset_y) / sub_y, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_downsampled_ramp_lies_at_its_siting(layout: tuple[int, int, str]) -> None:
    """Down-sampling a luma ramp puts its value at each chroma sample's own place, in both directions."""
    sub_x, sub_y, siting = layout
    offset_x = 0.5 if sub_x == 2 and siting == "center" else 0.0
    offset_y = 0.5 if sub_y == 2 and siting != "topleft" else 0.0
    y, x = np.mgrid[0:24, 0:32].astype(float)
    np.testing.assert_allclose(
        color.downsample_chroma(x, layout)[5, 4:10], np.arange(4, 10) * sub_x + offset_x, atol=1e-9
    )
    np.testing.assert_allclose(
        color.downsample_chroma(y, layout)[4:8, 5], np.arange(4, 8) * sub_y + offset_y, atol=1e-9
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(32, 48), (31, 47), (1, 1)])
def test_picture_round_trip_of_smooth_planes(layout: tuple[int, int, str], size: tuple[int, int]) -> None:
    """Smooth in-gamut planes come back from 8-bit RGB within 1 code value, at odd sizes too."""
    header_shapes = [size, *[(-(-size[0] // layout[1]), -(-size[1] // layout[0]))] * 2]
    planes = []
    for index, shape in enumerate(header_shapes):
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        planes.append(np.round(128 + 15 * np.sin((x + 3 * index) / 12) + 10 * np.cos(y / 10)).astype(np.uint8))
    rgb = color.planes_to_rgb(tuple(planes), 8, layout)
    assert rgb.shape == (*size, 3) and rgb.dtype == np.uint8
    for plane, back in zip(planes, color.rgb_to_planes(rgb, layout), strict=True):
        assert back.shape == plane.shape and np.abs(back.astype(int) - plane).max() <= 1


def test_gray_and_ten_bit_pictures() -> None:
    """Mono gives gray, studio white is 255, and 10-bit planes give the same picture as their 8-bit quarter."""
    luma = np.array([[16, 126, 235]], np.uint8)
    gray = color.planes_to_rgb((luma,), 8, (0, 0, "center"))
    assert gray[0, :, 0].tolist() == [0, 128, 255] and (gray == gray[..., :1]).all()
    chroma = np.full((1, 2), 140, np.uint8)
    eight = color.planes_to_rgb((luma, chroma, chroma), 8, LAYOUTS[1])
    ten = color.planes_to_rgb(tuple(plane.astype("<u2") * 4 for plane in (luma, chroma, chroma)), 10, LAYOUTS[1])
    assert np.array_equal(eight, ten)


@pytest.mark.parametrize("depth", [10, 12, 16])
def test_deep_full_range_is_white_at_its_highest_code(depth: int) -> None:
    """H.273, equation 24: v / (2^depth - 1), so that every 8-bit gray comes back exact, alone and with neutral chroma."""
    grays = np.arange(256)
    luma = ((grays * ((1 << depth) - 1) + 127) // 255).astype("<u2")[None]
    neutral = np.full((1, 256), 1 << (depth - 1), "<u2")
    for planes, layout in (((luma,), (0, 0, "center")), ((luma, neutral, neutral), (1, 1, "center"))):
        assert np.array_equal(color.planes_to_rgb(planes, depth, layout, full_range=True)[0, :, 1], grays)


def test_unknown_matrix_is_named() -> None:
    """A matrix that is not there is refused with the list."""
    with pytest.raises(ValueError, match="expected one of 601, 709"):
        color.rgb_to_yuv444(np.zeros((3, 1, 1)), "2100")

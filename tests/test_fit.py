"""Any target size: what comes out measures as asked, and equals a picture made at that size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import textured_frame
from tests.test_predict import clip_of, run, save_weights
from youku.video import interpolate, y4m


@pytest.mark.parametrize(
    ("size", "chroma", "size_px"),
    [
        ((3840, 2160), "420mpeg2", (3840, 2160)),
        ((3840, 3840), "420mpeg2", (3840, 2160)),
        ((1000, 1000), "420mpeg2", (1000, 562)),  # 562.5
        ((1001, 1001), "422", (1000, 563)),
        ((1001, 1001), "444", (1001, 563)),
        (Fraction("1.5"), "420mpeg2", (960, 540)),
        (Fraction("1.1"), "mono", (704, 396)),
    ],
)
def test_pictures_fit_inside(size: interpolate.Size, chroma: str, size_px: tuple[int, int]) -> None:
    """The aspect is kept, the sides are whole chroma samples, and no side is larger than asked."""
    header = y4m.make_header(640, 360, 25, chroma)
    made = interpolate.target_header(header, size)
    assert (made.width, made.height) == size_px
    assert made == header.resized(*size_px)


@pytest.mark.parametrize("chroma", ["420jpeg", "420mpeg2", "420paldv", "422", "444", "mono", "420p10"])
def test_x4_brought_to_x2_equals_x2(chroma: str) -> None:
    """Chroma does not move against luma at any siting; the same bytes where nothing changes."""
    header = y4m.make_header(32, 24, 25, chroma)
    planes = tuple(plane.astype(header.dtype) << (header.depth - 8) for plane in textured_frame(header, 0))
    large, medium = (interpolate.upscale(planes, header, scale) for scale in (4, 2))
    given, wanted = (interpolate.scaled_header(header, scale) for scale in (4, 2))
    made = interpolate.fit(large, given, wanted)
    for ours, theirs in zip(made, medium, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        inside = np.s_[3:-3, 3:-3]
        error = np.abs(ours[inside].astype(float) - theirs[inside]) / (1 << (header.depth - 8))
        assert error.max() <= 2 and error.mean() < 0.4
    assert all(map(np.array_equal, interpolate.fit(large, given, given), large))


def test_size_and_scale_of_predict(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The kit's network of the next factor, or the one given, and then the size; also of a video, and named by a folder."""
    clip = clip_of(tmp_path / "in.y4m", width=34, height=26, num_frames=2)
    cases = (
        (["--scale", "1.5"], (52, 40), "pairs-s x2"),  # 51 x 39 is no size of 4:2:0
        (["--size", "100x100"], (100, 76), "pairs-s x3"),
        (["--size", "400x400"], (400, 306), "pairs-s x4"),
        (["--size", "100x100", "--weights", str(save_weights(tmp_path / "w.safetensors"))], (100, 76), "fsrcnn x4"),
        (["--scale", "2.5", "--model", "bicubic"], (86, 66), "bicubic x3"),
    )
    for flags, (width, height), told in cases:
        assert run(str(clip.path), str(tmp_path / "out.y4m"), *flags) == 0
        out = y4m.Clip(tmp_path / "out.y4m")
        assert out.header == clip.header.resized(width, height) and out.num_frames == 2
        err = capsys.readouterr().err
        assert told in err and f"34x26 -> {width}x{height}" in err
    assert run(str(clip.path), str(tmp_path / "out.mp4"), "--size", "99x99") == 0
    assert "34x26 -> 98x76" in capsys.readouterr().err
    assert run(str(clip.path), f"{tmp_path}/new/", "--scale", "1.5") == 0
    assert (tmp_path / "new" / "in_x1.5.y4m").exists()


@pytest.mark.parametrize(
    ("flags", "words", "status"),
    [
        (["--size", "100"], "expected WIDTHxHEIGHT", 1),
        (["--size", "99999x99999"], "each from 2 to 32768", 1),
        (["--size", "20x20"], "is smaller than the pictures, 33x25; predict enlarges", 1),
        (["--scale", "0.5", "--model", "bicubic"], "is smaller than the pictures", 1),
        (["--scale", "0"], "expected a factor such as 2, 4 or 1.5", 1),
        (["--scale", "nan"], "expected a factor", 1),
        (["--scale", "1.5", "--size", "99x99"], "both say how large", 2),
        (["--size", "99x99", "--frames", "scored"], "drop --size and --scale", 2),
        (["--scale", "1.5", "--frames", "scored"], "drop --size and --scale", 2),
    ],
)
def test_sizes_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], words: str, status: int
) -> None:
    """One sentence, before any work."""
    clip = clip_of(tmp_path / "in.y4m")
    try:
        got = run(str(clip.path), str(tmp_path / "out.y4m"), *flags)
    except SystemExit as ended:
        got = int(ended.code or 0)
    assert got == status and words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]

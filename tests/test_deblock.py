"""convert --deblock: block borders go, everything else of the clip stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from youku import convert
from youku.video import conversion, ffmpeg, y4m
from youku.video.conversion import Conversion

BORDER = slice(7, 63, 8)


def blocky(path: Path, chroma: str = "420mpeg2") -> y4m.Clip:
    """Three frames of 8x8 blocks, each a flat value close to its neighbours', with a header token of its own."""
    header = y4m.make_header(64, 48, chroma=chroma)
    header = y4m.Header(header.width, header.height, (*header.tokens, "XNOTE=kept"))
    rng = np.random.default_rng(0)
    with y4m.create(path, header) as writer:
        for _ in range(3):
            planes = []
            for height, width in header.plane_shapes:
                values = rng.integers(110, 124, (-(-height // 8), -(-width // 8))) << (header.depth - 8)
                planes.append(np.kron(values, np.ones((8, 8)))[:height, :width].astype(header.dtype))
            writer.write(tuple(planes))
    return y4m.Clip(path)


def border_step(clip: y4m.Clip) -> float:
    """Mean luma step across the vertical block borders."""
    steps = [np.abs(np.diff(planes[0].astype(float), axis=1))[:, BORDER].mean() for planes in clip]
    return float(np.mean(steps)) / (1 << (clip.header.depth - 8))


@pytest.mark.parametrize("chroma", ["420mpeg2", "420jpeg", "422", "444", "420p10", "mono"])
def test_borders_are_smoothed_and_the_header_kept(tmp_path: Path, chroma: str) -> None:
    """At least half of each step at a block border goes, in every layout; header, size and frame count stay."""
    clip = blocky(tmp_path / "in.y4m", chroma)
    assert convert.main([str(tmp_path / "in.y4m"), str(tmp_path / "out.y4m"), "--deblock"]) == 0
    soft = y4m.Clip(tmp_path / "out.y4m")
    assert soft.header == clip.header and soft.num_frames == 3
    assert border_step(soft) < 0.5 * border_step(clip)


def test_edges_of_the_picture_stay(tmp_path: Path) -> None:
    """A step of 100 code values is an edge, not a block border."""
    header = y4m.make_header(64, 48)
    luma = np.where(np.arange(64) < 32, 50, 150).astype(np.uint8) + np.zeros((48, 1), np.uint8)
    gray = np.full((24, 32), 128, np.uint8)
    with y4m.create(tmp_path / "in.y4m", header) as writer:
        writer.write((luma, gray, gray))
    assert conversion.convert(tmp_path / "in.y4m", tmp_path / "out.y4m", Conversion(deblock=True)) == 1
    assert np.array_equal(y4m.Clip(tmp_path / "out.y4m").frame(0)[0], luma)


def test_a_coded_video_is_deblocked(tmp_path: Path) -> None:
    """Any video is decoded and filtered in one pass, as many frames as without."""
    blocky(tmp_path / "in.y4m")
    line = ffmpeg.build(str(tmp_path / "in.y4m"), str(tmp_path / "in.mp4"), {}, {"c:v": "mpeg4", "q:v": "20"})
    ffmpeg.run(line, "encode")
    for name, flags in (("plain.y4m", []), ("soft.y4m", ["--deblock"])):
        assert convert.main([str(tmp_path / "in.mp4"), str(tmp_path / name), *flags]) == 0
    plain, soft = y4m.Clip(tmp_path / "plain.y4m"), y4m.Clip(tmp_path / "soft.y4m")
    assert soft.num_frames == plain.num_frames == 3 and border_step(soft) < border_step(plain)


@pytest.mark.parametrize("source", ["-", "pictures/", "x.yuv"])
def test_other_inputs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str) -> None:
    """stdin, pictures and raw planes are told to become y4m first."""
    assert convert.main([source, str(tmp_path / "out.y4m"), "--deblock"]) == 1
    assert "--deblock wants a y4m file or a video" in capsys.readouterr().err

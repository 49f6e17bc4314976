"""Any video in: what ffmpeg's own pipe gives; times, tags, turned pictures; what y4m cannot hold; damage, playlists."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.format import VideoFormat
from PIL import Image

from tests.conftest import textured_frame, write_clip
from youku import files
from youku.video import avframe, color, damage, ffmpeg, recording, y4m
from youku.video.recording import open_recording


def make(path: Path, *options: str, source: str = "testsrc2=s=48x32:r=25:d=0.4") -> Path:
    """A small video by the ffmpeg binary."""
    line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source]
    subprocess.run([*line, *ffmpeg.passthrough_flags(), "-threads", "1", *options, str(path)], check=True)
    return path


def read(path: Path, **how: object) -> tuple[y4m.Header, list[y4m.Planes]]:
    with open_recording(path, **how) as opened:  # type: ignore[arg-type]
        return opened.header, list(opened)


@contextmanager
def piped(path: Path) -> Iterator[y4m.StreamReader]:
    """The reference: the ffmpeg binary's own y4m of a video."""
    line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-i", str(path), "-map", "0:v:0", *ffmpeg.passthrough_flags()]
    with ffmpeg.piped_output([*line, "-f", "yuv4mpegpipe", "-strict", "-1", "pipe:1"], str(path)) as stdout:
        yield y4m.StreamReader(stdout, str(path))


def same(first: list[y4m.Planes], second: list[y4m.Planes]) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ["-pix_fmt", "yuv420p", "-vf", "setsar=4/3"]),
        ("a.ts", ["-c:v", "mpeg2video"]),
        ("a.mpg", ["-c:v", "mpeg1video"]),
        ("a.avi", ["-c:v", "libx264", "-pix_fmt", "yuv422p"]),  # without presentation times
        ("b.avi", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]),
        ("a.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv444p16le"]),
        ("b.mkv", ["-c:v", "ffv1", "-pix_fmt", "gray10le"]),
        ("a.webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p10le"]),
        ("a.264", ["-pix_fmt", "yuv420p"]),
        ("c.mkv", ["-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-vf", "setfield=tff"]),
    ],
)
def test_header_and_planes_are_those_of_ffmpegs_own_pipe(tmp_path: Path, name: str, options: list[str]) -> None:
    """Every token and every sample, whatever container, codec, depth and layout."""
    path = make(tmp_path / name, *options)
    header, frames = read(path)
    with piped(path) as reader:
        assert header.tokens == reader.header.tokens
        assert same(frames, list(reader))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.264"])
def test_times(tmp_path: Path, name: str) -> None:
    """A frame each 1/25 s and as long; a bare stream has its rate instead of times."""
    with open_recording(make(tmp_path / name, "-pix_fmt", "yuv420p", "-bf", "2")) as opened:
        assert len(list(opened)) == 10
        times = [time * opened.tick for time in opened.times]
        assert [time - times[0] for time in times] == [Fraction(index, 25) for index in range(10)]
        assert {duration * opened.tick for duration in opened.durations} == {Fraction(1, 25)}
        assert not opened.is_variable


def test_a_variable_rate_is_seen(tmp_path: Path) -> None:
    """Frames 2, 7, 12 ... are missing: the others keep their times."""
    path = make(tmp_path / "a.mkv", "-vf", "select='not(eq(mod(n\\,5)\\,2))'")
    with open_recording(path) as opened:
        list(opened)
        assert opened.times == [0, 40, 120, 160, 200, 240, 320, 360] and opened.is_variable


def test_a_range_of_seconds(tmp_path: Path) -> None:
    """The frames at or after the start and before the end, with the times that they have in the file."""
    path = make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p", "-g", "3")
    _, every = read(path)
    with open_recording(path, start_sec=0.17, duration_sec=0.12) as opened:
        assert same(list(opened), every[5:8])
        assert [time * opened.tick for time in opened.times] == [Fraction(index, 25) for index in (5, 6, 7)]


@pytest.mark.parametrize(
    ("pix_fmt", "chroma", "words"),
    [
        ("rgb24", "444", "BT.601"),
        ("rgba", "444", "alpha dropped"),
        ("gbrp10le", "444p10", "BT.601"),
        ("rgb48be", "444p16", "BT.601"),
        ("pal8", "444", "BT.601"),
        ("nv12", "420", "nv12"),
        ("yuyv422", "422", "yuyv422"),
        ("yuva444p12le", "444p12", "alpha dropped"),
        ("yuv411p", "422", "yuv411p"),
        ("yuv410p", "420", "yuv410p"),
        ("yuv440p", "444", "yuv440p"),
        ("ya8", "mono", "alpha dropped"),
    ],
)
def test_what_y4m_cannot_hold(
    tmp_path: Path, pix_fmt: str, chroma: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The nearest layout, and one line that says so."""
    path = make(tmp_path / "a.nut", "-pix_fmt", pix_fmt, "-c:v", "rawvideo", source="testsrc2=s=48x32:d=0.04")
    header, frames = read(path)
    assert header.chroma.removesuffix("jpeg") == chroma and len(frames) == 1
    assert len(caplog.messages) == 1 and words in caplog.text


@pytest.mark.parametrize("suffix", ["png", "gif"])
@pytest.mark.parametrize("clear", [1, 200, None])
def test_dropped_transparency_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, clear: int | None
) -> None:
    """A transparent colour of a palette that pixels have, also where the layout was asked for; one that none has is nothing."""
    picture = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16) % 4, "P")
    picture.putpalette(bytes(range(252)) * 3)
    picture.save(tmp_path / f"a.{suffix}", **({} if clear is None else {"transparency": clear}))
    for how in ({}, {"chroma": "420"}):
        caplog.clear()
        read(tmp_path / f"a.{suffix}", **how)
        assert ("alpha dropped" in caplog.text) == (clear == 1 or suffix == "gif")  # FFmpeg's GIF always has alpha


def test_rgb_becomes_what_its_tags_say(tmp_path: Path) -> None:
    """PNG by BT.601 in studio range, within one code of exact arithmetic, and tagged so; 16 bit stay 16 bit."""
    path = make(tmp_path / "a.png", "-frames:v", "1", "-pix_fmt", "rgb24")
    with open_recording(path) as opened:
        got = next(iter(opened))
        assert (opened.tags.range, opened.tags.matrix) == (1, 6) and "XCOLORRANGE=LIMITED" in opened.header.tokens
    want = color.rgb_to_planes(np.asarray(Image.open(path).convert("RGB")), (1, 1, "center"))
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(got, want, strict=True)) <= 1


def test_chroma_is_read_where_it_lies(tmp_path: Path) -> None:
    """4:2:0 sited left, asked for as 4:4:4: nearer to exact interpolation from the left than from the middle."""
    path = make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p")
    header, frames = read(path)
    _, large = read(path, chroma="444")
    errors = [
        np.abs(
            large[0][1] - color.upsample_chroma(frames[0][1].astype(float), 32, 48, (2, 2, siting), "bicubic")
        ).mean()
        for siting in ("left", "center")
    ]
    assert header.chroma == "420mpeg2" and errors[0] < 0.5 * errors[1]


def test_a_turned_video_stands_upright(tmp_path: Path) -> None:
    """A rotation tag of each quarter: the planes that ffmpeg's own pipe gives; kept lying, the tag is kept."""
    flat = make(tmp_path / "flat.mp4", "-pix_fmt", "yuv420p", source="testsrc2=s=48x32:d=0.08")
    for degrees in ("90", "180", "270"):
        path = tmp_path / f"{degrees}.mp4"
        line = [ffmpeg.binary(), "-v", "error", "-display_rotation", degrees, "-i", str(flat), "-c", "copy", str(path)]
        subprocess.run(line, check=True)
        header, frames = read(path)
        with piped(path) as reader:
            assert header.tokens == reader.header.tokens and same(frames, list(reader))
        with open_recording(path, upright=False) as opened:
            assert opened.header.width == 48 and len(opened.tags.turn) == 9


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_upright(tmp_path: Path, orientation: int) -> None:
    """EXIF's eight orientations, as Pillow turns them."""
    from PIL import ImageOps

    ramp = np.zeros((24, 40, 3), np.uint8)
    ramp[:12, :20] = 255
    ramp[12:, 20:, 0] = 200
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(ramp).save(tmp_path / "a.jpg", exif=exif, quality=95)
    want = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg")).convert("L"))
    with open_recording(tmp_path / "a.jpg") as opened:
        assert opened.num_frames == opened.likely_frames == 1
    _, frames = read(tmp_path / "a.jpg")
    assert frames[0][0].shape == want.shape and np.abs(frames[0][0].astype(int) - want).mean() < 3


def test_hdr10_data(tmp_path: Path) -> None:
    """Mastering display, MaxCLL and MaxFALL are read."""
    light = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=error:hdr10=1:master-display={light}:max-cll=1000,400"
    coding = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", params)
    path = make(tmp_path / "a.mp4", *coding, source="testsrc2=s=96x64:d=0.08")
    with open_recording(path) as opened:
        assert opened.tags.light == (1000, 400) and len(opened.tags.mastering) == 88


def test_a_file_cut_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is there is delivered; one warning has the first damage and the count; `whole` refuses."""
    path = make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-g", "1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    _, frames = read(path)
    assert 0 < len(frames) < 10
    assert len(caplog.messages) == 1 and f" at frame {len(frames)}; {len(frames)} of 10 frames" in caplog.text
    with pytest.raises(ValueError, match="damaged: .*; fetch or make the file again"):
        read(path, whole=True)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.flv", "flv"), ("a.mxf", "mpeg2video"), ("a.ogv", "libtheora"), ("a.wmv", "wmv2")],
)
def test_a_file_that_ends_between_two_packets(tmp_path: Path, name: str, codec: str) -> None:
    """Its decoder meets no damage and some demuxers keep silent; what the format says of its end tells."""
    path = make(tmp_path / name, "-pix_fmt", "yuv420p", "-c:v", codec, source="testsrc2=s=96x64:r=25:d=0.4")
    assert len(read(path, whole=True)[1]) == 10
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos]
    path.write_bytes(path.read_bytes()[: places[-2]])
    with pytest.raises(ValueError, match="damaged: .*; fetch or make the file again"):
        read(path, whole=True)


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_a_segment_that_is_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    """FFmpeg passes over it and hardly warns: here it is damage, at the start, between and at the end."""
    monkeypatch.setattr(files, "_playlists", [True])
    hls = ("-g", "2", "-f", "hls", "-hls_time", "0.08", "-hls_list_size", "0", "-hls_segment_type", kind)
    path = make(tmp_path / "a.m3u8", "-pix_fmt", "yuv420p", *hls, source="testsrc2=s=96x64:r=25:d=0.4")
    assert len(read(path, whole=True)[1]) == 10
    (tmp_path / f"a{number}").with_suffix(".ts" if kind == "mpegts" else ".m4s").unlink()
    assert len(read(path)[1]) == 8 and f"Failed to open segment {number}" in caplog.text
    with pytest.raises(ValueError, match="damaged: .*; fetch or make the file again"):
        read(path, whole=True)


def test_damage_that_ffmpeg_passes_over(tmp_path: Path) -> None:
    """A raw HEVC stream that is cut inside a picture, and ASF with a hole, of which nothing is said at level error."""
    source = "testsrc2=s=320x240:r=25:d=0.4"
    hevc = make(
        tmp_path / "a.hevc", "-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", "log-level=error", source=source
    )
    wmv = make(tmp_path / "a.wmv", "-pix_fmt", "yuv420p", "-c:v", "wmv2", "-g", "1", source=source)
    for path, hole in ((hevc, slice(9_000, None)), (wmv, slice(20_000, 25_000))):
        data = bytearray(path.read_bytes())
        assert len(read(path, whole=True)[1]) == 10
        del data[hole]
        path.write_bytes(data)
        with pytest.raises(ValueError, match="damaged: .*; fetch or make the file again"):
            read(path, whole=True)


@pytest.mark.parametrize(
    ("source", "pix_fmt", "words"),
    [
        ("testsrc2=s=32x32:r=25:d=0.4", "yuv420p", "48x32 yuv420p to 32x32 yuv420p"),
        ("testsrc2=s=48x32:r=25:d=0.4", "yuv444p", "48x32 yuv420p to 48x32 yuv444p"),
    ],
)
def test_pictures_that_change_their_form(
    tmp_path: Path, source: str, pix_fmt: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are made like the first, which is said; what shall be a truth is refused."""
    path = tmp_path / "joined.264"
    parts = (
        make(tmp_path / "a.264", "-pix_fmt", "yuv420p"),
        make(tmp_path / "b.264", "-pix_fmt", pix_fmt, source=source),
    )
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    header, frames = read(path)
    assert (header.form, len(frames)) == ("48x32 C420mpeg2", 20)
    assert f"its pictures change from {words} at frame 11" in caplog.text
    with pytest.raises(ValueError, match="its pictures change from"):
        read(path, whole=True)


def test_how_many_frames_are_likely(tmp_path: Path) -> None:
    """Of a cover one, whatever its clock; of a file that begins at ten hours those that it has."""
    late = make(tmp_path / "late.mkv", "-output_ts_offset", "36000")
    sound = make(tmp_path / "a.m4a", "-c:a", "aac", source="sine=d=0.2")
    cover, song = make(tmp_path / "cover.png", "-frames:v", "1"), tmp_path / "song.m4a"
    line = [ffmpeg.binary(), "-v", "error", "-i", str(sound), "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy"]
    subprocess.run([*line, "-disposition:v:0", "attached_pic", str(song)], check=True)
    for path, expected in ((late, 10), (song, 1)):
        with open_recording(path) as opened:
            assert (opened.likely_frames, opened.header.fps, len(list(opened))) == (expected, 25, expected)


def test_a_filter_that_refuses_the_pictures_is_told(tmp_path: Path) -> None:
    """bwdif takes no picture of two lines."""
    path = make(tmp_path / "a.mkv", "-pix_fmt", "yuv420p", "-c:v", "ffv1", source="testsrc2=s=64x2:d=0.08")
    with pytest.raises(ValueError, match=r"a\.mkv: not pictures that FFmpeg's filters take or .*Invalid argument"):
        read(path, filters=(ffmpeg.DEINTERLACE["frame"],))


def test_raw_av1_cut_inside_a_unit(tmp_path: Path) -> None:
    """A whole stream of units ends with the last one; any other end is told, though the decoder keeps silent."""
    path = make(tmp_path / "a.obu", "-pix_fmt", "yuv420p", "-c:v", "libsvtav1", source="testsrc2=s=96x64:r=25:d=0.4")
    data = path.read_bytes()
    assert len(read(path, whole=True)[1]) == 10 and not damage.ends_early(path, "obu")
    for left in (1, 7, len(data) // 3, len(data) // 2):
        path.write_bytes(data[:-left])
        with pytest.raises(ValueError, match="damaged: .*; fetch or make the file again"):
            read(path, whole=True)


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("b.mkv", "ffv1"), ("a.mpg", "mpeg1video")])
def test_bytes_that_are_wrong(tmp_path: Path, name: str, codec: str, caplog: pytest.LogCaptureFixture) -> None:
    """Zeros here and there: counted, told of once, and the frames that decode come."""
    path = make(
        tmp_path / name, "-c:v", codec, "-pix_fmt", "yuv420p", "-g", "4", *(["-level", "3"] if codec == "ffv1" else [])
    )
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) * 9 // 10, len(data) // 20):
        data[place : place + 3] = b"\0\0\0"
    path.write_bytes(data)
    with open_recording(path) as opened:
        assert len(list(opened)) >= 5 and opened.faults
    assert len(caplog.messages) == 1 and "damaged" in caplog.text


@pytest.mark.parametrize(
    ("pix_fmt", "chroma"), [("p010le", "420p10"), ("y210le", "422p10"), ("gbrpf32le", "444p16"), ("monow", "mono")]
)
def test_nearest_chroma(pix_fmt: str, chroma: str) -> None:
    """More depth rather than less, up to 16 bit."""
    assert avframe.nearest_chroma(VideoFormat(pix_fmt, 16, 16)) == chroma


@pytest.mark.parametrize("pix_fmt", ["gray", "ya8", "monow"])
def test_gray_has_full_range_where_none_is_said(tmp_path: Path, pix_fmt: str) -> None:
    """Whatever lies beside it or packs it: white is 255, and the header says so."""
    path = make(tmp_path / "a.nut", "-c:v", "rawvideo", "-pix_fmt", pix_fmt, source="color=white:s=16x16:d=0.04")
    header, frames = read(path)
    assert header.is_full_range and header.chroma == "mono" and frames[0][0].min() == 255


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("film.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"),
        ("film.mp4", "ffconcat version 1.0\nfile a.ts\n"),
        ("film.mkv", "ffconcat version 1.0\nfile {folder}/a.ts\n"),
        ("film.m3u8", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{folder}/a.mp4\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_playlist_leads_nowhere(tmp_path: Path, name: str, text: str) -> None:
    """A playlist or a concat script under any name is refused, unless it is trusted."""
    make(tmp_path / "a.ts", "-c:v", "mpeg2video")
    make(tmp_path / "a.mp4", "-c:v", "mpeg4")
    (tmp_path / name).write_text(text.format(folder=tmp_path))
    with pytest.raises(ffmpeg.NoVideoError, match="leads to other files"):
        read(tmp_path / name)
    files.allow_playlists(True)
    try:
        assert len(read(tmp_path / name)[1]) == 10
    finally:
        files.begin_run()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("film.m3u8", "#EXTM3U\n#EXTINF:1,\n{folder}/a.mp4\n"),
        ("film.m3u8", "\ufeff#EXTM3U\r\n#EXT-X-TARGETDURATION:9\r\n#EXTINF:1,\r\na.mp4\r\n"),
        ("film.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{folder}/a.mp4\n#EXT-X-ENDLIST\n"),
        ("film.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
        ("film.m3u", "{folder}/a.mp4\n"),
        ("film.mov", '<?xml version="1.0"?>\n<playlist version="1"><trackList></trackList></playlist>'),
    ],
)
def test_a_playlist_that_ffmpeg_cannot_follow(tmp_path: Path, name: str, text: str) -> None:
    """It is told as a playlist, not as invalid data, untrusted and trusted."""
    (tmp_path / name).write_text(text.format(folder=tmp_path))
    with pytest.raises(ffmpeg.NoVideoError, match="leads to other files"):
        read(tmp_path / name)
    files.allow_playlists(True)
    try:
        with pytest.raises(
            ffmpeg.NoVideoError, match=r"is a playlist that ffmpeg cannot follow \(.+\); name what it lists"
        ):
            read(tmp_path / name)
    finally:
        files.begin_run()


def test_a_y4m_at_any_name(tmp_path: Path) -> None:
    """Reading a y4m this way changes nothing, also at a name with spaces, percent and Chinese characters."""
    header = y4m.make_header(33, 17)
    frames = [textured_frame(header, index) for index in range(5)]
    path = tmp_path / "a b%3d \u89c6\u9891.y4m"
    write_clip(path, header, frames)
    assert same(read(path)[1], frames)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ffmpeg.FFmpegError, match=r"nope\.mp4: no such file"):
        read(tmp_path / "nope.mp4")


@pytest.mark.parametrize("data", [b"", b"hello", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"])
def test_no_video(tmp_path: Path, data: bytes) -> None:
    """An empty file, a text, a bare head: one sentence with the name and the demuxer's own words."""
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ffmpeg.NoVideoError, match=r"a\.mp4: is neither .*moov atom not found"):
        read(tmp_path / "a.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    """The streams that there are are named."""
    line = [ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", "sine=d=0.1", str(tmp_path / "a.wav")]
    subprocess.run(line, check=True)
    with pytest.raises(ffmpeg.NoVideoError, match="no pictures that can be decoded, but audio"):
        read(tmp_path / "a.wav")


def test_interlaced_pictures(tmp_path: Path) -> None:
    """Refused with a command that runs as it is printed; deinterlaced a frame a frame, or a frame a field."""
    path = make(
        tmp_path / "a b.mkv",
        "-pix_fmt",
        "yuv420p",
        "-flags",
        "+ildct+ilme",
        "-x264-params",
        "tff=1",
        "-vf",
        "setfield=tff",
    )
    with pytest.raises(ValueError, match="is interlaced") as refusal:
        read(path, progressive=True)
    command = str(refusal.value).split("deinterlace it first: ")[1]
    subprocess.run(f"{command} -v error", shell=True, check=True, cwd=tmp_path)
    assert len(read(tmp_path / "OUT.mkv", progressive=True)[1]) == 10
    for mode, num_frames, fps in (("frame", 10, 25), ("field", 20, 50)):
        header, frames = read(path, progressive=True, filters=(recording.DEINTERLACE[mode],))
        assert (len(frames), header.fps, header.is_interlaced) == (num_frames, fps, False)


def test_a_language_tag_with_a_hyphen(tmp_path: Path) -> None:
    """zh-CN on the pictures themselves: a video like any other."""
    assert len(read(make(tmp_path / "a.mkv", "-metadata:s:v:0", "language=zh-CN"))[1]) == 10


def test_leaving_early_leaves_nothing_open(tmp_path: Path) -> None:
    """A reader that stops after a frame, or fails, closes the file; its own error comes through."""
    path = make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p")
    with pytest.raises(ValueError, match="my own trouble"), open_recording(path) as opened:
        next(iter(opened))
        raise ValueError("my own trouble")
    assert not [link for link in Path("/proc/self/fd").iterdir() if link.exists() and link.resolve() == path.resolve()]


def test_closing_while_frames_are_read_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a stop does, from another thread: the frames end there, and nothing is said against the file."""
    with open_recording(make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p")) as opened:
        frames = iter(opened)
        next(frames)
        opened.close()
        assert len(list(frames)) < 9 and not opened.faults
    assert not caplog.messages

"""Videos in and out: frames, times, sound, subtitles, tags and depth survive; what cannot is one clear sentence."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import textured_frame, write_clip
from youku import compare, convert, degrade, look, predict
from youku.video import container, encoding, ffmpeg, file_names, y4m
from youku.video.avframe import Tags
from youku.video.encoding import Encoding
from youku.video.recording import Recording, open_recording

BICUBIC = ("--model", "bicubic", "--scale", "2", "--device", "cpu")
SRT = "1\n00:00:00,100 --> 00:00:00,300\nhello\n\n2\n00:00:00,500 --> 00:00:00,700\nworld\n"
# frames 2, 7, 12 ... of 25 a second are missing: the rate varies
VARIABLE = "select='not(eq(mod(n\\,5)\\,2))'"


def make(path: Path, *options: str, filters: str = "null", source: str = "testsrc2=s=48x32:r=25:d=0.8") -> Path:
    """A small video by the bundled ffmpeg; `options` may begin with more inputs."""
    line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source]
    coding = ["-vf", filters, *ffmpeg.passthrough_flags(), "-threads", "1"]
    inputs = [index for index, word in enumerate(options) if word == "-i"]
    split = inputs[-1] + 2 if inputs else 0
    subprocess.run([*line, *options[:split], *coding, *options[split:], str(path)], check=True)
    return path


def sound(path: Path, *options: str, filters: str = "null") -> Path:
    """The same with a tone."""
    mapped = ("-map", "0:v", "-map", "1:a", "-pix_fmt", "yuv420p", *options)
    return make(path, "-f", "lavfi", "-i", "sine=d=0.8", *mapped, filters=filters)


def packets(path: Path, kind: str) -> list[tuple[str, str]]:
    """(time in seconds, checksum) of every packet of a kind of stream, as it lies in the file."""
    line = [ffmpeg.binary(), "-v", "error", "-copyts", "-i", str(path), "-map", f"0:{kind}", "-c", "copy"]
    text = subprocess.run([*line, "-f", "framecrc", "-"], check=True, capture_output=True, text=True).stdout
    unit = re.search(r"#tb 0: (\d+)/(\d+)", text)
    assert unit
    rows = [row.split(",") for row in text.splitlines() if not row.startswith("#")]
    return [(f"{float(int(row[2]) * Fraction(int(unit[1]), int(unit[2]))):.3f}", row[5].strip()) for row in rows]


def scan(path: Path) -> Recording:
    """A video that was read to its end, its pictures as they lie."""
    with open_recording(path, upright=False) as recording:
        list(recording)
        return recording


def seconds(path: Path) -> list[Fraction]:
    """When each frame is shown."""
    recording = scan(path)
    return [time * recording.tick for time in recording.times]


def told(path: Path) -> str:
    """What the ffmpeg binary says of a file."""
    line = [ffmpeg.binary(), "-hide_banner", "-i", str(path)]
    return subprocess.run(line, capture_output=True, text=True, check=False).stderr


def enlarge(*words: str | Path) -> int:
    return predict.main([*map(str, words), *BICUBIC])


def test_a_variable_rate_is_kept_to_the_tick(tmp_path: Path) -> None:
    """mp4 -> mp4 and mkv -> mp4: the list of times is equal, and so are frame count and each frame's duration."""
    for source in (make(tmp_path / "a.mp4", filters=VARIABLE), make(tmp_path / "a.mkv", filters=VARIABLE)):
        assert enlarge(source, tmp_path / "b.mp4", "--force") == 0
        before, after = scan(source), scan(tmp_path / "b.mp4")
        old = seconds(source)
        assert len(old) == 16 and len({b - a for a, b in itertools.pairwise(old)}) > 1
        assert seconds(tmp_path / "b.mp4") == old
        assert after.durations[-1] * after.tick == before.durations[-1] * before.tick


def test_milliseconds_in_mkv(tmp_path: Path) -> None:
    """mp4 at 30000/1001 -> mkv: every time is the source's, rounded to the millisecond that Matroska counts."""
    source = make(tmp_path / "a.mp4", source="testsrc2=s=48x32:r=30000/1001:d=0.5")
    assert enlarge(source, tmp_path / "b.mkv") == 0
    pairs = list(zip(seconds(source), seconds(tmp_path / "b.mkv"), strict=True))
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in pairs)


@pytest.mark.parametrize(("suffix", "subtitles"), [(".mp4", "mov_text"), (".mkv", "srt")])
def test_sound_and_subtitles_are_the_same_packets(tmp_path: Path, suffix: str, subtitles: str) -> None:
    """Audio and subtitles come out with the bytes and times they had, chapters and title too."""
    (tmp_path / "s.srt").write_text(SRT)
    meta = tmp_path / "m.txt"
    meta.write_text(";FFMETADATA1\ntitle=Old film\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=4\ntitle=One\n")
    inputs = ("-f", "lavfi", "-i", "sine=d=0.8", "-i", str(tmp_path / "s.srt"), "-i", str(meta))
    mapped = ("-map", "0:v", "-map", "1:a", "-map", "2", "-map_metadata", "3", "-map_chapters", "3", "-c:s", subtitles)
    source = make(tmp_path / f"a{suffix}", *inputs, *mapped)
    target = tmp_path / f"b{suffix}"
    assert enlarge(source, target) == 0
    for kind in "as":
        assert packets(target, kind) == packets(source, kind) != []
    said = told(target)
    assert "Old film" in said and "Chapter #0:0" in said


def test_tags_come_along(tmp_path: Path) -> None:
    """Matrix, primaries, transfer, full range, chroma siting, pixel aspect and rotation are the source's."""
    tags = "setsar=4/3,setparams=range=pc:colorspace=bt709:color_primaries=bt470bg:color_trc=smpte170m"
    flat = make(tmp_path / "flat.mp4", "-pix_fmt", "yuv420p", filters=f"{tags}:chroma_location=left")
    source = tmp_path / "a.mp4"
    line = [ffmpeg.binary(), "-v", "error", "-display_rotation", "90", "-i", str(flat), "-c", "copy", str(source)]
    subprocess.run(line, check=True)
    for name in ("b.mp4", "b.mkv", "b.mov"):
        assert enlarge(source, tmp_path / name) == 0
        before, after = scan(source).tags, scan(tmp_path / name).tags
        assert after == before
        assert (after.range, after.matrix, after.primaries, after.transfer, after.siting) == (2, 1, 5, 6, "left")
        assert after.turn[:5] == (0, -65536, 0, 65536, 0)
        assert "SAR 4:3" in told(tmp_path / name)
        assert "96x64" in told(tmp_path / name)


@pytest.mark.parametrize(("codec", "suffix"), [("x264", ".mp4"), ("x265", ".mp4"), ("vp9", ".webm"), ("ffv1", ".mkv")])
def test_ten_bit_stay_ten_bit(tmp_path: Path, codec: str, suffix: str) -> None:
    """Every codec keeps 10 bit."""
    source = make(tmp_path / "a.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", source="testsrc2=s=48x32:d=0.12")
    target = tmp_path / f"b{suffix}"
    assert enlarge(source, target, "--codec", codec) == 0
    with open_recording(target) as reader:
        assert reader.header.depth == 10 and len(list(reader)) == 3


@pytest.mark.parametrize(
    "chroma", ["420jpeg", "420mpeg2", "422", "444", "mono", "420p10", "422p12", "444p16", "mono10"]
)
def test_ffv1_loses_nothing(tmp_path: Path, chroma: str) -> None:
    """Planes of every layout, odd sizes too, come back as they were: the pipe and the tags change no sample."""
    header = y4m.make_header(33, 25, 24, chroma)
    shift = header.depth - 8
    frames = [tuple(p.astype(header.dtype) << shift for p in textured_frame(header, index)) for index in range(3)]
    with container.create(tmp_path / "a.mkv", header, Encoding(codec="ffv1")) as writer:
        for planes in frames:
            writer.write(planes)
    with open_recording(tmp_path / "a.mkv") as reader:
        back = list(reader)
    assert all(np.array_equal(a, b) for x, y in zip(frames, back, strict=True) for a, b in zip(x, y, strict=True))


def test_full_range_is_not_rescaled(tmp_path: Path) -> None:
    """A full-range clip keeps its code values: only the tag travels."""
    header = y4m.parse_header(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420mpeg2 XCOLORRANGE=FULL\n", "x")
    planes = tuple(
        np.full(shape, value, np.uint8) for shape, value in zip(header.plane_shapes, (255, 0, 255), strict=True)
    )
    with container.create(tmp_path / "a.mkv", header, Encoding(codec="ffv1")) as writer:
        writer.write(planes)
    with open_recording(tmp_path / "a.mkv") as reader:
        assert all(map(np.array_equal, next(iter(reader)), planes))
    assert scan(tmp_path / "a.mkv").tags.range == 2


def test_a_range_of_frames_begins_at_zero_with_its_own_sound(tmp_path: Path) -> None:
    """--frames 5-9: five frames from time 0, and exactly the packets of sound that begin in that range."""
    source = sound(tmp_path / "a.mp4")
    assert enlarge(source, tmp_path / "b.mp4", "--frames", "5-9") == 0
    assert seconds(tmp_path / "b.mp4") == [Fraction(index, 25) for index in range(5)]
    inside = [check for time, check in packets(source, "a") if 0.2 <= float(time) < 0.4]
    assert [check for _, check in packets(tmp_path / "b.mp4", "a")] == inside != []


def shown(path: Path) -> list[tuple[str, str]]:
    """(begin, end) of each subtitle in the first second, "100" and "0,300" of what is there from 0.1 to 0.3 s."""
    line = [ffmpeg.binary(), "-v", "error", "-i", str(path), "-map", "0:s", "-f", "srt", "-"]
    text = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return re.findall(r"0,(\d+) --> 00:00:0(.*)\n", text)


@pytest.mark.parametrize(("suffix", "subtitles"), [(".mp4", "mov_text"), (".mkv", "srt")])
def test_subtitles_end_with_the_range(tmp_path: Path, suffix: str, subtitles: str) -> None:
    """--frames 0-14: the first subtitle keeps its 0.2 s, the second is shown for the 0.1 s that are left of the range."""
    (tmp_path / "s.srt").write_text(SRT)
    source = make(tmp_path / f"a{suffix}", "-i", str(tmp_path / "s.srt"), "-map", "0:v", "-map", "1", "-c:s", subtitles)
    assert enlarge(source, tmp_path / f"b{suffix}", "--frames", "0-14") == 0
    assert shown(tmp_path / f"b{suffix}") == [("100", "0,300"), ("500", "0,600")]


def test_subtitles_behind_a_longer_one_keep_their_time(tmp_path: Path) -> None:
    """One that is shown beyond the range is cut; what is over before, though it began later, is not made longer."""
    (tmp_path / "s.srt").write_text(
        "1\n00:00:00,000 --> 00:00:02,000\nlong\n\n2\n00:00:00,100 --> 00:00:00,200\nshort\n\n"
    )
    source = make(tmp_path / "a.mkv", "-i", str(tmp_path / "s.srt"), "-map", "0:v", "-map", "1", "-c:s", "srt")
    assert enlarge(source, tmp_path / "b.mkv", "--frames", "0-14") == 0
    assert shown(tmp_path / "b.mkv") == [("000", "0,600"), ("100", "0,200")]


def test_subtitles_shown_at_the_start_of_a_range_begin_with_it(tmp_path: Path) -> None:
    """--frames 5-14 of 25 a second: 0.2 s are left of what began at 0.1 s and ends at 0.4 s, nothing of what is over."""
    times = ("00:00:00,000 --> 00:00:00,100", "00:00:00,100 --> 00:00:00,400", "00:00:00,440 --> 00:00:00,480")
    (tmp_path / "s.srt").write_text("\n\n".join(f"{at}\n{when}\n{at}" for at, when in enumerate(times, 1)) + "\n\n")
    source = make(tmp_path / "a.mkv", "-i", str(tmp_path / "s.srt"), "-map", "0:v", "-map", "1", "-c:s", "srt")
    assert enlarge(source, tmp_path / "b.mkv", "--frames", "5-14") == 0
    assert shown(tmp_path / "b.mkv") == [("000", "0,200"), ("240", "0,280")]


def test_a_broadcast_clock_starts_at_zero(tmp_path: Path) -> None:
    """An MPEG transport stream, whose clock starts at 1.4 s, becomes a file that starts at 0, sound still beside it."""
    source = sound(tmp_path / "a.ts", "-c:v", "mpeg2video")
    assert enlarge(source, tmp_path / "b.mp4") == 0
    old, new = seconds(source), seconds(tmp_path / "b.mp4")
    shift = old[0] - new[0]
    assert shift > 1 and [time - shift for time in old] == new
    gap = float(packets(source, "a")[0][0]) - float(shift)
    assert abs(float(packets(tmp_path / "b.mp4", "a")[0][0]) - gap) < 0.002


def test_interlaced_video_is_refused_with_a_command_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in the message, run as it stands, makes a video that is taken, also of a name with a colon."""
    coding = ("-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    make(tmp_path / "tape 10:30.mp4", *coding, filters="setfield=tff")
    monkeypatch.chdir(tmp_path)
    source = Path("tape 10:30.mp4")
    assert enlarge(source, tmp_path / "b.mp4") == 1
    message = capsys.readouterr().err
    assert "is interlaced" in message and not (tmp_path / "b.mp4").exists()
    command = message.split("deinterlace it first: ")[1].strip()
    subprocess.run(f"{command} -v error", shell=True, check=True, cwd=tmp_path)
    assert enlarge(tmp_path / "OUT.mkv", tmp_path / "b.mp4") == 0
    assert len(seconds(tmp_path / "b.mp4")) == 20


def test_pictures_that_turn_interlaced(
    tmp_path: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused at that frame, which is named; what came before can be had, and all with --deinterlace; a y4m says it."""
    tapes = ("-flags", "+ildct+ilme", "-x264-params", "tff=1")
    parts = [make(tmp_path / "p.ts", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-frames:v", "4")]
    parts += [make(tmp_path / "i.ts", "-pix_fmt", "yuv420p", "-c:v", "libx264", *tapes, filters="setfield=tff")]
    source = tmp_path / "a.mkv"
    line = [ffmpeg.binary(), "-v", "error", "-i", f"concat:{parts[0]}|{parts[1]}", "-c", "copy", str(source)]
    subprocess.run(line, check=True)
    refusal = "a.mkv: is interlaced from frame 4 on; `predict` takes it with --deinterlace"
    assert enlarge(source, tmp_path / "b.y4m") == 1
    told = capsys.readouterr().err
    assert refusal in told and "4 frames came before the frame at fault; --frames 0-3 makes them alone" in told
    assert degrade.main([str(source), str(tmp_path / "pairs")]) == 1 and refusal in capsys.readouterr().err
    assert enlarge(source, tmp_path / "c.y4m", "--frames", "0-3") == 0
    assert enlarge(source, tmp_path / "d.y4m", "--deinterlace") == 0 and not caplog.messages
    assert convert.main([str(source), str(tmp_path / "e.y4m")]) == 0
    assert "a.mkv: is interlaced from frame 4 on, and not before" in caplog.text


@pytest.mark.parametrize(("codec", "name", "other"), [("libopus", "b.mov", ".mp4"), ("truehd", "b.mp4", ".mkv")])
def test_what_a_writer_refuses_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture, codec: str, name: str, other: str
) -> None:
    """Sound that FFmpeg's table grants a container and its writer does not: told before a frame is made."""
    source = sound(tmp_path / "a.mkv", "-c:a", codec, "-ac", "2", "-ar", "48000", "-strict", "-2")
    assert enlarge(source, tmp_path / name) == 1
    message = capsys.readouterr().err
    assert f"cannot hold stream 1 of {source}" in message and f"name OUT{other}" in message
    assert "48x32 ->" not in message
    assert enlarge(source, tmp_path / f"b{other}") == 0 and packets(tmp_path / f"b{other}", "a")


def test_what_a_container_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """srt in mp4, aac in webm: the stream, a container that takes it and the flag are named; the flag works."""
    (tmp_path / "s.srt").write_text(SRT)
    inputs = ("-f", "lavfi", "-i", "sine=d=0.8", "-i", str(tmp_path / "s.srt"))
    source = make(tmp_path / "a.mkv", *inputs, "-map", "0", "-map", "1", "-map", "2", "-c:s", "srt", "-c:a", "aac")
    assert enlarge(source, tmp_path / "b.mp4") == 1
    message = capsys.readouterr().err
    assert "cannot hold stream 2" in message and "OUT.mkv" in message and "--no-subtitles" in message
    assert enlarge(source, tmp_path / "b.mp4", "--no-subtitles") == 0
    assert packets(tmp_path / "b.mp4", "a") and "Subtitle" not in told(tmp_path / "b.mp4")
    assert enlarge(source, tmp_path / "b.webm", "--no-subtitles") == 1
    assert "--no-audio" in capsys.readouterr().err
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".mkv", ".mp4", ".srt"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """An error in the middle of the frames leaves neither the video nor a temporary file."""
    header = y4m.make_header(16, 16)
    with (
        pytest.raises(ValueError, match="my trouble"),
        container.create(tmp_path / "a.mp4", header, Encoding()) as writer,
    ):
        writer.write(textured_frame(header, 0))
        raise ValueError("my trouble")
    with pytest.raises(ValueError, match="0 frames"), container.create(tmp_path / "a.mp4", header, Encoding()):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fields", "chroma", "width", "words"),
    [
        ("a.webm", {}, "420mpeg2", 16, "cannot hold x264; use --codec vp9"),
        ("a.mp4", {"codec": "ffv1"}, "420mpeg2", 16, "cannot hold ffv1; use --codec x264, x265, vp9, or OUT.mkv"),
        ("a.mp4", {}, "420p12", 16, "x264 cannot hold C420p12"),
        ("a.mp4", {}, "420mpeg2", 15, "wants even sides, the pictures are 15x16"),
    ],
)
def test_what_does_not_go_together(
    tmp_path: Path, name: str, fields: dict, chroma: str, width: int, words: str
) -> None:
    """Codec, container, depth and size are checked before anything is written."""
    header = y4m.make_header(width, 16, chroma=chroma)
    with pytest.raises(ValueError, match=re.escape(words)):
        encoding.check(header, tmp_path / name, Encoding(**fields))


@pytest.mark.parametrize(
    ("name", "chroma", "codec", "wanted"),
    [
        ("a.mkv", "420p10", None, "x264"),
        ("a.mov", "444p12", None, "x265"),
        ("a.mkv", "mono16", None, "ffv1"),
        ("a.mp4", "mono16", None, "x264"),  # which nothing in such a file holds: refused by `check`
        ("a.mkv", "444p12", "x264", "x264"),
        ("a.webm", "420p12", None, "vp9"),
    ],
)
def test_a_codec_that_holds_the_depth_is_taken(
    caplog: pytest.LogCaptureFixture, name: str, chroma: str, codec: str | None, wanted: str
) -> None:
    """ProRes 4444 and 16-bit gray are coded by what holds them, and one line says so; what the user names stays."""
    header = y4m.make_header(64, 64, chroma=chroma)
    assert encoding.default_encoding(name, codec, None, header).codec == wanted
    told = f"{name}: x264 cannot hold C{chroma}, so {wanted} codes it"
    assert caplog.messages == ([told] if wanted in ("x265", "ffv1") else [])
    if wanted in ("x265", "ffv1"):
        encoding.check(header, name, Encoding(codec=wanted))


@pytest.mark.parametrize("fields", [{"codec": "h266"}, {"crf": 52}, {"crf": -1}, {"codec": "ffv1", "crf": 3}])
def test_bad_encodings(fields: dict) -> None:
    """Unknown codecs, rates that the codec does not have, a rate for a lossless one."""
    with pytest.raises(ValueError, match="expected|lossless"):
        Encoding(**fields)


def test_times_that_do_not_increase_are_refused(tmp_path: Path) -> None:
    """A frame at or before the last one is named with a command, and nothing is written."""
    source = make(tmp_path / "a b.mp4", "-pix_fmt", "yuv420p")
    with (
        pytest.raises(ValueError, match=r"frame 2 has a time before the last one.*-i '.*a b\.mp4' "),
        open_recording(source) as recording,
        container.create(tmp_path / "b.mp4", recording.header, Encoding(), recording) as writer,
    ):
        for index, planes in enumerate(recording):
            recording.times[-1] = min(index, 1)
            writer.write(planes)
    assert [path.name for path in tmp_path.iterdir()] == ["a b.mp4"]


def test_pictures_of_a_range_and_a_film_of_them_again(tmp_path: Path) -> None:
    """B.1: a time range as png, back to a video at its rate with the sound of that range, tagged as ffmpeg coloured it."""
    source = sound(tmp_path / "a.mp4")
    words = ("--start", "0.2", "--duration", "0:00.4")
    pattern, part = str(tmp_path / "p" / "f-%06d.png"), tmp_path / "part.mkv"
    assert convert.main([str(source), pattern, *words]) == 0
    assert len(list((tmp_path / "p").glob("*.png"))) == 10
    assert convert.main([pattern, str(part), "--fps", "25", "--audio", str(source), *words]) == 0
    assert seconds(part) == [Fraction(index, 25) for index in range(10)]
    inside = [check for time, check in packets(source, "a") if 0.2 <= float(time) < 0.6]
    assert [check for _, check in packets(part, "a")] == inside != []
    assert (scan(part).tags.range, scan(part).tags.matrix) == (1, 6)
    with open_recording(source) as reader, open_recording(part) as again:
        wanted = list(reader)[5]
        assert np.abs(wanted[0].astype(int) - next(iter(again))[0]).mean() < 3


def test_a_range_of_a_clip(tmp_path: Path) -> None:
    """y4m, at 24 frames a second: frames from the start on and before its end, as a y4m and as an mp4."""
    header = y4m.make_header(32, 16, 24)
    write_clip(tmp_path / "a.y4m", header, (textured_frame(header, index) for index in range(12)))
    words = ("--start", "0.1", "--duration", "0.2")
    assert convert.main([str(tmp_path / "a.y4m"), str(tmp_path / "b.y4m"), *words]) == 0
    assert np.array_equal(y4m.Clip(tmp_path / "b.y4m").frame(0)[0], y4m.Clip(tmp_path / "a.y4m").frame(3)[0])
    assert y4m.Clip(tmp_path / "b.y4m").num_frames == 5
    assert convert.main([str(tmp_path / "a.y4m"), str(tmp_path / "b.mp4"), *words]) == 0
    assert seconds(tmp_path / "b.mp4") == [Fraction(index, 24) for index in range(5)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["a.mp4", "b.mkv"], "is a video already"),
        (["none.mp4", "b.mkv"], "none.mp4: no such file"),
        (["a.mp4", "b.avi"], "OUT.mp4, OUT.mkv"),
        (["a.mp4", "b.y4m", "--crf", "3"], "--crf has no effect"),
        (["a.mp4", "b.y4m", "--audio", "a.mp4"], "--audio has no effect"),
        (["a.mp4", "p/%3d.png", "--start", "9"], "has no frame at --start 9 s"),
        (["x.y4m", "b.mp4", "--audio", "a.mp4"], "a.mp4: has no audio"),
        (["x.y4m", "b.mp4", "--audio", "no.mp4"], "no.mp4: no such file or folder; check the path"),
        (["x.y4m", "b.mp4", "--audio", "text.mp4"], "text.mp4: is not a video or audio file"),
        (["x.y4m", "y.y4m", "--start", "9"], "has no frame at --start 9 s"),
    ],
)
def test_bad_conversions_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, line: list[str], words: str
) -> None:
    """Each mistake exits with 1, says one line, and makes nothing."""
    monkeypatch.chdir(tmp_path)
    make(Path("a.mp4"), source="testsrc2=s=16x16:d=0.2")
    Path("text.mp4").write_text("not a video\n" * 20)
    header = y4m.make_header(16, 16)
    write_clip(Path("x.y4m"), header, [textured_frame(header, 0)])
    before = sorted(tmp_path.rglob("*"))
    assert convert.main(line) == 1
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_languages_dispositions_and_attachments(tmp_path: Path) -> None:
    """zh-CN on sound and pt-BR on pictures go along into mkv; mp4, which holds three letters, has zho."""
    (tmp_path / "font.ttf").write_bytes(b"not a font")
    attached = ("-attach", str(tmp_path / "font.ttf"), "-metadata:s:t", "mimetype=font/ttf")
    tags = ("-metadata:s:a:0", "language=zh-CN", "-metadata:s:v:0", "language=pt-BR", "-disposition:a:0", "comment")
    source = sound(tmp_path / "a.mkv", "-c:a", "aac", *tags, *attached)
    assert enlarge(source, tmp_path / "b.mkv") == enlarge(source, tmp_path / "b.mp4") == 0
    said = told(tmp_path / "b.mkv")
    assert "(pt-BR): Video" in said and re.search(r"\(zh-CN\): Audio: .* \(comment\)", said)
    assert "font.ttf" in said and "font/ttf" in said
    assert "(zho): Audio" in told(tmp_path / "b.mp4")
    assert packets(tmp_path / "b.mp4", "a") == packets(source, "a") != []


@pytest.mark.parametrize(("tag", "short"), [("sv-SE", "swe"), ("sr-Latn-RS", "srp"), ("ger", "ger"), ("yue-HK", "yue")])
def test_mp4_has_every_language_in_three_letters(tag: str, short: str) -> None:
    """Of two letters every one that ISO 639-1 has; three stay what they are."""
    assert encoding.kept_metadata({"language": tag}, True)["language"] == short


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_hdr10_data_goes_along(tmp_path: Path, codec: str) -> None:
    """Mastering display and light levels of the source are those of the output, as are its colours."""
    light = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=error:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:master-display={light}"
    coding = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", f"{params}:max-cll=1000,400")
    source = make(tmp_path / "a.mp4", *coding, source="testsrc2=s=96x64:d=0.08")
    assert enlarge(source, tmp_path / "b.mp4", "--codec", codec) == 0
    before, after = scan(source).tags, scan(tmp_path / "b.mp4").tags
    assert (after.light, after.matrix, after.primaries, after.transfer) == ((1000, 400), 9, 9, 16)
    old, new = (np.frombuffer(tags.mastering, "i4")[:20].reshape(10, 2) for tags in (before, after))
    assert np.allclose(old[:, 0] / old[:, 1], new[:, 0] / new[:, 1])


@pytest.mark.parametrize("codec", file_names.CODECS)
def test_lost_hdr10_data_is_said(caplog: pytest.LogCaptureFixture, codec: str) -> None:
    """The coders that cannot say light levels tell so; the others do not."""
    assert tuple(encoding._ENCODERS) == file_names.CODECS
    Encoding(codec=codec).options(y4m.make_header(64, 64), Tags(light=(1000, 400)))
    assert ("light levels are left out" in caplog.text) == (codec in ("vp9", "ffv1"))


@pytest.mark.parametrize(("name", "codec"), [("b.mkv", "ffv1"), ("b.webm", "vp9")])
def test_the_shape_of_pixels_where_the_codec_does_not_say_it(tmp_path: Path, name: str, codec: str) -> None:
    """FFV1 and VP9 leave it to the container: times, sound and colours are the same with it."""
    source = sound(tmp_path / "a.mkv", "-c:a", "libopus", filters="setsar=4/3,setparams=colorspace=bt709")
    assert enlarge(source, tmp_path / name, "--codec", codec) == 0
    assert "SAR 4:3" in told(tmp_path / name) and scan(tmp_path / name).tags.matrix == 1
    assert seconds(tmp_path / name) == seconds(source)
    assert packets(tmp_path / name, "a") == packets(source, "a") != []
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{name}.json", "a.mkv", name]


def test_pictures_are_deinterlaced(tmp_path: Path) -> None:
    """A frame for each, at its time, or one for each field, half way between."""
    coding = ("-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    source = make(tmp_path / "a.mp4", *coding, filters="setfield=tff")
    for words, num_frames in ((["--deinterlace"], 20), (["--deinterlace", "field"], 40)):
        assert enlarge(source, tmp_path / "b.mp4", "--force", *words) == 0
        assert seconds(tmp_path / "b.mp4") == [Fraction(index, 25 * num_frames // 20) for index in range(num_frames)]


def test_only_interlaced_frames_are_deinterlaced(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A film not marked as interlaced stays as it is but for "all" and "field", and a line says so; of a marked one, none."""
    coding = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    source = make(tmp_path / "p.mkv", *coding)
    assert enlarge(source, tmp_path / "plain.y4m") == 0
    for mode, is_same, words in (
        ("frame", True, "where they show combs, add --deinterlace all"),
        ("all", False, "--deinterlace all changes it all the same"),
        ("field", False, "--deinterlace field changes it all the same"),
    ):
        assert enlarge(source, tmp_path / f"{mode}.y4m", "--deinterlace", mode) == 0
        assert words in capsys.readouterr().err
        assert ((tmp_path / f"{mode}.y4m").read_bytes() == (tmp_path / "plain.y4m").read_bytes()) == is_same
    marked = make(tmp_path / "i.mkv", *coding, "-flags", "+ildct", filters="setfield=tff")
    assert enlarge(marked, tmp_path / "i.y4m", "--deinterlace") == 0 and "marked" not in capsys.readouterr().err
    assert (tmp_path / "i.y4m").read_bytes() == (tmp_path / "all.y4m").read_bytes()


@pytest.mark.parametrize("options", [(), ("-movflags", "frag_keyframe", "-g", "5")])
def test_frames_beyond_a_trusted_index_are_refused_before_the_work(
    tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    """An MP4 of 20 frames; in fragments its head tells of the first few alone, and those after them come too."""
    source = make(tmp_path / "a.mp4", "-pix_fmt", "yuv420p", *options)
    assert (
        enlarge(source, tmp_path / "b.y4m", "--frames", "18-19") == 0 and y4m.Clip(tmp_path / "b.y4m").num_frames == 2
    )
    assert enlarge(source, tmp_path / "c.y4m", "--frames", "18-20") == 1
    told = capsys.readouterr().err
    assert ("a.mp4: has 20 frames, frame 20 was asked for" in told) == (not options)
    if not options:
        assert "says that it has" not in told
        assert enlarge(source, tmp_path / "d.y4m", "--frames", "38-39", "--deinterlace", "field") == 0


def test_damage_is_told_and_what_decodes_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An mp4 cut to 60 %: a shorter video with a warning; `degrade` does not take it."""
    source = sound(tmp_path / "a.mp4", "-movflags", "+faststart", "-g", "5")
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    assert enlarge(source, tmp_path / "b.mp4") == 0
    assert f"{len(seconds(tmp_path / 'b.mp4'))} of 20 frames decoded" in caplog.text
    assert degrade.main([str(source), str(tmp_path / "pairs")]) == 1


def test_a_y4m_of_a_variable_rate_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """y4m has one rate: the lost times are told of."""
    source = make(tmp_path / "a.mp4", filters=VARIABLE)
    assert enlarge(source, tmp_path / "b.y4m") == 0
    assert "its rate varies, which y4m and pictures lose" in capsys.readouterr().err


def test_a_comparison_keeps_the_times_of_the_first(tmp_path: Path) -> None:
    """A variable rate beside sound: pictures and sound of a comparison last as long as those of the source."""
    source = sound(tmp_path / "a.mp4", filters=VARIABLE)
    assert compare.main([str(source), str(source), "--out", str(tmp_path / "b.mp4")]) == 0
    assert seconds(tmp_path / "b.mp4") == seconds(source)


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """An interrupt in the middle of the frames leaves no file and no thread."""
    header = y4m.make_header(64, 64)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt), container.create(tmp_path / "a.mp4", header, Encoding()) as writer:
        for index in range(60):
            writer.write(textured_frame(header, index))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [] and before.issuperset(threading.enumerate())


@pytest.mark.parametrize("chroma", ["420", "420p10"])
@pytest.mark.parametrize(("codec", "suffix"), [("x264", ".mkv"), ("x265", ".mp4"), ("vp9", ".webm"), ("ffv1", ".mkv")])
def test_what_a_careful_tool_writes(tmp_path: Path, codec: str, suffix: str, chroma: str) -> None:
    """Of a clip that says A1:1 and no range: square pixels, progressive, 16-235, the stream that players choose."""
    header = y4m.parse_header(f"YUV4MPEG2 W64 H32 F25:1 Ip A1:1 C{chroma}\n".encode(), "clip")
    frames = [tuple(np.full(shape, 100, header.dtype) for shape in header.plane_shapes)] * 3
    container.write_clip(tmp_path / f"a{suffix}", header, frames, Encoding(codec=codec))
    (stream,) = re.findall("Stream #0:0.*", told(tmp_path / f"a{suffix}"))
    assert all(words in stream for words in ("SAR 1:1", "progressive", "(tv", "(default)")), stream


def test_gray_of_an_unsaid_range_stays_what_it_was(tmp_path: Path) -> None:
    """FFmpeg takes gray for full range where nothing is said, a y4m is 16-235: it is said, and comes back so."""
    header = y4m.make_header(48, 32, chroma="mono")
    container.write_clip(tmp_path / "a.mkv", header, [(np.full((32, 48), 16, np.uint8),)], Encoding(codec="ffv1"))
    with open_recording(tmp_path / "a.mkv") as recording:
        assert not recording.header.is_full_range and next(iter(recording))[0].max() == 16


@pytest.mark.parametrize(("width", "height"), [(1, 4), (2, 3), (8, 3), (3, 8), (16, 5000)])
def test_ffv1_holds_every_size(tmp_path: Path, width: int, height: int) -> None:
    """Too small for slices, too long for ffmpeg's -aspect."""
    header = y4m.parse_header(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420\n".encode(), "clip")
    frame = textured_frame(header, 0)
    container.write_clip(tmp_path / "a.mkv", header, [frame], Encoding(codec="ffv1"))
    with open_recording(tmp_path / "a.mkv") as recording:
        assert all(np.array_equal(a, b) for a, b in zip(next(iter(recording)), frame, strict=True))


@pytest.mark.parametrize(
    ("size", "fps", "codec", "words"),
    [
        (
            (16386, 16),
            "25:1",
            "x264",
            "codes 1 to 16384 by 1 to 16384 pixels, the pictures are 16386x16; use --codec ffv1",
        ),
        ((64, 8), "25:1", "x265", "codes 64 to 8192 by 16 to 8192 pixels, the pictures are 64x8; use --codec x264"),
        # widths at which its AVX2 code writes beyond its memory, most often the end of the process
        ((48, 32), "25:1", "x265", "codes 64 to 8192 by 16 to 8192 pixels, the pictures are 48x32; use --codec x264"),
        ((16, 16), "2147483647:1", "vp9", r"takes no pictures of 16x16 C420 at 2.14\S+ a second \(Invalid argument\)"),
    ],
)
def test_what_a_coder_cannot_take(tmp_path: Path, size: tuple[int, int], fps: str, codec: str, words: str) -> None:
    """A size or rate beyond a coder is one sentence with its limit, without ffmpeg's options in it."""
    header = y4m.parse_header(f"YUV4MPEG2 W{size[0]} H{size[1]} F{fps} Ip C420\n".encode(), "clip")
    with pytest.raises(ValueError, match=words) as refusal:
        container.write_clip(tmp_path / "a.mkv", header, [textured_frame(header, 0)], Encoding(codec=codec))
    assert "avcodec" not in str(refusal.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["list.m3u8", "film.mp4"])
def test_a_playlist_is_opened_only_where_it_is_trusted(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    """Every verb that opens videos refuses it, names the flag, and takes it with that flag; sound comes along."""
    film = sound(tmp_path / "a.ts", "-c:v", "mpeg2video", "-c:a", "mp2")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:9", "#EXTINF:1,", film.name, "#EXT-X-ENDLIST"]
    text = "\n".join(lines) if name.endswith("m3u8") else f"ffconcat version 1.0\nfile {film.name}"
    (tmp_path / name).write_text(f"{text}\n")
    given, clip = str(tmp_path / name), str(tmp_path / "a.y4m")
    for main, words in (
        (convert.main, [given, clip]),
        (predict.main, [given, str(tmp_path / "a.mkv"), *BICUBIC]),
        (degrade.main, [given, str(tmp_path / "pairs")]),
        (look.main, [given]),
        (compare.main, [given, str(film), "--out", str(tmp_path / "a.mp4")]),
    ):
        assert main(words) == 1 and "trust with --allow-playlists" in capsys.readouterr().err
        assert main([*words, "--allow-playlists"]) == 0
    assert y4m.Clip(clip).num_frames == 20 and packets(tmp_path / "a.mkv", "a") and packets(tmp_path / "a.mp4", "a")

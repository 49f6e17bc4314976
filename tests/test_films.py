"""Long films: a run that is stopped goes on where it ended, and ends as one that was not."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from tests.conftest import textured_frame
from tests.test_memory import remembering
from tests.test_predict import feed, network
from youku import cli, leftovers, stops
from youku.cli import Item
from youku.inference import beside, records, tiles
from youku.inference import clip as predictions
from youku.inference.clip import predict_all
from youku.inference.jobs import Job, VideoOptions
from youku.inference.pipeline import Options
from youku.video import container, ffmpeg, segments, y4m
from youku.video.segments import Hashed

REPO = Path(__file__).parents[1]
NUM_FRAMES = 11


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames, the count of a y4m saved with each frame."""
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 4)
    monkeypatch.setattr(segments, "SAVE_EVERY_SEC", -1.0)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as a y4m, and as a video of varying rate with sound and a subtitle."""
    folder = tmp_path_factory.mktemp("films")
    header = y4m.make_header(34, 26, 25)
    with y4m.create(folder / "film.y4m", header) as writer:
        for index in range(NUM_FRAMES):
            writer.write(textured_frame(header, index))
    (folder / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\nhello\n")
    line = [ffmpeg.binary(), "-v", "error", "-i", str(folder / "film.y4m"), "-f", "lavfi", "-i", "sine=d=0.6"]
    line += [
        "-i",
        str(folder / "a.srt"),
        "-vf",
        "setpts='(N*0.04+gt(N,5)*0.1+gt(N,7)*0.02)/TB'",
        *ffmpeg.passthrough_flags(),
    ]
    subprocess.run(
        [*line, "-c:a", "aac", "-c:s", "srt", "-metadata:s:a", "language=de", str(folder / "film.mkv")], check=True
    )
    return folder


def stop_after(number: int, stop: type[BaseException] = KeyboardInterrupt):
    """A watch that ends the run before its frame of that number is written."""

    def watch(items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]:
        for index, item in enumerate(items):
            if index == number:
                raise stop
            yield item

    return watch


def predict(job: Job, name: str = "fsrcnn", batch: int = 1, number: int = 10**6, **more: object) -> list[str]:
    """Run one job, stopped before a frame; what was told."""
    told: list[str] = []
    how: dict = {"video": VideoOptions(), "watch": stop_after(number), **more}
    try:
        predict_all(network(name, 2), [job], Options(batch=batch), tell=told.append, **how)
    except KeyboardInterrupt:
        told.append(stops.sentence().removeprefix("stopped by Ctrl-C; "))
    return told


def decoded(path: Path) -> str:
    """Checksums and times of every picture, every sound and every other packet of a video."""
    line = [ffmpeg.binary(), "-v", "error", "-i", str(path), "-map", "0", "-c:s", "copy", "-f", "framemd5", "-"]
    return subprocess.run(line, capture_output=True, check=True, text=True).stdout


def hidden(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.name.startswith(".") and not path.name.endswith(".json")
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_a_stopped_y4m_goes_on_to_the_same_bytes(tmp_path: Path, films: Path, batch: int) -> None:
    """Stopped twice, the file is that of one run; it is told what is kept; nothing hidden stays; other settings begin anew."""
    whole, out = (Job(str(films / "film.y4m"), str(tmp_path / name), None) for name in ("whole.y4m", "out.y4m"))
    predict(whole, batch=batch)
    assert stops.sentence() == "stopped by Ctrl-C; files that are finished are kept; the same command makes the rest"
    told = predict(out, batch=batch, number=0)
    assert told[-1] == f"nothing of {out.target} is kept yet; the same command begins it anew" and not hidden(tmp_path)
    first, second = predict(out, batch=batch, number=4), predict(out, batch=batch, number=2)
    assert f"{out.target}: 4 frames kept; the same command goes on from there" == first[-1]
    begun = 4 // batch * batch
    assert f"{out.target}: {begun} frames are there from an earlier run, going on after them" in second
    assert not Path(out.target).exists() and len(hidden(tmp_path)) == 1
    predict(out, "bicubic", number=1)
    assert len(hidden(tmp_path)) == 2
    seen: list[int] = []
    predict(out, batch=batch, watch=lambda items, name="", total=None: [seen.append(total), items][1])
    assert seen == [NUM_FRAMES - (begun + 2) // batch * batch]
    assert Path(out.target).read_bytes() == Path(whole.target).read_bytes()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
@pytest.mark.parametrize("frames", [None, range(2, 10)])
def test_a_stopped_video_goes_on_to_the_same_frames(
    tmp_path: Path, films: Path, name: str, frames: range | None, capsys: pytest.CaptureFixture
) -> None:
    """Pictures, their times, sound, subtitles and tags are those of one run; whole segments are kept."""
    options = VideoOptions(subtitles=name.endswith("mkv"))
    jobs = [Job(str(films / "film.mkv"), str(tmp_path / folder / name), frames) for folder in ("whole", "parts")]
    predict(jobs[0], video=options)
    told = predict(jobs[1], number=6, video=options)
    assert f"{jobs[1].target}: 4 frames kept; the same command goes on from there" == told[-1]
    assert predict(jobs[1], number=0, video=options)[-1] == told[-1]
    predict(jobs[1], video=options)
    whole, parts = (Path(job.target) for job in jobs)
    assert decoded(parts) == decoded(whole)
    assert len([line for line in decoded(parts).splitlines() if line.startswith("0,")]) == len(
        frames or range(NUM_FRAMES)
    )
    assert hidden(tmp_path / "parts") == []


@pytest.mark.parametrize("codec", ["x264", "x265", "vp9", "ffv1"])
def test_every_coder_goes_on(tmp_path: Path, films: Path, codec: str) -> None:
    """Also where the last frame had been made already, and only the file was missing."""
    jobs = [Job(str(films / "film.mkv"), str(tmp_path / folder / "out.mkv"), None) for folder in ("whole", "parts")]
    options = VideoOptions(codec=codec)
    predict(jobs[0], "bicubic", video=options)
    predict(jobs[1], "bicubic", number=9, video=options)
    predict(jobs[1], "bicubic", video=options)
    assert decoded(Path(jobs[1].target)) == decoded(Path(jobs[0].target))


def test_a_film_of_finished_segments_alone_is_joined(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the last frame and the file, nothing is made again."""
    jobs = [Job(str(films / "film.mkv"), str(tmp_path / folder / "out.mp4"), None) for folder in ("whole", "parts")]
    options = VideoOptions(subtitles=False)
    predict(jobs[0], "bicubic", video=options)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(container.Writer, "_copy_until", lambda self, end: stop() if end is None else None)
        patch.setattr(container, "_add_others", lambda *_: {})
        assert f"{jobs[1].target}: {NUM_FRAMES} frames kept" in predict(jobs[1], "bicubic", video=options)[-1]
    predict(jobs[1], "bicubic", video=options)
    assert decoded(Path(jobs[1].target)) == decoded(Path(jobs[0].target))


@pytest.mark.parametrize("name", ["out.y4m", "out.mkv"])
def test_a_kill_after_the_last_frame_costs_no_frame(
    tmp_path: Path, films: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the output had its name but was not said to be whole, or before what was kept for it had gone."""
    job, read = Job(str(films / "film.mkv"), str(tmp_path / name), None), records.content_of

    def die_at_target(path: str | Path, known: object = None, digest: str = "") -> dict[str, str]:
        if Path(path) == Path(job.target):
            raise KeyboardInterrupt
        return read(path, known, digest)

    with monkeypatch.context() as patched:
        patched.setattr(records, "content_of", die_at_target)
        assert f"{name}: {NUM_FRAMES} frames kept" in predict(job)[-1] and len(hidden(tmp_path)) == 1
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        upscaled: list[int] = []
        watch = lambda items, name="", total=None: (upscaled.append(1) or item for item in items)  # noqa: E731
        assert predict(job, watch=watch)[-1] == f"{job.target}: {NUM_FRAMES} frames" and not upscaled
        assert len(hidden(tmp_path)) == 1
    leftovers.look_again()  # as a process does that begins
    assert predict(job) == [f"{job.target}: up to date"] and hidden(tmp_path) == []


def test_a_network_with_neighbours_sees_them_over_the_border(tmp_path: Path, films: Path) -> None:
    """Five frames at once: the first frame after a stop is made from those before it."""
    jobs = [Job(str(films / "film.y4m"), str(tmp_path / name), None) for name in ("whole.y4m", "out.y4m")]
    predict(jobs[0], "vsrnet")
    predict(jobs[1], "vsrnet", number=5)
    assert "going on after them" in "".join(predict(jobs[1], "vsrnet"))
    assert Path(jobs[0].target).read_bytes() == Path(jobs[1].target).read_bytes()


def test_a_network_with_memory_remembers_over_the_border(tmp_path: Path, films: Path) -> None:
    """It goes through the clip again, and what is kept is not written again."""
    for name in ("out.y4m", "out.mkv"):
        jobs = [Job(str(films / "film.y4m"), str(tmp_path / folder / name), None) for folder in ("whole", "parts")]
        for job, number in ((jobs[0], 99), (jobs[1], 6), (jobs[1], 99)):
            with suppress(KeyboardInterrupt):
                options = VideoOptions(codec="ffv1" if job.to_video else None)
                predict_all(remembering(), [job], Options(), video=options, watch=stop_after(number))
        whole, parts = (Path(job.target) for job in jobs)
        assert decoded(parts) == decoded(whole) and hidden(parts.parent) == []


@pytest.mark.parametrize("name", ["out.y4m", "out.mkv"])
def test_a_killed_run_goes_on(tmp_path: Path, films: Path, name: str) -> None:
    """SIGKILL in the middle: the same command ends as if it had not been."""
    source, out = films / "film.mkv", tmp_path / "killed" / name
    job = Job(str(source), str(tmp_path / name), None)
    predict(job, "bicubic")
    code = (
        "import os, sys\nfrom tests.test_films import *\n"
        "segments.SEGMENT_FRAMES, segments.SAVE_EVERY_SEC = 4, -1.0\n"
        "def watch(items, name='', total=None):\n"
        "    for index, item in enumerate(items):\n"
        "        index == 6 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield item\n"
        f"predict(Job({str(source)!r}, {str(out)!r}, None), 'bicubic', watch=watch)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=REPO)
    assert done.returncode == -signal.SIGKILL and not out.exists()
    told = predict(Job(str(source), str(out), None), "bicubic")
    assert f"{out}: {6 if name == 'out.y4m' else 4} frames are there from an earlier run, going on after them" in told
    assert (
        out.read_bytes() == Path(job.target).read_bytes()
        if name == "out.y4m"
        else decoded(out) == decoded(tmp_path / name)
    )


def test_a_damaged_part_is_made_again(tmp_path: Path, films: Path) -> None:
    """A kept frame, a kept segment or a count that is not what was written is not gone on from."""
    for name, part in (("out.y4m", "frames.y4m"), ("out.y4m", "frames.json"), ("out.mkv", "0*.segment")):
        whole, out = (Job(str(films / "film.y4m"), str(tmp_path / folder / name), None) for folder in ("whole", "out"))
        predict(whole, "bicubic", force=True)
        predict(out, "bicubic", number=6, force=True)
        (path,) = (tmp_path / "out").glob(f".*.part/{part}")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
        predict(out, "bicubic", force=True)
        same = (lambda path: path.read_bytes()) if name == "out.y4m" else decoded
        assert same(Path(out.target)) == same(Path(whole.target)), part


@pytest.mark.parametrize(
    "count", [b"[]", b"{}", b'{"frames": 1e999, "digest": ""}', b'{"frames": 999999999999, "digest": ""}',
              b'{"frames": -5, "digest": ""}', b'{"frames": null, "digest": 3}', b"[" * 99999]
)  # fmt: skip
def test_a_count_of_another_form_is_none(tmp_path: Path, films: Path, count: bytes) -> None:
    """Nor does it cost the time or the traceback of what it says."""
    job = Job(str(films / "film.y4m"), str(tmp_path / "out.y4m"), None)
    predict(job, "bicubic", number=6)
    (path,) = tmp_path.glob(".*.part/frames.json")
    path.write_bytes(count)
    kept = segments.Kept(path.parent, 1)
    assert isinstance(kept.num_frames(), int) and kept.num_frames() >= 0
    told = predict(job, "bicubic")
    assert not any("frames are there from an earlier run" in line for line in told)
    assert y4m.Clip(job.target).num_frames == y4m.Clip(job.source).num_frames


def test_one_run_makes_an_output(tmp_path: Path, films: Path) -> None:
    """A second run of the same output gets one sentence and touches nothing."""
    job = Job(str(films / "film.y4m"), str(tmp_path / "out.y4m"), None)
    predict(job, "bicubic", number=5)
    (folder,) = tmp_path.glob(".*.part")
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another run is making it"):
            predict(job, "bicubic")
    assert folder.exists()


@pytest.mark.parametrize(
    ("given", "first", "then", "expected"), [(None, 26, 10**4, {26}), (None, 40, 12, {40, 34}), (24, 40, 10**4, {24})]
)
def test_the_tiles_of_a_film_stay(
    tmp_path: Path,
    films: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: int | None,
    first: int,
    then: int,
    expected: set,
) -> None:
    """Memory is freer or scarcer when the run goes on: the tiles are those that it began with, and so are the bytes.

    A tile as large as the picture or larger is the picture, 34 wide.
    """
    used: list[int] = []
    within = tiles.run_within_memory
    monkeypatch.setattr(tiles, "run_within_memory", lambda *what: (used.append(what[-1]), within(*what))[1])
    job = Job(str(films / "film.y4m"), str(tmp_path / "o.y4m"), None)
    for chosen, number in ((first, 5), (then, 10**6)):
        monkeypatch.setattr(tiles, "choose_tile_px", lambda *_, chosen=chosen: chosen)
        with suppress(KeyboardInterrupt):
            predict_all(network("fsrcnn", 2), [job], Options(tile_px=given), watch=stop_after(number))
    assert len(used) >= NUM_FRAMES and set(used) == expected


def test_a_pipe_cannot_be_gone_on_with(tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and nothing hidden stays."""
    feed(monkeypatch, (films / "film.y4m").read_bytes())
    told = predict(Job("-", str(tmp_path / "out.y4m"), None), "bicubic", number=5)
    assert told[-1] == "nothing is kept: what goes through a pipe cannot be gone on with; name files to be able to"
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_said_before_the_work(tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a y4m is known; the folder that was named is told, none that is hidden."""
    monkeypatch.setattr(predictions.files, "free_bytes", lambda folder: 1000)
    told = f"^{re.escape(str(tmp_path))}: out.y4m of 11 frames needs 0.0[0-9] MB, the disk has"
    with pytest.raises(ValueError, match=told):
        predict(Job(str(films / "film.y4m"), str(tmp_path / "out.y4m"), None), "bicubic")
    assert list(tmp_path.iterdir()) == []


def test_what_begins_is_said(tmp_path: Path, films: Path) -> None:
    """One line before a film: frames, sizes, network, device and time; of a pipe, how fast it goes."""
    told = predict(Job(str(films / "film.y4m"), str(tmp_path / "out.y4m"), None), "bicubic")
    assert told[0] == f"{films / 'film.y4m'}: 11 frames, 34x26 -> 68x52 by bicubic x2 on cpu, about 1 s"
    told = predict(Job(str(films / "film.y4m"), str(tmp_path / "out.mkv"), None), "bicubic")
    assert any(line.endswith("bicubic x2 on cpu, about 1 s and the time of the coder") for line in told)
    told = predict(Job(str(films / "film.mkv"), str(tmp_path / "out2.y4m"), None), "bicubic")  # Matroska counts none
    assert any(re.search(r"film\.mkv: about \d\d frames, .* on cpu, about \d+ s$", line) for line in told)
    assert [cli.as_time(sec) for sec in (0.2, 99, 3000, 6600, 1.3e6)] == [
        "1 s",
        "99 s",
        "50 min",
        "1 h 50 min",
        "15 days",
    ]


def test_the_same_frames_give_the_same_video(films: Path, tmp_path: Path) -> None:
    """x264 makes one file of them, and not one of several: what a run that goes on is compared with."""
    made = set()
    for index in range(12):
        job = Job(str(films / "film.y4m"), str(tmp_path / f"{index}.mp4"), None)
        predict(job, "bicubic")
        made.add(Path(job.target).read_bytes())
    assert len(made) == 1


def test_a_damaged_clip_says_what_can_be_made_of_it(tmp_path: Path) -> None:
    """The same command would meet the same damage: the frames before it are offered, and come."""
    header = y4m.make_header(96, 64)
    with y4m.create(tmp_path / "a.y4m", header) as writer:
        for index in range(6):
            writer.write(textured_frame(header, index))
    data = bytearray((tmp_path / "a.y4m").read_bytes())
    at = len(header.encode()) + 4 * (6 + header.frame_bytes)
    data[at : at + 5] = b"FRAMF"
    (tmp_path / "a.y4m").write_bytes(bytes(data))
    told: list[str] = []
    jobs = [Job(str(tmp_path / "a.y4m"), str(tmp_path / "b.y4m"), frames) for frames in (None, range(4))]
    with pytest.raises(y4m.Y4MError, match="frame 4 at byte"):
        predict_all(network("bicubic"), jobs[:1], Options(), tell=told.append)
    assert told[-1] == f"{jobs[0].target}: 4 frames came before the frame at fault; --frames 0-3 makes them alone"
    assert predict_all(network("bicubic"), jobs[1:], Options(), tell=told.append) == 1
    assert y4m.Clip(tmp_path / "b.y4m").num_frames == 4 and hidden(tmp_path) == []


def test_a_stop_within_a_frame_costs_that_frame_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted is hashed as it was after the last whole frame, whatever had been written of the next one."""
    header = y4m.make_header(24, 16)
    frame = tuple(np.full(shape, 90, np.uint8) for shape in header.plane_shapes)
    target = tmp_path / "out.y4m"

    write, num_written = Hashed.write, itertools.count()

    def stopped(self: Hashed, data: bytes) -> None:
        if next(num_written) == 1 + 3 * 4 + 2:  # a header; a line and three planes a frame
            raise KeyboardInterrupt
        write(self, data)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Hashed, "write", stopped)
        with segments.keep(target, "k" * 12, 1) as kept, segments.create_y4m(target, header, kept) as writer:
            for _ in range(5):
                writer.write(frame)
    with segments.keep(target, "k" * 12, 1) as kept:
        assert kept.num_frames() == 3
        with segments.create_y4m(target, header, kept) as writer:
            assert writer.num_kept == 3
            writer.write(frame)
    assert [len(planes) for planes in y4m.Clip(target)] == [3] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone is asked to")
def test_the_disk_writes_while_frames_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte but the last few is asked for once, in order, before the sync at the end."""
    asked = [0]

    def advise(number: int, start: int, length: int, advice: int) -> None:
        assert start == asked[-1] and start + length <= os.fstat(number).st_size and advice == os.POSIX_FADV_DONTNEED
        asked.append(start + length)

    monkeypatch.setattr(segments, "WRITE_BACK_BYTES", most := 1000)
    with (tmp_path / "frames").open("wb", buffering=0) as file:
        monkeypatch.setattr(os, "posix_fadvise", advise)
        writer = Hashed(file)
        for size in (10, 990, 1, 2500, 998):
            writer.write(bytes(size))
    assert asked == [0, most, most + 2501]


@pytest.mark.parametrize(
    ("name", "suffix", "frames", "batch"),
    [("enhancenet-3frame", ".y4m", None, 3), ("fsrcnn", ".mkv", range(1, 10), 1)],
)
def test_a_film_may_be_made_in_parts(
    tmp_path: Path, films: Path, name: str, suffix: str, frames: range | None, batch: int
) -> None:
    """By several, in any order, some of them stopped: the frames of one process, at their times; neighbours are seen."""
    source, options, made = str(films / f"film{suffix}"), Options(batch=batch), list[str]()
    whole, out = (Job(source, str(tmp_path / f"{each}{suffix}"), frames) for each in ("whole", "out"))
    predict_all(net := network(name, 2), [whole], options)

    def run(parts: Sequence[Job], each: cli.Each, number: int = 9) -> None:
        for part in list(parts)[::-1][:number]:
            predict_all(net, [part], options, tell=made.append)
        if number < len(parts):
            raise KeyboardInterrupt

    for one, watch in ((partial(run, number=1), cli.unwatched), (run, stop_after(5)), (run, cli.unwatched)):
        with suppress(KeyboardInterrupt):
            alone = replace(options, elsewhere=partial(beside.film, one, options))
            predict_all(net, [out], alone, watch=watch, tell=made.append)
    assert sum("up to date" in line for line in made) >= 3 and hidden(tmp_path) == []
    assert all(f"part/parts/0000000{start}.y4m: " in " ".join(made) for start in ((0, 6) if batch == 3 else (0, 4, 8)))
    assert decoded(Path(whole.target)) == decoded(Path(out.target))


def test_no_file_more_is_told_of_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that takes a folder and no file in it: nothing hidden is named, or left."""

    def refuse(path: Path, _: str = "") -> NoReturn:
        raise OSError(errno.ENOSPC, "", str(path))

    monkeypatch.setattr(segments.leftovers, "locked", refuse)
    with pytest.raises(OSError, match=r"out\.y4m") as caught, segments.keep(tmp_path / "out.y4m", "k" * 12, 1):
        raise AssertionError
    assert caught.value.filename == str(tmp_path / "out.y4m") and list(tmp_path.iterdir()) == []

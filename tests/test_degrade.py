"""degrade: contest-shaped pairs that repeat bit for bit, resume, and never replace what is not theirs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import moving_frames, write_clip
from youku import contest, degrade
from youku.video import clips, degradation, ffmpeg, interpolate, pair_folder, y4m
from youku.video.coding import Coding, round_trip
from youku.video.degradation import PRESETS, Degradation
from youku.video.pair_folder import Selection


def write(path: Path, num_frames: int = 6, width: int = 194, height: int = 131, chroma: str = "420mpeg2") -> Path:
    header = y4m.make_header(width, height, fps=24, chroma=chroma)
    return write_clip(path, header, moving_frames(header, num_frames))


def fill(out: Path, source: Path, wanted: Degradation, cut: Selection | None = None, *numbers: int) -> list[int]:
    """The ids of the pairs made of a source; `numbers` are the first id and the seed."""
    sources = clips.find_material([source], cut is not None and cut.sequence)
    return pair_folder.fill(pair_folder.plan(out, sources, wanted, cut or Selection(), *numbers))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.y4m"))}


def pair(folder: Path, clip_id: int) -> tuple[y4m.Clip, y4m.Clip]:
    return y4m.Clip(folder / contest.low_name(clip_id)), y4m.Clip(folder / contest.high_name(clip_id))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_pair_that_repeats(tmp_path: Path, preset: str) -> None:
    """Each preset gives as many frames as it got, at a fourth of the size, and the same bytes for the same seed."""
    source = write(tmp_path / "a.y4m")
    for name in ("one", "two"):
        assert fill(tmp_path / name, source, PRESETS[preset], None, 7, 3) == [7]
    low, high = pair(tmp_path / "one", 7)
    assert low.num_frames == high.num_frames == 6
    assert (high.header.width, high.header.height) == (192, 128) and (low.header.width, low.header.height) == (48, 32)
    assert low.header.fps == 24 and low.header.chroma == "420mpeg2"
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("codings", [(), (Coding(codec="x264", crf=20),)])
def test_odd_sizes_at_every_scale(tmp_path: Path, scale: int, codings: tuple[Coding, ...]) -> None:
    """The large clip is cut to a multiple of the factor only, so small clips may be odd, with a codec too."""
    low_path, high_path = tmp_path / "l.y4m", tmp_path / "h.y4m"
    header = y4m.make_header(scale * 33 + 1, scale * 35 + 1)
    wanted = Degradation(scale=scale, codings=codings)
    assert degradation.make_pair(iter(moving_frames(header, 4)), header, low_path, high_path, wanted, 0) == 4
    low, high = y4m.Clip(low_path).header, y4m.Clip(high_path).header
    assert (low.width, low.height, high.width, high.height) == (33, 35, 33 * scale, 35 * scale)


def test_bicubic_pair_is_the_rooms_downscale(tmp_path: Path) -> None:
    """Without damage the small frame is interpolate.downscale of the large one, and the large one is the source cut."""
    source = write(tmp_path / "a.y4m")
    fill(tmp_path / "out", source, PRESETS["bicubic"])
    low, high = pair(tmp_path / "out", 0)
    for index, frame in enumerate(y4m.Clip(source)):
        small = interpolate.downscale(high.frame(index), high.header, 4)
        assert all(np.array_equal(a, b) for a, b in zip(low.frame(index), small, strict=True))
        assert np.array_equal(high.frame(index)[0], frame[0][:128, :192])
        assert np.array_equal(high.frame(index)[2], frame[2][:64, :96])


def test_seed_changes_noise_and_clips_differ(tmp_path: Path) -> None:
    """Another seed gives other noise, and two clips of one run do not share theirs."""
    header = y4m.make_header(64, 64)
    flat = [tuple(np.full(shape, 128, np.uint8) for shape in header.plane_shapes)] * 2
    write_clip(tmp_path / "a.y4m", header, flat)
    noisy = Degradation(noise=5.0)
    for seed in (0, 1):
        fill(tmp_path / str(seed), tmp_path / "a.y4m", noisy, Selection(split_every=1), 0, seed)
    seen = {(tmp_path / str(seed) / contest.low_name(clip_id)).read_bytes() for seed in (0, 1) for clip_id in (0, 1)}
    assert len(seen) == 4
    luma = pair(tmp_path / "0", 0)[0].frame(0)[0]
    assert 3.5 < luma.std() < 6.5


def test_darken_takes_its_share_above_black() -> None:
    """A fifth of what lies above 16 goes, chroma stays."""
    header = y4m.make_header(64, 64)
    flat = tuple(np.full(shape, 116, np.uint8) for shape in header.plane_shapes)
    luma, u, v = next(degradation.degrade_frames([flat], header, PRESETS["darken"], 0))
    assert (luma == 96).all() and (u == 116).all() and (v == 116).all()


def test_unsharp_sharpens_both_clips_of_its_share(tmp_path: Path) -> None:
    """Chance 0 keeps a clip, chance 1 raises the contrast of its luma alone, and the small clip is made from that."""
    header, frames = y4m.make_header(64, 64), moving_frames(y4m.make_header(64, 64), 2)
    noisy = [(np.random.default_rng(0).integers(60, 180, (64, 64), dtype=np.uint8), *frames[0][1:])] * 2
    for chance in (0.0, 1.0):
        low, high = tmp_path / f"l{chance}.y4m", tmp_path / f"h{chance}.y4m"
        degradation.make_pair(iter(noisy), header, low, high, Degradation(unsharp=chance), 5)
    kept, sharp = (y4m.Clip(tmp_path / f"h{chance}.y4m").frame(1) for chance in (0.0, 1.0))
    assert np.array_equal(kept[0], noisy[0][0]) and sharp[0].std() > 1.05 * kept[0].std()
    assert np.array_equal(kept[1], sharp[1])
    small = y4m.Clip(tmp_path / "l1.0.y4m").frame(1)
    assert np.array_equal(small[0], interpolate.downscale(sharp, header, 4)[0])
    shares = [next(degradation.sharpen_some(noisy, header, 0.3, seed))[0].std() > kept[0].std() for seed in range(60)]
    assert 8 <= sum(shares) <= 28


def test_box_is_the_mean_of_a_block() -> None:
    """The box kernel averages each block of luma at every scale."""
    for scale in (2, 3, 4):
        header = y4m.make_header(24, 24)
        luma = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
        chroma = np.full((12, 12), 128, np.uint8)
        small = interpolate.downscale((luma, chroma, chroma), header, scale, "box")[0]
        side = 24 // scale
        mean = luma.reshape(side, scale, side, scale).mean((1, 3))
        assert np.abs(small - mean).max() <= 0.5 + 1e-3


def test_presets_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    """Every preset has its settings and a verdict on stdout; the report's choice is named as such."""
    assert degrade.main(["--list-presets"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{out}" and degradation.VERDICTS[name] in out for name in PRESETS)
    assert "mpeg1 bitrate 768k, x264 bitrate 354k" in out and "the report's choice" in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("line", [[], ["a.y4m"], ["--check", "x", "a.y4m", "out"], ["--check", "x", "--list-presets"]])
def test_a_line_that_is_no_command_exits_2(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Too few paths, or two jobs at once, are a usage error."""
    with pytest.raises(SystemExit) as stop:
        degrade.main(line)
    assert stop.value.code == 2 and "error: " in capsys.readouterr().err


def test_mixed_draws_every_kernel(tmp_path: Path) -> None:
    """Over a few seeds the mixed preset equals each of its kernels at least once."""
    header = y4m.make_header(64, 64)
    frame = moving_frames(header, 1)
    seen = set()
    for seed in range(12):
        small = next(degradation.degrade_frames(frame, header, PRESETS["mixed"], seed))
        for kernel in degradation.KERNELS:
            if np.array_equal(small[0], interpolate.downscale(frame[0], header, 4, kernel)[0]):
                seen.add(kernel)
    assert seen == set(degradation.KERNELS)


def test_blur_lowers_detail_and_keeps_a_constant() -> None:
    """A Gaussian leaves a flat frame flat and takes contrast out of a checkerboard."""
    header = y4m.make_header(64, 64)
    flat = tuple(np.full(shape, 90, np.uint8) for shape in header.plane_shapes)
    out = next(degradation.degrade_frames([flat], header, Degradation(blur=2.0), 0))
    assert all((plane == 90).all() for plane in out)
    stripes = tuple(np.where(np.arange(shape[1]) // 8 % 2, 200, 50) + np.zeros(shape) for shape in header.plane_shapes)
    frame = tuple(plane.astype(np.uint8) for plane in stripes)
    sharp = next(degradation.degrade_frames([frame], header, Degradation(), 0))[0]
    soft = next(degradation.degrade_frames([frame], header, Degradation(blur=4.0), 0))[0]
    assert soft.std() < 0.6 * sharp.std()


def test_orders_differ(tmp_path: Path) -> None:
    """Coding the large frames does less harm to the small ones than coding the small frames."""
    header = y4m.make_header(192, 128)
    frames = moving_frames(header, 5)
    clean = [interpolate.downscale(planes, header, 4)[0].astype(float) for planes in frames]
    harm = {}
    for order in degradation.ORDERS:
        wanted = Degradation(codings=(Coding(codec="mpeg2", qscale=20),), order=order)
        got = list(degradation.degrade_frames(frames, header, wanted, 0))
        assert len(got) == 5
        harm[order] = np.mean([np.square(a[0] - b).mean() for a, b in zip(got, clean, strict=True)])
    assert 0 < harm["code-first"] < harm["scale-first"]


def test_split_every_and_max_frames(tmp_path: Path) -> None:
    """Frames 0, 2, 4 ... up to 10 of them, cut into clips of 4, 4 and 2, numbered on; each is the right part."""
    source = write(tmp_path / "a.y4m", 30, 64, 48)
    cut = Selection(split_every=4, max_frames=10, every=2)
    made = fill(tmp_path / "out", source, Degradation(), cut, 20)
    assert made == [20, 21, 22]
    highs = [frame for clip_id in made for frame in pair(tmp_path / "out", clip_id)[1]]
    clip = y4m.Clip(source)
    assert len(highs) == 10
    assert all(np.array_equal(high[0], clip.frame(2 * index)[0]) for index, high in enumerate(highs))


def test_size_cuts_the_middle(tmp_path: Path) -> None:
    """--size takes the middle on whole chroma samples and leaves smaller frames alone."""
    source = write(tmp_path / "a.y4m", 1, 100, 60)
    cut = Selection(size=(64, 400))
    fill(tmp_path / "out", source, Degradation(), cut)
    _, high = pair(tmp_path / "out", 0)
    frame = y4m.Clip(source).frame(0)
    assert np.array_equal(high.frame(0)[0], frame[0][:, 18:82]) and np.array_equal(high.frame(0)[1], frame[1][:, 9:41])


def test_second_run_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A repeated command says so and makes nothing, whatever the source is called; what is lost is made again; others redo."""
    source, out = write(tmp_path / "no utf-8 \udcff.y4m", 5, 64, 48), tmp_path / "out"
    line = [str(source), str(out), "--preset", "youku", "--split-every", "2"]
    assert degrade.main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == [0, 1, 2]
    before = contents(out)
    assert degrade.main(line) == 0 and "up to date" in capsys.readouterr().out
    (out / contest.low_name(1)).write_bytes(before[contest.low_name(1)][:-1])
    assert degrade.main(line) == 0 and "1 pair made" in capsys.readouterr().out
    assert contents(out) == before
    assert degrade.main([*line, "--seed", "1"]) == 0 and "3 pairs made" in capsys.readouterr().out


def test_manifest_says_how(tmp_path: Path) -> None:
    """pairs.json names source, frames, settings and versions of each pair."""
    source = write(tmp_path / "a.y4m", 3, 64, 48)
    fill(tmp_path / "out", source, PRESETS["oldfilm-rm"])
    entry = json.loads((tmp_path / "out/pairs.json").read_text())["pairs"]["00000"]
    assert entry["source"] == str(source) and entry["frames"] == 3 and entry["seed"] == 0
    assert [coding["codec"] for coding in entry["degradation"]["codings"]] == ["mpeg1", "x264"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *sorted(contents(tmp_path / "out")),
        "pairs.json",
    ]
    assert entry["versions"]["ffmpeg"] == ffmpeg.version()


MANIFESTS = ["[]", '{"pairs": []}', '{"pairs": {"00000": 3}}', '{"pairs": {"x": {}}}', '{"pairs": {"00000": [1]}}']


@pytest.mark.parametrize("manifest", [*MANIFESTS, '{"pairs": {"00000": {"source": 1}}}'])
def test_a_manifest_of_another_form_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str
) -> None:
    """It names the file, which is left as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/pairs.json").write_text(manifest)
    assert degrade.main([str(write(tmp_path / "a.y4m", 2, 64, 48)), str(tmp_path / "out")]) == 1
    told = r'error: .*/pairs\.json: expected \{"pairs": \.\.\.\} of this kit: .*; move it away .*\n'
    assert re.fullmatch(told, capsys.readouterr().err)
    assert (tmp_path / "out/pairs.json").read_text() == manifest


def test_sources_get_numbers_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Without --first-id one source after the other lies in a folder, beside the clips of others; each again is up to date."""
    for name in ("a", "b"):
        write(tmp_path / f"{name}.y4m", 2, 32, 16)
    out = tmp_path / "out"
    out.mkdir()
    (out / contest.high_name(6)).write_bytes(b"of others")
    for name, told in (("b", "00007, 00008"), ("a", "00009, 00010"), ("b", "up to date"), ("a", "up to date")):
        assert degrade.main([str(tmp_path / f"{name}.y4m"), str(out), "--split-every", "1"]) == 0
        assert told in capsys.readouterr().out


def test_foreign_clips_are_never_replaced(tmp_path: Path) -> None:
    """A real contest clip that lies where a pair would go is kept and named."""
    source = write(tmp_path / "a.y4m", 2, 64, 48)
    (tmp_path / "out").mkdir()
    precious = tmp_path / "out" / contest.high_name(0)
    precious.write_bytes(b"real data")
    with pytest.raises(ValueError, match=r"exists and is not in pairs\.json"):
        fill(tmp_path / "out", source, Degradation())
    assert precious.read_bytes() == b"real data" and len(list((tmp_path / "out").iterdir())) == 1


def test_all_that_is_refused_is_before_a_pair_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A film cut anew meets another film's pairs: no pair of either is touched, by its own numbers or given ones."""
    one, two, out = write(tmp_path / "a.y4m", 10, 32, 16), write(tmp_path / "b.y4m", 4, 32, 16), tmp_path / "out"
    for source, every in ((one, "5"), (two, "2")):
        assert degrade.main([str(source), str(out), "--split-every", every]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for more in ([], ["--first-id", "0"], ["--shard", "1/1"]):
        assert degrade.main([str(one), str(out), "--split-every", "2", *more]) == 1
        assert "00002_l.y4m: is a pair of" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert degrade.main([str(one), str(out), "--split-every", "2", "--first-id", "4"]) == 1
    assert "would stay beside the new ones: 00000, 00001; delete" in capsys.readouterr().err
    for path in out.glob("Youku_0000[01]_*"):
        path.unlink()
    assert degrade.main([str(one), str(out), "--split-every", "2"]) == 0
    told = capsys.readouterr().out
    assert "5 pairs made in" in told and "00004 to 00008" in told and not pair_folder.shown_twice(out)


def test_a_cut_into_fewer_or_more_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pieces of the old cut that would stay are refused; where all are replaced, they are; a check finds doubled frames."""
    source, out = write(tmp_path / "a.y4m", 12, 32, 16), tmp_path / "out"
    line = [str(source), str(out), "--split-every"]
    assert degrade.main([*line, "3"]) == 0
    before = contents(out)
    for more in (["4"], ["4", "--max-frames", "7"], ["4", "--preset", "youku"], ["3", "--first-id", "1"]):
        assert degrade.main([*line, *more]) == 1 and contents(out) == before
        assert "would stay beside the new ones: 0000" in capsys.readouterr().err
    assert degrade.main([*line, "3", "--preset", "bicubic", "--noise", "1", "--first-id", "9"]) == 0  # made otherwise
    assert degrade.main([*line, "2", "--max-frames", "12", "--first-id", "0"]) == 0
    assert not pair_folder.shown_twice(out)
    manifest = json.loads((out / "pairs.json").read_text())
    manifest["pairs"]["00005"] |= {"first_frame": 1, "cut": {"every": 1}}
    (out / "pairs.json").write_text(json.dumps(manifest))
    capsys.readouterr()
    assert degrade.main(["--check", str(out)]) == 1
    assert "00005 (shows frames of 00000 once more" in capsys.readouterr().err


def save_pictures(folder: Path, num: int, size: tuple[int, int] = (40, 24)) -> None:
    folder.mkdir()
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    for index in range(num):
        rgb = np.stack([128 + 80 * np.sin((x + index) / 5), 128 + 80 * np.cos(y / 5), x + y], -1)
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / f"p{index}.png")


@pytest.mark.parametrize(("sequence", "expected"), [(False, [1] * 11), (True, [11])])
def test_picture_folder(tmp_path: Path, sequence: bool, expected: list[int]) -> None:
    """Each picture is a clip of one frame, or the folder is one clip in order of numbers (p2 before p10)."""
    save_pictures(tmp_path / "pictures", 11)
    sources = clips.find_material([tmp_path / "pictures"], sequence)
    made = fill(tmp_path / "out", tmp_path / "pictures", Degradation(), Selection(sequence=sequence))
    assert [pair(tmp_path / "out", clip_id)[0].num_frames for clip_id in made] == expected
    assert [path.name for source in sources for path in source.paths] == [f"p{index}.png" for index in range(11)]


@pytest.mark.parametrize("chroma", ["422", "444", "420p10", "mono"])
def test_other_layouts_become_8_bit_420(tmp_path: Path, chroma: str) -> None:
    """Clips of other layouts are converted by ffmpeg, so that pairs have the contest's shape."""
    header = y4m.make_header(64, 48, chroma=chroma)
    flat = tuple(np.full(s, 100 << (header.depth - 8), header.dtype) for s in header.plane_shapes)
    write_clip(tmp_path / "a.y4m", header, [flat] * 2)
    fill(tmp_path / "out", tmp_path / "a.y4m", PRESETS["youku"])
    low, high = pair(tmp_path / "out", 0)
    assert low.header.depth == high.header.depth == 8 and high.header.layout[:2] == (2, 2) and low.num_frames == 2


def test_a_break_in_the_source_leaves_no_pair(tmp_path: Path) -> None:
    """When the source fails in the middle neither file appears, with a codec in the chain too."""
    header = y4m.make_header(64, 64)

    def broken() -> Iterator[y4m.Planes]:
        yield from moving_frames(header, 3)
        raise y4m.Y4MError("a.y4m: frame 3 is cut")

    for wanted in (PRESETS["bicubic"], PRESETS["youku"], PRESETS["oldfilm-rm"]):
        with pytest.raises(y4m.Y4MError, match="frame 3 is cut"):
            degradation.make_pair(broken(), header, tmp_path / "l.y4m", tmp_path / "h.y4m", wanted, 0)
    assert not list(tmp_path.iterdir())


BAD = [
    (["nope", "out"], "no such file or folder"),
    (["empty", "out"], "no pictures in it"),
    (["text.mp4", "out"], "text.mp4"),
    (["a.y4m", "text.mp4"], "expected a folder, found a file"),
    (["a.y4m", "out", "--crf", "20"], "belongs to a codec"),
    (["a.y4m", "out", "--codec", "x264"], "exactly one of crf"),
    (["a.y4m", "out", "--order", "code-first"], "no effect without a codec"),
    (["a.y4m", "out", "--blur", "-1"], "expected 0 to 20"),
    (["a.y4m", "out", "--unsharp", "2"], "expected 0 to 1"),
    (["a.y4m", "out", "--size", "big"], "expected WIDTHxHEIGHT"),
    (["a.y4m", "out", "--every", "0"], "expected 1 or more"),
    (["a.y4m", "out", "--first-id", "100000"], "five digits"),
    (["a.y4m", "out", "--size", "3x3"], "too small for a factor of 4"),
    (["cut.y4m", "out"], "frame 1 at byte"),
    (["a.y4m", "out", "--codec", "x264", "--bitrate", "1"], "1k to 2000M"),
    (["a.y4m", "out", "--codec", "mpeg2", "--bitrate", "9999999M"], "1k to 2000M"),
    (
        ["long.y4m", "out", "--codec", "mpeg1", "--qscale", "3", "--scale", "2"],
        "up to 4095 pixels, the pictures are 4100x4;",
    ),
    (
        ["fast.y4m", "out", "--codec", "mpeg4", "--qscale", "3"],
        "at 1e+06 a second with qscale 3 (ffmpeg failed: Invalid",
    ),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=range(len(BAD)))
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: list[str], words: str
) -> None:
    """Each mistake exits with 1, says one line on stderr, and leaves nothing behind, no hidden file either."""
    monkeypatch.chdir(tmp_path)
    write(Path("a.y4m"), 2, 64, 48)
    Path("cut.y4m").write_bytes(Path("a.y4m").read_bytes()[:-5])
    write(Path("long.y4m"), 1, 8200, 8)
    Path("fast.y4m").write_bytes(Path("a.y4m").read_bytes().replace(b"F24:1", b"F1000000:1"))
    Path("empty").mkdir()
    Path("text.mp4").write_text("not a video\n" * 20)
    assert degrade.main(line) == 1
    message = capsys.readouterr().err
    assert words in message and message.startswith("error: ") and message.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(("width", "height"), [(10, 12), (40, 48)])
def test_small_pictures_by_x265(width: int, height: int) -> None:
    """Below what it takes, and at widths where it writes beyond its memory: padded, and cut back."""
    header = y4m.make_header(width, height, chroma="420jpeg")
    frames = moving_frames(header, 3)
    for _ in range(4):
        back = list(round_trip(frames, header, Coding(codec="x265", crf=10)))
        assert [plane.shape for plane in back[0]] == list(header.plane_shapes) and len(back) == 3


def video(path: Path, *options: str) -> Path:
    line = [ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.8", "-pix_fmt", "yuv420p"]
    subprocess.run([*line, "-threads", "1", *options, str(path)], check=True)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".flv"])
def test_damaged_video_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    """Cut to 60 %, whether or not its demuxer says so: one sentence and no pair, never ground truth."""
    more = ["-movflags", "+faststart"] if suffix == ".mp4" else []
    path = video(tmp_path / f"a{suffix}", "-g", "1", *more)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10 // 188 * 188 + 90])
    assert degrade.main([str(path), str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "damaged" in message and "fetch or make the file again" in message and "Traceback" not in message
    assert not (tmp_path / "out").exists()
    good = video(tmp_path / "good.mp4")  # takes its place
    assert degrade.main([str(good), str(tmp_path / "out"), "--first-id", "0"]) == 0


def test_interlaced_video_is_refused_with_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command runs as printed, and what it makes is taken."""
    path = video(tmp_path / "a b.mkv", "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-vf", "setfield=tff")
    assert degrade.main([str(path), str(tmp_path / "out")]) == 1
    command = capsys.readouterr().err.split("deinterlace it first: ")[1].strip()
    subprocess.run(f"{command} -v error", shell=True, check=True, cwd=tmp_path)
    assert degrade.main([str(tmp_path / "OUT.mkv"), str(tmp_path / "out")]) == 0
    assert pair(tmp_path / "out", 0)[1].num_frames == 20


def test_lost_times_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pairs of a video of a variable rate have one rate, as `predict` and `convert` say too; nothing where none is made."""
    path = video(tmp_path / "a.mkv", "-vf", "select='not(eq(mod(n,5),2))'", *ffmpeg.passthrough_flags())
    for is_told in (True, False):
        assert degrade.main([str(path), str(tmp_path / "out")]) == 0
        assert ("a.mkv: its rate varies, which y4m and pictures lose" in caplog.text) == is_told
        caplog.clear()


def test_progress_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every frame of every source passes the bar, under the source's name."""
    seen: list[tuple[str, int]] = []

    def watch(
        frames: Iterable[y4m.Planes], name: str = "", total: int | None = None, **_: object
    ) -> Iterable[y4m.Planes]:
        kept = list(frames)
        seen.append((name, len(kept)))
        return kept

    monkeypatch.setattr("youku.cli.watch", watch)
    assert degrade.main([str(write(tmp_path / "a.y4m", 5, 64, 48)), str(tmp_path / "out")]) == 0
    assert seen == [("a.y4m", 5)]


@pytest.mark.skipif(not ffmpeg.has_encoder("libsvtav1"), reason="this ffmpeg has no SVT-AV1")
def test_a_preset_draws_one_of_its_qualities_for_each_clip() -> None:
    """AIM 2024's: some seeds differ and each repeats; another codec by flag has its own quality alone."""
    header = y4m.make_header(96, 64)
    rng = np.random.default_rng(0)
    frames = [tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in header.plane_shapes)]
    preset = replace(PRESETS["aim2024-av1"], scale=2)
    made = [
        next(iter(degradation.degrade_frames(frames, header, preset, seed)))[0].tobytes() for seed in (0, 1, 2, 3, 0)
    ]
    assert made[0] == made[4] and len(set(made)) > 1
    args = degrade.main.parser().parse_args(["--preset", "aim2024-av1", "--codec", "x264", "--crf", "20"])
    assert degrade.choose(args).crfs == () and degrade.choose(args).kernel == "lanczos"


def test_a_coder_that_ffmpeg_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.setattr(ffmpeg, "ask", lambda *options: " V..... libx264  ")
    with pytest.raises(ValueError, match=r"codec svtav1: \S+ has no libsvtav1; take another codec"):
        list(round_trip([], y4m.make_header(64, 64), Coding(codec="svtav1", crf=30)))

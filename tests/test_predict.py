"""Prediction: frames, headers, chroma, tiles, re-runs, broken outputs, bad weights, bounded streaming."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import fresh_network, textured_frame, write_pair
from youku import contest, predict
from youku.__main__ import main
from youku.cli import Item
from youku.engines import shipped, weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline, stages
from youku.inference.clip import predict_all
from youku.inference.job_list import list_jobs
from youku.inference.jobs import Job, kind_of_input
from youku.inference.pipeline import Options
from youku.models import MODELS, colours
from youku.models.colours import RGB, Tensors
from youku.video import color, ffmpeg, interpolate, resize, y4m
from youku.video.recording import open_recording

REPO = Path(__file__).parents[1]
CPU = torch.device("cpu")


def network(name: str = "fsrcnn", scale: int = 4) -> Network:
    made = fresh_network(name, scale)
    if name == "fsrcnn":
        torch.nn.init.normal_(made.module.last.weight, 0, 0.05)
    return made


def save_weights(path: Path, name: str = "fsrcnn", scale: int = 4) -> Path:
    weights.save(path, network(name, scale).module.state_dict(), name, scale, {})
    return path


def clip_of(path: Path, chroma: str = "420mpeg2", width: int = 33, height: int = 25, num_frames: int = 3) -> y4m.Clip:
    header = y4m.make_header(width, height, 24, chroma)
    with y4m.create(path, header) as writer:
        for index in range(num_frames):
            frame = textured_frame(header, index)
            writer.write(tuple((plane.astype(header.dtype) << (header.depth - 8)) for plane in frame))
    return y4m.Clip(path)


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Let stdin hold `data`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def run(*argv: str) -> int:
    return predict.main([*argv, "--device", "cpu"])


@pytest.mark.parametrize("chroma", ["420mpeg2", "420jpeg", "420paldv", "422", "444", "mono", "420p10"])
@pytest.mark.parametrize("name", ["bicubic", "fsrcnn", "edsr-baseline"])
def test_every_layout_keeps_its_header_and_sizes(tmp_path: Path, name: str, chroma: str) -> None:
    """Odd 4:2:0, 4:2:2, 4:4:4, mono and 10 bit come out in their own layout, tokens kept, W and H times scale."""
    clip = clip_of(tmp_path / "in.y4m", chroma, 17, 13, 2)
    weights_path = str(save_weights(tmp_path / "w.safetensors", name, 2)) if name != "bicubic" else ""
    args = ["--weights", weights_path] if weights_path else ["--model", "bicubic", "--scale", "2"]
    assert run(str(clip.path), str(tmp_path / "out.y4m"), *args) == 0
    out = y4m.Clip(tmp_path / "out.y4m")
    assert out.header == clip.header.resized(34, 26)
    assert out.num_frames == 2


def test_bicubic_verb_equals_interpolate(tmp_path: Path) -> None:
    """The fast path gives interpolate.upscale to the bit; the ensembled network rounds the exact value correctly."""
    clip = clip_of(tmp_path / "in.y4m")
    got = list(pipeline.upscale_frames(network("bicubic"), clip.header, clip, Options()))
    for ours, planes in zip(got, clip, strict=True):
        assert all(map(np.array_equal, ours, interpolate.upscale(planes, clip.header, 4)))
    height, width = got[0][0].shape
    for ours, planes in zip(
        pipeline.upscale_frames(network("bicubic"), clip.header, clip, Options(ensemble=True)), clip, strict=True
    ):
        exact = resize.resize(planes[0].astype(np.float64), height, width, "bicubic", "replicate").clip(0, 255)
        assert np.abs(ours[0] - exact).max() < 0.5 + 1e-3  # half a code of rounding, float32 noise beside it


def test_rgb_round_trip_is_nearly_lossless(tmp_path: Path) -> None:
    """Planes -> RGB float -> planes costs at most one code value on luma: nothing passes through 8-bit RGB."""
    clip = clip_of(tmp_path / "in.y4m", width=32, height=24)
    tensors = colours.to_tensors([clip.frame(0)], 8, CPU)
    back = RGB.to_planes(RGB.from_planes(tensors, clip.header.layout), clip.header.layout)
    luma = colours.to_codes(back[0], 8)[0].numpy()
    assert np.array_equal(luma, clip.frame(0)[0])
    chroma = colours.to_codes(back[1], 8)[0].numpy().astype(int)
    assert np.abs(chroma - clip.frame(0)[1].astype(int)).mean() < 3  # bilinear up and down is not an identity


def test_tile_and_batch_do_not_change_the_picture(tmp_path: Path) -> None:
    """Tiles and batches give the very same bytes up to a rounding tie."""
    clip = clip_of(tmp_path / "in.y4m", width=64, height=48)
    whole = list(pipeline.upscale_frames(network(), clip.header, clip, Options()))
    parts = list(pipeline.upscale_frames(network(), clip.header, clip, Options(tile_px=16, batch=2)))
    for a, b in zip(whole, parts, strict=True):
        assert np.abs(a[0].astype(int) - b[0].astype(int)).max() <= 1 and (a[0] != b[0]).mean() < 0.001


def test_frames_can_be_chosen(tmp_path: Path) -> None:
    """--frames N and FIRST-LAST pick source frames, from a file and from a stream."""
    clip = clip_of(tmp_path / "in.y4m", num_frames=4)
    assert run(str(clip.path), str(tmp_path / "some.y4m"), "--frames", "1-2", "--model", "bicubic") == 0
    expected = [interpolate.upscale(clip.frame(index), clip.header, 4)[0] for index in (1, 2)]
    assert all(np.array_equal(a[0], b) for a, b in zip(y4m.Clip(tmp_path / "some.y4m"), expected, strict=True))
    assert run(str(clip.path), str(tmp_path / "x.y4m"), "--frames", "9") == 1


@pytest.mark.parametrize("frames", ["all", "scored", "0-1"])
def test_damaged_clips_end_no_others(tmp_path: Path, capsys: pytest.CaptureFixture, frames: str) -> None:
    """Each is named, in its head as well, and the others of the folder are made, whichever frames are asked for."""
    for clip_id in (200, 201, 206):
        clip_of(tmp_path / "low" / contest.low_name(clip_id), num_frames=30)
    (tmp_path / "low" / contest.low_name(201)).write_bytes(b"YUV4MPEG2 Wx\n")
    assert run(str(tmp_path / "low"), str(tmp_path / "out"), "--frames", frames, "--model", "bicubic") == 1
    assert "00201_l.y4m: expected one W token" in (told := capsys.readouterr().err) and "1 of 3 failed" in told
    assert sorted(path.name[6:11] for path in (tmp_path / "out").glob("*.y4m")) == ["00200", "00206"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_kit_brings_a_network(tmp_path: Path, scale: int, capsys: pytest.CaptureFixture) -> None:
    """Without --weights the shipped network of that scale enlarges, and it is said."""
    clip = clip_of(tmp_path / "in.y4m")
    taken = shipped.find(shipped.QUALITIES[shipped.DEFAULT], scale, shipped.CODED)
    assert taken is not None and taken.model == "pairs-s"
    assert run(str(clip.path), str(tmp_path / "own.y4m"), "--scale", str(scale)) == 0
    assert (
        f"1 clip by {taken.model} x{scale} on cpu; the kit's own of --quality balanced, trained on"
        in capsys.readouterr().err
    )
    assert run(str(clip.path), str(tmp_path / "named.y4m"), "--weights", str(taken.path)) == 0
    assert "kit's own" not in capsys.readouterr().err
    assert (tmp_path / "own.y4m").read_bytes() == (tmp_path / "named.y4m").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "file", "said"),
    [
        ([], "pairs_s_x4_video", "trained on compressed input; in.y4m is video, which mostly was coded before"),
        (["--input", "clean"], "pairs_s_x4_clean", "--quality balanced, trained on clean input; --input"),
        (["--quality", "best"], "pairs_m_x4_video", "--quality best, trained on compressed input"),
        (
            ["--quality", "fast"],
            "fsrcnn_x4",
            "--quality fast, trained on clean input, as none is shipped for compressed input",
        ),
        (
            ["--quality", "best", "--scale", "3"],
            "pairs_s_x3_video",
            "--quality best, which has no pairs-m at x3, trained on compressed",
        ),
        (["--scale", "2"], "pairs_s_x2_video", "--quality balanced, trained on compressed input"),
        (["--model", "pairs-m", "--input", "clean"], "pairs_m_x4_clean", "own pairs-m, trained on clean input"),
    ],
)
def test_quality_and_input_choose(
    tmp_path: Path, arguments: list[str], file: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    """One line says which of the kit's own networks is taken and why; its file is the one that runs."""
    clip = clip_of(tmp_path / "in.y4m", num_frames=1)
    assert run(str(clip.path), str(tmp_path / "own.y4m"), *arguments) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "the kit's own" in line]
    assert said in line
    named = str(shipped.FOLDER / f"{file}.safetensors")
    assert run(str(clip.path), str(tmp_path / "named.y4m"), "--weights", named) == 0
    assert (tmp_path / "own.y4m").read_bytes() == (tmp_path / "named.y4m").read_bytes()


@pytest.mark.parametrize(
    ("source", "kind", "why"),
    [
        ("Youku_00200_l.y4m", shipped.CODED, "a clip of the contest"),
        ("film.mkv", shipped.CODED, "a coded video"),
        ("-", shipped.CODED, "stdin"),
        ("photo.PNG", shipped.CLEAN, "a picture"),
        (".", shipped.CODED, "holds video"),
        ("docs", shipped.CLEAN, "holds pictures"),
    ],
)
def test_what_was_coded_is_told_by_its_name(source: str, kind: str, why: str) -> None:
    """--input auto: pictures are clean, clips and videos were coded."""
    told = kind_of_input(source)
    assert told[0] == kind and why in told[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--weights", "w.safetensors", "--quality", "fast"],
        ["--weights", "w.safetensors", "--input", "auto"],
        ["--model", "pairs-s", "--quality", "best"],
        ["--model", "bicubic", "--input", "clean"],
    ],
)
def test_choices_without_effect_are_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture
) -> None:
    """--quality and --input choose among the kit's own networks; beside others they are a usage error."""
    clip = clip_of(tmp_path / "in.y4m", num_frames=1)
    with pytest.raises(SystemExit) as ended:
        run(str(clip.path), str(tmp_path / "o.y4m"), *arguments)
    assert ended.value.code == 2
    assert f"{arguments[2]} chooses among the kit's own networks" in capsys.readouterr().err
    assert not (tmp_path / "o.y4m").exists()


def test_all_that_is_shipped_is_there_and_nothing_else() -> None:
    """The table and the folder agree; each file names its network, scale and kind; all are under 8 MB together."""
    files = {path.name: path for path in shipped.FOLDER.glob("*.safetensors")}
    assert set(files) == {entry.name for entry in shipped.SHIPPED}
    assert sum(path.stat().st_size for path in shipped.FOLDER.iterdir()) < 8_000_000
    card = (shipped.FOLDER / "README.md").read_text()
    for entry in shipped.SHIPPED:
        _, about = weights.read(entry.path)
        assert (about["model"], about["scale"]) == (entry.model, str(entry.scale))
        assert about.get("trained_on", shipped.CLEAN) == entry.trained_on and entry.name in card


def test_a_folder_of_any_clips(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """All of them, each under its own name; two that would become one, a file as output and an empty folder are told."""
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    for name in ("a.y4m", "b.y4m"):
        clip_of(folder / name, "420mpeg2", 16, 12, 1)
    (folder / "notes.txt").write_text("no clip")
    assert run(str(folder), str(out), "--model", "bicubic", "--scale", "2") == 0
    assert sorted(path.name for path in out.glob("*.y4m")) == ["a_x2.y4m", "b_x2.y4m"]
    assert run(str(folder), str(tmp_path / "o.mkv"), "--model", "bicubic") == 1
    assert "is a folder, so the output must be a folder too" in capsys.readouterr().err
    (folder / "a.mkv").write_bytes(b"x")
    assert run(str(folder), str(out), "--model", "bicubic", "--scale", "2") == 1
    assert "a.y4m would both become" in capsys.readouterr().err
    (folder / "a.mkv").unlink()
    assert run(str(folder), f"{folder}/.", "--model", "bicubic") == 1
    assert "is the folder of the clips itself" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert run(str(tmp_path / "none"), str(out)) == 1
    assert "expected clips named Youku_00000_l.y4m, videos or pictures, found none" in capsys.readouterr().err
    clip_of(tmp_path / "none" / "Youku_00000_h_GT.y4m", "420mpeg2", 16, 12, 1)
    assert run(str(tmp_path / "none"), str(out)) == 1


def test_folder_is_predicted_as_the_contest_scores_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Scored frames, exact names; a second run is up to date; a broken or outdated output is made again."""
    low, out = tmp_path / "low", tmp_path / "predictions"
    for clip_id in (150, 151, 156):
        write_pair(low, clip_id, 24, 16, 26)
    command = (str(low), str(out), "--frames", "scored", "--test-set", "150-157")
    assert run(*command) == 0
    names = ["Youku_00150_h_Res.y4m", "Youku_00151_h_Res.y4m", "Youku_00156_h_Sub25_Res.y4m"]
    assert sorted(path.name for path in out.glob("*.y4m")) == names
    assert [y4m.Clip(out / name).num_frames for name in names] == [26, 26, 2]
    capsys.readouterr()
    stamps = {name: (out / name).stat().st_mtime_ns for name in names}
    assert run(*command) == 0
    assert capsys.readouterr().err.count("up to date") == 3
    assert stamps == {name: (out / name).stat().st_mtime_ns for name in names}
    (out / names[0]).write_bytes((out / names[0]).read_bytes()[:-10])
    write_pair(low, 151, 24, 16, 26)
    assert run(*command) == 0
    assert "00156_h_Sub25_Res.y4m: up to date" in capsys.readouterr().err
    assert y4m.Clip(out / names[0]).num_frames == 26


def test_a_file_of_others_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A whole clip that this verb did not make needs --force."""
    clip = clip_of(tmp_path / "in.y4m")
    other = clip_of(tmp_path / "other.y4m")
    before = other.path.read_bytes()
    assert run(str(clip.path), str(other.path)) == 1
    assert "use --force to replace it" in capsys.readouterr().err
    assert other.path.read_bytes() == before
    assert run(str(clip.path), str(other.path), "--force") == 0
    assert run(str(clip.path), str(clip.path)) == 1


def test_stdin_to_stdout(tmp_path: Path) -> None:
    """`predict - -` is a filter."""
    clip = clip_of(tmp_path / "in.y4m")
    command = [sys.executable, "-m", "youku.predict", "-", "-", "--device", "cpu", "--quality", "fast"]
    done = subprocess.run(command, input=clip.path.read_bytes(), capture_output=True, check=True, cwd=REPO)
    frames = list(y4m.StreamReader(io.BytesIO(done.stdout), "out"))
    assert len(frames) == 3
    assert np.array_equal(frames[2][1], interpolate.upscale(clip.frame(2), clip.header, 4)[1])


def test_sharpen_raises_contrast_and_nothing_else(tmp_path: Path) -> None:
    """The mask changes luma only, amount 0 changes nothing."""
    clip = clip_of(tmp_path / "in.y4m")
    plain = next(iter(pipeline.upscale_frames(network(), clip.header, clip, Options())))
    zero = next(iter(pipeline.upscale_frames(network(), clip.header, clip, Options(sharpen=(1.5, 0.0)))))
    sharp = next(iter(pipeline.upscale_frames(network(), clip.header, clip, Options(sharpen=(1.5, 1.0)))))
    assert np.array_equal(plain[0], zero[0]) and np.array_equal(plain[1], sharp[1])
    assert sharp[0].astype(float).std() > plain[0].astype(float).std()


def test_interlaced_input_is_refused_with_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The message holds the ffmpeg line to run."""
    clip = clip_of(tmp_path / "in.y4m")
    clip.path.write_bytes(clip.path.read_bytes().replace(b" Ip ", b" It ", 1))
    assert run(str(clip.path), str(tmp_path / "out.y4m")) == 1
    assert "bwdif" in capsys.readouterr().err
    assert not (tmp_path / "out.y4m").exists()


def test_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """A clip cut in the middle gives one sentence, no output and no temporary file."""
    clip = clip_of(tmp_path / "in.y4m")
    feed(monkeypatch, clip.path.read_bytes()[:-100])
    assert run("-", str(tmp_path / "out.y4m")) == 1
    told = capsys.readouterr().err
    assert "error: stdin: frame 2 at byte" in told and "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]


@pytest.mark.parametrize(
    ("prepare", "flags", "message"),
    [
        ("good", ["--scale", "2"], "is for x4, not x2"),
        ("good", ["--model", "edsr"], "holds weights of fsrcnn, not of edsr"),
        ("truncated", [], "expected a whole safetensors file"),
        ("text", [], "expected a whole safetensors file"),
        ("nameless", [], "if this kit trained it, name it with --model and --scale"),
        ("nameless", ["--model", "edsr-baseline", "--scale", "4"], "do not fit this network: missing head.weight"),
        ("absent", [], "no such weights file"),
        ("folder", [], "expected a weights file or a run"),
    ],
)
def test_bad_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture, prepare: str, flags: list[str], message: str
) -> None:
    """Weights of another model or scale, cut, foreign, nameless or absent: one sentence, exit 1."""
    from safetensors.torch import save_file

    clip, path = clip_of(tmp_path / "in.y4m"), tmp_path / "w.safetensors"
    save_weights(path)
    if prepare == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif prepare == "text":
        path.write_text("hello")
    elif prepare == "nameless":
        save_file(network().module.state_dict(), path)
    elif prepare == "absent":
        path.unlink()
    elif prepare == "folder":
        path.unlink()
        path.mkdir()
    assert run(str(clip.path), str(tmp_path / "out.y4m"), "--weights", str(path), *flags) == 1
    assert message in capsys.readouterr().err


def test_nameless_weights_load_when_named(tmp_path: Path) -> None:
    """A plain safetensors state dict runs with --model and --scale."""
    from safetensors.torch import save_file

    clip, path = clip_of(tmp_path / "in.y4m"), tmp_path / "w.safetensors"
    save_file(network().module.state_dict(), path)
    assert (
        run(str(clip.path), str(tmp_path / "o.y4m"), "--weights", str(path), "--model", "fsrcnn", "--scale", "4") == 0
    )


def test_any_video_goes_in(tmp_path: Path) -> None:
    """A coded video is decoded on the way."""

    clip = clip_of(tmp_path / "in.y4m", width=64, height=48)
    coded = tmp_path / "\u89c6 \u9891.mkv"
    subprocess.run([ffmpeg.binary(), "-loglevel", "error", "-i", str(clip.path), str(coded)], check=True)
    assert run(str(coded), str(tmp_path / "out.y4m"), "--scale", "2") == 0
    assert y4m.Clip(tmp_path / "out.y4m").num_frames == 3


def test_ahead_hands_errors_over_and_stops_early() -> None:
    """An error in the stage behind surfaces in order; leaving early ends its thread."""

    def numbers():
        yield from range(3)
        raise ValueError("damaged")

    seen = []
    with pytest.raises(ValueError, match="damaged"):
        for number in stages.ahead(numbers()):
            seen.append(number)
    assert seen == [0, 1, 2]
    endless = stages.ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()


def test_the_caller_keeps_its_threads(tmp_path: Path) -> None:
    """Stages limit torch's threads inside themselves only: the network and the caller keep all of theirs."""
    before = torch.get_num_threads()
    clip = clip_of(tmp_path / "in.y4m")
    seen = []
    probe = network()
    probe.module.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    assert len(list(pipeline.upscale_frames(probe, clip.header, clip, Options(tile_px=64)))) == 3
    assert seen == [before] * 3 and torch.get_num_threads() == before


def test_result_name_for_all_frames(tmp_path: Path) -> None:
    """A folder predicted whole is named as whole results."""
    low = tmp_path / "low"
    write_pair(low, 7, 24, 16, 2)
    (job,) = list_jobs(str(low), str(tmp_path / "out"), "all", "val", "x4")
    assert Path(job.target).name == contest.result_name(7, True)


def test_stdin_and_truncated_outputs_are_never_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another clip on stdin replaces our own output; an output cut exactly after a frame is made again."""
    for num_frames in (3, 2):
        feed(monkeypatch, clip_of(tmp_path / "in.y4m", num_frames=num_frames).path.read_bytes())
        assert run("-", str(tmp_path / "out.y4m")) == 0
        assert y4m.Clip(tmp_path / "out.y4m").num_frames == num_frames
    clip = clip_of(tmp_path / "in.y4m")
    out = tmp_path / "o.y4m"
    assert run(str(clip.path), str(out)) == 0
    whole = out.read_bytes()
    out.write_bytes(whole[: -(6 + y4m.Clip(out).header.frame_bytes)])
    assert run(str(clip.path), str(out)) == 0
    assert out.read_bytes() == whole


def test_what_may_come_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """OUT.avi is refused with the names that are not; a new folder is named with a slash."""
    clip = clip_of(tmp_path / "in.y4m")
    assert run(str(clip.path), str(tmp_path / "big.avi")) == 1
    assert "expected OUT.y4m, OUT.mp4" in capsys.readouterr().err
    assert run(str(clip.path), f"{tmp_path}/new/") == 0
    assert (tmp_path / "new" / "in_x4.y4m").exists()


def test_sharpened_targets_train_a_sharpening_model() -> None:
    """Folding: E[sharpen(y) | x] = sharpen(E[y | x]), exact for least squares, edges included.

    Each output pixel is a linear function of the whole low patch; inputs do not determine the noisy targets.
    """
    rng = torch.Generator().manual_seed(0)
    low = torch.rand(200, 5, 6, generator=rng, dtype=torch.float64)
    high = low.repeat_interleave(2, 1).repeat_interleave(2, 2)
    high = high + 0.1 * torch.randn(high.shape, generator=rng, dtype=torch.float64)

    def trained(targets: torch.Tensor) -> torch.Tensor:
        weights_of_all = torch.linalg.lstsq(low.flatten(1), targets.flatten(1)).solution
        return (low.flatten(1) @ weights_of_all).view_as(targets)

    plain, folded = trained(high), trained(pipeline.sharpen(high, 1.5, 0.5))
    assert (folded - pipeline.sharpen(plain, 1.5, 0.5)).abs().max() < 1e-12
    assert (folded - plain).abs().max() > 0.01 < (plain - high).abs().mean()


def test_sharpened_targets_train_a_sharpened_filter() -> None:
    """The same for one filter shared by all places, once it is wide enough to hold the mask: here as wide as the picture.

    Pictures repeat at their edges, so least squares has a closed form at each frequency and no border is special; a 3x3
    filter cannot hold the mask, and there the two differ.
    """
    rng = torch.Generator().manual_seed(0)
    picture = torch.rand(6, 24, 20, generator=rng, dtype=torch.float64)
    target = picture + 0.3 * picture.roll(1, -1) + 0.1 * torch.randn(picture.shape, generator=rng, dtype=torch.float64)
    radius_px = 5

    def sharpened(y: torch.Tensor) -> torch.Tensor:
        wrapped = torch.nn.functional.pad(y[:, None], [radius_px] * 4, mode="circular")[:, 0]
        return pipeline.sharpen(wrapped, 1.5, 0.5)[:, radius_px:-radius_px, radius_px:-radius_px]

    def wide(y: torch.Tensor) -> torch.Tensor:
        seen, wanted = torch.fft.fft2(picture), torch.fft.fft2(y)
        return torch.fft.ifft2(seen * (seen.conj() * wanted).mean(0) / seen.abs().square().mean(0)).real

    def narrow(y: torch.Tensor) -> torch.Tensor:
        shifts = [picture.roll((down, right), (-2, -1)).flatten() for down in (-1, 0, 1) for right in (-1, 0, 1)]
        return (torch.stack(shifts, 1) @ torch.linalg.lstsq(torch.stack(shifts, 1), y.reshape(-1, 1)).solution).view_as(
            y
        )

    assert (wide(sharpened(target)) - sharpened(wide(target))).abs().max() < 1e-12
    assert (wide(target) - target).abs().mean() > 0.01
    assert (narrow(sharpened(target)) - sharpened(narrow(target))).abs().max() > 1e-3


def test_a_clip_becomes_a_video_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """y4m -> mkv: the network's own planes; again: up to date; with another crf: made again; another's file is safe."""
    clip = clip_of(tmp_path / "in.y4m", width=32, height=24)
    out = tmp_path / "out.mkv"
    command = (str(clip.path), str(out), "--model", "bicubic", "--scale", "2")
    assert run(*command, "--codec", "ffv1") == 0
    with open_recording(out) as reader:
        back = list(reader)
    for planes, frame in zip(clip, back, strict=True):
        assert all(map(np.array_equal, interpolate.upscale(planes, clip.header, 2), frame))
    capsys.readouterr()
    assert run(*command, "--codec", "ffv1") == 0
    assert "up to date" in capsys.readouterr().err
    assert run(*command, "--crf", "30") == 0
    assert "3 frames" in capsys.readouterr().err
    (tmp_path / ".out.mkv.json").unlink()
    before = out.read_bytes()
    assert run(*command) == 1
    assert "was not made here" in capsys.readouterr().err and out.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "flags", "words", "status"),
    [
        ("out.y4m", ["--crf", "20"], "--crf has no effect on y4m output", 2),
        ("out.y4m", ["--codec", "x265"], "--codec has no effect on y4m output", 2),
        ("out/", ["--no-audio"], "--no-audio has no effect on y4m output", 2),
        ("out.mp4", ["--no-subtitles"], "--no-subtitles has no effect on y4m input", 2),
        ("out.mp4", ["--crf", "99"], "--crf 99: expected 0 to 51", 1),
        ("out.mp4", ["--codec", "ffv1"], ".mp4 cannot hold ffv1", 1),
        ("out.mp4", ["--frames", "scored"], "name OUT.y4m", 1),
    ],
)
def test_flags_of_a_video_output(
    tmp_path: Path, capsys: pytest.CaptureFixture, target: str, flags: list[str], words: str, status: int
) -> None:
    """A flag without effect, or one that the output cannot have, is refused and nothing is made."""
    clip = clip_of(tmp_path / "in.y4m")
    try:
        got = run(str(clip.path), f"{tmp_path}/{target}", *flags)
    except SystemExit as ended:
        got = int(ended.code or 0)
    assert got == status and words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]


def test_many_clips_run_in_one_place_and_print_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """predict_all tells its caller what was made and what was not, and how far a clip is; the room itself is silent."""
    jobs = [Job(str(clip_of(tmp_path / f"{name}.y4m").path), str(tmp_path / f"{name}_x4.y4m"), None) for name in "ab"]
    told: list[str] = []
    watched: list[tuple[str, int | None]] = []

    def watch(items: Iterable[Item], name: str = "", total: int | None = None) -> Iterable[Item]:
        watched.append((name, total))
        return items

    for expected, end in ((2, "3 frames"), (0, "up to date")):
        assert predict_all(network("bicubic"), jobs, Options(), watch=watch, tell=told.append) == expected
        ends = [line.partition(", ")[0] for line in told if "->" not in line]  # then how fast
        assert ends == [f"{job.target}: {end}" for job in jobs]
        assert sum("33x25 -> 132x100 by bicubic x4" in line for line in told) == expected
        told.clear()
    assert watched == [(Path(job.target).name, 3) for job in jobs]
    assert capsys.readouterr() == ("", "")


def test_raw_planes_are_told_to_become_y4m(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A .yuv has no size of its own, and predict no flag for one."""
    (tmp_path / "in.yuv").write_bytes(bytes(64))
    assert run(str(tmp_path / "in.yuv"), str(tmp_path / "out.y4m")) == 1
    assert "convert them to y4m first" in capsys.readouterr().err


@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_rgb_networks_see_the_colours_that_were_coded(matrix: str, full_range: bool) -> None:
    """Planes coded by a matrix in a range are the RGB that they were made of, and the way back ends where it began."""
    rgb = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    layout = (1, 1, "center")
    planes = list(color.rgb_to_yuv444(rgb, matrix, full_range).unbind(1))
    coded = RGB.coded(matrix, full_range)
    seen = coded.from_planes(planes, layout)
    assert torch.allclose(seen[0], rgb, atol=1e-5)
    for plane, back in zip(planes, coded.to_planes(seen, layout), strict=True):
        assert torch.allclose(plane, back, atol=1e-5)


@pytest.mark.parametrize("chroma", ["mono", "mono10", "420"])
@pytest.mark.parametrize("is_full", [True, False])
def test_codes_stay_where_they_are_through_an_rgb_network(tmp_path: Path, chroma: str, is_full: bool) -> None:
    """One that repeats each pixel: every code of its range, 0..255 where it is full, comes out to within rounding."""
    span = "XCOLORRANGE=FULL" if is_full else "XCOLORRANGE=LIMITED"
    header = y4m.parse_header(f"YUV4MPEG2 W256 H4 F25:1 Ip C{chroma} {span}\n".encode(), "clip")
    codes = np.arange(256) if is_full else np.arange(256).clip(16, 235)
    luma = np.tile(codes << (header.depth - 8), (4, 1)).astype(header.dtype)
    planes = (luma, *(np.full(shape, 128, header.dtype) for shape in header.plane_shapes[1:]))
    engine = TorchEngine(torch.nn.Upsample(scale_factor=2), CPU)
    repeating = Network(MODELS["edsr-baseline"], 2, engine)
    assert isinstance(repeating.spec.colours, type(RGB))
    (out,) = pipeline.upscale_frames(repeating, header, [planes], Options())
    assert np.abs(out[0].astype(int) - luma.repeat(2, 0).repeat(2, 1)).max() <= 1


def test_the_whole_part_of_a_clip_that_is_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Frames asked for before the damage are read by predict, inspect and compare; any after it are refused."""
    write_pair(tmp_path, 0, 32, 24, 5)
    clip, out = tmp_path / contest.low_name(0), tmp_path / "out.y4m"
    clip.write_bytes(clip.read_bytes()[:-700])
    how = [str(clip), str(out), "--model", "bicubic", "--frames"]
    assert predict.main([*how, "1-3"]) == 0 and y4m.Clip(out).num_frames == 3
    assert predict.main([*how, "1-4"]) == predict.main(how[:-1]) == 1
    assert capsys.readouterr().err.count("frame 4 at byte") == 2
    assert main(["inspect", str(clip), "--max-frames", "4"]) == 0
    assert main(["inspect", str(clip), "--max-frames", "5"]) == 1
    assert main(["compare", str(clip), str(clip), "--frame", "3", "--out", str(tmp_path / "c.png")]) == 0


def test_memory_that_runs_out_is_told_once() -> None:
    """A device without room for a whole frame goes on in tiles, to the same planes; its sentence comes once a clip."""

    class Tight(TorchEngine):
        def step(self, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
            if max(x[0].shape[-2:]) > 80:
                raise torch.OutOfMemoryError("no room")
            return super().step(x, memory)

    header, said = y4m.make_header(96, 64), []
    frames = [textured_frame(header, index) for index in range(3)]
    roomy = network(scale=2)
    tight = replace(roomy, engine=Tight(roomy.module, roomy.device))
    expected = list(pipeline.upscale_frames(roomy, header, frames, Options()))
    got = list(pipeline.upscale_frames(tight, header, frames, Options(tile_px=96), tell=said.append))
    assert said == ["memory ran out; going on in tiles of 48 px, which give the same picture"]
    for ours, theirs in zip(got, expected, strict=True):
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(ours, theirs, strict=True))

"""The verb `inspect`: weights (statistics, vanishing check, histograms, feature maps), clips, every message."""

from __future__ import annotations

import cProfile
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_motion import texture
from tests.test_pictures import bomb
from youku.__main__ import main
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import still
from youku.looking import checkerboard, clip_summary, feature_maps, weights_summary
from youku.models import MODELS
from youku.training import vgg
from youku.video import ffmpeg, standin, y4m

DATA = Path(__file__).parents[2] / "shared/data"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A seeded FSRCNN x2 as a weights file with metadata."""
    torch.manual_seed(0)
    path = tmp_path / "best.safetensors"
    weights.save(path, MODELS["fsrcnn"].build(2).state_dict(), "fsrcnn", 2, {"step": "4000"})
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A gray-to-red ramp of 30x20."""
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[..., 0] = np.arange(30) * 8
    Image.fromarray(rgb).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def change(path: Path, key: str, value: torch.Tensor) -> None:
    """Put `value` into the file in place of `key`."""
    state, _ = weights.read(path)
    weights.save(path, {**state, key: value}, "fsrcnn", 2, {})


def test_statistics_of_known_values() -> None:
    """Mean, spread, range, median magnitude and the vanished share of five numbers; integers are left out."""
    state = {"w": torch.tensor([[0.0, 1e-31, -3.0, 1.0, 2.0]]), "count": torch.tensor(3)}
    (found,) = weights_summary.tensor_statistics(state)
    assert (found.mean, found.least, found.most, found.median_magnitude) == (0, -3, 2, 1)
    assert found.std == pytest.approx(math.sqrt(14 / 5)) and found.vanished == 0.4 and found.is_weight


def test_all_is_well_with_fresh_weights(trained: Path, capsys: pytest.CaptureFixture) -> None:
    """Network, metadata and a line a tensor; zero biases are no alarm."""
    assert main(["inspect", str(trained)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("network    fsrcnn x2, 12,809 parameters") and "step       4000" in out
    assert all(name in out for name in weights.read(trained)[0])
    assert "56x1x9x9" in out and "no weight tensor has vanished" in out and "warning" not in out


@pytest.mark.parametrize(("share", "warned"), [(0.5, True), (0.005, False)])
def test_vanished_weights_are_warned_about(
    share: float, warned: bool, trained: Path, capsys: pytest.CaptureFixture
) -> None:
    """A layer with many |w| < 1e-30 is named with its share; a few are no alarm."""
    value = torch.full((56, 1, 9, 9), 1e-3)
    value.view(-1)[: int(share * value.numel())] = 1e-35
    change(trained, "last.weight", value)
    assert main(["inspect", str(trained), "--layers", "last"]) == 0
    assert ("warning: last.weight: 50.0% of the weights vanished" in capsys.readouterr().out) == warned


def test_broken_weights_are_counted_and_left_out(trained: Path, capsys: pytest.CaptureFixture) -> None:
    """NaN and infinity are reported; the other numbers stay readable, also when nothing is left."""
    change(trained, "last.bias", torch.tensor([math.nan]))
    assert main(["inspect", str(trained), "--histogram"]) == 0
    assert "warning: last.bias: 1 value NaN or infinite" in capsys.readouterr().out
    (found,) = weights_summary.tensor_statistics({"w": torch.tensor([[1.0, math.inf, 3.0]])})
    assert (found.mean, found.num_broken) == (2, 1)


def test_histogram_holds_every_value(trained: Path, capsys: pytest.CaptureFixture) -> None:
    """Counts add up, edges enclose the range, bars are drawn; --layers keeps to one layer."""
    value = torch.linspace(-1, 1, 1000)
    bins = weights_summary.tensor_histogram(value, 16)
    assert sum(count for _, _, count in bins) == 1000 and (bins[0][0], bins[-1][1]) == (-1, 1)
    assert main(["inspect", str(trained), "--histogram", "--layers", "first.0.weight"]) == 0
    out = capsys.readouterr().out
    assert "first.0.weight (1,400 values)" in out and "#" * 50 in out and "middle" not in out


def test_histogram_picture(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """--png draws one panel a weight tensor, as a picture that is not blank."""
    assert main(["inspect", str(trained), "--png", str(tmp_path / "weights.png")]) == 0
    assert "histograms of 8 weight tensors" in capsys.readouterr().err
    with Image.open(tmp_path / "weights.png") as drawn:
        assert drawn.width > 1000 and np.asarray(drawn.convert("L")).std() > 10


def test_feature_maps_on_one_sheet(trained: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A layer's 56 maps lie side by side; the sheet shows the very maps that the layer made."""
    arguments = ["inspect", str(trained), "--features", "first.0", "--picture", str(picture)]
    assert main([*arguments, "--out", str(tmp_path / "maps")]) == 0
    assert "56 maps of 30x20" in capsys.readouterr().err
    sheet = np.asarray(Image.open(tmp_path / "maps" / "first.0.png"))
    network = weights.load(trained, None, None, torch.device("cpu"))
    (x,) = still.picture_input(network, np.asarray(Image.open(picture)))
    expected = network.module.first[0](x)[0]  # type: ignore[index, operator]
    first = expected[0]
    scaled = ((first - first.min()) / (first.max() - first.min()) * 255).round().byte().numpy()
    assert sheet.shape == (8 * 22 - 2, 7 * 32 - 2)
    assert np.array_equal(sheet[:20, :30], scaled)


def test_flat_maps_are_gray_and_counted() -> None:
    """A dead map divides by no zero."""
    maps = torch.stack([torch.full((4, 6), 7.0), torch.arange(24.0).view(4, 6)])
    sheet = feature_maps.contact_sheet(maps)
    assert feature_maps.num_flat(maps) == 1 and set(np.unique(sheet[:4, :6])) == {128}
    assert sheet.min() == 0 and sheet.max() == 255


def test_luma_network_sees_studio_range() -> None:
    """White reaches a luma network as 235/255, an RGB network as 1."""
    white = np.full((4, 4, 3), 255, np.uint8)
    device = torch.device("cpu")
    luma = Network(MODELS["fsrcnn"], 2, TorchEngine(torch.nn.Identity(), device))
    rgb = Network(MODELS["edsr-baseline"], 2, TorchEngine(torch.nn.Identity(), device))
    assert still.picture_input(luma, white)[0].unique().item() == pytest.approx(235 / 255)
    assert still.picture_input(rgb, white)[0].shape == (1, 3, 4, 4)
    assert still.picture_input(rgb, white)[0].min() == 1


def test_checkerboard_and_json(trained: Path, capsys: pytest.CaptureFixture) -> None:
    """An untrained FSRCNN x2 shows its 9x9 deconvolution's grid; --json carries the same facts."""
    assert main(["inspect", str(trained), "--checkerboard"]) == 0
    assert "verdict: checkerboard: " in capsys.readouterr().out
    assert main(["inspect", str(trained), "--checkerboard", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["scale"], found["metadata"]["step"]) == ("fsrcnn", 2, "4000")
    assert found["checkerboard"]["fires"] and len(found["checkerboard"]["lines"]) == len(checkerboard.LEVELS) + 1
    assert {entry["name"] for entry in found["tensors"]} == set(weights.read(trained)[0])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--features", "first.0"], 2, "go together"),
        (["--json", "--histogram"], 2, "drop one"),
        (["--png", "weights.pdf"], 2, "ends in .png"),
        (["--layers", "nowhere"], 1, "no tensor of fsrcnn begins so"),
        (["--model", "edsr"], 1, "holds weights of fsrcnn"),
        (["--features", "first.9", "--picture", "PICTURE", "--out", "OUT"], 1, "has no such layer"),
        (["--features", "first.0", "--picture", "WEIGHTS", "--out", "OUT"], 1, "not a picture"),
        (["--features", "first.0", "--picture", "absent.png", "--out", "OUT"], 1, "no such file"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], status: int, words: str, trained: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    """Each wrong use says what was expected, and nothing is written."""
    names = {"PICTURE": str(picture), "WEIGHTS": str(trained), "OUT": str(picture.parent / "out")}
    try:
        found = main(["inspect", str(trained), *(names.get(word, word) for word in arguments)])
    except SystemExit as error:
        found = error.code
    assert found == status and words in capsys.readouterr().err
    assert not list(picture.parent.glob("out/*"))


def test_a_sheet_never_replaces_the_picture(trained: Path, picture: Path, capsys: pytest.CaptureFixture) -> None:
    """Input files are left alone even when the sheet would have their name."""
    own = picture.rename(picture.with_name("first.0.png"))
    before = own.read_bytes()
    arguments = ["--features", "first.0", "--picture", str(own), "--out", str(own.parent)]
    assert main(["inspect", str(trained), *arguments]) == 1
    assert "is the input picture" in capsys.readouterr().err and own.read_bytes() == before


def test_huge_sheets_are_refused() -> None:
    """Over 100 megapixels the message asks for a crop."""
    with pytest.raises(ValueError, match="give a smaller --picture"):
        feature_maps.contact_sheet(torch.zeros(1).expand(64, 2000, 2000))


def vgg_state(net: str) -> dict[str, torch.Tensor]:
    """All layers of a network as torchvision names them: random up to relu2_2, deeper ones zeros that take no room."""
    torch.manual_seed(0)
    state = vgg.Features(net, ["relu2_2"]).state_dict()
    with torch.device("meta"):
        whole = vgg.Features(net, ["pool5"]).state_dict()
    return {**{key: torch.zeros(1).expand(value.shape) for key, value in whole.items()}, **state}


@pytest.mark.parametrize(
    ("net", "layer", "size"), [("vgg19", "relu2_2", "128 maps of 15x10"), ("vgg16", "conv1_1", "64 maps of 30x20")]
)
def test_feature_maps_of_a_loss_network(
    net: str, layer: str, size: str, tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    """VGG is known by its file's keys; the sheet shows what the perceptual loss compares at that layer."""
    state = vgg_state(net)
    path = tmp_path / "judge.pth"
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 2)}, path)
    command = ["inspect", str(path), "--features", layer, "--picture", str(picture), "--out", str(tmp_path / "maps")]
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"network    {net}, ") and f"layers     up to {layer}" in told.out and size in told.err
    x = torch.from_numpy(np.asarray(Image.open(picture)).copy()).permute(2, 0, 1)[None] / 255
    features = vgg.load(net, path, [layer])(x)[layer][0]
    assert features.amax() > features.amin()
    sheet = np.asarray(Image.open(tmp_path / "maps" / f"{layer}.png"))
    assert np.array_equal(sheet, feature_maps.contact_sheet(features))


def test_a_loss_network_from_arrays(tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture) -> None:
    """A .npz of conv1_1_W and so on is looked at like the other forms, also as JSON."""
    state = vgg.Features("vgg19", ["relu1_2"]).state_dict()
    layers = {"conv1_1": "features.0", "conv1_2": "features.2"}
    arrays = {f"{ours}_W": state[f"{theirs}.weight"].numpy() for ours, theirs in layers.items()}
    arrays |= {f"{ours}_b": state[f"{theirs}.bias"].numpy() for ours, theirs in layers.items()}
    np.savez(tmp_path / "vgg.npz", **arrays, conv3_4_W=np.zeros((256, 256, 3, 3), np.float32))
    command = ["inspect", str(tmp_path / "vgg.npz"), "--features", "relu1_2", "--picture", str(picture), "--json"]
    assert main([*command, "--out", str(tmp_path / "maps")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "vgg19" and len(found["tensors"]) == 4
    assert (tmp_path / "maps" / "relu1_2.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--features", "relu9_1"], "vgg19 has no layer 'relu9_1': expected conv or relu"),
        (["--features", "relu2_2", "--scale", "2", "--checkerboard"], "enlarges nothing; drop --scale, --checkerboard"),
        (["--features", "relu2_2", "--model", "edsr"], "holds weights of vgg19, through which losses look"),
        (["--features", "pool5"], "is 30x20, and vgg19 halves it on the way to pool5; give one of at least 32x32"),
    ],
)
def test_mistakes_with_a_loss_network_are_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    """Unknown layers, flags of other networks and tiny pictures are refused; nothing is written."""
    torch.save(vgg_state("vgg19"), tmp_path / "vgg19.pth")
    command = ["inspect", str(tmp_path / "vgg19.pth"), *arguments]
    assert main([*command, "--picture", str(picture), "--out", str(tmp_path / "maps")]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "maps").exists()


def test_other_vggs_are_told_from_ours(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """With batch norm between (torchvision's vgg19_bn) the keys that do not belong are listed."""
    state = {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}
    torch.save({**state, "features.1.weight": torch.zeros(64)}, tmp_path / "bn.pth")
    assert main(["inspect", str(tmp_path / "bn.pth")]) == 1
    assert "as vgg19: the weights do not fit" in (said := capsys.readouterr().err) and "features.1.weight" in said


@pytest.fixture
def barred(tmp_path: Path) -> Path:
    """Six frames of a stand-in clip: a cut at frame 3 between bars of 24 lines."""
    scene = standin.Scene(1, ("coffee", "chelsea"), has_bars=True)
    with y4m.create(tmp_path / "film.y4m", scene.header) as writer:
        for planes in standin.scene_frames(scene, 6):
            writer.write(planes)
    return tmp_path / "film.y4m"


def test_a_clip_is_told_from_weights_by_content(barred: Path, capsys: pytest.CaptureFixture) -> None:
    """Header, planes, bars, cut and verdict of a y4m clip, whatever its name; the clip stays as it was."""
    before = barred.read_bytes()
    named = barred.rename(barred.with_name("film.bin"))
    assert main(["inspect", str(named)]) == 0
    out = capsys.readouterr().out
    assert "file       a y4m clip: YUV4MPEG2 W384 H216 F25:1 Ip" in out and "frames     6, 0.24 s at 25 a second" in out
    assert "bars       top 24, bottom 24: picture 384x168" in out and "cuts       1, at frame 3" in out
    assert "colour     colour" in out and "progressive" in out
    assert out.strip().splitlines()[-1].startswith("predicted benefit of super-resolution: ")
    assert named.read_bytes() == before


def test_clip_as_json_and_as_picture(barred: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """--json carries the same facts with histogram and difference curve; --png is not blank."""
    png = tmp_path / "film.png"
    assert main(["inspect", str(barred), "--json", "--png", str(png)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["cuts"], told["is_grey"], told["is_interlaced"]) == (6, [3], False, False)
    assert told["bars"] == {"top": 24, "bottom": 24, "left": 0, "right": 0} and len(told["differences"]) == 5
    assert sum(told["luma_counts"]) == 6 * 384 * 216 and told["planes"][0]["least"] >= 0
    assert told["information"]["num_frames"] == 3 and told["information"]["ratio"] > 1
    with Image.open(png) as drawn:
        assert drawn.width > 1000 and np.asarray(drawn.convert("L")).std() > 10


def test_any_video_is_a_clip(barred: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A coded video is decoded; --max-frames looks at its start alone."""
    video = tmp_path / "film.mp4"
    ffmpeg.run(ffmpeg.build(str(barred), str(video), {}, {"c:v": "libx264", "format": "mp4"}), "test clip")
    assert main(["inspect", str(video), "--max-frames", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 2 and told["cuts"] == [] and told["bars"]["top"] in (23, 24, 25)


@pytest.mark.parametrize(
    ("is_coded", "limit", "counted"),
    [
        (False, None, "6"),
        (False, 2, "first 2 of 6"),
        (False, 6, "6"),
        (False, 9, "6"),
        (True, None, "6"),
        (True, 2, "first 2"),
        (True, 9, "6"),
    ],
)
def test_a_start_is_not_taken_for_the_clip(
    is_coded: bool, limit: int | None, counted: str, barred: Path, capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Text and title say `first` where the clip goes on or may; what the file is comes first, its header where it has one."""
    titles: list[str] = []
    monkeypatch.setattr(clip_summary, "draw_clip", lambda found, title, path: titles.append(title))
    path = barred.with_suffix(".mp4") if is_coded else barred
    if is_coded:
        ffmpeg.run(ffmpeg.build(str(barred), str(path), {}, {"c:v": "libx264", "format": "mp4"}), "test clip")
    asked = [] if limit is None else ["--max-frames", str(limit)]
    assert main(["inspect", str(path), *asked, "--png", str(barred.with_suffix(".png"))]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "file       a video, coded as h264\n" if is_coded else "file       a y4m clip: YUV4MPEG2 W384"
    )
    seconds = min(limit or 6, 6) / 25
    assert f"\nframes     {counted}, {seconds:.2f} s at 25 a second\n" in out
    assert titles == [f"{path.name}: 384x216, frames: {counted}"]


def test_interlaced_and_mono_clips(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The I token is read: what to do is said; a clip without chroma is grey, and one frame has no change."""
    header = y4m.parse_header(b"YUV4MPEG2 W32 H16 F25:1 It Cmono\n", "test")
    with y4m.create(tmp_path / "old.y4m", header) as writer:
        writer.write((np.arange(512, dtype=np.uint16).reshape(16, 32).astype(np.uint8),))
    assert main(["inspect", str(tmp_path / "old.y4m")]) == 0
    out = capsys.readouterr().out
    assert (
        "in each frame: enlarge it with `predict --deinterlace`" in out and "grey" in out and "one frame alone" in out
    )
    assert out.count("first field") == 2  # sharpness and detail say what they were measured on


@pytest.mark.parametrize(
    ("aspect", "told"),
    [
        ("16:15", "720x576 oblong pixels, shown as 4:3: 768x576 square ones"),
        ("12:11", "720x576 oblong pixels, shown as 4:3: 785x576 square ones"),
        ("64:45", "720x576 oblong pixels, shown as 16:9: 1024x576 square ones"),
        ("3:4", "720x576 oblong pixels, shown as 0.94:1: 720x768 square ones"),
        ("1:1", "720x576 pixels"),
        ("0:0", "720x576 pixels"),
    ],
)
def test_oblong_pixels_are_told_as_they_are_shown(aspect: str, told: str) -> None:
    """The shape of the picture and its size in square pixels, none fewer either way."""
    header = y4m.parse_header(f"YUV4MPEG2 W720 H576 F25:1 It A{aspect} C420mpeg2\n".encode(), "test")
    assert clip_summary._size(header) == told


def test_a_comb_is_no_detail(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """What moves between the fields of an interlaced clip is measured as each field shows it."""
    told = {}
    for field, shift in (("p", 0), ("t", 12)):
        header = y4m.parse_header(f"YUV4MPEG2 W96 H71 F25:1 I{field} C420mpeg2\n".encode(), "test")
        soft = [np.tile(100 + 60 * np.sin(np.arange(shape[1]) / 9), (shape[0], 1)) for shape in header.plane_shapes]
        planes = [plane.astype(np.uint8) for plane in soft]
        planes[0][1::2] = np.roll(planes[0][1::2], shift, 1)  # the other field, later
        path = tmp_path / f"{field}.y4m"
        with y4m.create(path, header) as writer:
            writer.write(tuple(planes))
        assert main(["inspect", str(path), "--json"]) == 0
        told[field] = json.loads(capsys.readouterr().out)
    assert told["t"]["sharpness"]["gradient_energy"] == pytest.approx(told["p"]["sharpness"]["gradient_energy"])
    assert told["t"]["information"]["verdict"] == told["p"]["information"]["verdict"]


def test_a_cut_between_two_fields_is_one(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The frame that has a field of each shot is like neither neighbour."""
    header = y4m.parse_header(b"YUV4MPEG2 W256 H144 F25:1 It Cmono\n", "test")
    shots = [texture(144, 256, smooth_px=side).astype(np.uint8) for side in (9, 5)]
    mixed = shots[0].copy()
    mixed[1::2] = shots[1][1::2]
    with y4m.create(tmp_path / "tape.y4m", header) as writer:
        for luma in (shots[0], shots[0], mixed, shots[1], shots[1]):
            writer.write((luma,))
    assert main(["inspect", str(tmp_path / "tape.y4m"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cuts"] == [3]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["film.y4m", "--layers", "first", "--checkerboard"], 2, "--layers, --checkerboard: for weights"),
        (["film.y4m", "--max-frames", "0"], 2, "expected 1 or more"),
        (["best.safetensors", "--max-frames", "2"], 2, "--max-frames is for clips"),
        (["notes.txt"], 1, "no weights (safetensors, .pth), and is neither a y4m clip nor a video"),
        (["absent.y4m"], 1, "no such file or folder; check the path"),
        (["."], 1, "found a folder"),
        (["cut.y4m"], 1, "the file is cut off"),
        (["huge.png"], 1, "no picture of it can be decoded (Picture size 60000x60000 is invalid at frame 0)"),
    ],
)
def test_clip_mistakes_are_one_sentence(
    arguments: list[str],
    status: int,
    words: str,
    trained: Path,
    barred: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flags of the other kind, files that are neither, damage."""
    monkeypatch.chdir(barred.parent)
    Path("notes.txt").write_text("no video")
    Path("cut.y4m").write_bytes(barred.read_bytes()[:-7])
    Path("huge.png").write_bytes(bomb(60000, 60000))
    try:
        found = main(["inspect", *arguments])
    except SystemExit as error:
        found = error.code
    assert found == status and words in capsys.readouterr().err


@pytest.mark.skipif(not (DATA / "weights/vdsr_official.safetensors").exists(), reason="published weights are not here")
def test_published_weights_are_healthy(capsys: pytest.CaptureFixture) -> None:
    """VDSR as published: nothing vanished, no checkerboard."""
    path = str(DATA / "weights/vdsr_official.safetensors")
    assert main(["inspect", path, "--model", "vdsr", "--scale", "2", "--checkerboard"]) == 0
    out = capsys.readouterr().out
    assert "no weight tensor has vanished" in out and "verdict: no checkerboard" in out


def test_many_tiny_frames_are_not_all_overhead(tmp_path: Path) -> None:
    """A frame of one pixel costs few calls: 20,000 of them took half a minute. Noise takes the long way round."""
    path, head = tmp_path / "a.y4m", b"YUV4MPEG2 W1 H1 F25:1 Ip C420jpeg\n"
    path.write_bytes(head + b"".join(b"FRAME\n" + bytes([index * 97 % 256, 128, 128]) for index in range(300)))
    with cProfile.Profile() as profile:
        found = clip_summary.summarise_clip(path, None)
    calls = sum(row.callcount for row in profile.getstats() if "numpy" in str(row.code))
    assert found.survey.num_frames == 300 and calls < 300 * 300

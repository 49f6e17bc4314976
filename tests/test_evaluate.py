"""Protocols on hand-made cases and against scikit-image; the verb on small folders, and on Set5 where it is at hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import fresh_network
from youku import evaluate
from youku.engines import half, weights
from youku.engines.network import Network
from youku.inference import evaluation, picture_scores, pipeline, still, timing
from youku.inference.evaluation import PROTOCOLS
from youku.inference.pipeline import Options
from youku.inference.still import Picture
from youku.metrics import fsim
from youku.models.colours import Tensors
from youku.video import color, picture_sets

SET5 = Path(__file__).parents[2] / "shared/data/bench/Set5"
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason=f"real data absent: {SET5}")
CPU = torch.device("cpu")
FLAT = np.full((40, 40, 3), 100, np.uint8)


def spoilt(changes: dict[int, int], inner: tuple[int, int, int]) -> np.ndarray:
    """FLAT with a ring of width w set to a gray for each (w: gray), inside out of the way; `inner` is added elsewhere."""
    picture = (FLAT + np.array(inner)).astype(np.uint8)
    for width, gray in sorted(changes.items(), reverse=True):
        inside = picture[width:-width, width:-width].copy()
        picture[:] = gray
        picture[width:-width, width:-width] = inside
    return picture


def smooth_picture(height: int = 48, width: int = 40, seed: int = 0) -> np.ndarray:
    """Coloured waves, uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(x * rng.uniform(0.1, 0.5) + y * rng.uniform(0.1, 0.5) + channel) for channel in range(3)]
    return (128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 3))).clip(0, 255).astype(np.uint8)


def psnr_of(pred: np.ndarray, high: np.ndarray, protocol: str, scale: int) -> float:
    read = still.read_picture
    return evaluation.error(read(pred), read(high), protocol, scale).psnr


Y_STEP = 10 * (65.481 + 128.553 + 24.966) / 255  # luma of 10 gray levels: 8.588
EDSR_STEP = 10 * (65.738 + 129.057 + 25.064) / 256  # 8.588 too, by other weights
RED_Y_STEP = 10 * 65.481 / 255
RED_EDSR_STEP = 10 * 65.738 / 256


@pytest.mark.parametrize(
    ("protocol", "scale", "ring_px", "inner", "step"),
    [
        ("y_crop_s", 2, 2, (10, 10, 10), Y_STEP),
        ("y_crop_s", 3, 3, (10, 0, 0), RED_Y_STEP),
        ("y_crop_4", 4, 4, (10, 10, 10), Y_STEP),
        ("rgb_crop_s", 3, 3, (10, 0, 0), 10 / math.sqrt(3)),
        ("rgb_crop_s6", 3, 9, (10, 0, 0), 10 / math.sqrt(3)),
        ("vid4", 4, 8, (10, 10, 10), Y_STEP),
        ("y_diff_edsr", 2, 2, (10, 10, 10), EDSR_STEP),
        ("y_diff_edsr", 4, 4, (10, 0, 0), RED_EDSR_STEP),
    ],
)
def test_protocol_by_hand(protocol: str, scale: int, ring_px: int, inner: tuple[int, int, int], step: float) -> None:
    """A constant error inside and a wild ring that is just cropped: dB of that constant; a ring 1 px wider shows."""
    expected = 20 * math.log10(255 / step)
    assert psnr_of(spoilt({ring_px: 250}, inner), FLAT, protocol, scale) == pytest.approx(expected, abs=1e-9)
    assert psnr_of(spoilt({ring_px + 1: 250}, inner), FLAT, protocol, scale) < expected - 1


def test_y_full_by_hand() -> None:
    """Nothing cropped, both planes rounded: Y 101.88 and 110.47 become 102 and 110, an error of 8, ring included."""
    pred, high = spoilt({1: 250}, (10, 10, 10)), FLAT
    assert [round(color.luma_of_picture(picture)[20, 20], 2) for picture in (high, pred)] == [101.88, 110.47]
    ring_y = round(16 + 250 * 219 / 255)
    mse = ((40 * 40 - 38 * 38) * (ring_y - 102) ** 2 + 38 * 38 * 8**2) / 1600
    assert psnr_of(pred, high, "y_full", 4) == pytest.approx(10 * math.log10(255**2 / mse), abs=1e-9)


def test_every_protocol_has_a_case_by_hand() -> None:
    """The cases above leave none out."""
    marks = test_protocol_by_hand.pytestmark[0].args[1]
    assert {case[0] for case in marks} | {"y_full"} == set(PROTOCOLS)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_y_crop_equals_scikit_image(scale: int) -> None:
    """rgb2ycbcr, peak_signal_noise_ratio and structural_similarity of scikit-image on the cropped luma."""
    from skimage.color import rgb2ycbcr
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    high = smooth_picture()
    pred = np.clip(high + np.random.default_rng(1).normal(0, 6, high.shape), 0, 255).astype(np.uint8)
    ours = [still.read_picture(picture) for picture in (pred, high)]
    theirs = [rgb2ycbcr(picture)[scale:-scale, scale:-scale, 0] for picture in (pred, high)]
    assert evaluation.error(*ours, "y_crop_s", scale).psnr == pytest.approx(
        peak_signal_noise_ratio(theirs[1], theirs[0], data_range=255), abs=1e-6
    )
    ssim = structural_similarity(*theirs, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    for protocol in ("y_crop_s", "rgb_crop_s", "y_diff_edsr"):  # SSIM is on Y whatever the channels
        assert evaluation.similarity(*ours, protocol, scale) == pytest.approx(ssim, abs=1e-5)


def test_self_ensemble_of_bicubic_changes_nothing() -> None:
    """An equivariant network is its own ensemble (models.md section 11, item 5: under 1e-5)."""
    x = torch.from_numpy(smooth_picture()[..., 0].copy()).float()[None, None] / 255
    plain, eightfold = (
        pipeline.run_network(fresh_network("bicubic"), (x,), Options(ensemble=ensemble))[0]
        for ensemble in (False, True)
    )
    assert (plain - eightfold).abs().max() < 1e-5


def test_self_ensemble_of_a_network_changes_something() -> None:
    """The flag reaches a network that is not equivariant."""
    low = smooth_picture(6, 6)
    plain, eightfold = (
        still.enlarge(fresh_network("edsr-baseline", 2), low, Options(ensemble=e)).rgb for e in (False, True)
    )
    assert np.any(plain != eightfold)


@pytest.mark.parametrize("name", ["bicubic", "edsr-baseline"])
def test_enlarged_luma_is_that_of_the_picture(name: str) -> None:
    """Both kinds of network give luma in code values and a picture of the same colours."""
    low = smooth_picture(12, 10)
    enlarged = still.enlarge(fresh_network(name, 2), low, Options())
    luma, rgb = enlarged.luma, enlarged.rgb
    assert luma.shape == (24, 20) and rgb.shape == (24, 20, 3) and rgb.dtype == np.uint8
    assert np.abs(color.luma_of_picture(rgb) - luma).max() < 1.1  # two roundings, of Y and of RGB
    if name == "bicubic":
        assert np.array_equal(luma, np.round(luma))
        colour = np.abs(rgb.reshape(12, 2, 10, 2, 3).mean((1, 3)) - low.astype(float)).mean()
        assert colour < 6  # 7.7 levels would be a missing Cb or Cr


def test_pooled_is_below_the_mean_and_right() -> None:
    """MSE 1 on 300 samples, MSE 9 on 100: pooled MSE 3."""
    errors = [evaluation.Error(1.0, 300), evaluation.Error(9.0, 100)]
    assert evaluation.pooled(errors) == pytest.approx(10 * math.log10(255**2 / 3))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: psnr_of(FLAT, FLAT, "y_crop_4", 2), "y_crop_4: defined for x4, not x2; use y_crop_s"),
        (lambda: psnr_of(FLAT, FLAT, "y", 2), "'y': expected one of y_crop_s"),
        (lambda: psnr_of(FLAT[:4], FLAT[:4], "y_crop_s", 2), "crop of 2 px a side leaves nothing of 40x4"),
        (lambda: psnr_of(FLAT[:39], FLAT, "y_crop_s", 2), r"one size, got \(39, 40\) and \(40, 40\)"),
        (
            lambda: evaluation.error(Picture(FLAT[..., 0]), Picture(FLAT[..., 0]), "rgb_crop_s", 2),
            "needs RGB pictures, here is luma alone",
        ),
        (
            lambda: still.enlarge(fresh_network("edsr-baseline"), FLAT[..., 0], Options()),
            "works on RGB, here is luma",
        ),
        (lambda: timing.Runs(iterations=0), "--iterations 0: expected a batch and iterations of 1 or more"),
    ],
)
def test_faults_are_one_sentence(act, message: str) -> None:
    """Expected, got, what to do."""
    with pytest.raises(ValueError, match=message):
        act()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of other sizes, one not a multiple of the factor."""
    for index, name in enumerate(("a", "b")):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(smooth_picture(48 + 5 * index, 60, index)).save(path)
    return tmp_path / "set"


def shipped(tmp_path: Path, name: str = "fsrcnn", scale: int = 4) -> Path:
    path = tmp_path / f"{name}.safetensors"
    weights.save(path, fresh_network(name, scale).module.state_dict(), name, scale, {})
    return path


def test_json_agrees_with_the_protocols(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """The verb's numbers are those of the functions, its mean the mean of the pictures' dB."""
    command = [str(folder), "--model", "bicubic", "--scale", "3", "--protocol", *PROTOCOLS, "--pooled", "--json"]
    command.remove("y_crop_4")
    command.remove("vid4")
    assert evaluate.main(command) == 0
    protocols = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]
    for protocol, by_network in protocols.items():
        values = []
        for files in picture_sets.find(folder, 3):
            low, high = picture_sets.load(files, 3)
            pred = still.enlarge(fresh_network("bicubic", 3), low, Options())
            values.append(evaluation.error(pred, still.read_picture(high), protocol, 3).psnr)
        told = by_network["bicubic"]
        assert [row["psnr"] for row in told["pictures"]] == pytest.approx(values, abs=1e-4)
        assert told["mean"]["psnr"] == pytest.approx(sum(values) / 2, abs=1e-4)
        assert told["mean"]["pooled_psnr"] < told["mean"]["psnr"]
    assert set(protocols) == set(PROTOCOLS) - {"y_crop_4", "vid4"}


def test_fsim_is_added_where_asked(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """--fsim adds the metric's own value for each picture and its mean; without it there is no such figure."""
    command = [str(folder), "--model", "bicubic", "--scale", "2", "--json"]
    assert evaluate.main(command) == 0
    assert '"fsim"' not in capsys.readouterr().out
    assert evaluate.main([*command, "--fsim"]) == 0
    told = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]["y_crop_s"]["bicubic"]
    values = []
    for files in picture_sets.find(folder, 2):
        low, high = picture_sets.load(files, 2)
        luma = still.enlarge(fresh_network("bicubic", 2), low, Options()).luma
        values.append(fsim.plane(luma, color.luma_of_picture(high)))
    assert [row["fsim"] for row in told["pictures"]] == pytest.approx(values, abs=1e-4)
    assert told["mean"]["fsim"] == pytest.approx(sum(values) / 2, abs=1e-4)


def test_a_network_stands_beside_bicubic_and_its_pictures_are_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A table with both columns, and the network's own RGB pictures whole in FOLDER/SET_MODEL_xN."""
    file = shipped(tmp_path, "edsr-baseline", 2)
    assert (
        evaluate.main([str(folder), "--weights", str(file), "--save", str(tmp_path / "kept"), "--device", "cpu"]) == 0
    )
    out = capsys.readouterr().out
    assert "edsr-baseline" in out and "bicubic" in out and "set x2, y_crop_s" in out
    low, _ = picture_sets.load(picture_sets.find(folder, 2)[1], 2)
    with Image.open(tmp_path / "kept/set_edsr-baseline_x2/b.png") as picture:
        kept = np.asarray(picture)
    assert np.array_equal(kept, still.enlarge(fresh_network("edsr-baseline", 2), low, Options()).rgb)


def test_settings_are_told_apart(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The ensemble has a name of its own in rows and folders; other weights never replace what is kept."""
    files = [shipped(tmp_path, "edsr-baseline", 2), tmp_path / "other.safetensors"]
    state, about = weights.read(files[0])
    weights.save(files[1], {key: value * 0.5 for key, value in state.items()}, "edsr-baseline", 2, about)
    command = [str(folder), "--save", str(tmp_path / "kept"), "--device", "cpu", "--json", "--weights"]
    told = []
    for more in ([str(files[0])], [str(files[0]), "--ensemble"], [str(files[0])]):
        assert evaluate.main([*command, *more]) == 0
        told.append(json.loads(capsys.readouterr().out)["sets"][0])
    names = ["edsr-baseline", "edsr-baseline+", "edsr-baseline"]
    assert [one["model"] for one in told] == [next(iter(one["protocols"]["y_crop_s"])) for one in told] == names
    kept = {path.parent.name: path.read_bytes() for path in (tmp_path / "kept").glob("*/b.png")}
    assert set(kept) == {"set_edsr-baseline_x2", "set_edsr-baseline+_x2"} and len(set(kept.values())) == 2
    for more, other in (([str(files[1])], "weights"), ([str(files[0]), "--resizer", "python-bilinear"], "resizer")):
        assert evaluate.main([*command, *more]) == 1
        assert f"set_edsr-baseline_x2: its pictures are of other {other}; name another" in capsys.readouterr().err
    assert {path.parent.name: path.read_bytes() for path in (tmp_path / "kept").glob("*/b.png")} == kept


def test_time_prints_a_median(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """--time measures, and says on what and how often."""
    command = [str(folder), "--weights", str(shipped(tmp_path)), "--time", "--device", "cpu"]
    assert evaluate.main([*command, "--time-batch", "2", "--warm-up", "1", "--iterations", "3"]) == 0
    assert "ms a batch of 2 on cpu, median of 3 runs after 1 warm-up" in capsys.readouterr().out


def test_time_takes_turns_and_leaves_the_warm_up_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures, one warm-up run each, then 2 + 3 timed: the median of what the clock said."""
    clock, seen = iter([90, 90, 1, 2, 3, 4, 8]), []

    def forward_ms(network: Network, batch: Tensors, options: Options) -> float:
        seen.append(batch[0].shape)
        return float(next(clock))

    monkeypatch.setattr(timing, "_forward_ms", forward_ms)
    inputs = [(torch.zeros(1, 1, 4, 4),), (torch.zeros(1, 1, 4, 6),)]
    runs = timing.Runs(time_batch=8, warm_up=2, iterations=5)
    assert timing.measure(fresh_network("bicubic"), inputs, Options(), runs)[0]["median_ms"] == 3.0
    assert seen == [(8, 1, 4, 4 + 2 * (at % 2)) for at in range(7)]


def test_a_resizer_changes_the_score(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Plain bilinear without anti-aliasing scores otherwise than MATLAB's bicubic."""
    scores = []
    for extra in ([], ["--resizer", "python-bilinear"]):
        assert evaluate.main([str(folder), "--model", "bicubic", "--json", *extra]) == 0
        scores.append(
            json.loads(capsys.readouterr().out)["sets"][0]["protocols"]["y_crop_s"]["bicubic"]["mean"]["psnr"]
        )
    assert abs(scores[0] - scores[1]) > 0.1


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--iterations", "5"], 2, "no effect without --time"),
        (["--kind", "unknown"], 1, "cannot be made"),
        (["--scale", "2", "--protocol", "y_crop_4"], 1, "defined for x4, not x2"),
        (["--save", "{folder}"], 1, "whose pictures are the input"),
        (["--tile-px", "0"], 2, "--tile-px 0: expected 1 or more"),
        (["--truth", "{folder}"], 2, "--model has no effect on pictures that exist already"),
        (["--quality", "fast"], 2, "--quality chooses among the kit's own networks"),
        (["{folder}", "--low", "{folder}"], 1, "--low belongs to one FOLDER"),
        (["{folder}", "--save", "{folder}/../kept"], 1, "two sets are named set"),
    ],
)
def test_the_verb_refuses(
    folder: Path, flags: list[str], status: int, message: str, capsys: pytest.CaptureFixture
) -> None:
    """One sentence on stderr, 1 for data, 2 for usage, and the inputs untouched."""
    before = sorted(path.name for path in folder.iterdir())
    command = [str(folder), *(flag.format(folder=folder) for flag in flags), "--model", "bicubic"]
    try:
        told = evaluate.main(command)
    except SystemExit as stop:
        told = stop.code
    assert told == status
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_exact_match_is_null_in_json() -> None:
    """JSON has no infinity."""
    score = picture_scores.Score("a", evaluation.Error(0.0, 10), 1.0)
    table = picture_scores.as_json({"y_crop_s": {"bicubic": [score]}}, pooled=True)
    assert table["y_crop_s"]["bicubic"]["mean"] == {"psnr": None, "ssim": 1.0, "pooled_psnr": None}


def test_pictures_that_exist_are_measured_as_if_they_were_just_made(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """--save, then --truth: the same PSNR under every protocol of RGB pictures, two folders side by side."""
    file = shipped(tmp_path, "edsr-baseline", 4)
    command = ["--protocol", "all", "--json", "--device", "cpu"]
    assert evaluate.main([str(folder), "--weights", str(file), "--save", str(tmp_path), *command]) == 0
    made = tmp_path / "set_edsr-baseline_x4"
    own = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]
    (tmp_path / "other").mkdir()
    for path in made.iterdir():
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "other" / path.name)
    assert evaluate.main([str(made), str(tmp_path / "other"), "--truth", str(folder), *command[:3]]) == 0
    told = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]
    assert set(told) == set(own) == set(PROTOCOLS) - {"vid4"}
    for protocol, by_network in told.items():
        assert by_network[made.name] == own[protocol]["edsr-baseline"] and set(own[protocol]) >= {"lanczos"}
        assert by_network["other"]["mean"]["psnr"] != by_network[made.name]["mean"]["psnr"]


def test_vid4_leaves_the_ends_of_a_clip_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Of six frames the middle two; four frames are too few."""
    for index in range(6):
        Image.fromarray(smooth_picture(48, 60, index)).save(tmp_path / f"Frame{index}.png")
    command = [str(tmp_path), "--model", "lanczos", "--protocol", "vid4", "--json"]
    assert evaluate.main(command) == 0
    rows = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]["vid4"]["lanczos"]["pictures"]
    assert [row["name"] for row in rows] == ["Frame2", "Frame3"]
    for index in (4, 5):
        (tmp_path / f"Frame{index}.png").unlink()
    assert evaluate.main(command) == 1
    assert "leaves out 2 frames at each end of a clip, found 4 pictures" in capsys.readouterr().err


@needs_set5
@pytest.mark.parametrize(("scale", "expected"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_bicubic_table_of_set5(scale: int, expected: float, capsys: pytest.CaptureFixture) -> None:
    """The published bicubic row, to 0.05 dB, with the set's own MATLAB low resolution."""
    assert evaluate.main([str(SET5), "--model", "bicubic", "--scale", str(scale), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["sets"][0]["protocols"]["y_crop_s"]["bicubic"]["mean"]
    assert told["psnr"] == pytest.approx(expected, abs=0.05)


def test_half_is_left_out_where_it_would_be_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A CPU without bf16 computes in 32 bit, and says so, as in predict and train."""
    Image.fromarray(smooth_picture()).save(tmp_path / "a.png")
    used: list[bool] = []
    load = weights.load
    monkeypatch.setattr(weights, "load", lambda *given: (used.append(given[4:] == ("bf16",)), load(*given))[1])
    for has_bf16 in (False, True):
        monkeypatch.setattr(half, "cpu_has_bf16", lambda has_bf16=has_bf16: has_bf16)
        assert evaluate.main([str(tmp_path), "--dtype", "auto", "--device", "cpu"]) == 0
        assert ("--dtype auto: cpu has no fast fp16 or bf16 arithmetic" in capsys.readouterr().err) == (not has_bf16)
    assert used == [False, False, False, True, False, False]  # the network, then bicubic and Lanczos

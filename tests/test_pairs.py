"""pairs: Y'CbCr 4:2:0 in and out, the branch in training, the given weights' figures; other layouts, turns, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import textured_frame
from tests.test_train import settings
from tests.test_training_data import write_pictures
from youku.__main__ import main
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import evaluation, picture_scores, pipeline, still
from youku.inference.picture_scores import PictureSet
from youku.inference.pipeline import Options
from youku.models import MODELS, colours
from youku.models.blocks import plain_state
from youku.models.colours import LEFT, NEUTRAL, YUV420, Tensors
from youku.training import batch, losses, run, trainer
from youku.training.cuts import Place
from youku.video import color, interpolate, y4m
from youku.video.y4m import Planes

CPU = torch.device("cpu")
DATA = Path(__file__).parents[2] / "shared/data"
GIVEN = {"s_x4_clean": 31.35, "s_x4_video": 31.02, "m_x4_clean": 31.50, "m_x4_video": 31.34}
needs_data = pytest.mark.skipif(not (DATA / "weights").is_dir(), reason="needs ../shared/data/weights")


def fresh(scale: int = 4, name: str = "pairs-t", residual: float = 0.0) -> Network:
    """A seeded network whose last layer is `residual` times a standard start; 0 leaves the bases."""
    torch.manual_seed(0)
    module = MODELS[name].build(scale).eval()
    for layer in module.upscale.values():
        torch.nn.init.normal_(layer.weight, 0, residual)
    return Network(MODELS[name], scale, TorchEngine(module.requires_grad_(False), CPU))


def frame_of(width: int, height: int, chroma: str) -> tuple[y4m.Header, Planes]:
    header = y4m.make_header(width, height, chroma=chroma)
    planes = textured_frame(y4m.make_header(width, height, chroma=chroma), 3)
    deep = header.depth - 8
    return header, tuple((plane.astype(header.dtype) << deep) + (plane % 3 if deep else 0) for plane in planes)


def enlarged(network: Network, header: y4m.Header, planes: Planes, options: Options | None = None) -> Planes:
    return next(iter(pipeline.upscale_frames(network, header, [planes], options or Options())))


def apart(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@needs_data
@pytest.mark.parametrize("size", "sm")
def test_given_weights_give_the_reference(size: str) -> None:
    """The deployed files are told by their keys and make the reference's planes within 1e-4."""
    reference = load_file(DATA / "weights/pairs_reference.safetensors")
    network = weights.load(DATA / f"weights/pairs_{size}_x4_clean.safetensors", None, None, CPU)
    assert (network.spec.name, network.scale) == (f"pairs-{size}", 4)
    low = reference["low_y"][None, None] / 255, torch.stack([reference["low_u"], reference["low_v"]])[None] / 255
    (luma, chroma), _ = network.engine.step(low, ())
    made = {"y": luma[0, 0], "u": chroma[0, 0], "v": chroma[0, 1]}
    assert all((made[plane] - reference[f"{size}_{plane}"]).abs().max() < 1e-4 for plane in "yuv")


@needs_data
@pytest.mark.parametrize("given", GIVEN)
def test_given_weights_have_their_figures_on_set5(given: str) -> None:
    """Their published PSNR within 0.01: against the truth's rounded Y; y_crop_s, whose truth is not, is 0.01 higher."""
    network = weights.load(DATA / f"weights/pairs_{given}.safetensors", None, None, CPU)
    rounded, exact = [], []
    for sample in picture_scores.samples(PictureSet(folder=DATA / "bench/Set5"), 4):
        pred = still.enlarge(network, sample.low, Options())
        truth = still.Picture(np.floor(sample.high.luma + 0.5))
        rounded.append(evaluation.error(pred, truth, "y_crop_s", 4).psnr)
        exact.append(evaluation.error(pred, sample.high, "y_crop_s", 4).psnr)
    assert np.mean(rounded) == pytest.approx(GIVEN[given], abs=0.01)
    assert 0 < np.mean(exact) - np.mean(rounded) < 0.02


@pytest.mark.parametrize("is_trained", [False, True])
def test_training_form_is_the_network(is_trained: bool) -> None:
    """The branch leaves the start as it is; after steps that moved every part, the merged kernels compute the same."""
    torch.manual_seed(0)
    spec, x = MODELS["pairs-t"], (torch.rand(2, 1, 9, 12), torch.rand(2, 2, 5, 6))
    plain = fresh(residual=0.1).module
    before = plain(*x)
    form = spec.train_form(plain.requires_grad_(True), is_trained)
    assert all((one - other).abs().max() < 1e-5 for one, other in zip(form(*x), before, strict=True))
    num_plain = sum(parameter.numel() for parameter in spec.build(4).parameters())
    assert sum(parameter.numel() for parameter in form.parameters()) == num_plain + 7 * (2 * 24**2 * (2 + 2 * 9))
    start = {key: value.clone() for key, value in form.state_dict().items()}
    optimizer = torch.optim.Adam(form.parameters(), 1e-2)
    for _ in range(3):
        torch.stack([part.square().mean() for part in form(*x)]).sum().backward()
        optimizer.step()
    assert not any(torch.equal(start[key], value) for key, value in form.state_dict().items())
    merged = spec.build(4)
    merged.load_state_dict(plain_state(form))
    assert all((one - other).abs().max() < 1e-5 for one, other in zip(form(*x), merged(*x), strict=True))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("chroma", ["420mpeg2", "420jpeg", "420paldv", "420p10", "422", "444", "mono", "422p10"])
def test_bases_lie_where_the_kit_enlarges(chroma: str, scale: int) -> None:
    """Without details every layout and depth comes out as `interpolate.upscale`, odd sizes too.

    Chroma of another siting is resampled twice on the way, which costs it what bicubic costs; all else is one rounding.
    """
    header, planes = frame_of(23, 17, chroma)
    made, expected = enlarged(fresh(scale), header, planes), interpolate.upscale(planes, header, scale)
    assert len(made) == len(expected) and made[0].dtype == header.dtype
    assert apart(made[0], expected[0]) <= 1
    resampled = chroma in ("420jpeg", "420paldv")
    for own, other in zip(made[1:], expected[1:], strict=True):
        assert apart(own[8:-8, 8:-8], other[8:-8, 8:-8]) <= (6 if resampled else 1)


def test_chroma_steps_keep_their_place() -> None:
    """A ramp of chroma is a ramp of the same values after x4 at every 4:2:0 siting, away from its ends."""
    for layout in ((2, 2, "left"), (2, 2, "center"), (2, 2, "topleft")):
        luma = torch.full((1, 24, 24), 0.5)
        for axis in (0, 1):
            ramp = torch.linspace(0.2, 0.8, 12)
            plane = (ramp[:, None] if axis == 0 else ramp[None, :]).expand(12, 12)[None]
            x = YUV420.from_planes([luma, plane, plane], layout)
            planes = YUV420.to_planes(fresh().engine.step(x, ())[0], layout)
            step = float(ramp[1] - ramp[0]) / 4
            first = color.chroma_shift(layout, 4)[axis] + 0.5 / 4 - 0.5  # where output 0 is read, in input samples
            expected = ramp[0] + (ramp[1] - ramp[0]) * first + step * torch.arange(48)
            got = planes[1][0].mean(1 - axis)
            assert (got - expected)[14:-14].abs().max() < 1e-4, (layout, axis)


def test_finer_chroma_is_halved_at_the_right_place() -> None:
    """4:2:2 and 4:4:4 reach the network as 4:2:0: rows between two, columns on every second; mono is neutral."""
    plane = torch.arange(8.0)[None, :, None] * 10 + torch.arange(6.0)[None, None]
    full = YUV420.from_planes([torch.zeros(1, 8, 6), plane, plane], (1, 1, "center"))[1]
    half = YUV420.from_planes([torch.zeros(1, 8, 6), plane[..., ::2], plane[..., ::2]], (2, 1, "left"))[1]
    expected = (torch.arange(4.0)[:, None] * 20 + 5) + torch.arange(0.0, 6.0, 2)
    torch.testing.assert_close(half[0, 0], expected)
    torch.testing.assert_close(full[0, 1][:, 1:], expected[:, 1:])  # the first column has but one neighbour
    luma, neutral = YUV420.from_planes([torch.zeros(2, 5, 7)], (0, 0, "center"))
    assert luma.shape == (2, 1, 5, 7) and neutral.shape == (2, 2, 3, 4) and bool((neutral == NEUTRAL).all())


def test_video_is_taken_as_it_is() -> None:
    """4:2:0 with left siting is handed over without any arithmetic but the range, and back."""
    header, planes = frame_of(20, 14, "420mpeg2")
    x = YUV420.from_planes(colours.to_tensors([planes], 8, CPU), header.layout)
    assert np.array_equal(x[0][0, 0].numpy() * 255, planes[0]) and np.array_equal(x[1][0, 1].numpy() * 255, planes[2])
    assert all(map(np.array_equal, (colours.to_codes(p[0], 8) for p in YUV420.to_planes(x, header.layout)), planes))


@pytest.mark.parametrize(("scale", "width", "height"), [(4, 61, 47), (3, 61, 47), (2, 60, 45), (3, 46, 61)])
def test_tiles_of_odd_pictures(scale: int, width: int, height: int) -> None:
    """Tiles lie on whole chroma samples and give the whole picture's planes, at x3 with chroma of a half factor."""
    header, planes = frame_of(width, height, "420mpeg2")
    network = fresh(scale, residual=0.02)
    whole = enlarged(network, header, planes)
    assert [plane.shape for plane in whole] == list(interpolate.scaled_header(header, scale).plane_shapes)
    assert apart(whole[0], interpolate.upscale(planes, header, scale)[0]) > 3  # the details show
    for tile_px in (16, 33):
        tiled = enlarged(network, header, planes, Options(tile_px=tile_px))
        assert all(apart(*both) <= 1 and (both[0] != both[1]).mean() < 1e-3 for both in zip(whole, tiled, strict=True))


@pytest.mark.parametrize("size", [(18, 22), (19, 22), (18, 23), (17, 21)])
def test_turned_input_has_chroma_at_its_siting(size: tuple[int, int]) -> None:
    """A turned ramp's chroma is that of the turned picture, away from the edges; turning luma is exact."""
    rows, columns = torch.meshgrid(*(torch.arange(float(side)) for side in size), indexing="ij")
    rgb = torch.stack([rows / 20, columns / 20, (rows + columns) / 50])[None]
    for turn in range(colours.NUM_TURNS):
        got = YUV420.turned(YUV420.from_rgb(rgb), turn)
        (seen,) = colours.RGB.turned((rgb,), turn)
        expected = YUV420.from_rgb(seen)
        torch.testing.assert_close(got[0], expected[0])
        assert got[1].shape == expected[1].shape
        inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
        torch.testing.assert_close(got[1][inner], expected[1][inner])


def test_ensemble_turns_luma_and_keeps_chroma_in_place() -> None:
    """The bases commute with turns, so their ensemble is themselves; details of luma are averaged over all views."""
    x = YUV420.from_rgb(torch.rand(1, 3, 12, 18, generator=torch.Generator().manual_seed(0)))
    plain, both = (pipeline.run_network(fresh(), x, Options(ensemble=ensemble)) for ensemble in (False, True))
    assert (plain[0] - both[0]).abs().max() < 1e-5 and (plain[1] - both[1]).abs().max() < 1e-5
    network = fresh(residual=0.02)
    views = [network.engine.step(YUV420.turned(x, turn), ())[0] for turn in range(8)]
    luma = torch.stack([YUV420.turned_back(view, turn)[0] for turn, view in enumerate(views)]).mean(0)
    got = pipeline.run_network(network, x, Options(ensemble=True))
    assert (got[0] - luma).abs().max() < 1e-5
    assert [turn for turn in range(8) if YUV420.kept(turn, 48, 72)[1]] == [0, 6]
    chroma = (views[0][1] + YUV420.turned_back(views[6], 6)[1]) / 2
    assert (got[1] - chroma).abs().max() < 1e-5


def test_the_loss_weighs_planes_by_their_samples() -> None:
    """l1 and l2 are means over all samples of the frame, 4:1:1; each plane is a picture of its own to ssim."""
    torch.manual_seed(0)
    pred, high = ((torch.rand(2, 1, 32, 32), torch.rand(2, 2, 16, 16)) for _ in range(2))
    flat = [torch.cat([part.flatten() for part in one]) for one in (pred, high)]
    for text, expected in (("l1", (flat[0] - flat[1]).abs().mean()), ("l2", (flat[0] - flat[1]).square().mean())):
        torch.testing.assert_close(losses.over_tensors(losses.make_loss(losses.parse(text)), pred, high), expected)
    ssim = losses.make_loss(losses.parse("ssim"))
    planes = [(pred[0], high[0]), *((pred[1][:, [at]], high[1][:, [at]]) for at in (0, 1))]
    weighed = sum(share * ssim(*both) for share, both in zip((4 / 6, 1 / 6, 1 / 6), planes, strict=True))
    torch.testing.assert_close(losses.over_tensors(ssim, pred, high), weighed)


def test_chroma_that_a_turn_moved_teaches_nothing(pairs: Path) -> None:
    """Of turned patches luma alone has a gradient; of upright and vertically flipped ones both have."""
    made = settings(pairs, model="pairs-t", batch=24)
    train_pairs, _ = run.load_pairs(made)
    drawn = trainer.make_samplers(made, train_pairs, CPU)[0].draw(0)
    assert [part.shape for part in drawn.low] == [(24, 1, 16, 16), (24, 2, 8, 8)]
    (exact,) = drawn.exact
    assert 0 < exact.sum() < 16
    pred = tuple(torch.zeros_like(part, requires_grad=True) for part in drawn.high)
    losses.over_tensors(losses.make_loss(losses.parse("l2")), pred, drawn.target(pred)).backward()
    taught = pred[1].grad.flatten(1).any(1)  # type: ignore[union-attr]
    assert torch.equal(taught, exact) and bool(pred[0].grad.flatten(1).any(1).all())  # type: ignore[union-attr]
    place = Place(frame=0, top=0, left=0, side_px=16)
    upright = batch.stack([batch.Patch(train_pairs[0], place, MODELS["pairs-t"])], CPU)
    assert [part.tolist() for part in upright.exact] == [[True]]


def test_trains_on_clips_and_on_pictures_from_the_command_line(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """`train` on either ends above the start; the file holds the plain network, which --init-from takes up again."""
    folder = write_pictures(tmp_path / "p", number=4)
    for name, data in (("clips", pairs), ("pictures", folder)):
        few = "--steps 24 --val-every 12 --patch-px 8 --batch 4 --lr 3e-3 --warmup 0 --val-metric psnr --device cpu"
        line = f"train --model pairs-t --name {name} --runs {tmp_path}/runs --data {data} --val-clips 1 {few}"
        assert main(line.split()) == 0
        state, about = weights.read(tmp_path / "runs" / name)
        assert about["model"] == "pairs-t" and {key: value.shape for key, value in state.items()} == {
            key: value.shape for key, value in MODELS["pairs-t"].build(4).state_dict().items()
        }
        assert float(state["upscale.planes.weight"].abs().max()) > 5e-3
    again = settings(pairs, model="pairs-t", name="again", init_from=str(tmp_path / "runs/clips"), steps=1)
    begun = trainer.make_state(again, CPU)
    assert begun.transfer is not None and begun.transfer.new == ()
    network = weights.load(tmp_path / "runs/clips", None, None, CPU)
    x = (torch.rand(1, 1, 8, 8), torch.rand(1, 2, 4, 4))
    assert all(
        (one - other).abs().max() < 1e-5 for one, other in zip(begun.module(*x), network.module(*x), strict=True)
    )
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "runs/clips/best.safetensors"), "--checkerboard"]) in (0, 1)
    assert "verdict" in capsys.readouterr().out


def test_another_scale_takes_all_but_the_last_layers(tmp_path: Path, pairs: Path) -> None:
    """x2 from x4: head, body and mid come along, whatever shapes happen to fit."""
    weights.save(tmp_path / "four.safetensors", MODELS["pairs-t"].build(4).state_dict(), "pairs-t", 4, {})
    begun = trainer.make_state(
        settings(pairs, model="pairs-t", scale=2, init_from=str(tmp_path / "four.safetensors")), CPU
    )
    assert begun.transfer is not None
    assert begun.transfer.new == ("upscale.planes.weight", "upscale.planes.bias")


def test_luma_alone_runs_with_neutral_chroma() -> None:
    """A test set of luma planes has a result, without RGB."""
    low = np.linspace(16, 235, 12 * 10).reshape(12, 10)
    pred = still.enlarge(fresh(), low, Options())
    assert pred.rgb is None and pred.luma.shape == (48, 40)


def test_pictures_keep_the_chroma_they_have() -> None:
    """A picture's colours are interpolated from all its samples: a fine red and blue pattern keeps its contrast."""
    low = np.zeros((16, 16, 3), np.uint8)
    low[:, ::2], low[:, 1::2] = (200, 60, 60), (60, 60, 200)
    rgb = still.enlarge(fresh(), low, Options()).rgb
    assert rgb is not None and int(rgb[..., 0].max()) - int(rgb[..., 0].min()) > 100


def test_full_range_stretches_both_parts() -> None:
    """16-235 of luma and 16-240 of chroma become 0-255, neutral stays."""
    x: Tensors = (
        torch.tensor([16.0, 235.0]).view(1, 1, 1, 2) / 255,
        torch.tensor([[128.0], [240.0]])[None, ..., None] / 255,
    )
    luma, chroma = YUV420.to_full_range(x)
    torch.testing.assert_close(luma.flatten() * 255, torch.tensor([0.0, 255.0]))
    torch.testing.assert_close(chroma.flatten() * 255, torch.tensor([128.0, 128 + 112 * 255 / 224]))
    assert LEFT == (2, 2, "left")

"""Networks that remember, and planes of two sizes: the pipeline carries both, with toys that show every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.test_motion import texture
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline
from youku.inference.clip import Predictor
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.models import colours
from youku.models.blocks import Interpolate
from youku.models.colours import Layout, Luma, Tensors, Y
from youku.models.spec import ModelSpec
from youku.video import y4m
from youku.video.y4m import Clip, Planes

CPU = torch.device("cpu")
CUT = 3  # first frame of the second shot


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Seven frames 59x43, a pan, then from frame 3 on a pan over another scene."""
    path = tmp_path_factory.mktemp("memory") / "cut.y4m"
    scene = texture(43, 200, smooth_px=3).astype(np.uint8)
    with y4m.create(path, y4m.make_header(59, 43)) as writer:
        for index in range(7):
            shot = scene if index < CUT else 255 - scene[::-1, ::-1]
            luma = shot[:, 3 * index :][:, :59]
            writer.write((luma, luma[::2, ::2], 255 - luma[::2, ::2]))
    return y4m.Clip(path)


class RunningMean(nn.Module):
    """(bicubic of the frame + the mean of the shot so far) / 2; the mean is blurred a little at each step."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale, edge="replicate")
        self.repeat = nn.Upsample(scale_factor=scale, mode="nearest")

    def forward(self, x: Tensor, mean: Tensor | None = None, seen: Tensor | None = None) -> Tensors:
        if mean is None or seen is None:
            mean, seen = torch.zeros_like(x), torch.zeros_like(x)
        seen = seen + 1
        old = F.avg_pool2d(F.pad(mean, [1] * 4, mode="replicate"), 3, 1)
        mean = old + (x - old) / seen
        return (self.enlarge(x) + self.repeat(mean)) / 2, mean, seen


def remembering() -> Network:
    spec = ModelSpec(
        name="running-mean", build=RunningMean, colours=Y, halo_px=lambda scale: 2, memory=True, source="here"
    )
    return Network(spec, 2, TorchEngine(RunningMean(2).eval(), CPU))


def run(network: Network, clip: Clip, options: Options | None = None, wanted: Sequence[int] | None = None) -> list:
    return list(pipeline.upscale_frames(network, clip.header, clip, options or Options(), wanted))


def by_hand(clip: Clip) -> list[np.ndarray]:
    """Luma of each frame from a plain loop that forgets at the start and at the cut."""
    module, memory, outputs = RunningMean(2), [], []
    for index, planes in enumerate(clip):
        memory = [] if index in (0, CUT) else memory
        y, *memory = module(torch.from_numpy(planes[0].copy())[None, None].float() / 255, *memory)
        outputs.append(colours.to_codes(y[0, 0], 8).numpy())
    return outputs


def same(one: Planes, other: Planes) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_memory_goes_from_frame_to_frame_and_ends_at_cuts(clip: Clip) -> None:
    """Every frame is that of a plain loop over its shot, the first of the clip and of the second shot without memory."""
    outputs = run(remembering(), clip)
    assert all(np.array_equal(planes[0], luma) for planes, luma in zip(outputs, by_hand(clip), strict=True))
    alone = [run(remembering(), clip, wanted=[index])[0][0] for index in (0, CUT)]
    fresh = RunningMean(2)
    for index, luma in zip((0, CUT), alone, strict=True):
        first, *_ = fresh(torch.from_numpy(clip.frame(index)[0].copy())[None, None].float() / 255)
        assert np.array_equal(luma, colours.to_codes(first[0, 0], 8))


def test_what_is_remembered_shows(clip: Clip) -> None:
    """Within a shot the toy's output is not that of its frame alone: the tests here are not passing by accident."""
    forgetful = run(remembering(), clip, wanted=[CUT])[0][0]
    assert np.abs(by_hand(clip)[CUT + 1].astype(int) - forgetful).max() > 2


def test_a_batch_is_run_in_order(clip: Clip) -> None:
    """--batch 4 of a network with memory gives the very bytes of --batch 1."""
    assert all(map(same, run(remembering(), clip), run(remembering(), clip, Options(batch=4))))


@pytest.mark.parametrize("tile_px", [16, 33])
def test_tiles_remember_what_lies_around_them(clip: Clip, tile_px: int) -> None:
    """Memory is cut with the halo and joined again, so tiles give the whole picture's bytes up to a rounding tie."""
    for one, other in zip(run(remembering(), clip), run(remembering(), clip, Options(tile_px=tile_px)), strict=True):
        assert np.abs(one[0].astype(int) - other[0]).max() <= 1 and (one[0] != other[0]).mean() < 0.001


def test_each_view_of_the_ensemble_remembers_for_itself(clip: Clip) -> None:
    """The toy commutes with flips and rotations, so that its ensemble is itself from the first frame to the last."""
    for one, other in zip(run(remembering(), clip), run(remembering(), clip, Options(ensemble=True)), strict=True):
        assert np.abs(one[0].astype(int) - other[0]).max() <= 1


def test_wanted_frames_remember_all_before_them(clip: Clip, tmp_path: Path) -> None:
    """Frames picked out of the clip, in the pipeline or by `predict`, are those of the whole run."""
    every = run(remembering(), clip)
    for wanted in ([2], [1, 5], range(4, 7)):
        chosen = run(remembering(), clip, Options(batch=3), wanted)
        assert all(same(every[index], got) for index, got in zip(wanted, chosen, strict=True))
    Predictor(remembering(), Options()).predict(Job(str(clip.path), str(tmp_path / "out.y4m"), range(5, 6)))
    assert same(y4m.Clip(tmp_path / "out.y4m").frame(0), every[5])


class Halved(Luma):
    """Luma and, at half its size, both chroma planes: the shape of a 4:2:0 network."""

    def needed(self, planes: Sequence) -> tuple:
        return tuple(planes)

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        return planes[0][:, None], torch.stack(list(planes[1:]), dim=1)  # (N, 1, H, W), (N, 2, H / 2, W / 2)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        return [output[0][:, 0], output[1][:, 0], output[1][:, 1]]


class Twice(nn.Module):
    """Luma and chroma enlarged each for itself by repetition after a blur, chroma cut where luma is odd."""

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensors:
        blurred = (F.avg_pool2d(F.pad(part, [1] * 4, mode="replicate"), 3, 1) for part in (luma, chroma))
        luma, chroma = (F.interpolate(part, scale_factor=2, mode="nearest") for part in blurred)
        return luma, chroma[..., : luma.shape[-2] // 2, : luma.shape[-1] // 2]


def test_planes_of_two_sizes_pass_through(clip: Clip) -> None:
    """Two tensors in and out, an odd picture: whole, in tiles (whose borders fall on whole chroma samples), batched."""
    spec = ModelSpec(name="halved", build=lambda scale: Twice(), colours=Halved(), halo_px=lambda scale: 3, source="")
    network = Network(spec, 2, TorchEngine(Twice(), CPU))
    whole = run(network, clip)
    assert [plane.shape for plane in whole[0]] == [(86, 118), (43, 59), (43, 59)]
    luma, chroma = Twice()(*Halved().from_planes(colours.to_tensors([clip.frame(4)], 8, CPU), clip.header.layout))
    assert np.array_equal(whole[4][0], colours.to_codes(luma[0, 0], 8))
    assert np.array_equal(whole[4][2], colours.to_codes(chroma[0, 1], 8))
    assert all(map(same, whole, run(network, clip, Options(tile_px=17, batch=3))))
    assert all(map(same, whole, run(network, clip, Options(tile_px=None, batch=2))))

"""Windows of frames: streaming equals random access, cuts and ends, the pipeline around them, the multi-frame networks."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import fresh_network, textured_frame
from tests.test_motion import texture
from youku import predict
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline, window
from youku.inference.pipeline import Options
from youku.models import MODELS, colours
from youku.models.blocks import Interpolate
from youku.models.colours import RGB, Y
from youku.models.srcnn import SRCNN, VSRnet, from_srcnn
from youku.video import motion, y4m
from youku.video.y4m import Clip, Planes

CPU = torch.device("cpu")
CUT = 3  # first frame of the second shot
SPEC = replace(MODELS["enhancenet-3frame"], aligned=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Seven frames 58x42, a pan, then from frame 3 on a pan over another scene."""
    path = tmp_path_factory.mktemp("window") / "cut.y4m"
    scene = texture(42, 200, smooth_px=3).astype(np.uint8)
    with y4m.create(path, y4m.make_header(58, 42)) as writer:
        for index in range(7):
            shot = scene if index < CUT else 255 - scene[::-1, ::-1]
            luma = shot[:, 3 * index :][:, :58]
            writer.write((luma, luma[::2, ::2], 255 - luma[::2, ::2]))
    return y4m.Clip(path)


def same(one: Planes, other: Planes) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def windows(clip: Clip, width: int, wanted: Sequence[int] | None = None) -> list[list[Planes]]:
    """All windows of a clip, or the wanted ones, compensated."""
    spec = replace(SPEC, num_frames=width, aligned=True)
    return [moment.frames for moment in window.moments(clip, clip.header, spec, wanted)]


def cut_window(clip: Clip, index: int, width: int, *box: int) -> list[Planes]:
    """A box of one window, compensated within it."""
    return window.cut_frames(clip, window.around(clip, index, width), index, *box, aligned=True)  # type: ignore[misc]


@pytest.mark.parametrize("width", [1, 3, 5])
def test_streaming_equals_random_access(clip: Clip, width: int) -> None:
    """On whole frames both ways give the same planes for every frame, cut and ends included."""
    streamed = windows(clip, width)
    assert len(streamed) == clip.num_frames
    for index, frames in enumerate(streamed):
        cut = cut_window(clip, index, width, 0, 0, 42, 58)
        assert all(map(same, frames, cut))
        assert same(frames[width // 2], clip.frame(index))


def test_neighbours_stop_at_cuts_and_ends() -> None:
    """The outermost frame of the shot stands in for what lies beyond it."""
    opens = {CUT}.__contains__
    assert window.neighbours(0, 5, 7, opens) == [0, 0, 0, 1, 2]
    assert window.neighbours(2, 5, 7, opens) == [0, 1, 2, 2, 2]
    assert window.neighbours(3, 5, 7, opens) == [3, 3, 3, 4, 5]
    assert window.neighbours(6, 5, 7, opens) == [4, 5, 6, 6, 6]
    assert window.neighbours(0, 5, 1, opens) == [0] * 5


def test_windows_find_the_cut_themselves(clip: Clip) -> None:
    """Before the cut the last frame repeats, after it the first; elsewhere the neighbours are aligned true ones."""
    before, middle, after = windows(clip, 3, [CUT - 1, CUT, 5])
    assert same(before[2], clip.frame(CUT - 1)) and not same(before[0], clip.frame(CUT - 1))
    assert same(middle[0], clip.frame(CUT))
    layout = clip.header.layout
    assert same(after[0], motion.align(clip.frame(4), clip.frame(5), layout))
    assert same(after[2], motion.align(clip.frame(6), clip.frame(5), layout))


def test_wanted_frames_keep_their_neighbours(clip: Clip) -> None:
    """Asking for some frames gives the very windows of the whole run, also across gaps."""
    every = windows(clip, 5)
    for wanted in ([0, 6], [2, 3], range(0, 7, 3), [5]):
        chosen = windows(clip, 5, wanted)
        assert len(chosen) == len(wanted)
        for index, got in zip(wanted, chosen, strict=True):
            assert all(map(same, got, every[index]))


def test_a_clip_of_one_frame_is_its_own_neighbour() -> None:
    """One frame gives one window, that frame at every place."""
    header = y4m.make_header(32, 24)
    (only,) = window.moments([textured_frame(header, 0)], header, replace(SPEC, num_frames=5))
    assert len(only.frames) == 5 and all(same(frame, textured_frame(header, 0)) for frame in only.frames)


def test_luma_only_leaves_neighbouring_chroma_out(clip: Clip) -> None:
    """The luma of every place is as before; the middle frame keeps all its planes."""
    whole, lean = (
        next(window.moments(clip, clip.header, replace(SPEC, colours=kind, aligned=True), [1])).frames
        for kind in (RGB, Y)
    )
    assert [len(frame) for frame in lean] == [1, 3, 1]
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(whole, lean, strict=True))


def test_only_a_window_is_held(clip: Clip) -> None:
    """The stream is read no further than half a window ahead."""
    num_read = 0

    def counted() -> Iterator[Planes]:
        nonlocal num_read
        for planes in clip:
            num_read += 1
            yield planes

    for index, _ in enumerate(window.moments(counted(), clip.header, SPEC)):
        assert num_read <= index + 2


def test_a_box_of_a_window_knows_the_clip(clip: Clip) -> None:
    """A patch window has the patch's planes and stops at the cut that the whole frames show."""
    patches = cut_window(clip, CUT, 5, 8, 16, 24, 32)
    middle = clip.patch(CUT, 8, 16, 24, 32)
    assert [tuple(plane.shape for plane in patch) for patch in patches] == [((24, 32), (12, 16), (12, 16))] * 5
    assert all(same(patch, middle) for patch in patches[:3]) and not same(patches[3], middle)


def test_what_is_known_of_cuts_dies_with_the_clip(clip: Clip) -> None:
    """Training asks for the same cuts again and again; the answers keep no clip's memory map open."""
    other = y4m.Clip(clip.path)
    cut_window(other, CUT, 5, 0, 0, 42, 58)
    assert window._KNOWN_CUTS[other] == {CUT: True, CUT + 1: False, CUT + 2: False}
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None


def run(net: Network, clip: Clip, options: Options | None = None, **more: object) -> list[Planes]:
    return list(pipeline.upscale_frames(net, clip.header, clip, options or Options(), **more))  # type: ignore[arg-type]


def test_windows_reach_the_network_oldest_first(clip: Clip) -> None:
    """(N, T * C, H, W): frame by frame in time, each in the network's colours."""
    seen = windows(clip, 3)
    (luma,) = colours.windows_to_input(seen, 8, clip.header.layout, Y, CPU)
    assert luma.shape == (7, 3, 42, 58)
    assert torch.equal(luma[5, 2], torch.from_numpy(seen[5][2][0].copy()) / 255)
    assert colours.windows_to_input(seen, 8, clip.header.layout, RGB, CPU)[0].shape == (7, 9, 42, 58)


@pytest.mark.parametrize("name", ["vsrnet", "enhancenet-3frame"])
def test_batches_and_tiles_change_nothing(clip: Clip, name: str) -> None:
    """Batched and tiled, a multi-frame network gives the frames of the plain run (one code value for rounding)."""
    net, frames = fresh_network(name, 2), list(clip)[1:5]
    whole, parts = (
        list(pipeline.upscale_frames(net, clip.header, frames, options))
        for options in (Options(), Options(tile_px=32, batch=3))
    )
    assert len(whole) == len(parts) == 4
    for one, other in zip(whole, parts, strict=True):
        assert one[0].shape == (84, 116)
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, other, strict=True))


def test_the_ensemble_turns_all_frames_alike(clip: Clip) -> None:
    """A network that only averages frames commutes with flips, so that its 8-way ensemble is itself."""
    net = fresh_network("vsrnet", 2)

    class Average(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(x.mean(1, keepdim=True), scale_factor=2)

    averaging = Network(net.spec, 2, TorchEngine(Average(), CPU))
    for one, other in zip(run(averaging, clip), run(averaging, clip, Options(ensemble=True)), strict=True):
        assert np.abs(one[0].astype(int) - other[0]).max() <= 1


@pytest.mark.parametrize("name", ["bicubic", "fsrcnn", "vsrnet"])
def test_wanted_frames_of_a_clip(clip: Clip, name: str) -> None:
    """upscale_frames picks frames out of the whole clip: those of the whole run, for every kind of network."""
    net, wanted = fresh_network(name, 2), [1, 4, 6]
    every, chosen = run(net, clip), run(net, clip, wanted=wanted)
    assert all(same(every[index], got) for index, got in zip(wanted, chosen, strict=True))


def test_predict_gives_true_neighbours(clip: Clip, tmp_path: Path) -> None:
    """`--frames 4` and `--frames 2-3` of a multi-frame network are frames of the whole prediction."""
    net = fresh_network("vsrnet", 2)
    weights.save(tmp_path / "w.safetensors", net.module.state_dict(), "vsrnet", 2, {})
    outputs = {}
    for frames in ("all", "4", "2-3"):
        target = tmp_path / f"{frames}.y4m"
        flags = ["--weights", str(tmp_path / "w.safetensors"), "--frames", frames, "--device", "cpu"]
        assert predict.main([str(clip.path), str(target), *flags]) == 0
        outputs[frames] = list(y4m.Clip(target))
    assert [len(frames) for frames in outputs.values()] == [7, 1, 2]
    assert same(outputs["4"][0], outputs["all"][4])
    assert all(map(same, outputs["2-3"], outputs["all"][2:4]))


def test_a_stream_that_ends_too_early_is_named(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Frame 9 of seven on stdin: one sentence, exit 1, no output file."""
    weights.save(tmp_path / "w.safetensors", fresh_network("vsrnet", 2).module.state_dict(), "vsrnet", 2, {})
    with clip.path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": file}))
        flags = ["--weights", str(tmp_path / "w.safetensors"), "--frames", "5-9", "--device", "cpu"]
        assert predict.main(["-", str(tmp_path / "out.y4m"), *flags]) == 1
    assert "stdin: ended after 7 frames before frame 9, which was asked for" in capsys.readouterr().err
    assert not (tmp_path / "out.y4m").exists()


@pytest.mark.parametrize("symmetric", [False, True])
def test_vsrnet_starts_as_its_srcnn(symmetric: bool) -> None:
    """Made from a single-image SRCNN it gives SRCNN's output on five equal frames."""
    torch.manual_seed(0)
    single, module = SRCNN(2, mapping_px=5).eval(), VSRnet(2, symmetric=symmetric).eval()
    module.load_state_dict(from_srcnn(single.state_dict(), symmetric))
    x = torch.rand(1, 1, 12, 14)
    with torch.inference_mode():
        torch.testing.assert_close(module(x.repeat(1, 5, 1, 1)), single(x), atol=1e-5, rtol=1e-4)


def test_symmetric_vsrnet_does_not_know_the_direction_of_time() -> None:
    """With filter symmetry a reversed window gives the same picture; without it another."""
    torch.manual_seed(0)
    x = torch.rand(1, 5, 12, 14)
    for symmetric in (True, False):
        module = VSRnet(2, symmetric=symmetric)
        with torch.inference_mode():
            assert torch.allclose(module(x), module(x.flip(1)), atol=1e-5) == symmetric


def test_vsrnet_refuses_another_srcnn() -> None:
    """9-1-5 weights are named with both shapes."""
    with pytest.raises(ValueError, match=r"'middle' of shape \(32, 64, 5, 5\), got \(32, 64, 1, 1\)"):
        from_srcnn(SRCNN(2).state_dict())


def test_three_frame_network_adds_the_middle_frame() -> None:
    """With a silent tail the output is bicubic of the middle frame, whatever the neighbours are."""
    torch.manual_seed(0)
    for name in ("enhancenet-3frame", "enhancenet-3frame-shared", "enhancenet-3frame-concat"):
        module = MODELS[name].build(2).eval()
        torch.nn.init.zeros_(module.tail[-1].weight)
        torch.nn.init.zeros_(module.tail[-1].bias)
        x = torch.rand(1, 9, 8, 10)
        expected = Interpolate(2)(x[:, 3:6])
        torch.testing.assert_close(module(x), expected)

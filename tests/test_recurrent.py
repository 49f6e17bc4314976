"""recurrent: memory from frame to frame, the start from pairs, sequences of clips and of a moving camera."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import write_pair
from tests.test_motion import texture
from tests.test_train import settings
from tests.test_training_data import sampler, write_pictures
from youku.cli import Watch
from youku.engines import weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference import pipeline, window
from youku.inference.clip import predict_all
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.models import MODELS, colours
from youku.models.colours import YUV420
from youku.models.pairs import FED_BACK, Pairs, Recurrent, from_relative
from youku.training import run
from youku.training import state as states
from youku.video import camera, resize, y4m
from youku.video.y4m import Clip, Planes

CPU = torch.device("cpu")
CUT = 6


def network(scale: int = 4, std: float = 0.05, name: str = "recurrent-t") -> Network:
    """A network whose details are as large as the picture's own."""
    torch.manual_seed(0)
    module = MODELS[name].build(scale).eval().requires_grad_(False)
    for layer in module.upscale.values():
        torch.nn.init.normal_(layer.weight, 0, std)
    return Network(MODELS[name], scale, TorchEngine(module, CPU))


def write_clip(path: Path, pictures: Sequence[np.ndarray]) -> Clip:
    with y4m.create(path, y4m.make_header(pictures[0].shape[1], pictures[0].shape[0])) as writer:
        for luma in pictures:
            writer.write((luma, luma[::2, ::2], 255 - luma[::2, ::2]))
    return Clip(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Nine frames 46x32 of a pan, from frame 6 on over another scene."""
    scene = texture(32, 120, smooth_px=3).astype(np.uint8)
    shots = [scene if index < CUT else 255 - scene[::-1, ::-1] for index in range(9)]
    lumas = [shot[:, 2 * index :][:, :46] for index, shot in enumerate(shots)]
    return write_clip(tmp_path_factory.mktemp("recurrent") / "cut.y4m", lumas)


def outputs(net: Network, clip: Clip, wanted: Sequence[int] | None = None, **options: int) -> list[Planes]:
    return list(pipeline.upscale_frames(net, clip.header, clip, Options(**options), wanted))


def by_hand(net: Network, clip: Clip, opens: Callable[[int], bool], first: int = 0) -> list[Planes]:
    """A plain loop over the clip's windows that forgets where a shot opens."""
    made, memory = [], ()
    for index in range(first, clip.num_frames):
        frames = [clip.frame(at) for at in window.neighbours(index, 3, clip.num_frames, opens)]
        x = colours.windows_to_input([frames], 8, clip.header.layout, YUV420, CPU)
        y, memory = net.engine.step(x, () if index == first or opens(index) else memory)
        planes = YUV420.to_planes(y, clip.header.layout)
        made.append(tuple(colours.to_codes(plane[0], 8).numpy() for plane in planes))
    return made


def apart(one: Sequence[Planes], other: Sequence[Planes]) -> int:
    pairs = [pair for planes in zip(one, other, strict=True) for pair in zip(*planes, strict=True)]
    return max(int(np.abs(ours.astype(int) - theirs).max()) for ours, theirs in pairs)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_streaming_equals_the_whole_clip(clip: Clip, scale: int) -> None:
    """The pipeline gives a plain loop's bytes, over the cut too, and tiles give them up to a rounding tie; memory matters."""
    net = network(scale)
    expected = by_hand(net, clip, {CUT}.__contains__)
    assert apart(outputs(net, clip), expected) == 0
    assert apart(outputs(net, clip, tile_px=19), expected) <= 1
    assert apart(by_hand(net, clip, lambda index: True), expected) > 5


def test_picked_frames_have_their_warm_up(clip: Clip) -> None:
    """A frame far into a shot is run from so many frames before it, one after a cut from the cut; no others are run."""
    net = network()
    net = replace(net, spec=replace(net.spec, warm_up_frames=2))
    made = outputs(net, clip, [1, 5, 7])
    for first, index, own in zip((0, 3, 5), (1, 5, 7), made, strict=True):
        assert apart([by_hand(net, clip, {CUT}.__contains__, first)[index - first]], [own]) == 0
    moments = list(window.moments(clip, clip.header, replace(MODELS["recurrent-t"], warm_up_frames=2), [1, 5, 8]))
    assert [moment.index for moment in moments] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert [moment.index for moment in moments if moment.is_wanted] == [1, 5, 8]
    assert [moment.index for moment in moments if moment.opens_shot] == [0, 3, CUT]
    assert MODELS["recurrent-s"].warm_up_frames == 10


@pytest.mark.parametrize(("std", "comes_to_rest"), [(0.05, True), (5.0, False)])
def test_a_still_clip_converges(std: float, comes_to_rest: bool) -> None:
    """300 times the same frame: the output comes to rest; even where it would run away, what is fed back is bounded."""
    net, (luma, chroma) = network(std=std), (torch.rand(1, 1, 12, 14), torch.rand(1, 2, 6, 7))
    x, memory, made = (luma.repeat(1, 3, 1, 1), chroma.repeat(1, 3, 1, 1)), (), []
    for _ in range(300):
        y, memory = net.engine.step(x, memory)
        made.append(y[0])
    assert (made[-1] - made[0]).abs().max() > 0.01 and made[-1].abs().max() < 2 * max(1, made[0].abs().max())
    assert memory[1].abs().max() <= FED_BACK and comes_to_rest == bool((made[-1] - made[-2]).abs().max() < 1e-5)


@pytest.mark.parametrize("scale", [3, 4])
def test_it_begins_as_the_pairs_it_starts_from(scale: int, tmp_path: Path) -> None:
    """With the head, blocks and last layers of a `Pairs`, every frame is that network's, whatever surrounds it."""
    torch.manual_seed(0)
    plain, module = Pairs(scale, 8, 2).eval(), Recurrent(scale, 8, 2).eval()
    module.load_state_dict(from_relative(plain.state_dict(), module))
    luma, chroma = torch.rand(1, 3, 9, 12), torch.rand(1, 6, 5, 6)
    memory = torch.rand(1, 8, 9, 12), torch.rand(1, scale**2, 9, 12)
    expected = plain(luma[:, 1:2], chroma[:, 2:4])
    assert all(
        (one - two).abs().max() < 1e-5 for one, two in zip(module(luma, chroma, *memory), expected, strict=False)
    )
    pairs_s = MODELS["pairs-s"].build(scale)
    weights.save(tmp_path / "s.safetensors", pairs_s.state_dict(), "pairs-s", scale, {})
    made = settings(tmp_path, model="recurrent-s", scale=scale, init_from=str(tmp_path / "s.safetensors"), sequence=2)
    taken = states.make_state(made, CPU).transfer
    assert taken is not None and not taken.new and all(key.startswith("body.3.") for key in taken.skipped)


def at_once(net: Network, clip: Clip, numbers: range, opens: Callable[[int], bool]) -> list[Planes]:
    """What a plain call makes of the frames of one shot."""
    windows = [[clip.frame(at) for at in window.neighbours(index, 3, clip.num_frames, opens)] for index in numbers]
    y, _ = net.engine.step(colours.windows_to_input(windows, 8, clip.header.layout, YUV420, CPU), ())
    planes = [colours.to_codes(plane, 8).numpy() for plane in YUV420.to_planes(y, clip.header.layout)]
    return [tuple(plane[at] for plane in planes) for at in range(len(numbers))]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_both_ways_takes_each_shot_at_once(clip: Clip, scale: int) -> None:
    """The pipeline gives a plain call's bytes a shot; what comes later counts, but for what lies beyond the cut."""
    net, opens = network(scale, name="bidirectional-t"), {CUT}.__contains__
    shots = range(CUT), range(CUT, clip.num_frames)
    expected = [planes for shot in shots for planes in at_once(net, clip, shot, opens)]
    assert apart(outputs(net, clip), expected) == 0
    assert apart(outputs(net, clip, tile_px=19, batch=2), expected) == 0  # which it runs without
    assert apart(at_once(net, clip, range(3), opens), expected[:3]) > 0


@pytest.mark.parametrize("length", [1, 2, 5, 8, 9, 11, 30])
@pytest.mark.parametrize("wanted", [None, [0, 7, 8, 24]])
def test_long_shots_come_in_parts(length: int, wanted: list[int] | None) -> None:
    """Each moment is given once, in order, among at least as many others on both sides as parts share, if there are."""
    cuts = (0, length, length + 1)
    told = (window.Moment(at, [], at in cuts, wanted is None or at in wanted) for at in range(length + 1 + 20))
    parts = list(window.parts_of_shots(told, 8, 2))
    given = [moment.index for part in parts for moment in part if moment.is_wanted]
    assert given == [at for at in range(length + 21) if wanted is None or at in wanted]
    for part in parts:
        first, last = part[0].index, part[-1].index
        assert [moment.index for moment in part] == [*range(first, last + 1)] and len(part) <= 8
        ends = [max(at for at in cuts if at <= first), min(at for at in (*cuts[1:], length + 21) if at > first)]
        assert last < ends[1]
        for moment in part:
            if moment.is_wanted:
                assert first == ends[0] or moment.index - first >= 2
                assert last + 1 == ends[1] or last - moment.index >= 2


def test_both_ways_in_parts_and_for_picked_frames(clip: Clip) -> None:
    """A shot too long to be taken at once, and single frames, see the frames around them that the spec asks for."""
    net = network(name="bidirectional-t")
    net = replace(net, spec=replace(net.spec, at_once_px=1, warm_up_frames=1))  # four frames at once
    opens = {CUT}.__contains__
    parts = [at_once(net, clip, numbers, opens) for numbers in (range(4), range(2, 6), range(CUT, 9))]
    expected = [*parts[0][:3], *parts[1][1:], *parts[2]]
    assert apart(outputs(net, clip), expected) == 0
    picked = [at_once(net, clip, range(2), opens)[0], at_once(net, clip, range(3, 6), opens)[1], parts[2][1]]
    assert apart(outputs(net, clip, [0, 4, 7]), picked) == 0


def test_both_ways_goes_on_where_it_was_stopped(clip: Clip, tmp_path: Path) -> None:
    """In the middle of a part, and of another: the file is that of a run in one go."""
    net = network(name="bidirectional-t")
    net = replace(net, spec=replace(net.spec, at_once_px=1, warm_up_frames=1))

    def stopped_at(last: int) -> Watch:
        def watch(frames: Iterable[Planes], *_: object) -> Iterator[Planes]:
            yield from itertools.islice(frames, last)
            raise KeyboardInterrupt

        return watch

    for target, stops in (("whole.y4m", ()), ("parts.y4m", (2, 3))):
        job = Job(source=str(clip.path), target=str(tmp_path / target), frames=None)
        for last in stops:
            with pytest.raises(KeyboardInterrupt):
                predict_all(net, [job], Options(), watch=stopped_at(last))
        predict_all(net, [job], Options())
    assert (tmp_path / "parts.y4m").read_bytes() == (tmp_path / "whole.y4m").read_bytes()


@pytest.mark.parametrize("scale", [3, 4])
def test_both_ways_begins_as_what_it_starts_from(scale: int, tmp_path: Path) -> None:
    """From a recurrent network it begins with its pictures, in every sequence of a batch; of another scale it takes the rest."""
    for factor in (scale, 7 - scale):
        start = tmp_path / f"{factor}.safetensors"
        torch.manual_seed(1)
        weights.save(start, MODELS["recurrent-t"].build(factor).state_dict(), "recurrent-t", factor, {})
        made = settings(tmp_path, model="bidirectional-t", scale=scale, init_from=str(start), sequence=3)
        state = states.make_state(made, CPU)
        new = state.transfer.new if state.transfer else ()
        assert all(key.startswith("upscale.") for key in new) and bool(new) == (factor != scale)
        if new:
            continue
        x = torch.rand(6, 3, 10, 12), torch.rand(6, 6, 5, 6)
        memory: tuple[Tensor, ...] = ()
        before = weights.load(start, None, None, CPU)
        ours = state.forward(x, scale, 3)  # of two sequences
        for at in range(3):
            theirs, memory = before.engine.step(tuple(part[2 * at :][:2] for part in x), memory)
            assert all((one[2 * at :][:2] - two).abs().max() < 1e-5 for one, two in zip(ours, theirs, strict=True))


def frames_of(x: Tensor, num_moments: int) -> list[Tensor]:
    return list(x.chunk(num_moments))


@pytest.mark.parametrize("kind", ["clips", "pictures"])
def test_sequences_are_windows_that_follow_each_other(pairs: Path, tmp_path: Path, kind: str) -> None:
    """Each moment's next frame is the middle of the following one, and the truth shrunk is the input; same step, same batch."""
    folder = pairs if kind == "clips" else write_pictures(tmp_path / "p", 3, 240, 300)
    made = settings(folder, model="recurrent-t", sequence=4, batch=3, noise=0.0)
    one, again = sampler(made).draw(5), sampler(made).draw(5)
    assert all(map(torch.equal, (*one.low, *one.high), (*again.low, *again.high))) and one.num_moments == 4
    assert [part.shape for part in one.low] == [(12, 3, 16, 16), (12, 6, 8, 8)]
    low, high = frames_of(one.low[0], 4), frames_of(one.high[0], 4)
    for now, after in itertools.pairwise(low):
        assert torch.equal(now[:, 2], after[:, 1]) and torch.equal(now[:, 1], after[:, 0])
    if kind == "pictures":
        assert not all(torch.equal(now[:, 0], now[:, 1]) for now in low)  # it moves
        for now, truth in zip(low, high, strict=True):
            small = resize.resize(truth.double(), 16, 16)
            assert (small - now[:, 1:2])[..., 3:-3, 3:-3].abs().mean() * 255 < 0.5
    noisy = sampler(replace(made, noise=9.0)).draw(5)
    assert all(map(torch.equal, noisy.high, one.high)) and not torch.equal(noisy.low[0], one.low[0])
    noisy_low = frames_of(noisy.low[0], 4)
    assert torch.equal(noisy_low[0][:, 2], noisy_low[1][:, 1])  # a frame's noise is its own


@pytest.mark.parametrize(("model", "num_frames"), [("recurrent-t", 1), ("recurrent-t", 3), ("bidirectional-t", 3)])
def test_short_and_cut_up_clips_train(tmp_path: Path, model: str, num_frames: int) -> None:
    """A clip of one frame, and one with a cut before every frame, stand still for a whole sequence."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for clip_id in range(2):
        write_pair(folder, clip_id, 192, 192, 1)
    if num_frames > 1:
        for path in folder.glob("*.y4m"):
            side = Clip(path).header.height
            blocks = np.random.default_rng(0).integers(0, 255, (num_frames, 6, 6), np.uint8)
            shots = list(blocks.repeat(side // 6, 1).repeat(side // 6, 2))
            path.unlink()
            write_clip(path, shots)
    made = settings(folder, model=model, sequence=3, steps=2, val_every=2)
    (batch, low) = (sampler(made).draw(0), frames_of(sampler(made).draw(0).low[0], 3))
    assert all(torch.equal(part, low[0]) for part in low) and torch.equal(low[0][:, 0], low[0][:, 2])
    assert batch.low[0].std() > 0.02 and run.start(made, progress=False).finished


def test_the_camera_stays_inside() -> None:
    """Every view lies in the picture; whole steps are crops; a picture of the view's size stands still, a smaller is refused."""
    picture = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    kinds = set()
    for seed in range(40):
        maps = camera.path(np.random.default_rng(seed), 6, 40, 70, 90, unit_px=2)
        corners = maps @ np.array([[0, 40, 0, 40], [0, 0, 40, 40], [1, 1, 1, 1.0]])
        assert corners.min() >= -1e-9 and corners[:, 0].max() <= 90 + 1e-9 and corners[:, 1].max() <= 70 + 1e-9
        is_crop = bool((maps == np.floor(maps)).all())
        kinds.add(is_crop)
        if is_crop:
            left, top = maps[3, :, 2].astype(int)
            assert np.array_equal(camera.view(picture, maps[3], 40), picture[top : top + 40, left : left + 40])
    assert kinds == {True, False}
    narrow = [camera.path(np.random.default_rng(seed), 6, 70, 70, 200, unit_px=4) for seed in range(9)]
    assert all(np.ptp(maps[:, 1, 2]) == 0 for maps in narrow) and max(np.ptp(maps[:, 0, 2]) for maps in narrow) > 2
    still = camera.path(np.random.default_rng(1), 6, 70, 70, 70)
    assert np.array_equal(still, np.tile([[1, 0, 0], [0, 1, 0.0]], (6, 1, 1)))
    with pytest.raises(ValueError, match="a view of 80 px does not fit into a picture of 90x70"):
        camera.path(np.random.default_rng(1), 6, 80, 70, 90)


def test_views_are_where_the_maps_say() -> None:
    """A turned and zoomed view of a ramp has the values that its map points at, edges too."""
    rows, columns = np.mgrid[0:80, 0:80]
    picture = np.stack([2 * rows + 20, 2 * columns + 20, rows + columns], -1).astype(np.uint8)
    turn = np.array([[0.99, -0.05, 12.3], [0.05, 0.99, 9.6]])
    seen = camera.view(picture, turn, 48).astype(float)
    at = turn @ np.stack([columns[:48, :48] + 0.5, rows[:48, :48] + 0.5, np.ones((48, 48))]).reshape(3, -1) - 0.5
    assert np.abs(seen[..., 0].ravel() - (2 * at[1] + 20)).max() <= 1
    assert np.abs(seen[..., 1].ravel() - (2 * at[0] + 20)).max() <= 1


def test_a_sequence_is_for_networks_with_memory(pairs: Path) -> None:
    """--sequence would do nothing to another network: one sentence."""
    with pytest.raises(ValueError, match="sequence = 5: has no effect on pairs-t, which has no memory; leave it out"):
        settings(pairs, model="pairs-t", sequence=5)

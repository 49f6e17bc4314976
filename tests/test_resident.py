"""Patches out of the device's memory: the very batches that are cut on the CPU, drawn in the same order."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_train import settings
from youku import contest
from youku.models import MODELS
from youku.training import batch as batches
from youku.training import dataset, resident, trainer
from youku.training.batch import Batch
from youku.training.cuts import DEFAULT_RESIZER
from youku.training.dataset import Sampler
from youku.training.distributed import Processes
from youku.training.pairs import ClipPair, Pair, find_pairs
from youku.training.ranks import ONE_PROCESS
from youku.training.resident import Resident
from youku.training.settings import PatchSettings
from youku.video import y4m

CPU = torch.device("cpu")


def write_clips(folder: Path, chroma: str) -> list[Pair]:
    """Two pairs 40x32 x4 of three frames of noise, the middle of one of them flat; a cut lies between any two."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for clip_id in range(2):
        high = y4m.make_header(160, 128, chroma=chroma)
        for name, header in ((contest.high_name(clip_id), high), (contest.low_name(clip_id), high.resized(40, 32))):
            with y4m.create(folder / name, header) as writer:
                for index in range(3):
                    planes = [rng.integers(0, 200 << (header.depth - 8), shape) for shape in header.plane_shapes]
                    if index == 1 and clip_id:
                        planes[0] = planes[0] * 0 + 7
                    writer.write(tuple(plane.astype(header.dtype) for plane in planes))
    return find_pairs([str(folder)], 4)


def write_pictures(folder: Path) -> list[Pair]:
    """Two coloured pictures of odd sizes, one with a flat half."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index, (height, width) in enumerate(((131, 170), (150, 129))):
        picture = rng.integers(0, 255, (height, width, 3), np.uint8)
        picture[:, : width // 2 * index] = 90
        Image.fromarray(picture).save(folder / f"{index}.png")
    return find_pairs([str(folder)], 4)


def both(pairs: list[Pair], model: str, **changes: Any) -> list[Sampler]:
    """A sampler that cuts and one that gathers."""
    spec = MODELS[model]
    patches = PatchSettings(patch_px=16, batch=12, sequence=2, **changes)
    plain = Sampler(pairs=pairs, spec=spec, patches=patches, seed=3, device=CPU)
    room = sum(resident.samples_of(pair, spec, patches) for pair in pairs)
    return [plain, dataclasses.replace(plain, resident=Resident(CPU, room, pairs[0].depth, 16, spec.colours))]


def check_equal(one: Batch, other: Batch) -> None:
    assert one.names == other.names and (one.scale, one.num_moments) == (other.scale, other.num_moments)
    assert len(one.tensors) == len(other.tensors) > 1 and (one.taught is None) == (other.taught is None)
    for mine, theirs in zip(one.tensors, other.tensors, strict=True):
        assert torch.equal(mine, theirs) and mine.stride() == theirs.stride()


def check_same(samplers: list[Sampler]) -> None:
    """Cut step by step, gathered alone, and gathered several steps at once, by one process and by each of two."""
    for ranks in (ONE_PROCESS, Processes(True, 0, 2), Processes(False, 1, 2)):
        cut, gathered = (dataclasses.replace(sampler, ranks=ranks) for sampler in samplers)
        for step, batch in enumerate(gathered.draw_all(range(3))):
            check_equal(cut.draw(step), batch)
        check_equal(gathered.draw(2), batch)


@pytest.mark.parametrize("model", ["fsrcnn", "espcn-rgb", "pairs-t", "recurrent-t"])
@pytest.mark.parametrize("chroma", ["420jpeg", "420p10", "444", "mono"])
def test_clips_are_gathered_as_they_are_cut(tmp_path: Path, model: str, chroma: str) -> None:
    """Bit for bit, with all turns, windows cut at shots, backwards, in 8 and in 10 bit."""
    check_same(both(write_clips(tmp_path / "c", chroma), model, noise=1.0))


def test_damages_are_those_of_each_step(tmp_path: Path) -> None:
    """Noise, clean rectangles and full range are drawn for a step alone, whatever is made beside it; upright patches too."""
    pairs = write_clips(tmp_path / "c", "420jpeg")
    check_same(both(pairs, "pairs-t", noise=3.0, cutblur=0.5, full_range=0.4))
    check_same(both(pairs, "pairs-t", augment=False))


def test_steps_come_in_order_from_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any step on, of two samplers in turn, in groups of 1, 2 and then 3 steps of each: the batches of single draws."""
    made = both(write_clips(tmp_path / "c", "420jpeg"), "fsrcnn")
    samplers = [made[1], dataclasses.replace(made[1], seed=9)]
    monkeypatch.setattr(dataset, "MOST_AT_ONCE", 3)
    assert made[0].at_once == 1 and made[1].at_once == 3
    with closing(dataset.batches(samplers, 5, 2)) as drawn:
        for index in range(5, 5 + 2 * (1 + 2 + 3) + 1):
            check_equal(next(drawn), dataset.in_turn(samplers)(index))


@pytest.mark.parametrize(
    ("model", "batch", "patch_px", "expected"),
    [("fsrcnn", 16, 48, 16), ("fsrcnn", 96, 48, 4), ("edsr-baseline", 16, 48, 9), ("edsr", 64, 96, 1)],
)
def test_how_many_steps_are_drawn_at_once(tmp_path: Path, model: str, batch: int, patch_px: int, expected: int) -> None:
    """As many as fill some 64 MB with truths, at most 16; one where that is more."""
    held = both(write_clips(tmp_path / "c", "420jpeg"), model)[1]
    large: Any = [MagicMock(scale=4, size=(270, 480))]
    patches = PatchSettings(batch=batch, patch_px=patch_px)
    assert dataclasses.replace(held, pairs=large, patches=patches).at_once == expected


@pytest.mark.parametrize("model", ["fsrcnn", "espcn-rgb", "pairs-t"])
def test_pictures_are_gathered_as_they_are_cut(tmp_path: Path, model: str) -> None:
    """Bit for bit, shrunk by two resizers, some patches stretched to full range."""
    pairs = write_pictures(tmp_path / "p")
    check_same(both(pairs, model, resizers=("matlab-bicubic", "box"), full_range=0.3))


def test_what_a_teacher_made_of_clips_is_gathered_too(tmp_path: Path) -> None:
    """The first tensor of its frame; here the frames of another clip stand for it."""
    first, second = write_clips(tmp_path / "c", "420jpeg")
    assert isinstance(first, ClipPair) and isinstance(second, ClipPair)
    pairs: list[Pair] = [dataclasses.replace(first, taught=second.high), dataclasses.replace(second, taught=first.high)]
    samplers = both(pairs, "pairs-t")
    assert samplers[0].draw(0).taught is not None
    check_same(samplers)
    few = both([pairs[0], *[second] * 20], "pairs-t")  # of some steps no patch has a teacher
    assert len({few[0].draw(step).taught is None for step in range(3)}) == 2
    check_same(few)


@pytest.mark.parametrize("model", ["fsrcnn", "espcn-rgb", "pairs-t"])
def test_what_a_teacher_made_of_pictures_is_gathered_too(tmp_path: Path, model: str) -> None:
    """A coloured one, a gray one that is luma, and none: the truth stands in."""
    pairs, made = write_pictures(tmp_path / "p"), []
    pairs.append(dataclasses.replace(pairs[0], zoom=0.9))
    for index, pair in enumerate(pairs[:2]):
        height, width = (4 * side for side in pair.size)
        picture = np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(picture[..., 0] if index else picture).save(tmp_path / f"{index}.png")
        made.append(dataclasses.replace(pair, taught=((DEFAULT_RESIZER, tmp_path / f"{index}.png"),)))
    check_same(both([*made, pairs[2]], model))


def test_flat_places_are_those_of_the_patches() -> None:
    """At every place of a frame whose deviation passes the bound, and on the bound itself, which is not flat."""
    plane = (
        np.add.outer(np.arange(32), np.arange(40) - 12).clip(0)
        / 12
        * np.random.default_rng(0).choice([-1, 1], (32, 40))
    )
    plane = (100 + plane).round().astype(np.uint8)
    plane[:16, :16] = np.tile([98, 102], (16, 8))  # a deviation of exactly 2
    held = Resident(CPU, plane.size, 8, 16, MODELS["fsrcnn"].colours)
    flat = held._flat(held._send((plane,)), plane)
    assert flat.shape == (9, 13) and not flat[0, 0] and {False, True} == set(flat.flatten().tolist())
    for (row, column), found in np.ndenumerate(flat):
        box = plane[2 * row : 2 * row + 16, 2 * column : 2 * column + 16]
        assert found == batches.is_flat([(box,)])


def test_who_is_kept(tmp_path: Path) -> None:
    """Only on a GPU; no pictures that a camera sees, no neighbours that are compensated."""
    clips, pictures = write_clips(tmp_path / "c", "420jpeg"), write_pictures(tmp_path / "p")
    (sampler,) = trainer.make_samplers(settings(tmp_path), clips, CPU)
    assert sampler.resident is None
    for pair, model, is_plain in (
        (clips[0], "recurrent-t", True), (clips[0], "enhancenet-3frame", False), (pictures[0], "fsrcnn", True),
        (pictures[0], "recurrent-t", False),
    ):  # fmt: skip
        assert resident.is_plain(pair, MODELS[model]) == is_plain, (pair, model)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("model", ["fsrcnn", "pairs-t", "espcn-rgb", "recurrent-t"])
@pytest.mark.parametrize("changes", [{}, {"noise": 2.0, "full_range": 0.4}])
def test_a_gpu_gathers_the_batches_of_the_cpu(tmp_path: Path, model: str, changes: dict) -> None:
    """Several at once beside the consumer: luma as it is bit for bit; what is converted within rounding."""
    device = torch.device("cuda")
    for pairs in (write_clips(tmp_path / "c", "420jpeg"), write_pictures(tmp_path / "p")):
        if not all(resident.is_plain(pair, MODELS[model]) for pair in pairs):
            continue
        cut = both(pairs, model, **changes)[0]
        held = Resident.of(pairs, cut.spec, cut.patches, device)
        assert held is not None
        gathering = dataclasses.replace(cut, device=device, resident=held)
        assert gathering.at_once == dataset.MOST_AT_ONCE
        with closing(dataset.batches([gathering], 0, 2)) as drawn:
            for step in range(40):
                expected, batch = cut.draw(step), next(drawn)
                assert expected.names == batch.names
                for one, other in zip(expected.tensors, batch.tensors, strict=True):
                    if model == "fsrcnn" and isinstance(pairs[0], ClipPair) and not changes:
                        assert torch.equal(one, other.cpu())
                    torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-5)

"""Small clips that several test files use."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from youku import contest
from youku.engines.network import Network
from youku.inference import pipeline
from youku.video import interpolate, y4m
from youku.video.y4m import Header, Planes

NUMBERS = itertools.count()  # of the tests of this process


def pytest_configure() -> None:
    """What the suite starts is stopped by signals that `nohup` or a shell's `&` would have it ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def textured_frame(header: Header, index: int) -> Planes:
    """Moving stripes and blobs: smooth enough to enlarge, different in every frame and plane."""
    planes = []
    for number, (height, width) in enumerate(header.plane_shapes):
        y, x = np.mgrid[:height, :width] * (1.0 if number == 0 else 2.0)
        wave = np.sin((x + 3 * index) / 5) + np.cos((y - 2 * index) / 7) + np.sin((x + y) / (11 + number))
        planes.append((128 + 30 * wave).clip(0, 255).astype(np.uint8))
    return tuple(planes)


def moving_frames(header: Header, num_frames: int) -> list[Planes]:
    """A smooth pattern of 8 bit that moves one pixel a frame, so that no two frames are equal."""
    rng = np.random.default_rng(0)
    base = []
    for shape in header.plane_shapes:
        smooth = np.cumsum(np.cumsum(rng.normal(0, 1, shape), 0), 1)
        base.append(((smooth - smooth.min()) / max(np.ptp(smooth), 1e-9) * 200 + 20).astype(np.uint8))
    return [tuple(np.roll(plane, index, 1) for plane in base) for index in range(num_frames)]


def fresh_network(name: str, scale: int = 4) -> Network:
    """A seeded network in torch on the processor, without a file."""
    import torch

    from youku.engines.torch_engine import TorchEngine
    from youku.models import MODELS

    torch.manual_seed(0)
    module = MODELS[name].build(scale).eval().requires_grad_(False)
    return Network(MODELS[name], scale, TorchEngine(module, torch.device("cpu")))


def write_clip(path: Path, header: Header, frames: Iterable[Planes]) -> Path:
    with y4m.create(path, header) as writer:
        for planes in frames:
            writer.write(planes)
    return path


def write_pair(folder: Path, clip_id: int, width: int, height: int, num_frames: int, scale: int = 4) -> None:
    """A contest-named pair: textured ground truth of width * scale, its bicubic reduction."""
    high = y4m.make_header(width * scale, height * scale)
    frames = [textured_frame(high, clip_id + index) for index in range(num_frames)]
    lows = (interpolate.downscale(planes, high, scale) for planes in frames)
    write_clip(folder / contest.high_name(clip_id), high, frames)
    write_clip(folder / contest.low_name(clip_id), high.resized(width, height), lows)


@pytest.fixture(autouse=True)
def _threads_for_small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' frames go through the threads of large ones, but where a test sets it back."""
    monkeypatch.setattr(pipeline, "SMALL_PX", 0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another, or the user, keeps in the cache; pytest would look for a free number each time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache{next(NUMBERS)}"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs 32x24 -> 128x96, five frames each."""
    folder = tmp_path / "clips"
    for clip_id in range(3):
        write_pair(folder, clip_id, 32, 24, 5)
    return folder

"""How fast this machine is at what the kit does: networks, whole predictions, training steps, the disk; and what limits.

Untrained weights: a network's speed does not depend on them. Every figure is work over wall seconds, after a warm-up.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from youku import contest
from youku.engines import choice, weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference.clip import Predictor
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.inference.timing import wait
from youku.models import MODELS
from youku.training import trainer
from youku.training.config import TrainConfig
from youku.training.dataset import batches
from youku.training.pairs import find_pairs
from youku.training.state import make_state
from youku.training.step import stage_at
from youku.video import degradation, standin, y4m

NETWORKS = ("fsrcnn", "srvgg-16", "rlfn", "edsr-baseline")
TRAINED = ("fsrcnn", "edsr-baseline")
SIZES = ((480, 270), (960, 540))
DISK_BYTES = 128 << 20
HEADS = ("what", "measured", "unit", "of the bare work")
Row = tuple[str, float, str, float | None]


def measure(device: torch.device, share_sec: float) -> Iterator[Row]:
    """(what, rate, unit, share of the rate of the bare work) of each thing, as it is found; about `share_sec` for each."""
    with tempfile.TemporaryDirectory(prefix="youku-bench") as name:
        folder = Path(name)
        yield from _disk(folder)
        for model in NETWORKS:
            pace = float("inf")  # a size is left out where one frame of it takes longer than its share
            for width, height in SIZES:
                if pace * share_sec >= 1:
                    pace = _forward(model, device, width, height, share_sec)
                    yield f"{model} x4 on {width}x{height}", pace, "frames/s", None
                    pace /= 4
        yield from _prediction("fsrcnn", device, folder, share_sec)
        for model in TRAINED:
            yield from _training(model, device, folder, share_sec)


def rate(act: Callable[[], object], share_sec: float, device: torch.device) -> float:
    """Calls a second over about `share_sec`; the first call is left out unless it took that long alone."""
    began, num_calls, warm_sec = time.perf_counter(), 0, 0.0
    while time.perf_counter() - began - warm_sec < share_sec or not num_calls:
        act()
        wait(device)
        num_calls += 1
        if num_calls == 1 and not warm_sec and time.perf_counter() - began < share_sec:
            warm_sec, num_calls = time.perf_counter() - began, 0
    return num_calls / (time.perf_counter() - began - warm_sec)


def _network(model: str, device: torch.device) -> Network:
    module: nn.Module = MODELS[model].build(contest.SCALE).eval().requires_grad_(False)
    module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return choice.graphed(Network(MODELS[model], contest.SCALE, TorchEngine(module, device)))


def _forward(model: str, device: torch.device, width: int, height: int, share_sec: float) -> float:
    network = _network(model, device)
    x = (torch.rand(1, network.spec.channels * network.spec.num_frames, height, width, device=device),)
    return rate(lambda: network.engine.step(x, ()), share_sec, device)


def _prediction(model: str, device: torch.device, folder: Path, share_sec: float) -> Iterator[Row]:
    """y4m to y4m, against the same network on a frame that is there already."""
    network = _network(model, device)
    bare = _forward(model, device, *SIZES[0], share_sec)
    scene, path = standin.Scene(0, ("astronaut",), *SIZES[0]), folder / "low.y4m"
    num_frames = max(4, min(200, int(bare * share_sec)))
    with y4m.create(path, scene.header) as writer:
        first = list(standin.scene_frames(scene, 4))
        for index in range(num_frames):
            writer.write(first[index % len(first)])
    bicubic = weights.load(None, "bicubic", contest.SCALE, torch.device("cpu"))
    for chosen in (network, bicubic):
        job, began = Job(str(path), str(folder / "high.y4m"), None), time.perf_counter()
        Predictor(chosen, Options()).predict(job)
        found = num_frames / (time.perf_counter() - began)
        what = f"predict {chosen.spec.name}, y4m to y4m, {SIZES[0][0]}x{SIZES[0][1]} x4"
        yield what, found, "frames/s", found / bare if chosen is network else None


def _training(model: str, device: torch.device, folder: Path, share_sec: float) -> Iterator[Row]:
    """Steps with patches cut from clips, against the same step on one batch that is there already."""
    pairs = folder / "pairs"
    if not pairs.exists():
        pairs.mkdir()
        scene = standin.Scene(0, ("astronaut",), 960, 544)
        low, high = pairs / contest.low_name(0), pairs / contest.high_name(0)
        degradation.make_pair(
            standin.scene_frames(scene, 4), scene.header, low, high, degradation.PRESETS["bicubic"], 0
        )
    config = TrainConfig(model=model, batch=16, patch_px=48, data=(str(pairs),), device=str(device))
    state = make_state(config, device)
    state.module.train()
    stage = stage_at(config, state)
    (sampler,) = trainer.make_samplers(config, find_pairs(config.data, contest.SCALE), device)
    ready, drawn = sampler.draw(0), batches([sampler], 0, config.workers)
    steps = trainer.steps_of(state, config, str)
    try:
        found = rate(lambda: steps.take(stage, [next(drawn)]), share_sec, device)
    finally:
        drawn.close()
    bare = rate(lambda: steps.take(stage, [ready]), share_sec, device)
    yield f"train {model}, batch 16 of 48 px", found, "steps/s", found / bare


def _disk(folder: Path) -> Iterator[Row]:
    """Writing with a sync, and reading again what the system may hold in memory."""
    block, path = np.random.default_rng(0).integers(0, 256, 1 << 24, np.uint8).tobytes(), folder / "disk"
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(DISK_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    yield "write, synced", DISK_BYTES / (time.perf_counter() - began) / 1e6, "MB/s", None
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    yield "read", DISK_BYTES / (time.perf_counter() - began) / 1e6, "MB/s", None
    path.unlink()


def limits(rows: list[Row]) -> list[str]:
    """What the figures mean for this machine, a sentence each."""
    found = {what: (value, share) for what, value, _, share in rows}
    told = []
    for what, (_, share) in found.items():
        if share is not None and share < 0.8:
            told.append(f"{what}: {share:.0%} of the bare network; reading, colours and writing take the rest")
        elif share is not None:
            told.append(f"{what}: limited by the network")
    frame_mb = 1920 * 1080 * 1.5 / 1e6
    predicted = next((value for what, (value, _) in found.items() if what.startswith("predict")), 0.0)
    if (written := found.get("write, synced", (0.0, None))[0]) and predicted * frame_mb > 0.8 * written:
        told.append(f"the disk takes {written / frame_mb:.0f} frames of 1080p a second: predictions wait for it")
    return told

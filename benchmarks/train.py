"""Training steps a second with patches cut from y4m clips, against the same step on one batch already in memory.

python benchmarks/train.py [--device auto]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from machine import bar, describe, interleaved, median_ratio

from youku import contest
from youku.engines import torch_engine
from youku.training import trainer
from youku.training.config import TrainConfig
from youku.training.dataset import batches
from youku.training.pairs import find_pairs
from youku.training.state import make_state
from youku.video import degradation, standin


def write_pairs(folder: Path) -> None:
    """Two 1080p stand-in pairs of 12 frames."""
    for clip_id, photo in enumerate(("astronaut", "stereo_motorcycle")):
        scene = standin.Scene(clip_id, (photo,), 1920, 1080)
        low, high = folder / contest.low_name(clip_id), folder / contest.high_name(clip_id)
        degradation.make_pair(
            standin.scene_frames(scene, 12), scene.header, low, high, degradation.PRESETS["bicubic"], 0
        )


def compare(name: str, folder: Path, device_name: str, steps: int, repeats: int) -> None:
    config = TrainConfig(model=name, batch=16, patch_px=48, data=(str(folder),), device=device_name)
    device = torch_engine.pick_device(device_name)
    state = make_state(config, device)
    state.module.train()
    stage = trainer.stage_at(config, state)
    (sampler,) = trainer.make_samplers(config, find_pairs(config.data, 4), device)
    ready, drawn = sampler.draw(0), batches(sampler.draw, 0, config.workers)

    def streaming() -> None:
        for _ in range(steps):
            trainer.train_step(state, config, stage, [next(drawn)])

    def in_memory() -> None:
        for _ in range(steps):
            trainer.train_step(state, config, stage, [ready])

    ours, theirs = interleaved([streaming, in_memory], repeats)
    drawn.close()  # type: ignore[attr-defined]
    bar(f"{name}: steps/s from y4m / in memory ({steps / min(ours):.2f} steps/s)", median_ratio(ours, theirs), 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder)
        compare("fsrcnn", folder, args.device, steps=40, repeats=9)
        compare("edsr-baseline", folder, args.device, steps=2, repeats=9)


if __name__ == "__main__":
    main()

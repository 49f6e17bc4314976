"""Training steps a second on patches drawn from clips and from pictures, against the same step on one batch in memory.

python benchmarks/train.py                           # on a GPU also step by step, without a graph, and EDSR at full size
python benchmarks/train.py --device cpu --models fsrcnn --steps 2 --repeats 1
`wait` is the share of the time that the network waited for its batch. Chip: a product of matrices of 8192 in that precision.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import bar, describe, median_ratio
from PIL import Image

from youku import contest
from youku.engines import torch_engine
from youku.models import MODELS, cost
from youku.training import captured, precision, trainer
from youku.training.config import TrainConfig
from youku.training.dataset import batches
from youku.training.pairs import find_pairs
from youku.training.state import make_state
from youku.video import color, degradation, standin

SHARE_SEC = 0.2  # of one timing on a GPU
NUM_FRAMES = 4  # of a clip, and pictures: all lie in memory after the first steps
SIDE = 8192


def write_pairs(folder: Path) -> None:
    """Two 1080p stand-in pairs."""
    for clip_id, photo in enumerate(("astronaut", "stereo_motorcycle")):
        scene = standin.Scene(clip_id, (photo,), 1920, 1080)
        low, high = folder / contest.low_name(clip_id), folder / contest.high_name(clip_id)
        degradation.make_pair(
            standin.scene_frames(scene, NUM_FRAMES), scene.header, low, high, degradation.PRESETS["bicubic"], 0
        )


def write_pictures(folder: Path) -> None:
    """Frames of such a clip as pictures."""
    scene = standin.Scene(0, ("astronaut",), 1920, 1080)
    for index, planes in enumerate(standin.scene_frames(scene, NUM_FRAMES)):
        rgb = color.planes_to_rgb(planes, 8, scene.header.layout)
        Image.fromarray(rgb).save(folder / f"{index}.png", compress_level=1)


class Run:
    """A network in training, and the ways to take its steps."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.device = config, torch_engine.pick_device(config.device)
        self.state = make_state(config, self.device)
        trainer.train_mode(self.state.module)
        self.stage = trainer.stage_at(config, self.state)
        (sampler,) = trainer.make_samplers(config, find_pairs(config.data, 4), self.device)
        self.is_resident = sampler.resident is not None
        self.num_ahead = (2 * config.workers + 1) * sampler.at_once if self.device.type == "cuda" else 0
        self.ready, self.drawn = sampler.draw(0), batches([sampler], 0, config.workers)
        self.steps = trainer.steps_of(self.state, config, print)
        self.waited: list[float] = []

    def stream(self, steps: int) -> None:
        """Steps as a run takes them."""
        began, waited_sec = time.perf_counter(), 0.0
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(self.drawn)
            waited_sec += time.perf_counter() - asked
            self.steps.take(self.stage, [batch])
        self.steps.drain()
        self.waited.append(waited_sec / (time.perf_counter() - began))

    def catch_up(self) -> None:
        """Steps on what was made ahead while nobody asked for it."""
        for _ in range(self.num_ahead):
            self.steps.take(self.stage, [next(self.drawn)])
        self.steps.drain()

    def in_memory(self, steps: int) -> None:
        for _ in range(steps):
            self.steps.take(self.stage, [self.ready])
        self.steps.drain()

    def eager(self, steps: int) -> None:
        """Without a graph."""
        for _ in range(steps):
            trainer.train_step(self.state, self.config, self.stage, [self.ready])


def seconds_of(act: Callable[[int], None], steps: int) -> float:
    began = time.perf_counter()
    act(steps)
    return time.perf_counter() - began


def compare(config: TrainConfig, source: str, steps: int, repeats: int) -> None:
    """One line: rate and wait from the data, the ratio to a batch in memory, and the rate without a graph."""
    run = Run(config)
    is_gpu = run.device.type == "cuda"
    run.stream(12 if is_gpu else 1)  # warm, captured
    warm_sec = seconds_of(run.in_memory, 20 if is_gpu else 1)
    steps = steps or (max(10, int(SHARE_SEC * 20 / warm_sec)) if is_gpu else 40 if config.model == "fsrcnn" else 2)
    ours, theirs = [], []
    for _ in range(repeats):
        run.catch_up()
        ours.append(seconds_of(run.stream, steps))
        theirs.append(seconds_of(run.in_memory, steps))
    run.drawn.close()
    waited = statistics.median(run.waited[1:])
    told = f"{config.model} {config.batch} from {source}: {steps / min(ours):.4g} steps/s, wait {waited:.1%}"
    if is_gpu:
        few = max(5, steps // 8)
        run.eager(3)
        told += f", eager {few / seconds_of(run.eager, few):.3g}" + ("" if run.is_resident else ", NOT in GPU memory")
    bar(told, median_ratio(ours, theirs), 0.95)


def full_size(config: TrainConfig, steps: int) -> None:
    """EDSR's 43 million weights: seconds for 1,000 steps and TFLOP/s, 6 for a multiply-add forward and backward."""
    run, px = Run(config), config.patch_px
    macs = config.batch * cost.count(lambda: MODELS[config.model].build(4), (3, px, px)).macs
    run.stream(12 if run.device.type == "cuda" else 1)
    took_sec = seconds_of(run.stream, steps) / steps
    run.drawn.close()
    chip = f", chip {product_tflops(config.dtype):.0f}" if run.device.type == "cuda" else ""
    print(
        f"{config.model} x4, batch {config.batch}, {config.dtype}: {1000 * took_sec:.1f} s for 1,000 steps, "
        f"{6e-12 * macs / took_sec:.0f} TFLOP/s{chip}, wait {run.waited[-1]:.1%}"
    )


def product_tflops(dtype: str) -> float:
    x = torch.rand(SIDE, SIDE, device="cuda", dtype=torch.bfloat16 if dtype == "bf16" else torch.float32)
    for num_calls in (3, 20):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(num_calls):
            x @ x
        torch.cuda.synchronize()
    return 2e-12 * SIDE**3 * num_calls / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="*", default=(), help="default fsrcnn edsr-baseline, on a GPU pairs-m too")
    parser.add_argument("--batches", nargs="*", type=int, default=(), help="default 16, on a GPU 96 too")
    parser.add_argument(
        "--sources", nargs="*", default=(), help="default clips, on a GPU pictures too, for fsrcnn at batch 16"
    )
    parser.add_argument("--dtype", default="float32", help="float32 or bf16, but for EDSR at full size, which has both")
    parser.add_argument("--steps", type=int, default=0, help="of one timing; default by time")
    parser.add_argument("--repeats", type=int, default=0, help="timings of each; default 9, on a GPU 3")
    parser.add_argument("--full-steps", type=int, help="of EDSR at full size; default 0, on a GPU 100")
    parser.add_argument("--untuned", action="store_true", help="let cuDNN take its kernels unmeasured")
    args = parser.parse_args()
    device = torch_engine.pick_device(args.device)
    is_gpu = device.type == "cuda"
    captured.TUNED = not args.untuned
    print(describe())
    with tempfile.TemporaryDirectory() as name, precision.fast_products(device):
        folders = {"clips": Path(name, "clips"), "pictures": Path(name, "pictures")}
        sources = args.sources or ["clips"] + ["pictures"] * is_gpu
        for source, write in (("clips", write_pairs), ("pictures", write_pictures)):
            folders[source].mkdir()
            if source in sources:
                write(folders[source])

        def config(model: str, batch: int, source: str, dtype: str) -> TrainConfig:
            data = (str(folders[source]),)
            return TrainConfig(model=model, batch=batch, patch_px=48, data=data, device=str(device), dtype=dtype)

        models = args.models or (["fsrcnn", "edsr-baseline"] + ["pairs-m"] * is_gpu)
        for model, batch in itertools.product(models, args.batches or [16] + [96] * is_gpu):
            for source in args.sources or sources[: 2 if (model, batch) == ("fsrcnn", 16) else 1]:
                compare(config(model, batch, source, args.dtype), source, args.steps, args.repeats or 9 - 6 * is_gpu)
        full_steps = args.full_steps if args.full_steps is not None else 100 * is_gpu
        for dtype in ("float32", "bf16") if full_steps else ():
            full_size(config("edsr", 16, sources[0], dtype), full_steps)


if __name__ == "__main__":
    main()

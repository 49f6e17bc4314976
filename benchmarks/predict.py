"""predict, y4m to y4m, against the bare network on frames already in memory, and against ffmpeg's own bicubic.

python benchmarks/predict.py [--frames 40] [--repeats 7] [--device auto] [--models fsrcnn] [--dtypes float32] [--folder DIR]

On a GPU --frames 400 --folder /dev/shm --models fsrcnn srvgg-16 rlfn edsr-baseline --dtypes float32 fp16: the figures
then are those of the bus and of memory, and the bare network is the same CUDA graph.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import torch
from machine import bar, describe, interleaved, median_ratio

from youku import threads
from youku.engines import choice, half, torch_engine, weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference.clip import predict_all
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.models import MODELS, colours
from youku.video import ffmpeg, standin, y4m


def write_clip(path: Path, num_frames: int) -> y4m.Clip:
    """480x270, the contest's low-resolution size."""
    scene = standin.Scene(0, ("astronaut",), 480, 270)
    with y4m.create(path, scene.header) as writer:
        for planes in standin.scene_frames(scene, num_frames):
            writer.write(planes)
    return y4m.Clip(path)


def compare_network(name: str, clip: y4m.Clip, folder: Path, device: torch.device, dtype: str, repeats: int) -> None:
    torch.manual_seed(0)
    module = MODELS[name].build(4).to(device).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    network = choice.graphed(Network(MODELS[name], 4, TorchEngine(module, device, half.chosen(dtype, device, print))))
    frames = [
        network.spec.colours.from_planes(colours.to_tensors([planes], 8, device), clip.header.layout) for planes in clip
    ]
    job = Job(str(clip.path), str(folder / "out.y4m"), None)
    told: list[str] = []

    def verb() -> None:
        predict_all(network, [job], Options(), force=True, tell=told.append)

    def bare() -> None:
        with torch.inference_mode():
            for x in frames:
                network.engine.step(x, ())
        if device.type == "cuda":
            torch.cuda.synchronize()

    ours, theirs = interleaved([verb, bare], repeats)
    rates = [clip.num_frames / statistics.median(seconds) for seconds in (ours, theirs)]
    what = f"{name} {dtype}: predict {rates[0]:.1f} / bare forward {rates[1]:.1f} frames/s"
    bar(what, median_ratio(ours, theirs), 0.95)
    print(f"    {told[-1]}")


def compare_bicubic(clip: y4m.Clip, folder: Path, repeats: int) -> None:
    network = weights.load(None, "bicubic", 4, torch.device("cpu"))
    job = Job(str(clip.path), str(folder / "ours.y4m"), None)
    line = [ffmpeg.binary(), "-loglevel", "error", "-y", "-i", str(clip.path), "-vf", "scale=1920:1080:flags=bicubic"]

    def verb() -> None:
        predict_all(network, [job], Options(), force=True)

    def theirs() -> None:
        subprocess.run([*line, str(folder / "theirs.y4m")], check=True)
        with (folder / "theirs.y4m").open("rb+") as file:
            os.fsync(file.fileno())  # as ours is before it gets its name

    ours, others = interleaved([verb, theirs], repeats)
    rates = [clip.num_frames / statistics.median(seconds) for seconds in (ours, others)]
    bar(f"bicubic: predict {rates[0]:.0f} / ffmpeg {rates[1]:.0f} frames/s", median_ratio(ours, others), 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="*", default=["fsrcnn"])
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--folder", help="where the clips lie")
    args = parser.parse_args()
    device = torch_engine.pick_device(args.device)
    threads.keep_freed()  # as in a process of the command line
    print(describe(), torch.cuda.get_device_name(device) if device.type == "cuda" else "")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        clip = write_clip(Path(folder) / "low.y4m", args.frames)
        for name, dtype in itertools.product(args.models, args.dtypes):
            compare_network(name, clip, Path(folder), device, dtype, args.repeats)
        if device.type == "cpu":
            compare_bicubic(clip, Path(folder), args.repeats)


if __name__ == "__main__":
    main()

"""predict, y4m to y4m, against the bare network on frames already in memory, and against ffmpeg's own bicubic.

python benchmarks/predict.py [--frames 40] [--repeats 7] [--device auto]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import torch
from machine import bar, describe, interleaved, median_ratio

from youku.engines import torch_engine, weights
from youku.engines.network import Network
from youku.engines.torch_engine import TorchEngine
from youku.inference.clip import predict_clip
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


def compare_network(name: str, clip: y4m.Clip, folder: Path, device: torch.device, repeats: int) -> None:
    torch.manual_seed(0)
    module = MODELS[name].build(4).to(device).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    network = Network(MODELS[name], 4, TorchEngine(module, device))
    batch = 4 if device.type == "cuda" else 1
    frames = [
        network.spec.colours.from_planes(colours.to_tensors([planes], 8, device), clip.header.layout)[0].contiguous(
            memory_format=torch.channels_last
        )
        for planes in clip
    ]
    batches = [torch.cat(frames[at : at + batch]) for at in range(0, len(frames), batch)]
    job = Job(str(clip.path), str(folder / "out.y4m"), None)

    def verb() -> None:
        predict_clip(network, job, Options(batch=batch))

    def bare() -> None:
        with torch.inference_mode():
            for x in batches:
                module(x)
        if device.type == "cuda":
            torch.cuda.synchronize()

    ours, theirs = interleaved([verb, bare], repeats)
    rate = clip.num_frames / statistics.median(ours)
    bar(f"{name}: predict / bare forward ({rate:.1f} frames/s)", median_ratio(ours, theirs), 0.95)


def compare_bicubic(clip: y4m.Clip, folder: Path, repeats: int) -> None:
    network = weights.load(None, "bicubic", 4, torch.device("cpu"))
    job = Job(str(clip.path), str(folder / "ours.y4m"), None)
    line = [ffmpeg.binary(), "-loglevel", "error", "-y", "-i", str(clip.path), "-vf", "scale=1920:1080:flags=bicubic"]

    def verb() -> None:
        predict_clip(network, job, Options())

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
    args = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "low.y4m", args.frames)
        compare_network("fsrcnn", clip, Path(folder), torch_engine.pick_device(args.device), args.repeats)
        compare_bicubic(clip, Path(folder), args.repeats)


if __name__ == "__main__":
    main()

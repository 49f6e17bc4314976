"""CPU milliseconds of what is done to every 1080p frame, and what a network gains by its layout in memory and by bf16.

One thread; medians of turns. Layout: forward and backward of a batch of 4 patches of 32 px; bf16: forward of 240x135.

python benchmarks/kernels.py [--repeats 9] [--networks fsrcnn edsr-baseline srresnet rlfn]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import describe

from youku.metrics import ssim
from youku.models import MODELS, colours
from youku.video import color, interpolate, resize, y4m

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def median_ms(acts: list[Callable[[], object]], repeats: int) -> list[float]:
    """CPU milliseconds of rivals that take turns."""
    found: list[list[float]] = [[] for _ in acts]
    for index, (act, times) in itertools.product(range(repeats + 1), list(zip(acts, found, strict=True))):
        began = time.thread_time()
        act()
        times.extend([1e3 * (time.thread_time() - began)] * (index > 0))
    return [statistics.median(times) for times in found]


def of_frames(repeats: int) -> None:
    rng, small = np.random.default_rng(0), y4m.make_header(480, 270)
    low = tuple(rng.integers(0, 256, shape).astype(np.uint8) for shape in small.plane_shapes)
    header, rgb = interpolate.scaled_header(small, 4), torch.rand(1, 3, 1080, 1920)
    high = interpolate.upscale(low, small, 4)
    compiled = resize.compiled

    def without(act: Callable[[], object]) -> Callable[[], object]:
        """As where no C compiler was at hand."""

        def run() -> None:
            resize.compiled = None
            act()
            resize.compiled = compiled

        return run

    def enlarge() -> y4m.Planes:
        return interpolate.upscale(low, small, 4)

    def shrink() -> y4m.Planes:
        return interpolate.downscale(high, header, 4)

    acts: dict[str, Callable[[], object]] = {
        "SSIM of luma": lambda: ssim.plane(high[0], high[0][:, ::-1]),
        "bicubic x4 to it": enlarge,
        "the same, kernels not compiled": without(enlarge),
        "bicubic from it, 1/4": shrink,
        "the same from it, kernels not compiled": without(shrink),
        "an RGB network's output to planes": lambda: colours.RGB.to_planes((rgb,), header.layout),
        "planes to a picture": lambda: color.planes_to_rgb(high, 8, header.layout),
    }
    for name, value in zip(acts, median_ms(list(acts.values()), repeats), strict=True):
        print(f"{name:<40}{value:9.1f} ms")


def of_network(name: str, repeats: int) -> None:
    module = MODELS[name].build(4)
    (shape,) = MODELS[name].input_shapes(32, 32)
    (whole,) = MODELS[name].input_shapes(135, 240)
    patches, picture = torch.rand(4, *shape), torch.rand(1, *whole)

    def train(layout: torch.memory_format, is_half: bool) -> None:
        module.to(memory_format=layout)  # type: ignore[call-overload]
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            output = module(patches.contiguous(memory_format=layout))
        output.float().abs().mean().backward()

    def run(is_half: bool) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            module(picture)

    ways = list(itertools.product((False, True), LAYOUTS.values()))
    plain, packed, plain_half, packed_half = median_ms(
        [lambda way=way: train(way[1], way[0]) for way in ways],  # type: ignore[misc]
        repeats,
    )
    picture = picture.contiguous(memory_format=torch.channels_last)
    single, half = median_ms([lambda: run(False), lambda: run(True)], repeats)
    told = f"channels_last / NCHW {packed / plain:.2f}, bf16 {packed_half / plain_half:.2f}"
    print(
        f"{name:<20}training: {told}; bf16 / float32: training {packed_half / packed:.2f}, forward {half / single:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--networks", nargs="*", default=["fsrcnn", "edsr-baseline", "srresnet", "rlfn"])
    args = parser.parse_args()
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    torch.set_num_threads(1)
    of_frames(args.repeats)
    for name in args.networks:
        of_network(name, args.repeats)


if __name__ == "__main__":
    main()

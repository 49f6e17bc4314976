"""Frames of a clip through a network, in order, with bounded memory: read ahead, forward, round, hand on.

Each stage runs in a thread of its own (`ahead`), so that reading, chroma, rounding and writing hide behind the network.
Integer planes in, integer planes out (y4m.Planes); a luma network's chroma comes from `interpolate`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from youku.engines.weights import Network
from youku.inference import border, tiles
from youku.inference.ensemble import ensemble
from youku.inference.window import windows
from youku.video import interpolate
from youku.video.y4m import Header, Planes

Item = TypeVar("Item")
AHEAD = 2  # items waiting between two stages


@dataclass(frozen=True, kw_only=True)
class Options:
    """How frames are run; the defaults change nothing about the network's own output."""

    ensemble: bool = False
    """Average 8 flips and rotations before rounding: slightly better, 8 times slower."""
    sharpen: tuple[float, float] | None = None
    """(sigma in output pixels, amount): unsharp mask on luma. Raises VMAF, lowers PSNR: metric gaming, off by default."""
    tile_px: int | None = None
    """Tile side in input pixels; None picks it from free memory. Networks that are not local always run whole."""
    batch: int = 1
    """Frames through the network at once."""


def upscale_frames(
    network: Network, header: Header, frames: Iterable[Planes], options: Options, wanted: Sequence[int] | None = None
) -> Iterator[Planes]:
    """Yield each frame enlarged, or the `wanted` ones (increasing numbers) of all; `header` is the input clip's.

    A multi-frame network sees each frame among its neighbours in `frames`: give it the clip, not a choice of frames.
    """
    num_threads = torch.get_num_threads()
    if not network.spec.trainable and not options.ensemble and not options.sharpen:
        chosen = windows(frames, header, 1, wanted)
        enlarged = (interpolate.upscale(planes, header, network.scale) for (planes,) in chosen)
        yield from ahead(enlarged, num_threads=num_threads)
        return
    seen = windows(ahead(iter(frames)), header, network.spec.num_frames, wanted, network.spec.colours.needed)
    if network.spec.num_frames > 1:
        seen = ahead(seen)  # motion compensation is a stage of its own
    batches = _batches(seen, options.batch)
    outputs = ahead(_forward_all(network, header, batches, options), num_threads=num_threads)
    yield from ahead(_finish_all(network, header, outputs, options))


def run_network(network: Network, x: Tensor, options: Options, tile_px: int) -> tuple[Tensor, int]:
    """Network input (N, C, H, W) to output (N, C, s H, s W), tiled and ensembled as asked; also the tile that fitted."""

    def forward(tile: Tensor) -> Tensor:
        return network.module(tile.contiguous(memory_format=torch.channels_last))

    cast = torch.autocast(network.device.type, torch.bfloat16) if network.half else contextlib.nullcontext()
    halo_px = network.spec.halo_px(network.scale)
    used_px = tile_px

    def whole(picture: Tensor) -> Tensor:
        nonlocal used_px
        if not network.spec.local:
            return tiles.forward_whole(forward, picture).float()
        out, used_px = tiles.forward_within_memory(forward, picture, network.scale, halo_px, used_px)
        return out.float()

    with torch.inference_mode(), cast:
        return (ensemble(whole, x) if options.ensemble else whole(x)), used_px


def sharpen(luma: Tensor, sigma_px: float, amount: float) -> Tensor:
    """Unsharp mask of (N, H, W): y + amount * (y - gaussian(y)); edges repeat."""
    radius = max(1, int(3 * sigma_px + 0.5))
    offsets = torch.arange(-radius, radius + 1, device=luma.device, dtype=luma.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(luma[:, None], [radius] * 4, mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
    return luma + amount * (luma - blurred)


def ahead(items: Iterable[Item], depth: int = AHEAD, num_threads: int = 1) -> Iterator[Item]:
    """Run an iterator in a thread, at most `depth` items ahead; its error is raised here, leaving early stops it.

    `num_threads` is how many threads torch may use in there: stages beside the network take one, so that they do not
    break into its team of threads.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple) -> bool:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        limit_threads(num_threads)
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:  # handed over whole: the consumer raises it
            put(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()
        if isinstance(items, Generator):
            items.close()


def limit_threads(number: int) -> None:
    """Let torch use `number` threads in the calling thread alone.

    A thread's first call to torch takes over the last number set anywhere, so that call is got over with first; a
    caller that wants to keep its own number makes it (`torch.get_num_threads()`) before others limit theirs.
    """
    torch.get_num_threads()
    torch.set_num_threads(number)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _forward_all(
    network: Network, header: Header, batches: Iterable[list[tuple[Planes, ...]]], options: Options
) -> Iterator[tuple[list[Planes], Tensor]]:
    spec = network.spec
    tile_px = options.tile_px or (_free_tile_px(network, options.batch) if spec.local else 0)
    for batch in batches:
        with torch.inference_mode():
            x = border.windows_to_model(batch, header.depth, header.layout, spec.colours, network.device)
        output, tile_px = run_network(network, x, options, tile_px)
        yield [window[len(window) // 2] for window in batch], output


def _free_tile_px(network: Network, batch: int) -> int:
    spec = network.spec
    return tiles.choose_tile_px(
        network.module, spec.channels * spec.num_frames, network.device, spec.halo_px(network.scale), batch
    )


def _finish_all(
    network: Network, header: Header, outputs: Iterable[tuple[list[Planes], Tensor]], options: Options
) -> Iterator[Planes]:
    for frames, output in outputs:
        with torch.inference_mode():
            planes = network.spec.colours.to_planes(output, header.layout)
            if options.sharpen:
                planes[0] = sharpen(planes[0], *options.sharpen)
            codes = [border.to_codes(plane, header) for plane in planes]
        for index, frame in enumerate(frames):
            own = tuple(plane[index] for plane in codes)
            if len(own) < len(frame):  # what the network does not make is interpolated
                own += interpolate.upscale_chroma(frame, header, network.scale)
            yield own

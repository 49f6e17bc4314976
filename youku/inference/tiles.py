"""Run one step of a network over a picture in tiles with its own halo, so that tiled equals whole; pick the tile.

A tile is cut with `halo_px` more on each side, and the halo of the output is thrown away. At the picture's edges the
tile simply ends, so the network's own padding acts there as it does on the whole picture. What the network remembers
is cut and joined as the picture is, so a network with memory runs in tiles as well. `predict --tile` gives the side;
without it, it is the largest whose activations fit in half of the free memory (`choose_tile_px`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from youku.engines.network import Network
from youku.models.colours import Tensors

Step = Callable[[Tensors, Tensors], tuple[Tensors, Tensors]]
"""(input, memory) -> (output, memory): an engine's step, or one made of several."""
MIN_TILE_PX = 32
PROBE_PX = 16  # side of the picture that memory is measured with
MEMORY_SHARE = 0.5  # of what is free
UNKNOWN_FREE_BYTES = 2 << 30


class Area(NamedTuple):
    """A rectangle in pixels of a picture, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    def grown(self, by_px: int, height: int, width: int) -> Area:
        """`by_px` more on each side, where the picture goes on."""
        top, left = max(0, self.top - by_px), max(0, self.left - by_px)
        return Area(top, left, min(height, self.bottom + by_px), min(width, self.right + by_px))

    def moved(self, down_px: int, right_px: int) -> Area:
        return Area(self.top + down_px, self.left + right_px, self.bottom + down_px, self.right + right_px)

    def of(self, part: Tensor, height: int, width: int) -> Tensor:
        """The rectangle (N, C, h, w) out of a part (N, C, H, W) of a picture of `height` x `width`."""
        rows = slice(*(_scaled(px, height, part.shape[-2]) for px in (self.top, self.bottom)))
        columns = slice(*(_scaled(px, width, part.shape[-1]) for px in (self.left, self.right)))
        return part[..., rows, columns]


def run_tiled(step: Step, x: Tensors, memory: Tensors, halo_px: int, tile_px: int) -> tuple[Tensors, Tensors]:
    """`step` in tiles of at most `tile_px` a side; the first tensor of `x` has the picture's size."""
    height, width = x[0].shape[-2:]
    if tile_px >= max(height, width):
        return step(x, memory)
    grid_px = -(-max(height, width) // min(max(part.shape[-2:]) for part in x))  # whole samples of subsampled planes
    tile_px, halo_px = max(1, tile_px // grid_px) * grid_px, -(-halo_px // grid_px) * grid_px
    joined: list[Tensor] = []
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            tile = Area(top, left, min(top + tile_px, height), min(left + tile_px, width))
            outer = tile.grown(halo_px, height, width)
            y, after = step(*(tuple(outer.of(part, height, width) for part in parts) for parts in (x, memory)))
            parts = (*y, *after)  # (N, C, s h, s w), the halo with them
            if not joined:
                joined = [_empty(part, outer, height, width) for part in parts]
            for whole, part in zip(joined, parts, strict=True):
                tile.of(whole, height, width).copy_(tile.moved(-outer.top, -outer.left).of(part, *outer.size))
    return tuple(joined[: len(x)]), tuple(joined[len(x) :])


def run_within_memory(
    step: Step, x: Tensors, memory: Tensors, halo_px: int, tile_px: int
) -> tuple[Tensors, Tensors, int]:
    """`run_tiled`, halving the tile each time memory runs out; also returns the tile that worked."""
    side_px = max(x[0].shape[-2:])
    while True:
        try:
            return *run_tiled(step, x, memory, halo_px, tile_px), tile_px
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            smaller_px = min(tile_px, side_px) // 2
            if not is_out_of_memory(error):
                raise
            if smaller_px < MIN_TILE_PX:
                raise ValueError(f"tiles of {tile_px} px do not fit in memory; lower --batch, or free memory") from None
            tile_px = smaller_px
        if x[0].device.type == "cuda":
            torch.cuda.empty_cache()


def run_whole(step: Step, x: Tensors, memory: Tensors) -> tuple[Tensors, Tensors]:
    """`step` over whole pictures, for networks that tiles would change; ValueError where memory does not suffice."""
    try:
        return step(x, memory)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    number, _, height, width = x[0].shape
    raise ValueError(
        f"{number} picture(s) of {width}x{height} do not fit in memory at once, and this network looks at "
        "the whole picture, so it cannot run in tiles; lower --batch, free memory, or choose a network that runs in tiles"
    )


def choose_tile_px(network: Network, x: Tensors, beside: int = 1) -> int:
    """The largest tile side (input pixels) whose activations fit in half of the free memory, for a batch like `x`.

    `beside` processes that do the same each take their part of it.
    """
    number, _, height, width = x[0].shape
    corner = Area(0, 0, min(PROBE_PX, height), min(PROBE_PX, width))
    px_bytes = number * network.engine.bytes_per_px(tuple(corner.of(part[:1], height, width) for part in x))
    side = (MEMORY_SHARE * _free_bytes(network.device, beside) / px_bytes) ** 0.5
    return max(MIN_TILE_PX, int(side) - 2 * network.spec.halo_px(network.scale))


def free_gpu_bytes(device: torch.device) -> int:
    """What nobody has, and what torch holds without using it."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def is_out_of_memory(error: BaseException) -> bool:
    texts = ("can't allocate memory", "not enough memory", "out of memory")  # CPU on Linux, on Windows, MPS
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in texts)


def _scaled(px: int, size_px: int, own_px: int) -> int:
    """Pixel `px` of a side of `size_px` in a part whose side is `own_px`: larger by whole or half factors, or subsampled.

    Half ones are those of chroma at x3: 3 / 2, and a sample more where the side is odd.
    """
    if own_px < size_px:
        return -(-px // -(-size_px // own_px))
    return -(-px * (2 * own_px // size_px) // 2)


def _empty(part: Tensor, box: Area, height: int, width: int) -> Tensor:
    """Room (N, C, s H, s W) for what `part` (N, C, s h, s w) is over `box`, over the whole picture."""
    (rows, columns), (own_rows, own_columns) = box.size, part.shape[-2:]
    return part.new_empty(*part.shape[:2], _scaled(height, rows, own_rows), _scaled(width, columns, own_columns))


def _free_bytes(device: torch.device, beside: int) -> int:
    if device.type == "cuda":
        return free_gpu_bytes(device)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return UNKNOWN_FREE_BYTES // beside
    return next((int(line.split()[1]) << 10) // beside for line in lines if line.startswith("MemAvailable"))

"""Run a network over a picture in tiles with its own halo, so that tiled equals whole; pick the tile from free memory.

A tile is cut with `halo_px` more on each side, and the halo of the output is thrown away. At the picture's edges the
tile simply ends, so the network's own padding acts there as it does on the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

MIN_TILE_PX = 32
MEMORY_SHARE = 0.5  # of what is free
UNKNOWN_FREE_BYTES = 2 << 30


def forward_tiled(forward: Callable[[Tensor], Tensor], x: Tensor, scale: int, halo_px: int, tile_px: int) -> Tensor:
    """`forward` over (N, C, H, W) in tiles of at most `tile_px` a side; output (N, C', s H, s W)."""
    height, width = x.shape[-2:]
    if tile_px >= max(height, width):
        return forward(x)
    output: Tensor | None = None
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            bottom, right = min(top + tile_px, height), min(left + tile_px, width)
            above, before = min(halo_px, top), min(halo_px, left)
            below, after = min(halo_px, height - bottom), min(halo_px, width - right)
            tile = forward(x[..., top - above : bottom + below, left - before : right + after])
            if output is None:
                output = tile.new_empty(*tile.shape[:2], height * scale, width * scale)
            output[..., top * scale : bottom * scale, left * scale : right * scale] = tile[
                ...,
                above * scale : (above + bottom - top) * scale,
                before * scale : (before + right - left) * scale,
            ]
    assert output is not None
    return output


def forward_within_memory(
    forward: Callable[[Tensor], Tensor], x: Tensor, scale: int, halo_px: int, tile_px: int
) -> tuple[Tensor, int]:
    """`forward_tiled`, halving the tile each time memory runs out; returns the output and the tile that worked."""
    while True:
        try:
            return forward_tiled(forward, x, scale, halo_px, tile_px), tile_px
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            smaller_px = min(tile_px, max(x.shape[-2:])) // 2
            if not is_out_of_memory(error):
                raise
            if smaller_px < MIN_TILE_PX:
                raise ValueError(f"tiles of {tile_px} px do not fit in memory; lower --batch, or free memory") from None
            tile_px = smaller_px
        if x.device.type == "cuda":
            torch.cuda.empty_cache()


def forward_whole(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`forward` over whole pictures, for networks that tiles would change; ValueError where memory does not suffice."""
    try:
        return forward(x)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    raise ValueError(
        f"{x.shape[0]} picture(s) of {x.shape[-1]}x{x.shape[-2]} do not fit in memory at once, and this network looks at "
        "the whole picture, so it cannot run in tiles; lower --batch, free memory, or choose a network that runs in tiles"
    )


def choose_tile_px(module: nn.Module, channels: int, device: torch.device, halo_px: int, batch: int = 1) -> int:
    """The largest tile side (input pixels) whose activations fit in half of the free memory, for `batch` frames."""
    side = (MEMORY_SHARE * _free_bytes(device) / (batch * bytes_per_px(module, channels, device))) ** 0.5
    return max(MIN_TILE_PX, int(side) - 2 * halo_px)


def bytes_per_px(module: nn.Module, channels: int, device: torch.device) -> float:
    """Peak activation bytes for one input pixel: the largest input + output of any layer, twice for live skips."""
    largest = 0
    side_px = 16

    def watch(_: nn.Module, inputs: tuple, output: object) -> None:
        nonlocal largest
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, Tensor)]
        largest = max(largest, sum(tensor.numel() * 4 for tensor in tensors))

    hooks = [layer.register_forward_hook(watch) for layer in module.modules()]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, channels, side_px, side_px, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return 2 * largest / side_px**2


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux
        return UNKNOWN_FREE_BYTES
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


def is_out_of_memory(error: BaseException) -> bool:
    texts = ("can't allocate memory", "not enough memory", "out of memory")  # CPU on Linux, on Windows, MPS
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in texts)

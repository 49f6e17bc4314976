"""A picture of what a network does while it trains: input, output and target of one held-out patch, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from youku.engines.network import Network
from youku.files import atomic_path
from youku.inference import pipeline
from youku.training.dataset import Sampler
from youku.training.pairs import Pair
from youku.video import resize

PATCH_PX = 64  # side of the patch in input pixels, less where the picture is smaller
GAP_PX = 4


def save_strip(network: Network, pair: Pair, path: Path) -> None:
    """Write low (enlarged by nearest neighbour) | pred | high of the middle of a pair's first frame as a PNG."""
    from PIL import Image

    side_px = min(PATCH_PX, *(side // 2 * 2 for side in pair.size))
    sampler = Sampler(
        pairs=[pair], scale=network.scale, spec=network.spec, patch_px=side_px, batch=1, augment=False, seed=0,
        device=network.device,
    )  # fmt: skip
    height, width = pair.size
    top, left = (height - side_px) // 4 * 2, (width - side_px) // 4 * 2
    batch = sampler.stack([sampler.cut(pair, 0, top, left)])
    (pred,) = pipeline.run_network(network, (batch.low,), pipeline.Options())
    channels = network.spec.channels
    middle = network.spec.num_frames // 2 * channels
    low = batch.low[:, middle : middle + channels].repeat_interleave(network.scale, -1)
    panels = [low.repeat_interleave(network.scale, -2), pred, batch.high]
    gap = torch.ones(channels, side_px * network.scale, GAP_PX)
    strip = torch.cat([part for panel in panels for part in (panel[0].float().cpu(), gap)][:-1], dim=-1)
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(_to_picture(strip)).save(temporary, format="PNG")


def _to_picture(image: Tensor) -> np.ndarray:
    codes = resize.to_integers(image.numpy() * 255.0)  # (C, H, W)
    return codes[0] if len(codes) == 1 else np.ascontiguousarray(codes.transpose(1, 2, 0))

"""How a network does on held-out pairs, on whole frames through the pipeline that predicts: figures, and a picture.

Clips: PSNR over all 4:2:0 samples, mean over frames then clips, and VMAF where wanted. Pictures: PSNR on Y of the
rounded output, cropped by the factor, mean over pictures (the papers' protocol).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from youku import contest
from youku.engines import weights
from youku.engines.network import Network
from youku.files import atomic_path, make_folder
from youku.inference import pipeline
from youku.metrics import psnr
from youku.training import batch
from youku.training.cuts import DEFAULT_RESIZER, Place
from youku.training.pairs import Pair
from youku.training.ranks import ONE_PROCESS, Ranks
from youku.video import resize

STRIP_PX = 64  # side of the patch in a strip in input pixels, less where the picture is smaller
GAP_PX = 4


@dataclass(frozen=True)
class Validation:
    """Means over the validation set; `vmaf` and `score` are nan where VMAF was not measured."""

    psnr: float
    vmaf: float = math.nan

    @property
    def score(self) -> float:
        return contest.score(self.psnr, self.vmaf)

    def __str__(self) -> str:
        text = f"PSNR {self.psnr:.3f} dB"
        return text if math.isnan(self.vmaf) else f"{text}, VMAF {self.vmaf:.2f}, score {self.score:.3f}"


def validate(
    network: Network, pairs: Sequence[Pair], num_frames: int, with_vmaf: bool, resizer: str = DEFAULT_RESIZER,
    ranks: Ranks = ONE_PROCESS,
) -> Validation:  # fmt: skip
    """Score the network on held-out pairs, shared out; `resizer` shrinks pictures that bring no low resolution."""
    own = ranks.share(list(pairs))
    measured = ranks.gather([pair.measure(network, num_frames, with_vmaf, resizer) for pair in own])
    clips = [psnrs for psnrs, _ in measured]
    return Validation(psnr.pool(clips, "clip"), float(np.mean([vmaf for _, vmaf in measured])))


def against_bicubic(psnr_db: float, pairs: Sequence[Pair], num_frames: int) -> str:
    """What a first validation means: how far it lies from enlarging the same frames without a network, and what to do."""
    found = []
    for scale in sorted({pair.scale for pair in pairs}):
        network = weights.load(None, "bicubic", scale, torch.device("cpu"))
        found.append(validate(network, [pair for pair in pairs if pair.scale == scale], num_frames, False).psnr)
    bicubic_db = sum(found) / len(found)
    if psnr_db >= bicubic_db:
        return f"{psnr_db - bicubic_db:.3f} dB above bicubic ({bicubic_db:.3f} dB)"
    return (
        f"{bicubic_db - psnr_db:.3f} dB BELOW bicubic ({bicubic_db:.3f} dB) so far; train on, or begin from trained "
        "weights (--init-from youku/weights/...), and check the pairs if it stays so (degrade --check)"
    )


def save_strip(network: Network, pair: Pair, path: Path) -> None:
    """Write low (enlarged by nearest neighbour) | pred | high of the middle of a pair's first frame as a PNG.

    In the network's colours; of 4:2:0 luma alone.
    """
    from PIL import Image

    height, width = pair.size
    side_px = min(STRIP_PX, *(side // 2 * 2 for side in (height, width)))
    top, left = ((side - side_px) // 4 * 2 for side in (height, width))
    place = Place(
        frame=0, top=top, left=left, side_px=side_px, num_frames=network.spec.num_frames, aligned=network.spec.aligned
    )
    shown = batch.stack([batch.Patch(pair, place, network.spec)], network.device)
    pred = pipeline.run_network(network, shown.low, pipeline.Options())[0]  # (1, T C, h, w) -> (1, C, s h, s w)
    channels = network.spec.channels
    middle = network.spec.num_frames // 2 * channels
    low = shown.low[0][:, middle : middle + channels].repeat_interleave(network.scale, -1)
    panels = [low.repeat_interleave(network.scale, -2), pred, shown.high[0]]
    gap = torch.ones(channels, side_px * network.scale, GAP_PX)
    strip = torch.cat([part for panel in panels for part in (panel[0].float().cpu(), gap)][:-1], dim=-1)
    codes = resize.to_integers(strip.numpy() * 255.0)  # (C, H, W) in [0, 1] -> integers
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        Image.fromarray(codes[0] if channels == 1 else np.moveaxis(codes, 0, -1).copy()).save(temporary, format="PNG")

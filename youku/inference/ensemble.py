"""8-way self-ensemble: run the four rotations and their mirror images, undo each, average the floats.

Source: Timofte et al. 2016, "Seven ways to improve example-based single image super resolution"; "+" in EDSR's tables.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def ensemble(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean of `forward` over the 8 flips and rotations of (N, C, H, W), averaged before any rounding."""
    total = None
    for quarter_turns in range(4):
        for mirrored in (False, True):
            view = torch.flip(x, (-1,)) if mirrored else x
            out = forward(torch.rot90(view, quarter_turns, (-2, -1)))
            out = torch.rot90(out, -quarter_turns, (-2, -1))
            out = torch.flip(out, (-1,)) if mirrored else out
            total = out if total is None else total + out
    assert total is not None
    return total / 8

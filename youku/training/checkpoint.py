"""Checkpoints of a run: last.pt holds everything that a bit-identical continuation needs, best.safetensors the weights.

last.pt is read with weights_only=True, so a foreign file cannot run code.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from youku.files import atomic_path

FORMAT = 2


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a training state whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a training state; ValueError for a missing, damaged or foreign file."""
    if not path.exists():
        raise ValueError(f"{path}: no checkpoint; the run saved none, start it again without --resume")
    try:
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:  # torch does not look at the checksums
                raise RuntimeError(f"checksum of {bad}")
        state = torch.load(path, map_location=device, weights_only=True)
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError,
    ) as error:  # fmt: skip
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: expected a whole checkpoint, got damage or another file ({reason})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path}: is not a checkpoint of format {FORMAT}; start the run again without --resume")
    return state

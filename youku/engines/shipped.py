"""Trained networks that come with the kit: safetensors in youku/weights, one file a scale, described in its README.md."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "weights"
MODEL = "fsrcnn"
SCALES = (2, 3, 4)


def path_of(model: str | None, scale: int | None) -> Path | None:
    """The file for a model (None: whichever is shipped) and scale (None: 4); None where the kit ships no such network."""
    if model not in (None, MODEL) or (scale or 4) not in SCALES:
        return None
    return FOLDER / f"{MODEL}_x{scale or 4}.safetensors"

"""Bicubic and Lanczos: the baselines every network is measured against, in the same pipeline; no parameters.

(N, 1, H, W) -> (N, 1, s H, s W), luma in [0, 1]. Keys' kernel, a = -0.5, or Lanczos' of three lobes; half-pixel centres,
edges repeat as for the planes of a clip (video.interpolate).
"""

from __future__ import annotations

from dataclasses import replace

from youku.models.blocks import Interpolate
from youku.models.colours import Y
from youku.models.spec import ModelSpec

BICUBIC = ModelSpec(
    name="bicubic",
    build=lambda scale: Interpolate(scale, "bicubic", "replicate"),
    colours=Y,
    scales=(2, 3, 4, 8),
    halo_px=lambda scale: 2,
    bf16_safe=False,
    trainable=False,
    source="Keys 1981; MATLAB imresize kernel",
)
LANCZOS = replace(
    BICUBIC,
    name="lanczos",
    build=lambda scale: Interpolate(scale, "lanczos", "replicate"),
    halo_px=lambda scale: 3,
    source="Duchon 1979; three lobes, MATLAB imresize lanczos3",
)

SPECS = (BICUBIC, LANCZOS)

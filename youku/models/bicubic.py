"""Bicubic interpolation as a model: the baseline every network is measured against, in the same pipeline.

Luma (N, 1, H, W) -> (N, 1, s H, s W); Keys' kernel, a = -0.5, half-pixel centres, edges repeat as for the planes of a
clip (video.interpolate). No parameters.
"""

from youku.models.blocks import Interpolate
from youku.models.colours import Y
from youku.models.spec import ModelSpec

SPECS = (
    ModelSpec(
        name="bicubic",
        build=lambda scale: Interpolate(scale, "bicubic", "replicate"),
        colours=Y,
        scales=(2, 3, 4, 8),
        halo_px=lambda scale: 2,
        half_safe=False,
        trainable=False,
        source="Keys 1981; MATLAB imresize kernel",
    ),
)

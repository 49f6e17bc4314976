"""Bicubic interpolation as a model: the baseline every network is measured against, in the same pipeline.

Luma (N, 1, H, W) -> (N, 1, s H, s W); Keys' kernel, a = -0.5, half-pixel centres, edges repeat as for the planes of a
clip (video.interpolate). No parameters.
"""

from youku.models.blocks import Interpolate


class Bicubic(Interpolate):
    """`Interpolate` with the bicubic kernel."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale, "bicubic", "replicate")

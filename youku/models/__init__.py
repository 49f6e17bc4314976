"""The networks: a table written by hand, one file a network, and the contract each one keeps.

Model border: float tensors (N, C, H, W) in [0, 1] (code values / 255), in the colours that the spec names; output
(N, C, scale * H, scale * W) of the same kind, not clipped. `ModelSpec` says everything that the rest of the kit needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from youku.models.bicubic import Bicubic
from youku.models.edsr import EDSR
from youku.models.fsrcnn import FSRCNN
from youku.models.srresnet import SRResNet


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a network eats and needs; `build(scale)` makes it with fresh weights."""

    name: str
    """As typed on the command line."""
    build: Callable[[int], nn.Module]
    colours: str
    """"y" = luma (1 channel; the kit interpolates chroma), "rgb" = BT.601 R'G'B' (3 channels)."""
    scales: tuple[int, ...]
    halo_px: Callable[[int], int]
    """Receptive-field radius in input pixels for a scale: the margin a tile needs to equal the whole frame."""
    half_safe: bool
    """Whether bf16 activations keep the output near float32: under 2/255 of its range on average (tests/test_models.py)."""
    trainable: bool
    source: str

    @property
    def channels(self) -> int:
        return 1 if self.colours == "y" else 3


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="bicubic",
            build=Bicubic,
            colours="y",
            scales=(2, 3, 4),
            halo_px=lambda scale: 2,
            half_safe=False,
            trainable=False,
            source="Keys 1981; MATLAB imresize kernel",
        ),
        ModelSpec(
            name="fsrcnn",
            build=FSRCNN,
            colours="y",
            scales=(2, 3, 4),
            halo_px=lambda scale: 2 + 4 + -(-4 // scale),  # conv5, four conv3, deconv9 at stride `scale`
            half_safe=True,
            trainable=True,
            source="Dong et al. 2016, arXiv:1608.00367",
        ),
        ModelSpec(
            name="srresnet",
            build=SRResNet,
            colours="rgb",
            scales=(2, 4),
            halo_px=lambda scale: (
                4 + 2 * 16 + 1 + 2 + -(-4 // scale)
            ),  # conv9, 16 blocks, mid, upscale, conv9 at full size
            half_safe=True,
            trainable=True,
            source="Ledig et al. 2017, arXiv:1609.04802",
        ),
        ModelSpec(
            name="edsr-baseline",
            build=lambda scale: EDSR(scale, num_channels=64, num_blocks=16, residual_scale=1.0),
            colours="rgb",
            scales=(2, 3, 4),
            halo_px=lambda scale: 1 + 2 * 16 + 1 + 2,
            half_safe=True,
            trainable=True,
            source="Lim et al. 2017, arXiv:1707.02921",
        ),
        ModelSpec(
            name="edsr",
            build=lambda scale: EDSR(scale, num_channels=256, num_blocks=32, residual_scale=0.1),
            colours="rgb",
            scales=(2, 3, 4),
            halo_px=lambda scale: 1 + 2 * 32 + 1 + 2,
            half_safe=True,
            trainable=True,
            source="Lim et al. 2017, arXiv:1707.02921",
        ),
    )
}


def spec_of(name: str, scale: int) -> ModelSpec:
    """The spec of a model that has `scale`; ValueError lists what there is."""
    if name not in MODELS:
        raise ValueError(f"model {name!r}: expected one of {', '.join(MODELS)}")
    spec = MODELS[name]
    if scale not in spec.scales:
        raise ValueError(f"model {name}: has scales {', '.join(map(str, spec.scales))}, not {scale}")
    return spec

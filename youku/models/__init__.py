"""The networks: a table written by hand, one file a network; `models.spec` says what an entry means."""

from __future__ import annotations

from youku.models.bicubic import Bicubic
from youku.models.edsr import EDSR
from youku.models.fsrcnn import FSRCNN
from youku.models.spec import ModelSpec
from youku.models.srresnet import SRResNet

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="bicubic",
            build=Bicubic,
            colours="y",
            halo_px=lambda scale: 2,
            half_safe=False,
            trainable=False,
            source="Keys 1981; MATLAB imresize kernel",
        ),
        ModelSpec(
            name="fsrcnn",
            build=FSRCNN,
            colours="y",
            halo_px=lambda scale: 2 + 4 + -(-4 // scale),  # conv5, four conv3, deconv9 at stride `scale`
            source="Dong et al. 2016, arXiv:1608.00367",
        ),
        ModelSpec(
            name="srresnet",
            build=SRResNet,
            colours="rgb",
            scales=(2, 4),
            halo_px=lambda scale: (
                4 + 2 * 16 + 1 + 2 + -(-4 // scale)
            ),  # conv9, blocks, mid, upscale, conv9 at full size
            source="Ledig et al. 2017, arXiv:1609.04802",
        ),
        ModelSpec(
            name="edsr-baseline",
            build=lambda scale: EDSR(scale, num_channels=64, num_blocks=16, residual_scale=1.0),
            colours="rgb",
            halo_px=lambda scale: 1 + 2 * 16 + 1 + 2,
            source="Lim et al. 2017, arXiv:1707.02921",
        ),
        ModelSpec(
            name="edsr",
            build=lambda scale: EDSR(scale, num_channels=256, num_blocks=32, residual_scale=0.1),
            colours="rgb",
            halo_px=lambda scale: 1 + 2 * 32 + 1 + 2,
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

"""The networks: a table written by hand, one file a network or a family; `models.spec` says what an entry means."""

from __future__ import annotations

from youku.models import disp, edsr, enhancenet, fsrcnn, pairs, rlfn, smfanet, span, srcnn, srresnet, srvgg, waifu2x
from youku.models.spec import ModelSpec

__all__ = ["MODELS", "ModelSpec", "check_scale", "spec_of"]

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        srcnn.BICUBIC,
        *srcnn.SRCNN_SPECS,
        *fsrcnn.FSRCNN_SPECS,
        *fsrcnn.ESPCN_SPECS,
        srcnn.VDSR_20,
        *srresnet.SRRESNET_SPECS,
        srresnet.IMPROVED,
        srresnet.MODIFIED,
        *edsr.SPECS,
        *enhancenet.ENHANCENET_SPECS,
        *srresnet.PERCEPTUAL_SPECS,
        *enhancenet.OLDFILM_SPECS,
        *srcnn.VSRNET_SPECS,
        *enhancenet.THREE_FRAME_SPECS,
        rlfn.RLFN_52,
        *span.SPECS,
        *srvgg.SPECS,
        *waifu2x.SPECS,
        disp.DISP_32,
        *smfanet.SPECS,
        *pairs.SPECS,
    )
}
"""In the order they are listed."""


def spec_of(name: str, scale: int) -> ModelSpec:
    """The spec of a model that has `scale`; ValueError lists what there is."""
    if name not in MODELS:
        raise ValueError(f"model {name!r}: expected one of {', '.join(MODELS)}")
    return check_scale(MODELS[name], scale)


def check_scale(spec: ModelSpec, scale: int) -> ModelSpec:
    """The spec itself; ValueError where it does not have the scale."""
    if scale not in spec.scales:
        raise ValueError(f"model {spec.name}: has scales {', '.join(map(str, spec.scales))}, not {scale}")
    return spec

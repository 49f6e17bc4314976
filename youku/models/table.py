"""The table of networks, in the order they are listed: what each file of a network says of those that it makes."""

from __future__ import annotations

from youku.models import (
    bicubic,
    edsr,
    enhancenet,
    enhancenet3,
    espcn,
    fsrcnn,
    improved,
    oldfilm,
    perceptual,
    rlfn,
    span,
    srcnn,
    srresnet,
    srvgg,
    vdsr,
    vsrnet,
    waifu2x,
)
from youku.models.spec import ModelSpec

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        *bicubic.SPECS,
        *srcnn.SPECS,
        *fsrcnn.SPECS,
        *espcn.SPECS,
        *vdsr.SPECS,
        *srresnet.SPECS,
        *improved.SPECS,
        *edsr.SPECS,
        *enhancenet.SPECS,
        *perceptual.SPECS,
        *oldfilm.SPECS,
        *vsrnet.SPECS,
        *enhancenet3.SPECS,
        *rlfn.SPECS,
        *span.SPECS,
        *srvgg.SPECS,
        *waifu2x.SPECS,
    )
}

"""Light networks at low resolution as their authors name the layers: RLFN, SPAN, SRVGGNetCompact, DISP, SMFANet, pairs.

Sizes -> the form with those sizes (forms.Published); families.py says how a state dict tells them.
"""

from __future__ import annotations

from functools import cache

from youku.engines.forms import Published, shuffle_scale, sized, width
from youku.models import MODELS
from youku.models import disp as disp_model
from youku.models import pairs as pairs_model
from youku.models import rlfn as rlfn_model
from youku.models import smfanet as smfanet_model
from youku.models import span as span_model
from youku.models import srvgg as srvgg_model


@cache
def rlfn(num_channels: int, num_reduced: int, num_blocks: int) -> Published:
    inside = {
        "fuse": "c5",
        "attention.reduce": "esa.conv1",
        "attention.strided": "esa.conv2",
        "attention.pooled": "esa.conv3",
        "attention.expand": "esa.conv4",
        "attention.skip": "esa.conv_f",
        **{f"body.{2 * index}": f"c{index + 1}_r" for index in range(3)},
    }
    sizes = (num_channels, num_reduced, num_blocks)
    spec = rlfn_model.RLFN_52
    return Published(
        source="bytedance/RLFN",
        spec=spec if sizes == (52, 16, 6) else sized(spec, sizes, lambda scale: rlfn_model.RLFN(scale, *sizes)),
        layers={
            "head": "conv_1",
            **{
                f"blocks.{at}.{own}": f"block_{at + 1}.{their}"
                for at in range(num_blocks)
                for own, their in inside.items()
            },
            "mid": "conv_2",
            "upscale.0.layer": "upsampler.0",
        },
        scale=shuffle_scale("upsampler.0.weight", 3),
    )


@cache
def span(num_channels: int, num_blocks: int, branched: bool = False) -> Published:
    """As entered, merged; `branched` as it is trained: each 3x3 but the last in branches, with or without its kernel."""
    inner = {
        f"blocks.{at}.convs.{index}": f"block_{at + 1}.c{index + 1}_r" for at in range(num_blocks) for index in range(3)
    }
    inner |= {"head": "conv_1", "mid": "conv_2"}
    known = MODELS.get(f"span-{num_channels}") if num_blocks == 6 else None
    return Published(
        source=f"hongyuanyu/SPAN ({'training form' if branched else 'merged'})",
        spec=known
        or sized(
            span_model.SPAN_48,
            (num_channels, num_blocks)[: 1 + (num_blocks != 6)],
            lambda scale: span_model.SPAN(scale, num_channels, num_blocks),
            1 + num_blocks * 3 + 1 + 1,
        ),
        layers={
            **(inner if branched else {own: f"{their}.eval_conv" for own, their in inner.items()}),
            "join": "conv_cat",
            "upscale.0.layer": "upsampler.0",
        },
        scale=shuffle_scale("upsampler.0.weight", 3),
        branched={
            their: (3 if own == "head" else num_channels, num_channels) for own, their in inner.items() if branched
        },
    )


@cache
def srvgg(num_convs: int, num_channels: int) -> Published:
    last = f"body.{2 * num_convs + 2}"
    known = MODELS.get(f"srvgg-{num_convs}") if num_channels == 64 else None
    return Published(
        source="xinntao/Real-ESRGAN (SRVGGNetCompact)",
        spec=known
        or sized(
            srvgg_model.SRVGG_16,
            (num_convs, num_channels),
            lambda scale: srvgg_model.SRVGG(scale, num_convs, num_channels),
            num_convs + 2,
        ),
        layers={"last.layer": last},
        scale=shuffle_scale(f"{last}.weight", 3),
    )


@cache
def disp(num_channels: int, num_blocks: int) -> Published:
    convs = ("c1_r", "c2_r", "_extern_conv_block.0", "c3_r")  # in the order they run, not of their keys
    sizes, spec = (num_channels, num_blocks), disp_model.DISP_32
    return Published(
        source="Amazingren/NTIRE2026_ESR (DISP)",
        spec=spec
        if sizes == (32, 4)
        else sized(spec, sizes, lambda scale: disp_model.DISP(scale, *sizes), 2 + disp_model.NUM_CONVS * num_blocks),
        layers={
            "head": "conv_1.eval_conv",
            **{
                f"body.{at}.{2 * index}": f"blocks.{at}.{their}.eval_conv"
                for at in range(num_blocks)
                for index, their in enumerate(convs)
            },
            "mid": "conv_2",
            "upscale.0.layer": "upsampler.0",
        },
        scale=shuffle_scale("upsampler.0.weight", 3),
    )


@cache
def smfanet(num_channels: int, num_blocks: int) -> Published:
    inside = {
        "aggregation.split": "smfa.linear_0",
        "aggregation.pooled": "smfa.dw_conv",
        "aggregation.gate": "smfa.linear_1",
        "aggregation.local.0": "smfa.lde.conv_0.0",
        "aggregation.local.1": "smfa.lde.conv_0.1",
        "aggregation.local.3": "smfa.lde.conv_1",
        "aggregation.join": "smfa.linear_2",
        "aggregation.alpha": "smfa.alpha",
        "aggregation.beta": "smfa.belt",
        "feed_forward.widen": "pcfn.conv_0",
        "feed_forward.partial": "pcfn.conv_1",
        "feed_forward.narrow": "pcfn.conv_2",
    }
    sizes = (num_channels, num_blocks)
    known = dict(zip(((36, 8), (48, 12)), smfanet_model.SPECS, strict=True)).get(sizes)
    return Published(
        source="Zheng-MJ/SMFANet",
        spec=known or sized(smfanet_model.SMFANET, sizes, lambda scale: smfanet_model.SMFANet(scale, *sizes)),
        layers={
            "head": "to_feat",
            **{f"body.{at}.{own}": f"feats.{at}.{their}" for at in range(num_blocks) for own, their in inside.items()},
            "upscale.0.layer": "to_img.0",
        },
        scale=shuffle_scale("to_img.0.weight", 3),
    )


@cache
def pairs(num_channels: int, num_blocks: int) -> Published:
    """The kit's own as they come from a training outside it: the deployed form, PReLU's slopes beside the weights."""
    convs = {"head.0": "head", "mid.0": "last"}
    convs |= {f"body.{at}.{2 * index}": f"body.{at}.{index}" for at in range(num_blocks) for index in (0, 1)}
    slopes = {}
    for own, their in convs.items():
        layer, _, index = own.rpartition(".")
        slopes[f"{layer}.{int(index) + 1}.weight"] = f"{their}.slope"
    return Published(
        source="this kit (deployed form)",
        spec=pairs_model.spec_of(num_channels, num_blocks),
        layers={**convs, **slopes, "upscale.planes": "tail", "upscale.chroma": "tail_chroma"},
        scale=lambda state: {24: 4, 9: 3, 6: 2}.get(width("tail.weight")(state)),
    )

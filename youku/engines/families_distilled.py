"""RFDN, IMDN, SAFMN and CARN-M as their authors name the layers.

Sizes -> the form with those sizes (forms.Published); families.py says how a state dict tells them.
"""

from __future__ import annotations

from functools import cache

import torch

from youku.engines.forms import Published, mean_shifts, shuffle_scale, sized
from youku.models import carn as carn_model
from youku.models import imdn as imdn_model
from youku.models import rfdn as rfdn_model
from youku.models import safmn as safmn_model
from youku.models.edsr import DIV2K_MEAN

AROUND = {"head": "fea_conv", "join.0": "c.0", "mid": "LR_conv", "upscale.0.layer": "upsampler.0"}  # of RFDN, IMDN


@cache
def rfdn(num_channels: int, num_blocks: int) -> Published:
    inside = {
        **{f"keep.{at}": f"c{at + 1}_d" for at in range(3)},
        "keep.3": "c4",
        **{f"refine.{at}": f"c{at + 1}_r" for at in range(3)},
        "fuse": "c5",
        "attention.reduce": "esa.conv1",
        "attention.strided": "esa.conv2",
        "attention.pooled.0": "esa.conv_max",
        "attention.pooled.2": "esa.conv3",
        "attention.pooled.4": "esa.conv3_",
        "attention.skip": "esa.conv_f",
        "attention.expand": "esa.conv4",
    }
    sizes, spec = (num_channels, num_blocks), rfdn_model.RFDN_50
    return Published(
        source="njulj/RFDN",
        spec=spec if sizes == (50, 4) else sized(spec, sizes, lambda scale: rfdn_model.RFDN(scale, *sizes)),
        layers=AROUND | _in_blocks("body.{}", "B{}", 1, num_blocks, inside),
        scale=shuffle_scale("upsampler.0.weight", 3),
    )


@cache
def imdn(num_channels: int, num_blocks: int) -> Published:
    inside = {
        **{f"convs.{at}": f"c{at + 1}" for at in range(4)},
        "fuse": "c5",
        "attention.reduce": "cca.conv_du.0",
        "attention.expand": "cca.conv_du.2",
    }
    sizes, spec = (num_channels, num_blocks), imdn_model.IMDN_64
    return Published(
        source="Zheng222/IMDN",
        spec=spec if sizes == (64, 6) else sized(spec, sizes, lambda scale: imdn_model.IMDN(scale, *sizes)),
        layers=AROUND | _in_blocks("body.{}", "IMDB{}", 1, num_blocks, inside),
        scale=shuffle_scale("upsampler.0.weight", 3),
    )


@cache
def safmn(num_channels: int, num_blocks: int) -> Published:
    inside = {
        **{f"norms.{at}": f"norm{at + 1}" for at in range(2)},
        **{f"modulation.levels.{at}": f"safm.mfr.{at}" for at in range(4)},
        "modulation.join": "safm.aggr",
        "mix.0": "ccm.ccm.0",
        "mix.2": "ccm.ccm.2",
    }
    sizes, spec = (num_channels, num_blocks), safmn_model.SAFMN_36
    return Published(
        source="sunny2109/SAFMN",
        spec=spec if sizes == (36, 8) else sized(spec, sizes, lambda scale: safmn_model.SAFMN(scale, *sizes)),
        layers={"head": "to_feat", "upscale.0.layer": "to_img.0"}
        | _in_blocks("body.{}", "feats.{}", 0, num_blocks, inside),
        scale=shuffle_scale("to_img.0.weight", 3),
    )


@cache
def carn_m(num_channels: int, groups: int) -> Published:
    joins = {f"joins.{at}": f"c{at + 1}.body.0" for at in range(carn_model.NUM_STAGES)}
    inside = {**{f"residual.0.{at}": f"b1.body.{at}" for at in (0, 2, 4)}, **joins}
    tails = {f"upscale.{scale}.{at}": f"upsample.up{scale}.body.{at}" for scale in carn_model.SCALES for at in (0, 3)}
    sizes, spec = (num_channels, groups), carn_model.CARN_M
    return Published(
        source="nmhkahn/CARN-pytorch",
        spec=spec if sizes == (64, 4) else sized(spec, sizes, lambda scale: carn_model.CARNM(scale, *sizes)),
        layers={"head": "entry", **joins, **tails, "tail.layer": "exit"}
        | _in_blocks("body.{}", "b{}", 1, carn_model.NUM_STAGES, inside),
        constants=mean_shifts("{}_mean.shifter", torch.tensor(DIV2K_MEAN)),
    )


def _in_blocks(own: str, their: str, first: int, num_blocks: int, inside: dict[str, str]) -> dict[str, str]:
    """The layers of every block; theirs are counted from `first`."""
    return {
        f"{own.format(at)}.{layer}": f"{their.format(at + first)}.{name}"
        for at in range(num_blocks)
        for layer, name in inside.items()
    }

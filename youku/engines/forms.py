"""The published forms of networks, a table written by hand: marks to tell each by, and their keys in this kit's names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from youku.models.edsr import DIV2K_MEAN

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published form of a network of the table."""

    source: str
    model: str
    marks: dict[str, tuple[int | None, ...]]
    """Keys and shapes (None = any size) that together only this form has."""
    layers: dict[str, str]
    """Our layer -> theirs; the last part of a key (weight, bias) is the same, where a whole key does not say otherwise."""
    scale: Callable[[State], int | None] = lambda state: None
    """The factor, from shapes; None where they do not tell."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """Keys of theirs that are no parameters of ours: they must hold these values."""
    branched: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Layers of theirs that come as the branches they were trained in, with their planes in and out: merged on reading."""

    def their_key(self, own: str) -> str:
        """Name in the file of a key of ours."""
        return renamed(own, self.layers)


def renamed(key: str, names: dict[str, str]) -> str:
    """A key by the name of itself or of its layer."""
    layer, _, kind = key.rpartition(".")
    return names.get(key) or f"{names.get(layer, layer)}.{kind}"


def _shuffle_scale(key: str, num_planes: int) -> Callable[[State], int | None]:
    """The factor of a network that ends in `key`, a convolution to num_planes * scale^2 channels."""

    def scale(state: State) -> int | None:
        factor = math.isqrt(state[key].shape[0] // num_planes)
        return factor if factor * factor * num_planes == state[key].shape[0] else None

    return scale


def _two_stage_scale(first: str, second: str) -> Callable[[State], int | None]:
    """The factor of a sub-pixel upsampler: x4 has a second stage, x2 and x3 end after the first."""

    def scale(state: State) -> int | None:
        return 4 if second in state else math.isqrt(state[first].shape[0] // state[first].shape[1])

    return scale


def _rlfn() -> Published:
    inside = {
        "fuse": "c5",
        "attention.reduce": "esa.conv1",
        "attention.strided": "esa.conv2",
        "attention.pooled": "esa.conv3",
        "attention.expand": "esa.conv4",
        "attention.skip": "esa.conv_f",
        **{f"body.{2 * index}": f"c{index + 1}_r" for index in range(3)},
    }
    blocks = {f"blocks.{at}.{own}": f"block_{at + 1}.{their}" for at in range(6) for own, their in inside.items()}
    return Published(
        source="bytedance/RLFN",
        model="rlfn",
        marks={
            "conv_1.weight": (52, 3, 3, 3),
            "block_6.esa.conv_f.weight": (16, 16, 1, 1),
            "upsampler.0.weight": (None,) * 4,
        },
        layers={"head": "conv_1", **blocks, "mid": "conv_2", "upscale.0.layer": "upsampler.0"},
        scale=_shuffle_scale("upsampler.0.weight", 3),
    )


def _span(num_channels: int) -> Published:
    blocks = {
        f"blocks.{at}.convs.{index}": f"block_{at + 1}.c{index + 1}_r.eval_conv"
        for at in range(6)
        for index in range(3)
    }
    ends = {"head": "conv_1.eval_conv", "mid": "conv_2.eval_conv", "join": "conv_cat", "upscale.0.layer": "upsampler.0"}
    return Published(
        source="hongyuanyu/SPAN (merged)",
        model=f"span-{num_channels}",
        marks={
            "conv_1.eval_conv.weight": (num_channels, 3, 3, 3),
            "block_6.c3_r.eval_conv.weight": (num_channels, num_channels, 3, 3),
            "conv_cat.weight": (num_channels, 4 * num_channels, 1, 1),
            "upsampler.0.weight": (None,) * 4,
        },
        layers={**blocks, **ends},
        scale=_shuffle_scale("upsampler.0.weight", 3),
    )


def _span_branched(num_channels: int) -> Published:
    """The same network as it is trained: each 3x3 but the last in branches, with or without its merged kernel."""
    merged = _span(num_channels)
    layers = {own: their.removesuffix(".eval_conv") for own, their in merged.layers.items()}
    return replace(
        merged,
        source="hongyuanyu/SPAN (training form)",
        marks={
            "conv_1.sk.weight": (num_channels, 3, 1, 1),
            "conv_1.conv.0.weight": (6, 3, 1, 1),
            "block_6.c3_r.conv.0.weight": (2 * num_channels, num_channels, 1, 1),
            "conv_cat.weight": (num_channels, 4 * num_channels, 1, 1),
            "upsampler.0.weight": (None,) * 4,
        },
        layers=layers,
        branched={
            their: (3 if own == "head" else num_channels, num_channels)
            for own, their in layers.items()
            if their != merged.layers[own]
        },
    )


def _srvgg(num_convs: int) -> Published:
    last = f"body.{2 * num_convs + 2}"
    return Published(
        source="xinntao/Real-ESRGAN (SRVGGNetCompact)",
        model=f"srvgg-{num_convs}",
        marks={"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), f"{last}.weight": (None, 64, 3, 3)},
        layers={"last.layer": last},
        scale=_shuffle_scale(f"{last}.weight", 3),
    )


def _edsr(model: str, num_channels: int, num_blocks: int) -> Published:
    blocks = {f"body.{at}.{index}": f"body.{at}.body.{index}" for at in range(num_blocks) for index in (0, 2)}
    mean = 255 * torch.tensor(DIV2K_MEAN)
    identity = torch.eye(3)
    return Published(
        source="sanghyun-son/EDSR-PyTorch",
        model=model,
        marks={
            "head.0.weight": (num_channels, 3, 3, 3),
            f"body.{num_blocks}.weight": (num_channels, num_channels, 3, 3),
            "tail.0.0.weight": (None, num_channels, 3, 3),
            "tail.1.weight": (3, num_channels, 3, 3),
        },
        layers={"head": "head.0", **blocks, "upscale.0": "tail.0.0", "upscale.2": "tail.0.2", "tail.layer": "tail.1"},
        scale=_two_stage_scale("tail.0.0.weight", "tail.0.2.weight"),
        constants={
            "sub_mean.weight": identity,
            "sub_mean.bias": -mean,
            "add_mean.weight": identity,
            "add_mean.bias": mean,
        },
    )


def _edsr_basicsr(model: str, num_channels: int, num_blocks: int) -> Published:
    blocks = {f"body.{at}.{2 * index}": f"body.{at}.conv{index + 1}" for at in range(num_blocks) for index in range(2)}
    return Published(
        source="XPixelGroup/BasicSR (EDSR)",
        model=model,
        marks={
            "conv_first.weight": (num_channels, 3, 3, 3),
            f"body.{num_blocks - 1}.conv2.weight": (num_channels, num_channels, 3, 3),
            "conv_after_body.weight": (num_channels, num_channels, 3, 3),
            "upsample.0.weight": (None, num_channels, 3, 3),
        },
        layers={
            "head": "conv_first",
            **blocks,
            f"body.{num_blocks}": "conv_after_body",
            "upscale.0": "upsample.0",
            "upscale.2": "upsample.2",
            "tail.layer": "conv_last",
        },
        scale=_two_stage_scale("upsample.0.weight", "upsample.2.weight"),
    )


def _pairs(letter: str, num_channels: int, num_blocks: int) -> Published:
    """The kit's own networks as they come from a training outside it: the deployed form, PReLU's slopes beside weights."""
    convs = {"head.0": "head", "mid.0": "last"}
    ends = {"upscale.planes": "tail", "upscale.chroma": "tail_chroma"}
    convs |= {f"body.{at}.{2 * index}": f"body.{at}.{index}" for at in range(num_blocks) for index in (0, 1)}

    def slope(own: str) -> str:
        layer, _, index = own.rpartition(".")
        return f"{layer}.{int(index) + 1}.weight"

    return Published(
        source="this kit (deployed form)",
        model=f"pairs-{letter}",
        marks={
            "head.weight": (num_channels, 3, 3, 3),
            "last.slope": (num_channels,),
            f"body.{num_blocks - 1}.1.slope": (num_channels,),
            "tail.weight": (None, num_channels, 3, 3),
        },
        layers={**convs, **{slope(own): f"{their}.slope" for own, their in convs.items()}, **ends},
        scale=lambda state: {24: 4, 9: 3, 6: 2}.get(state["tail.weight"].shape[0]),
    )


PUBLISHED: tuple[Published, ...] = (
    _rlfn(),
    _span_branched(28),  # before the merged form, whose marks it may carry too
    _span_branched(48),
    _span(28),
    _span(48),
    _srvgg(32),  # before the shorter chain, whose marks it carries too
    _srvgg(16),
    _edsr("edsr-baseline", 64, 16),
    _edsr("edsr", 256, 32),
    _edsr_basicsr("edsr-baseline", 64, 16),
    _edsr_basicsr("edsr", 256, 32),
    _pairs("l", 64, 8),  # longer chains carry the marks of shorter ones, but not their widths
    _pairs("m", 48, 8),
    _pairs("s", 32, 4),
    _pairs("t", 24, 3),
    Published(
        source="yjn870/FSRCNN-pytorch",
        model="fsrcnn",
        marks={
            "first_part.0.weight": (56, 1, 5, 5),
            "mid_part.0.weight": (12, 56, 1, 1),
            "last_part.weight": (56, 1, 9, 9),
        },
        layers={
            "first.0": "first_part.0",
            "first.1": "first_part.1",
            **{f"middle.{index}": f"mid_part.{index}" for index in range(12)},
            "last": "last_part",
        },
    ),
    Published(
        source="yjn870/ESPCN-pytorch",
        model="espcn",
        marks={
            "first_part.0.weight": (64, 1, 5, 5),
            "first_part.2.weight": (32, 64, 3, 3),
            "last_part.0.weight": (None, 32, 3, 3),
        },
        layers={"head.0": "first_part.0", "body.0": "first_part.2", "upscale.0.layer": "last_part.0"},
        scale=_shuffle_scale("last_part.0.weight", 1),
    ),
    Published(
        source="yjn870/SRCNN-pytorch",
        model="srcnn-955",
        marks={"conv1.weight": (64, 1, 9, 9), "conv2.weight": (32, 64, 5, 5), "conv3.weight": (1, 32, 5, 5)},
        layers={"first.0": "conv1", "middle.0": "conv2", "last.layer": "conv3"},
    ),
    Published(
        source="huangzehao/caffe-vdsr (VDSR_Official)",
        model="vdsr",
        marks={"0.weight": (64, 1, 3, 3), "18.weight": (64, 64, 3, 3), "19.weight": (1, 64, 3, 3)},
        layers={"head.0": "0", **{f"body.{2 * index}": str(index + 1) for index in range(18)}, "tail": "19"},
    ),
)

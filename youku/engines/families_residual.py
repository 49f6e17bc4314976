"""EDSR, SRResNet and their modified form as their authors and common ports name the layers.

Sizes -> the form with those sizes (forms.Published); families.py says how a state dict tells them. What shapes do not
tell is EDSR's residual scaling: 0.1 from 256 channels on, as in the paper, else 1.
"""

from __future__ import annotations

from functools import cache

import torch

from youku.engines.forms import Published, mean_shifts, number, sized, two_stage_scale
from youku.models import edsr as edsr_model
from youku.models import srresnet_ports as srresnet_model
from youku.models.spec import ModelSpec

PAPER_CHANNELS = 256  # of EDSR


def _edsr_spec(num_channels: int, num_blocks: int) -> ModelSpec:
    known = {(64, 16): edsr_model.SPECS[0], (PAPER_CHANNELS, 32): edsr_model.SPECS[1]}.get((num_channels, num_blocks))
    share = 0.1 if num_channels >= PAPER_CHANNELS else 1.0
    return known or sized(
        edsr_model.SPECS[1],
        (num_channels, num_blocks),
        lambda scale: edsr_model.EDSR(scale, num_channels, num_blocks, share),
        1 + 2 * num_blocks + 1 + 2,
    )


@cache
def edsr(num_channels: int, num_blocks: int) -> Published:
    blocks = {f"body.{at}.{index}": f"body.{at}.body.{index}" for at in range(num_blocks) for index in (0, 2)}
    return Published(
        source="sanghyun-son/EDSR-PyTorch",
        spec=_edsr_spec(num_channels, num_blocks),
        layers={"head": "head.0", **blocks, "upscale.0": "tail.0.0", "upscale.2": "tail.0.2", "tail.layer": "tail.1"},
        scale=two_stage_scale("tail.0.0.weight", "tail.0.2.weight"),
        constants=mean_shifts("{}_mean", 255 * torch.tensor(edsr_model.DIV2K_MEAN)),
    )


@cache
def edsr_basicsr(num_channels: int, num_blocks: int) -> Published:
    blocks = {f"body.{at}.{2 * index}": f"body.{at}.conv{index + 1}" for at in range(num_blocks) for index in range(2)}
    return Published(
        source="XPixelGroup/BasicSR (EDSR)",
        spec=_edsr_spec(num_channels, num_blocks),
        layers={
            "head": "conv_first",
            **blocks,
            f"body.{num_blocks}": "conv_after_body",
            "upscale.0": "upsample.0",
            "upscale.2": "upsample.2",
            "tail.layer": "conv_last",
        },
        scale=two_stage_scale("upsample.0.weight", "upsample.2.weight"),
    )


@cache
def msrresnet(num_channels: int, num_blocks: int) -> Published:
    blocks = {f"body.{at}.{2 * index}": f"body.{at}.conv{index + 1}" for at in range(num_blocks) for index in range(2)}
    spec, sizes = srresnet_model.MODIFIED, (num_channels, num_blocks)
    return Published(
        source="XPixelGroup/BasicSR (MSRResNet)",
        spec=spec
        if sizes == (64, 16)
        else sized(spec, sizes, lambda scale: srresnet_model.MSRResNet(scale, *sizes), 1 + 2 * num_blocks + 3),
        layers={
            "head": "conv_first",
            **blocks,
            "upscale.0": "upconv1",
            "upscale.3": "upconv2",
            "refine": "conv_hr",
            "tail.layer": "conv_last",
        },
        scale=two_stage_scale("upconv1.weight", "upconv2.weight"),
    )


@cache
def srresnet_paper(num_blocks: int, generation: int) -> Published:
    """Ledig's network of Lornatang's port: 16 blocks without biases, output in [0, 1] as it is; two generations of names."""
    names = ("conv_block1", "conv_block2", "conv_block3") if generation == 1 else ("conv1", "conv2", "conv3")
    blocks = {f"body.{at}.{index}": f"trunk.{at}.rcb.{index}" for at in range(num_blocks) for index in range(5)}
    stages = {
        f"upscale.{3 * at + index}": f"upsampling.{at}.upsample_block.{index}" for at in (0, 1) for index in (0, 2)
    }
    return Published(
        source="Lornatang/SRGAN-PyTorch",
        spec=srresnet_model.ported("srresnet-unsigned", num_blocks),
        layers={
            **{f"head.{index}": f"{names[0]}.{index}" for index in (0, 1)},
            **blocks,
            **{f"body.{num_blocks + index}": f"{names[1]}.{index}" for index in (0, 1)},
            **stages,
            "tail.layer": names[2],
        },
        scale=lambda state: 2 ** number(state, r"upsampling\.(\d+)\."),
    )


@cache
def srgan(num_blocks: int, num_stages: int) -> Published:
    """Of leftthomas' port: 5 blocks with biases, tanh at the end."""
    parts = ("conv1", "bn1", "prelu", "conv2", "bn2")
    blocks = {
        f"body.{at}.{index}": f"block{at + 2}.{part}" for at in range(num_blocks) for index, part in enumerate(parts)
    }
    stages = {f"upscale.{3 * at}": f"block8.{at}.conv" for at in range(num_stages)}
    stages |= {f"upscale.{3 * at + 2}": f"block8.{at}.prelu" for at in range(num_stages)}
    return Published(
        source="leftthomas/SRGAN",
        spec=srresnet_model.ported("srresnet-tanh", num_blocks, (2**num_stages,)),
        layers={
            **{f"head.{index}": f"block1.{index}" for index in (0, 1)},
            **blocks,
            **{f"body.{num_blocks + index}": f"block7.{index}" for index in (0, 1)},
            **stages,
            "tail.layer": f"block8.{num_stages}",
        },
        scale=lambda state: 2**num_stages,
    )


@cache
def srresnet_tutorial(num_blocks: int, num_stages: int) -> Published:
    """Of sgrvinod's tutorial, and its SRGAN generator (behind "net."): input as ImageNet's, tanh at the end."""
    inside = {
        f"body.{at}.{3 * half + index}": f"residual_blocks.{at}.conv_block{half + 1}.conv_block.{index}"
        for at in range(num_blocks)
        for half, indices in enumerate((range(3), range(2)))
        for index in indices
    }
    stages = {f"upscale.{3 * at}": f"subpixel_convolutional_blocks.{at}.conv" for at in range(num_stages)}
    stages |= {f"upscale.{3 * at + 2}": f"subpixel_convolutional_blocks.{at}.prelu" for at in range(num_stages)}
    return Published(
        source="sgrvinod/a-PyTorch-Tutorial-to-Super-Resolution",
        spec=srresnet_model.ported("srresnet-imagenet", num_blocks, (2**num_stages,)),
        layers={
            **{f"head.{index}": f"conv_block1.conv_block.{index}" for index in (0, 1)},
            **inside,
            **{f"body.{num_blocks + index}": f"conv_block2.conv_block.{index}" for index in (0, 1)},
            **stages,
            "tail.layer": "conv_block3.conv_block.0",
        },
        scale=lambda state: 2**num_stages,
    )


@cache
def srresnet_leaky(num_blocks: int) -> Published:
    """Of twtygqyy's port at x4: no biases, leaky ReLUs, pictures in [0, 1] as they are."""
    parts = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2"}
    return Published(
        source="twtygqyy/pytorch-SRResNet",
        spec=srresnet_model.ported("srresnet-leaky", num_blocks, (4,)),
        layers={
            "head.0": "conv_input",
            **{
                f"body.{at}.{index}": f"residual.{at}.{part}"
                for at in range(num_blocks)
                for index, part in parts.items()
            },
            f"body.{num_blocks}": "conv_mid",
            f"body.{num_blocks + 1}": "bn_mid",
            **{f"upscale.{index}": f"upscale4x.{index}" for index in (0, 3)},
            "tail.layer": "conv_output",
        },
        scale=lambda state: 4,
    )

"""EDSR and SRResNet as their authors and common ports name the layers; `families_light` has the others.

What shapes do not tell is EDSR's residual scaling: 0.1 from 256 channels on, as in the paper, else 1.
"""

from __future__ import annotations

import torch

from youku.engines.forms import Family, count, mean_shifts, of_table, width
from youku.models import edsr
from youku.models.edsr import MODIFIED, MSRResNet
from youku.models.srresnet import ported

PAPER_CHANNELS = 256  # of EDSR


def _edsr(scale: int, num_channels: int, num_blocks: int) -> edsr.EDSR:
    return edsr.EDSR(scale, num_channels, num_blocks, 0.1 if num_channels >= PAPER_CHANNELS else 1.0)


def _stages(name: str) -> dict[str, str]:
    """Sub-pixel stages, each a convolution and its PReLU."""
    parts = ("conv", "", "prelu")
    return {f"upscale.{3 * at + part}": f"{name}.{at}.{parts[part]}" for at in range(3) for part in (0, 2)}


EDSR_SIZES = ((64, 16), (PAPER_CHANNELS, 32))
EDSR_SPEC = of_table(
    _edsr, edsr.SPECS[1], dict(zip(EDSR_SIZES, edsr.SPECS[:2], strict=True)), lambda _, blocks: 1 + 2 * blocks + 1 + 2
)

RESIDUAL: tuple[Family, ...] = (
    Family(
        source="sanghyun-son/EDSR-PyTorch",
        marks=("head.0.weight", "body.0.body.0.weight", "tail.0.0.weight", "tail.1.weight"),
        sizes=(width("body.0.body.0.weight"), count(r"body\.(\d+)\.body\.")),
        spec=EDSR_SPEC,
        usual=EDSR_SIZES,
        layers={
            "head": "head.0",
            "body.*.*": "body.*.body.*",
            "upscale.*": "tail.0.*",
            "tail.layer": "tail.1",
        },
        constants=mean_shifts("{}_mean", 255 * torch.tensor(edsr.DIV2K_MEAN)),
    ),
    Family(
        source="XPixelGroup/BasicSR (EDSR)",
        marks=("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "upsample.0.weight"),
        sizes=(width("body.0.conv1.weight"), count(r"body\.(\d+)\.conv1")),
        spec=EDSR_SPEC,
        usual=EDSR_SIZES,
        layers={
            "head": "conv_first",
            "body.*.0": "body.*.conv1",
            "body.*.2": "body.*.conv2",
            "body.*": "conv_after_body",
            "upscale.*": "upsample.*",
            "tail.layer": "conv_last",
        },
    ),
    Family(
        source="XPixelGroup/BasicSR (MSRResNet)",
        marks=("conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"),
        sizes=(width("body.0.conv1.weight"), count(r"body\.(\d+)\.conv1")),
        spec=of_table(MSRResNet, MODIFIED, {(64, 16): MODIFIED}, lambda _, blocks: 1 + 2 * blocks + 3),
        usual=((64, 16),),
        layers={
            "head": "conv_first",
            "body.*.0": "body.*.conv1",
            "body.*.2": "body.*.conv2",
            "upscale.0": "upconv1",
            "upscale.3": "upconv2",
            "refine": "conv_hr",
            "tail.layer": "conv_last",
        },
    ),
    *(
        Family(  # Ledig's network without biases in its blocks, output in [0, 1] as it is; two generations of names
            source="Lornatang/SRGAN-PyTorch",
            marks=(f"{first}.0.weight", "trunk.0.rcb.0.weight", f"{last}.weight"),
            sizes=(count(r"trunk\.(\d+)\."),),
            spec=lambda num_blocks: ported("srresnet-unsigned", num_blocks),
            usual=((16,),),
            layers={
                "head.*": f"{first}.*",
                "body.*.*": "trunk.*.rcb.*",
                "upscale.0": "upsampling.0.upsample_block.0",
                "upscale.2": "upsampling.0.upsample_block.2",
                "upscale.3": "upsampling.1.upsample_block.0",
                "upscale.5": "upsampling.1.upsample_block.2",
                "tail.layer": last,
            },
            ends=lambda num_blocks, mid=mid: {f"body.{num_blocks + at}": f"{mid}.{at}" for at in (0, 1)},
        )
        for first, mid, last in (("conv_block1", "conv_block2", "conv_block3"), ("conv1", "conv2", "conv3"))
    ),
    Family(  # 5 blocks with biases, tanh at the end
        source="leftthomas/SRGAN",
        marks=("block1.0.weight", "block2.conv1.weight", "block7.0.weight", "block8.0.conv.weight"),
        sizes=(count(r"block(\d+)\.conv1"), count(r"block8\.(\d+)\.conv")),
        spec=lambda num_blocks, num_stages: ported("srresnet-tanh", num_blocks, (2**num_stages,)),
        usual=((5, 2), (5, 1)),
        layers={
            "head.*": "block1.*",
            "body.*.0": "block++.conv1",
            "body.*.1": "block++.bn1",
            "body.*.2": "block++.prelu",
            "body.*.3": "block++.conv2",
            "body.*.4": "block++.bn2",
            **_stages("block8"),
        },
        ends=lambda num_blocks, num_stages: {
            f"body.{num_blocks}": "block7.0",
            f"body.{num_blocks + 1}": "block7.1",
            "tail.layer": f"block8.{num_stages}",
        },
    ),
    Family(  # and its SRGAN generator, behind "net.": input as ImageNet's, tanh at the end
        source="sgrvinod/a-PyTorch-Tutorial-to-Super-Resolution",
        marks=("residual_blocks.0.conv_block1.conv_block.0.weight", "subpixel_convolutional_blocks.0.conv.weight"),
        sizes=(count(r"residual_blocks\.(\d+)\."), count(r"subpixel\w+\.(\d+)\.")),
        spec=lambda num_blocks, num_stages: ported("srresnet-imagenet", num_blocks, (2**num_stages,)),
        usual=((16, 2), (16, 1)),
        layers={
            "head.*": "conv_block1.conv_block.*",
            "body.*.0": "residual_blocks.*.conv_block1.conv_block.0",
            "body.*.1": "residual_blocks.*.conv_block1.conv_block.1",
            "body.*.2": "residual_blocks.*.conv_block1.conv_block.2",
            "body.*.3": "residual_blocks.*.conv_block2.conv_block.0",
            "body.*.4": "residual_blocks.*.conv_block2.conv_block.1",
            **_stages("subpixel_convolutional_blocks"),
            "tail.layer": "conv_block3.conv_block.0",
        },
        ends=lambda num_blocks, _: {f"body.{num_blocks + at}": f"conv_block2.conv_block.{at}" for at in (0, 1)},
    ),
    Family(  # x4: no biases, leaky ReLUs, pictures in [0, 1] as they are
        source="twtygqyy/pytorch-SRResNet",
        marks=("conv_input.weight", "residual.0.conv1.weight", "upscale4x.0.weight", "conv_output.weight"),
        sizes=(count(r"residual\.(\d+)\."),),
        spec=lambda num_blocks: ported("srresnet-leaky", num_blocks, (4,)),
        usual=((16,),),
        layers={
            "head.0": "conv_input",
            "body.*.0": "residual.*.conv1",
            "body.*.1": "residual.*.bn1",
            "body.*.3": "residual.*.conv2",
            "body.*.4": "residual.*.bn2",
            "upscale.*": "upscale4x.*",
            "tail.layer": "conv_output",
        },
        ends=lambda num_blocks: {f"body.{num_blocks}": "conv_mid", f"body.{num_blocks + 1}": "bn_mid"},
    ),
)

"""Published networks by the names that their authors give the layers: a table written by hand.

A state dict with a family's marks has the sizes that the family reads off its shapes; so a network of another width or
depth than the table's is built as it is. `PUBLISHED` holds the forms of the table's own networks.
"""

from __future__ import annotations

from functools import cache

from youku.engines import families_distilled as distilled
from youku.engines import families_light as light
from youku.engines import families_residual as residual
from youku.engines.forms import Family, Published, State, number, shuffle_scale, sized, split_width, width
from youku.models import fsrcnn, srcnn


@cache
def _fsrcnn(num_features: int, num_shrunk: int, num_mapping: int) -> Published:
    sizes = (num_features, num_shrunk, num_mapping)
    known = {(56, 12, 4): fsrcnn.FSRCNN_SPECS[0], (32, 5, 1): fsrcnn.FSRCNN_SPECS[1]}.get(sizes)
    variant = sized(fsrcnn.FSRCNN_56, sizes, lambda scale: fsrcnn.FSRCNN(scale, *sizes), 2 + num_mapping + 2)
    return Published(
        source="yjn870/FSRCNN-pytorch",
        spec=known or variant,
        layers={
            "first.0": "first_part.0",
            "first.1": "first_part.1",
            **{f"middle.{index}": f"mid_part.{index}" for index in range(2 * num_mapping + 4)},
            "last": "last_part",
        },
    )


@cache
def _espcn() -> Published:
    return Published(
        source="yjn870/ESPCN-pytorch",
        spec=fsrcnn.ESPCN_Y,
        layers={"head.0": "first_part.0", "body.0": "first_part.2", "upscale.0.layer": "last_part.0"},
        scale=shuffle_scale("last_part.0.weight", 1),
    )


@cache
def _srcnn() -> Published:
    return Published(
        source="yjn870/SRCNN-pytorch",
        spec=srcnn.SRCNN_SPECS[2],
        layers={"first.0": "conv1", "middle.0": "conv2", "last.layer": "conv3"},
    )


@cache
def _vdsr() -> Published:
    return Published(
        source="huangzehao/caffe-vdsr (VDSR_Official)",
        spec=srcnn.VDSR_20,
        layers={"head.0": "0", **{f"body.{2 * index}": str(index + 1) for index in range(18)}, "tail": "19"},
    )


def _last_body(state: State) -> int:
    """Number of SRVGG's middle convolutions: the last, of index 2 n + 2, gives the planes."""
    return (number(state, r"body\.(\d+)\.weight") - 3) // 2


def _groups(state: State, key: str) -> int:
    """Of a convolution to as many channels as it has, 0 where they do not make whole groups."""
    num_out, in_group = width(key)(state), width(key, 1)(state)
    return num_out // in_group if in_group and num_out % in_group == 0 else 0


FAMILIES: tuple[Family, ...] = (
    Family(
        marks=("conv_1.weight", "block_1.esa.conv_f.weight", "block_1.c1_r.weight", "upsampler.0.weight"),
        sizes=lambda state: (
            width("block_1.c1_r.weight")(state),
            width("block_1.esa.conv_f.weight")(state),
            number(state, r"block_(\d+)\."),
        ),
        form=light.rlfn,
        usual=((52, 16, 6),),
    ),
    Family(  # before the merged form, whose marks it may carry too
        marks=("conv_1.sk.weight", "block_1.c1_r.sk.weight", "conv_cat.weight", "upsampler.0.weight"),
        sizes=lambda state: (width("block_1.c1_r.sk.weight")(state), number(state, r"block_(\d+)\."), True),
        form=light.span,
        usual=((28, 6, True), (48, 6, True)),
    ),
    Family(
        marks=("conv_1.eval_conv.weight", "block_1.c1_r.eval_conv.weight", "conv_cat.weight", "upsampler.0.weight"),
        sizes=lambda state: (width("block_1.c1_r.eval_conv.weight")(state), number(state, r"block_(\d+)\.")),
        form=light.span,
        usual=((28, 6), (48, 6)),
    ),
    Family(
        marks=("conv_1.eval_conv.weight", "blocks.0._extern_conv_block.0.eval_conv.weight", "upsampler.0.weight"),
        sizes=lambda state: (
            width("blocks.0._extern_conv_block.0.eval_conv.weight")(state),
            number(state, r"blocks\.(\d+)\."),
        ),
        form=light.disp,
        usual=((32, 4),),
    ),
    Family(
        marks=("to_feat.weight", "feats.0.smfa.alpha", "to_img.0.weight"),
        sizes=lambda state: (width("feats.0.smfa.alpha", 1)(state), number(state, r"feats\.(\d+)\.")),
        form=light.smfanet,
        usual=((36, 8), (48, 12)),
    ),
    Family(
        marks=("head.weight", "head.slope", "body.0.0.slope", "tail.weight"),
        sizes=lambda state: (width("body.0.0.slope")(state), number(state, r"body\.(\d+)\.")),
        form=light.pairs,
        usual=((24, 3), (32, 4), (48, 8), (64, 8)),
    ),
    Family(
        marks=("head.0.weight", "body.0.body.0.weight", "tail.0.0.weight", "tail.1.weight"),
        sizes=lambda state: (width("body.0.body.0.weight")(state), number(state, r"body\.(\d+)\.body\.")),
        form=residual.edsr,
        usual=((64, 16), (256, 32)),
    ),
    Family(
        marks=("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "upsample.0.weight"),
        sizes=lambda state: (width("body.0.conv1.weight")(state), number(state, r"body\.(\d+)\.conv1")),
        form=residual.edsr_basicsr,
        usual=((64, 16), (256, 32)),
    ),
    Family(
        marks=("conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"),
        sizes=lambda state: (width("body.0.conv1.weight")(state), number(state, r"body\.(\d+)\.conv1")),
        form=residual.msrresnet,
        usual=((64, 16),),
    ),
    Family(
        marks=("conv_block1.0.weight", "trunk.0.rcb.0.weight", "conv_block3.weight"),
        sizes=lambda state: (number(state, r"trunk\.(\d+)\."), 1),
        form=residual.srresnet_paper,
        usual=((16, 1),),
    ),
    Family(
        marks=("conv1.0.weight", "trunk.0.rcb.0.weight", "conv3.weight"),
        sizes=lambda state: (number(state, r"trunk\.(\d+)\."), 2),
        form=residual.srresnet_paper,
        usual=((16, 2),),
    ),
    Family(
        marks=("block1.0.weight", "block2.conv1.weight", "block7.0.weight", "block8.0.conv.weight"),
        sizes=lambda state: (number(state, r"block(\d+)\.conv1"), number(state, r"block8\.(\d+)\.conv")),
        form=residual.srgan,
        usual=((5, 2), (5, 1)),
    ),
    Family(
        marks=("fea_conv.weight", "B1.c1_r.weight", "B1.esa.conv_max.weight", "LR_conv.weight", "upsampler.0.weight"),
        sizes=lambda state: (split_width("fea_conv.weight", 4)(state), number(state, r"B(\d+)\.")),
        form=distilled.rfdn,
        usual=((50, 4),),
    ),
    Family(
        marks=(
            "fea_conv.weight",
            "IMDB1.c1.weight",
            "IMDB1.cca.conv_du.0.weight",
            "LR_conv.weight",
            "upsampler.0.weight",
        ),
        sizes=lambda state: (split_width("fea_conv.weight", 16)(state), number(state, r"IMDB(\d+)\.")),
        form=distilled.imdn,
        usual=((64, 6),),
    ),
    Family(
        marks=("to_feat.weight", "feats.0.safm.aggr.weight", "feats.0.ccm.ccm.0.weight", "to_img.0.weight"),
        sizes=lambda state: (split_width("to_feat.weight", 4)(state), number(state, r"feats\.(\d+)\.")),
        form=distilled.safmn,
        usual=((36, 8),),
    ),
    Family(
        marks=("entry.weight", "b1.b1.body.0.weight", "c3.body.0.weight", "upsample.up4.body.3.weight", "exit.weight"),
        sizes=lambda state: (width("b1.b1.body.0.weight")(state), _groups(state, "b1.b1.body.0.weight")),
        form=distilled.carn_m,
        usual=((64, 4),),
    ),
    Family(
        marks=("residual_blocks.0.conv_block1.conv_block.0.weight", "subpixel_convolutional_blocks.0.conv.weight"),
        sizes=lambda state: (number(state, r"residual_blocks\.(\d+)\."), number(state, r"subpixel\w+\.(\d+)\.")),
        form=residual.srresnet_tutorial,
        usual=((16, 2), (16, 1)),
    ),
    Family(
        marks=("conv_input.weight", "residual.0.conv1.weight", "upscale4x.0.weight", "conv_output.weight"),
        sizes=lambda state: (number(state, r"residual\.(\d+)\."),),
        form=residual.srresnet_leaky,
        usual=((16,),),
    ),
    Family(
        marks=("body.0.weight", "body.1.weight", "body.2.weight", "body.3.weight"),
        sizes=lambda state: (_last_body(state), width("body.2.weight")(state)),
        form=light.srvgg,
        usual=((16, 64), (32, 64)),
    ),
    Family(
        marks=("first_part.0.weight", "mid_part.0.weight", "last_part.weight"),
        sizes=lambda state: (
            width("mid_part.0.weight", 1)(state),
            width("mid_part.0.weight")(state),
            (number(state, r"mid_part\.(\d+)\.weight") - 4) // 2,
        ),
        form=_fsrcnn,
        usual=((56, 12, 4), (32, 5, 1)),
    ),
    Family(
        marks=("first_part.0.weight", "first_part.2.weight", "last_part.0.weight"),
        sizes=lambda state: (),
        form=_espcn,
        usual=((),),
    ),
    Family(marks=("conv1.weight", "conv2.weight", "conv3.weight"), sizes=lambda state: (), form=_srcnn, usual=((),)),
    Family(marks=("0.weight", "18.weight", "19.weight"), sizes=lambda state: (), form=_vdsr, usual=((),)),
)
PUBLISHED: tuple[Published, ...] = tuple(family.form(*sizes) for family in FAMILIES for sizes in family.usual)

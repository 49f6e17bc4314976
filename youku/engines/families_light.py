"""Networks at low resolution as their authors name the layers; `families_residual` has EDSR and SRResNet."""

from __future__ import annotations

from dataclasses import replace

import torch

from youku.engines.forms import Family, State, count, mean_shifts, of_table, width
from youku.models import distillation, edsr, fsrcnn, pairs, smfanet, span, srcnn, srvgg
from youku.models.spec import ModelSpec


def _span_spec(num_channels: int, num_blocks: int) -> ModelSpec:
    """Six blocks go without saying."""
    known = {(28, 6): span.SPECS[0], (48, 6): span.SPAN_48}
    spec = of_table(span.SPAN, span.SPAN_48, known, lambda _, blocks: 1 + 3 * blocks + 1 + 1)(num_channels, num_blocks)
    return replace(spec, name=spec.name.removesuffix("-6"))


def _num_groups(state: State) -> int:
    """CARN-M's groups, of a convolution to as many channels as it has; 0 where they do not divide."""
    num_out, in_group = (width("b1.b1.body.0.weight", axis)(state) for axis in (0, 1))
    return num_out // in_group if in_group and num_out % in_group == 0 else 0


SPAN_LAYERS = {"head": "conv_1", "mid": "conv_2", "blocks.*.convs.*": "block_+.c+_r"}
SPAN_ENDS = {"join": "conv_cat", "upscale.0.layer": "upsampler.0"}
DISTILLED = {"head": "fea_conv", "join.0": "c.0", "mid": "LR_conv", "upscale.0.layer": "upsampler.0"}

LIGHT: tuple[Family, ...] = (
    Family(
        source="bytedance/RLFN",
        marks=("conv_1.weight", "block_1.esa.conv_f.weight", "block_1.c1_r.weight", "upsampler.0.weight"),
        sizes=(width("block_1.c1_r.weight"), width("block_1.esa.conv_f.weight"), count(r"block_(\d+)\.")),
        spec=of_table(distillation.RLFN, distillation.RLFN_52, {(52, 16, 6): distillation.RLFN_52}),
        usual=((52, 16, 6),),
        layers={
            "head": "conv_1",
            "blocks.*.body.0": "block_+.c1_r",
            "blocks.*.body.2": "block_+.c2_r",
            "blocks.*.body.4": "block_+.c3_r",
            "blocks.*.fuse": "block_+.c5",
            "blocks.*.attention.reduce": "block_+.esa.conv1",
            "blocks.*.attention.strided": "block_+.esa.conv2",
            "blocks.*.attention.pooled": "block_+.esa.conv3",
            "blocks.*.attention.expand": "block_+.esa.conv4",
            "blocks.*.attention.skip": "block_+.esa.conv_f",
            "mid": "conv_2",
            "upscale.0.layer": "upsampler.0",
        },
    ),
    Family(  # each 3x3 but the last in the branches it is trained in; before the merged form, whose marks it may carry too
        source="hongyuanyu/SPAN (training form)",
        marks=("conv_1.sk.weight", "block_1.c1_r.sk.weight", "conv_cat.weight", "upsampler.0.weight"),
        sizes=(width("block_1.c1_r.sk.weight"), count(r"block_(\d+)\.")),
        spec=_span_spec,
        usual=((28, 6), (48, 6)),
        layers=SPAN_LAYERS | SPAN_ENDS,
        branched=lambda channels, blocks: {
            "conv_1": (3, channels),
            "conv_2": (channels, channels),
            **{f"block_{at + 1}.c{conv}_r": (channels, channels) for at in range(blocks) for conv in (1, 2, 3)},
        },
    ),
    Family(
        source="hongyuanyu/SPAN (merged)",
        marks=("conv_1.eval_conv.weight", "block_1.c1_r.eval_conv.weight", "conv_cat.weight", "upsampler.0.weight"),
        sizes=(width("block_1.c1_r.eval_conv.weight"), count(r"block_(\d+)\.")),
        spec=_span_spec,
        usual=((28, 6), (48, 6)),
        layers={own: f"{their}.eval_conv" for own, their in SPAN_LAYERS.items()} | SPAN_ENDS,
    ),
    Family(
        source="Amazingren/NTIRE2026_ESR (DISP)",
        marks=("conv_1.eval_conv.weight", "blocks.0._extern_conv_block.0.eval_conv.weight", "upsampler.0.weight"),
        sizes=(width("blocks.0._extern_conv_block.0.eval_conv.weight"), count(r"blocks\.(\d+)\.")),
        spec=of_table(edsr.DISP, edsr.DISP_32, {(32, 4): edsr.DISP_32}, lambda _, blocks: 2 + edsr.NUM_CONVS * blocks),
        usual=((32, 4),),
        layers={
            "head": "conv_1.eval_conv",
            "body.*.0": "blocks.*.c1_r.eval_conv",
            "body.*.2": "blocks.*.c2_r.eval_conv",
            "body.*.4": "blocks.*._extern_conv_block.0.eval_conv",
            "body.*.6": "blocks.*.c3_r.eval_conv",
            "mid": "conv_2",
            "upscale.0.layer": "upsampler.0",
        },
    ),
    Family(
        source="Zheng-MJ/SMFANet",
        marks=("to_feat.weight", "feats.0.smfa.alpha", "to_img.0.weight"),
        sizes=(width("feats.0.smfa.alpha", 1), count(r"feats\.(\d+)\.")),
        spec=of_table(smfanet.SMFANet, smfanet.SMFANET, dict(zip(((36, 8), (48, 12)), smfanet.SPECS[:2], strict=True))),
        usual=((36, 8), (48, 12)),
        layers={
            "head": "to_feat",
            "body.*.aggregation.split": "feats.*.smfa.linear_0",
            "body.*.aggregation.pooled": "feats.*.smfa.dw_conv",
            "body.*.aggregation.gate": "feats.*.smfa.linear_1",
            "body.*.aggregation.local.0": "feats.*.smfa.lde.conv_0.0",
            "body.*.aggregation.local.1": "feats.*.smfa.lde.conv_0.1",
            "body.*.aggregation.local.3": "feats.*.smfa.lde.conv_1",
            "body.*.aggregation.join": "feats.*.smfa.linear_2",
            "body.*.aggregation.alpha": "feats.*.smfa.alpha",
            "body.*.aggregation.beta": "feats.*.smfa.belt",
            "body.*.feed_forward.widen": "feats.*.pcfn.conv_0",
            "body.*.feed_forward.partial": "feats.*.pcfn.conv_1",
            "body.*.feed_forward.narrow": "feats.*.pcfn.conv_2",
            "upscale.0.layer": "to_img.0",
        },
    ),
    Family(  # as a training outside this kit makes them, PReLU's slopes beside the weights
        source="this kit (deployed form)",
        marks=("head.weight", "head.slope", "body.0.0.slope", "tail.weight"),
        sizes=(width("body.0.0.slope"), count(r"body\.(\d+)\.")),
        spec=pairs.spec_of,
        usual=((24, 3), (32, 4), (48, 8), (64, 8)),
        layers={
            "head.0": "head",
            "head.1.weight": "head.slope",
            "body.*.0": "body.*.0",
            "body.*.1.weight": "body.*.0.slope",
            "body.*.2": "body.*.1",
            "body.*.3.weight": "body.*.1.slope",
            "mid.0": "last",
            "mid.1.weight": "last.slope",
            "upscale.planes": "tail",
            "upscale.chroma": "tail_chroma",
        },
    ),
    Family(
        source="njulj/RFDN",
        marks=("fea_conv.weight", "B1.c1_r.weight", "B1.esa.conv_max.weight", "LR_conv.weight", "upsampler.0.weight"),
        sizes=(width("fea_conv.weight", least=distillation.NUM_PARTS), count(r"B(\d+)\.")),
        spec=of_table(distillation.RFDN, distillation.RFDN_50, {(50, 4): distillation.RFDN_50}),
        usual=((50, 4),),
        layers={
            **DISTILLED,
            "body.*.keep.3": "B+.c4",
            "body.*.keep.*": "B+.c+_d",
            "body.*.refine.*": "B+.c+_r",
            "body.*.fuse": "B+.c5",
            "body.*.attention.reduce": "B+.esa.conv1",
            "body.*.attention.strided": "B+.esa.conv2",
            "body.*.attention.pooled.0": "B+.esa.conv_max",
            "body.*.attention.pooled.2": "B+.esa.conv3",
            "body.*.attention.pooled.4": "B+.esa.conv3_",
            "body.*.attention.skip": "B+.esa.conv_f",
            "body.*.attention.expand": "B+.esa.conv4",
        },
    ),
    Family(
        source="Zheng222/IMDN",
        marks=("fea_conv.weight", "IMDB1.c1.weight", "IMDB1.cca.conv_du.0.weight", "upsampler.0.weight"),
        sizes=(width("fea_conv.weight", least=distillation.REDUCTION), count(r"IMDB(\d+)\.")),
        spec=of_table(distillation.IMDN, distillation.IMDN_64, {(64, 6): distillation.IMDN_64}),
        usual=((64, 6),),
        layers={
            **DISTILLED,
            "body.*.convs.*": "IMDB+.c+",
            "body.*.fuse": "IMDB+.c5",
            "body.*.attention.reduce": "IMDB+.cca.conv_du.0",
            "body.*.attention.expand": "IMDB+.cca.conv_du.2",
        },
    ),
    Family(
        source="sunny2109/SAFMN",
        marks=("to_feat.weight", "feats.0.safm.aggr.weight", "feats.0.ccm.ccm.0.weight", "to_img.0.weight"),
        sizes=(width("to_feat.weight", least=smfanet.NUM_LEVELS), count(r"feats\.(\d+)\.")),
        spec=of_table(smfanet.SAFMN, smfanet.SAFMN_36, {(36, 8): smfanet.SAFMN_36}),
        usual=((36, 8),),
        layers={
            "head": "to_feat",
            "body.*.norms.*": "feats.*.norm+",
            "body.*.modulation.levels.*": "feats.*.safm.mfr.*",
            "body.*.modulation.join": "feats.*.safm.aggr",
            "body.*.mix.*": "feats.*.ccm.ccm.*",
            "upscale.0.layer": "to_img.0",
        },
    ),
    Family(
        source="nmhkahn/CARN-pytorch",
        marks=("entry.weight", "b1.b1.body.0.weight", "c3.body.0.weight", "upsample.up4.body.3.weight", "exit.weight"),
        sizes=(width("b1.b1.body.0.weight"), _num_groups),
        spec=of_table(edsr.CARNM, edsr.CARN_M, {(64, 4): edsr.CARN_M}),
        usual=((64, 4),),
        layers={
            "head": "entry",
            "body.*.residual.0.*": "b+.b1.body.*",
            "body.*.joins.*": "b+.c+.body.0",
            "joins.*": "c+.body.0",
            "upscale.*.*": "upsample.up*.body.*",
            "tail.layer": "exit",
        },
        constants=mean_shifts("{}_mean.shifter", torch.tensor(edsr.DIV2K_MEAN)),
    ),
    Family(
        source="xinntao/Real-ESRGAN (SRVGGNetCompact)",
        marks=("body.0.weight", "body.1.weight", "body.2.weight", "body.3.weight"),
        sizes=(count(r"body\.(\d+)\.weight", beside=3, each=2), width("body.2.weight")),
        spec=of_table(
            srvgg.SRVGG,
            srvgg.SRVGG_16,
            {(16, 64): srvgg.SPECS[0], (32, 64): srvgg.SPECS[1]},
            lambda num_convs, _: num_convs + 2,
        ),
        usual=((16, 64), (32, 64)),
        layers={},
        ends=lambda num_convs, _: {"last.layer": f"body.{2 * num_convs + 2}"},
    ),
    Family(
        source="yjn870/FSRCNN-pytorch",
        marks=("first_part.0.weight", "mid_part.0.weight", "last_part.weight"),
        sizes=(
            width("mid_part.0.weight", 1),
            width("mid_part.0.weight"),
            count(r"mid_part\.(\d+)\.weight", beside=4, each=2),
        ),
        spec=of_table(
            fsrcnn.FSRCNN,
            fsrcnn.FSRCNN_56,
            {(56, 12, 4): fsrcnn.FSRCNN_SPECS[0], (32, 5, 1): fsrcnn.FSRCNN_SPECS[1]},
            lambda _, __, num_mapping: 2 + num_mapping + 2,
        ),
        usual=((56, 12, 4), (32, 5, 1)),
        layers={"first.*": "first_part.*", "middle.*": "mid_part.*", "last": "last_part"},
    ),
    Family(
        source="yjn870/ESPCN-pytorch",
        marks=("first_part.0.weight", "first_part.2.weight", "last_part.0.weight"),
        spec=lambda: fsrcnn.ESPCN_Y,
        layers={"head.0": "first_part.0", "body.0": "first_part.2", "upscale.0.layer": "last_part.0"},
    ),
    Family(
        source="yjn870/SRCNN-pytorch",
        marks=("conv1.weight", "conv2.weight", "conv3.weight"),
        spec=lambda: srcnn.SRCNN_SPECS[2],
        layers={"first.0": "conv1", "middle.0": "conv2", "last.layer": "conv3"},
    ),
    Family(
        source="huangzehao/caffe-vdsr (VDSR_Official)",
        marks=("0.weight", "18.weight", "19.weight"),
        spec=lambda: srcnn.VDSR_20,
        layers={"head.0": "0", **{f"body.{2 * at}": str(at + 1) for at in range(18)}, "tail": "19"},
    ),
)

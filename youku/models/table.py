"""The table of networks: names, constructors, planes, scales and reach; `models.spec` says what an entry means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from youku.models import enhancenet3
from youku.models.bicubic import Bicubic
from youku.models.colours import RGB, Y
from youku.models.edsr import EDSR
from youku.models.enhancenet import EnhanceNet
from youku.models.espcn import ESPCN
from youku.models.fsrcnn import FSRCNN
from youku.models.improved import ImprovedSRResNet
from youku.models.oldfilm import OldFilm
from youku.models.perceptual import PerceptualSR
from youku.models.rlfn import RLFN
from youku.models.span import SPAN
from youku.models.spec import ModelSpec
from youku.models.srcnn import SRCNN
from youku.models.srresnet import SlidesSRResNet, SRResNet
from youku.models.srvgg import SRVGG
from youku.models.vdsr import VDSR
from youku.models.vsrnet import VSRnet
from youku.models.waifu2x import VGG7, Upconv7


def after_bicubic(radius_px: int) -> Callable[[int], int]:
    """Halo of a network that works on the bicubic enlargement with `radius_px` at full size."""
    return lambda scale: 2 + -(-radius_px // scale)


def before_resize_conv(low_px: int, full_px: int) -> Callable[[int], int]:
    """Halo of `low_px` at input size, x2 stages with a 3x3 convolution each, and `full_px` at full size."""

    def halo_px(scale: int) -> int:
        radius_px = full_px
        while scale > 1:
            radius_px, scale = -(-(radius_px + 1) // 2), scale // 2
        return low_px + radius_px

    return halo_px


VSRNET_SOURCE = "Kappeler et al. 2016, IEEE Trans. Computational Imaging 2(2)"
THREE_FRAME_SOURCE = "old-film restoration report, section 4.7"

# Networks with variants below that differ in what `replace` names.
SRCNN_915 = ModelSpec(
    name="srcnn",
    build=SRCNN,
    colours=Y,
    any_scale=True,
    halo_px=after_bicubic(6),
    source="Dong et al. 2016, arXiv:1501.00092",
)
ESPCN_LUMA = ModelSpec(
    name="espcn",
    build=ESPCN,
    colours=Y,
    halo_px=lambda scale: 2 + 1 + 1,
    source="Shi et al. 2016, arXiv:1609.05158",
)
ENHANCENET = ModelSpec(
    name="enhancenet",
    build=EnhanceNet,
    colours=RGB,
    scales=(2, 4),
    halo_px=before_resize_conv(1 + 2 * 10, 2),
    source="Sajjadi et al. 2017, arXiv:1612.07919",
)
PERCEPTUAL_SR = ModelSpec(
    name="perceptual-sr",
    build=PerceptualSR,
    colours=RGB,
    scales=(4, 8),
    halo_px=before_resize_conv(4 + 2 * 4, 4),
    source="Johnson et al. 2016, arXiv:1603.08155",
)
OLD_FILM = ModelSpec(
    name="oldfilm",
    build=OldFilm,
    colours=Y,
    scales=(2, 4),
    halo_px=before_resize_conv(1 + 2 * 16, 1),
    source="old-film restoration report, table 4.9.3",
)

SRRESNET = ModelSpec(
    name="srresnet",
    build=SRResNet,
    colours=RGB,
    scales=(2, 4),
    halo_px=lambda scale: 4 + 2 * 16 + 1 + 2 + -(-4 // scale),  # conv9, blocks, mid, upscale, conv9 at full size
    source="Ledig et al. 2017, arXiv:1609.04802",
)

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="bicubic",
            build=Bicubic,
            colours=Y,
            scales=(2, 3, 4, 8),
            halo_px=lambda scale: 2,
            half_safe=False,
            trainable=False,
            source="Keys 1981; MATLAB imresize kernel",
        ),
        SRCNN_915,
        replace(SRCNN_915, name="srcnn-935", build=lambda scale: SRCNN(scale, mapping_px=3), halo_px=after_bicubic(7)),
        replace(SRCNN_915, name="srcnn-955", build=lambda scale: SRCNN(scale, mapping_px=5), halo_px=after_bicubic(8)),
        ModelSpec(
            name="fsrcnn",
            build=FSRCNN,
            colours=Y,
            halo_px=lambda scale: 2 + 4 + -(-4 // scale),  # conv5, four conv3, deconv9 at stride `scale`
            source="Dong et al. 2016, arXiv:1608.00367",
        ),
        ModelSpec(
            name="fsrcnn-s",
            build=lambda scale: FSRCNN(scale, num_features=32, num_shrunk=5, num_mapping=1),
            colours=Y,
            halo_px=lambda scale: 2 + 1 + -(-4 // scale),
            source="Dong et al. 2016, arXiv:1608.00367",
        ),
        ESPCN_LUMA,
        replace(ESPCN_LUMA, name="espcn-rgb", build=lambda scale: ESPCN(scale, num_planes=3), colours=RGB),
        ModelSpec(
            name="vdsr",
            build=VDSR,
            colours=Y,
            any_scale=True,
            halo_px=after_bicubic(20),
            source="Kim et al. 2016, arXiv:1511.04587",
        ),
        SRRESNET,
        replace(SRRESNET, name="srgan"),  # its generator; the adversary is a loss
        ModelSpec(
            name="srresnet-slides",
            build=SlidesSRResNet,
            colours=RGB,
            scales=(2, 4),
            halo_px=lambda scale: 4 + 2 * 16 + 1 + 2 + -(-4 // scale),
            source="Yiin 2020, Deep Belief course 5, epoch402: the original",
        ),
        ModelSpec(
            name="srresnet-improved",
            build=ImprovedSRResNet,
            colours=RGB,
            scales=(2, 4),
            halo_px=lambda scale: 2 + 4 * (1 + 2 + 4 + 8) + 16 + 1 + 2,  # conv5, dilated and plain conv3, mid, upscale
            source="Yiin 2020, Deep Belief course 5, epoch402: the improved",
        ),
        ModelSpec(
            name="edsr-baseline",
            build=lambda scale: EDSR(scale, num_channels=64, num_blocks=16, residual_scale=1.0),
            colours=RGB,
            halo_px=lambda scale: 1 + 2 * 16 + 1 + 2,
            source="Lim et al. 2017, arXiv:1707.02921",
        ),
        ModelSpec(
            name="edsr",
            build=lambda scale: EDSR(scale, num_channels=256, num_blocks=32, residual_scale=0.1),
            colours=RGB,
            halo_px=lambda scale: 1 + 2 * 32 + 1 + 2,
            source="Lim et al. 2017, arXiv:1707.02921",
        ),
        ENHANCENET,
        replace(ENHANCENET, name="enhancenet-y", build=lambda scale: EnhanceNet(scale, num_planes=1), colours=Y),
        PERCEPTUAL_SR,
        replace(
            PERCEPTUAL_SR, name="perceptual-sr-deconv", build=lambda scale: PerceptualSR(scale, deconvolution=True)
        ),
        OLD_FILM,
        replace(OLD_FILM, name="oldfilm-rgb", build=lambda scale: OldFilm(scale, num_planes=3), colours=RGB),
        replace(OLD_FILM, name="oldfilm-scaled", build=lambda scale: OldFilm(scale, residual_scale=0.1)),
        replace(OLD_FILM, name="oldfilm-nobn", build=lambda scale: OldFilm(scale, batch_norm=False)),
        ModelSpec(
            name="vsrnet",
            build=VSRnet,
            colours=Y,
            any_scale=True,
            num_frames=5,
            aligned=True,
            halo_px=after_bicubic(8),
            source=VSRNET_SOURCE,
        ),
        ModelSpec(
            name="vsrnet-symmetric",
            build=lambda scale: VSRnet(scale, symmetric=True),
            colours=Y,
            any_scale=True,
            num_frames=5,
            aligned=True,
            halo_px=after_bicubic(8),
            source=VSRNET_SOURCE,
        ),
        ModelSpec(
            name="enhancenet-3frame",
            build=enhancenet3.pair_heads,
            colours=RGB,
            scales=(2, 4),
            num_frames=3,
            aligned=True,
            halo_px=before_resize_conv(1 + 2 * 10, 2),
            source=THREE_FRAME_SOURCE,
        ),
        ModelSpec(
            name="enhancenet-3frame-shared",
            build=enhancenet3.shared_pair_head,
            colours=RGB,
            scales=(2, 4),
            num_frames=3,
            aligned=True,
            halo_px=before_resize_conv(1 + 2 * 10, 2),
            source=THREE_FRAME_SOURCE,
        ),
        ModelSpec(
            name="enhancenet-3frame-concat",
            build=enhancenet3.stacked_head,
            colours=RGB,
            scales=(2, 4),
            num_frames=3,
            aligned=True,
            halo_px=before_resize_conv(1 + 2 * 10, 2),
            source=THREE_FRAME_SOURCE,
        ),
        ModelSpec(
            name="rlfn",
            build=RLFN,
            colours=RGB,
            halo_px=lambda scale: 0,  # runs untiled
            local=False,
            source="Kong et al. 2022, arXiv:2205.07514",
        ),
        ModelSpec(
            name="span-28",
            build=lambda scale: SPAN(scale, num_channels=28),
            colours=RGB,
            halo_px=lambda scale: 1 + 6 * 3 + 1 + 1,
            source="Wan et al. 2024, arXiv:2311.12770, as entered in NTIRE 2024",
        ),
        ModelSpec(
            name="span-48",
            build=lambda scale: SPAN(scale, num_channels=48),
            colours=RGB,
            halo_px=lambda scale: 1 + 6 * 3 + 1 + 1,
            source="Wan et al. 2024, arXiv:2311.12770",
        ),
        ModelSpec(
            name="srvgg-16",
            build=lambda scale: SRVGG(scale, num_convs=16),
            colours=RGB,
            halo_px=lambda scale: 1 + 16 + 1,
            source="Wang et al. 2021, arXiv:2107.10833, animevideov3",
        ),
        ModelSpec(
            name="srvgg-32",
            build=lambda scale: SRVGG(scale, num_convs=32),
            colours=RGB,
            halo_px=lambda scale: 1 + 32 + 1,
            source="Wang et al. 2021, arXiv:2107.10833, general-x4v3",
        ),
        ModelSpec(
            name="waifu2x-vgg7",
            build=lambda scale: VGG7(scale, num_planes=3),
            colours=RGB,
            scales=(2,),
            halo_px=lambda scale: 4,  # 7 output pixels
            source="nagadomi/waifu2x, vgg_7",
        ),
        ModelSpec(
            name="waifu2x-vgg7-y",
            build=lambda scale: VGG7(scale, num_planes=1),
            colours=Y,
            scales=(2,),
            halo_px=lambda scale: 4,
            source="nagadomi/waifu2x, vgg_7 on luma",
        ),
        ModelSpec(
            name="waifu2x-upconv7",
            build=lambda scale: Upconv7(scale, num_planes=3),
            colours=RGB,
            scales=(2,),
            halo_px=lambda scale: 7,
            source="nagadomi/waifu2x, upconv_7",
        ),
        ModelSpec(
            name="waifu2x-upconv7-y",
            build=lambda scale: Upconv7(scale, num_planes=1),
            colours=Y,
            scales=(2,),
            halo_px=lambda scale: 7,
            source="nagadomi/waifu2x, upconv_7 on luma",
        ),
    )
}

"""The networks by name, a table written by hand; one file a network or a family, loaded when it is asked for.

`models.spec` says what an entry means, `models.figures` what each costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from youku.models.spec import ModelSpec

__all__ = ["FILES", "MODELS", "UNTRAINED", "check_scale", "spec_of"]

# (the file beside this one that holds class and, in SPECS, specs; its networks), in the order they are listed
LISTED = (
    ("blocks", ("bicubic", "lanczos")),
    ("srcnn", ("srcnn", "srcnn-935", "srcnn-955")),
    ("fsrcnn", ("fsrcnn", "fsrcnn-s", "espcn", "espcn-rgb")),
    ("srcnn", ("vdsr",)),
    ("srresnet", ("srresnet", "srgan", "srresnet-slides", "srresnet-improved")),
    ("edsr", ("msrresnet", "edsr-baseline", "edsr")),
    ("enhancenet", ("enhancenet", "enhancenet-y")),
    ("srresnet", ("perceptual-sr", "perceptual-sr-deconv")),
    ("enhancenet", ("oldfilm", "oldfilm-rgb", "oldfilm-scaled", "oldfilm-nobn")),
    ("srcnn", ("vsrnet", "vsrnet-symmetric")),
    ("enhancenet", ("enhancenet-3frame", "enhancenet-3frame-shared", "enhancenet-3frame-concat")),
    ("distillation", ("rlfn",)),
    ("span", ("span-28", "span-48")),
    ("srvgg", ("srvgg-16", "srvgg-32")),
    ("srvgg", ("waifu2x-vgg7", "waifu2x-vgg7-y", "waifu2x-upconv7", "waifu2x-upconv7-y")),
    ("distillation", ("imdn", "rfdn")),
    ("smfanet", ("safmn",)),
    ("edsr", ("carn-m", "disp")),
    ("smfanet", ("smfanet", "smfanet-plus")),
    ("pairs", ("pairs-t", "pairs-s", "pairs-m", "pairs-l")),
    ("pairs", ("recurrent-t", "recurrent-s", "recurrent-m", "recurrent-l")),
    ("pairs", ("bidirectional-t", "bidirectional-s", "bidirectional-m", "bidirectional-l")),
)
FILES = {name: file for file, names in LISTED for name in names}
UNTRAINED = ("bicubic", "lanczos")  # have no weights


class Models(Mapping[str, "ModelSpec"]):
    """Name -> spec. A network's file is imported here, and torch with it: names alone cost nothing."""

    def __getitem__(self, name: str) -> ModelSpec:
        specs: tuple[ModelSpec, ...] = import_module(f"youku.models.{FILES[name]}").SPECS
        return next(spec for spec in specs if spec.name == name)

    def __contains__(self, name: object) -> bool:
        return name in FILES

    def __iter__(self) -> Iterator[str]:
        return iter(FILES)

    def __len__(self) -> int:
        return len(FILES)


MODELS = Models()


def spec_of(name: str, scale: int) -> ModelSpec:
    """The spec of a model that has `scale`; ValueError lists what there is."""
    if name not in MODELS:
        raise ValueError(f"model {name[:60]!r}: expected one of {', '.join(MODELS)}")
    return check_scale(MODELS[name], scale)


def check_scale(spec: ModelSpec, scale: int) -> ModelSpec:
    """The spec itself; ValueError where it does not have the scale."""
    if scale not in spec.scales:
        raise ValueError(f"model {spec.name}: has scales {', '.join(map(str, spec.scales))}, not {scale}")
    return spec

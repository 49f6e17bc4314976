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

# network -> the file beside this one that holds its class and, in SPECS, its spec; in the order they are listed
FILES = {
    "bicubic": "srcnn",
    "lanczos": "srcnn",
    "srcnn": "srcnn",
    "srcnn-935": "srcnn",
    "srcnn-955": "srcnn",
    "fsrcnn": "fsrcnn",
    "fsrcnn-s": "fsrcnn",
    "espcn": "fsrcnn",
    "espcn-rgb": "fsrcnn",
    "vdsr": "srcnn",
    "srresnet": "srresnet",
    "srgan": "srresnet",
    "srresnet-slides": "srresnet",
    "srresnet-improved": "srresnet",
    "msrresnet": "srresnet_ports",
    "edsr-baseline": "edsr",
    "edsr": "edsr",
    "enhancenet": "enhancenet",
    "enhancenet-y": "enhancenet",
    "perceptual-sr": "srresnet",
    "perceptual-sr-deconv": "srresnet",
    "oldfilm": "enhancenet",
    "oldfilm-rgb": "enhancenet",
    "oldfilm-scaled": "enhancenet",
    "oldfilm-nobn": "enhancenet",
    "vsrnet": "srcnn",
    "vsrnet-symmetric": "srcnn",
    "enhancenet-3frame": "enhancenet",
    "enhancenet-3frame-shared": "enhancenet",
    "enhancenet-3frame-concat": "enhancenet",
    "rlfn": "rlfn",
    "span-28": "span",
    "span-48": "span",
    "srvgg-16": "srvgg",
    "srvgg-32": "srvgg",
    "waifu2x-vgg7": "waifu2x",
    "waifu2x-vgg7-y": "waifu2x",
    "waifu2x-upconv7": "waifu2x",
    "waifu2x-upconv7-y": "waifu2x",
    "imdn": "imdn",
    "rfdn": "rfdn",
    "safmn": "safmn",
    "carn-m": "carn",
    "disp": "disp",
    "smfanet": "smfanet",
    "smfanet-plus": "smfanet",
    "pairs-t": "pairs",
    "pairs-s": "pairs",
    "pairs-m": "pairs",
    "pairs-l": "pairs",
    "recurrent-t": "recurrent",
    "recurrent-s": "recurrent",
    "recurrent-m": "recurrent",
    "recurrent-l": "recurrent",
    "bidirectional-t": "recurrent",
    "bidirectional-s": "recurrent",
    "bidirectional-m": "recurrent",
    "bidirectional-l": "recurrent",
}
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

"""The networks: a table written by hand (`models.table`), one file a network; `models.spec` says what an entry means."""

from __future__ import annotations

from youku.models.spec import ModelSpec
from youku.models.table import MODELS

__all__ = ["MODELS", "ModelSpec", "spec_of"]


def spec_of(name: str, scale: int) -> ModelSpec:
    """The spec of a model that has `scale`; ValueError lists what there is."""
    if name not in MODELS:
        raise ValueError(f"model {name!r}: expected one of {', '.join(MODELS)}")
    spec = MODELS[name]
    if scale not in spec.scales:
        raise ValueError(f"model {name}: has scales {', '.join(map(str, spec.scales))}, not {scale}")
    return spec

"""The kit's own weights, a table written by hand: which network serves which quality, scale and kind of input.

(quality, input, scale) -> a file of youku/weights and a phrase that says why. youku/weights/README.md is their card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "weights"
CLEAN, CODED = "clean", "video"
INPUTS = (CLEAN, CODED)
QUALITIES = {"fast": ("fsrcnn",), "balanced": ("pairs-s", "fsrcnn"), "best": ("pairs-m", "pairs-s", "fsrcnn")}
"""Networks in order of wish: the first that is shipped for the scale is taken."""
DEFAULT = "balanced"
OWN = {"shipped": CODED, "shipped-clean": CLEAN}
"""What --init-from calls the kit's own weights, and the input that they are for."""
RELATIVES = {f"{kind}-{size}": f"pairs-{size}" for kind in ("recurrent", "bidirectional") for size in "sm"}
"""Network -> one whose weights begin its training where none of its own are shipped."""


@dataclass(frozen=True)
class Shipped:
    """Weights that come with the kit."""

    model: str
    scale: int
    trained_on: str
    """One of INPUTS: pictures shrunk, or video that was coded as well."""
    name: str

    @property
    def path(self) -> Path:
        return FOLDER / self.name


SHIPPED = (
    *(Shipped("fsrcnn", scale, CLEAN, f"fsrcnn_x{scale}.safetensors") for scale in (2, 3, 4)),
    Shipped("pairs-s", 2, CLEAN, "pairs_s_x2_clean.safetensors"),
    Shipped("pairs-s", 2, CODED, "pairs_s_x2_video.safetensors"),
    Shipped("pairs-s", 3, CLEAN, "pairs_s_x3_clean.safetensors"),
    Shipped("pairs-s", 3, CODED, "pairs_s_x3_video.safetensors"),
    Shipped("pairs-s", 4, CLEAN, "pairs_s_x4_clean.safetensors"),
    Shipped("pairs-s", 4, CODED, "pairs_s_x4_video.safetensors"),
    Shipped("pairs-m", 4, CLEAN, "pairs_m_x4_clean.safetensors"),
    Shipped("pairs-m", 4, CODED, "pairs_m_x4_video.safetensors"),
)


def find(models: tuple[str, ...], scale: int, trained_on: str = CLEAN) -> Shipped | None:
    """The first of the networks that is shipped for a scale, for one of INPUTS where there is a choice; None without any."""
    if trained_on not in INPUTS:
        raise ValueError(f"input {trained_on!r}: expected one of {', '.join(INPUTS)}")
    own = [entry for model in models for entry in SHIPPED if (entry.model, entry.scale) == (model, scale)]
    return next((entry for entry in own if entry.model == own[0].model and entry.trained_on == trained_on), None) or (
        own[0] if own else None
    )


def start_of(path: str, model: str, scale: int) -> str:
    """The file to begin training from: `path`, or for one of OWN the kit's weights of the model, or of a relative.

    Those of another scale serve where there are none of this one. ValueError where the kit has none of the model.
    """
    if path not in OWN:
        return path
    known = dict.fromkeys(entry.model for entry in SHIPPED)
    model = model if model in known else RELATIVES.get(model, model)
    scales = sorted(
        {entry.scale for entry in SHIPPED if entry.model == model}, key=lambda other: (other != scale, -other)
    )
    if not scales:
        raise ValueError(
            f"--init-from {path}: the kit brings no weights of {model}, but of {', '.join(known)}; name a file"
        )
    entry = find((model,), scales[0], OWN[path])
    assert entry is not None
    return str(entry.path)


def why(taken: Shipped, quality: str | None, wanted: str, reason: str) -> str:
    """What was taken for (quality, input wanted) and the reason for that input, in a phrase."""
    chosen = f"the kit's own of --quality {quality}" if quality else f"the kit's own {taken.model}"
    if quality and taken.model != QUALITIES[quality][0]:
        chosen += f", which has no {QUALITIES[quality][0]} at x{taken.scale}"
    lacks = "" if taken.trained_on == wanted else f", as none is shipped for {_KINDS[wanted]} input"
    return f"{chosen}, trained on {_KINDS[taken.trained_on]} input{lacks}; {reason}"


_KINDS = {CLEAN: "clean", CODED: "compressed"}

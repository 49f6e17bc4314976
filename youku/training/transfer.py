"""The weights that a run starts from: drawn anew, or those of another scale or a relative, with what was taken of them.

Between scales, the layers that enlarge are new: EDSR keeps head, body and tail [Lim et al. 2017], FSRCNN all but its
deconvolution [Dong et al. 2016]. A network whose weights serve every scale keeps everything. VSRnet starts from SRCNN,
those that remember from pairs, and both ways from one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from youku.engines import shipped, weights
from youku.files import printable
from youku.models import MODELS
from youku.models.spec import ModelSpec
from youku.text_table import plural
from youku.training.settings import NetworkSettings

GAUSSIAN_STD = 0.01  # of --init gaussian
SCALE_LAYERS = ("upscale", "last")  # what a network calls its enlarging layer
REMEMBERING = ("recurrent", "bidirectional")


# the convolutions' weights drawn anew, biases 0; "paper" keeps what the network's own paper says
INITS: dict[str, Callable[[Tensor], Any] | None] = {
    "paper": None,
    "gaussian": lambda weight: nn.init.normal_(weight, 0.0, GAUSSIAN_STD),
    "xavier": nn.init.xavier_normal_,
    "kaiming": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}


@dataclass(frozen=True)
class Transfer:
    """Keys of a transfer."""

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    """Keys of the network that keep their fresh weights."""
    skipped: tuple[str, ...]
    """Keys of the file that were left."""

    def __str__(self) -> str:
        others = (("new", self.new), ("of the file skipped", self.skipped))
        told = (f"{what}: {', '.join(map(printable, keys))}" if keys else f"none {what}" for what, keys in others)
        return "; ".join([f"{plural(len(self.loaded), 'tensor')} loaded", *told])


def begin(module: nn.Module, spec: ModelSpec, scale: int, config: NetworkSettings) -> Transfer | None:
    """What the settings say of the first weights of `module`; what --init-from took."""
    if draw := INITS[config.init]:
        for name, parameter in module.named_parameters():
            if parameter.ndim == 4:
                draw(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
    if not config.init_from:
        return None
    start = shipped.start_of(config.init_from, config.model, scale)
    return load_into(module, spec, scale, start, config.input_mean, config.input_std)


def load_into(
    module: nn.Module, spec: ModelSpec, scale: int, path: str, mean: float = 0.0, std: float = 1.0
) -> Transfer:
    """Load what fits of a weights file into `module`, a fresh network of `spec` at `scale`; ValueError if nothing does.

    It fits by key and shape; between scales no layer that enlarges does. `mean` and `std` are those of the new run's
    input, which must be the file's.
    """
    state, about = weights.read_known(path)
    theirs = float(about.get("input_mean", 0)), float(about.get("input_std", 1))
    if theirs != (mean, std):
        raise ValueError(
            f"--init-from {path}: was trained with --input-mean {theirs[0]:g} --input-std {theirs[1]:g}; give the same"
        )
    name, factor = about.get("model", spec.name), about.get("scale", "?")  # a published file may not tell
    if spec.name.startswith("vsrnet") and name.startswith("srcnn"):
        from youku.models.srcnn import from_srcnn

        state = from_srcnn(state, symmetric=spec.name == "vsrnet-symmetric")
    if spec.name.startswith(REMEMBERING) and name.startswith(("pairs", *REMEMBERING)):
        from youku.models.pairs import from_relative

        state = from_relative(state, module)
    fixed = spec.any_scale or (name in MODELS and MODELS[name].any_scale) or factor == str(scale)
    new_layers = () if fixed else SCALE_LAYERS
    own = module.state_dict()
    loaded = [
        key
        for key, value in state.items()
        if key in own and own[key].shape == value.shape and key.split(".")[0] not in new_layers
    ]
    if not loaded:
        raise ValueError(f"--init-from {path}: holds {name} x{factor}, of which nothing fits {spec.name} x{scale}")
    module.load_state_dict({**own, **{key: state[key] for key in loaded}})
    new = tuple(key for key in own if key not in loaded)
    return Transfer(tuple(loaded), new, tuple(key for key in state if key not in loaded))

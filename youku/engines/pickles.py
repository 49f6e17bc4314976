"""Checkpoints as torch pickles (.pth, .pt), read as plain tensors only: loading never runs what a file says.

File -> state dict, also where it is nested as BasicSR and others save it; ValueError says what is wrong.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import torch
from torch import Tensor

NESTED_UNDER = ("params_ema", "params", "state_dict", "model")  # the average of a run comes before its last step


def is_pickle(path: Path) -> bool:
    """True for a torch checkpoint by its first bytes (zip or bare pickle) or its name.

    A safetensors file begins with the length of its header, whose first byte may be a pickle's, and then "{".
    """
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return False
    return head[:4] == b"PK\x03\x04" or head[:1] == b"\x80" or path.suffix in (".pth", ".pt")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .pt file, also nested as BasicSR and others save them; ValueError says what is wrong."""
    try:
        with warnings.catch_warnings():  # torch warns of what is refused below
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class) ([A-Za-z_][\w.]*)", str(error))
        if not found:
            raise ValueError(
                f"{path}: refused: is a bare pickle, not a file of torch.save, and may run any code; where you trust it, "
                "save its weights with torch.save(network.state_dict(), 'weights.pth') and give that file"
                if _is_bare_pickle(path)
                else _damaged(path, error)
            ) from None
        raise ValueError(
            f"{path}: refused: loading it would run {found[1]}, and a pickle that holds more than tensors "
            "can run any code; where you trust it, save its weights alone with "
            "torch.save(network.state_dict(), 'weights.pth') and give that file"
        ) from None
    except OSError as error:
        if error.filename is not None:  # a real fault of the system; torch's own, for a cut zip, names no file
            raise
        raise ValueError(_damaged(path, error)) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(_damaged(path, error)) from None
    return _tensors(path, content)


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    """The state dict inside `content`, without the prefix that DataParallel puts before every key."""
    while isinstance(content, dict) and (inner := next((key for key in NESTED_UNDER if _is_dict(content, key)), None)):
        content = content[inner]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        found = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path}: expected a state dict of tensors, by itself or under {', '.join(NESTED_UNDER)}, got: "
            f"{found or 'nothing'}; of a run of this kit give best.safetensors"
        )
    wrapped = all(key.startswith("module.") for key in content)
    return {key.removeprefix("module.") if wrapped else key: value for key, value in content.items()}


def _is_bare_pickle(path: Path) -> bool:
    """Opens with a pickle's protocol mark and closes with its full stop."""
    data = path.read_bytes()
    return data[:1] == b"\x80" and data[-1:] == b"."


def _is_dict(content: dict, key: str) -> bool:
    return isinstance(content.get(key), dict)


def _damaged(path: Path, error: Exception) -> str:
    told = isinstance(error, RuntimeError | OSError | EOFError) and str(error)  # others name bytes that mean nothing
    reason = f" ({str(error).splitlines()[0]})" if told else ""
    return f"{path}: expected a whole torch checkpoint, got something else or a damaged one{reason}; fetch it again"

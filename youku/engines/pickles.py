"""Checkpoints as torch pickles (.pth, .pt): read as plain data only, and the state dict of a network found in anyone's.

File -> content, and nested tensors -> state dict; ValueError says what is wrong. Loading never runs what a file says,
takes no file whose checksums do not agree or that is named safetensors, and no tensor that claims more than its file holds.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from youku.files import printable

State = dict[str, Tensor]

# what torch.save writes of tensors, dicts and plain values
PLAIN = re.compile(
    r"collections\.OrderedDict|_codecs\.encode|torch\._utils\._rebuild_(tensor|tensor_v[23]|parameter)"
    r"|torch\.(\w+Storage|Size|device|b?float\w+|u?int\d+|bool|complex\d+|nn\.parameter\.Parameter)"
    r"|torch\.storage\.\w+Storage"
)
# data that training scripts keep beside the weights: known by name and left out, so that nothing of theirs is called
LEFT_OUT = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "numpy.dtype", "numpy.ndarray", "argparse.Namespace", "pathlib.PosixPath",
    "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath", "datetime.datetime",
)  # fmt: skip
# what weights lie under, in files of others: averages of a run come before its last step
WRAPPERS = (
    "params_ema", "ema", "model_ema", "ema_model", "state_dict_ema", "net_g_ema", "netG_ema", "generator_ema", "g_ema",
    "params", "state_dict", "model_state_dict", "model_state", "model", "module", "_orig_mod", "generator", "net_g",
    "netG", "net_G", "G", "g", "net", "network", "weights", "student",
)  # fmt: skip
MOST_REPEATED_BYTES = 2**28  # a tensor may be one value many times, within reason
MOST_NESTED = 8  # wrappers, one in another
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # first pickle of a file of torch.save before 1.6
LEGACY_PICKLES = 5
MSDOS_FOLDER = 0x10  # of a member's attributes


class LeftOut:
    """Stands for data that is no weight: takes whatever the pickle says of it and keeps nothing."""

    def __init__(self, *args: object) -> None:
        """Nothing is kept."""

    def __setstate__(self, state: object) -> None:
        """Nothing is kept."""


def read(path: Path) -> Any:
    """What torch.save wrote, tensors on the CPU; ValueError for damage, another file, or a pickle that holds code."""
    held_bytes = path.stat().st_size
    try:
        foreign = [name for name in _names(path, held_bytes) if not PLAIN.fullmatch(name) and name not in LEFT_OUT]
        if foreign:
            raise _Refused(
                f"loading it would run {printable(foreign[0])}, and a pickle that holds more than tensors can run any code; "
                "where you trust it, save its weights alone with torch.save(network.state_dict(), 'weights.pth') "
                "and give that file"
            )
        if path.suffix.lower() == ".safetensors":  # a name that is taken for a promise
            raise _Refused(
                "is a torch checkpoint (a pickle), named as if it were safetensors; rename it to .pth, as which its "
                "tensors alone are read, or fetch the weights again"
            )
        left_out = torch.serialization.safe_globals([(LeftOut, name) for name in LEFT_OUT])
        with warnings.catch_warnings(), left_out, path.open("rb") as file:  # by its path torch would go by its name
            warnings.simplefilter("ignore", UserWarning)  # torch warns of what is refused below
            content = torch.load(file, map_location="cpu", weights_only=True)
        _check_claims(content, held_bytes)
        return content
    except _Refused as error:
        raise ValueError(f"{path}: refused: {error}") from None
    except OSError as error:
        if error.filename is not None:  # a real fault of the system; torch's own, for a cut zip, names no file
            raise
        raise ValueError(_damaged(path, error)) from None
    except Exception as error:  # readers of damaged bytes raise anything: KeyError, AssertionError, struct.error ...
        raise ValueError(_damaged(path, error)) from None


class _Refused(Exception):
    """A whole file that is not taken."""


def _names(path: Path, held_bytes: int) -> list[str]:
    """Every class and function that the pickles of a file name; an error where its checksums or sizes do not agree."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return _names_of_legacy(file)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise RuntimeError("its members are compressed, which torch.save never does")
            if sum(member.file_size for member in members) > held_bytes:
                raise RuntimeError("its members claim more bytes than it holds")
            if not all(map(_is_plain, members)) or len(set(archive.namelist())) < len(members):
                raise RuntimeError("its directory is damaged")
            if (bad := archive.testzip()) is not None:  # torch does not look at the checksums
                raise RuntimeError(f"checksum of {bad}")
            pickles = [archive.read(member) for member in members if member.filename.endswith(".pkl")]
    return [name for data in pickles for name in _names_in(io.BytesIO(data))]


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """Whether torch's reader sees the same bytes as Python's: of what it takes for a folder it reads none at all."""
    is_folder = member.is_dir() or member.external_attr & MSDOS_FOLDER
    return not is_folder and member.compress_size == member.file_size


def _names_of_legacy(file: IO[bytes]) -> list[str]:
    """The same of a file of torch.save before 1.6: pickles in a row, the first of them a known number."""
    file.seek(0)
    is_legacy = LEGACY_MAGIC in file.read(32)
    file.seek(0)
    found = [name for _ in range(LEGACY_PICKLES if is_legacy else 1) for name in _names_in(file)]
    if not is_legacy and all(map(PLAIN.fullmatch, found)):
        raise _Refused(
            "is a bare pickle, not a file of torch.save, and may run any code; where you trust it, "
            "save its weights with torch.save(network.state_dict(), 'weights.pth') and give that file"
        )
    return found


def _names_in(file: IO[bytes]) -> list[str]:
    """What one pickle names, module and class joined by a dot; the pickle is read, not run."""
    found: list[str] = []
    texts = deque(["?", "?"], maxlen=2)
    for opcode, value, _ in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST"):
            found.append(str(value).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            found.append(".".join(texts))
        elif isinstance(value, str):
            texts.append(value)
    return found


def _check_claims(content: object, held_bytes: int) -> None:
    """RuntimeError where tensors, or what lies behind them, claim to be larger than the file."""
    tensors = [value for value in _leaves(content) if isinstance(value, Tensor)]
    stored = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in tensors}
    claimed_bytes = sum(value.numel() * value.element_size() for value in tensors)
    if sum(stored.values()) > held_bytes or claimed_bytes > max(held_bytes, MOST_REPEATED_BYTES):
        raise RuntimeError(f"tensors of {max(claimed_bytes, *stored.values())} bytes in a file of {held_bytes}")


def _leaves(content: object) -> Iterator[object]:
    """What is in dicts, lists and tuples, one inside another; each of them is opened once, also where it holds itself."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list | tuple):
            if id(value) not in seen:
                seen.add(id(value))
                waiting += value.values() if isinstance(value, dict) else value
        else:
            yield value


def tensors_of(path: Path, content: object) -> State:
    """The tensors of a checkpoint's nested dicts under dotted keys ("state_dict.model.head.weight")."""
    found: State = {}
    waiting: list[tuple[str, object]] = [("", content)]
    seen = set()
    while waiting:
        prefix, value = waiting.pop()
        if isinstance(value, Tensor) and prefix:
            found[prefix] = value.detach()
        elif isinstance(value, dict) and id(value) not in seen and prefix.count(".") < MOST_NESTED:
            seen.add(id(value))
            inside = ((f"{prefix}.{key}" if prefix else key, entry) for key, entry in value.items() if type(key) is str)
            waiting += reversed(list(inside))
    if isinstance(content, dict) and "format" in content and "average" in content:
        raise ValueError(
            f"{path}: is a checkpoint to go on training from; give last.safetensors beside it, or the folder"
        )
    if not found:
        names = (
            ", ".join(printable(repr(key)) for key in list(content)[:8])
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise ValueError(
            f"{path}: expected a state dict of tensors, by itself or under {', '.join(WRAPPERS[9:13])} ..., got: "
            f"{names or 'nothing'}; of a run of this kit give best.safetensors"
        )
    return found


def unwrapped(state: State, is_known: Callable[[State], bool]) -> State:
    """The state dict inside its wrappers, whatever their order: the first that is known, else what WRAPPERS lead to."""
    if (known := _known_inside(state, is_known, MOST_NESTED)) is not None:
        return known
    for _ in range(MOST_NESTED):
        inside = _by_first_part(state)
        state = next((inside[name] for name in WRAPPERS if name in inside), state)
    return state


def _known_inside(state: State, is_known: Callable[[State], bool], most_nested: int) -> State | None:
    if is_known(state):
        return state
    inside = _by_first_part(state) if most_nested else {}
    order = [name for name in WRAPPERS if name in inside] + [name for name in inside if name not in WRAPPERS]
    found = (_known_inside(inside[name], is_known, most_nested - 1) for name in order)
    return next((known for known in found if known is not None), None)


def _by_first_part(state: State) -> dict[str, State]:
    """{first part of a key: {its rest: tensor}}."""
    inside: dict[str, State] = {}
    for key, value in state.items():
        first, dot, rest = key.partition(".")
        if dot and rest:
            inside.setdefault(first, {})[rest] = value
    return inside


def _damaged(path: Path, error: Exception) -> str:
    told = isinstance(error, RuntimeError | OSError | EOFError) and str(error)  # others name bytes that mean nothing
    reason = f" ({printable(str(error).splitlines()[0], 200)})" if told else ""
    return f"{path}: expected a whole torch checkpoint, got something else or a damaged one{reason}; fetch it again"

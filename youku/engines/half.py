"""In which numbers a network computes: the one flag `--dtype` of train, predict and evaluate, and what it brings on a device.

auto takes 16 bit where the device is fast in it. `--amp` and `--half` are older names of `--dtype auto`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a second to load: --help does without
    import torch

FLOAT32 = "float32"
DTYPES = (FLOAT32, "auto", "bf16", "fp16")
FOR_TRAINING = ("bf16", "fp16")  # the better first: bf16 needs no scale of the loss
FOR_RUNNING = ("fp16", "bf16")  # fp16 is as fine as TF32, what a GPU convolves float32 in; bf16 has three bits less
EMULATED = 1.7  # bf16 against float32 under ONEDNN_MAX_CPU_ISA=AVX512_CORE (benchmarks/RESULTS.md)

Tell = Callable[[str], object]


def add_flag(parser: argparse.ArgumentParser, is_picked: bool = False) -> None:
    """`--dtype`, for runs of a network, with its older names; where it `is_picked`, None leaves it to `variants`."""
    usual = "fp16 on a GPU where it gives float32's picture, else float32" if is_picked else FLOAT32
    text = f"auto (16-bit convolutions where the device is fast in them; also --half), fp16, bf16, float32 ({usual})"
    parser.add_argument("--dtype", choices=DTYPES, default=None if is_picked else FLOAT32, help=text)
    add_older_names(parser)


def add_older_names(parser: argparse.ArgumentParser) -> None:
    for flag, name in (("--amp", "auto"), ("--half", "auto"), ("--no-amp", FLOAT32)):
        parser.add_argument(flag, dest="dtype", action="store_const", const=name, help=argparse.SUPPRESS)


def chosen(name: str, device: torch.device, tell: Tell, able: tuple[str, ...] = FOR_RUNNING) -> str:
    """What `--dtype NAME` brings on a device, of what the caller is `able` to; else float32, and why is told."""
    wanted = [kind for kind in able if name in ("auto", kind)]
    if found := next((kind for kind in wanted if kind in fast(device)), ""):
        return found
    if name != FLOAT32:
        slower = f"{EMULATED} times as slow with FSRCNN" if device.type == "cpu" else "slower by it"
        tell(
            f"--dtype {name}: {device} has no fast {' or '.join(wanted)} arithmetic and would be {slower}; computing in float32"
        )
    return FLOAT32


def fast(device: torch.device) -> tuple[str, ...]:
    """The 16-bit types that a device computes in: none where a processor would only emulate them."""
    import torch

    if device.type == "cuda":
        return FOR_TRAINING if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    if device.type == "mps":
        return ("fp16",)
    return ("bf16",) if cpu_has_bf16() else ()


def cpu_has_bf16() -> bool:
    """Whether the processor has bf16 instructions (AVX-512 BF16, AMX, or Arm's), as the kernel lists them."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
    except OSError:  # not Linux: no cheap way to ask
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))

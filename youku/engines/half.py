"""In which numbers a network computes: the one flag `--dtype` of train, predict and evaluate, and what it brings on a device.

auto takes 16 bit where the device is fast in it. `--amp` and `--half` are older names of `--dtype auto`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a second to load: --help does without
    import torch

    from youku.engines.network import Network

DTYPES = ("float32", "auto", "bf16", "fp16")
BOTH = ("bf16", "fp16")  # of those, the ones of 16 bit
EMULATED = 1.7  # bf16 against float32 under ONEDNN_MAX_CPU_ISA=AVX512_CORE (benchmarks/RESULTS.md)
SAMPLE_PX = 64  # side of the picture that tells which is faster


def add_flag(parser: argparse.ArgumentParser) -> None:
    """`--dtype`, for runs of a network, with its older names."""
    text = "auto (bf16 convolutions where the device is fast in them; also --half), bf16, or float32 (default)"
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help=text)
    add_older_names(parser)


def add_older_names(parser: argparse.ArgumentParser) -> None:
    for flag, name in (("--amp", "auto"), ("--half", "auto"), ("--no-amp", "float32")):
        parser.add_argument(flag, dest="dtype", action="store_const", const=name, help=argparse.SUPPRESS)


def chosen(
    name: str, device: torch.device, tell: Callable[[str], object], able: tuple[str, ...] = ("bf16",)
) -> torch.dtype | None:
    """The 16-bit type that `--dtype NAME` brings on a device; None for float32, and where it would be slower, which is told.

    ValueError where the caller is not `able` to compute in it.
    """
    import torch

    if name == "float32":
        return None
    if name not in ("auto", *able):
        raise ValueError(f"--dtype {name}: a network is run in {' or '.join(able)}, or in float32; give one of them")
    wanted = able if name == "auto" else (name,)
    for kind in fast(device):
        if kind in wanted:
            return {"bf16": torch.bfloat16, "fp16": torch.float16}[kind]
    slower = f"{EMULATED} times as slow with FSRCNN" if device.type == "cpu" else "slower by it"
    tell(
        f"--dtype {name}: {device} has no fast {' or '.join(wanted)} arithmetic and would be {slower}; computing in float32"
    )
    return None


def warn_if_slower(network: Network, tell: Callable[[str], object]) -> None:
    """CPU seconds of a step on a small picture in bf16 and in float32, on a processor; said where bf16 is slower by a tenth.

    What a processor is fast in depends on the network: AMX halves the time of wide layers and gains nothing on narrow ones.
    """
    import torch

    if not network.half or network.device.type != "cpu":
        return
    engine: Any = network.engine
    x = tuple(torch.zeros(1, *shape) for shape in network.spec.input_shapes(SAMPLE_PX, SAMPLE_PX))
    took_sec: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(4):  # the first is a warm-up
        for is_half, seconds in took_sec.items():
            began = time.process_time()
            replace(engine, half=is_half).step(x, ())
            seconds.append(time.process_time() - began)
    ratio = min(took_sec[True][1:]) / min(took_sec[False][1:])
    if ratio > 1.1:
        tell(f"--dtype bf16: takes {ratio:.1f} times as long as float32 with {network.spec.name} on this processor")


def fast(device: torch.device) -> tuple[str, ...]:
    """The 16-bit types that a device computes in, the better first: none where a processor would only emulate them."""
    import torch

    if device.type == "cuda":
        return BOTH if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
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

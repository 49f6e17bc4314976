"""Whether a device computes in 16 bit fast: asked by train's --amp and by --half of predict and evaluate alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


def chosen(
    device: torch.device, flag: str, tell: Callable[[str], object], kinds: Sequence[torch.dtype] = (torch.bfloat16,)
) -> torch.dtype | None:
    """The 16-bit type, one of `kinds`, that `flag` brings on a device; None where it would slow it down, which is told."""
    found = amp_dtype(device)
    if found in kinds:
        return found
    names = " or ".join(str(kind).removeprefix("torch.") for kind in kinds)
    tell(f"{flag}: {device} has no fast {names} arithmetic and would be slower by it; computing in 32 bit")
    return None


def amp_dtype(device: torch.device) -> torch.dtype | None:
    """bf16 where the device computes in it, fp16 on older GPUs, None on processors that would only emulate it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if cpu_has_bf16() else None


def cpu_has_bf16() -> bool:
    """Whether the processor has bf16 instructions (AVX-512 BF16, AMX, or Arm's), as the kernel lists them."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
    except OSError:  # not Linux: no cheap way to ask
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))

"""Whether a device computes in 16 bit fast: asked by training's --amp and by predict's --half alike."""

from __future__ import annotations

import torch


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


def is_fast_in_bf16(device: torch.device) -> bool:
    return amp_dtype(device) is torch.bfloat16

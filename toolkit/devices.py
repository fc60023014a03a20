"""Device and precision."""

from __future__ import annotations

from functools import lru_cache

from toolkit.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def device(wanted: str = "auto") -> str:
    """`cpu` or `cuda`. Raises `InputError` for another name, and where CUDA is named and this machine has none."""
    if wanted not in DEVICES and not wanted.startswith("cuda:"):
        raise InputError(f"device={wanted!r} must be one of {', '.join(DEVICES)}")
    if wanted == "cpu":
        return wanted
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device={wanted} but this machine has no CUDA device: use device: auto or cpu")
    return wanted


@lru_cache
def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that autocast pays."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    flags = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in flags


def wants_bf16(choice: str, device: str) -> bool:
    """What `bf16: auto | on | off` asks for on a device."""
    return choice == "on" or (choice == "auto" and has_bf16(device))

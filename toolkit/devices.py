"""Choice of the device and of its precision."""

from __future__ import annotations

from functools import lru_cache

from toolkit.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def device(name: str = "auto") -> str:
    """The device to use, `cpu` or `cuda`. Raises `InputError` for an unknown name, and for CUDA without a device."""
    if name not in DEVICES and not name.startswith("cuda:"):
        raise InputError(f"device={name!r} must be one of {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device={name} but this machine has no CUDA device: use device: auto or cpu")
    return name


@lru_cache
def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware. Autocast is then faster."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    flags = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in flags


def wants_bf16(choice: str, device: str) -> bool:
    """Whether the setting `bf16: auto | on | off` means bfloat16 on a device."""
    return choice == "on" or (choice == "auto" and has_bf16(device))

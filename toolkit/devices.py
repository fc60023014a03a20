"""Selection of the device and of the floating-point precision."""

from __future__ import annotations

from functools import lru_cache

from toolkit.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def device(name: str = "auto") -> str:
    """Return the device to use, `cpu` or `cuda`. Raises `InputError` for an unknown or missing device."""
    if name not in DEVICES and not name.startswith("cuda:"):
        raise InputError(f"device={name!r} must be one of {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"device={name!r} requires a CUDA device, which this machine does not have: set `device: auto` or `cpu`"
        )
    return name


def threads() -> int:
    """Return the number of threads of torch and of the BLAS that a process starts with the same number."""
    import torch

    return int(torch.get_num_threads())


@lru_cache
def has_bf16(device: str) -> bool:
    """Return whether the device multiplies bfloat16 in hardware, which makes autocast faster."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    flags = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in flags


def wants_bf16(choice: str, device: str) -> bool:
    """Return whether the setting `bf16: auto | on | off` means bfloat16 on a device."""
    return choice == "on" or (choice == "auto" and has_bf16(device))

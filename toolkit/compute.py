"""Device, precision and seeds."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from functools import lru_cache
from pathlib import Path

from toolkit.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def device(wanted: str = "auto") -> str:
    """`cpu` or `cuda`. Raises `InputError` where CUDA is asked for and absent."""
    import torch

    if wanted not in DEVICES and not wanted.startswith("cuda:"):
        raise InputError(f"device={wanted!r} must be one of {', '.join(DEVICES)}")
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


def free_memory(device: str) -> int:
    """Bytes that can still be allocated on a device; on systems that do not say so of the CPU's, all of its memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def derived_seed(seed: int, *names: object) -> int:
    """A seed for one purpose: independent of every other purpose's draws."""
    digest = hashlib.blake2b(repr((seed, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def give_back_memory() -> None:
    """Have the C library return to the system what was freed, where it keeps it (glibc's `malloc_trim`)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

"""Memory of the process: what is free, what is given back, what is kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""`mallopt`'s parameters, as glibc numbers them: above how many bytes freed memory goes back, and a block is asked of the system."""
NEVER, USUAL = 2**31 - 1, {M_TRIM_THRESHOLD: 64 << 20, M_MMAP_THRESHOLD: 32 << 20}
"""The usual: where glibc's own adapting to large blocks ends."""

UNKNOWN_MEMORY = 4 << 30
"""Bytes that are taken to be free on Windows, whose memory Python's standard library does not report."""


def free_memory(device: str) -> int:
    """Bytes that can still be allocated on a device; on systems that do not say so of the CPU's, all of its memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    if sys.platform == "win32":
        return UNKNOWN_MEMORY
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def give_back_memory() -> None:
    """Have the C library return to the system what was freed, where it keeps it (glibc's `malloc_trim`)."""
    if trim := _of_the_c_library("malloc_trim"):
        trim(0)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, what is freed stays for the next allocation, where the C library (glibc's `mallopt`) can do that; it goes back at the end.

    For steps that take and free the same hundreds of megabytes: given back and taken anew, every page is cleared by
    the system each time. RecBole's SASRec spends a fifth of a step on the CPU so, its BERT4Rec a third.
    """
    set_option = _of_the_c_library("mallopt")
    if set_option is None:
        yield
        return
    for option in USUAL:
        set_option(option, NEVER)
    try:
        yield
    finally:
        for option, value in USUAL.items():
            set_option(option, value)
        give_back_memory()


def _of_the_c_library(name: str) -> Callable[..., int] | None:
    """One of its functions, where it has it: glibc's are not in other systems' libraries."""
    with contextlib.suppress(OSError, TypeError):  # a system whose library cannot be opened so
        return getattr(ctypes.CDLL(None), name, None)
    return None

"""Time and peak memory of a block of code."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Meter:
    """Wall-clock time, and peak resident memory of the process (or of the GPU, if it is used), in MB of 10^6 bytes."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextlib.contextmanager
def metered(device: str = "cpu") -> Iterator[Meter]:
    """Measure a block of code. The meter is filled at the end of the block.

    On Linux the peak is reset at the start. On other systems the peak includes earlier work of the process.
    """
    meter = Meter()
    _forget_peak(device)
    started = time.perf_counter()
    yield meter
    meter.seconds = round(time.perf_counter() - started, 3)
    meter.peak_mb = round(_peak(device) / 1e6, 1)


def _forget_peak(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: str) -> float:
    """Return the peak memory in bytes."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0.0
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)

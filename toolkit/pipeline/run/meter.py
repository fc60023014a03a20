"""Seconds and peak memory of one piece of work."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Meter:
    """Wall clock, and the process's peak resident memory (the device's where work runs there), in MB of 10^6 bytes."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextlib.contextmanager
def metered(device: str = "cpu") -> Iterator[Meter]:
    """Measure the block; the meter is filled when it ends.

    Linux forgets the peak of earlier work at the start; elsewhere it is the process's so far.
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
    """Bytes."""
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

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)

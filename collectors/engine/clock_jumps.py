"""Detection of jumps of the wall clock, by the monotonic clock that no one sets.

Waits inside a process use the monotonic clock. Times that other processes read are of the wall clock, and are corrected
after a jump.
"""

from __future__ import annotations

import time

TOLERANCE = 5.0
"""Seconds by which the clocks may differ before it counts as a jump; a time server moves the clock by less."""


class ClockJumps:
    """Detector of jumps since its creation."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def latest(self) -> float:
        """Return the seconds by which the wall clock jumped since the last jump, negative for back, or 0."""
        jump = time.time() - time.monotonic() - self._offset
        if abs(jump) < TOLERANCE:
            return 0.0
        self._offset += jump
        return jump

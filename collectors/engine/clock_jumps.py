"""Jumps of the wall clock: their detection, by the monotonic clock, and the correction of a ledger.

Waits inside a process use the monotonic clock. Times that other processes read are wall-clock times, and are corrected
after a jump.
"""

from __future__ import annotations

import time

from sqlalchemy import func, select, update

from collectors.engine.ledger import LEASE, LEDGER, SOURCES, Ledger

SKEW = 60.0
"""Seconds by which the clocks of machines that share a library may differ."""
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


def correct_times(ledger: Ledger) -> float:
    """Move times back if entries were written in the future, because the clock went back since.

    Returns the seconds by which the clock went back, or 0.
    """
    with ledger.transaction() as connection:
        newest = connection.scalar(select(func.max(LEDGER.c.time))) or 0.0
    ahead: float = newest - time.time()
    if ahead <= SKEW:
        return 0.0
    move_times(ledger, ahead)
    return ahead


def move_times(ledger: Ledger, seconds: float) -> None:
    """Move times of waiting and pauses back after the clock went back by `seconds`, and bound leases and stamps."""
    now = time.time()
    with ledger.transaction() as connection:
        later = update(LEDGER).where(LEDGER.c.next_try > now)
        connection.execute(later.where(LEDGER.c.owner.is_(None)).values(next_try=LEDGER.c.next_try - seconds))
        leases = later.where(LEDGER.c.owner.is_not(None), LEDGER.c.next_try > now + LEASE)
        connection.execute(leases.values(next_try=now + LEASE))
        connection.execute(update(LEDGER).where(LEDGER.c.time > now).values(time=now))
        paused = update(SOURCES).where(SOURCES.c.not_before > now)
        connection.execute(paused.values(not_before=SOURCES.c.not_before - seconds))

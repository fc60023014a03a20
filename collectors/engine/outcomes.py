"""Pure functions that convert answers and troubles to ledger entries."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Literal

from collectors.engine.hosts import Offline
from collectors.source import Absent, Ambiguous, Answer, Blocked, Entity, Found, RateLimited, Transient, Trouble
from toolkit.catalogue.records import FieldValue

Status = Literal["pending", "found", "absent", "ambiguous", "blocked", "failed"]
STATUSES: tuple[Status, ...] = ("found", "absent", "ambiguous", "blocked", "failed", "pending")
DAY = 86_400.0
LONGEST = 7 * DAY
"""Longest pause that a host may demand; some demand centuries."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Retry schedule for an entity over hours and runs.

    - most: number of attempts after which an entity has failed.
    - first, longest: seconds before the second attempt, and maximum before any attempt.
    """

    most: int = 8
    first: float = 2.0
    longest: float = 3600.0

    def wait(self, attempts: int) -> float:
        """Return the exponential back-off in seconds, with jitter that spreads simultaneous failures."""
        doubled: float = min(self.first * 2.0 ** min(attempts - 1, 60), self.longest)
        return doubled * random.uniform(0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Claim:
    """Claimed fields of an entity; `attempts` is the maximum number of earlier requests for a field."""

    source: str
    entity: Entity
    id: str
    fields: tuple[str, ...]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Ledger entry for one field.

    - payload: SHA-256 of the answer.
    - value: value to store, as a catalogue field or separately.
    """

    field: str
    status: Status
    attempts: int
    next_try: float | None = None
    http_status: int | None = None
    match_score: float | None = None
    payload: str | None = None
    note: str | None = None
    value: FieldValue | None = dataclass_field(default=None, repr=False)


def entries_of_answer(claim: Claim, answer: Answer) -> list[Entry]:
    """Return the final entries of an answer, in which each claimed field is found, absent or ambiguous."""
    data = answer.payload.encode() if isinstance(answer.payload, str) else answer.payload
    payload = hashlib.sha256(data).hexdigest() if data else None
    attempts = claim.attempts + 1
    note = None if isinstance(answer, Found) else answer.note or None
    values = {} if isinstance(answer, Absent) else answer.values
    # an ambiguous answer may come without a value: something similar exists
    without: Status = "ambiguous" if isinstance(answer, Ambiguous) and not values else "absent"
    entries = []
    for name in claim.fields:
        value = values.get(name)
        empty = value is None or value == b"" or (isinstance(value, str) and not value.strip())
        status: Status = without if empty else "found" if isinstance(answer, Found) else "ambiguous"
        score = None if isinstance(answer, Absent) or status == "absent" else answer.score
        value = None if empty else value
        entries.append(Entry(name, status, attempts, match_score=score, payload=payload, note=note, value=value))
    return entries


def entries_of_trouble(claim: Claim, trouble: Trouble, note: str, retries: Retries) -> list[Entry]:
    """Return the entries of a trouble; `note` is the message without keys."""
    now, attempts = time.time(), claim.attempts + 1
    status: Status = "pending"
    next_try: float | None = now + retries.wait(attempts)
    if isinstance(trouble, Offline):
        attempts, next_try = claim.attempts, now
    elif isinstance(trouble, RateLimited):
        attempts, next_try = claim.attempts, now + min(trouble.retry_after or 0.0, LONGEST)
    elif isinstance(trouble, Blocked):
        status = "blocked"
        next_try = now + DAY if trouble.for_good or attempts >= retries.most else next_try
    elif not isinstance(trouble, Transient) or attempts >= retries.most:
        status, next_try = "failed", None
    return [Entry(name, status, attempts, next_try, http_status=trouble.status, note=note) for name in claim.fields]

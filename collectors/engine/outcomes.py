"""What an answer or a trouble means for the ledger, as pure functions."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
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
"""Of a wait that a host asks for; some say centuries."""


@dataclass(frozen=True, slots=True)
class Retries:
    """most: attempts before an entity has failed. first, longest: seconds before the second attempt, and at most."""

    most: int = 8
    first: float = 2.0
    longest: float = 3600.0

    def wait(self, attempts: int) -> float:
        """Exponential, and drawn from half to one and a half of it, so that failures of one moment do not come back in another."""
        doubled: float = min(self.first * 2.0 ** min(attempts - 1, 60), self.longest)
        return doubled * random.uniform(0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Claim:
    """Work that this process has taken: fields of one entity, and how often the most tried of them was asked for before."""

    source: str
    entity: Entity
    id: str
    fields: tuple[str, ...]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger keeps of one answer for one field. value: to be stored with it, among the fields or apart."""

    field: str
    status: Status
    attempts: int
    next_try: float | None = None
    http_status: int | None = None
    match_score: float | None = None
    payload: str | None = None
    note: str | None = None
    value: FieldValue | None = dataclass_field(default=None, repr=False)


def answered(claim: Claim, answer: Answer) -> list[Entry]:
    """Entries of an answer: each field claimed is found, absent or ambiguous, for good."""
    payload = digest(answer.payload)
    if isinstance(answer, Absent):
        return [
            Entry(name, "absent", claim.attempts + 1, payload=payload, note=answer.note or None)
            for name in claim.fields
        ]
    there: Status = "found" if isinstance(answer, Found) else "ambiguous"
    note = answer.note or None if isinstance(answer, Ambiguous) else None
    return [_valued(claim, name, there, answer.values, answer.score, payload, note) for name in claim.fields]


def troubled(claim: Claim, trouble: Trouble, *, now: float, retries: Retries, note: str) -> list[Entry]:
    """Entries of a trouble. note: its text without keys."""
    attempts = claim.attempts + 1
    status: Status = "pending"
    next_try: float | None = now + retries.wait(attempts)
    if isinstance(trouble, Offline):
        attempts, next_try = claim.attempts, now
    elif isinstance(trouble, RateLimited):
        attempts = claim.attempts
        next_try = now + min(trouble.retry_after or 0.0, LONGEST)
    elif isinstance(trouble, Blocked):
        status = "blocked"
        next_try = now + DAY if trouble.for_good or attempts >= retries.most else next_try
    elif not isinstance(trouble, Transient) or attempts >= retries.most:
        status, next_try = "failed", None
    return [Entry(name, status, attempts, next_try, http_status=trouble.status, note=note) for name in claim.fields]


def digest(payload: bytes | str) -> str | None:
    """SHA-256 of what was answered, None where the source does not say."""
    data = payload.encode() if isinstance(payload, str) else payload
    return hashlib.sha256(data).hexdigest() if data else None


def _valued(
    claim: Claim,
    name: str,
    there: Status,
    values: Mapping[str, FieldValue],
    score: float,
    payload: str | None,
    note: str | None,
) -> Entry:
    value = values.get(name)
    if value is None or value == "" or value == b"" or (isinstance(value, str) and not value.strip()):
        # an ambiguous answer without its value still says that something like it is there
        status: Status = "ambiguous" if there == "ambiguous" and not values else "absent"
        return Entry(
            name,
            status,
            claim.attempts + 1,
            payload=payload,
            note=note,
            match_score=score if status == "ambiguous" else None,
        )
    return Entry(name, there, claim.attempts + 1, match_score=score, payload=payload, note=note, value=value)

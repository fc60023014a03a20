"""Threads that send the requests of a source, and lanes of requests."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collectors.engine.host_limits import Stopped
from collectors.engine.hosts import Offline
from collectors.engine.outcomes import Claim
from collectors.engine.value_checks import check_answer
from collectors.source import Absent, Answer, Blocked, Entity, Http, Request, Source, Transient, Trouble
from toolkit.errors import SegueError, first_line

MAX_BLOCKED = 20
"""Block pages in a row that stop a source."""
LOCAL_THREADS = 2
"""Threads of a source that reads files."""
MANY, FEW = 100, 0.05
"""Number of entities from which a share of values below `FEW` is reported. Below it, only a share of 0 is reported."""
MIN_BATCH, MAX_BATCH = 8, 256
"""Entities that are claimed at once."""


@dataclass
class Lane:
    """Fields of one kind of entity that are requested together.

    - total, done: number of open entities at the start of the run, and closed since.
    - ended: reason why these fields are no longer requested.
    - waiting: claimed entities without a thread.
    - look_again: when to query the ledger again, as a `time.monotonic` value.
    - due: when the ledger will have entities again, in seconds since 1970, or None where none are left.
    """

    entity: Entity
    fields: tuple[str, ...]
    total: int = 0
    done: int = 0
    ended: str | None = None
    waiting: deque[tuple[Claim, Request]] = field(default_factory=deque)
    look_again: float = 0.0
    due: float | None = 0.0
    batch: int = MIN_BATCH
    claimed_at: float = 0.0

    def next_batch(self, now: float) -> int:
        """Return the number of entities to claim, which is work for a few seconds; `now` is of `time.monotonic`."""
        seconds = now - self.claimed_at
        if seconds < 1.0:
            self.batch = min(self.batch * 2, MAX_BATCH)
        elif seconds > 5.0:
            self.batch = max(self.batch // 2, MIN_BATCH)
        self.claimed_at = now
        return self.batch

    def drain(self) -> list[Claim]:
        """Remove and return claims without a thread."""
        claims = [claim for claim, _ in self.waiting]
        self.waiting.clear()
        return claims


@dataclass(frozen=True)
class Result:
    """Outcome of a request, which is an answer or an exception."""

    pool: WorkerPool
    lane: Lane
    claim: Claim
    request: Request
    answer: Answer | None = None
    error: Exception | None = None


class WorkerPool:
    """Source with lanes and threads.

    - http: client for the requests.
    - store_cover: function that writes a cover before its row, in the thread of the request.
    """

    def __init__(self, source: Source, fields: Sequence[str], http: Http, store_cover: Callable[[bytes], None]) -> None:
        self.source = source
        self.lanes = [Lane(entity, names) for entity, names in source.lanes(fields)]
        self.threads = sum(host.concurrency for host in source.hosts) or LOCAL_THREADS
        self.in_flight, self._blocked_in_row = 0, 0
        self.stopped: str | None = None
        self.counts: Counter[str] = Counter()
        self.absent: Request | None = None  # an example of those without a value
        self._http, self._store_cover = http, store_cover
        self._jobs: queue.SimpleQueue[tuple[Lane, Claim, Request] | None] = queue.SimpleQueue()
        self._offline_since: float | None = None

    def start(self, results: queue.SimpleQueue[Result]) -> None:
        """Start the threads, which put results into the queue `results`."""
        for number in range(self.threads):
            name = f"{self.source.name}-{number}"
            # daemons: a client library that hangs for ever must not keep the process alive
            threading.Thread(target=self._work, args=(results,), name=name, daemon=True).start()

    def hand_out(self) -> None:
        """Queue waiting requests from all lanes in turn, only as many as keep all threads busy."""
        while self.in_flight < 2 * self.threads and (lanes := [lane for lane in self.lanes if lane.waiting]):
            for lane in lanes:
                self._jobs.put((lane, *lane.waiting.popleft()))
                self.in_flight += 1

    def end_threads(self) -> None:
        """Make each thread end after its current request."""
        for _ in range(self.threads):
            self._jobs.put(None)

    @property
    def open_lanes(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.ended is None]

    @property
    def stop_reason(self) -> str | None:
        """Return why the source or some fields stopped early, or None."""
        ended = [f"{', '.join(lane.fields)}: {lane.ended}" for lane in self.lanes if lane.ended]
        return self.stopped or "; ".join(ended) or None

    @property
    def remark(self) -> str:
        """Return a warning if the files of the source have values for few entities, or an empty text."""
        total = sum(self.counts.values())
        found = total - self.counts["absent"]
        few = found == 0 if total < MANY else found < FEW * total
        text = self.source.remark(self.absent) if self.absent is not None and few else ""
        return text and f"{self.source.name} has values for {found:,} of {total:,} entities: {text}"

    def finished(self, until: float) -> bool:
        """Return whether no request is due before the time `until`, in seconds since 1970."""
        if self.in_flight:
            return False
        waits = any(lane.waiting for lane in self.lanes)
        due = any(lane.due is not None and lane.due <= until for lane in self.open_lanes)
        return self.stopped is not None or not (waits or due)

    def failure_after(self, error: Exception | None, patience: float) -> str | None:
        """Count the outcome of a request, and return why the source must stop, or None.

        - error: exception of the request, or None for an answer.
        - patience: maximum time in seconds for which a host may be unreachable.
        """
        now = time.monotonic()
        self._blocked_in_row = self._blocked_in_row + 1 if isinstance(error, Blocked) else 0
        since = now if self._offline_since is None else self._offline_since
        self._offline_since = since if isinstance(error, Offline) else None
        if self._blocked_in_row >= MAX_BLOCKED:
            return (
                f"refused {MAX_BLOCKED} times in a row ({error}): open the page in a browser, wait, "
                "and run the same command again"
            )
        if self._offline_since is not None and now - self._offline_since > patience:
            return f"{error} for {patience:.0f} s: run the same command again later"
        return None

    def _work(self, results: queue.SimpleQueue[Result]) -> None:
        while (job := self._jobs.get()) is not None:
            results.put(self._collect(*job))

    def _collect(self, lane: Lane, claim: Claim, request: Request) -> Result:
        try:
            answer = check_answer(self.source.collect(request, self._http))
            for value in () if isinstance(answer, Absent) else answer.values.values():
                if isinstance(value, bytes):
                    self._store_cover(value)
            return Result(self, lane, claim, request, answer)
        except (Trouble, SegueError, Stopped) as error:
            return Result(self, lane, claim, request, error=error)
        except BaseException as error:  # also those of compiled libraries: the thread must continue
            return Result(self, lane, claim, request, error=Transient(_description(error)))


def _description(error: BaseException) -> str:
    """Return the message for an answer on which a source, or one of its libraries, fails.

    The next answer may be readable, so the source continues.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"the answer cannot be read ({type(error).__name__} at {place}: {first_line(error)[:200]})"

"""One source at work: its lanes of requests, and the threads that ask them."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from collectors.engine.host_limits import Stopped
from collectors.engine.hosts import Offline
from collectors.engine.outcomes import Claim
from collectors.engine.value_checks import checked
from collectors.source import Absent, Ambiguous, Answer, Blocked, Entity, Found, Http, Request, Source, Trouble
from toolkit.errors import SegueError

MOST_BLOCKED = 20
"""Block pages in a row that stop a source."""
LOCAL_THREADS = 2
"""For sources that read files."""
FEW, MANY = 8, 256
"""Entities that are claimed at once."""


@dataclass
class Lane:
    """Fields of one kind of entity that are asked for together.

    waiting: claimed, not handed out. look_again: when the ledger is next asked for more. due: when it will have some, None
    where nothing is left. total, done: entities open at the start of the run, and closed since. ended: why no more is asked.
    """

    entity: Entity
    fields: tuple[str, ...]
    total: int = 0
    done: int = 0
    ended: str | None = None
    waiting: deque[tuple[Claim, Request]] = field(default_factory=deque)
    look_again: float = 0.0
    due: float | None = 0.0
    batch: int = FEW
    claimed_at: float = 0.0

    def next_batch(self, now: float) -> int:
        """How many to claim: what is asked in a few seconds, so that little is held and little is spent on claiming."""
        quick = now - self.claimed_at
        self.batch = (
            min(self.batch * 2, MANY) if quick < 1.0 else max(self.batch // 2, FEW) if quick > 5.0 else self.batch
        )
        self.claimed_at = now
        return self.batch


@dataclass(frozen=True)
class Result:
    """What came of one request: an answer, or what was raised instead."""

    team: Team
    lane: Lane
    claim: Claim
    request: Request
    answer: Answer | None = None
    error: Exception | None = None


class Team:
    """A source, its lanes and its threads. results: where answers go; room: stores covers ahead of their row."""

    def __init__(
        self, source: Source, lanes: Sequence[Lane], threads: int, http: Http, store: Callable[[bytes], Any]
    ) -> None:
        self.source = source
        self.lanes = list(lanes)
        self.threads = threads
        self.in_flight = 0
        self.stopped: str | None = None
        self.counts: Counter[str] = Counter()
        self._http = http
        self._store = store
        self._jobs: queue.SimpleQueue[tuple[Lane, Claim, Request] | None] = queue.SimpleQueue()
        self._blocked = 0
        self._offline_since: float | None = None

    def start(self, results: queue.SimpleQueue[Result]) -> None:
        for number in range(self.threads):
            # daemons: a library that hangs for ever must not keep the process
            threading.Thread(
                target=self._work, args=(results,), name=f"{self.source.name}-{number}", daemon=True
            ).start()

    def hand_out(self) -> None:
        """Give waiting requests to the threads, no more than keeps each busy, lane by lane in turn."""
        lanes = [lane for lane in self.lanes if lane.waiting]
        while lanes and self.in_flight < 2 * self.threads:
            for lane in lanes:
                claim, request = lane.waiting.popleft()
                self._jobs.put((lane, claim, request))
                self.in_flight += 1
            lanes = [lane for lane in lanes if lane.waiting]

    def dismiss(self) -> list[Claim]:
        """Hand out nothing more; what was claimed for nothing."""
        left = [claim for lane in self.lanes for claim, _ in lane.waiting]
        for lane in self.lanes:
            lane.waiting.clear()
        return left

    def end_lane(self, lane: Lane, why: str) -> list[Claim]:
        """Ask no more for these fields; what was claimed for nothing."""
        lane.ended = why
        left = [claim for claim, _ in lane.waiting]
        lane.waiting.clear()
        return left

    @property
    def open_lanes(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.ended is None]

    @property
    def why(self) -> str | None:
        """Why the source, or some of its fields, stopped before the end."""
        ended = [f"{', '.join(lane.fields)}: {lane.ended}" for lane in self.lanes if lane.ended]
        return self.stopped or "; ".join(ended) or None

    def end(self) -> None:
        """Let the threads go when they are done."""
        for _ in range(self.threads):
            self._jobs.put(None)

    @property
    def idle(self) -> bool:
        return not self.in_flight and not any(lane.waiting for lane in self.lanes)

    def judge(self, result: Result, patience: float) -> str | None:
        """Why the source stops after this result, where it does."""
        error, now = result.error, time.time()
        self._blocked = self._blocked + 1 if isinstance(error, Blocked) else 0
        if not isinstance(error, Offline):
            self._offline_since = None
        elif self._offline_since is None:
            self._offline_since = now
        if self._blocked >= MOST_BLOCKED:
            return f"refused {MOST_BLOCKED} times in a row ({error}): look at it in a browser, wait, and run the same command again"
        if self._offline_since is not None and now - self._offline_since > patience:
            return f"{error} for {patience:.0f} s: run the same command again when it can"
        return None

    def _work(self, results: queue.SimpleQueue[Result]) -> None:
        while (job := self._jobs.get()) is not None:
            results.put(self._ask(*job))

    def _ask(self, lane: Lane, claim: Claim, request: Request) -> Result:
        try:
            answer = self.source.collect(request, self._http)
            return Result(self, lane, claim, request, self._ready(answer))
        except (Trouble, Stopped, SegueError) as error:
            return Result(self, lane, claim, request, error=error)
        except Exception as error:
            return Result(self, lane, claim, request, error=error)

    def _ready(self, answer: Answer) -> Answer:
        """Values checked, and covers written already: that takes a disk's time, which the threads have."""
        if isinstance(answer, Absent):
            return answer
        values = checked(answer.values)
        for value in values.values():
            if isinstance(value, bytes):
                self._store(value)
        if isinstance(answer, Found):
            return Found(values, answer.score, answer.payload, answer.others)
        return Ambiguous(answer.score, values, answer.note, answer.payload)

"""Engine that requests open ledger entries from all sources and stores each answer immediately.

Threads send requests, and only the engine thread writes. A kill loses only the requests that are under way. A second
process on the same library claims other entities.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from collectors.engine import host_limits
from collectors.engine.answer_store import AnswerStore, NotStorable, StorageExceeded
from collectors.engine.clock_jumps import ClockJumps, correct_times, move_times
from collectors.engine.host_limits import HostLimits, Stopped
from collectors.engine.hosts import Seconds, Timeouts, host_of, rates_by_host, user_agent
from collectors.engine.http_client import Client
from collectors.engine.ledger import DiskFull, Ledger
from collectors.engine.outcomes import LONGEST, STATUSES, Entry, Retries, entries_of_answer, entries_of_trouble
from collectors.engine.process_lock import ProcessLock, interruptible
from collectors.engine.servers import Servers, check_keys
from collectors.engine.value_checks import MAX_NOTE, storable
from collectors.engine.work_feed import WorkFeed
from collectors.engine.worker_pool import Lane, Result, WorkerPool
from collectors.keys import Scrubber
from collectors.source import ID_FIELDS, Blocked, Found, RateLimited, Source, Trouble
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError, SegueError
from toolkit.files import disk_full
from toolkit.interrupts import Interrupted
from toolkit.progress import Reporter, duration

RENEW_EVERY: Seconds = 60.0
REPORT_EVERY: Seconds = 0.25
IDLE: Seconds = 0.5
"""Longest wait for a result before the lanes are looked at again."""
FAREWELL: Seconds = 5.0
"""Wait for requests under way when the run is interrupted."""


@dataclass(frozen=True)
class Settings:
    """Settings of a collection run.

    - contact: e-mail address or page that hosts can write to.
    - patience: maximum wait in seconds. Requests with a longer wait are left for the next run.
    - limits: folder of the files in which requests to hosts are counted.
    """

    contact: str
    patience: Seconds = 300.0
    retries: Retries = field(default_factory=Retries)
    limits: Path = field(default_factory=host_limits.folder)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Summary:
    """Results for a source, with entities by outcome, open entities and the reason of an early stop."""

    source: str
    counts: dict[str, int]
    left: int
    stopped: str | None = None


class Engine:
    """Collection run over one catalogue.

    - plan: sources with the fields to collect.
    - reporter: receiver of progress and notes, by default none.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        plan: Sequence[tuple[Source, Sequence[str]]],
        settings: Settings,
        *,
        reporter: Reporter | None = None,
    ) -> None:
        self._catalogue, self._settings, self._reporter = catalogue, settings, reporter or Reporter()
        sources = [source for source, _ in plan]
        self._scrub = Scrubber(secret for source in sources for secret in source.secrets.values())
        self._stop = threading.Event()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._lock = ProcessLock(catalogue)
        self.ledger = Ledger(catalogue, self._lock.owner, settings.patience, self._reporter.note)
        self._limits = HostLimits(
            rates_by_host(sources), settings.limits, self._stop, settings.patience, self._reporter.note
        )
        self._clients = [client_of(source, self._limits, settings) for source in sources]
        self._pools = [
            WorkerPool(source, fields, client, partial(store_cover, catalogue))
            for (source, fields), client in zip(plan, self._clients, strict=True)
        ]
        self._answers = AnswerStore(self.ledger, sources)
        self._feed = WorkFeed(self.ledger, self._pools, settings.patience)
        self._renewed = self._reported = -math.inf
        self._jumps = ClockJumps()

    def run(self) -> list[Summary]:
        """Collect all entries that are due within `patience`. A later run continues with the rest.

        Raises `SegueError` if the disk stays full, and `Interrupted` after a signal, once pending answers are written.
        """
        with self._scrub.logs(), self._lock.held(), interruptible(self._stop), contextlib.ExitStack() as stack:
            self._lock.release_dead(self.ledger)
            if ahead := correct_times(self.ledger):
                self._reporter.note(jump_note(-ahead, " since the last run"))
            for pool in self._pools:
                self._open(pool, stack)
            try:
                self._loop()
                for remark in filter(None, (pool.remark for pool in self._pools)):
                    self._reporter.note(remark)
            finally:
                interrupted = self._stop.is_set()
                self._close()
        if interrupted:
            raise Interrupted
        return [summary_of(pool, self.ledger) for pool in self._pools]

    def _open(self, pool: WorkerPool, stack: contextlib.ExitStack) -> None:
        """Plan the entries of a source and start threads, unless the host requires a long pause."""
        source = pool.source
        paused_until = self.ledger.register(source)
        if source.terms.storage_days is not None:
            self._answers.expire(source.name, source.terms.storage_days)
        try:
            reopen_after_change(pool, self.ledger, self._reporter)
        except InputError as error:
            self._end(pool, str(error))
            return
        for lane in pool.lanes:
            for name in lane.fields:
                self.ledger.plan(source.name, name, lane.entity)
            lane.total = self.ledger.left(source.name, lane.fields)
        if (wait := min(paused_until - time.time(), LONGEST)) > self._settings.patience:
            self._end(pool, f"the host accepts no requests for another {duration(wait)}: run the same command later")
            return
        for host in source.hosts if wait > 0 else ():
            self._limits.of(host_of(getattr(source.params, host.url))).pause(wait)
        (folder := self._catalogue.blobs.root / ".sources" / source.name).mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(source.opened(folder))
        except SegueError as error:
            self._end(pool, str(error))
            return
        pool.start(self._results)

    def _loop(self) -> None:
        self._feed.start()
        while not self._stop.is_set():
            now = time.monotonic()
            if jump := self._jumps.latest():
                self._after_jump(jump)
            for pool in self._pools:
                self._feed.fill(pool, now)
            if all(pool.finished(time.time() + self._settings.patience) for pool in self._pools):
                return
            self._tick(now)
            with contextlib.suppress(queue.Empty):
                self._take(self._results.get(timeout=0.05 if soon(self._pools, now) else IDLE))
                while True:
                    self._take(self._results.get_nowait())

    def _after_jump(self, jump: Seconds) -> None:
        """Renew claims and correct waiting times after the clock was set."""
        if jump < 0:
            self.ledger.with_room(move_times, self.ledger, -jump)
        self.ledger.with_room(self.ledger.renew)
        for lane in (lane for pool in self._pools for lane in pool.open_lanes):
            lane.due = lane.look_again = 0.0
        self._reporter.note(jump_note(jump))

    def _take(self, result: Result) -> None:
        """Write one result, and stop the source or its fields if the result requires it."""
        pool, lane, error = result.pool, result.lane, result.error
        pool.in_flight -= 1
        lane.due = 0.0
        if error is not None and not isinstance(error, Trouble):
            self.ledger.with_room(self.ledger.release, [result.claim])
            if not isinstance(error, Stopped):
                self._end(pool, str(error))
            return
        self._write(result)
        if isinstance(error, Blocked) and error.for_good:
            self._end(pool, str(error), lane)
        elif (reason := pool.failure_after(error, self._settings.patience)) is not None:
            self._end(pool, reason)
        elif isinstance(error, RateLimited) and (error.retry_after or 0.0) > self._settings.patience:
            self._pause(pool, min(error.retry_after or 0.0, LONGEST))

    def _pause(self, pool: WorkerPool, seconds: Seconds) -> None:
        until = time.time() + seconds
        self.ledger.with_room(self.ledger.pause, pool.source.name, until)
        clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
        self._end(pool, f"the host accepts no requests for {duration(seconds)}: run the same command after {clock}")

    def _write(self, result: Result) -> None:
        pool, lane = result.pool, result.lane
        entries = entries_of_result(result, self._scrub, self._settings.retries)
        others = result.answer.others if isinstance(result.answer, Found) else ()
        try:
            if not self._answers.write(result.claim, entries, pool.source.terms, others):
                return
        except NotStorable as error:
            self._write(replace(result, answer=None, error=error))
            return
        except StorageExceeded as error:
            self.ledger.with_room(self.ledger.release, [result.claim])
            self._end(pool, str(error))
            return
        closed = [entry for entry in entries if entry.next_try is None]
        pool.counts.update(entry.status for entry in closed)
        if pool.absent is None and any(entry.status == "absent" for entry in closed):
            pool.absent = result.request
        if len(closed) < len(entries):
            lane.look_again = 0.0
        else:
            lane.done += 1
            if set(lane.fields) & set(ID_FIELDS):
                self._feed.wake_for(result.request)

    def _end(self, pool: WorkerPool, reason: str, lane: Lane | None = None) -> None:
        """Stop a source or only one of its lanes, while other lanes continue."""
        if pool.stopped is not None or (lane is not None and lane.ended is not None):
            return
        text = self._scrub(" ".join(reason.split()))
        if lane is not None:
            lane.ended = text
        if lane is None or not pool.open_lanes:
            pool.stopped = text
        self._reporter.note(f"{pool.source.name} stops: {pool.stop_reason}")
        lanes = pool.lanes if lane is None or pool.stopped else [lane]
        self.ledger.with_room(self.ledger.release, [claim for lane in lanes for claim in lane.drain()])
        self._feed.wake_all()

    def _tick(self, now: float) -> None:
        if now - self._renewed > RENEW_EVERY:
            self._renewed = now
            self.ledger.with_room(self.ledger.renew)
        if now - self._reported > REPORT_EVERY:
            self._reported = now
            report(self._pools, self._reporter)

    def _close(self) -> None:
        """Write pending answers and release all other claims."""
        self._stop.set()
        for pool in self._pools:
            for lane in pool.lanes:
                lane.waiting.clear()  # all claims of this process are released together below
            pool.end_threads()
        deadline = time.monotonic() + FAREWELL
        while any(pool.in_flight for pool in self._pools) and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(self._results.get(timeout=left))
        with contextlib.suppress(DiskFull):  # the next run releases the claims of processes that have ended
            self.ledger.release_all(self._lock.owner)
        report(self._pools, self._reporter)
        self._limits.close()
        for client in self._clients:
            client.close()


def client_of(source: Source, limits: HostLimits, settings: Settings) -> Client:
    """Return the client of a source. Raises `InputError` if its keys would be sent to another server."""
    check_keys(source.name, source.hosts, source.params, source.secrets)
    return Client(
        limits.of,
        user_agent(settings.contact),
        servers=Servers.of(source.hosts, source.params),
        secrets=source.secrets.values(),
        timeouts=settings.timeouts,
    )


def store_cover(catalogue: Catalogue, data: bytes) -> None:
    """Write a cover before its row, in a thread of the source.

    If the disk is full, the writer of the row waits for space.
    """
    try:
        catalogue.blobs.put(data)
    except SegueError as error:
        if not disk_full(error):
            raise


def entries_of_result(result: Result, scrub: Scrubber, retries: Retries) -> list[Entry]:
    """Return the ledger entries of an answer or of a trouble, without keys."""
    if result.answer is not None:
        return entries_of_answer(result.claim, result.answer)
    assert isinstance(result.error, Trouble)
    note = storable(scrub(str(result.error)))[:MAX_NOTE]
    return entries_of_trouble(result.claim, result.error, note, retries)


def soon(pools: Sequence[WorkerPool], now: Seconds) -> bool:
    """Return whether a lane must be checked within `IDLE` seconds of `now`, a `time.monotonic` value."""
    lanes = [lane for pool in pools if pool.stopped is None for lane in pool.open_lanes if not lane.waiting]
    return any(lane.due is not None and lane.look_again < now + IDLE for lane in lanes)


def report(pools: Sequence[WorkerPool], reporter: Reporter) -> None:
    """Report the progress of all lanes."""
    for pool in pools:
        counts = "".join(f", {n:,} {status}" for status, n in sorted(pool.counts.items()))
        for lane in pool.lanes:
            reporter(lane.done, lane.total, f"{pool.source.name} {'+'.join(lane.fields)}{counts}")


def summary_of(pool: WorkerPool, ledger: Ledger) -> Summary:
    """Return the results of a source."""
    left = sum(ledger.left(pool.source.name, lane.fields) for lane in pool.lanes)
    counts: dict[str, int] = {status: n for status in STATUSES if (n := pool.counts[status])}
    return Summary(pool.source.name, counts, left, pool.stop_reason)


def reopen_after_change(pool: WorkerPool, ledger: Ledger, reporter: Reporter) -> None:
    """Reopen entries without a value if the files of a source have changed."""
    source, fields = pool.source, [name for lane in pool.lanes for name in lane.fields]
    state = source.state()
    if reopened := ledger.reopen_after_change(source.name, fields, state) if state else 0:
        reporter.note(f"{source.name}: its files have changed: {reopened:,} missing values are looked up again")


def jump_note(seconds: Seconds, since: str = "") -> str:
    """Return the line about a jump of the clock."""
    direction = "back" if seconds < 0 else "forward"
    return f"the clock went {direction} by {duration(abs(seconds))}{since}: times of requests are corrected"

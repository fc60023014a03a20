"""The engine: asks every source at its hosts' pace for what the ledger lacks, and writes each answer down the moment it is there.

Threads ask, this thread alone writes. A kill at any instant loses the requests
under way and nothing else; a second process on the same library takes other
entities.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from collectors.engine import host_limits as limits
from collectors.engine.host_limits import HostLimit, Stopped
from collectors.engine.hosts import Timeouts, host_of, user_agent
from collectors.engine.http_client import Client
from collectors.engine.ledger import DiskFull, Ledger
from collectors.engine.outcomes import LONGEST, STATUSES, Claim, Entry, Retries, answered, troubled
from collectors.engine.process_lock import Life, interruptible
from collectors.engine.rates import rates
from collectors.engine.workers import LOCAL_THREADS, Lane, Result, Team
from collectors.keys import Scrubber
from collectors.source import ID_FIELDS, Blocked, RateLimited, Request, Source, Trouble
from toolkit.catalogue.store import Catalogue
from toolkit.errors import SegueError
from toolkit.files import disk_full
from toolkit.progress import Reporter, duration

Seconds = float
Written = TypeVar("Written")
RENEW: Seconds = 60.0
TELL: Seconds = 0.25
IDLE: Seconds = 0.5
FAREWELL: Seconds = 5.0
"""For requests under way when the run is interrupted."""
DEFER: Seconds = 120.0
"""After which what waits for an id looks again by itself; mostly it is woken by the answer."""
AWAITS_ID = "waits for an id that another source is asked for"
NO_ID = "no id to ask by"


@dataclass(frozen=True)
class Settings:
    """patience: the longest wait inside a run; what takes longer is left for the next one. limits: folder of the hosts' limits."""

    contact: str
    patience: Seconds = 300.0
    retries: Retries = field(default_factory=Retries)
    limits: Path = field(default_factory=limits.folder)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Summary:
    """A source's part of a run: entities by outcome, those left open, and why it stopped where it did before its end."""

    source: str
    counts: dict[str, int]
    left: int
    stopped: str | None = None


class Engine:
    """One run over one catalogue. plan: sources with the fields that each is asked for."""

    def __init__(
        self,
        catalogue: Catalogue,
        plan: Sequence[tuple[Source, Sequence[str]]],
        settings: Settings,
        *,
        reporter: Reporter | None = None,
    ) -> None:
        self._settings = settings
        self._reporter = reporter or Reporter()
        self._catalogue = catalogue
        self.scrub = Scrubber(secret for source, _ in plan for secret in source.secrets.values())
        self._stop = threading.Event()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._life = Life(catalogue)
        self.ledger = Ledger(catalogue, self._life.owner)
        self._limits: dict[str, HostLimit] = {}
        self._limits_lock = threading.Lock()
        self._rates = rates(source for source, _ in plan)
        self._client = Client(self._limit, user_agent(settings.contact), timeouts=settings.timeouts)
        self._teams = [self._team(source, fields) for source, fields in plan]
        self._stored = {
            source.name: self.ledger.stored(source.name) for source, _ in plan if source.terms.storage_bytes is not None
        }
        self._renewed = self._told = 0.0

    def run(self) -> list[Summary]:
        """Ask until nothing is left that can be asked within `patience`; the rest is for the same command again.

        Raises `SegueError` where the disk stays full; an interrupt is passed on once what is under way is written down.
        """
        with self.scrub.logs(), self._life.alive(), interruptible(self._stop), contextlib.ExitStack() as stack:
            self._life.free_the_dead(self.ledger)
            for team in self._teams:
                self._open(team, stack)
            try:
                self._loop()
            finally:
                interrupted = self._stop.is_set()
                self._farewell()
        if interrupted:
            raise KeyboardInterrupt
        return [self._summary(team) for team in self._teams]

    def _team(self, source: Source, fields: Sequence[str]) -> Team:
        lanes = [Lane(entity, names) for entity, names in source.lanes(fields)]
        threads = sum(host.concurrency for host in source.hosts) or LOCAL_THREADS
        return Team(source, lanes, threads, self._client, self._store_early)

    def _open(self, team: Team, stack: contextlib.ExitStack) -> None:
        source = team.source
        until = self.ledger.register(source)
        if source.terms.storage_days is not None:
            self.ledger.expire(source.name, source.terms.storage_days)
        for lane in team.lanes:
            for name in lane.fields:
                self.ledger.plan(source.name, name, lane.entity)
            lane.total = self.ledger.left(source.name, lane.fields)
        if (wait := until - time.time()) > self._settings.patience:
            self._end(team, f"asked to be left alone for another {duration(wait)}: run the same command again then")
            return
        for host in source.hosts:
            if wait > 0:
                self._limit(host_of(getattr(source.params, host.url))).pause(wait)
        folder = self._catalogue.blobs.root / ".sources" / source.name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(source.opened(folder))
        except SegueError as error:
            self._end(team, str(error))
            return
        team.start(self._results)

    def _loop(self) -> None:
        self._with_room(self.ledger.wake, NO_ID)
        while not self._stop.is_set():
            now = time.time()
            for team in self._teams:
                self._feed(team, now)
            if all(self._finished(team, now) for team in self._teams):
                return
            self._tick(now)
            try:
                self._take(self._results.get(timeout=IDLE if not self._soon(now) else 0.05))
                while True:
                    self._take(self._results.get_nowait())
            except queue.Empty:
                continue

    def _feed(self, team: Team, now: float) -> None:
        """Claim for lanes that ran dry, and keep the threads busy."""
        if team.stopped is not None:
            return
        for lane in team.open_lanes:
            if lane.waiting or now < lane.look_again or lane.due is None:
                continue
            claims = self._with_room(
                self.ledger.claim, team.source.name, lane.entity, lane.fields, lane.next_batch(now)
            )
            if claims:
                self._line_up(team, lane, claims)
            else:
                lane.due = self.ledger.next_due(team.source.name, lane.fields)
                lane.look_again = now + 2.0 if lane.due is None else min(max(lane.due, now + 0.02), now + 2.0)
        team.hand_out()

    def _line_up(self, team: Team, lane: Lane, claims: list[Claim]) -> None:
        """Requests of what was claimed, but for those that have to wait for an id or have none."""
        source = team.source
        wanted = {*source.needs, *source.uses}
        # read before the ids themselves: what another process finds in between is seen as found, not as wanting
        expected = self._awaited(source, lane, [claim.id for claim in claims]) if wanted else set()
        pairs = list(zip(claims, self.ledger.requests(claims), strict=True))
        awaited = {claim.id for claim, request in pairs if not wanted & set(request.ids)} & expected
        nothing = {
            claim.id for claim, request in pairs if source.needs and not set(source.needs) & set(request.ids)
        } - awaited
        lane.waiting.extend((claim, request) for claim, request in pairs if claim.id not in awaited | nothing)
        self._with_room(
            self.ledger.give_back, [c for c in claims if c.id in nothing], next_try=time.time() + LONGEST, note=NO_ID
        )
        if awaited:
            later = time.time() + min(DEFER, self._settings.patience / 2)
            self._with_room(
                self.ledger.give_back, [c for c in claims if c.id in awaited], next_try=later, note=AWAITS_ID
            )
            # another process may have answered, and woken whoever waited, before these did
            since = sorted(awaited - self._awaited(source, lane, sorted(awaited)))
            self._with_room(self.ledger.wake_some, source.name, lane.fields, lane.entity, since, AWAITS_ID)

    def _awaited(self, source: Source, lane: Lane, ids: Sequence[str]) -> set[str]:
        """Those of the entities for which this run, or another, is asking for an id that the source goes by."""
        return self.ledger.awaited(self._providers(source), lane.entity, ids, time.time() + self._settings.patience)

    def _providers(self, asking: Source) -> list[tuple[str, str]]:
        """(source, field) of this run that finds ids the asking source goes by."""
        wanted = {*asking.needs, *asking.uses}
        return [
            (team.source.name, name)
            for team in self._teams
            if team.source is not asking and team.stopped is None and wanted & set(team.source.fields) & set(ID_FIELDS)
            for lane in team.open_lanes
            for name in lane.fields
        ]

    def _take(self, result: Result) -> None:
        team, lane, claim, error = result.team, result.lane, result.claim, result.error
        team.in_flight -= 1
        lane.due = 0.0
        if isinstance(error, Stopped):
            self._with_room(self.ledger.give_back, [claim])
            return
        if error is not None and not isinstance(error, Trouble):
            self._with_room(self.ledger.give_back, [claim])
            said = (
                str(error)
                if isinstance(error, SegueError)
                else f"a fault of the source, {type(error).__name__}: {error}"
            )
            self._end(team, said)
            return
        self._write(result)
        if isinstance(error, Blocked) and error.for_good:
            self._end_lane(team, lane, str(error))
        elif (why := team.judge(result, self._settings.patience)) is not None:
            self._end(team, why)
        elif isinstance(error, RateLimited) and (error.retry_after or 0.0) > self._settings.patience:
            self._left_alone(team, min(error.retry_after or 0.0, LONGEST))

    def _left_alone(self, team: Team, seconds: Seconds) -> None:
        until = time.time() + seconds
        self._with_room(self.ledger.pause, team.source.name, until)
        clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
        self._end(team, f"asks to be left alone for {duration(seconds)}: run the same command again after {clock}")

    def _write(self, result: Result) -> None:
        claim, team = result.claim, result.team
        others = getattr(result.answer, "others", ())
        entries = self._entries(result)
        if self._over_storage(team, entries):
            self._with_room(self.ledger.give_back, [claim])
            return
        kept = self._with_room(self.ledger.keep, claim, entries, team.source.terms, others)
        if kept:
            for entry in entries:
                team.counts[entry.status] += entry.next_try is None
            closed = all(entry.next_try is None for entry in entries)
            result.lane.done += closed
            if closed and set(result.lane.fields) & set(ID_FIELDS):
                self._wake(result.request)

    def _with_room(self, write: Callable[..., Written], *args: Any, **more: Any) -> Written:
        """Write to the ledger; where the disk is full, wait for room. Raises `DiskFull` where there is none within `patience`."""
        waited = 0.0
        while True:
            try:
                return write(*args, **more)
            except DiskFull as error:
                if not waited:
                    self._reporter.note(f"the disk is full, waiting for room ({error})")
                if waited >= self._settings.patience:
                    raise
                time.sleep(pause := min(2.0, self._settings.patience - waited))
                waited += pause

    def _wake(self, request: Request) -> None:
        """What waits for an id of this entity, its album or its artists need not wait any longer."""
        ids = [request.id, *request.artist_ids, *([request.album_id] if request.album_id else [])]
        for team in self._teams:
            for lane in team.lanes if {*team.source.needs, *team.source.uses} else ():
                self._with_room(self.ledger.wake_some, team.source.name, lane.fields, lane.entity, ids, AWAITS_ID)

    def _entries(self, result: Result) -> list[Entry]:
        if result.answer is not None:
            return answered(result.claim, result.answer)
        assert isinstance(result.error, Trouble)
        note = self.scrub(str(result.error))[:500]
        return troubled(result.claim, result.error, now=time.time(), retries=self._settings.retries, note=note)

    def _over_storage(self, team: Team, entries: Sequence[Entry]) -> bool:
        """Whether these values would be more than the source's terms let anybody keep; the source stops then."""
        most = team.source.terms.storage_bytes
        if most is None:
            return False
        size = sum(_size(entry) for entry in entries if entry.value is not None)
        if self._stored[team.source.name] + size > most:
            self._end(team, f"its terms allow to keep {most / 1e6:g} MB and as much is kept: delete what is not needed")
            return True
        self._stored[team.source.name] += size
        return False

    def _end(self, team: Team, why: str) -> None:
        """No more of this source; the others go on."""
        if team.stopped is None:
            team.stopped = self.scrub(" ".join(why.split()))
            self._reporter.note(f"{team.source.name} stops: {team.stopped}")
            self._with_room(self.ledger.give_back, team.dismiss())
            self._with_room(self.ledger.wake, AWAITS_ID)

    def _end_lane(self, team: Team, lane: Lane, why: str) -> None:
        """No more of these fields; the source's others go on."""
        if lane.ended is None:
            self._with_room(self.ledger.give_back, team.end_lane(lane, self.scrub(" ".join(why.split()))))
            self._with_room(self.ledger.wake, AWAITS_ID)
            if not team.open_lanes:
                self._end(team, why)
            else:
                self._reporter.note(f"{team.source.name} stops: {team.why}")

    def _finished(self, team: Team, now: float) -> bool:
        if team.stopped is not None:
            return team.in_flight == 0
        return team.idle and all(
            lane.due is None or lane.due > now + self._settings.patience for lane in team.open_lanes
        )

    def _soon(self, now: float) -> bool:
        """Whether a lane is to be looked at within `IDLE`."""
        return any(
            lane.due is not None and lane.look_again < now + IDLE
            for team in self._teams
            if team.stopped is None
            for lane in team.open_lanes
            if not lane.waiting
        )

    def _tick(self, now: float) -> None:
        if now - self._renewed > RENEW:
            self._renewed = now
            self._with_room(self.ledger.renew)
        if now - self._told > TELL:
            self._told = now
            for team in self._teams:
                self._tell(team)

    def _tell(self, team: Team) -> None:
        for lane in team.lanes:
            news = ", ".join(f"{n:,} {status}" for status, n in sorted(team.counts.items()) if n)
            self._reporter(
                lane.done, lane.total, f"{team.source.name} {'+'.join(lane.fields)}{', ' if news else ''}{news}"
            )

    def _farewell(self) -> None:
        """Write down what is under way, give back the rest."""
        self._stop.set()
        for team in self._teams:
            team.dismiss()  # this process's claims go back together below
            team.end()
        deadline = time.monotonic() + FAREWELL
        while any(team.in_flight for team in self._teams) and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(self._results.get(timeout=left))
        with contextlib.suppress(DiskFull):  # the next run frees what this one holds, once it is gone
            self.ledger.free(self._life.owner)
        for team in self._teams:
            self._tell(team)
        for limit in self._limits.values():
            limit.close()
        self._client.close()

    def _summary(self, team: Team) -> Summary:
        left = sum(self.ledger.left(team.source.name, lane.fields) for lane in team.lanes)
        return Summary(
            team.source.name, {status: n for status in STATUSES if (n := team.counts[status])}, left, team.why
        )

    def _limit(self, host: str) -> HostLimit:
        with self._limits_lock:
            if host not in self._limits:
                allowed, concurrency = self._rates(host)
                more = {"root": self._settings.limits, "stop": self._stop, "patience": self._settings.patience}
                self._limits[host] = HostLimit(host, allowed, concurrency, **more)  # type: ignore[arg-type]
            return self._limits[host]

    def _store_early(self, value: bytes) -> None:
        try:
            self._catalogue.blobs.put(value)
        except SegueError as error:
            if not disk_full(error):
                raise


def _size(entry: Entry) -> int:
    value = entry.value
    if isinstance(value, list):
        return 8 * len(value)
    return (
        os.path.getsize(value)
        if isinstance(value, Path)
        else len(value.encode() if isinstance(value, str) else value or b"")
    )

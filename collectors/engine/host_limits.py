"""How often a host may be asked: its rates hold over processes and kills, in any window, as the host itself would count.

A request counts from when it may have reached the host. That is when it was
sent, and where the answer was slower than the host's quickest, so much later:
a request may have waited on the way.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyrate_limiter import Rate as Interval
from pyrate_limiter import RateItem, SQLiteBucket

from collectors.engine.hosts import Offline
from collectors.source import Rate, RateLimited
from toolkit.errors import InputError
from toolkit.files import locked

Seconds = float
GUARD = 0.02
"""Share by which a window is longer than the host's: timers are not exact."""
LEAK_EVERY = 500
LONGEST_GUESS: Seconds = 60.0
"""Of a pause whose length the host does not say."""
ENOUGH_SEEN = 10
"""Requests after which the quickest of them says how far the host is."""


class Stopped(Exception):
    """The run ends before this request could be sent; nothing happened."""


def folder() -> Path:
    """Where limits are kept, for all collections of this user on this machine: `SEGUE_CACHE` or `~/.cache/segue`."""
    base = os.environ.get("SEGUE_CACHE")
    return Path(base or "~/.cache/segue").expanduser() / "limits"


class HostLimit:
    """The rates, the concurrency and the pauses of one host.

    rates: none for no limit. root: folder of the shared files. stop: ends every wait. patience: seconds of a pause that are
    waited for; a longer one is `RateLimited` at once.
    """

    def __init__(
        self,
        host: str,
        rates: Sequence[Rate],
        concurrency: int,
        *,
        root: Path,
        stop: threading.Event,
        patience: Seconds = 300.0,
    ) -> None:
        self.host = host
        self.rates = tuple(rates)
        self.concurrency = concurrency
        self._slots = threading.Semaphore(concurrency)
        self._stop = stop
        self._patience = patience
        self._window = _Window(host, self.rates, root) if rates else None
        self._until = 0.0
        self._unreachable = False
        self._refusals = 0
        self._refused_at = 0.0
        self._lock = threading.Lock()
        self._quickest: Seconds = float("inf")
        self._seen = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Around one request: waits until it may be sent. Raises `Stopped` where the run ends first."""
        with self._slots:
            place = self._wait()
            sent = time.monotonic()
            try:
                yield
                self._refusals = 0
            except RateLimited as refusal:
                self.pause(self._again(sent) if refusal.retry_after is None else refusal.retry_after)
                raise
            except Offline:
                self.pause(self._again(sent))
                self._unreachable = True
                raise
            finally:
                if place is not None:
                    self._correct(place)

    def _again(self, sent: float) -> Seconds:
        """How long to wait where the host does not say: twice as long each time, requests under way together being one time."""
        with self._lock:
            if not self._refusals or sent >= self._refused_at:
                self._refusals += 1
                self._refused_at = time.monotonic()
            return float(min(2 ** (self._refusals - 1), LONGEST_GUESS))

    def pause(self, seconds: Seconds) -> None:
        """Send nothing for so long: the host asked for it."""
        with self._lock:
            self._until = max(self._until, time.time() + seconds)
            self._unreachable = False

    @property
    def paused(self) -> Seconds:
        """Seconds that the pause still lasts, 0 where there is none."""
        return max(0.0, self._until - time.time())

    def close(self) -> None:
        if self._window is not None:
            self._window.close()

    def _wait(self) -> Place | None:
        """Where the request is counted, None where nothing is."""
        while not self._stop.is_set():
            if wait := self.paused:
                if wait > self._patience and self._unreachable:
                    # nobody answered, so nobody asked for a pause: it is waited for as long as there is patience
                    self._stop.wait(self._patience)
                    raise Offline(f"{self.host} cannot be reached")
                if wait > self._patience:
                    raise RateLimited(f"{self.host} asked to be left alone", retry_after=wait)
                self._stop.wait(min(wait, 60.0))
            elif self._window is None:
                return None
            else:
                taken = self._window.take()
                if isinstance(taken, Place):
                    return taken
                self._stop.wait(min(taken, 60.0))
        raise Stopped

    def _correct(self, place: Place) -> None:
        """Count a slow request from when it may have arrived; `GUARD` covers what is quicker than that."""
        took = time.time() - place.milliseconds / 1000
        with self._lock:
            self._quickest = min(self._quickest, took)
            self._seen += 1
            late = took - (self._quickest if self._seen >= ENOUGH_SEEN else 0.0)
        if self._window is not None and late > GUARD * self._window.shortest / 2:
            self._window.move(place, late)


@dataclass(frozen=True, slots=True)
class Place:
    """One request in a window: its row, and the time that it is counted from."""

    row: int
    milliseconds: int


class _Window:
    """pyrate-limiter's sliding window over a SQLite file that processes share under a lock file."""

    def __init__(self, host: str, rates: Sequence[Rate], root: Path) -> None:
        self.shortest = min(rate.seconds for rate in rates)
        self._path = root / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.sqlite"
        self._intervals = [
            Interval(rate.requests, max(1, round(rate.seconds * 1000 * (1 + GUARD)))) for rate in _strict(rates)
        ]
        self._lock = threading.Lock()
        self._taken = 0
        try:
            with self._alone():
                self._bucket = SQLiteBucket.init_from_file(self._intervals, table="requests", db_path=str(self._path))
                self._bucket.conn.execute(
                    "PRAGMA synchronous=OFF"
                )  # a power cut may forget a second of requests, a kill none
        except OSError as error:
            raise InputError(
                f"{root} cannot be written ({error.strerror}): set SEGUE_CACHE to a folder that can"
            ) from None

    def take(self) -> Place | Seconds:
        """A place for a request that may be sent now, or how long to wait for one."""
        with self._alone():
            item = RateItem(self._path.stem, time.time_ns() // 1_000_000)
            if self._bucket.put(item):
                self._taken += 1
                if self._taken % LEAK_EVERY == 0:
                    self._bucket.leak(item.timestamp)
                row = self._bucket.conn.execute("SELECT max(rowid) FROM requests").fetchone()[0]
                return Place(int(row), item.timestamp)
            wait = self._bucket.waiting(item)
        assert isinstance(wait, int)
        return max(wait, 1) / 1000

    def move(self, place: Place, seconds: Seconds) -> None:
        with self._alone():
            later = "UPDATE requests SET item_timestamp = item_timestamp + ? WHERE rowid = ?"
            self._bucket.conn.execute(later, (round(seconds * 1000), place.row))
            self._bucket.conn.commit()

    def close(self) -> None:
        with self._lock:
            self._bucket.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock, locked(self._path.with_suffix(".lock")):
            yield


def _strict(rates: Sequence[Rate]) -> list[Rate]:
    """In the limiter's order, without those that another one implies: longer windows allow more requests, at a lower rate."""
    kept: list[Rate] = []
    for rate in sorted(rates, key=lambda rate: (rate.seconds, rate.requests)):
        if kept and rate.seconds == kept[-1].seconds:
            continue
        while kept and kept[-1].requests >= rate.requests:
            kept.pop()
        if not kept or rate.requests / rate.seconds < kept[-1].requests / kept[-1].seconds:
            kept.append(rate)
    return kept

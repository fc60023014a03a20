"""Rate limits by host, which hold across processes and restarts for any time window.

A request counts from the time at which it may have reached the host. This is the time of sending, plus the excess of
its response time over the shortest response time of the host, because a request may be delayed on the way.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyrate_limiter

from collectors.engine.hosts import HostRates, Offline, Seconds
from collectors.source import Rate, RateLimited
from toolkit.errors import InputError
from toolkit.files import locked

GUARD = 0.02
"""Share by which a window is longer than the host's, because timers are not exact."""
LEAK_EVERY = 500
FUTURE_MS = 1000
"""Milliseconds by which a request may be counted ahead of the clock, which time servers move a little."""
LONGEST_GUESS: Seconds = 60.0
"""Longest pause after a refusal without `Retry-After`."""
ENOUGH_SEEN = 10
"""Requests after which the quickest of them counts as the way to the host and back."""


class Stopped(Exception):
    """Signal that the run ended before a request was sent."""


def folder() -> Path:
    """Return the folder for the limits of this user, below `SEGUE_CACHE` or `~/.cache/segue`."""
    return Path(os.environ.get("SEGUE_CACHE") or "~/.cache/segue").expanduser() / "limits"


class HostLimit:
    """Rates, concurrency and pauses of one host.

    - rates: rate limits; an empty sequence means no limit.
    - root: folder of the files that are shared by processes.
    - stop: event that ends all waits.
    - patience: maximum wait in seconds. During a longer wait a request raises `RateLimited`.
    - note: function that reports a line to the user.
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
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.host, self._stop, self._patience = host, stop, patience
        self._slots, self._lock = threading.Semaphore(concurrency), threading.Lock()
        self._window = _Window(host, rates, root, note) if rates else None
        self._paused_until, self._unreachable = 0.0, False
        self._refusals, self._refused_at = 0, 0.0
        self._quickest, self._seen = float("inf"), 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait until a request may be sent, and hold a slot. Raises `Stopped` if the run ends first."""
        with self._slots:
            counted = self._wait()
            sent = time.monotonic()
            try:
                yield
                self._refusals = 0
            except RateLimited as refusal:
                self.pause(self._next_pause(sent) if refusal.retry_after is None else refusal.retry_after)
                raise
            except Offline:
                self.pause(self._next_pause(sent))
                self._unreachable = True
                raise
            finally:
                if counted is not None:
                    self._correct(counted)

    def _next_pause(self, sent: float) -> Seconds:
        """Return the length of a pause that the host does not specify, which doubles each time.

        Simultaneous requests count once.
        """
        with self._lock:
            if not self._refusals or sent >= self._refused_at:
                self._refusals += 1
                self._refused_at = time.monotonic()
            return float(min(2 ** (self._refusals - 1), LONGEST_GUESS))

    def pause(self, seconds: Seconds) -> None:
        """Send no requests for a time that the host requires."""
        with self._lock:
            self._paused_until, self._unreachable = max(self._paused_until, time.monotonic() + seconds), False

    def close(self) -> None:
        if self._window is not None:
            self._window.close()

    def _wait(self) -> Counted | None:
        """Wait for rates and pauses, and return the counted request, or None without rates."""
        while not self._stop.is_set():
            if (wait := self._paused_until - time.monotonic()) > 0:
                if wait > self._patience and self._unreachable:
                    # the host did not answer, so it did not demand this pause: wait for it within patience
                    self._stop.wait(self._patience)
                    raise Offline(f"{self.host} cannot be reached")
                if wait > self._patience:
                    raise RateLimited(f"{self.host} currently accepts no requests", retry_after=wait)
                self._stop.wait(min(wait, 60.0))
            elif self._window is None:
                return None
            else:
                counted = self._window.count()
                if isinstance(counted, Counted):
                    return counted
                if counted > self._patience:
                    raise RateLimited(f"{self.host} accepts one request in {counted:.0f} s", retry_after=counted)
                self._stop.wait(min(counted, 60.0))
        raise Stopped

    def _correct(self, counted: Counted) -> None:
        """Count a slow request from its latest possible arrival. `GUARD` covers smaller differences."""
        took = time.monotonic() - counted.at
        with self._lock:
            self._quickest = min(self._quickest, took)
            self._seen += 1
            late = took - (self._quickest if self._seen >= ENOUGH_SEEN else 0.0)
        if self._window is not None and late > GUARD * self._window.shortest / 2:
            self._window.move(counted, late)


class HostLimits:
    """Limits of all hosts in a run, created on the first request to a host.

    `rates` is a function from host name to rates. The other parameters are those of `HostLimit`.
    """

    def __init__(
        self,
        rates: Callable[[str], HostRates],
        root: Path,
        stop: threading.Event,
        patience: Seconds,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._make = lambda host: HostLimit(host, *rates(host), root=root, stop=stop, patience=patience, note=note)
        self._limits: dict[str, HostLimit] = {}
        self._lock = threading.Lock()

    def of(self, host: str) -> HostLimit:
        """Return the limit of a host. The method is thread-safe."""
        with self._lock:
            if host not in self._limits:
                self._limits[host] = self._make(host)
            return self._limits[host]

    def close(self) -> None:
        for limit in self._limits.values():
            limit.close()


@dataclass(frozen=True, slots=True)
class Counted:
    """Counted request with a row and the time at which it was counted, as a `time.monotonic` value."""

    row: int
    at: float


class _Window:
    """Sliding window of pyrate-limiter over a SQLite file that processes share under a lock file."""

    def __init__(self, host: str, rates: Sequence[Rate], root: Path, note: Callable[[str], None]) -> None:
        self._host, self._note, self._noted = host, note, False
        self.shortest = min(rate.seconds for rate in rates)
        self._path = root / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.sqlite"
        self._intervals = [
            pyrate_limiter.Rate(rate.requests, max(1, round(rate.seconds * 1000 * (1 + GUARD))))
            for rate in _strict(rates)
        ]
        self._lock, self._n_counted = threading.Lock(), 0
        try:
            with self._locked():
                self._bucket = pyrate_limiter.SQLiteBucket.init_from_file(
                    self._intervals, table="requests", db_path=str(self._path)
                )
                # a power cut may lose a second of requests, a kill loses none
                self._bucket.conn.execute("PRAGMA synchronous=OFF")
        except OSError as error:
            raise InputError(
                f"{root} must be writable ({error.strerror}): set SEGUE_CACHE to a writable folder"
            ) from None

    def count(self) -> Counted | Seconds:
        """Count a request and return it, or return the wait before the next attempt."""
        with self._locked():
            at, item = time.monotonic(), pyrate_limiter.RateItem(self._path.stem, time.time_ns() // 1_000_000)
            self._leave_future(item.timestamp)
            if self._bucket.put(item):
                self._n_counted += 1
                if self._n_counted % LEAK_EVERY == 0:
                    self._bucket.leak(item.timestamp)
                row = self._bucket.conn.execute("SELECT max(rowid) FROM requests").fetchone()[0]
                return Counted(int(row), at)
            wait = self._bucket.waiting(item)
        assert isinstance(wait, int)
        return max(wait, 1) / 1000

    def _leave_future(self, now: int) -> None:
        """Set request times in the future, left by a clock that went back, to now. They count for one window."""
        newest = self._bucket.conn.execute("SELECT max(item_timestamp) FROM requests").fetchone()[0]
        if newest is None or newest <= now + FUTURE_MS:
            return
        self._bucket.conn.execute("UPDATE requests SET item_timestamp = ? WHERE item_timestamp > ?", (now, now))
        self._bucket.conn.commit()
        if not self._noted:
            self._noted = True
            self._note(f"the clock went back: requests to {self._host} with a later time count from now")

    def move(self, counted: Counted, seconds: Seconds) -> None:
        """Move the time of a counted request to a number of seconds later."""
        with self._locked():
            later = "UPDATE requests SET item_timestamp = item_timestamp + ? WHERE rowid = ?"
            self._bucket.conn.execute(later, (round(seconds * 1000), counted.row))
            self._bucket.conn.commit()

    def close(self) -> None:
        with self._lock:
            self._bucket.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock, locked(self._path.with_suffix(".lock")):
            yield


def _strict(rates: Sequence[Rate]) -> list[Rate]:
    """Return rates in the order that pyrate-limiter requires, with longer windows last.

    Rates that are implied by other rates are dropped.
    """
    kept: list[Rate] = []
    for rate in sorted(rates, key=lambda rate: (rate.seconds, rate.requests)):
        if kept and rate.seconds == kept[-1].seconds:
            continue
        while kept and kept[-1].requests >= rate.requests:
            kept.pop()
        if not kept or rate.requests / rate.seconds < kept[-1].requests / kept[-1].seconds:
            kept.append(rate)
    return kept

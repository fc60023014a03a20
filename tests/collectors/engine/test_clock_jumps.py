"""Tests of collecting while the wall clock is set, by a clock that the tests move."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.engine.clock_jumps import ClockJumps, correct_times, move_times
from collectors.engine.engine import Engine, Settings
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import Offline, check_status
from collectors.engine.ledger import LEASE, Ledger
from collectors.engine.outcomes import Retries
from collectors.engine.worker_pool import WorkerPool
from collectors.source import Host, Rate, RateLimited
from tests.servers import faults
from tests.servers.facts import Facts, FactsParams, FactsServer, Lives
from toolkit.catalogue.store import Catalogue
from toolkit.progress import Reporter

DAY = 86_400.0


class Clock:
    """Wall clock that a test sets forward or back."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        real, real_ns = time.time, time.time_ns
        patch.setattr(time, "time", lambda: real() + self.offset)
        patch.setattr(time, "time_ns", lambda: real_ns() + round(self.offset * 1e9))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield Clock(monkeypatch)


class Notes(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Slow(Facts):
    """Source with five requests in half a second."""

    hosts = (Host("base_url", (Rate(5, 0.5),), 2),)


def run(library: Catalogue, settings: Settings, source: Facts, reporter: Reporter | None = None) -> Any:
    (summary,) = Engine(library, [(source, list(type(source).fields))], settings, reporter=reporter).run()
    return summary


@pytest.mark.parametrize("jump", [DAY, -DAY, -3600.0, 400 * DAY, 1.0, -1.0])
@pytest.mark.parametrize("at", [0, 5, 20])
def test_run_ends_with_all_values_whatever_the_clock_does_meanwhile(
    jump: float, at: int, library: Catalogue, settings: Settings, clock: Clock
) -> None:
    """Set the clock while a request is under way, with faults before and after that must be retried."""

    class Jumping(FactsServer):
        def reply(self, request: Any) -> Any:
            if len(self.log) == at:
                clock.offset += jump
            return super().reply(request)

    started = time.monotonic()
    with Jumping(faults=lambda number, request: faults.status(500) if number % 7 == 3 else None) as server:
        summary = run(library, settings, Facts(FactsParams(base_url=server.url)))
        requests = len(server.log)
    assert (summary.counts, summary.left) == ({"found": 31, "absent": 4, "ambiguous": 5}, 0)
    assert time.monotonic() - started < 30.0 and requests < 80


@pytest.mark.parametrize("jump", [DAY, -DAY, -3600.0])
def test_limited_host_gets_its_requests_after_a_jump(
    jump: float, library: Catalogue, settings: Settings, clock: Clock
) -> None:
    class Jumping(FactsServer):
        def reply(self, request: Any) -> Any:
            if len(self.log) == 6:
                clock.offset += jump
            return super().reply(request)

    class Few(Lives, Slow):
        name = "few"
        fields = {"words": "track"}
        collect = Facts.collect

    started, reporter = time.monotonic(), Notes()
    with Jumping() as server:
        summary = run(library, settings, Few(FactsParams(base_url=server.url)), reporter)
    assert summary.left == 0 and sum(summary.counts.values()) == 40
    assert time.monotonic() - started < 40.0
    direction = "forward" if jump > 0 else "back"
    assert sum(f"the clock went {direction} by" in note for note in reporter.notes) == 1
    assert sum("count from now" in note for note in reporter.notes) <= 1


def test_requests_that_an_earlier_process_counted_in_the_future_count_for_one_window(
    tmp_path: Path, clock: Clock
) -> None:
    notes: list[str] = []

    def limit() -> HostLimit:
        return HostLimit(
            "example.org", (Rate(3, 0.5),), 1, root=tmp_path, stop=threading.Event(), patience=20.0, note=notes.append
        )

    clock.offset = DAY
    first = limit()
    for _ in range(3):
        with first.slot():
            pass
    first.close()
    clock.offset = 0.0
    second, started = limit(), time.monotonic()
    for _ in range(5):
        with second.slot():
            pass
    second.close()
    assert 0.3 < time.monotonic() - started < 10.0
    assert notes == ["the clock went back: requests to example.org with a later time count from now"]


def test_wait_for_a_window_that_is_longer_than_patience_raises(tmp_path: Path) -> None:
    limit = HostLimit("example.org", (Rate(1, 1000.0),), 1, root=tmp_path, stop=threading.Event(), patience=20.0)
    with limit.slot():
        pass
    with pytest.raises(RateLimited, match="accepts one request in") as caught, limit.slot():
        pass
    limit.close()
    assert 900 < (caught.value.retry_after or 0.0) <= 1021


def test_pause_of_a_host_ends_on_time_after_the_clock_went_back(tmp_path: Path, clock: Clock) -> None:
    limit = HostLimit("example.org", (), 1, root=tmp_path, stop=threading.Event(), patience=20.0)
    limit.pause(0.5)
    clock.offset = -DAY
    started = time.monotonic()
    with limit.slot():
        pass
    assert 0.3 < time.monotonic() - started < 5.0


def test_slow_reply_during_a_jump_does_not_delay_later_requests(tmp_path: Path, clock: Clock) -> None:
    """The duration of a reply must not be taken from a clock that was set meanwhile."""
    limit = HostLimit("example.org", (Rate(5, 0.5),), 1, root=tmp_path, stop=threading.Event(), patience=20.0)
    for jump in (-DAY, DAY, *[0.0] * 30):
        with limit.slot():
            clock.offset += jump
    started = time.monotonic()
    for _ in range(6):
        with limit.slot():
            pass
    limit.close()
    assert time.monotonic() - started < 5.0


def test_waiting_times_of_the_ledger_are_corrected_by_the_next_run(
    library: Catalogue, settings: Settings, clock: Clock
) -> None:
    """Entries that wait for seconds, written a day ahead, must be due in seconds."""
    impatient = replace(settings, patience=0.2, retries=Retries(first=2.0))
    clock.offset = DAY
    with FactsServer(faults=lambda number, request: faults.status(500)) as server:
        assert run(library, impatient, Facts(FactsParams(base_url=server.url))).left == 40
    clock.offset = 0.0
    reporter, started = Notes(), time.monotonic()
    with FactsServer() as server:
        summary = run(library, replace(settings, patience=10.0), Facts(FactsParams(base_url=server.url)), reporter)
    assert summary.counts == {"found": 31, "absent": 4, "ambiguous": 5}
    assert time.monotonic() - started < 30.0
    assert [note for note in reporter.notes if "the clock went back by 24 h" in note] == reporter.notes != []
    with library.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT max(time) FROM collected").scalar_one() <= time.time()


def test_pause_of_a_source_is_not_longer_after_the_clock_went_back(
    library: Catalogue, settings: Settings, clock: Clock
) -> None:
    clock.offset = DAY
    with FactsServer(faults={3: faults.too_many("1000")}) as server:
        run(library, settings, Facts(FactsParams(base_url=server.url)))
    clock.offset = 0.0
    summary = run(library, settings, Facts(FactsParams(base_url="http://127.0.0.1:1")))
    assert "accepts no requests for another 1" in (summary.stopped or "") and "min" in (summary.stopped or "")
    (row,) = Ledger(library).stored_terms()
    assert 900 < (row.not_before or 0.0) - time.time() <= 1000


def test_lease_of_another_machine_ends_after_its_length(library: Catalogue, clock: Clock) -> None:
    far = Ledger(library, "far/1")
    far.plan("facts", "words", "track")
    clock.offset = DAY
    assert len(far.claim("facts", "track", ("words",), 5)) == 5
    clock.offset = 0.0
    move_times(far, DAY)
    assert far.owners()["far/1"] <= time.time() + LEASE


def test_small_skew_between_machines_is_not_corrected(library: Catalogue, clock: Clock) -> None:
    ledger = Ledger(library, "far/1")
    ledger.plan("facts", "words", "track")
    clock.offset = 30.0
    ledger.release(ledger.claim("facts", "track", ("words",), 5), next_try=time.time() + 100)
    clock.offset = 0.0
    assert correct_times(ledger) == 0.0
    with library.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT max(next_try) FROM collected").scalar_one() > time.time() + 100


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_unreachable_host_stops_the_source_after_patience_by_the_monotonic_clock(
    jump: float, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pool = WorkerPool(Facts(FactsParams()), ["words"], None, lambda data: None)  # type: ignore[arg-type]
    offline = Offline("example.org cannot be reached")
    assert pool.failure_after(offline, 10.0) is None
    clock.offset = jump
    now[0] += 9.0
    assert pool.failure_after(offline, 10.0) is None
    now[0] += 2.0
    assert "cannot be reached for 10 s" in (pool.failure_after(offline, 10.0) or "")


def test_retry_after_with_a_date_is_read_by_the_clock_of_the_server() -> None:
    headers = {"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT", "date": "Thu, 01 Jan 1970 00:01:30 GMT"}
    with pytest.raises(RateLimited) as caught:
        check_status(429, headers, "example.org")
    assert caught.value.retry_after == 30.0


def test_jumps_are_reported_once_with_their_length(clock: Clock) -> None:
    jumps = ClockJumps()
    assert jumps.latest() == 0.0
    clock.offset = -3600.0
    assert jumps.latest() == pytest.approx(-3600.0, abs=1.0) and jumps.latest() == 0.0
    clock.offset = -3598.0
    assert jumps.latest() == 0.0
    clock.offset = DAY
    assert jumps.latest() == pytest.approx(DAY + 3600.0, abs=1.0)

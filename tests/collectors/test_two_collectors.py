"""Tests of several collecting processes with one library, with interrupts and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from collectors import library_reports
from collectors.engine.ledger import LEASE, Ledger
from collectors.library import open_library
from tests.servers.facts import FactsServer, fill
from toolkit.catalogue.store import Catalogue

TRACKS = 120
ROOT = Path(__file__).parents[2]


def start(library: str, url: str, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "segue",
        "collect",
        "--library",
        library,
        "--source",
        "facts",
        "--param",
        f"base_url={url}",
        *more,
    ]
    environment = {**os.environ, "SEGUE_CONTACT": "tests@example.org"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def place(tmp_path: Path, plugin: None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    with Catalogue.open(tmp_path / "library" / "catalogue.sqlite") as catalogue:
        fill(catalogue, TRACKS)
    return str(tmp_path / "library")


def statuses(place: str) -> Counter[str]:
    with open_library(place) as library:
        return Counter({row.status: row.n for row in Ledger(library).counts()})


def at_work(library: Catalogue) -> list[str]:
    return [line for line in library_reports.status(library) if "at work" in line or "cut off" in line]


def test_two_processes_request_each_entity_once(place: str) -> None:
    """Check requests per entity, the common rate limit, and that both processes contribute."""
    with FactsServer() as server:
        both = [start(place, server.url, "--param", "per_second=30") for _ in range(2)]
        done = [ended(process) for process in both]
        requests = Counter(entry.target for entry in server.log)
        assert server.most_in(1.0) <= 30
    assert [code for code, _, _ in done] == [0, 0], done
    assert set(requests.values()) == {1} and len(requests) == TRACKS
    assert all("found" in out for _, out, _ in done), done
    assert statuses(place) == {"found": 92, "absent": 12, "ambiguous": 16}


def test_interrupt_keeps_answers_and_releases_claims(place: str) -> None:
    with FactsServer() as server:
        process = start(place, server.url, "--param", "per_second=20")
        while len(server.log) < 15:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        first = Counter(entry.target for entry in server.log)
        assert (code, "run the same command" in err) == (130, True), err
        assert TRACKS - statuses(place)["pending"] == len(first)
        with open_library(place) as library:
            assert Ledger(library).owners() == {}
        code, _, err = ended(start(place, server.url))
        assert code == 0, err
        assert set(Counter(entry.target for entry in server.log).values()) == {1}


def test_claims_of_a_killed_process_are_released_by_the_next_run(place: str) -> None:
    with FactsServer() as server:
        process = start(place, server.url, "--param", "per_second=20")
        while len(server.log) < 15:
            time.sleep(0.02)
        with open_library(place) as library:
            assert at_work(library) == [f"at work: {owner}" for owner in Ledger(library).owners()] != []
        process.kill()
        process.communicate()
        with open_library(place) as library:
            (owner,) = Ledger(library).owners()
            assert at_work(library) == [f"cut off: {owner}; the next run takes its work over"]
        code, _, err = ended(start(place, server.url))
        assert code == 0, err
        twice = [target for target, n in Counter(entry.target for entry in server.log).items() if n > 1]
    assert statuses(place) == {"found": 92, "absent": 12, "ambiguous": 16}
    assert len(twice) <= 8  # those under way


def test_status_of_a_remote_process_depends_on_the_lease(place: str) -> None:
    with open_library(place) as library:
        ledger = Ledger(library, "far/1")
        ledger.plan("facts", "words", "track")
        ledger.claim("facts", "track", ("words",), 3)
        assert at_work(library) == ["at work elsewhere, or cut off there less than 10 min 00 s ago: far/1"]
        with ledger.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE collected SET next_try = next_try - {LEASE + 1}")
        assert at_work(library) == ["cut off: far/1; the next run takes its work over"]


@pytest.mark.postgresql
def test_postgresql_and_sqlite_libraries_are_identical(
    tmp_path: Path, plugin: None, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare two processes on PostgreSQL with one process on SQLite, over all five sources."""
    from collectors.engine.ledger import METADATA
    from tests.servers.facts import SOURCES, state
    from toolkit.catalogue import database_schema

    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    blobs = tmp_path / "blobs"
    with Catalogue.open(postgresql, blobs=blobs) as catalogue:
        for tables in (database_schema.METADATA, METADATA):
            tables.drop_all(catalogue.engine)
        database_schema.METADATA.create_all(catalogue.engine)
        fill(catalogue, 60)
    with Catalogue.open(tmp_path / "file" / "catalogue.sqlite") as catalogue:
        fill(catalogue, 60)
    with FactsServer() as server:
        sources = [{"source": cls.name, "params": {"base_url": server.url}} for cls in SOURCES]

        def run(library: str) -> subprocess.Popen[str]:
            given = {"library": library, "blobs": str(blobs), "contact": "t@example.org", "sources": sources}
            code = f"from tests.servers.facts import collect_all; collect_all({json.dumps(given)})"
            return subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
            )

        both = [run(postgresql), run(postgresql)]
        for process in both:
            code, _, err = ended(process)
            assert code == 0, err
        assert set(Counter(entry.target for entry in server.log).values()) == {1}
        assert ended(run(str(tmp_path / "file")))[0] == 0
    assert state(postgresql, blobs) == state(tmp_path / "file" / "catalogue.sqlite")

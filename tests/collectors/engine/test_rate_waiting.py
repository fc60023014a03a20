"""Tests of waiting for disk space, for the network and for a service."""

from __future__ import annotations

import socket
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from collectors.engine.engine import Engine, Settings
from collectors.engine.ledger import Ledger
from tests.servers.facts import Facts, FactsParams, FactsServer
from toolkit.catalogue.store import Catalogue
from toolkit.progress import Reporter

Run = Callable[..., Any]


def test_run_waits_for_space_on_a_full_disk(run: Run, library: Catalogue) -> None:
    """Limit the size of the database, as a full disk does, until the run reports that it waits."""
    from sqlalchemy import event

    limit = {"pages": 0}

    @event.listens_for(library.engine, "checkout")
    def grow(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit['pages'] or 1_000_000}")

    notes: list[str] = []

    class Room(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)
            limit["pages"] = 0

    with FactsServer() as server:
        Ledger(library).plan("facts", "words", "track")
        with library.engine.connect() as connection:
            limit["pages"] = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        done = run((Facts, server.url), reporter=Room())
        assert max(Counter(entry.target for entry in server.log).values()) == 1  # nothing was requested twice
    assert done["facts"].counts == {"found": 31, "absent": 4, "ambiguous": 5}
    assert len(notes) == 1 and "the disk is full, waiting for space" in notes[0]


def test_run_waits_until_the_network_returns(run: Run) -> None:
    held = socket.socket()  # bound, not listening: refuses, and no other test gets the port
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]

    class Late(Reporter):
        """Reporter that starts the server after every thread has failed to connect."""

        server: FactsServer | None = None
        calls = 0

        def __call__(self, done: int, total: int, what: str) -> None:
            self.calls += 1
            if self.server is None and self.calls > 1:
                self.server = FactsServer(port=port).__enter__()

    late = Late()
    done = run((Facts, f"http://127.0.0.1:{port}"), reporter=late)
    assert done["facts"].counts["found"] == 31
    assert late.server is not None
    late.server.__exit__()


def test_source_stops_if_the_network_does_not_return(run: Run, library: Catalogue) -> None:
    with FactsServer() as gone:
        url = gone.url
    done = run((Facts, url))
    assert done["facts"].stopped and (done["facts"].counts, done["facts"].left) == ({}, 40)
    with library.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT max(attempts) FROM collected").scalar_one() == 0


def test_unreachable_host_is_not_reported_as_paused(library: Catalogue, settings: Settings) -> None:
    with FactsServer() as gone:
        url = gone.url
    # shorter than the first pause after a request that nobody took
    impatient = replace(settings, patience=0.4)
    done = Engine(library, [(Facts(FactsParams(base_url=url)), list(Facts.fields))], impatient).run()[0]
    assert done.stopped is not None and "cannot be reached" in done.stopped and "left alone" not in done.stopped

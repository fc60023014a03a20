"""Fixtures for the source tests, with an HTTP client without limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import Timeouts, user_agent
from collectors.engine.http_client import Client
from tests.servers.base import ReceivedRequest


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    stop = threading.Event()
    free = HostLimit("loopback", (), 8, root=tmp_path_factory.mktemp("limits"), stop=stop)
    client = Client(lambda host: free, user_agent("tests@example.org"), timeouts=Timeouts(2.0, 2.0, 5.0))
    yield client
    client.close()


@pytest.fixture
def received(server: Any) -> list[ReceivedRequest]:
    """Return a list of the requests that `server` receives; replaces the faults of the server."""
    requests: list[ReceivedRequest] = []
    server.faults = lambda number, request: requests.append(request)
    return requests

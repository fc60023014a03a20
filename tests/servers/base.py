"""Loopback HTTP server that answers like a web service, keeps a log and fails by schedule.

class Lyrics(Server):
    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply({"plainLyrics": "la la"}) if request.path == "/api/get" else NOT_FOUND

with Lyrics(faults={3: faults.too_many("2"), 7: faults.reset}) as server:
    ...  # server.url, server.log
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class ReceivedRequest:
    """Received request with decoded path, the last value of each query key, and lower-case header names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """HTTP reply with a body of bytes, text or a value that is encoded as JSON."""

    body: Any = b""
    status: int = 200
    type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()


NOT_FOUND = Reply({"error": "not found"}, 404)


@dataclass
class Logged:
    """Logged request, which is in the log before the reply is sent.

    - `time`: time of arrival, as `time.time()`.
    - `target`: path and query as sent.
    - `fault`: name of the injected fault, or empty.
    - `done`: whether the reply was sent completely.
    """

    time: float
    method: str
    target: str
    status: int
    fault: str = ""
    done: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Callable[["Handler", Reply], int]
"""fault(handler, the right reply) sends something else and returns the status it sent."""

Schedule = Mapping[int, Fault] | Callable[[int, ReceivedRequest], Fault | None]
"""Faults by the request's number (from 0), or drawn by a function of number and request."""


class Server:
    """Server that runs inside `with`; subclasses implement `reply`, which must be thread-safe."""

    def __init__(self, *, faults: Schedule | None = None, port: int = 0) -> None:
        self.faults: Schedule = faults or {}
        self.keep_headers = True
        self.log: list[Logged] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._asked = 0
        self._http = _Threads(("127.0.0.1", port), Handler)
        self._http.owner = self

    def reply(self, request: ReceivedRequest) -> Reply:
        return NOT_FOUND

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Any:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fault(self, request: ReceivedRequest) -> Fault | None:
        """Return the fault for the current request."""
        with self._lock:
            number = self._asked
            self._asked += 1
        return self.faults(number, request) if callable(self.faults) else self.faults.get(number)

    def record(self, entry: Logged) -> None:
        with self._lock:
            self.log.append(entry)

    def succeeded(self) -> Counter[str]:
        """Return the number of complete answers without a fault by `METHOD target`."""
        with self._lock:
            return Counter(f"{entry.method} {entry.target}" for entry in self.log if entry.done and not entry.fault)

    def most_in(self, seconds: float) -> int:
        """Return the maximum number of requests, with faults, in any window of `seconds`."""
        with self._lock:
            times = sorted(entry.time for entry in self.log)
        most = start = 0
        for end, when in enumerate(times):
            while times[start] <= when - seconds:
                start += 1
            most = max(most, end - start + 1)
        return most


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    owner: Server

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that have closed the connection."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Threads

    def do_GET(self) -> None:
        owner, arrived = self.server.owner, time.time()
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = ReceivedRequest(self.command, unquote(parts.path), query, headers, body)
        reply, fault = owner.reply(request), owner.fault(request)
        name = getattr(fault, "__name__", "fault") if fault else ""
        kept = headers if owner.keep_headers else {}
        entry = Logged(arrived, self.command, self.path, reply.status, name, headers=kept)
        owner.record(entry)
        entry.status = fault(self, reply) if fault else self.send(reply)
        entry.done = True  # before the last bytes leave: the client may look as soon as it has them
        try:
            self.wfile.flush()
        except (OSError, ValueError):
            entry.done = False
            raise

    do_POST = do_GET
    do_HEAD = do_GET

    def send(self, reply: Reply, body: bytes | None = None, *, length: int | None = None) -> int:
        """Send a reply, optionally with another `body` or a wrong `Content-Length`."""
        data = reply.encoded() if body is None else body
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for header, value in reply.headers.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return reply.status

    def log_message(self, *_: Any) -> None:
        """Write nothing, because requests are logged in `Server.log`."""

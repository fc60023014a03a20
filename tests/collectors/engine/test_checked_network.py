"""Tests of connections to addresses that answers name, with real sockets and a resolver of the tests."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.engine import checked_network
from collectors.engine.engine import Engine, Settings
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import Timeouts, user_agent
from collectors.engine.http_client import Client
from collectors.engine.outcomes import Retries
from collectors.engine.servers import Servers
from collectors.source import Transient, Trouble
from tests.servers.base import ReceivedRequest, Reply, Server
from tests.servers.facts import Faces, FactsParams, FactsServer, picture
from toolkit.catalogue.store import Catalogue

PUBLIC, REBOUND = "public.example.org", "rebound.example.org"

INTERNAL = [
    *("127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1"),
    *("127.0.0.1.", "localhost", "localhost.", "LOCALHOST", "evil.example.org", "sub.evil.example.org"),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    *("[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "①②⑦.0.0.1", "metadata.google.internal", "router"),
]
"""Forms of hosts in the local network. The names are resolved by the tests."""

NAMES = {
    PUBLIC: ["127.0.0.1"],
    "evil.example.org": ["127.0.0.1"],
    "sub.evil.example.org": ["93.184.216.34", "127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "router": ["192.168.0.1"],
    "open.example.org": ["93.184.216.34"],
}


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Resolve the names of the tests and count the questions under the key `asked`."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        asked.append(host)
        rows = [row for address in NAMES.get(host, [host]) for row in real(address, port, *args, **more)]
        return rows

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return {"asked": asked}


@pytest.fixture
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_TRUSTED_HOSTS", raising=False)


def client(root: Path, *configured: tuple[str, int], timeouts: Timeouts | None = None) -> Client:
    free = HostLimit("loopback", (), 8, root=root, stop=threading.Event())
    servers = Servers(configured=frozenset(configured))
    return Client(
        lambda host: free,
        user_agent("tests@example.org"),
        servers=servers,
        timeouts=timeouts or Timeouts(2.0, 2.0, 5.0),
    )


class Redirecting(Server):
    """Server that redirects every request to `to`."""

    to = ""

    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply("", 302, "text/plain", {"Location": self.to}) if request.path == "/start" else Reply({"path": "x"})


@pytest.mark.usefixtures("resolver", "untrusted")
@pytest.mark.parametrize("host", INTERNAL)
@pytest.mark.parametrize("way", ["redirect", "answer"])
def test_internal_address_named_by_an_answer_gets_no_request(host: str, way: str, tmp_path: Path) -> None:
    with Server() as inside, Redirecting() as outside:
        outside.to = f"http://{host}:{inside.port}/secret"
        asking = client(tmp_path, (PUBLIC, outside.port))
        with pytest.raises(Trouble) as caught:
            asking.get(f"http://{PUBLIC}:{outside.port}/start" if way == "redirect" else outside.to)
        asking.close()
        assert inside.log == [] and "\n" not in str(caught.value)


@pytest.mark.usefixtures("resolver", "untrusted")
def test_server_that_the_configuration_names_may_be_internal_also_after_a_redirect(tmp_path: Path) -> None:
    with Redirecting() as mirror:
        mirror.to = f"http://{PUBLIC}:{mirror.port}/again"
        asking = client(tmp_path, (PUBLIC, mirror.port))
        assert asking.get(f"http://{PUBLIC}:{mirror.port}/start").json() == {"path": "x"}
        asking.close()


@pytest.mark.usefixtures("untrusted")
def test_name_is_resolved_once_and_connected_to_by_its_address(
    resolver: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second answer of the resolver, which leads to loopback, must not be used."""
    reached: list[Any] = []

    def connect(address: Any, *args: Any, **more: Any) -> socket.socket:
        reached.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    asking = client(tmp_path)
    with pytest.raises(Transient, match="cannot be reached"):
        asking.get("https://open.example.org/cover.jpg")
    asking.close()
    assert reached == ["93.184.216.34"] and resolver["asked"] == ["open.example.org"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),  # 93.184.216.34 in a network without IPv4
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:c0a8:101::1", False),
        ("2001:0:7f00:1::", False),
        ("240.0.0.1", False),
        ("198.18.0.1", False),
    ],
)
def test_addresses_are_public_as_the_registries_list_them(address: str, public: bool) -> None:
    assert checked_network.is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://a:99999/x",
        "http://a:port/x",
        f"http://{'a' * 70}.example.org/x",
        "http://..example.org/x",
        "//cover.jpg",
        "cover.jpg",
        "",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "http://a\x00b/",
        "http://" + "a" * 100_000,
    ],
)
def test_url_that_is_not_valid_is_a_trouble_of_one_answer(url: str, tmp_path: Path) -> None:
    asking = client(tmp_path)
    with pytest.raises(Trouble) as caught:
        asking.get(url, expect="image")
    asking.close()
    assert len(str(caught.value)) < 500


def drip(part: bytes) -> Callable[[], AbstractContextManager[str]]:
    """Return a context of a server that sends `part` and then single bytes."""

    @contextmanager
    def serving() -> Iterator[str]:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(65_536)
                connection.sendall(part)
                try:
                    while not stop.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    pass
                connection.close()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                stop.set()
                listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)

    return serving


@pytest.mark.parametrize(
    "part",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b""],
    ids=["headers", "body", "status line"],
)
def test_reply_that_drips_ends_at_the_deadline(part: bytes, tmp_path: Path) -> None:
    with drip(part)() as url:
        asking = client(tmp_path, timeouts=Timeouts(connect=1.0, read=1.0, whole=0.6))
        started = time.monotonic()
        with pytest.raises(Transient):
            asking.get(url)
        asking.close()
        assert time.monotonic() - started < 10.0


class Elsewhere(FactsServer):
    """Server of covers that are stored on another host."""

    to = ""

    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply("", 302, "text/plain", {"Location": self.to})


class Pictures(Server):
    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply(picture(1), type="image/png")


@pytest.mark.usefixtures("untrusted")
def test_source_does_not_reach_the_server_of_another_source_by_a_redirect(
    library: Catalogue, settings: Settings
) -> None:
    with Pictures() as inside, Elsewhere() as outside:
        outside.to = f"{inside.url}/secret"
        faces = (Faces(FactsParams(base_url=outside.url)), ["cover"])
        (summary,) = Engine(library, [faces], replace(settings, retries=Retries(most=2, first=0.02))).run()
        assert inside.log == [] and summary.counts == {"failed": 4} and summary.stopped is None
        with library.engine.connect() as connection:
            notes = connection.exec_driver_sql("SELECT DISTINCT note FROM collected").scalars().all()
    assert len(notes) == 1 and "addresses from answers must be public" in notes[0]


@pytest.mark.usefixtures("untrusted")
def test_proxy_of_the_environment_is_used_and_internal_targets_are_still_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Redirecting() as proxy, Server() as inside:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        asking = client(tmp_path)
        assert asking.get("http://only-the-proxy-knows.invalid/a").json() == {"path": "x"}
        with pytest.raises(Transient, match="must be public"):
            asking.get(f"{inside.url}/secret")
        asking.close()
        assert inside.log == [] and len(proxy.log) == 1

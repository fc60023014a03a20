"""Tests of the HTTP client and of the adapter for `requests` sessions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from collectors.engine.hosts import check_redirect, check_status, retry_after, user_agent, without_query
from collectors.engine.response_bodies import is_block_page
from collectors.source import Blocked, RateLimited, Transient, Trouble
from segue.checks.check_source import http
from tests.servers import faults
from tests.servers.base import ReceivedRequest, Reply, Server
from toolkit.errors import InputError


class Echo(Server):
    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply({"path": request.path, "query": dict(request.query), "auth": request.headers.get("authorization")})


def by_client(client: Any, url: str) -> Any:
    return client.get(url).json()


def by_session(client: Any, url: str) -> Any:
    return client.session().get(url).json()


@pytest.mark.parametrize("ask", [by_client, by_session])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.too_many("7"), RateLimited),
        (faults.status(403), Blocked),
        (faults.expired, Blocked),
        (faults.status(500), Transient),
        (faults.reset, Transient),
        (faults.short, Transient),
        (faults.gzip_bomb(100), Transient),
        (faults.huge(100), Transient),
        (faults.redirect("file:///etc/passwd"), Transient),
    ],
)
def test_each_http_fault_raises_the_matching_trouble(ask: Callable[..., Any], fault: Any, kind: type[Trouble]) -> None:
    with Echo(faults={0: fault}) as server, http() as client:
        with pytest.raises(Trouble) as caught:
            ask(client, f"{server.url}/a?key=sesame")
        assert type(caught.value) is kind and "sesame" not in str(caught.value)
        assert ask(client, f"{server.url}/é?q=ü")["path"] == "/é"


def test_gzip_bomb_raises_without_being_decompressed() -> None:
    with Echo(faults={0: faults.gzip_bomb(200)}) as server, http() as client:
        tracemalloc.start()
        with pytest.raises(Transient, match="more than the limit of 1 MB"):
            client.get(server.url, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_authorization_is_not_sent_to_another_host_on_redirect() -> None:
    with (
        Echo() as other,
        Echo(faults={0: faults.redirect("/b"), 2: faults.redirect(other.url + "/c")}) as server,
        http() as client,
    ):
        headers = {"Authorization": "Bearer sesame"}
        assert client.get(server.url, headers=headers).json() == {"path": "/b", "query": {}, "auth": "Bearer sesame"}
        assert client.get(server.url, headers=headers).json() == {"path": "/c", "query": {}, "auth": None}
    with Echo(faults=lambda number, request: faults.redirect("/again")) as server, http() as client:
        with pytest.raises(Transient, match="must redirect at most 5 times"):
            client.get(server.url)
        assert len(server.log) == 6


@pytest.mark.parametrize("to", ["http://api.example.org/", "file:///etc/passwd", "gopher://a.example.org/"])
def test_redirect_that_is_unencrypted_or_not_http_raises(to: str) -> None:
    with pytest.raises(Transient):
        check_redirect("https://api.example.org/a", to)
    check_redirect("https://api.example.org/a", "https://cdn.example.net/a")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("soon", None),
        ("nan", None),
        ("1e300", 1e300),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Foo", None),
    ],
)
def test_retry_after_accepts_seconds_and_dates(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=100.0) == seconds


def test_503_with_retry_after_raises_rate_limited_and_404_does_not_raise() -> None:
    with pytest.raises(RateLimited):
        check_status(503, {"retry-after": "3"}, "x")
    check_status(404, {}, "x")
    assert without_query("https://u:p@API.example.org:8/a?key=1#f") == "api.example.org:8/a"


def test_contact_that_is_not_an_address_or_url_raises() -> None:
    assert user_agent("me@example.org").endswith(" (me@example.org)")
    for contact in ("", "me", "me@example.org\r\nX: y", "mé@example.org"):
        with pytest.raises(InputError):
            user_agent(contact)


def test_block_pages_are_distinguished_from_lyrics_pages() -> None:
    assert is_block_page(faults.CAPTCHA)
    song = (
        "<html><body>"
        + "<p>I am not a robot, I am a man</p>" * 10
        + '<script src="https://x.invalid/recaptcha.js"></script></body></html>'
    )
    assert not is_block_page(song)

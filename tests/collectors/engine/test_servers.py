"""Tests of the servers to which keys and the contact are sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from collectors.collect import SourceSpec, build_sources, parse, resolve
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import rates_by_host
from collectors.engine.http_client import Client
from collectors.engine.servers import Servers, check_keys, others
from collectors.keys import Keys
from collectors.source import Trouble
from collectors.sources.genius import Genius
from collectors.sources.lastfm import Lastfm
from collectors.sources.musicbrainz import MusicBrainz
from collectors.sources.spotify import Spotify
from collectors.sources.wikipedia import Wikipedia
from tests.servers import faults
from tests.servers.base import ReceivedRequest, Reply, Server
from toolkit.errors import InputError

KEYS = {
    "GENIUS_ACCESS_TOKEN": "genius-secret-123",
    "SPOTIFY_CLIENT_ID": "spotify-id-123",
    "SPOTIFY_CLIENT_SECRET": "spotify-secret-456",
    "LASTFM_API_KEY": "lastfm-secret-789",
}


@pytest.fixture(autouse=True)
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_TRUSTED_HOSTS", raising=False)


class Echo(Server):
    def reply(self, request: ReceivedRequest) -> Reply:
        return Reply({"headers": dict(request.headers), "query": dict(request.query)})


@pytest.mark.parametrize(
    ("source", "name", "own", "keys"),
    [
        ("genius", "api_url", "https://api.genius.com", "GENIUS_ACCESS_TOKEN"),
        ("genius", "web_url", "https://genius.com", "GENIUS_ACCESS_TOKEN"),
        ("spotify", "accounts_url", "https://accounts.spotify.com", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
        ("spotify", "api_url", "https://api.spotify.com", "SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET"),
        ("lastfm", "url", "https://ws.audioscrobbler.com", "LASTFM_API_KEY"),
    ],
)
@pytest.mark.parametrize(
    "form",
    [
        "http://127.0.0.1:18999",
        "https://evil.example.org",
        "http://{host}",
        "https://{host}:8443",
        "https://{host}.evil",
    ],
)
def test_key_for_another_server_than_the_own_one_raises(source: str, name: str, own: str, keys: str, form: str) -> None:
    url = form.format(host=own.removeprefix("https://"))
    spec = SourceSpec(source=source, params={name: url})
    with pytest.raises(InputError) as caught:
        build_sources([spec], Keys(KEYS))
    host = url.rpartition("//")[2]
    assert str(caught.value) == (
        f"source '{source}' must not send {keys} to {url}, which `{name}` sets instead of {own}: remove `{name}`, "
        f"or, if you trust this server with them, export SEGUE_TRUSTED_HOSTS={host}"
    )


@pytest.mark.parametrize(
    "trusted", ["127.0.0.1", "127.0.0.1:18999", " other.example.org ,127.0.0.1:18999 ", "127.0.0.1:1,127.0.0.1"]
)
def test_key_for_a_trusted_server_is_allowed(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TRUSTED_HOSTS", trusted)
    ((source, _),) = build_sources([SourceSpec(source="lastfm", params={"url": "http://127.0.0.1:18999"})], Keys(KEYS))
    assert source.secrets == {"LASTFM_API_KEY": "lastfm-secret-789"}


@pytest.mark.parametrize("trusted", ["127.0.0.1:18998", "127.0.0.2", "evil.example.org", "*", ""])
def test_key_for_another_server_than_the_trusted_one_raises(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TRUSTED_HOSTS", trusted)
    with pytest.raises(InputError, match="must not send LASTFM_API_KEY"):
        build_sources([SourceSpec(source="lastfm", params={"url": "http://127.0.0.1:18999"})], Keys(KEYS))


@pytest.mark.parametrize("trusted", ["http://127.0.0.1", "a@b", "host:port", "host/path"])
def test_trusted_hosts_in_a_wrong_form_raise(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TRUSTED_HOSTS", trusted)
    with pytest.raises(InputError, match="must be `host` or `host:port`"):
        check_keys("lastfm", Lastfm.hosts, Lastfm.Params(), KEYS)


@pytest.mark.parametrize(
    "url", ["https://ws.audioscrobbler.com", "https://WS.audioscrobbler.com:443/", "https://ws.audioscrobbler.com."]
)
def test_own_server_is_recognised_in_every_spelling(url: str) -> None:
    check_keys("lastfm", Lastfm.hosts, Lastfm.Params(url=url), KEYS)


def test_own_server_of_a_language_is_the_one_of_that_language() -> None:
    assert others(Wikipedia.hosts, Wikipedia.Params(language="de")) == {}
    assert others(Wikipedia.hosts, Wikipedia.Params(language="de", wikipedia="https://en.example.org")) == {
        "wikipedia": "https://en.example.org"
    }


def test_rate_above_the_limit_of_the_own_server_raises_in_every_spelling() -> None:
    for url in ("https://musicbrainz.org", "https://MusicBrainz.org/", "https://musicbrainz.org:443"):
        with pytest.raises(InputError, match="must be <= 1"):
            rates_by_host([MusicBrainz(MusicBrainz.Params(url=url, per_second=50))])
    rates_by_host([MusicBrainz(MusicBrainz.Params(url="http://127.0.0.1:1", per_second=50))])


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org", "example.org", "", "https://", "file:///etc/passwd", "https://user:secret@example.org"),
        *("https://ws.audioscrobbler.com\\@evil.org", "https://ws.audioscrobbler.com@evil.org", "https://a.org/?x="),
        *("https://a.org/#", "https://a.org\n.evil.org", "https://①②⑦.0.0.1"),
    ],
)
def test_address_of_a_server_in_a_wrong_form_raises(url: str) -> None:
    with pytest.raises(InputError, match="must be an http or https address without user, query and fragment"):
        resolve(SourceSpec(source="lastfm", params={"url": url}))


def test_no_key_is_needed_for_a_dry_run_of_another_server() -> None:
    assert build_sources(parse({"sources": [{"source": "lastfm", "params": {"url": "http://a.org"}}]}).sources, None)


@pytest.fixture
def limit(tmp_path: Path) -> HostLimit:
    return HostLimit("loopback", (), 8, root=tmp_path, stop=threading.Event())


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


def keyed(limit: HostLimit, *configured: Server) -> Client:
    servers = Servers(configured=frozenset(("127.0.0.1", server.port) for server in configured))
    return Client(lambda _: limit, "segue/1 (me@example.org)", servers=servers, secrets=KEYS.values())


def test_contact_is_sent_to_own_and_trusted_servers_alone(
    server: Echo, limit: HostLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keyed(limit, server).get(server.url).json()["headers"]["user-agent"] == "segue/1"
    monkeypatch.setenv("SEGUE_TRUSTED_HOSTS", f"127.0.0.1:{server.port}")
    client = Client(lambda _: limit, "segue/1 (me@example.org)")
    assert client.get(server.url).json()["headers"]["user-agent"] == "segue/1 (me@example.org)"


def test_key_that_a_source_sends_to_a_server_without_trust_is_held_back(server: Echo, limit: HostLimit) -> None:
    client, token = keyed(limit, server), KEYS["GENIUS_ACCESS_TOKEN"]
    headers = {"Authorization": "Bearer anything", "X-Key": token, "X-Other": "kept"}
    received = client.get(server.url, headers=headers).json()["headers"]
    assert "authorization" not in received and "x-key" not in received and received["x-other"] == "kept"
    for send in (
        lambda: client.get(server.url, {"key": token}),
        lambda: client.get(f"{server.url}/{token}"),
        lambda: client.post(server.url, data={"key": token}),
        lambda: client.post(server.url, json={"key": token}),
        lambda: client.slot(server.url).__enter__(),
    ):
        with pytest.raises(Trouble, match=r"127\.0\.0\.1:\d+ must not get a key of the source"):
            send()
    assert len(server.log) == 1


def test_redirect_to_another_host_carries_neither_key_nor_contact(
    server: Echo, limit: HostLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Echo(
        faults={0: faults.redirect(f"{server.url}/b"), 1: faults.redirect(f"{server.url}/b?key=genius-secret-123")}
    ) as own:
        monkeypatch.setenv("SEGUE_TRUSTED_HOSTS", f"127.0.0.1:{own.port}")
        servers = Servers(
            configured=frozenset({("127.0.0.1", server.port)}), trusted=frozenset({("127.0.0.1", own.port)})
        )
        client = Client(lambda _: limit, "segue/1 (me@example.org)", servers=servers, secrets=KEYS.values())
        headers = {"Authorization": "Bearer genius-secret-123"}
        received = client.get(f"{own.url}/a", headers=headers).json()["headers"]
        assert "authorization" not in received and received["user-agent"] == "segue/1"
        with pytest.raises(Trouble, match="must not get a key"):
            client.get(f"{own.url}/a", headers=headers)
        assert own.log[0].headers["authorization"] == "Bearer genius-secret-123" and len(server.log) == 1


def test_user_and_password_of_a_url_are_not_sent(server: Echo, limit: HostLimit) -> None:
    url = server.url.replace("//", "//user:secret@")
    assert "authorization" not in keyed(limit, server).get(url).json()["headers"]


def test_login_of_netrc_is_not_sent_by_a_client_library(
    server: Echo, limit: HostLimit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login someone password secret-of-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.utils.get_netrc_auth(server.url) == ("someone", "secret-of-netrc")
    client = Client(lambda _: limit, "segue/1", servers=Servers(configured=frozenset({("127.0.0.1", server.port)})))
    assert "authorization" not in client.session().get(server.url).json()["headers"]


def test_cookies_of_a_host_are_not_sent_back(limit: HostLimit) -> None:
    class Cookies(Echo):
        def reply(self, request: ReceivedRequest) -> Reply:
            return Reply(super().reply(request).body, headers={"Set-Cookie": f"n{len(self.log)}=1; Path=/"})

    with Cookies() as server:
        client = keyed(limit, server)
        assert ["cookie" in client.get(server.url).json()["headers"] for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("cls", [Genius, Spotify, Lastfm])
def test_every_server_of_a_keyed_source_is_its_own_by_default(cls: type[Genius]) -> None:
    assert others(cls.hosts, cls.Params()) == {}

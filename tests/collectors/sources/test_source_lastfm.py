"""Tests of the source `lastfm` with pylast and a loopback server."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from collectors.source import Absent, Ambiguous, Blocked, Found, RateLimited, Request, Transient, Trouble
from collectors.sources.lastfm import Lastfm
from segue.checks.check_source import check_source
from segue.checks.check_source import http as unlimited
from tests.servers import faults
from tests.servers.base import Reply
from tests.servers.lastfm import KEY, Artist, LastfmServer, as_xml, error
from toolkit.errors import InputError

MBID = "5b11f4ce-a62d-471e-81fc-a69a8278c7da"
MIRA = Artist(
    "Mira Oss",
    MBID,
    "Mira Oss sings <b>of</b> harbours & boats.",
    (("folk", 100), ("seen live", 40), ("odd, even", 12), ("noise", 3)),
)
TWINS = Artist(
    "Genesis",
    "",
    "There are at least three artists with this name: 1) a band 2) another 3) yet another.",
    (("prog", 100),),
)
ARABIC = Artist("فيروز", "", "مطربة لبنانية ولدت في بيروت", (("arabic", 100),))
SILENT = Artist("Nobody Wrote")
ALL = (MIRA, TWINS, ARABIC, SILENT)


@pytest.fixture
def http():
    """Return a client with separate limits for each test."""
    with unlimited() as client:
        yield client


@pytest.fixture
def collect(http, tmp_path: Path):
    """Return a function `collect(server, request)` with the correct key or another key."""

    def collect(server: LastfmServer, request: Request, key: str = KEY):
        source = Lastfm(Lastfm.Params(url=server.url), keys={"LASTFM_API_KEY": key})
        with source.opened(tmp_path):
            return source.collect(request, http)

    return collect


def about(name: str, *fields: str, mbid: str | None = None) -> Request:
    return Request("artist", "m:1", fields or ("biography",), {"mbid": mbid} if mbid else {}, artists=(name,))


def test_lastfm_passes_the_contract():
    with LastfmServer(ALL) as server:
        check_source(
            Lastfm,
            {"url": server.url},
            known=about("Mira Oss"),
            unknown=about("Nobody at All"),
            keys={"LASTFM_API_KEY": KEY},
        )


def test_biography_is_plain_text_by_name_or_mbid(collect):
    with LastfmServer(ALL) as server:
        by_name = collect(server, about("mira oss"))
        by_id = collect(server, about("Mira Øss", mbid=MBID))
        arabic = collect(server, about("فيروز"))
    assert by_name.values == by_id.values == {"biography": "Mira Oss sings of harbours & boats."}
    assert by_id.score == 1.0
    assert arabic.values == {"biography": ARABIC.biography}


def test_unknown_mbid_falls_back_to_the_name(collect):
    with LastfmServer(ALL) as server:
        assert isinstance(collect(server, about("فيروز", mbid=MBID[::-1])), Found)
    assert len(server.log) == 2


def test_unknown_artist_is_absent_and_shared_name_is_ambiguous(collect):
    with LastfmServer(ALL, corrected={"Mira Oz": "Mira Oss", "Zork": "Mira Oss"}) as server:
        assert isinstance(collect(server, about("Nobody at All")), Absent)
        assert collect(server, about("Nobody Wrote")).note == "no biography"
        twins = collect(server, about("Genesis"))
        assert isinstance(collect(server, about("Zork")), Absent)  # another artist's
    assert (
        isinstance(twins, Ambiguous)
        and twins.score < 0.85
        and twins.values["biography"].startswith("There are at least three")
    )


def test_only_tags_with_the_highest_weights_are_returned(collect):
    track = Request("track", "t:1", ("tags",), title="Sea Above", artists=("Mira Oss",))
    with LastfmServer(ALL) as server:
        assert collect(server, about("Mira Oss", "artist_tags")).values == {"artist_tags": "folk, seen live, odd  even"}
        assert isinstance(collect(server, about("Nobody Wrote", "artist_tags")), Absent)
        assert collect(server, track).values == {"tags": "harbour, sea"}
        assert isinstance(
            collect(server, Request("track", "t:2", ("tags",), title="Unheard", artists=("Mira Oss",))), Absent
        )


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(29, RateLimited), (11, Transient), (16, Transient), (8, Transient), (10, InputError), (26, InputError)],
)
def test_lastfm_error_codes_raise_troubles(collect, code, trouble):
    def fault(handler, _):
        return handler.send(error(code, "said so"))

    with LastfmServer(ALL, faults={0: fault}) as server, pytest.raises(trouble):
        collect(server, about("Mira Oss"))
    assert len(server.log) == 1


@pytest.mark.parametrize(
    ("fault", "trouble", "message"),
    [
        (faults.too_many("9"), RateLimited, "too many"),
        (faults.status(503, headers={"Retry-After": "4"}), RateLimited, "too many"),
        (faults.status(502), Transient, "502"),
        (faults.status(403), Blocked, "403"),
        (faults.captcha, Blocked, "page"),
        (faults.truncated, Transient, "XML"),
        (faults.short, Transient, "closed the connection"),
        (faults.reset, Transient, "closed the connection"),
        (faults.gzip_bomb(20), Trouble, "more than the limit of 4 MB"),
    ],
)
def test_faults_raise_troubles_through_pylast(collect, fault, trouble, message):
    with LastfmServer(ALL, faults={0: fault}) as server, pytest.raises(trouble, match=message) as raised:
        collect(server, about("Mira Oss"))
    assert len(server.log) == 1
    if message == "too many":
        assert raised.value.retry_after in (9.0, 4.0)


ENTITIES = (
    '<!DOCTYPE lfm [<!ENTITY secret SYSTEM "file:///etc/passwd">]>\n<lfm status="ok"><artist><name>Mira Oss</name>'
    "<bio><content>&secret;</content></bio></artist></lfm>"
)


def test_xml_with_entity_declarations_raises(collect):
    def fault(handler, _):
        return handler.send(Reply(ENTITIES, 200, "text/xml"))

    with LastfmServer(ALL, faults={0: fault}) as server, pytest.raises(Transient, match="entity declarations"):
        collect(server, about("Mira Oss"))


def test_key_is_sent_only_in_the_body_and_not_logged(collect, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with LastfmServer(ALL) as server:
        collect(server, about("Mira Oss"))
        with pytest.raises(InputError, match=r"LASTFM_API_KEY was rejected by Last\.fm \(code 10,") as refused:
            collect(server, about("Mira Oss"), "wrong-key-value")
        message = caplog.text + str(refused.value) + "".join(capsys.readouterr()) + repr(server.log)
    assert KEY not in message and "wrong-key-value" not in message
    assert server.log[0].headers["user-agent"].startswith("segue-checks (") and server.log[0].target == "/2.0/"


def test_tags_with_non_numeric_weights_are_dropped(collect):
    def fault(handler, _):
        return handler.send(
            as_xml('<toptags artist="Mira Oss"><tag><name>folk</name><count>lots</count></tag></toptags>')
        )

    with LastfmServer(ALL, faults={0: fault}) as server:
        assert isinstance(collect(server, about("Mira Oss", "artist_tags")), Absent)

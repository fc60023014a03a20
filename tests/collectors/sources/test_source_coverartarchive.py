"""Tests of the source `coverartarchive`."""

from __future__ import annotations

import pytest

from collectors.source import Absent, Blocked, Request, Transient, Trouble
from collectors.sources.coverartarchive import CoverArtArchive
from tests.collectors.sources.pictures import bomb, picture
from tests.servers import faults
from tests.servers.coverartarchive import CoverArtServer
from tests.servers.music import mbid

RELEASE, OTHER, GROUP, BROKEN, BOMB = (mbid("cover", name) for name in ("release", "other", "group", "broken", "bomb"))
COVERS = {RELEASE: picture("teal"), BROKEN: picture("red")[:-60], BOMB: bomb()}


@pytest.fixture
def server():
    with CoverArtServer(COVERS, {GROUP: picture("navy", "PNG")}) as server:
        yield server


@pytest.fixture
def source(server):
    return CoverArtArchive(CoverArtArchive.Params(url=server.url, size=500))


def album(release: str | None, group: str | None = None) -> Request:
    held = {"release_mbid": release, "mbid": group}
    return Request("album", "a", ("cover",), {kind: value for kind, value in held.items() if value}, title="Low Quay")


def test_front_cover_is_fetched_through_redirects(source, received, http):
    answer = source.collect(album(RELEASE, GROUP), http)
    assert answer.values == {"cover": COVERS[RELEASE]} and answer.score == 1
    assert [request.path.split("/")[1] for request in received] == ["release", "download", "items"]
    assert received[0].path == f"/release/{RELEASE}/front-500" and received[1].path.endswith("_thumb500.jpg")


def test_release_without_a_cover_gets_the_release_group_cover(source, http):
    assert source.collect(album(OTHER, GROUP), http).values == {"cover": picture("navy", "PNG")}
    assert source.collect(album(None, GROUP), http).values == {"cover": picture("navy", "PNG")}
    assert isinstance(source.collect(album(OTHER, OTHER), http), Absent)


def test_id_that_is_not_an_mbid_is_not_requested(source, received, http):
    assert isinstance(source.collect(album("../../release/" + RELEASE, "..%2f" + GROUP), http), Absent)
    assert received == []


@pytest.mark.parametrize(("release", "message"), [(BROKEN, "damaged"), (BOMB, "pixels")])
def test_damaged_cover_raises_transient(source, http, release, message):
    with pytest.raises(Transient, match=message):
        source.collect(album(release), http)


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [(faults.captcha, Blocked), (faults.wrong_type("application/json"), Transient), (faults.short, Transient)],
)
def test_cover_with_a_wrong_content_type_raises(source, server, http, fault, trouble):
    server.faults = lambda number, request: fault if request.path.startswith("/items") else None
    with pytest.raises(trouble):
        source.collect(album(RELEASE), http)


def test_redirect_loop_or_other_scheme_raises(source, server, http):
    server.faults = lambda number, request: faults.redirect("file:///etc/passwd")
    with pytest.raises(Trouble, match="must keep https"):
        source.collect(album(RELEASE), http)
    server.faults = lambda number, request: faults.redirect(f"{server.url}/release/{RELEASE}/front-500")
    with pytest.raises(Trouble, match="must redirect at most"):
        source.collect(album(RELEASE), http)

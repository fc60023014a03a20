"""The Cover Art Archive: redirects, releases and groups, broken pictures, ids that are paths."""

from __future__ import annotations

import pytest

from collectors.source import Absent, Blocked, Request, Transient, Trouble
from collectors.sources.coverartarchive import CoverArtArchive, CoverArtArchiveParams
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
    return CoverArtArchive(CoverArtArchiveParams(url=server.url, size=500))


def album(release: str | None, group: str | None = None) -> Request:
    held = {"release_mbid": release, "mbid": group}
    return Request("album", "a", ("cover",), {kind: value for kind, value in held.items() if value}, title="Low Quay")


def test_a_front_is_fetched_through_both_redirects(source, asked, http):
    answer = source.collect(album(RELEASE, GROUP), http)
    assert answer.values == {"cover": COVERS[RELEASE]} and answer.score == 1
    assert [request.path.split("/")[1] for request in asked] == ["release", "download", "items"]
    assert asked[0].path == f"/release/{RELEASE}/front-500" and asked[1].path.endswith("_thumb500.jpg")


def test_a_release_without_one_has_its_groups(source, http):
    assert source.collect(album(OTHER, GROUP), http).values == {"cover": picture("navy", "PNG")}
    assert source.collect(album(None, GROUP), http).values == {"cover": picture("navy", "PNG")}
    assert isinstance(source.collect(album(OTHER, OTHER), http), Absent)


def test_an_id_that_is_a_path_is_never_asked_for(source, asked, http):
    assert isinstance(source.collect(album("../../release/" + RELEASE, "..%2f" + GROUP), http), Absent)
    assert asked == []


@pytest.mark.parametrize(("release", "said"), [(BROKEN, "damaged"), (BOMB, "pixels")])
def test_a_picture_that_cannot_be_opened_is_not_kept(source, http, release, said):
    with pytest.raises(Transient, match=said):
        source.collect(album(release), http)


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [(faults.captcha, Blocked), (faults.wrong_type("application/json"), Transient), (faults.short, Transient)],
)
def test_what_is_no_picture_is_not_kept(source, server, http, fault, trouble):
    server.faults = lambda number, asked: fault if asked.path.startswith("/items") else None
    with pytest.raises(trouble):
        source.collect(album(RELEASE), http)


def test_redirects_elsewhere_and_in_circles(source, server, http):
    server.faults = lambda number, asked: faults.redirect("file:///etc/passwd")
    with pytest.raises(Trouble, match="not followed"):
        source.collect(album(RELEASE), http)
    server.faults = lambda number, asked: faults.redirect(f"{server.url}/release/{RELEASE}/front-500")
    with pytest.raises(Trouble, match="redirects more than"):
        source.collect(album(RELEASE), http)

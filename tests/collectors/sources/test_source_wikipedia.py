"""Tests of the source `wikipedia`, which finds articles through Wikidata or by name."""

from __future__ import annotations

import pytest

from collectors.source import Absent, Ambiguous, Found, Other, RateLimited, Request, Transient
from collectors.sources.wikipedia import BY_NAME, Wikipedia
from tests.servers import faults
from tests.servers.music import mbid
from tests.servers.wikimedia import Article, Item, WikimediaServer, failed, lagged

MIRA, NOBODY, GONE = mbid("artist", "Mira Oss"), mbid("artist", "nobody"), mbid("artist", "gone")
ARTICLES = [
    Article("Mira Oss", "Mira Oss is a singer from Low Quay.\n\n== Life ==\nShe sings.", "Singer", item="Q7"),
    Article("Boston", "Boston is a city.", "City in Massachusetts", item="Q100"),
    Article("Boston (band)", "Boston is an American rock band.", "American rock band", item="Q101"),
    Article("Lamp", "Lamp may refer to:", disambiguation=True),
    Article("Tide", "Tide may refer to:", disambiguation=True),
    Article("Tide (musician)", "Tide is a pianist known for Two Boats.", "Pianist", item="Q300"),
    Article("Tide (band)", "Tide were a duo from Redmile.", "Duo", item="Q301"),
    Article("Granite", "Granite is a coarse-grained rock.", "Type of rock"),
    Article("Anthem", "Anthem is a song by the singer Mira Oss.", "2003 song by Mira Oss"),
    Article("فيروز", "فيروز مطربة لبنانية", "Lebanese singer", item="Q8", redirects=("Fairuz",)),
    Article("Hollow", "", "Band"),
    Article("Nameless", "Nameless is a Finnish vocal ensemble founded in 1990. It has songs."),
]
ITEMS = [Item("Q7", MIRA, "Mira Oss"), Item("Q9", NOBODY), Item("Q10", GONE, "Hollow"), Item("Q8", None, "فيروز")]


@pytest.fixture
def server():
    with WikimediaServer(ARTICLES, ITEMS) as server:
        yield server


@pytest.fixture
def source(server):
    return of(server)


def of(server, **params):
    return Wikipedia(Wikipedia.Params(wikidata=server.wikidata, wikipedia=server.wikipedia, **params))


def artist(name: str, titles: tuple[str, ...] = (), **ids: str) -> Request:
    return Request("artist", "m:1", ("biography",), ids, artists=(name,), titles=titles)


def test_article_is_found_by_mbid_through_wikidata(source, received, http):
    answer = source.collect(artist("Somebody Called Otherwise", mbid=MIRA), http)
    assert answer == Found(
        {"biography": "Mira Oss is a singer from Low Quay."},
        1.0,
        answer.payload,
        (Other("artist", "m:1", "wikidata", "Q7"),),
    )
    assert [request.query["action"] for request in received] == ["query", "wbgetentities", "query"]
    assert received[0].query["srsearch"] == f"haswbstatement:P434={MIRA}" and received[2].query["exintro"] == "1"


def test_article_is_found_by_wikidata_id(source, received, http):
    assert source.collect(artist("Fairuz", wikidata="Q8"), http).values == {"biography": "فيروز مطربة لبنانية"}
    assert len(received) == 2


def test_artist_with_an_item_but_no_article_is_absent(source, http):
    answer = source.collect(artist("Mira Oss", mbid=NOBODY), http)
    assert isinstance(answer, Absent) and answer.note == "Q9 has no article in enwiki"
    assert source.collect(artist("Mira Oss", mbid=GONE), http).note == "'Hollow' has no text"


def test_article_is_found_by_name_without_ids(source, http):
    for received in (
        artist("Mira Oss"),
        artist("Mira Oss", mbid=mbid("unknown")),
        artist("Mira Oss", wikidata="Q0; DROP"),
    ):
        answer = source.collect(received, http)
        assert (
            isinstance(answer, Found)
            and answer.score == BY_NAME
            and answer.others == (Other("artist", "m:1", "wikidata", "Q7"),)
        )


@pytest.mark.parametrize(
    ("name", "begins"), [("Boston", "Boston is an American"), ("Fairuz", "فيروز"), ("Nameless", "Nameless is")]
)
def test_musician_is_selected_among_articles_with_the_same_name(source, http, name, begins):
    assert source.collect(artist(name), http).values["biography"].startswith(begins)


def test_several_musicians_are_ambiguous_unless_a_track_title_decides(source, http):
    answer = source.collect(artist("Tide"), http)
    assert isinstance(answer, Ambiguous) and answer.score == BY_NAME / 2 and answer.note == "2 musicians of that name"
    answer = source.collect(artist("Tide", ("Nothing", "Two Boats")), http)
    assert isinstance(answer, Found) and answer.values == {"biography": "Tide is a pianist known for Two Boats."}


def test_disambiguation_page_is_not_a_biography(source, http):
    answer = source.collect(artist("Lamp"), http)
    assert isinstance(answer, Ambiguous) and not answer.values and answer.score == 0


@pytest.mark.parametrize("name", ["Granite", "Anthem"])
def test_article_about_another_subject_is_absent(source, http, name):
    assert source.collect(artist(name), http).note == "the article of that name is about something else"


def test_missing_article_is_absent(source, http):
    assert source.collect(artist("Nobody at all"), http).note == ""
    assert source.collect(artist("Hollow"), http).note == ""


def test_part_whole_returns_the_whole_article(server, http):
    whole = of(server, part="whole")
    for received in (artist("Mira Oss", mbid=MIRA), artist("Mira Oss")):
        assert whole.collect(received, http).values["biography"].endswith("== Life ==\nShe sings.")


def test_language_sets_the_wiki(server, http, received):
    source = of(server, language="zh-yue")
    assert source.collect(artist("Mira Oss", mbid=MIRA), http).note == "Q7 has no article in zh_yuewiki"
    assert Wikipedia.Params(language="fr").wikipedia == "https://fr.wikipedia.org"


def test_wikimedia_api_errors_raise_troubles(source, server, http):
    server.faults = {
        0: lambda handler, _: handler.send(lagged(5)),
        1: lambda handler, _: handler.send(failed("internal_api_error_DBQueryError", "A query failed.")),
        2: faults.wrong_json,
        3: lambda handler, reply: handler.send(type(reply)({"batchcomplete": True})),
    }
    with pytest.raises(RateLimited, match="maxlag") as behind:
        source.collect(artist("Mira Oss"), http)
    assert behind.value.retry_after == 5
    for message in ("DBQueryError", "documented", "documented"):
        with pytest.raises(Transient, match=message):
            source.collect(artist("Mira Oss"), http)
    assert isinstance(source.collect(artist("Mira Oss"), http), Found)

"""Wikipedia: through Wikidata by MusicBrainz id, then by name, where namesakes must not be taken for the artist."""

from __future__ import annotations

import pytest

from collectors.source import Absent, Ambiguous, Found, Other, RateLimited, Request, Transient
from collectors.sources.wikipedia import BY_NAME, Wikipedia, WikipediaParams
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
    return Wikipedia(WikipediaParams(wikidata=server.wikidata, wikipedia=server.wikipedia, **params))


def artist(name: str, titles: tuple[str, ...] = (), **ids: str) -> Request:
    return Request("artist", "m:1", ("biography",), ids, artists=(name,), titles=titles)


def test_by_musicbrainz_id_through_wikidata(source, asked, http):
    answer = source.collect(artist("Somebody Called Otherwise", mbid=MIRA), http)
    assert answer == Found(
        {"biography": "Mira Oss is a singer from Low Quay."},
        1.0,
        answer.payload,
        (Other("artist", "m:1", "wikidata", "Q7"),),
    )
    assert [request.query["action"] for request in asked] == ["query", "wbgetentities", "query"]
    assert asked[0].query["srsearch"] == f"haswbstatement:P434={MIRA}" and asked[2].query["exintro"] == "1"


def test_by_wikidata_id(source, asked, http):
    assert source.collect(artist("Fairuz", wikidata="Q8"), http).values == {"biography": "فيروز مطربة لبنانية"}
    assert len(asked) == 2


def test_an_artist_that_wikidata_knows_without_an_article_is_absent_and_not_its_namesake(source, http):
    answer = source.collect(artist("Mira Oss", mbid=NOBODY), http)
    assert isinstance(answer, Absent) and answer.note == "Q9 has no article in enwiki"
    assert source.collect(artist("Mira Oss", mbid=GONE), http).note == "'Hollow' has no text"


def test_by_name_where_no_id_helps(source, http):
    for asked in (
        artist("Mira Oss"),
        artist("Mira Oss", mbid=mbid("unknown")),
        artist("Mira Oss", wikidata="Q0; DROP"),
    ):
        answer = source.collect(asked, http)
        assert (
            isinstance(answer, Found)
            and answer.score == BY_NAME
            and answer.others == (Other("artist", "m:1", "wikidata", "Q7"),)
        )


@pytest.mark.parametrize(
    ("name", "begins"), [("Boston", "Boston is an American"), ("Fairuz", "فيروز"), ("Nameless", "Nameless is")]
)
def test_the_musician_of_that_name(source, http, name, begins):
    assert source.collect(artist(name), http).values["biography"].startswith(begins)


def test_several_musicians_are_ambiguous_unless_a_track_tells_them_apart(source, http):
    answer = source.collect(artist("Tide"), http)
    assert isinstance(answer, Ambiguous) and answer.score == BY_NAME / 2 and answer.note == "2 musicians of that name"
    answer = source.collect(artist("Tide", ("Nothing", "Two Boats")), http)
    assert isinstance(answer, Found) and answer.values == {"biography": "Tide is a pianist known for Two Boats."}


def test_a_disambiguation_page_is_no_biography(source, http):
    answer = source.collect(artist("Lamp"), http)
    assert isinstance(answer, Ambiguous) and not answer.values and answer.score == 0


@pytest.mark.parametrize("name", ["Granite", "Anthem"])
def test_the_article_of_something_else_is_absent(source, http, name):
    assert source.collect(artist(name), http).note == "the article of that name is about something else"


def test_no_article_is_absent(source, http):
    assert source.collect(artist("Nobody at all"), http).note == ""
    assert source.collect(artist("Hollow"), http).note == ""


def test_whole_articles(server, http):
    whole = of(server, part="whole")
    for asked in (artist("Mira Oss", mbid=MIRA), artist("Mira Oss")):
        assert whole.collect(asked, http).values["biography"].endswith("== Life ==\nShe sings.")


def test_another_language_asks_its_own_wiki(server, http, asked):
    source = of(server, language="zh-yue")
    assert source.collect(artist("Mira Oss", mbid=MIRA), http).note == "Q7 has no article in zh_yuewiki"
    assert WikipediaParams(language="fr").wikipedia == "https://fr.wikipedia.org"


def test_errors_of_the_api_come_with_status_200(source, server, http):
    server.faults = {
        0: lambda handler, _: handler.send(lagged(5)),
        1: lambda handler, _: handler.send(failed("internal_api_error_DBQueryError", "A query failed.")),
        2: faults.wrong_json,
        3: lambda handler, reply: handler.send(type(reply)({"batchcomplete": True})),
    }
    with pytest.raises(RateLimited, match="maxlag") as behind:
        source.collect(artist("Mira Oss"), http)
    assert behind.value.retry_after == 5
    for said in ("DBQueryError", "documented", "documented"):
        with pytest.raises(Transient, match=said):
            source.collect(artist("Mira Oss"), http)
    assert isinstance(source.collect(artist("Mira Oss"), http), Found)

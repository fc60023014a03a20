"""Tests of entity linking by aliases and by DBpedia Spotlight."""

from __future__ import annotations

import pytest

from segue_papers.enrichment.entity_linking import AliasLinker
from segue_papers.enrichment.knowledge import ONTOLOGY
from segue_papers.enrichment.local_knowledge import LocalKnowledge
from segue_papers.enrichment.semantic_terms import COMMON, PROPERTIES, Classes
from segue_papers.enrichment.spotlight_linker import SpotlightLinker
from tests.papers.enrichment.music_knowledge import DBO, DBR, serving, spotlight
from toolkit.errors import DataError, SegueError


@pytest.fixture
def linker(dump):
    knowledge = LocalKnowledge([dump])
    return AliasLinker(knowledge, Classes(knowledge, list(PROPERTIES), ONTOLOGY).of, COMMON)


def found(linker, text):
    return [(text[mention.start : mention.stop], mention.entity.removeprefix(DBR)) for mention in linker.link(text)]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("Tidewater play indie rock.", [("Tidewater", "Tidewater_(band)"), ("indie rock", "Indie_rock")]),
        (
            "fans of The Tidewaters, and INDIE-Rock",
            [("The Tidewaters", "Tidewater_(band)"), ("INDIE-Rock", "Indie_rock")],
        ),
        ("Ann  Rów of Norwick plays banjo", [("Ann  Rów", "Ann_Rów"), ("Norwick", "Norwick"), ("banjo", "Banjo")]),
        ("a tidewater in norwick", []),  # names begin with a capital
        ("Love is a virtue", []),  # of no wanted class
        ("Ann. Indie! Rock: Ann\nRów", []),
        ("", []),
    ],
)
def test_alias_linker_links_entity_names(linker, text, mentions):
    assert found(linker, text) == mentions


def test_alias_linker_links_the_longest_name(linker, dump):
    dump.write_text(
        dump.read_text(encoding="utf-8")
        + f"<{DBR}Rock> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}MusicGenre> .\n"
        + f"<{DBR}The_The> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}Band> .\n",
        encoding="utf-8",
    )
    knowledge = LocalKnowledge([dump])
    linker = AliasLinker(knowledge, Classes(knowledge, ["MusicGenre", "Band"], ONTOLOGY).of, COMMON)
    assert found(linker, "indie rock and rock, but The The") == [("indie rock", "Indie_rock"), ("rock", "Rock")]


def test_entity_has_the_first_class_among_its_superclasses(dump):
    knowledge = LocalKnowledge([dump])
    entities = [f"{DBR}Norwick", f"{DBR}Tidewater_(band)", f"{DBR}Love_(virtue)", f"{DBR}Nobody"]
    assert Classes(knowledge, ["Band", "Place"], ONTOLOGY).of(entities) == ["Place", "Band", None, None]
    both = Classes(knowledge, ["Settlement", "Place"], ONTOLOGY)
    assert both.of(entities[:1] * 2) == ["Settlement", "Settlement"]
    assert Classes(knowledge, [f"{DBO}City"], "").of(entities[:1]) == [f"{DBO}City"]


def test_spotlight_returns_spans_and_entities():
    text = "By Tidewater: indie rock, by Tidewater."
    with serving(spotlight) as server:
        linker = SpotlightLinker(f"{server.url}/rest/annotate", confidence=0.35)
        assert found(linker, text) == [
            ("Tidewater", "Tidewater_(band)"),
            ("indie rock", "Indie_rock"),
            ("Tidewater", "Tidewater_(band)"),
        ]
        assert server.requests == [{"text": text, "confidence": "0.35"}]
        assert linker.link_all(["nothing", "", "Tidewater"]) == [[], [], linker.link("Tidewater")]
        assert {form["text"] for form in server.requests} == {text, "nothing", "Tidewater"}, (
            "no request for an empty text"
        )


def test_overlapping_annotations_keep_only_the_first():
    body = b'{"Resources": [%s]}' % b", ".join(
        b'{"@URI": "%s", "@surfaceForm": "%s", "@offset": "%d"}' % row
        for row in [(b"b", b"rock", 6), (b"a", b"indie rock", 0), (b"c", b"indie", 0)]
    )
    with serving(lambda *_: (200, {}, body)) as server:
        assert SpotlightLinker(server.url).link("indie rock") == [(0, 10, "a")]


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"Resources": [{"@URI": "x"}]}', b'{"Resources": [{"@URI": "x", "@surfaceForm": "y", "@offset": "z"}]}'],
)
def test_invalid_spotlight_answer_raises_data_error(body):
    with (
        serving(lambda *_: (200, {}, body)) as server,
        pytest.raises(DataError, match="must return annotations: set spotlight"),
    ):
        SpotlightLinker(server.url).link("x")


def test_unavailable_spotlight_raises_one_line_error():
    with serving(lambda *_: (200, {}, b"{}")) as server:
        url = server.url
    with pytest.raises(SegueError, match=r"DBpedia Spotlight at http://127.0.0.1:\d+ cannot be reached"):
        SpotlightLinker(url, retries=1, wait=0.01).link_all(["a", "b"])

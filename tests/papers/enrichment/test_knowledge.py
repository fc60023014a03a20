"""Tests of local and SPARQL knowledge bases with the same facts."""

from __future__ import annotations

import os

import pytest

from segue_papers.enrichment import local_knowledge
from segue_papers.enrichment.knowledge import CATEGORY, TYPE, local_name, resolved
from segue_papers.enrichment.local_knowledge import LocalKnowledge, plain
from segue_papers.enrichment.sparql_knowledge import SparqlKnowledge
from tests.papers.enrichment.music_knowledge import DBO, DBR, NT, TTL, Endpoint, serving
from toolkit.errors import DataError, InputError, SegueError

BAND = f"{DBR}Tidewater_(band)"
ASKED = [TYPE, CATEGORY, f"{DBO}genre", f"{DBO}occupation", f"{DBO}nothing"]
EXPECTED = {
    BAND: {
        TYPE: [f"{DBO}Band"],
        CATEGORY: [f"{DBR}Category:Norwick_musical_groups"],
        f"{DBO}genre": [f"{DBR}Indie_rock", f"{DBR}Sea_shanty"],
    },
    f"{DBR}Ann_Rów": {TYPE: [f"{DBO}MusicalArtist"], f"{DBO}occupation": ['singer, "poet"']},
}


def test_local_knowledge_returns_facts_from_a_dump(dump):
    knowledge = LocalKnowledge([dump])
    assert knowledge.facts([BAND, f"{DBR}Ann_Rów", f"{DBR}Nobody"], ASKED) == EXPECTED
    assert knowledge.facts([], ASKED) == knowledge.facts([BAND], []) == {}
    assert {name: knowledge.about()[name] for name in ("read", "kept")} == {"read": "26", "kept": "25"}


def test_sparql_endpoint_returns_the_same_facts_as_a_dump(monkeypatch):
    with serving(Endpoint()) as server:
        knowledge = SparqlKnowledge(server.url)
        assert knowledge.facts([BAND, f"{DBR}Ann_Rów", f"{DBR}Nobody", "no iri at all"], ASKED) == EXPECTED
        labels = knowledge.facts([f"{DBR}Indie_rock"], [local_knowledge.NAMES[0]])
        assert labels == {f"{DBR}Indie_rock": {local_knowledge.NAMES[0]: ["indie rock"]}}, (
            "other languages are left out"
        )
        server.requests.clear()
        monkeypatch.setattr("segue_papers.enrichment.sparql_knowledge.BATCH", 1)
        assert knowledge.facts([BAND, f"{DBR}Ann_Rów"], ASKED) == EXPECTED
        assert len(server.requests) == 2
        assert knowledge.facts([], ASKED) == knowledge.facts([BAND], []) == {}
        assert len(server.requests) == 2, "no request without subjects"


def test_sparql_query_contains_only_valid_iris():
    with serving(Endpoint()) as server:
        SparqlKnowledge(server.url).facts([BAND, f"{DBR}x> ?p ?o }} #", "a b"], [TYPE])
        assert "x> ?p" not in server.requests[0]["query"]


def test_answer_that_is_not_sparql_json_raises_data_error():
    for body in (b"{}", b"[]", b'{"results": {"bindings": [{"s": 1}]}}'):
        with (
            serving(lambda *_, body=body: (200, {}, body)) as server,
            pytest.raises(DataError, match="must return SPARQL JSON"),
        ):
            SparqlKnowledge(server.url).facts([BAND], [TYPE])
    with serving(lambda *_: (503, {}, b"")) as server, pytest.raises(SegueError, match="returned 503"):
        SparqlKnowledge(server.url, retries=1, wait=0.01).facts([BAND], [TYPE])


def test_lookup_uses_names_redirects_and_iris(dump):
    knowledge = LocalKnowledge([dump])
    assert [entity for entity, _ in knowledge.named("tidewater")] == [BAND, f"{DBR}Tidewater_Lake"], (
        "the band has the most facts"
    )
    assert knowledge.named("the tidewaters")[0][0] == BAND, "by a redirect"
    assert knowledge.named(plain("ANN  Rów"))[0][0] == f"{DBR}Ann_Rów", "by foaf:name"
    assert knowledge.named("norwick")[0][0] == f"{DBR}Norwick", "by its IRI"
    assert knowledge.named(plain("indépendant")) == [], "of another language"
    assert [knowledge.longest(word) for word in ("the", "ann", "tidewater", "nobody")] == [2, 2, 2, 0]


def test_several_dumps_and_languages_are_read(dump, tmp_path):
    more = tmp_path / "more.ttl"
    more.write_text(TTL.replace("dbr:Farland", "dbr:Overseas"), encoding="utf-8")
    knowledge = LocalKnowledge([dump, more])
    assert knowledge.facts([f"{DBR}Norwick"], [f"{DBO}country"]) == {
        f"{DBR}Norwick": {f"{DBO}country": [f"{DBR}Farland", f"{DBR}Overseas"]}
    }
    assert LocalKnowledge([dump], language="fr").named(plain("indépendant"))[0][0] == f"{DBR}Indie_rock"


def test_dump_is_read_again_only_after_a_change(dump, cache, monkeypatch):
    knowledge = LocalKnowledge([dump])
    first = knowledge.fingerprint()
    knowledge.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(local_knowledge, "build", None)
        patch.setattr(local_knowledge, "files_digest", None)
        again = LocalKnowledge([dump])
        again.prepare()
        assert again.fingerprint() == first and again.named("norwick")
    dump.write_text(NT.replace("Norwick", "Southwick"), encoding="utf-8")
    os.utime(dump, (5, 5))
    changed = LocalKnowledge([dump])
    assert changed.fingerprint() != first
    assert changed.named("southwick") and not changed.named("norwick")
    assert len(list((cache / "knowledge").glob("*.sqlite"))) == 2
    assert not list((cache / "knowledge").glob(".*")), "no part is left behind"


def test_failed_build_leaves_no_file(dump, cache):
    dump.write_text("no triples\n")
    with pytest.raises(DataError, match="1 of 1 lines are not N-Triples"):
        LocalKnowledge([dump]).prepare()
    dump.write_text("# nothing\n")
    with pytest.raises(DataError, match="at least 1 of 0 triples must be usable"):
        LocalKnowledge([dump]).prepare()
    assert list((cache / "knowledge").iterdir()) == []
    with pytest.raises(InputError, match="nowhere.nt must be a file: pass a knowledge base dump"):
        LocalKnowledge([dump.with_name("nowhere.nt")])


@pytest.mark.parametrize("content", [b"not a database", b""])
def test_damaged_knowledge_tables_are_rebuilt(dump, content):
    first = LocalKnowledge([dump])
    first.prepare()
    first.path.write_bytes(content)
    again = LocalKnowledge([dump])
    with pytest.warns(RuntimeWarning, match="is damaged and rebuilt"):
        again.prepare()
    assert again.facts([BAND], ASKED) == {BAND: EXPECTED[BAND]}


def test_long_literals_are_skipped_for_any_batch_size(dump, monkeypatch):
    whole = LocalKnowledge([dump]).facts([BAND], ASKED)
    monkeypatch.setattr(local_knowledge, "BATCH", 3)
    monkeypatch.setattr(local_knowledge, "LONGEST", 10)
    monkeypatch.setattr(local_knowledge, "VERSION", -1)
    small = LocalKnowledge([dump])
    assert small.facts([BAND], ASKED) == whole
    assert small.facts([f"{DBR}Ann_Rów"], ASKED) == {f"{DBR}Ann_Rów": {TYPE: [f"{DBO}MusicalArtist"]}}


def test_local_name_is_the_last_part_of_an_iri():
    assert local_name("http://x.org/resource/AC%2FDC") == "AC/DC"
    assert local_name("http://x.org/onto#Band") == "Band"
    assert resolved("Band", DBO) == f"{DBO}Band"
    assert resolved("http://x.org/Band", DBO) == "http://x.org/Band"

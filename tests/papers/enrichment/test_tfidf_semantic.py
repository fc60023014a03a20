"""Tests of TF-IDF with entity terms from every linker and knowledge base."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from segue_papers.encoders.tfidf_semantic import TfidfSemanticEncoder, TfidfSemanticParams
from segue_papers.enrichment.enrichment_params import Enrichment
from segue_papers.enrichment.semantic_terms import PROPERTIES, term
from tests.papers.enrichment.music_knowledge import BIOGRAPHIES, DBR, NT, Endpoint, serving, spotlight
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.contract.registry import create
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError, SegueError

BAND = ["Tidewater_band", "Indie_rock", "Sea_shanty", "Norwick", "Category_Norwick_musical_groups"]


def encoder_of(**enrich) -> TfidfSemanticEncoder:
    return TfidfSemanticEncoder(TfidfSemanticParams(dim=0, enrich=enrich))


def test_terms_of_a_biography_equal_a_case_by_hand(dump):
    terms = Enrichment(knowledge=dump).enricher().terms(BIOGRAPHIES)
    assert terms[0] == [*BAND, "Indie_rock", "Post_punk", "Norwick", "Farland"]
    assert terms[1] == ["Ann_Rów", "Banjo", "singer_poet", "Norwick", "Norwick", "Farland", "Banjo", *BAND]
    assert terms[2] == terms[4] == []
    assert terms[3] == ["Banjo", "Indie_rock", "Post_punk", *BAND]


def test_terms_depend_on_classes_properties_and_categories(dump):
    chosen = Enrichment(knowledge=dump, classes=["Band"], properties={"Band": ["hometown"]}, categories=False)
    assert chosen.enricher().terms(BIOGRAPHIES[:1]) == [["Tidewater_band", "Norwick"]]
    assert chosen.properties == PROPERTIES | {"Band": ["hometown"]}


def test_spotlight_and_sparql_endpoint_return_the_same_terms(dump):
    with serving(spotlight) as linker, serving(Endpoint()) as endpoint:
        remote = Enrichment(endpoint=endpoint.url, linker="spotlight", spotlight=linker.url)
        places = Enrichment(knowledge=dump, linker="spotlight", spotlight=linker.url)
        expected = [*BAND, "Indie_rock", "Post_punk"]
        assert remote.enricher().terms(BIOGRAPHIES[:1]) == places.enricher().terms(BIOGRAPHIES[:1]) == [expected]


def test_semantic_vectors_equal_tfidf_of_text_and_terms(dump):
    encoder = encoder_of(knowledge=dump).fit(BIOGRAPHIES)
    terms = Enrichment(knowledge=dump).enricher().terms(BIOGRAPHIES)
    by_hand = [f"{text} {' '.join(words)}" for text, words in zip(BIOGRAPHIES, terms, strict=True)]
    plain = TfidfEncoder(TfidfParams(dim=0)).fit(by_hand)
    assert encoder.vocabulary == plain.vocabulary and "post_punk" in plain.vocabulary
    np.testing.assert_array_equal(encoder.transform(BIOGRAPHIES), plain.transform(by_hand))
    new = ["Fans of Tidewater"]
    np.testing.assert_array_equal(encoder.transform(new), plain.transform([f"{new[0]} {' '.join(BAND)}"]))
    assert encoder.summary() == {"terms_per_text": round(sum(map(len, terms)) / 5, 3), "texts_enriched": 0.6}


def test_texts_about_one_scene_have_closer_vectors(dump):
    texts = ["Tidewater are back.", "Everybody loves Norwick.", "Somebody is back, everybody loves it."]
    rows = encoder_of(knowledge=dump).fit(texts).transform(texts)
    plain = TfidfEncoder(TfidfParams(dim=0)).fit(texts).transform(texts)
    assert plain[0] @ plain[1] == 0 < rows[0] @ rows[1]


def test_saved_encoder_contains_the_linked_entities(dump, tmp_path):
    with serving(spotlight) as server:
        encoder = encoder_of(knowledge=dump, linker="spotlight", spotlight=server.url, retries=0).fit(BIOGRAPHIES)
        rows = encoder.transform(BIOGRAPHIES)
        count = len(server.requests)
        assert count == 4, "one request per text that is not empty"
        encoder.save(tmp_path / "saved")
    loaded = TfidfSemanticEncoder.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.transform(BIOGRAPHIES), rows)
    with pytest.raises(SegueError, match="DBpedia Spotlight at .* cannot be reached"):
        loaded.transform(["a new text"])


def test_resuming_a_killed_fit_does_not_link_again(dump, tmp_path, monkeypatch):
    monkeypatch.setattr("segue_papers.encoders.tfidf_semantic.BATCH", 1)
    monkeypatch.setattr("segue_papers.enrichment.spotlight_linker.PARALLEL", 1)
    answers = {"left": 2}

    def dies(path, form):
        answers["left"] -= 1
        return spotlight(path, form) if answers["left"] >= 0 else (500, {}, b"")

    with serving(dies) as server:
        enrich = {"knowledge": dump, "linker": "spotlight", "spotlight": server.url, "retries": 0}
        with pytest.raises(SegueError, match="returned 500"):
            encoder_of(**enrich).fit(BIOGRAPHIES, workdir=tmp_path / "fit")
        notes = tmp_path / "fit" / "linked.jsonl"
        assert len(notes.read_text().splitlines()) == 2
        with notes.open("a") as file:
            file.write('["cut sho')
        answers["left"] = 100
        server.requests.clear()
        again = encoder_of(**enrich).fit(BIOGRAPHIES, workdir=tmp_path / "fit")
        assert [form["text"] for form in server.requests] == BIOGRAPHIES[2:4]
        np.testing.assert_array_equal(
            again.transform(BIOGRAPHIES), encoder_of(**enrich).fit(BIOGRAPHIES).transform(BIOGRAPHIES)
        )
    assert [json.loads(line)[1] for line in notes.read_text().splitlines()] == list(again.learned.values())


def test_changed_dump_is_encoded_again(dump, tmp_path):
    def run():
        encoder = encoder_of(knowledge=dump)
        encode(encoder, FieldValues("bio", list("abcde"), np.ones(5, bool), BIOGRAPHIES), cache=tmp_path / "encodings")
        return encoder.vocabulary

    assert "sea_shanty" in run()
    dump.write_text(NT.replace("Sea_shanty", "Skiffle"), encoding="utf-8")
    assert "skiffle" in run()


@pytest.mark.parametrize(
    ("enrich", "message"),
    [
        ({}, "enrich has 0 knowledge files and endpoint=None but must have exactly one source"),
        ({"knowledge": "a.nt", "endpoint": "http://x.org"}, "must have exactly one source"),
        ({"endpoint": "http://x.org/sparql"}, "`linker: aliases` requires knowledge"),
        ({"knowledge": "a.nt", "linker": "spotlight"}, "`linker: spotlight` requires spotlight: set spotlight"),
        (
            {"knowledge": "a.nt", "linker": "spotlight", "spotlight": "localhost"},
            "'localhost' must be an http or https address",
        ),
        ({"knowledge": "a.nt", "linker": "babelfy"}, "aliases.*spotlight"),
        ({"knowledge": "a.nt", "language": 'en") } #'}, "language"),
        ({"knowledge": "a.nt", "classes": []}, "classes"),
    ],
)
def test_contradictory_enrichment_parameters_raise_value_error(enrich, message):
    with pytest.raises(ValidationError, match=message):
        Enrichment.model_validate(enrich)
    with pytest.raises(InputError, match=message) as caught:
        create("tfidf-semantic", {"enrich": enrich}, device="cpu")
    assert "\n" not in str(caught.value)


def test_missing_knowledge_base_raises_one_line_error(tmp_path):
    for ask in (lambda encoder: encoder.fit(["x"]), lambda encoder: encoder.fingerprint()):
        with pytest.raises(
            InputError, match=r"tfidf-semantic requires enrich: set enrich to {knowledge: a dump, .nt or .ttl}, or"
        ):
            ask(TfidfSemanticEncoder())
    with pytest.raises(InputError, match=r"nowhere.nt must be a file: pass a knowledge base dump, .nt or .ttl"):
        encoder_of(knowledge=tmp_path / "nowhere.nt").fingerprint()


def test_preview_ends_with_the_appended_terms(dump):
    plain = encoder_of(knowledge=dump, classes=["MusicGenre"])
    assert plain.preview("the indie rock") == [("enrich", "the indie rock Indie_rock Post_punk")]
    params = TfidfSemanticParams(clean={"stop_words": True}, enrich={"knowledge": dump, "classes": ["MusicGenre"]})
    steps = TfidfSemanticEncoder(params).preview("the indie rock")
    assert steps == [("stop_words", "indie rock"), ("enrich", "indie rock Indie_rock Post_punk")]


def test_term_returns_a_value_as_one_word():
    assert term(f"{DBR}AC%2FDC") == "AC_DC"
    assert term(f"{DBR}Rock_(music)") == "Rock_music"
    assert term("Indie rock") == "Indie_rock"
    assert term("...") == ""

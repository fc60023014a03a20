"""Tests of means of pretrained word vectors, unknown words and errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.encoders.text.vector_texts import VECTORS, write_glove
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.text import word_vectors
from toolkit.encoders.text.word_vectors import WordVectorsEncoder, WordVectorsParams
from toolkit.errors import InputError

PLAIN = {"clean": False}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path):
    return write_glove(tmp_path / "vectors.txt")


def test_text_vector_equals_the_mean_over_known_words_with_repeats(path):
    encoder = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN)).fit(["rain", "snow and rain"])
    rows = encoder.transform(["Rain, rain: city!", "nothing here", "", "tide"])
    expected = (2 * np.array(VECTORS["rain"]) + VECTORS["city"]) / 3
    np.testing.assert_allclose(rows, [expected, [0, 0, 0], [0, 0, 0], VECTORS["tide"]], atol=1e-7)
    assert encoder.dim == 3


def test_summary_counts_words_without_a_vector(path):
    encoder = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN))
    assert encoder.summary() == {}
    encoder.fit(["rain rain city snow", "rain hail tide tide"])
    assert encoder.summary() == {
        "out_of_vocabulary": 0.25,
        "out_of_vocabulary_words": 0.4,
    }  # 2 of 8 running, 2 of 5 different


def test_many_unknown_words_raise_a_warning(path):
    with pytest.warns(RuntimeWarning, match="word-vectors: 67 % of 3 words have no vector"):
        WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN)).fit(["rain hail snow"])


def test_texts_without_a_known_word_raise_input_error(path):
    with pytest.raises(
        InputError, match=r"at least 1 of 2 words \('regen', 'schnee', …\) must be in .*vectors.txt: set path"
    ):
        WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN)).fit(["regen schnee", "regen"])


def test_texts_with_only_stop_words_raise_error_with_the_modality(path, tmp_path):
    texts, encoder = ["the and", "and of the"], WordVectorsEncoder(WordVectorsParams(path=path))
    with pytest.raises(
        InputError,
        match=r"^lyrics: word-vectors: at least 1 of 2 texts must contain a word after cleaning: remove cleaning steps",
    ):
        encode(encoder, FieldValues("lyrics", ["a", "b"], np.ones(2, bool), texts), cache=tmp_path)


def test_default_cleaning_equals_the_published_cleaning(path):
    texts = ["3 ContributorsRain Lyrics[Chorus]\nI'm singin' to the city12Embed", "rain", "tide", "city harbour"]
    encoder = WordVectorsEncoder(WordVectorsParams(path=path)).fit(texts)
    np.testing.assert_allclose(
        encoder.transform(texts[:1])[0], (np.array(VECTORS["singing"]) + VECTORS["city"]) / 2, atol=1e-7
    )
    with pytest.warns(RuntimeWarning, match="lowercase=False"):
        cased = WordVectorsEncoder(WordVectorsParams(path=path, lowercase=False, **PLAIN)).fit(texts)
    np.testing.assert_allclose(
        cased.transform(["Rain rain tide"])[0], (np.array(VECTORS["rain"]) + VECTORS["tide"]) / 2, atol=1e-7
    )


def test_missing_vector_path_raises_one_line_error():
    for ask in (lambda encoder: encoder.dim, lambda encoder: encoder.fit(["x"]), lambda encoder: encoder.fingerprint()):
        with pytest.raises(InputError, match="word-vectors requires path: set path to a GloVe or word2vec file"):
            ask(WordVectorsEncoder())


def test_changed_word_vector_file_is_encoded_again(path, tmp_path):
    def run():
        encoder = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN))
        return encode(
            encoder, FieldValues("lyrics", ["a", "b"], np.ones(2, bool), ["rain", "city"]), cache=tmp_path / "encodings"
        ).matrix

    first = run()
    path.write_text(path.read_text().replace("rain 0.25", "rain 7.25"))
    assert first[1, 0] == 0.25
    assert run()[1, 0] == 7.25


def test_caching_word_vectors_does_not_change_results(path, monkeypatch):
    texts = ["rain city", "tide harbour snow", "rain hail", "midnight"]
    encoder = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN)).fit(texts)
    expected = encoder.transform(texts)
    monkeypatch.setattr(word_vectors, "KEPT", 1)
    monkeypatch.setattr("toolkit.encoders.text.word_means.BLOCK", 1)
    again = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN)).fit(texts)
    np.testing.assert_array_equal(again.transform(texts), expected)
    assert len(again._kept) < 5


def test_cached_encoding_keeps_its_summary_of_unknown_words(path, tmp_path):
    texts = ["rain city snow", "tide"]
    for _ in range(2):
        encoder = WordVectorsEncoder(WordVectorsParams(path=path, **PLAIN))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encode(encoder, FieldValues("lyrics", ["a", "b"], np.ones(2, bool), texts), cache=tmp_path / "encodings")
        assert encoder.summary() == {"out_of_vocabulary": 0.25, "out_of_vocabulary_words": 0.25}

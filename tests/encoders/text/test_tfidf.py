"""Tests of TF-IDF weights and their reduction."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError

TEXTS = ["Rock, Indie Pop", "jazz", "rock", "hip hop, rock, rock"]


def test_tfidf_of_separated_tags_equals_a_case_by_hand():
    encoder = TfidfEncoder(TfidfParams(dim=0, separator=", ", l2=False)).fit(TEXTS)
    assert encoder.vocabulary == ["hip hop", "indie pop", "jazz", "rock"]
    rare, rock = np.log(5 / 2) + 1, np.log(5 / 4) + 1  # ln((1 + 4) / (1 + df)) + 1, df 1 and 3
    expected = [[0, rare, 0, rock], [0, 0, rare, 0], [0, 0, 0, rock], [rare, 0, 0, 2 * rock]]
    np.testing.assert_allclose(encoder.transform(TEXTS), expected, rtol=1e-6)


def test_tfidf_weights_equal_sklearn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    expected = TfidfVectorizer(token_pattern=r"\w+").fit_transform(TEXTS).toarray()
    np.testing.assert_allclose(TfidfEncoder(TfidfParams(dim=0)).fit(TEXTS).transform(TEXTS), expected, atol=1e-6)


def test_full_rank_reduction_keeps_inner_products():
    full = TfidfEncoder(TfidfParams(dim=0)).fit(TEXTS).transform(TEXTS)
    encoder = TfidfEncoder(TfidfParams(dim=4)).fit(TEXTS)
    rows = encoder.transform(TEXTS)
    assert encoder.dim == 4 < full.shape[1]
    np.testing.assert_allclose(rows @ rows.T, full @ full.T, atol=1e-5)


def test_tfidf_dim_is_at_most_the_number_of_texts():
    assert TfidfEncoder(TfidfParams(dim=128)).fit(["a b c"]).dim == 1
    assert TfidfEncoder(TfidfParams(dim=128)).fit(["a", "b", "a b", "b a a"]).dim == 2
    assert TfidfEncoder(TfidfParams(dim=0, max_features=2)).fit(TEXTS).dim == 2
    assert TfidfEncoder(TfidfParams(dim=0, min_df=2)).fit(TEXTS).vocabulary == ["rock"]


def test_text_with_unknown_words_is_a_zero_vector():
    assert not TfidfEncoder().fit(TEXTS).transform(["waltz", ""]).any()


def test_texts_without_a_token_raise_input_error():
    with pytest.raises(InputError, match="tfidf: at least 1 of 2 texts must contain a token"):
        TfidfEncoder().fit(["", " "])


def test_tfidf_saves_the_fitted_cleaner(tmp_path):
    texts = ["[Chorus]\nluv rain", "love sun", "love", "snow12Embed"]
    encoder = TfidfEncoder(TfidfParams(dim=0, clean={"artefacts": True, "misspellings": True, "low_idf": 1.3})).fit(
        texts
    )
    assert encoder.vocabulary == ["rain", "snow", "sun"]
    encoder.save(tmp_path)
    loaded = TfidfEncoder.load(tmp_path)
    assert loaded.cleaner.common == ["love"]
    np.testing.assert_array_equal(loaded.transform(["luv rain"]), encoder.transform(["rain"]))


def test_tfidf_keeps_ten_thousand_terms_without_reduction():
    texts = [" ".join(f"w{number}" for number in range(start, start + 500)) for start in range(0, 12_000, 250)]
    encoder = TfidfEncoder(TfidfParams(dim=0)).fit(texts)
    assert encoder.dim == 10_000
    assert encoder.transform(texts).shape == (48, 10_000)


def test_tfidf_rows_do_not_depend_on_the_block_size(monkeypatch):
    encoder = TfidfEncoder(TfidfParams(dim=0)).fit(TEXTS)
    whole = encoder.transform(TEXTS)
    monkeypatch.setattr("toolkit.encoders.text.count_encoder.DENSE", 2 * encoder.dim)
    np.testing.assert_array_equal(encoder.transform(TEXTS), whole)

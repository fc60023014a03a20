"""Counts of terms: equal to scikit-learn's, and in memory that does not grow with the number of texts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from toolkit.encoders.text import count_encoder
from toolkit.encoders.text import term_counts as term_counts_module
from toolkit.encoders.text.char_ngrams import CharNgramsEncoder, CharNgramsParams
from toolkit.encoders.text.term_counts import BLOCK, term_counts
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams


def texts_of(n: int, words: int = 200) -> list[str]:
    random = np.random.default_rng(n)
    return [" ".join(f"w{word}" for word in words * random.random(random.integers(0, 12)) ** 2 // 1) for _ in range(n)]


@pytest.mark.parametrize(("max_features", "min_df"), [(10_000, 1), (60, 1), (10_000, 4), (7, 3), (1, 1)])
@pytest.mark.parametrize("n", [1, 300, BLOCK + 100])
def test_vocabulary_and_counts_equal_sklearn_entry_by_entry(n: int, max_features: int, min_df: int) -> None:
    texts = ["some w1 words", *texts_of(n)]
    min_df = min(min_df, n)
    counter = CountVectorizer(analyzer=str.split, max_features=max_features, min_df=min_df)
    expected = counter.fit_transform(texts)
    terms, frequency, counts = term_counts(texts, str.split, len(texts)).limited(max_features, min_df)
    assert terms == counter.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frequency, np.bincount(expected.indices, minlength=len(terms)))
    for name in ("data", "indices", "indptr"):  # in the same order: sums of floats depend on it
        np.testing.assert_array_equal(getattr(counts, name), getattr(expected, name))


def test_axes_of_few_texts_do_not_depend_on_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = texts_of(400)
    usual = TfidfEncoder(TfidfParams(dim=8)).fit(texts)
    monkeypatch.setattr(count_encoder, "LEARNED", 400)
    bounded = TfidfEncoder(TfidfParams(dim=8)).fit(texts)
    np.testing.assert_array_equal(usual.components, bounded.components)
    monkeypatch.setattr(count_encoder, "LEARNED", 100)
    sampled = TfidfEncoder(TfidfParams(dim=8)).fit(texts)
    assert sampled.vocabulary == usual.vocabulary and sampled.components.shape == usual.components.shape
    np.testing.assert_array_equal(sampled.weights, usual.weights)  # of all texts
    assert not np.array_equal(sampled.components, usual.components)


@pytest.mark.parametrize("encoder", [TfidfEncoder, CharNgramsEncoder])
def test_memory_of_a_fit_does_not_grow_with_the_number_of_texts(
    encoder: type[TfidfEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_encoder, "LEARNED", 500)
    monkeypatch.setattr(term_counts_module, "BLOCK", 500)
    params = {TfidfEncoder: TfidfParams, CharNgramsEncoder: CharNgramsParams}[encoder](dim=32)

    def peak(n: int) -> float:
        texts = texts_of(n)
        tracemalloc.start()
        encoder(params).fit(texts)
        found = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        return found

    peak(100)  # imports
    assert peak(6_000) < peak(2_000) + 1

"""Tests of word2vec on texts with two groups of words."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from toolkit.encoders.text.word2vec import Word2vecEncoder, Word2vecParams
from toolkit.errors import InputError

SEA, ROAD = ["tide", "harbour", "sail", "gull", "anchor"], ["engine", "highway", "motel", "truck", "mile"]


def texts_of(n: int, seed: int = 0) -> list[str]:
    """Return texts from each group of words, with the same common words."""
    rng = np.random.default_rng(seed)
    return [" ".join([*rng.choice(SEA if number % 2 else ROAD, 12), "night", "morning"]) for number in range(n)]


PARAMS = {"dim": 16, "min_count": 2, "epochs": 20, "skip_gram": True, "clean": False}


def test_texts_on_one_topic_have_closer_word2vec_vectors():
    texts = texts_of(300)
    encoder = Word2vecEncoder(Word2vecParams(**PARAMS), seed=3).fit(texts)
    rows = encoder.transform(texts[:20])
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ rows.T
    same = np.equal.outer(np.arange(20) % 2, np.arange(20) % 2)
    assert near[same].min() > 0.5 > near[~same].max()


def test_word2vec_text_vector_equals_the_mean_over_its_words():
    encoder = Word2vecEncoder(Word2vecParams(**PARAMS)).fit(texts_of(20))
    vectors = encoder.vectors({"tide", "mile", "unheard"})
    assert set(vectors) == {"tide", "mile"}
    expected = (2 * vectors["tide"] + vectors["mile"]) / 3
    np.testing.assert_allclose(
        encoder.transform(["tide mile tide unheard", "unheard"]), [expected, np.zeros(16)], atol=1e-6
    )


def test_word2vec_depends_on_the_seed_and_skips_rare_words():
    texts = [*texts_of(10), "once tide"]
    first, again, other = (
        Word2vecEncoder(Word2vecParams(**PARAMS), seed=seed).fit(texts).transform(texts) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    facts = Word2vecEncoder(Word2vecParams(**PARAMS)).fit(texts).summary()
    assert facts == {"out_of_vocabulary": round(1 / 142, 6), "out_of_vocabulary_words": round(1 / 13, 6)}


def test_word2vec_does_not_depend_on_the_python_hash_seed():
    code = (
        "from toolkit.encoders.text.word2vec import *; import hashlib\n"
        "texts = ['tide gull sail night', 'mile truck night', 'gull tide'] * 9\n"
        "rows = Word2vecEncoder(Word2vecParams(dim=8, min_count=1, clean=False), seed=5).fit(texts).transform(texts)\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_word2vec_with_only_rare_words_raises_input_error():
    with pytest.raises(InputError, match="word2vec: at least 1 of 2 words must occur min_count=5 times: reduce"):
        Word2vecEncoder(Word2vecParams(clean=False)).fit(["tide harbour"])


def test_word2vec_progress_ends_at_the_total():
    seen = []
    Word2vecEncoder(Word2vecParams(**PARAMS)).fit(
        texts_of(12), progress=lambda done, total, what: seen.append((done, total, what))
    )
    assert seen[-1] == (240, 240, "word2vec")

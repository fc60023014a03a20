"""Tests of vectors of word counts against running text, scikit-learn and a slow sum over pairs of words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from segue.checks.check_encoder import check_encoder
from toolkit.encoders.text.bag_of_words import SMOOTHING, BagOfWordsEncoder, BagOfWordsParams, positive_information
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError, MissingWeights

COUNTS = ["love:3 me:1 do:2", "love:1 rain:2 don't:4", "rain:1 sun:2", "sun:5 me:1 love:1", "night:1 sun:1"]
RUNNING = [
    " ".join(word for entry in text.split() for word in [entry.split(":")[0]] * int(entry[-1])) for text in COUNTS
]


def glove(folder: Path) -> Path:
    path = folder / "vectors.txt"
    path.write_text("love 1 0 2\nrain 0 1 0\nsun 0 0 -1\nme 2 2 2\n")
    return path


@pytest.mark.parametrize("dim", [0, 3])
def test_axes_of_counts_equal_tfidf_of_the_running_text(dim: int) -> None:
    counted = BagOfWordsEncoder(BagOfWordsParams(dim=dim, min_df=1), seed=4).fit(COUNTS)
    running = TfidfEncoder(TfidfParams(dim=dim, token_pattern=r"[^ ]+"), seed=4).fit(RUNNING)

    assert counted.vocabulary == running.vocabulary
    np.testing.assert_allclose(counted.transform(COUNTS), running.transform(RUNNING), atol=1e-6)


def test_vectors_of_a_file_are_summed_with_tfidf_weights(tmp_path: Path) -> None:
    params = BagOfWordsParams(vectors="file", path=glove(tmp_path), min_df=1)
    encoder = BagOfWordsEncoder(params).fit(COUNTS)

    # ln((1 + 5) / (1 + df)) + 1: love is in 3 texts, me in 2; do has no vector
    love, me = math.log(6 / 4) + 1, math.log(6 / 3) + 1
    summed = 3 * love * np.array([1, 0, 2]) + me * np.array([2, 2, 2])
    np.testing.assert_allclose(encoder.transform(COUNTS[:1])[0], summed / np.linalg.norm(summed), rtol=1e-6)
    assert encoder.dim == 3 and encoder.summary() == {"out_of_vocabulary_words": round(3 / 7, 6)}


def test_positive_information_equals_a_sum_over_pairs_of_words() -> None:
    texts = (np.random.default_rng(0).random((40, 9)) < 0.3) * np.random.default_rng(1).integers(1, 5, (40, 9))
    joint = np.zeros((9, 9))
    for row in texts:
        for first in range(9):
            for second in range(9):
                joint[first, second] += first != second and row[first] > 0 and row[second] > 0
    words = joint.sum(1)
    contexts = words**SMOOTHING / (words**SMOOTHING).sum()
    wanted = [
        [max(0.0, math.log(joint[w, c] / (words[w] * contexts[c]))) if joint[w, c] else 0.0 for c in range(9)]
        for w in range(9)
    ]

    np.testing.assert_allclose(positive_information(sp.csr_matrix(texts)).toarray(), wanted, atol=1e-6)


def test_learned_vectors_place_words_of_like_contexts_together() -> None:
    """Two topics: words of one topic share texts, and two synonyms of a topic never share one."""
    draw, texts = np.random.default_rng(0), []
    for number in range(400):
        topic = number % 2
        words = draw.choice([f"{'ab'[topic]}{place}" for place in range(8)], 4, replace=False).tolist()
        texts.append(" ".join(f"{word}:1" for word in [*words, f"{'ab'[topic]}{'xy'[number // 2 % 2]}"]))
    encoder = BagOfWordsEncoder(BagOfWordsParams(vectors="cooccurrence", dim=4)).fit(texts)

    vectors = encoder.transform(["ax:1", "ay:1", "bx:1"])
    same, other = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert same > 0.9 and other < 0.5


@pytest.mark.parametrize("text", ["love", "love:", ":3", "love:x", "love:12345", "love:-1", "love:²"])
def test_text_of_another_form_raises_input_error(text: str) -> None:
    with pytest.raises(InputError, match="must be a word, a colon and a count"):
        BagOfWordsEncoder().fit([*COUNTS, text])


def test_file_vectors_without_path_raise_missing_weights_and_without_a_known_word_input_error(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="vectors=file requires path"):
        BagOfWordsEncoder(BagOfWordsParams(vectors="file")).check_files()
    params = BagOfWordsParams(vectors="file", path=glove(tmp_path), min_df=1)
    with pytest.raises(InputError, match=r"at least 1 of 1 words \('regen', …\) must be in"):
        BagOfWordsEncoder(params).fit(["regen:2"])


@pytest.mark.parametrize("vectors", ["axes", "file", "cooccurrence"])
def test_every_kind_of_vectors_passes_check_encoder(vectors: str, tmp_path: Path) -> None:
    path = str(glove(tmp_path)) if vectors == "file" else None
    check_encoder(BagOfWordsEncoder, COUNTS, {"vectors": vectors, "dim": 2, "min_df": 1, "path": path})


def test_saved_state_is_read_back_with_its_unknown_words(tmp_path: Path) -> None:
    encoder = BagOfWordsEncoder(BagOfWordsParams(vectors="file", path=glove(tmp_path), min_df=1)).fit(COUNTS)
    encoder.save(tmp_path / "saved")
    loaded = BagOfWordsEncoder.load(tmp_path / "saved")

    assert json.dumps(loaded.summary()) == json.dumps(encoder.summary())
    np.testing.assert_array_equal(loaded.transform(COUNTS), encoder.transform(COUNTS))

"""`bag-of-words`: texts of which only the word counts are known, as vectors.

    encoders:
      lyrics: {encoder: bag-of-words, field: lyrics, params: {vectors: cooccurrence, dim: 128}}

An input is `word:count word:count …` in any order, as lyrics are passed on where their running text may not be. A
vector is the sum over words of the TF-IDF weight times a vector of the word, with length one. The words' vectors are
the singular axes of the weights (`tfidf` with `dim`), vectors of a file, or vectors learned from co-occurrence.
Source: Spärck Jones 1972 for IDF; Deerwester et al. 1990 for the axes; Pennington et al., "GloVe", EMNLP 2014, for
vectors of a file; for co-occurrence, singular vectors of the positive pointwise mutual information of two words in a
text, with contexts smoothed by a power of .75: Levy, Goldberg and Dagan, "Improving Distributional Similarity with
Lessons Learned from Word Embeddings", TACL 2015. No pretrained weights, except those in the file.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, FittedState
from toolkit.encoders.contract.model_hub import unknown_licence
from toolkit.encoders.text.count_encoder import CountEncoder, CountParams
from toolkit.encoders.text.word_means import MANY_UNKNOWN
from toolkit.encoders.text.word_vector_files import VectorFile, checked
from toolkit.errors import InputError, MissingWeights

if TYPE_CHECKING:
    import scipy.sparse as sp

DIGITS = 4
"""Largest number of digits of a count: no word is sung 10,000 times."""

SMOOTHING = 0.75
"""Power of the context counts, which moves weight from rare words to frequent ones."""


class BagOfWordsParams(CountParams):
    """Parameters of `bag-of-words`.

    - vectors: vectors of words: `axes` (TF-IDF reduced to `dim`), `file` (those in `path`) or `cooccurrence` (learned).
    - dim: dimension, at most the number of texts and of words. With `axes`, 0 keeps all words. `file` does not read it.
    - path: GloVe or word2vec file for `file`, text or binary, optionally `.gz`.
    """

    vectors: Literal["axes", "file", "cooccurrence"] = "axes"
    dim: int = Field(128, ge=0)
    path: Path | None = None
    min_df: int = Field(2, ge=1)


class BagOfWordsEncoder(CountEncoder):
    """Encoder of word counts.

    Takes n texts `word:count …` and returns float32 [n, d]. A text without a known word has a row of zeros, and its
    track is absent. Raises `InputError` for a text of another form.
    """

    name: ClassVar[str] = "bag-of-words"
    source: ClassVar[str] = "Spärck Jones 1972; Deerwester et al. 1990; Levy, Goldberg and Dagan 2015"
    Params: ClassVar[type[EncoderParams]] = BagOfWordsParams
    params: BagOfWordsParams
    unknown: float | None = None

    @cached_property
    def file(self) -> VectorFile:
        """Return the file of word vectors. Raises `MissingWeights` if `path` is not set."""
        return VectorFile(self._path())

    def check_files(self) -> None:
        if self.params.vectors == "file":
            checked(self._path())

    def fingerprint(self) -> str:
        return self.file.digest if self.params.vectors == "file" else ""

    def licence(self) -> str:
        return unknown_licence(self.params.path) if self.params.vectors == "file" else ""

    def summary(self) -> dict[str, float]:
        """Return the share of words of the vocabulary that are not in the file (`out_of_vocabulary_words`)."""
        return {} if self.unknown is None else {"out_of_vocabulary_words": self.unknown}

    def tokens(self, text: str) -> list[str]:
        words: list[str] = []
        for entry in text.split():
            word, _, count = entry.rpartition(":")
            if not (word and count.isascii() and count.isdigit() and len(count) <= DIGITS):
                raise InputError(
                    f"{self.name}: {entry[:40]!r} must be a word, a colon and a count of at most {DIGITS} digits, "
                    "such as `love:3`: write texts in this form, or set encoder tfidf or word-vectors for running text"
                )
            words += [word] * int(count)
        return words

    def axes(self, matrix: sp.csr_matrix) -> np.ndarray | None:
        params = self.params
        if params.vectors == "file":
            return self._of_file()
        return self.principal(matrix, params.dim) if params.vectors == "axes" else self._learned(matrix)

    def fitted_state(self) -> FittedState | None:
        state = super().fitted_state()
        return state and FittedState(state.tensors, {**state.values, "unknown": self.unknown})

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        self.unknown = state.values["unknown"]

    def _path(self) -> Path:
        if self.params.path is None:
            raise MissingWeights(
                f"{self.name} with vectors=file requires path: set path to a GloVe or word2vec file, text or binary, "
                "optionally .gz",
                "path",
            )
        return self.params.path.expanduser()

    def _of_file(self) -> np.ndarray:
        """Return the file's vectors of the vocabulary, float32 [d, vocabulary], zero for words that it lacks."""
        assert self.vocabulary is not None
        known = self.file.read(self.vocabulary)
        if not known:
            example = ", ".join(repr(word) for word in self.vocabulary[:3])
            raise InputError(
                f"{self.name}: at least 1 of {len(self.vocabulary):,} words ({example}, …) must be in "
                f"{self.params.path}: set path to a file in the language of the texts"
            )
        axes = np.zeros((self.file.dim, len(self.vocabulary)), np.float32)
        for column, word in enumerate(self.vocabulary):
            if word in known:
                axes[:, column] = known[word]
        self.unknown = round(1 - len(known) / len(self.vocabulary), 6)
        if self.unknown > MANY_UNKNOWN:
            warnings.warn(
                f"{self.name}: {100 * self.unknown:.0f} % of {len(self.vocabulary):,} words have no vector: check the "
                "language of the texts",
                RuntimeWarning,
                stacklevel=4,
            )
        return axes

    def _learned(self, matrix: sp.csr_matrix) -> np.ndarray:
        """Return word vectors from co-occurrence in a text, float32 [d, vocabulary]."""
        from sklearn.decomposition import TruncatedSVD

        information = positive_information(matrix)
        rank = min(self.params.dim or len(self.weights), matrix.shape[1] - 1)
        if rank < 1:
            raise InputError(f"{self.name}: vectors=cooccurrence requires 2 words: reduce min_df or set vectors: axes")
        svd = TruncatedSVD(rank, random_state=self.seed % 2**32).fit(information)
        return np.asarray(svd.components_ * np.sqrt(svd.singular_values_)[:, None], np.float32)


def positive_information(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the positive pointwise mutual information of words in a text, float32 [vocabulary, vocabulary].

    max(0, log(p(w, c) / (p(w) p'(c)))) with p(w, c) in proportion to the number of texts with w and c ≠ w, and p' with
    counts to the power of `SMOOTHING`.

    - matrix: texts by row, words by column; any value other than zero is an occurrence.
    """
    import scipy.sparse as sp

    texts = sp.csr_matrix((np.ones(matrix.nnz, np.float32), matrix.indices, matrix.indptr), matrix.shape)
    joint = (texts.T @ texts).tocsr()
    joint.setdiag(0)
    joint.eliminate_zeros()
    words = np.asarray(joint.sum(axis=1), np.float64).ravel()
    contexts = words**SMOOTHING
    contexts /= max(contexts.sum(), 1e-12)
    rows = np.repeat(np.arange(len(words)), np.diff(joint.indptr))
    joint.data = np.maximum(0, np.log(joint.data / (words[rows] * contexts[joint.indices]))).astype(np.float32)
    joint.eliminate_zeros()
    return joint

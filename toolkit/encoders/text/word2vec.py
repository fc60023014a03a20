"""`word2vec`: word vectors trained on the texts of the corpus, averaged over the words of each text.

Source: Mikolov et al., "Efficient Estimation of Word Representations in Vector Space", 2013, implemented by gensim.
Vectors have 300 numbers as in the published rows. Window, negatives and epochs are the defaults of gensim. No
pretrained weights. Results are reproducible because training uses one worker and a fixed hash. The initial weights
depend on `seed`.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.contracts.learning import Learning, distance, sample_rows
from toolkit.contracts.saved_arrays import check, floats
from toolkit.encoders.contract.content_hash import bytes_of
from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Progress, Texts
from toolkit.encoders.text.cleaning import words_of
from toolkit.encoders.text.word_means import BLOCK, WordMeanEncoder, WordMeanParams
from toolkit.errors import InputError, require
from toolkit.packages import GENSIM, Package


class Word2vecParams(WordMeanParams):
    """Parameters of word2vec.

    - dim: vector dimension.
    - skip_gram: whether a word predicts its neighbours (skip-gram) or the neighbours predict the word (CBOW).
    - window: number of neighbours on each side.
    - min_count: minimum frequency of a word with a vector.
    - negative: number of negative samples per positive sample.
    - epochs: number of passes over the texts.
    """

    dim: int = Field(300, ge=1)
    skip_gram: bool = False
    window: int = Field(5, ge=1)
    min_count: int = Field(5, ge=1)
    negative: int = Field(5, ge=1)
    epochs: int = Field(5, ge=1)


class Word2vecEncoder(WordMeanEncoder):
    """Text encoder with the mean of word vectors that are trained on the texts passed to `fit`.

    Takes n texts and returns float32 [n, dim].
    """

    name: ClassVar[str] = "word2vec"
    source: ClassVar[str] = "Mikolov et al. 2013, by gensim"
    Params: ClassVar[type[EncoderParams]] = Word2vecParams
    requires: ClassVar[tuple[Package, ...]] = (GENSIM,)
    params: Word2vecParams
    learning: Learning | None = Learning()
    vocabulary: dict[str, int]
    matrix: np.ndarray

    @property
    def dim(self) -> int:
        return self.params.dim

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train word vectors on n texts. Raises `InputError` if no word occurs `min_count` times."""
        word2vec = require("gensim.models.word2vec", install=GENSIM.install)
        self.cleaner.fit(inputs)
        params, corpus = self.params, _Corpus(self.words(text) for text in inputs)
        frequency = corpus.frequency()
        known = {word for word, count in frequency.items() if count >= params.min_count}
        if not known:
            raise InputError(
                f"{self.name}: at least 1 of {len(frequency):,} words must occur min_count={params.min_count} times: "
                "reduce min_count or remove cleaning steps"
            )
        model = word2vec.Word2Vec(
            vector_size=params.dim,
            sg=int(params.skip_gram),
            window=params.window,
            min_count=params.min_count,
            negative=params.negative,
            seed=self.seed % 2**32,
            workers=1,
            hashfxn=_hash,
        )
        model.build_vocab_from_freq({word: frequency[word] for word in sorted(known)}, corpus_count=len(inputs))
        rows = sample_rows(len(known), params.dim)
        start = model.wv.vectors[rows].copy()
        if progress is not None:
            corpus.on_read = lambda done: progress(done, params.epochs * len(inputs), self.name)
        model.train(corpus, total_examples=len(inputs), epochs=params.epochs)
        self.vocabulary = dict(model.wv.key_to_index)
        self.matrix = np.asarray(model.wv.vectors, np.float32).copy()
        # gensim reports no loss that can be compared with that of a constant prediction
        self.learning = Learning(moved=distance(start, self.matrix[rows]))
        self._count_unknown(frequency, known)
        return self

    def vectors(self, words: Collection[str]) -> dict[str, np.ndarray]:
        return {word: self.matrix[self.vocabulary[word]] for word in words if word in self.vocabulary}

    def fitted_state(self) -> FittedState | None:
        if (state := super().fitted_state()) is None:
            return None
        words = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        return FittedState({"vectors": self.matrix}, {"words": words, **state.values})

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        self.vocabulary = {word: row for row, word in enumerate(words_of(state.values["words"]))}
        check(state.tensors, {"vectors": floats(len(self.vocabulary), self.params.dim)}, 0)
        self.matrix = state.tensors["vectors"]


class _Corpus:
    """Texts as word numbers with 4 bytes per word, which gensim reads once per epoch.

    - on_read: callback with the number of texts that were read.
    """

    def __init__(self, texts: Iterable[list[str]]) -> None:
        numbers: dict[str, int] = {}
        self.flat, self.ends = array("i"), array("q")
        for words in texts:
            self.flat.extend(numbers.setdefault(word, len(numbers)) for word in words)
            self.ends.append(len(self.flat))
        self.words = list(numbers)
        self.on_read: Callable[[int], None] | None = None
        self.done = 0

    def frequency(self) -> Counter[str]:
        """Return the frequency of each word."""
        counts = np.bincount(np.frombuffer(self.flat, np.int32), minlength=len(self.words))
        return Counter(dict(zip(self.words, counts.tolist(), strict=True)))

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        for end in self.ends:
            yield [self.words[number] for number in self.flat[start:end]]
            start, self.done = end, self.done + 1
            if self.on_read is not None and (self.done % BLOCK == 0 or end == self.ends[-1]):
                self.on_read(self.done)


def _hash(word: str) -> int:
    return zlib.crc32(bytes_of(word))

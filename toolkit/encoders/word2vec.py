"""`word2vec`: vectors trained on the corpus's own texts, averaged over each text's words.

Source: Mikolov et al., "Efficient Estimation of Word Representations in Vector
Space", 2013, by gensim. 300 d as in the published rows; window, negatives and
epochs are gensim's. No pretrained weights. One worker and a hash of our own
make it the same on every run; `seed` sets the start.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.base import EncoderParams, Progress
from toolkit.encoders.cleaning import Cleaner
from toolkit.encoders.state import load_encoder, save_encoder
from toolkit.encoders.word_means import BLOCK, WordMeanEncoder, WordMeanParams
from toolkit.errors import InputError, require


class Word2vecParams(WordMeanParams):
    """dim: d. skip_gram: a word tells its neighbours; false: they tell it. window: neighbours on each side.

    min_count: words seen less often have no vector. negative: wrong words drawn for each right one.
    """

    dim: int = Field(300, ge=1)
    skip_gram: bool = False
    window: int = Field(5, ge=1)
    min_count: int = Field(5, ge=1)
    negative: int = Field(5, ge=1)
    epochs: int = Field(5, ge=1)


class Word2vecEncoder(WordMeanEncoder):
    """Texts as the mean of vectors learned from the texts fitted on: float32 [n, dim]."""

    name: ClassVar[str] = "word2vec"
    source: ClassVar[str] = "Mikolov et al. 2013, by gensim"
    Params: ClassVar[type[EncoderParams]] = Word2vecParams
    params: Word2vecParams
    vocabulary: dict[str, int]
    matrix: np.ndarray

    @property
    def dim(self) -> int:
        return self.params.dim

    def fit(self, inputs: Any, targets: np.ndarray | None = None, *, workdir: Path | None = None, progress: Progress | None = None) -> Self:
        """Train on n texts. Raises `InputError` where no word is there `min_count` times."""
        word2vec = require("gensim.models.word2vec", install="pip install 'gensim>=4.4'")
        self.cleaner.fit(inputs)
        frequency: Counter[str] = Counter()
        for text in inputs:
            frequency.update(self.words(text))
        known = {word for word, count in frequency.items() if count >= self.params.min_count}
        if not known:
            least = self.params.min_count
            raise InputError(f"{self.name}: none of {len(frequency):,} words is there min_count={least} times: lower it, or clean less")
        model = word2vec.Word2Vec(
            vector_size=self.params.dim,
            sg=int(self.params.skip_gram),
            window=self.params.window,
            min_count=self.params.min_count,
            negative=self.params.negative,
            seed=self.seed % 2**32,
            workers=1,
            hashfxn=_hash,
        )
        model.build_vocab_from_freq({word: frequency[word] for word in sorted(known)}, corpus_count=len(inputs))
        told = (lambda done: progress(done, self.params.epochs * len(inputs), self.name)) if progress is not None else None
        model.train(_Passes(self, inputs, told), total_examples=len(inputs), epochs=self.params.epochs)
        self.vocabulary = dict(model.wv.key_to_index)
        self.matrix = np.asarray(model.wv.vectors, np.float32).copy()
        self._count_unknown(frequency, known)
        return self

    def vectors(self, words: Collection[str]) -> dict[str, np.ndarray]:
        return {word: self.matrix[self.vocabulary[word]] for word in words if word in self.vocabulary}

    def save(self, directory: Path) -> None:
        if self.unknown is None:
            return save_encoder(self, directory)
        words = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        save_encoder(self, directory, {"vectors": self.matrix}, words=words, unknown=self.unknown, common=self.cleaner.common)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, about = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.vocabulary = {word: place for place, word in enumerate(about["words"])}
            encoder.matrix, encoder.unknown = tensors["vectors"], about["unknown"]
            encoder.cleaner = Cleaner(encoder.params.clean, about["common"])
        return encoder


class _Passes:
    """The texts' words, over and over: gensim goes through them once an epoch, and never are all in memory."""

    def __init__(self, encoder: Word2vecEncoder, texts: Sequence[str], told: Callable[[int], None] | None) -> None:
        self.encoder, self.texts, self.told, self.done = encoder, texts, told, 0

    def __iter__(self) -> Iterator[list[str]]:
        for text in self.texts:
            yield self.encoder.words(text)
            self.done += 1
            if self.told is not None and self.done % BLOCK == 0:
                self.told(self.done)
        if self.told is not None:
            self.told(self.done)


def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))

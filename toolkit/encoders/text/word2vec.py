"""`word2vec`: vectors trained on the corpus's own texts, averaged over each text's words.

Source: Mikolov et al., "Efficient Estimation of Word Representations in Vector
Space", 2013, by gensim. 300 d as in the published rows; window, negatives and
epochs are gensim's. No pretrained weights. One worker and a hash of our own
make it the same on every run; `seed` sets the start.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.encoder import EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.encoders.text.cleaning import Cleaner
from toolkit.encoders.text.word_means import BLOCK, WordMeanEncoder, WordMeanParams
from toolkit.errors import InputError, require
from toolkit.packages import GENSIM, Package


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
    """Encodes texts as the mean of word vectors that are trained on the texts themselves.

    Returns float32 [n, dim]. The word vectors are learned from the texts passed to `fit`.
    """

    name: ClassVar[str] = "word2vec"
    source: ClassVar[str] = "Mikolov et al. 2013, by gensim"
    Params: ClassVar[type[EncoderParams]] = Word2vecParams
    requires: ClassVar[tuple[Package, ...]] = (GENSIM,)
    params: Word2vecParams
    vocabulary: dict[str, int]
    matrix: np.ndarray

    @property
    def dim(self) -> int:
        return self.params.dim

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on n texts. Raises `InputError` where no word is there `min_count` times."""
        word2vec = require("gensim.models.word2vec", install=GENSIM.install)
        self.cleaner.fit(inputs)
        corpus = _Corpus(self.words(text) for text in inputs)
        frequency = corpus.frequency()
        known = {word for word, count in frequency.items() if count >= self.params.min_count}
        if not known:
            least = self.params.min_count
            raise InputError(
                f"{self.name}: none of {len(frequency):,} words is there min_count={least} times: lower it, or clean less"
            )
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
        corpus.told = (
            (lambda done: progress(done, self.params.epochs * len(inputs), self.name)) if progress is not None else None
        )
        model.train(corpus, total_examples=len(inputs), epochs=self.params.epochs)
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
        save_encoder(
            self, directory, {"vectors": self.matrix}, words=words, unknown=self.unknown, common=self.cleaner.common
        )

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, about = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.vocabulary = {word: place for place, word in enumerate(about["words"])}
            encoder.matrix, encoder.unknown = tensors["vectors"], about["unknown"]
            encoder.cleaner = Cleaner(encoder.params.clean, about["common"])
        return encoder


class _Corpus:
    """Texts as word numbers, 4 bytes a word; gensim goes through them once an epoch. told: is given how many texts are done."""

    def __init__(self, texts: Iterable[list[str]]) -> None:
        numbers: dict[str, int] = {}
        self.flat, self.ends = array("i"), array("q")
        for words in texts:
            self.flat.extend(numbers.setdefault(word, len(numbers)) for word in words)
            self.ends.append(len(self.flat))
        self.words = list(numbers)
        self.told: Callable[[int], None] | None = None
        self.done = 0

    def frequency(self) -> Counter[str]:
        """How often each word is there."""
        counts = np.bincount(np.frombuffer(self.flat, np.int32), minlength=len(self.words))
        return Counter(dict(zip(self.words, counts.tolist(), strict=True)))

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        for end in self.ends:
            yield [self.words[number] for number in self.flat[start:end]]
            start, self.done = end, self.done + 1
            if self.told is not None and (self.done % BLOCK == 0 or end == self.ends[-1]):
                self.told(self.done)


def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))

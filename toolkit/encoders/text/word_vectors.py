"""`word-vectors`: the mean of pretrained GloVe or word2vec vectors over a text's words.

Source: Pennington, Socher and Manning, "GloVe: Global Vectors for Word
Representation", EMNLP 2014; Mikolov et al., "Distributed Representations of Words
and Phrases and their Compositionality", NIPS 2013. The multimodal BERT4Rec report
(USC), section 4.2, averages 300-d vectors over lyrics cleaned of stop words, low-IDF
words, dropped final g and misspellings, as `clean` does unless told otherwise. The
vectors come from a file of yours (nothing is downloaded); their licence is that file's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from toolkit.encoders.contract.encoder import EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.encoders.text.cleaning import Cleaner
from toolkit.encoders.text.word_means import WordMeanEncoder, WordMeanParams
from toolkit.encoders.text.word_vector_files import VectorFile, checked
from toolkit.errors import InputError, MissingWeights

KEPT = 200_000
"""Words whose vectors stay in memory between blocks of texts: 240 MB at d = 300."""


class WordVectorsParams(WordMeanParams):
    """path: a GloVe or word2vec file, text or binary, `.gz` too. d is the file's."""

    path: Path | None = None


class WordVectorsEncoder(WordMeanEncoder):
    """Encodes texts as the mean of their words' pretrained GloVe or word2vec vectors.

    Returns float32 [n, d]; d is the size of the vectors in the file.
    """

    name: ClassVar[str] = "word-vectors"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Pennington et al. 2014 (GloVe); Mikolov et al. 2013 (word2vec)"
    Params: ClassVar[type[EncoderParams]] = WordVectorsParams
    params: WordVectorsParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self._kept: dict[str, np.ndarray | None] = {}

    @cached_property
    def file(self) -> VectorFile:
        """The file of vectors. Raises `MissingWeights` where `path` names none."""
        return VectorFile(self._named())

    def _named(self) -> Path:
        if self.params.path is None:
            raise MissingWeights(
                f"{self.name} needs path: a file of word vectors, GloVe or word2vec, text or binary, .gz too", "path"
            )
        return self.params.path.expanduser()

    @property
    def dim(self) -> int:
        return self.file.dim

    def check_files(self) -> None:
        checked(self._named())

    def fingerprint(self) -> str:
        return self.file.digest

    def licence(self) -> str:
        return f"not known here: see where {self.params.path} comes from"

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn which words are too common, and count those that the file lacks. Raises `InputError` where it lacks all."""
        self.cleaner.fit(inputs)
        frequency: Counter[str] = Counter()
        for text in inputs:
            frequency.update(self.words(text))
        known = self.file.having(frequency)
        if not frequency:
            raise InputError(
                f"{self.name}: no word is left of {len(inputs):,} texts after cleaning: clean less, or name another field"
            )
        if not known:
            example = ", ".join(repr(word) for word, _ in frequency.most_common(3))
            raise InputError(
                f"{self.name}: none of {len(frequency):,} words ({example}, …) is in {self.params.path}: another language?"
            )
        self._count_unknown(frequency, known)
        return self

    def vectors(self, words: Collection[str]) -> dict[str, np.ndarray]:
        if len(self._kept) > KEPT:
            self._kept.clear()
        fresh = [word for word in words if word not in self._kept]
        if fresh:
            self._kept |= dict.fromkeys(fresh) | self.file.read(fresh)
        return {word: vector for word in words if (vector := self._kept[word]) is not None}

    def save(self, directory: Path) -> None:
        if self.unknown is None:
            return save_encoder(self, directory)
        save_encoder(self, directory, {}, unknown=self.unknown, common=self.cleaner.common)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, about = load_encoder(cls, directory, device=device)
        if tensors is not None:
            encoder.unknown, encoder.cleaner = about["unknown"], Cleaner(encoder.params.clean, about["common"])
        return encoder

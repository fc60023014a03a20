"""`word-vectors`: mean of pretrained GloVe or word2vec vectors over the words of a text.

Source: Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014; Mikolov et al.,
"Distributed Representations of Words and Phrases and their Compositionality", NIPS 2013. The multimodal BERT4Rec report
(USC), section 4.2, averages 300-d vectors over lyrics after removing stop words and low-IDF words and correcting
dropped final g and misspellings. These steps are the default of `clean`. The vectors come from a local file, nothing is
downloaded, and the licence is the licence of that file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from toolkit.encoders.contract.encoder import EncoderParams, Progress, Texts
from toolkit.encoders.contract.model_hub import unknown_licence
from toolkit.encoders.text.word_means import WordMeanEncoder, WordMeanParams
from toolkit.encoders.text.word_vector_files import VectorFile, checked
from toolkit.errors import InputError, MissingWeights

KEPT = 200_000
"""Number of word vectors kept in memory between blocks of texts, 240 MB at d = 300."""


class WordVectorsParams(WordMeanParams):
    """Parameters of `word-vectors`.

    - path: GloVe or word2vec file, text or binary, optionally `.gz`. The file determines the vector dimension.
    """

    path: Path | None = None


class WordVectorsEncoder(WordMeanEncoder):
    """Text encoder with the mean of pretrained GloVe or word2vec vectors.

    Takes n texts and returns float32 [n, d], where d is the dimension of the vectors in the file.
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
        """Return the file of vectors. Raises `MissingWeights` if `path` is not set."""
        return VectorFile(self._path())

    def _path(self) -> Path:
        if self.params.path is None:
            raise MissingWeights(
                f"{self.name} requires path: set path to a GloVe or word2vec file, text or binary, optionally .gz",
                "path",
            )
        return self.params.path.expanduser()

    @property
    def dim(self) -> int:
        return self.file.dim

    def check_files(self) -> None:
        checked(self._path())

    def fingerprint(self) -> str:
        return self.file.digest

    def licence(self) -> str:
        return unknown_licence(self.params.path)

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn which words are too common, and count words that are not in the file.

        Raises `InputError` if no word is in the file.
        """
        self.cleaner.fit(inputs)
        frequency: Counter[str] = Counter()
        for text in inputs:
            frequency.update(self.words(text))
        known = self.file.having(frequency)
        if not frequency:
            raise InputError(
                f"{self.name}: at least 1 of {len(inputs):,} texts must contain a word after cleaning: remove cleaning "
                "steps or set another field"
            )
        if not known:
            example = ", ".join(repr(word) for word, _ in frequency.most_common(3))
            raise InputError(
                f"{self.name}: at least 1 of {len(frequency):,} words ({example}, …) must be in {self.params.path}: "
                "set path to a file in the language of the texts"
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

"""Base class for encoders that average word vectors and count unknown words."""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from typing import ClassVar

import numpy as np

from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Progress, Texts
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.cleaning import Cleaner, LyricsCleaning, words_of
from toolkit.encoders.text.text_encoder import TextEncoder, TextParams, TokenPattern

BLOCK = 1024
"""Number of texts per lookup of word vectors."""

MANY_UNKNOWN = 0.5
"""Share of unknown word occurrences above which a warning is raised."""


class WordMeanParams(TextParams):
    """Parameters of encoders that average word vectors.

    - clean: steps of `toolkit.encoders.text.cleaning`. By default all steps run.
    - lowercase: whether words are converted to lower case.
    - token_pattern: regular expression of a word. By default a word has two or more letters or digits.
    """

    clean: LyricsCleaning = LyricsCleaning()
    lowercase: bool = True
    token_pattern: TokenPattern = r"\w\w+"


class WordMeanEncoder(TextEncoder):
    """Base class for text encoders with the mean of the vectors of known words, float32 [n, d].

    A text without a known word has a row of zeros, and its track is absent.
    """

    requires_fit: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = True
    Params: ClassVar[type[EncoderParams]] = WordMeanParams
    params: WordMeanParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.unknown: dict[str, float] | None = None

    @abstractmethod
    def vectors(self, words: Collection[str]) -> Mapping[str, np.ndarray]:
        """Return vectors, float32 [d], for the known words in `words`."""

    def words(self, text: str) -> list[str]:
        """Return the words of a text after cleaning, in order and with repeats."""
        text = self.cleaner(text)
        return re.findall(self.params.token_pattern, text.lower() if self.params.lowercase else text)

    def summary(self) -> dict[str, float]:
        """Return the shares of words without a vector in the texts of `fit`.

        - out_of_vocabulary: share of all word occurrences.
        - out_of_vocabulary_words: share of distinct words.
        """
        return dict(self.unknown or {})

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n texts."""
        if self.unknown is None:
            raise not_fitted(self.name)
        return self._in_batches(inputs, BLOCK, self._means, progress)

    def _means(self, texts: Texts) -> np.ndarray:
        out, listed = np.zeros((len(texts), self.dim), np.float32), [self.words(text) for text in texts]
        known = self.vectors({word for words in listed for word in words})
        for row, words in zip(out, listed, strict=True):
            if vectors := [known[word] for word in words if word in known]:
                row[:] = np.mean(vectors, axis=0, dtype=np.float64)
        return out

    def _count_unknown(self, frequency: Counter[str], known: Collection[str]) -> None:
        """Store the shares of unknown words, and warn if the share of word occurrences is large."""
        total = sum(frequency.values())
        unknown = 1 - sum(frequency[word] for word in known) / max(total, 1)
        self.unknown = {
            "out_of_vocabulary": round(unknown, 6),
            "out_of_vocabulary_words": round(1 - len(known) / max(len(frequency), 1), 6),
        }
        if total and self.unknown["out_of_vocabulary"] > MANY_UNKNOWN:
            share = f"{100 * self.unknown['out_of_vocabulary']:.0f} %"
            cure = f"check the language of the texts, or change lowercase={self.params.lowercase}"
            warnings.warn(
                f"{self.name}: {share} of {total:,} words have no vector: {cure}", RuntimeWarning, stacklevel=3
            )

    def fitted_state(self) -> FittedState | None:
        if self.unknown is None:
            return None
        return FittedState(values={"unknown": self.unknown, "common": self.cleaner.common})

    def restore(self, state: FittedState) -> None:
        self.unknown, self.cleaner = (
            state.values["unknown"],
            Cleaner(self.params.clean, words_of(state.values["common"])),
        )

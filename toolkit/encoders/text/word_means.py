"""What encoders that average word vectors share: cleaning, words, the mean, and how many words are unknown."""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np

from toolkit.encoders.contract.encoder import EncoderParams, Progress
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.text.cleaned_text import CleanedParams, CleanedTextEncoder, TokenPattern
from toolkit.encoders.text.cleaning import LyricsCleaning

BLOCK = 1024
"""Texts whose words are looked up at once."""

MANY_UNKNOWN = 0.5
"""Share of unknown words in running text that is warned of."""


class WordMeanParams(CleanedParams):
    """clean: steps of `toolkit.encoders.text.cleaning`; default: all of them. lowercase: before words are looked up.

    token_pattern: what a word is; default: two or more letters or digits.
    """

    clean: LyricsCleaning = LyricsCleaning()
    lowercase: bool = True
    token_pattern: TokenPattern = r"\w\w+"


class WordMeanEncoder(CleanedTextEncoder):
    """Texts as the mean of their known words' vectors, float32 [n, d]; a text without one is a zero vector, and its track absent."""

    learns: ClassVar[bool] = True
    silent: ClassVar[bool] = True
    Params: ClassVar[type[EncoderParams]] = WordMeanParams
    params: WordMeanParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.unknown: dict[str, float] | None = None

    @abstractmethod
    def vectors(self, words: Collection[str]) -> Mapping[str, np.ndarray]:
        """float32 [d] of those of `words` that are known."""

    def words(self, text: str) -> list[str]:
        """The words of a cleaned text, repeats and order kept."""
        text = self.cleaner(text)
        return re.findall(self.params.token_pattern, text.lower() if self.params.lowercase else text)

    def facts(self) -> dict[str, Any]:
        """out_of_vocabulary: share of the running words of the texts fitted on that have no vector; …_words: of the different ones."""
        return dict(self.unknown or {})

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """n texts -> float32 [n, d]."""
        if self.unknown is None:
            raise not_fitted(self.name)
        out = np.zeros((len(inputs), self.dim), np.float32)
        for start in range(0, len(out), BLOCK):
            texts = [self.words(text) for text in inputs[start : start + BLOCK]]
            known = self.vectors({word for words in texts for word in words})
            for place, words in enumerate(texts, start):
                rows = [known[word] for word in words if word in known]
                if rows:
                    out[place] = np.mean(rows, axis=0, dtype=np.float64)
            if progress is not None:
                progress(min(start + BLOCK, len(out)), len(out), self.name)
        return out

    def _count_unknown(self, frequency: Counter[str], known: Collection[str]) -> None:
        """Keep the share of unknown words, and warn where it is large."""
        tokens, words = sum(frequency.values()), len(frequency)
        found = sum(frequency[word] for word in known)
        self.unknown = {
            "out_of_vocabulary": round(1 - found / max(tokens, 1), 6),
            "out_of_vocabulary_words": round(1 - len(known) / max(words, 1), 6),
        }
        if tokens and self.unknown["out_of_vocabulary"] > MANY_UNKNOWN:
            share = f"{100 * self.unknown['out_of_vocabulary']:.0f} %"
            warnings.warn(
                f"{self.name}: {share} of {tokens:,} words have no vector: is the language, or lowercase={self.params.lowercase}, another?",
                RuntimeWarning,
                stacklevel=3,
            )

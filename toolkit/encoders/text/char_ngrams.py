"""`char-ngrams`: weighted counts of character n-grams, for short texts such as playlist titles.

Texts with misspellings, endings and emoji still share n-grams ("chill", "chillin'", "chilll"). Source: Cavnar and
Trenkle 1994, "N-gram-based text categorization"; the weights and the reduction are those of `tfidf`. No pretrained
weights.
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams


class CharNgramsParams(TfidfParams):
    """Parameters of `char-ngrams`.

    - shortest, longest: number of characters in an n-gram.

    N-grams are taken from each word with a space before and after the word.
    """

    max_features: int = Field(50_000, ge=1)
    shortest: int = Field(2, ge=1)
    longest: int = Field(4, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("separator", "token_pattern"):
            if getattr(self, name) != TfidfParams.model_fields[name].default:
                raise ValueError(f"{name}={getattr(self, name)!r} can be set only for tfidf: remove {name}")
        if self.shortest > self.longest:
            raise ValueError(
                f"shortest={self.shortest} must be <= longest={self.longest}: reduce shortest or raise longest"
            )
        return self


class CharNgramsEncoder(TfidfEncoder):
    """Text encoder with TF-IDF weights of character n-grams, for short texts such as playlist titles.

    Takes n texts and returns float32 [n, d]. `terms` returns the weights of the n-grams before the reduction.
    """

    name: ClassVar[str] = "char-ngrams"
    version: ClassVar[str] = "2"
    source: ClassVar[str] = "Cavnar and Trenkle 1994"
    Params: ClassVar[type[EncoderParams]] = CharNgramsParams
    params: CharNgramsParams

    def tokens(self, text: str) -> list[str]:
        text = self.cleaner(text)
        words = [f" {word} " for word in (text.lower() if self.params.lowercase else text).split()]
        sizes = range(self.params.shortest, self.params.longest + 1)
        return [word[at : at + size] for word in words for size in sizes for at in range(len(word) - size + 1)]

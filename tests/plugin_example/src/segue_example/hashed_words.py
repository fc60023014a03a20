"""Encoder `hashed-words`: feature hashing (Weinberger et al. 2009)."""

import zlib
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from segue.plugin import Encoder, EncoderParams, Progress


class HashedWordsParams(EncoderParams):
    """Parameters of the encoder `hashed-words`."""

    dim: int = Field(64, ge=1, description="columns that all words share")


class HashedWordsEncoder(Encoder):
    """Counts the words of a text, each in the column that its hash names; rows have length 1."""

    name = "hashed-words"
    kind = "text"
    seeded = False
    may_be_empty = True  # a text without words gives a row of zeros, which counts as missing
    source = "Weinberger et al. 2009"
    Params = HashedWordsParams
    params: HashedWordsParams

    @property
    def dim(self) -> int:
        return self.params.dim

    def transform(self, inputs: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        rows = np.zeros((len(inputs), self.dim), np.float32)
        for row, text in zip(rows, inputs, strict=True):
            for word in text.lower().split():
                hashed = zlib.crc32(word.encode())
                row[hashed // 2 % self.dim] += 1 - 2 * (hashed % 2)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

"""`hashed-words`: a text's words, each counted in the place its hash names (Weinberger et al., "Feature hashing", 2009)."""

import zlib
from pathlib import Path

import numpy as np
from pydantic import Field

from toolkit.encoders.base import Encoder, EncoderParams
from toolkit.encoders.state import load_encoder, save_encoder


class HashedWordsParams(EncoderParams):
    """dim: places that words share."""

    dim: int = Field(64, ge=1)


class HashedWordsEncoder(Encoder):
    """Texts as float32 [n, dim], rows of length 1; a text without words is a zero vector."""

    name = "hashed-words"
    kind = "text"
    seeded = False
    source = "Weinberger et al. 2009"
    Params = HashedWordsParams

    @property
    def dim(self) -> int:
        return self.params.dim

    def transform(self, inputs, *, progress=None) -> np.ndarray:
        rows = np.zeros((len(inputs), self.dim), np.float32)
        for row, text in zip(rows, inputs, strict=True):
            for word in text.lower().split():
                hashed = zlib.crc32(word.encode())
                row[hashed // 2 % self.dim] += 1 - 2 * (hashed % 2)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> "HashedWordsEncoder":
        return load_encoder(cls, directory, device=device)[0]

"""`codes`: a fixed random unit vector for every distinct name, so that an inner product says "the same artist".

Source: random indexing, Kanerva, Kristoferson and Holst, "Random indexing of
text samples for latent semantic analysis", 2000: vectors drawn independently in
d dimensions are orthogonal up to 1/sqrt(d). No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import digests, distinct, hashed_normals
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.seeds import derived_seed


class CodesParams(EncoderParams):
    """dim: d; the inner product of two different names has deviation 1/sqrt(d)."""

    dim: int = Field(256, ge=1)


class CodesEncoder(Encoder):
    """Gives each distinct name, such as an artist or a label, a fixed random unit vector.

    Returns float32 [n, dim], rows of length 1. A vector depends only on the name and the random seed.
    """

    name: ClassVar[str] = "codes"
    kind: ClassVar[Kind] = "category"
    source: ClassVar[str] = "Kanerva, Kristoferson and Holst 2000 (random indexing)"
    Params: ClassVar[type[EncoderParams]] = CodesParams
    params: CodesParams

    @property
    def dim(self) -> int:
        return self.params.dim

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """n strings -> float32 [n, dim]."""
        marks = digests("category", inputs)
        first, inverse = distinct(marks)
        drawn = hashed_normals(marks[first], self.dim, seed=derived_seed(self.seed, self.name))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        if progress is not None:
            progress(len(inputs), len(inputs), self.name)
        return np.asarray(drawn[inverse])

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]

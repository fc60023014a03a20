"""`codes`: a fixed random unit vector for every distinct name, whose inner products show which names are equal.

Source: random indexing, Kanerva, Kristoferson and Holst, "Random indexing of text samples for latent semantic
analysis", 2000: vectors drawn independently in d dimensions are orthogonal up to 1/sqrt(d). No pretrained weights.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import digests, distinct, hashed_normals
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind, Progress, Texts
from toolkit.seeds import derived_seed


class CodesParams(EncoderParams):
    """dim: d, size of the vectors. The inner product of two different names has standard deviation 1/sqrt(d)."""

    dim: int = Field(256, ge=1)


class CodesEncoder(Encoder):
    """Gives each distinct name, such as an artist or a label, a fixed random unit vector.

    Takes n strings and returns float32 [n, dim], rows of length 1. A vector depends only on the name and the random
    seed.
    """

    name: ClassVar[str] = "codes"
    kind: ClassVar[Kind] = "category"
    source: ClassVar[str] = "Kanerva, Kristoferson and Holst 2000 (random indexing)"
    Params: ClassVar[type[EncoderParams]] = CodesParams
    params: CodesParams

    @property
    def dim(self) -> int:
        return self.params.dim

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """n strings -> float32 [n, dim]."""
        content = digests("category", inputs)
        first, inverse = distinct(content)
        drawn = hashed_normals(content[first], self.dim, seed=derived_seed(self.seed, self.name))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        if progress is not None:
            progress(len(inputs), len(inputs), self.name)
        return np.asarray(drawn[inverse])

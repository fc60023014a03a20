"""`codes`: fixed random unit vector for each distinct name, whose inner product is about 0 for different names.

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
    """Parameters of `codes`.

    - dim: vector dimension d. The inner product of two different names has standard deviation 1/sqrt(d).
    """

    dim: int = Field(256, ge=1)


class CodesEncoder(Encoder):
    """Category encoder with a fixed random unit vector for each distinct name, such as an artist or a label.

    Takes n strings and returns float32 [n, dim] with rows of unit norm. A vector depends only on the name and the seed.
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
        """Return float32 [n, dim] for n strings."""
        content = digests("category", inputs)
        first, inverse = distinct(content)
        drawn = hashed_normals(content[first], self.dim, seed=derived_seed(self.seed, self.name))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        if progress is not None:
            progress(len(inputs), len(inputs), self.name)
        return np.asarray(drawn[inverse])

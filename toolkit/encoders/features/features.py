"""`features`: standardised numeric features of a track, such as the eleven audio features of the papers.

Source: multimodal BERT4Rec report (USC), section 4.2.1, "no encoder" setting, with danceability, energy, key, loudness,
mode, speechiness, acousticness, instrumentalness, liveness, valence and tempo. Any number of columns is accepted. No
pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from toolkit.encoders.contract.encoder import Kind, Progress
from toolkit.encoders.features.standardise import Standardiser, StandardisingEncoder, as_matrix


class FeaturesEncoder(StandardisingEncoder):
    """Feature encoder that standardises numeric features of a track, such as tempo and energy.

    Takes float32 [n, d] and returns float32 [n, d]. Each column has mean 0 and standard deviation 1 over the training
    tracks. Constant columns become 0.
    """

    name: ClassVar[str] = "features"
    kind: ClassVar[Kind] = "features"
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.1"

    @property
    def dim(self) -> int:
        return len(self._fitted().mean)

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn the mean and standard deviation of each column of float32 [n, d], n >= 1."""
        self.standardiser = Standardiser.fit(as_matrix(inputs))
        return self

    def transform(self, inputs: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Return standardised float32 [n, d] for float32 [n, d]."""
        return self._fitted().apply(as_matrix(inputs)) if len(inputs) else np.zeros((0, self.dim), np.float32)

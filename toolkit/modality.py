"""One modality of the whole catalogue: a vector per track, and which tracks have one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Modality:
    """Embeddings of one modality, aligned with a corpus.

    matrix: float32 [V + 1, d]; rows of absent tracks and row 0 are zero but mean nothing.
    present: bool [V + 1]; False where the track lacks this modality.
    encoder: name and parameters of what made it, for reports. short: bool [V + 1]; whose clip is shorter than the encoder hears at
    once and ends in silence. None where nothing is.
    """

    name: str
    matrix: np.ndarray
    present: np.ndarray
    encoder: str = ""
    short: np.ndarray | None = None

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the catalogue that has this modality."""
        return float(self.present[1:].mean()) if len(self.present) > 1 else 0.0

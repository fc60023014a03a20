"""Vectors of one modality for all tracks, with a mask of the tracks that have one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EncodingCost:
    """Seconds of wall-clock time that an encoding took.

    - fit_seconds: training of the encoder; 0 for an encoder that does not learn.
    - encode_seconds: computation of all vectors.
    - cached: whether the vectors are from the cache. The seconds are then those of the run that computed them.
    """

    fit_seconds: float
    encode_seconds: float
    cached: bool = False


@dataclass(frozen=True)
class Modality:
    """Embeddings of one modality, aligned with a corpus.

    - matrix: float32 [V + 1, d]. Row 0 and the rows of absent tracks are zero and are not used.
    - present: bool [V + 1], False if the track does not have this modality.
    - encoder: name and parameters of the encoder, for reports.
    - short: bool [V + 1], True if the track's audio clip is shorter than the encoder's input and was padded with
      silence. None if no clip was padded.
    - collapsed: why the encoder did not learn, in one line, or "".
    - cut_short: bool [V + 1], True if the track's file is used although a part of it is missing on disk. None if no
      file was cut short.
    - cost: seconds that the encoding took; None if they are not known.
    """

    name: str
    matrix: np.ndarray
    present: np.ndarray
    encoder: str = ""
    short: np.ndarray | None = None
    collapsed: str = ""
    cut_short: np.ndarray | None = None
    cost: EncodingCost | None = None

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the catalogue that has this modality."""
        return float(self.present[1:].mean()) if len(self.present) > 1 else 0.0

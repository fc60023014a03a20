"""Mean factors of a new track's artist or genres, as a baseline for rankers that learn from content."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from toolkit.coldstart.cold_ranker import COLD_START, ColdRanker
from toolkit.coldstart.factorisation import Factors
from toolkit.corpus.label_rows import unit_labels
from toolkit.ranker import TrainingData


class LabelMean(ColdRanker):
    """Base class of rankers of new tracks by the mean factors of their labels.

    The factors of a track are the mean of its labels' centroids. The centroid of a label is the mean of the factors of
    the training tracks with that label. Labels without training tracks are left out. A track without other labels has
    no factors.
    """

    label: ClassVar[str]

    def predict(self, data: TrainingData, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        has = (unit_labels(data.labels, self.label, self.name) > 0).astype(np.float32)  # (V + 1, L)
        trained = sp.diags_array(factors.known.astype(np.float32)) @ has
        tracks = np.asarray(trained.sum(axis=0)).ravel()
        centroids = (trained.T @ factors.items) / np.maximum(tracks, 1)[:, None]
        known = np.asarray(has @ (tracks > 0).astype(np.float32)).ravel()
        vectors = (has @ centroids) / np.maximum(known, 1)[:, None]
        return np.asarray(vectors, np.float32), known > 0


class SameArtist(LabelMean):
    """Ranks new tracks by the mean factors of their artists."""

    name = "same-artist"
    label = "artist"
    capabilities = replace(COLD_START, content="none", labels=("artist",), labels_required=True)


class GenreCentroid(LabelMean):
    """Ranks new tracks by the mean factors of their genres."""

    name = "genre-centroid"
    label = "genre"
    capabilities = replace(COLD_START, content="none", labels=("genre",), labels_required=True)

"""Targets of supervised encoders: labels or factors of tracks in the training split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from toolkit.catalogue.store import Catalogue
from toolkit.coldstart.artist_factors import of_tracks
from toolkit.coldstart.factorisation import FactorStore, confidence_of
from toolkit.encoders.learning.weighted_prediction_error import Feedback
from toolkit.errors import InputError
from toolkit.ingest.read_data import text_values
from toolkit.recipe import FactorSpec, Targets


@dataclass(frozen=True)
class Labels:
    """Texts of a field as labels.

    - names: column names, sorted.
    - matrix: float32 [V, t] of zeros and ones. Rows of tracks outside the training split are zero.
    """

    field: str
    names: list[str]
    matrix: np.ndarray

    def facts(self) -> dict[str, str | int]:
        """Return the entries for `coverage.json`."""
        return {"field": self.field, "labels": len(self.names), "tracks": int(self.matrix.any(axis=1).sum())}


@dataclass(frozen=True)
class FactorTargets:
    """Factors of tracks. matrix: float32 [V, k], with zero rows for tracks without training interactions."""

    matrix: np.ndarray
    store: FactorStore
    targets: Targets

    @classmethod
    def of(cls, store: FactorStore, targets: Targets, trained: np.ndarray) -> FactorTargets:
        """Compute or load the factors. trained: bool [V], tracks with training interactions."""
        spec = _spec(store, targets)
        items = store(spec).items if targets.level == "track" else of_tracks(store, spec)
        return cls(items[1:] * trained[:, None], store, targets)

    def feedback(self) -> Feedback | None:
        """Return the feedback for all V tracks that the factors were computed from; None for artist factors."""
        if self.targets.level == "artist":
            return None
        spec = _spec(self.store, self.targets)
        confidence = confidence_of(self.store.train.plays(), spec)[:, 1:]
        return Feedback(self.store(spec).users, sp.csr_matrix(confidence.T))

    def facts(self) -> dict[str, str | int]:
        """Return the entries for `coverage.json`."""
        return {"factors": self.matrix.shape[1], "tracks": int(self.matrix.any(axis=1).sum())}


def labels(catalogue: Catalogue, targets: Targets, ids: Sequence[str], trained: np.ndarray) -> Labels:
    """Return the labels of at least `min_tracks` training tracks, at most `targets.most` labels.

    - trained: bool [V], tracks with training interactions.

    Raises `InputError` for fewer than two labels, which do not suffice for training.
    """
    assert targets.field is not None
    present, values = text_values(catalogue, targets.field, ids, source=targets.source)
    rows = np.flatnonzero(present)
    of_track = {
        int(row): _split(text, targets.separator) for row, text in zip(rows, values, strict=True) if trained[row]
    }
    counts = Counter(label for own in of_track.values() for label in own)
    kept = sorted(
        (label for label, count in counts.items() if count >= targets.min_tracks),
        key=lambda label: (-counts[label], label),
    )
    names = sorted(kept[: targets.most])
    if len(names) < 2:
        raise InputError(
            f"targets: field {targets.field!r} has {len(names)} labels that at least {targets.min_tracks} training"
            f" tracks have (of {len(counts)}), but an encoder requires 2: reduce min_tracks, or set a different field"
        )
    column = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(ids), len(names)), np.float32)
    for row, own in of_track.items():
        matrix[row, [column[label] for label in own if label in column]] = 1
    return Labels(targets.field, names, matrix)


def _split(text: str, separator: str | None) -> set[str]:
    parts = [text] if separator is None else text.split(separator)
    return {label for part in parts if (label := part.strip())}


def _spec(store: FactorStore, targets: Targets) -> FactorSpec:
    return store.spec.model_copy(update={"k": targets.factors})

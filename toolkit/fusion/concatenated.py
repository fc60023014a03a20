"""All modalities of a track as one row of numbers, for linear maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolkit.errors import InputError
from toolkit.modality import Modality


def concatenated_columns(modalities: Mapping[str, Modality], learn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of all modalities, float32 [V + 1, D], and a mask bool [V + 1] for tracks with a modality.

    - learn: bool [V + 1], tracks that determine the scale. Over these tracks each column has mean 0, and each modality
      has mean square 1 per track. A missing modality is 0, the mean.

    Raises `InputError` for a modality that is missing for all of these tracks.
    """
    parts = []
    for name, modality in modalities.items():
        fitted = modality.present & learn
        if not fitted.any():
            raise InputError(f"modality {name!r} must be present for at least one training track: remove this modality")
        centred = modality.matrix - modality.matrix[fitted].mean(axis=0, dtype=np.float64)
        centred *= modality.present[:, None]
        scale = np.sqrt(np.square(centred[fitted]).sum(axis=1).mean())
        parts.append((centred / max(scale, 1e-12)).astype(np.float32))
    present = np.any([modality.present for modality in modalities.values()], axis=0)
    present[0] = False
    return np.concatenate(parts, axis=1), present

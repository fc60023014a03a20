"""All modalities of a track as one row of numbers, for linear maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolkit.errors import InputError
from toolkit.modality import Modality


def concatenated_columns(modalities: Mapping[str, Modality], learn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns of all modalities side by side, float32 [V + 1, D], and which tracks have any of them, bool [V + 1].

    - learn: bool [V + 1], tracks that fix the scale: each column gets mean 0 over them, and each modality mean square
      1 per track. A modality that a track does not have is 0, the mean.

    Raises `InputError` for a modality that none of these tracks has.
    """
    parts = []
    for name, modality in modalities.items():
        fitted = modality.present & learn
        if not fitted.any():
            raise InputError(f"modality {name!r}: none of the tracks to learn from has it: leave it out")
        centred = modality.matrix - modality.matrix[fitted].mean(axis=0, dtype=np.float64)
        centred *= modality.present[:, None]
        scale = np.sqrt(np.square(centred[fitted]).sum(axis=1).mean())
        parts.append((centred / max(scale, 1e-12)).astype(np.float32))
    present = np.any([modality.present for modality in modalities.values()], axis=0)
    present[0] = False
    return np.concatenate(parts, axis=1), present

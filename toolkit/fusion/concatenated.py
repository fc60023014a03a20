"""All modalities of a track as one row of numbers, for linear maps."""

from __future__ import annotations

import numpy as np

from toolkit.errors import InputError
from toolkit.modality import Modality


def joined(modalities: dict[str, Modality], learn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All modalities side by side: float32 [V + 1, D], and bool [V + 1], tracks with any of them.

    learn: bool [V + 1], tracks by which each column is brought to mean 0 and each modality to mean square 1 a track; what a track
    lacks is 0, their mean. Raises `InputError` for a modality that none of them has.
    """
    parts = []
    for name, modality in modalities.items():
        taught = modality.present & learn
        if not taught.any():
            raise InputError(f"modality {name!r}: none of the tracks to learn from has it: leave it out")
        centred = modality.matrix - modality.matrix[taught].mean(axis=0, dtype=np.float64)
        centred *= modality.present[:, None]
        scale = np.sqrt(np.square(centred[taught]).sum(axis=1).mean())
        parts.append((centred / max(scale, 1e-12)).astype(np.float32))
    present = np.any([modality.present for modality in modalities.values()], axis=0)
    present[0] = False
    return np.concatenate(parts, axis=1), present

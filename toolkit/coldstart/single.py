"""The one modality of systems that read one."""

from __future__ import annotations

import numpy as np

from toolkit.errors import InputError
from toolkit.modality import Modality


def single(name: str, modalities: dict[str, Modality]) -> tuple[np.ndarray, np.ndarray]:
    """Its matrix float32 [V + 1, d] and bool [V + 1], who has it. Raises `InputError` where there is not one alone."""
    if len(modalities) != 1:
        raise InputError(f"{name} takes one modality, not {len(modalities)}: name it with modalities: […]")
    (modality,) = modalities.values()
    present = np.array(modality.present, dtype=bool)
    present[0] = False
    return modality.matrix, present

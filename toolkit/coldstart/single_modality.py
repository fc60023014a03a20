"""The one modality of systems that read one."""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.modality import Modality


def single(name: str, modalities: dict[str, Modality]) -> Modality:
    """Raises `InputError` where there is not one alone."""
    if len(modalities) != 1:
        raise InputError(f"{name} takes one modality, not {len(modalities)}: name it with modalities: […]")
    (modality,) = modalities.values()
    return modality

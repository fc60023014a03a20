"""Types of the resolved recipe in a run directory, limited to keys that are read without validation."""

from __future__ import annotations

from typing import TypedDict


class StoredModel(TypedDict, total=False):
    """Part of an entry of `models` in a stored recipe that reports read."""

    type: str
    select: str
    hidden_size: int


class StoredEncoder(TypedDict, total=False):
    """Entry of `encoders` in a stored recipe."""

    encoder: str
    params: dict[str, object]


class StoredEvaluation(TypedDict, total=False):
    """Section `evaluation` of a stored recipe. split: a protocol name in recipes of earlier versions."""

    split: dict[str, object] | str
    bootstrap: int
    metrics: list[str]
    allow_repeats: bool


class StoredRecipe(TypedDict, total=False):
    """Resolved recipe in a run directory, limited to keys that are read without validation."""

    name: str
    data: dict[str, object] | None
    encoders: dict[str, StoredEncoder] | None
    defaults: dict[str, object]
    models: list[StoredModel] | None
    evaluation: StoredEvaluation | None

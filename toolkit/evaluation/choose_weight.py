"""Selection of a weight or penalty by its value on validation playlists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from toolkit.corpus.splits import HeldOut

Candidate = TypeVar("Candidate")


def choose_weight(
    candidates: Sequence[Candidate], value: Callable[[Candidate], float], *, decimals: int | None = None
) -> Candidate:
    """Return the candidate with the highest value on validation. Ties are broken by the first candidate.

    - candidates: weights, in ascending order to break ties by the smallest.
    - value: function that returns the value of a candidate (higher is better), called once per candidate in order.
    - decimals: values that agree to this number of decimals are equal; None compares them exactly.

    `value` must not return NaN, which would be selected.
    """
    values = [value(candidate) for candidate in candidates]
    return candidates[int(np.argmax(values if decimals is None else np.round(values, decimals)))]


def sample_evenly(held_out: HeldOut, most: int) -> HeldOut:
    """Return at most `most` playlists, evenly spaced over all playlists."""
    return held_out.take(np.unique(np.linspace(0, len(held_out) - 1, min(len(held_out), most)).astype(int)))

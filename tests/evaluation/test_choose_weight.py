"""Tests of selecting a weight by its value on validation playlists."""

from __future__ import annotations

import pytest

from toolkit.evaluation.choose_weight import choose_weight


def test_choose_weight_returns_candidate_with_highest_value() -> None:
    assert choose_weight([0.0, 0.5, 1.0], {0.0: 0.1, 0.5: 0.3, 1.0: 0.2}.__getitem__) == 0.5


def test_choose_weight_breaks_ties_by_first_candidate() -> None:
    assert choose_weight([0.0, 0.5, 1.0], {0.0: 0.1, 0.5: 0.3, 1.0: 0.3}.__getitem__) == 0.5


@pytest.mark.parametrize(("decimals", "expected"), [(None, 1.0), (9, 0.0)])
def test_choose_weight_compares_values_to_given_decimals(decimals: int | None, expected: float) -> None:
    assert choose_weight([0.0, 1.0], {0.0: 0.3, 1.0: 0.3 + 1e-12}.__getitem__, decimals=decimals) == expected


def test_choose_weight_measures_each_candidate_once_in_order() -> None:
    measured: list[str] = []

    def value(name: str) -> float:
        measured.append(name)
        return 0.0

    assert choose_weight(["a", "b", "c"], value) == "a"
    assert measured == ["a", "b", "c"]

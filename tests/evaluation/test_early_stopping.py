"""Tests of the order of epochs: by the metric with enough hits, by the log rank with few."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from toolkit.evaluation.early_stopping import FEW_HITS, counted, merits, note


def row(recall: float, hits: int | None = None, log_rank: float | None = None) -> dict[str, float]:
    signals = {"hits": hits, "log_rank": log_rank}
    return {"recall@50": recall} | {name: value for name, value in signals.items() if value is not None}


def test_merit_is_the_metric_from_50_hits_on() -> None:
    rows = [row(0.1, 50), row(0.3, 51, 9.9), row(0.2, 1000, 0.0)]
    assert merits(rows, "recall@50") == [0.1, 0.3, 0.2]


def test_merit_with_few_hits_decreases_with_the_log_rank() -> None:
    rows = [row(0.9, 49, 7.5), row(0.0, 0, 7.25), row(0.5, 3, 0.0)]
    assert merits(rows, "recall@50") == [-8.5, -8.25, -1.0]


def test_epoch_with_50_hits_beats_every_epoch_with_fewer() -> None:
    rows = [row(0.0, 0, 8.0), row(0.04, 49, 2.0), row(0.0, FEW_HITS), row(0.02, 51), row(0.03, 49, 1.5)]
    values = merits(rows, "recall@50")
    assert np.argsort(values).tolist() == [0, 1, 4, 2, 3]
    # each epoch has a value of its own: the order does not depend on the order in time
    for order in itertools.permutations(range(len(rows))):
        assert merits([rows[at] for at in order], "recall@50") == [values[at] for at in order]


def test_merit_is_the_metric_if_hits_are_not_counted_in_every_epoch() -> None:
    rows = [row(0.0017), row(0.0, 0, 8.0), row(0.01, 60)]
    assert merits(rows, "recall@50") == [0.0017, 0.0, 0.01]
    assert merits([{"mine": 0.5}, {"mine": 0.2}], "mine") == [0.5, 0.2]


def test_merit_is_the_metric_without_log_rank() -> None:
    assert merits([row(0.0, 0), row(0.0, 0)], "recall@50") == [0.0, 0.0]


def test_merit_of_a_missing_metric_is_nan() -> None:
    assert math.isnan(merits([{"loss": 1.0}], "recall@50")[0])
    assert math.isnan(merits([{"recall@50": None}], "recall@50")[0])


@pytest.mark.parametrize(("hits", "kept"), [(0, True), (49, True), (50, False), (3000, False)])
def test_log_rank_is_kept_only_with_few_hits(hits: int, kept: bool) -> None:
    assert counted(hits, 6.5) == ({"hits": hits, "log_rank": 6.5} if kept else {"hits": hits})


def test_log_rank_that_means_nothing_is_left_out() -> None:
    assert counted(0, None) == {"hits": 0}


def test_note_reports_the_largest_number_of_hits() -> None:
    rows = [row(0.0, 0, 8.0), row(0.01, 12, 7.0), row(0.0, 4, 7.5)]
    assert note("sasrec", rows) == (
        "sasrec: at most 12 validation hits in an epoch, so epochs are compared by the mean log rank of hidden tracks"
    )


@pytest.mark.parametrize("rows", [[], [row(0.1)], [row(0.1, 70)], [row(0.0, 3, 8.0), row(0.1, 70)], [row(0.0, 0)]])
def test_note_is_empty_if_the_metric_decides(rows: list[dict[str, float]]) -> None:
    assert note("sasrec", rows) == ""

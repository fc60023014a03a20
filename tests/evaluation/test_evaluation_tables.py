"""Tests of the rows of metrics.json, per_playlist.parquet and comparisons.json."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.evaluation.evaluator import Scores
from toolkit.evaluation.result_rows import comparisons, frame, rows
from toolkit.evaluation.significance import paired_difference
from toolkit.evaluation.statistics import mean_intervals
from toolkit.seeds import derived_seed

NAN = float("nan")


def scores(everything: list[float], cold: list[float]) -> Scores:
    values = {("all", "recall", 10): np.array(everything), ("cold", "recall", 10): np.array(cold)}
    n_hidden = {
        "all": (~np.isnan(everything)).astype(int),
        "cold": (~np.isnan(cold)).astype(int),
        "warm": np.zeros(len(cold), int),
    }
    return Scores(values, n_hidden, np.zeros((len(cold), 0), np.int32))


MINE = scores([0.5, 1.0, 0.0, 0.25], [NAN, 1.0, 0.5, NAN])
OTHER = scores([0.25, 0.5, 0.0, 0.25], [NAN, 0.5, 0.5, NAN])
APART, VERSIONS = np.array([0, 1, 2, 3]), np.array([0, 1, 1, 1])
ABOUT = {"system": "item-knn", "modalities": ["audio"], "split": "test", "bootstrap": 200, "seed": 4}


def test_rows_match_metrics_json_format() -> None:
    found = rows(MINE, groups=APART, **ABOUT)
    assert list(found[0]) == [
        "system",
        "modalities",
        "split",
        "slice",
        "metric",
        "k",
        "value",
        "ci_low",
        "ci_high",
        "n",
    ]
    assert [(row["slice"], row["metric"], row["k"], row["value"], row["n"]) for row in found] == [
        ("all", "recall", 10, 0.4375, 4),
        ("cold", "recall", 10, 0.75, 2),
    ]
    seed = derived_seed(4, "bootstrap", "test")
    values = np.array([[0.5], [1.0], [0.0], [0.25]])
    interval = mean_intervals(values, APART, seed=seed, samples=200, ranges=[(0.0, 1.0)])[0]
    assert (found[0]["ci_low"], found[0]["ci_high"]) == pytest.approx((interval.low, interval.high), abs=1e-8)


def test_playlist_versions_add_macro_rows() -> None:
    found = {row["slice"]: row for row in rows(MINE, groups=VERSIONS, **ABOUT)}
    assert list(found) == ["all", "macro", "cold"]
    assert (found["macro"]["value"], found["macro"]["n"]) == (pytest.approx((0.5 + 1.25 / 3) / 2, abs=1e-8), 2)
    assert found["all"]["value"] == 0.4375
    # both lists with cold tracks are versions of one playlist: nothing is left to resample
    assert (found["cold"]["value"], found["cold"]["ci_low"], found["cold"]["ci_high"]) == (0.75, None, None)


def test_same_seed_gives_identical_bytes() -> None:
    many = scores(np.linspace(0, 1, 30).tolist(), [NAN] * 30)
    first, again = (json.dumps(rows(many, groups=np.arange(30), **ABOUT), allow_nan=False) for _ in range(2))
    assert first == again
    assert first != json.dumps(rows(many, groups=np.arange(30), **(ABOUT | {"seed": 5})))


def test_frame_has_one_row_per_value(corpus_of: Callable[..., Corpus]) -> None:
    corpus = corpus_of([[1, 2]] * 6, 2, groups=[None, "g", "g", None, "g", None])
    part = HeldOut(
        corpus,
        np.array([5, 1, 2, 4]),
        corpus.offsets[[5, 1, 2, 4]],
        corpus.offsets[[5, 1, 2, 4]] + 1,
        corpus.offsets[[6, 2, 3, 5]],
    )
    table = frame(MINE, part, system="item-knn", split="test")
    assert table.column_names == ["system", "split", "row", "playlist", "group", "slice", "metric", "k", "value"]
    assert table.slice(0, 2).to_pylist() == [
        dict(
            system="item-knn",
            split="test",
            row=5,
            playlist="p5",
            group="p5",
            slice="all",
            metric="recall",
            k=10,
            value=0.5,
        ),
        dict(
            system="item-knn",
            split="test",
            row=1,
            playlist="p1",
            group="g",
            slice="all",
            metric="recall",
            k=10,
            value=1.0,
        ),
    ]
    assert [(row["playlist"], row["slice"], row["value"]) for row in table.slice(4).to_pylist()] == [
        ("p1", "cold", 1.0),
        ("p2", "cold", 0.5),
    ]


@pytest.mark.parametrize(("groups", "resampled"), [(APART, "playlists"), (VERSIONS, "groups")])
def test_comparisons_use_same_playlists_for_all_systems(groups: np.ndarray, resampled: str) -> None:
    found = comparisons({"mine": MINE, "other": OTHER}, "other", groups=groups, bootstrap=200, seed=4)
    assert [(row["system"], row["reference"], row["slice"], row["difference"], row["n"]) for row in found] == [
        ("mine", "other", "all", 0.1875, 4),
        ("mine", "other", "cold", 0.25, 2),
    ]
    assert {row["resampled"] for row in found} == {resampled}
    seed = derived_seed(4, "bootstrap", "test")
    expected = paired_difference(
        MINE.values["all", "recall", 10],
        OTHER.values["all", "recall", 10],
        groups,
        seed=seed,
        samples=200,
        value_range=(0.0, 1.0),
    )
    assert (found[0]["ci_low"], found[0]["ci_high"], found[0]["p"]) == pytest.approx(
        (expected.low, expected.high, expected.p), abs=1e-8
    )


def test_unknown_reference_raises_with_suggestion() -> None:
    with pytest.raises(InputError, match="reference 'othr' is not a system of this run: did you mean 'other'"):
        comparisons({"mine": MINE, "other": OTHER}, "othr", groups=APART, bootstrap=50, seed=0)

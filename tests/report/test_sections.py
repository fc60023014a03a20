"""Tests of words and numbers in the report sections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.run_files import metric_row
from toolkit.report import page_sections
from toolkit.report.result_tables import Column, pivot


@pytest.mark.parametrize(
    ("value", "group", "expected"),
    [
        (1234567, True, "1,234,567"),
        (1234567, False, "1234567"),
        (True, True, "yes"),
        ([20, 50], False, "20, 50"),
        ({"train": 3502, "git_commit": None, "by": "hash"}, True, "train 3,502, by hash"),
        (0.7, True, "0.7"),
    ],
)
def test_describe_formats_recipe_values(value: object, group: bool, expected: str) -> None:
    assert page_sections.describe(value, group=group) == expected


@pytest.mark.parametrize(
    ("key", "column"), [("ndcg@50", Column("ndcg", 50)), ("clicks", Column("clicks")), ("odd@x", Column("odd@x"))]
)
def test_column_of_parses_metric_keys(key: str, column: Column) -> None:
    assert page_sections.column_of(key) == column


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"models": [{"select": "recall@20"}]}, "recall@20"),
        ({"models": [{"select": "ndcg@500"}, {"select": "recall@50"}]}, "recall@50"),
        ({"models": []}, "ndcg@20"),
        ({}, "ndcg@20"),
    ],
)
def test_main_metric_is_the_selection_metric(recipe: dict[str, Any], expected: str) -> None:
    table = pivot([metric_row("a", 0.1, metric=metric, k=k) for metric in ("recall", "ndcg") for k in (20, 50)])
    column = page_sections.main_column(table, recipe)
    assert column is not None and column.key == expected


def test_main_metric_is_none_without_rows() -> None:
    assert page_sections.main_column(pivot([]), {}) is None


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("ndcg", 0.01, 0.02, "better than base"),
        ("ndcg", -0.02, -0.01, "worse than base"),
        ("ndcg", -0.01, 0.02, "no difference shown"),
        ("ndcg", 0.0, 0.02, "no difference shown"),
        ("clicks", 0.5, 0.9, "worse than base"),
        ("clicks", -0.9, -0.5, "better than base"),
    ],
)
def test_reading_of_a_difference_depends_on_metric_direction(
    metric: str, low: float, high: float, expected: str
) -> None:
    row = {
        "system": "a",
        "reference": "base",
        "slice": "all",
        "metric": metric,
        "k": 0,
        "difference": low,
        "ci_low": low,
        "ci_high": high,
    }
    (group,) = page_sections.comparisons([row], None)
    assert group["lines"][0]["reading"] == expected


def test_corrected_p_above_the_level_reads_as_no_difference() -> None:
    row = metric_row("a", 0.0) | {"reference": "base", "difference": 0.02, "ci_low": 0.01, "ci_high": 0.03}
    told = [page_sections.reading(row | {"p_holm": p}, "base") for p in (0.049, 0.05, None)]
    assert told == ["better than base", "no difference shown once corrected", "better than base"]
    assert (
        "p is the larger value of both tests, corrected for the systems compared (Holm)"
        in page_sections.comparison_note([row | {"p_holm": 0.05}], {})
    )
    assert "p is not corrected" in page_sections.comparison_note([row], {})


def test_note_lists_metrics_that_are_better_when_lower() -> None:
    rows = [
        metric_row("a", 0.1),
        metric_row("a", 3.0, metric="clicks", k=None),
        metric_row("a", 1.0, metric="rmse", k=None),
    ]
    told = [page_sections.table_note(pivot(part)) for part in (rows[:1], rows[:2], rows, rows[2:])]
    assert [note.partition("column.")[2] for note in told] == [
        "", " Lower is better: Clicks.", " Lower is better: Clicks and RMSE.", " Lower is better: RMSE.",
    ]  # fmt: skip


def test_comparison_note_describes_resampled_groups() -> None:
    rows = [{"resampled": "groups"}, {"resampled": "groups"}]
    note = page_sections.comparison_note(rows, {"evaluation": {"bootstrap": 1000}})
    assert note.startswith("Resampled by bootstrap: whole playlists with all their versions, 1,000 times. ")


@pytest.mark.parametrize(
    ("allowed", "terms"), [(True, "training allowed"), (False, "training not allowed"), (None, "training not stated")]
)
def test_coverage_has_training_terms_of_each_source(allowed: bool | None, terms: str) -> None:
    row = {"modality": "lyrics", "coverage": 0.5, "sources": [{"source": "x", "train_allowed": allowed, "n": 1200}]}
    (found,) = page_sections.coverage([row])
    assert found["percent"] == "50.0"
    assert found["sources"] == [{"text": "x (1,200)", "terms": terms, "allowed": allowed is True}]


@pytest.mark.parametrize(
    ("skipped", "expected"),
    [
        (
            {"count": 1, "examples": ["a:1: bad"]},
            {"text": "1 bad record left out or merged.", "examples": ["a:1: bad"]},
        ),
        ({"count": 1200}, {"text": "1,200 bad records left out or merged.", "examples": []}),
        ({"count": 0, "examples": []}, {}),
        (None, {}),
    ],
)
def test_skipped_counts_records_left_out(skipped: Any, expected: dict[str, Any]) -> None:
    assert page_sections.skipped({"skipped": skipped}) == expected


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, ""),
        ({"out_of_vocabulary": 0.0312, "out_of_vocabulary_words": 0.4}, "3.1 % of words without a vector"),
        ({"texts_enriched": 0.6, "terms_per_text": 7.25}, "60.0 % of texts enriched, 7.2 terms a text"),
    ],
)
def test_coverage_has_text_statistics(facts: dict[str, float], told: str) -> None:
    (found,) = page_sections.coverage([{"modality": "lyrics", "coverage": 0.5, **facts}])
    assert found["texts"] == told


def test_coverage_lists_missing_tracks_and_encoder_targets() -> None:
    facts = {
        "absent": {"count": 23, "examples": ["a:1", "a:4", "a:7"]},
        "short": {"count": 1, "examples": ["a:2"]},
        "encoder": "tfidf-mlp",
        "targets": {"factors": 200, "tracks": 1234},
    }
    (found,) = page_sections.coverage([{"modality": "biography", "coverage": 0.9, **facts}])
    assert (
        found["absent"] == "23 without: a:1, a:4, a:7, …"
        and found["encoder"] == "tfidf-mlp, on 200 factors (1,234 tracks)"
    )
    assert found["short"] == "1 with too short a clip, which ends in silence: a:2"
    (none,) = page_sections.coverage([{"modality": "biography", "coverage": 1.0}])
    assert none["absent"] == none["short"] == ""

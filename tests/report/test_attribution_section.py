"""Tests of the attribution section in the report."""

from __future__ import annotations

from typing import Any

from toolkit.report.attribution_section import attribution, reading
from toolkit.report.result_tables import Column

NDCG = Column("ndcg", 50)


def row(modality: str, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    middle = None if low is None or high is None else (low + high) / 2
    key = {"system": "sasrec", "modality": modality, "way": "left out", "slice": "all", "metric": "ndcg", "k": 50}
    return (
        key
        | {"difference": middle, "ci_low": low, "ci_high": high, "p": 0.01, "n": 40, "resampled": "playlists"}
        | more
    )


ROWS = [row("audio", 0.01, 0.03), row("lyrics", 0.002, 0.01), row("cover", -0.01, 0.02), row("biography", -0.03, -0.01)]


def test_reading_of_an_attribution_interval() -> None:
    assert [reading(each) for each in ROWS] == ["adds", "adds", "no credit shown", "costs"]
    assert reading(row("audio", None, None)) == ""
    assert reading(row("audio", -0.3, -0.1, metric="clicks", k=0)) == "adds"  # fewer clicks are better


def test_attribution_sentence_lists_helpful_and_harmful_modalities() -> None:
    shuffled = [row("cover", 0.5, 0.6, way="shuffled")]
    found = attribution({"differences": [*ROWS, *shuffled]}, NDCG)
    assert found["sentences"] == [
        "sasrec, by NDCG@50 when trained without: audio and lyrics add, cover shows no credit, biography costs."
    ]


def test_main_metric_is_first_and_other_tables_are_folded() -> None:
    rest = [row("audio", 0.0, 0.1, slice="cold"), row("audio", 0.1, 0.2, metric="recall")]
    found = attribution({"differences": [*rest, *ROWS]}, NDCG)
    assert [(table["folded"], len(table["lines"])) for table in found["tables"]] == [(False, 4), (True, 1), (True, 1)]
    line = found["tables"][0]["lines"][3]
    assert line == {
        "modality": "biography",
        "way": "trained without it",
        "metric": "NDCG@50",
        "difference": "−0.0200",
        "interval": "−0.0300 to −0.0100",
        "reading": "costs",
    }


def test_attribution_section_is_empty_without_attribution() -> None:
    assert attribution({}, NDCG) == {}

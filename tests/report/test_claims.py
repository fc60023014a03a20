"""A report claims a difference only if its interval and every test show it, and praises no model that others beat."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import segue
from toolkit.report import claims
from toolkit.report.page_sections import comparison_note, reading
from toolkit.report.result_tables import Column, pivot
from toolkit.report.run_files import RunFiles
from toolkit.report.summary_text import summary

SHOWN: dict[str, Any] = {
    "system": "a",
    "reference": "base",
    "slice": "all",
    "metric": "ndcg",
    "k": 50,
    "difference": 0.02,
    "ci_low": 0.01,
    "ci_high": 0.03,
    "p": 0.002,
    "p_t": 0.001,
    "p_floor": 0.001998,
    "p_holm": 0.004,
    "p_t_holm": 0.002,
    "test": "bootstrap",
    "detectable": 0.015,
    "n": 900,
    "independent": 900.0,
    "resampled": "playlists",
}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "better than base"),
        ({"difference": -0.02, "ci_low": -0.03, "ci_high": -0.01}, "worse than base"),
        ({"ci_low": -0.001}, "no difference shown"),
        ({"p": 0.06, "p_holm": 0.06}, "no difference shown"),
        ({"p_t": 0.099, "p_t_holm": 0.198}, "no difference shown"),
        ({"p_holm": 0.06}, "no difference shown once corrected"),
        ({"p_t_holm": 0.06}, "no difference shown once corrected"),
        ({"p": 0.0625, "p_holm": 0.125, "detectable": None}, "cannot show any difference: use more test playlists"),
        ({"difference": 0.1, "ci_low": 0.1, "ci_high": 0.1, "detectable": None}, "better than base"),
        ({"difference": 0.0, "ci_low": 0.0, "ci_high": 0.0, "detectable": None}, "no difference shown"),
    ],
)
def test_reading_needs_the_interval_and_every_corrected_test(changes: dict[str, Any], text: str) -> None:
    assert reading({**SHOWN, **changes}, "base") == text


@pytest.mark.parametrize(
    ("n", "resampled", "text"),
    [
        (5, "playlists", "no difference shown"),
        (300, "playlists", "better than base"),
        (854, "groups", "no difference shown"),
    ],
)
def test_rows_of_earlier_versions_are_trusted_only_with_many_independent_playlists(
    n: int, resampled: str, text: str
) -> None:
    old = {key: value for key, value in SHOWN.items() if key not in ("test", "independent", "p_floor")}
    assert reading({**old, "n": n, "resampled": resampled}, "base") == text


def test_few_resamplings_are_not_mistaken_for_few_playlists() -> None:
    row = {**SHOWN, "p": 2 / 11, "p_holm": 0.4, "p_floor": 2 / 11, "detectable": None}
    assert reading(row, "base") == "cannot show any difference: raise evaluation.bootstrap"


def test_page_says_where_p_is_the_smallest_possible() -> None:
    assert claims.at_floor({**SHOWN, "p": 0.001998}) and not claims.at_floor({**SHOWN, "p": 0.004})
    few = {**SHOWN, "test": "sign flips", "p": 0.0625, "p_floor": 0.0625, "independent": 5.0}
    note = comparison_note([{**SHOWN, "p": 0.001998}, few, few], {"evaluation": {"bootstrap": 1000}})
    assert "In 1 row, p before correction is the smallest that the bootstrap can give here (0.002)" in note
    assert "In 2 rows, p before correction is the smallest that the sign-flip test can give here (0.0625)" in note
    assert "Rows with fewer than 20 independent playlists have t intervals" in note


NO_EVIDENCE = re.compile(r"better than|worse than|behind it|ahead of it")


def few_playlists(root: Path, n: int) -> Path:
    """Run popularity and item-knn on demo playlists of which `n` are tested."""
    recipe = {
        "name": "few",
        "data": {"reader": "demo", "options": {"tracks": 300, "artists": 40, "playlists": 60 + n}},
        "baselines": ["popularity", "item-knn"],
        "evaluation": {"k": [10, 50], "split": {"by": "hash", "folds": (60 + n) // n, "valid_fraction": 0.2}},
        "report": {"examples": 0, "map": 0},
    }
    return segue.run(recipe, root / "run").path


@pytest.mark.parametrize("n", [3, 5])
def test_report_of_few_test_playlists_claims_nothing(tmp_path: Path, n: int) -> None:
    path = few_playlists(tmp_path, n)
    files = RunFiles.read(path)
    rows = [row for row in files.comparisons if row["system"] == "item-knn" and row["slice"] == "all"]
    tested = files.data["split"]["test"]
    assert rows[0]["n"] == tested < 20 and {row["test"] for row in rows} == {"sign flips"}
    assert all((row["p"] or 1) >= 2 / 2**tested and row["p_floor"] == 2 / 2**tested for row in rows)
    assert all((row["p"] or 1) >= (row["p_t"] or 0) for row in rows)
    text = summary(files, pivot(files.metrics, timings=files.timings), Column("ndcg", 50))
    if tested <= 5:
        assert not NO_EVIDENCE.search(text)
        assert "cannot show any difference between systems" in text or "It is not the best system on the test" in text
        assert not any(claims.shown(row) for row in files.comparisons)
        assert "cannot show any" in (path / "report.html").read_text()
    notes = [json.loads(line).get("text", "") for line in (path / "log.jsonl").read_text().splitlines()]
    fitted = next(i for i, line in enumerate((path / "log.jsonl").read_text().splitlines()) if "popularity on" in line)
    warned = next(i for i, note in enumerate(notes) if note.startswith("validation has"))
    assert warned < fitted and any(note.startswith("the split withholds") for note in notes)


def metric(system: str, value: float, split: str) -> dict[str, Any]:
    about = {"modalities": "", "slice": "all", "metric": "ndcg", "k": 50, "ci_low": None, "ci_high": None, "n": 900}
    return {"system": system, "split": split, "value": value, **about}


def report_of(test: dict[str, float], valid: dict[str, float], **more: Any) -> str:
    rows = [metric(system, value, "test") for system, value in test.items()]
    rows += [metric(system, value, "valid") for system, value in valid.items()]
    empty = dict.fromkeys(RunFiles.__dataclass_fields__)
    timings = more.pop("timings", {})
    files = RunFiles(**{**empty, "metrics": rows, "data": {}, "timings": timings, "comparisons": [], **more})
    return summary(files, pivot(rows, timings=timings), Column("ndcg", 50))


def test_summary_names_the_system_that_is_better_on_the_test() -> None:
    text = report_of({"sasrec": 0.2, "item-knn": 0.3, "ease": 0.25}, {"sasrec": 0.4, "item-knn": 0.3, "ease": 0.1},
                     comparisons=[{**SHOWN, "system": "popularity", "reference": "sasrec", "difference": -0.1,
                                   "ci_low": -0.2, "ci_high": -0.05}])  # fmt: skip
    assert "Chosen on validation, sasrec reaches NDCG@50 0.2000 on the test playlists." in text
    assert "It is not the best system on the test: item-knn reaches 0.3000, and 1 more is better than it." in text
    assert "behind it" not in text


def test_summary_does_not_name_a_marked_system_without_its_marks() -> None:
    timings = {"untrained": {"warnings": {"collapsed": "…", "below random": "…"}}}
    text = report_of({"untrained": 0.01}, {"untrained": 0.01}, timings=timings)
    assert "Chosen on validation, untrained (collapsed, below random) reaches NDCG@50 0.0100" in text
    assert "Collapsed: untrained. Below random: untrained." in text


def test_summary_lists_systems_below_popularity_and_underfit_systems() -> None:
    timings = {"sasrec": {"underfit": True, "warnings": {"below popularity": "…"}}}
    text = report_of({"sasrec": 0.1, "popularity": 0.2}, {"sasrec": 0.1, "popularity": 0.2}, timings=timings)
    assert "Chosen on validation, popularity reaches" in text and "Below popularity: sasrec." in text
    assert "Underfit, so more epochs may improve it: sasrec." in text


def test_summary_groups_other_systems_by_what_the_tests_show() -> None:
    rows = [
        {**SHOWN, "system": "markov", "reference": "ease", "difference": -0.1, "ci_low": -0.2, "ci_high": -0.05},
        {**SHOWN, "system": "item-knn", "reference": "ease", "ci_low": -0.01, "ci_high": 0.02},
        {**SHOWN, "system": "random", "reference": "ease", "p": 0.0625, "p_holm": 0.2, "detectable": None},
    ]
    systems = {"ease": 0.3, "item-knn": 0.29, "markov": 0.2, "random": 0.1}
    text = report_of(systems, systems, comparisons=rows)
    assert "markov is behind it; item-knn, random are not shown to differ" in text

"""Tests of the metric that orders the systems of a run without NDCG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import RecipeError
from toolkit.recipe import Recipe


def recipe(metrics: list[str], **more: Any) -> Recipe:
    return Recipe(
        name="metrics",
        data={"reader": "demo", "options": {"tracks": 200, "artists": 40, "playlists": 100, "fields": []}},
        baselines=["popularity", "random"],
        evaluation={"split": {"min_tracks": 5}, "k": [10], "bootstrap": 10, "metrics": metrics},
        report={"examples": 0, "map": 0, "similar": 0},
        threads=1,
        **more,
    )


@pytest.mark.parametrize(("metrics", "metric", "k"), [(["map", "auc"], "map", 10), (["auc", "map"], "auc", 0)])
def test_systems_are_ordered_by_the_first_metric_of_the_recipe(
    tmp_path: Path, metrics: list[str], metric: str, k: int
) -> None:
    pipeline.run(recipe(metrics), tmp_path / "run", cache=tmp_path / "cache")
    systems = json.loads((tmp_path / "run" / run_directory.SYSTEMS).read_text())
    assert (systems["chosen_by"]["metric"], systems["chosen_by"]["k"]) == (metric, k)
    values = [entry["value"] for entry in systems["systems"] if not entry["oracle"]]
    assert None not in values and values == sorted(values, reverse=True)
    label = "AUC" if metric == "auc" else "MAP@10"
    assert f"{label}, 95 % interval" in (tmp_path / "run" / run_directory.REPORT).read_text()


@pytest.mark.parametrize("metrics", [["map"], ["novelty"]])
def test_models_require_a_metric_for_early_stopping(metrics: list[str]) -> None:
    with pytest.raises(RecipeError, match="must contain recall or ndcg"):
        recipe(metrics, models=[{"type": "sasrec", "select": "ndcg@10"}])

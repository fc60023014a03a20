"""Tests of recipes for published tables from audio: entries for every row, and runs of two rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit import pipeline, run_directory
from toolkit.recipe import Recipe, load

PAPERS = Path(__file__).parents[2] / "recipes" / "papers"
TINY = [
    "data.options={tracks: 200, artists: 60, playlists: 150, fields: [audio, tags]}",
    "evaluation.bootstrap=50",
]
SMALL_CNN = "rate: 8000, seconds: 3, window: 1.5, bands: 16, filters: [8, 8], epochs: 2, bf16: 'off'"
SMALL_BAG = "rate: 8000, seconds: 3, hop: 1024, words: 30, frames: 3000"
ROWS = {
    "factor_prediction.yaml": {
        "mlr", "linear-regression", "mlp-1000", "cnn-squared", "cnn-weighted", "random-factors", "factor-upper-bound",
    },
    "content_user.yaml": {
        "content-user", "content-user-dot", "content-user-softmax", "wmf-regression", "popularity", "wmf",
        "random-factors",
    },
    "content_user_warm.yaml": {"content-user", "wmf-regression", "id-item", "popularity", "wmf"},
    "hybrids.yaml": {
        "hldbn", "hldbn-pmf", "hl-mfcc", "hl-cnn", "van-den-oord", "tag-prior", "mfcc-prior", "one-half", "coin",
        "random-factors", "factor-upper-bound",
    },
    "hybrids_warm.yaml": {
        "hldbn", "hldbn-pmf", "pmf", "hl-mfcc", "hl-cnn", "van-den-oord", "tag-prior", "mfcc-prior", "wmf", "one-half",
        "coin", "factor-upper-bound",
    },
}  # fmt: skip


def trimmed_recipe(name: str, rows: set[str], *overrides: str) -> Recipe:
    """Return a recipe with only some rows, and the tags of those rows."""
    recipe = load(PAPERS / name, [*TINY, *overrides], parameters=True)
    kept = [system for system in recipe.coldstart.systems if system.system_name in rows]
    seen = {"factors", *rows, *(modality for system in kept for modality in system.modalities or [])}
    tags = recipe.coldstart.tags
    if tags is not None:
        tags = tags.model_copy(update={"rows": [row for row in tags.rows if row.vectors in seen]})
    cold = recipe.coldstart.model_copy(update={"systems": kept, "tags": tags})
    evaluation = recipe.evaluation.model_copy(update={"reference": None})
    return recipe.model_copy(update={"coldstart": cold, "evaluation": evaluation})


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def reached(run: Path, metric: str) -> dict[str, float]:
    return {
        row["system"]: row["value"]
        for row in read(run, run_directory.METRICS)
        if (row["metric"], row["split"], row["slice"]) == (metric, "test", "all")
    }


@pytest.mark.parametrize("name", ROWS)
def test_recipes_have_an_entry_for_every_published_row(name: str) -> None:
    recipe = load(PAPERS / name, parameters=True)
    assert {system.system_name for system in recipe.coldstart.systems} == ROWS[name]
    assert recipe.evaluation.split.type == ("leave_last_out" if "warm" in name else "item_cold")


def test_factor_prediction_recipe_runs(tmp_path: Path, tiny_cache: Path) -> None:
    rows = {"linear-regression", "cnn-weighted", "random-factors"}
    given = [
        f"encoders.bag.params={{{SMALL_BAG}}}",
        f"encoders.cnn_weighted.params={{loss: weighted, hidden: 8, {SMALL_CNN}}}",
        "encoders.cnn_weighted.targets.factors=30",
    ]
    pipeline.run(trimmed_recipe("factor_prediction.yaml", rows, *given), tmp_path / "run", cache=tiny_cache)
    found = reached(tmp_path / "run", "auc")
    assert set(found) == rows and found["linear-regression"] > found["random-factors"] + 0.05
    tags = read(tmp_path / "run", run_directory.TAGS)
    assert [(row["vectors"], row["method"]) for row in tags] == [("factors", "logistic"), ("bag", "logistic")]
    assert all(0.4 < row["auc"] < 1 and row["tracks"] > 50 for row in tags)
    assert all(row["interval"][0] < row["auc"] < row["interval"][1] for row in tags)
    factors, bag = (row["new"] for row in tags)
    assert factors is None and 0.3 < bag["auc"] < 1 and bag["tested"] > 10
    assert "What vectors say of tags" in (tmp_path / "run" / run_directory.REPORT).read_text()


def test_content_user_recipe_runs(tmp_path: Path, tiny_cache: Path) -> None:
    given = [
        "encoders.sound.params={rate: 8000, seconds: 3, window: 1.5, bands: 16}",
        "coldstart.systems.0.params={width: 8, filters: [8, 8], epochs: 3}",
    ]
    pipeline.run(
        trimmed_recipe("content_user.yaml", {"content-user", "popularity"}, *given), tmp_path / "run", cache=tiny_cache
    )
    found = reached(tmp_path / "run", "auc")
    assert 0.5 < found["content-user"] < 1 and found["popularity"] > 0.5
    assert [row["oracle"] for row in read(tmp_path / "run", run_directory.TIMINGS).values()] == [False, True]
    assert [row["vectors"] for row in read(tmp_path / "run", run_directory.TAGS)] == ["factors", "content-user"]


def test_id_item_ranks_only_played_tracks(tmp_path: Path, tiny_cache: Path) -> None:
    pipeline.run(trimmed_recipe("content_user_warm.yaml", {"id-item"}), tmp_path / "run", cache=tiny_cache)
    found = reached(tmp_path / "run", "auc")
    assert found["id-item"] > found["random"] + 0.1


@pytest.mark.parametrize(
    ("name", "rows"), [("hybrids.yaml", {"hldbn", "tag-prior"}), ("hybrids_warm.yaml", {"hldbn-pmf", "pmf"})]
)
def test_hybrid_recipe_runs(name: str, rows: set[str], tmp_path: Path, tiny_cache: Path) -> None:
    given = [
        "encoders.dbn.params={rate: 8000, seconds: 4, clip: 3, bands: 30, components: 10, hidden: [8, 8], epochs: 5}",
        f"encoders.tag_network.params={{{SMALL_BAG}, hidden: [8, 8], epochs: 5}}",
    ]
    pipeline.run(trimmed_recipe(name, rows, *given), tmp_path / "run", cache=tiny_cache)
    errors, areas = reached(tmp_path / "run", "rmse"), reached(tmp_path / "run", "auc")
    assert rows <= set(errors)
    assert all(0.2 < errors[row] < 0.9 and areas[row] > 0.5 for row in rows)

"""Systems below popularity, or below random order, are marked in the log, the tables and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segue.runs import run
from toolkit.pipeline.write import pool_folds
from toolkit.pipeline.write.baseline_floor import below_floor
from toolkit.progress import Reporter
from toolkit.recipe import Recipe
from toolkit.report.result_tables import pivot
from toolkit.result_types import SystemOrder
from toolkit.run_directory import RunDirectory

DEMO = {"reader": "demo", "options": {"tracks": 300, "artists": 40, "playlists": 200}}
UNTRAINED = {
    "type": "sasrec",
    "name": "untrained",
    "epochs": 1,
    "hidden_size": 8,
    "lr": 1e-9,
    "popularity": False,
    "neighbours": 0,
}


def recipe(baselines: list[str]) -> dict[str, object]:
    return {
        "name": "floor",
        "data": DEMO,
        "models": [UNTRAINED],
        "baselines": baselines,
        "evaluation": {"k": [10, 50], "bootstrap": 50},
        "report": {"examples": 0, "map": 0},
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("baselines", "floor"), [(["random", "popularity", "item-knn"], "popularity"), (["item-knn"], "random")]
)
def test_untrained_model_is_marked_below_the_floor(tmp_path: Path, baselines: list[str], floor: str) -> None:
    run(recipe(baselines), tmp_path / "run")
    timings = json.loads((tmp_path / "run/timings.json").read_text())
    order = json.loads((tmp_path / "run/model/systems.json").read_text())
    metric = order["chosen_by"]
    rows = json.loads((tmp_path / "run/metrics.json").read_text())
    (value,) = (
        row["value"]
        for row in rows
        if (row["system"], row["split"], row["slice"], row["metric"], row["k"])
        == ("untrained", "valid", "all", metric["metric"], metric["k"])
    )
    assert order["floor"]["system"] == floor and value < order["floor"]["value"]
    reason = timings["untrained"]["warnings"][f"below {floor}"]
    assert f"{value:.4f}" in reason and f"{order['floor']['value']:.4f}" in reason
    assert all(not timings[name]["warnings"] for name in baselines)
    marks = {row.system: row.marks for row in pivot(rows, timings=timings).rows}
    assert f"below {floor}" in marks["untrained"]
    assert f"untrained: below {floor}" in (tmp_path / "run/log.jsonl").read_text()
    assert f'<span class="tag warn" title="{reason}">below {floor}</span>' in (tmp_path / "run/report.html").read_text()


def entry(system: str, ranker: str, value: float | None, oracle: bool = False) -> dict[str, object]:
    return {"system": system, "ranker": ranker, "modalities": [], "oracle": oracle, "value": value}


def test_floor_judges_neither_trivial_baselines_nor_oracles_nor_equal_values() -> None:
    order: SystemOrder = {
        "chosen_by": {"split": "valid", "slice": "all", "metric": "ndcg", "k": 50},
        "floor": {"system": "popularity", "value": 0.2},
        "systems": [
            entry("equal", "sequential", 0.2),
            entry("worse", "sequential", 0.1999),
            entry("unmeasured", "sequential", None),
            entry("popularity", "popularity", 0.2),
            entry("random", "random", 0.0),
            entry("bound", "upper-bound", 0.0, oracle=True),
        ],  # type: ignore[typeddict-item]
    }
    found = list(below_floor(order))
    assert found == [("worse", "below popularity", "ndcg@50 0.1999 on validation; popularity has 0.2000")]


def test_pooled_folds_are_compared_with_the_pooled_floor(tmp_path: Path) -> None:
    split = {"by": "hash", "folds": 2, "test_fold": "all", "min_tracks": 5}
    whole = {**recipe(["popularity"]), "evaluation": {"k": [10, 50], "bootstrap": 50, "split": split}}
    run(whole, tmp_path / "run")
    files = [tmp_path / "run" / name / "timings.json" for name in ("fold-0", "fold-1", "")]
    warnings = [json.loads(path.read_text())["untrained"]["warnings"] for path in files]
    assert len({each["below popularity"] for each in warnings}) == 3
    for fold in range(2):  # as an earlier version wrote it
        path = tmp_path / f"run/fold-{fold}/model/systems.json"
        order = json.loads(path.read_text())
        del order["floor"]
        path.write_text(json.dumps(order))
    folds = {f"fold-{fold}": RunDirectory(tmp_path / f"run/fold-{fold}") for fold in range(2)}
    pool_folds.pool(Recipe.model_validate(whole), folds, RunDirectory(tmp_path / "run"), Reporter())
    assert "floor" not in json.loads((tmp_path / "run/model/systems.json").read_text())

"""Tests of `segue sweep`, which searches for settings on the validation split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.command import segue
from toolkit.errors import InputError
from toolkit.pipeline import run
from toolkit.pipeline.programs.search_strategies import SEARCHES
from toolkit.pipeline.programs.sweep_settings import sweep
from toolkit.progress import Reporter
from toolkit.recipe import Sweep, load

RECIPE = """\
name: small
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features]}}
baselines: [{name: item-knn, params: {neighbours: 20}}]
evaluation: {split: {min_tracks: 5}, k: [5, 20], bootstrap: 20}
report: {examples: 1, example_length: 3}
sweep: {select: recall@20, over: {baselines.0.params.neighbours: [1, 40, 5]}}
threads: 1
"""
KEY = "baselines.0.params.neighbours"


class Killed(Reporter):
    """Reporter that interrupts a sweep at the third trial."""

    def stage(self, name: str) -> None:
        if name.startswith("trial 3"):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def out(recipe: Path, tiny_cache: Path) -> Path:
    """Return the folder of a sweep that was killed at the third trial and then resumed."""
    folder = recipe.parent / "out"
    with pytest.raises(KeyboardInterrupt):
        sweep(load(recipe), folder, progress=Killed(), cache=tiny_cache)
    assert len(json.loads((folder / "sweep.json").read_text())["trials"]) == 2 and not (folder / "best.yaml").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(tiny_cache))
        found = segue("sweep", str(recipe), "--out", str(folder))
    assert found.exit_code == 0, found.output
    assert (
        "item-knn: 3 trials by valid recall@20" in found.stdout and f"segue run {folder / 'best.yaml'}" in found.stdout
    )
    return folder


def stages(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["stage"], line["state"]) for line in lines if line["event"] == "stage"]


def test_resumed_sweep_keeps_finished_trials(out: Path):
    found = json.loads((out / "sweep.json").read_text())
    assert [row["settings"] for row in found["trials"]] == [{KEY: 1}, {KEY: 40}, {KEY: 5}]
    states = [state for _, state in stages(out)]
    assert states == ["started", "finished"] * 2 + ["unchanged"] * 2 + ["started", "finished"]
    values = [row["value"] for row in found["trials"]]
    assert len(set(values)) > 1 and found["best"] == 1 + values.index(max(values))


def test_sweep_does_not_evaluate_on_the_test_split(out: Path, tiny_cache: Path):
    assert not [path for path in out.rglob("*") if "test" in path.name]
    found = json.loads((out / "sweep.json").read_text())
    best = found["trials"][found["best"] - 1]
    rows = run(load(out / "best.yaml"), out.parent / "best", cache=tiny_cache).metrics
    reached = {
        (row["split"], row["metric"], row["k"]): row["value"]
        for row in rows
        if (row["system"], row["slice"]) == ("item-knn", "all")
    }
    assert (
        reached["valid", "recall", 20] == pytest.approx(best["value"], abs=1e-7) and ("test", "recall", 20) in reached
    )
    assert stages(out.parent / "best").count(("evaluate-item-knn-test", "started")) == 1
    assert YAML(typ="safe").load((out / "best.yaml").read_text())["baselines"][0]["params"] == {
        "neighbours": best["settings"][KEY]
    }


def test_run_with_and_sweep_without_a_sweep_section_raise(recipe: Path, tmp_path: Path):
    with pytest.raises(InputError, match="segue sweep"):
        run(load(recipe), tmp_path / "run")
    with pytest.raises(InputError, match="has no section `sweep`"):
        sweep(load(recipe, ["sweep=null"]), tmp_path / "out")


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ("sweep.over={evaluation.k: [[5]]}", "evaluation.k cannot be swept"),
        ("sweep.over={baselines.3.name: [ease]}", "must be a list index"),
        ("sweep.over={models.0.type: [sasrec], models.0.epoch: [2]}", "did you mean epochs"),
        ("sweep.over={baselines.0.params.neighbours: [5], baselines.1.name: [ease]}", "sweep.system is missing"),
        ("sweep.over={baselines.0.params.neighbours: {low: 1, high: 9}}", "a grid requires a list"),
        ("sweep.trials=2", "3 settings"),
        ("sweep.select=ndcg@50", "must be a metric that the evaluation measures"),
    ],
)
def test_invalid_sweep_raises_before_training(recipe: Path, over: str, told: str):
    with pytest.raises(InputError, match=told):
        load(recipe, ["baselines.1={name: popularity}", over])


def test_optuna_search_is_deterministic_and_finds_the_maximum():
    pytest.importorskip("optuna")
    over: dict[str, Any] = {"a": {"low": 0.0, "high": 1.0}, "b": ["x", [1, 2]], "c": {"low": 8, "high": 64, "step": 8}}
    spec = Sweep.model_validate({"search": "optuna", "trials": 40, "over": over})

    def searched() -> list[tuple[float, dict[str, Any]]]:
        tried: list[tuple[float, dict[str, Any]]] = []
        search = SEARCHES["optuna"](spec, 3)
        settings = next(search)
        while True:
            value = -((settings["a"] - 0.3) ** 2) - 0.5 * (settings["b"] == "x") - abs(settings["c"] - 32) / 64
            tried.append((value, settings))
            try:
                settings = search.send(value)
            except StopIteration:
                return tried

    tried = searched()
    best = max(tried, key=lambda each: each[0])[1]
    assert len(tried) == 40 and abs(best["a"] - 0.3) < 0.15 and best["b"] == [1, 2] and best["c"] in (24, 32, 40)
    assert tried == searched()

"""Tests of `segue bench`, which tunes every baseline with the same budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import segue
from toolkit import plugins, ranker_registry, run_directory
from toolkit.baselines.ease import EASE
from toolkit.errors import InputError
from toolkit.pipeline.programs import tune_baselines
from toolkit.progress import PlainReporter
from toolkit.recipe import load

RECIPE = """\
name: small
data:
  reader: demo
  options: {tracks: 200, artists: 40, playlists: 200, fields: [audio_features]}
  permission: {allowed: true, reason: made up}
encoders:
  audio: {encoder: features, field: audio_features}
models:
  - {type: sasrec, epochs: 1, hidden_size: 16, select: recall@50}
evaluation: {split: {min_tracks: 5}, k: [5, 50], bootstrap: 20}
report: {examples: 1, example_length: 3}
threads: 1
"""
NAMES = "popularity,item-knn,artist-popularity,genre-popularity,ease,two-stage"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def table(recipe: Path, tiny_cache: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(tiny_cache))
        asked = ["bench", recipe, "--baselines", NAMES, "--budget", 2, "--models", "sasrec-multimodal"]
        asked += ["--out", recipe.parent / "out", "--save", recipe.parent / "table.json"]
        found = segue(*asked)
    assert found.exit_code == 0, found.output
    lines = [line.split()[0] for line in found.stdout.splitlines() if line.strip()]
    assert {"two-stage", "item-knn", "sasrec-multimodal"} <= set(lines)
    assert "genre-popularity is left out: requires tracks with genre labels" in found.stderr
    kept: dict[str, Any] = json.loads((recipe.parent / "table.json").read_text())
    return kept


def test_bench_table_has_a_row_per_system_sorted_by_metric(table: dict[str, Any]) -> None:
    names = [row["system"] for row in table["rows"]]
    expected = {"popularity", "item-knn", "artist-popularity", "ease", "two-stage", "sasrec-multimodal", "upper-bound"}
    assert set(names) == expected and names[-1] == "upper-bound"
    reached = [row["values"]["test all recall@50"][0] for row in table["rows"][:-1]]
    assert reached == sorted(reached, reverse=True)
    for row in table["rows"]:
        value, low, high = row["values"]["test all recall@50"]
        assert low <= value <= high and row["fit_seconds"] >= 0 and row["peak_mb"] > 0
    assert table["comparisons"] and table["manifest"]["seed"] == 0 and table["budget"] == 2


def test_all_baselines_are_tuned_with_the_same_budget(table: dict[str, Any], recipe: Path) -> None:
    tuned = {row["system"]: row for row in table["rows"] if row["tried"]}
    assert set(tuned) == {"item-knn", "artist-popularity", "ease"}
    run = recipe.parent / "out" / "run"
    for name, row in tuned.items():
        assert len(row["tried"]) == 2 and row["tried"][0]["params"] == {}
        best = max(row["tried"], key=lambda one: one["value"])
        assert row["params"] == best["params"]
        # what was reached in tuning is what the run reaches on validation
        assert row["values"]["valid all recall@50"][0] == pytest.approx(best["value"], abs=1e-7)
        kept = json.loads((run / run_directory.MODEL / name / "ranker.json").read_text())
        assert {key: kept["params"][key] for key in best["params"]} == best["params"]


def test_second_bench_call_reuses_finished_runs(table: dict[str, Any], recipe: Path, tiny_cache: Path) -> None:
    out = recipe.parent / "out"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("stages/*.json")}
    again = tune_baselines.bench(
        load(recipe), out, baselines=NAMES.split(","), models=["sasrec-multimodal"], budget=2, cache=tiny_cache
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("stages/*.json")} == before
    assert again["rows"] == table["rows"]


def test_first_tuned_settings_are_the_defaults() -> None:
    assert tune_baselines.settings(EASE, 1, 0) == [{}]
    some = tune_baselines.settings(EASE, 3, 0)
    assert len(some) == 3 and some[0] == {} and some == tune_baselines.settings(EASE, 3, 0)
    every = tune_baselines.settings(EASE, 100, 0)
    # 200 is the default
    assert sorted(one["regularisation"] for one in every[1:]) == [10.0, 30.0, 100.0, 500.0, 1000.0]


def test_baseline_groups_depend_on_protocol_and_recipe(recipe: Path) -> None:
    disjoint, last = load(recipe), load(recipe, ["evaluation.split=leave_last_out"])
    bare = load(recipe, ["encoders={}", "models=[]", "baselines=[popularity]"])
    names = {kind: set(tune_baselines._names([kind], disjoint)) for kind in ("all", "cheap")}
    assert names["all"] - names["cheap"] == {
        "recbole-sasrec",
        "recbole-bert4rec",
        "recbole-bert4rec-fixed",
        "recbole-gru4rec",
    }
    assert "transrec-global" in names["cheap"] and "transrec" not in names["cheap"]
    assert tune_baselines._names(["all"], last).count(
        "transrec"
    ) == 1 and "transrec-global" not in tune_baselines._names(["all"], last)
    assert (
        "content-centroid" in names["cheap"] - set(tune_baselines._names(["cheap"], bare))
        and "upper-bound" not in names["all"]
    )
    cold = [
        name for name in names["all"] if plugins.load("segue.rankers", name).__module__.startswith("toolkit.coldstart")
    ]
    assert cold == ["ials"]
    assert {"ials", "ease", "two-stage", "content-mix", "markov", "vstan"} <= names["cheap"]


def test_ranker_grids_have_only_existing_parameters() -> None:
    for name in ranker_registry.listed():
        cls = ranker_registry.ranker_class(name)
        for setting in tune_baselines.settings(cls, 1000, 0):
            cls(**setting)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"baselines": ["item-nn"]}, "'item-nn' is not a ranker: did you mean 'item-knn'?"),
        (
            {"models": ["sasrec-multi"]},
            "'sasrec-multi' is not a model of this recipe: did you mean 'sasrec-multimodal'?",
        ),
        (
            {"select": "recall@51"},
            "select='recall@51' must be a measured metric that is higher for better rankings: did you mean 'recall@5'?",
        ),
        ({"select": "coverage@5"}, "select='coverage@5' must be a measured metric that is higher for better rankings"),
        ({"baselines": []}, "baselines=[] must name at least one"),
        (
            {"baselines": ["item-knn", "transrec"]},
            "'transrec' ranks only for training playlists, but playlist_disjoint holds out other playlists: use "
            "transrec-global",
        ),
        ({"budget": 0}, "budget=0 must be >= 1"),
    ],
)
def test_invalid_bench_arguments_raise_before_tuning(
    given: dict[str, Any], message: str, recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as found:
        tune_baselines.bench(load(recipe), tmp_path / "out", **given)
    assert message in str(found.value) and not (tmp_path / "out").exists()


def test_content_baseline_without_encoders_raises_before_tuning(recipe: Path, tmp_path: Path) -> None:
    bare = load(recipe, ["encoders={}", "models=[]", "baselines=[popularity]"])
    with pytest.raises(
        InputError,
        match="baseline 'content-centroid' requires encoders to rank by content: add `encoders` to the recipe",
    ):
        tune_baselines.bench(bare, tmp_path / "out", baselines=["item-knn", "content-centroid"])
    assert not (tmp_path / "out").exists()


def test_bench_skips_title_rankers_if_playlists_have_no_titles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{p},{(p + t * (1 + p // 20)) % 20}\n" for p in range(30) for t in range(6))
    (tmp_path / "lists.csv").write_text(f"playlist_id,track_id\n{rows}")
    path = tmp_path / "untitled.yaml"
    path.write_text(
        "data: {reader: csv, path: lists.csv}\nbaselines: [popularity]\nevaluation: {split: {min_tracks: "
        "4}, k: [3], bootstrap: 20}\n"
    )
    names = ["popularity", "title-knn", "title-mix"]
    found = tune_baselines.bench(
        load(path), tmp_path / "out", baselines=names, progress=PlainReporter(), cache=tmp_path / "cache"
    )
    assert [row["system"] for row in found["rows"]] == ["popularity"]
    told = capsys.readouterr().err
    assert all(f"{name} is left out: requires titles, but 0 training playlists have one" in told for name in names[1:])


def test_bench_selects_by_a_metric_without_a_cutoff(recipe: Path, tmp_path: Path, tiny_cache: Path) -> None:
    asked = load(
        recipe,
        ["evaluation.metrics=[rprec, recall, auc, coverage]", "encoders={}", "models=[]", "baselines=[popularity]"],
    )
    found = tune_baselines.bench(
        asked, tmp_path / "out", baselines=["artist-popularity"], select="rprec", budget=2, cache=tiny_cache
    )
    row = next(row for row in found["rows"] if row["system"] == "artist-popularity")
    best = max(one["value"] for one in row["tried"])
    assert found["tuned_for"] == "valid rprec" and row["values"]["valid all rprec"][0] == pytest.approx(best, abs=1e-7)
    assert "test all auc" in row["values"] and tune_baselines._target("auc", asked) == ("auc", 0)


def test_bench_skips_stock_models_too_large_for_memory(
    recipe: Path, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("toolkit.baselines.stock.stock_models.free_memory", lambda device: 1000)
    asked = {
        "baselines": ["popularity", "recbole-bert4rec"],
        "budget": 1,
        "cache": tiny_cache,
        "progress": PlainReporter(),
    }
    found = tune_baselines.bench(load(recipe), tmp_path / "out", **asked)
    assert [row["system"] for row in found["rows"]] == ["popularity", "upper-bound"]
    told = capsys.readouterr().err
    assert "recbole-bert4rec is left out: the scores of train_batch_size=2048 rows over 200 tracks take" in told

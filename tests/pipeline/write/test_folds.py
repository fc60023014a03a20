"""Tests of runs over all folds, with metrics pooled over playlists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.command import segue
from toolkit import pipeline, run_directory
from toolkit.continuation import Continuation
from toolkit.errors import InputError, RecipeError, RunDirectoryError
from toolkit.evaluation import significance
from toolkit.evaluation.evaluator import Scores
from toolkit.pipeline.programs import tune_baselines
from toolkit.pipeline.programs.reproduce_run import reproduce
from toolkit.pipeline.run.fit_systems import unpacked
from toolkit.pipeline.write import folds
from toolkit.recipe import load

RECIPE = """\
name: dealt
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 120, fields: []}}
baselines: [popularity, item-knn, ease]
evaluation: {k: [5, 50], bootstrap: 50, split: {min_tracks: 5, by: hash, folds: 3, test_fold: all}, reference: item-knn}
report: {examples: 1, example_length: 3, map: 0, similar: 0}
threads: 1
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folds") / "dealt.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path, tiny_cache: Path) -> Path:
    out = recipe.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(tiny_cache))
        found = segue("run", str(recipe), "--out", str(out))
    assert found.exit_code == 0, found.output
    assert "120 test playlists" in found.stdout and "fold-2" in found.stderr
    assert f"try next  segue continue {out / 'fold-0'} --tracks" in found.stdout
    return out


def rows_of(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / run_directory.METRICS).read_text())
    return found


def test_each_playlist_is_in_the_test_split_of_one_fold(run: Path) -> None:
    each = [
        parquet.read_table(run / f"fold-{fold}" / run_directory.PER_PLAYLIST, filters=[("split", "=", "test")])
        for fold in range(3)
    ]
    tested = [set(table["playlist"].to_pylist()) for table in each]
    assert all(tested) and not (tested[0] & tested[1] or tested[0] & tested[2] or tested[1] & tested[2])
    sizes = [json.loads((run / f"fold-{fold}" / run_directory.DATA).read_text())["split"] for fold in range(3)]
    joint = json.loads((run / run_directory.DATA).read_text())["split"]
    assert joint["test"] == sum(size["test"] for size in sizes) == len(set.union(*tested))
    assert min(size["train"] for size in sizes) <= joint["train"] <= max(size["train"] for size in sizes)


def test_pooled_metrics_are_means_over_playlists_and_not_over_folds(run: Path) -> None:
    """Compare with means and intervals over playlists, which differ from the mean of fold means."""
    frames = [parquet.read_table(run / f"fold-{fold}" / run_directory.PER_PLAYLIST).to_pandas() for fold in range(3)]
    row = next(
        r
        for r in rows_of(run)
        if (r["system"], r["split"], r["slice"], r["metric"], r["k"]) == ("ease", "test", "all", "ndcg", 50)
    )
    chosen = [
        f[(f.system == "ease") & (f.split == "test") & (f.slice == "all") & (f.metric == "ndcg") & (f.k == 50)]
        for f in frames
    ]
    values = np.concatenate([one.value.to_numpy() for one in chosen])
    assert row["value"] == pytest.approx(values.mean(), abs=1e-8) and row["n"] == len(values)
    assert row["value"] != pytest.approx(np.mean([one.value.mean() for one in chosen]), abs=1e-8)
    assert row["ci_low"] < row["value"] < row["ci_high"]
    of_folds = [
        each
        for fold in range(3)
        for each in rows_of(run / f"fold-{fold}")
        if (each["system"], each["split"], each["slice"], each["metric"], each["k"])
        == ("ease", "test", "all", "ndcg", 50)
    ]
    assert len(of_folds) == 3
    assert row["ci_high"] - row["ci_low"] < min(each["ci_high"] - each["ci_low"] for each in of_folds)


def test_pooled_differences_are_paired_over_all_playlists(run: Path) -> None:
    frame = parquet.read_table(run / run_directory.PER_PLAYLIST).to_pandas()
    frame = frame[(frame.split == "test") & (frame.slice == "all") & (frame.metric == "recall") & (frame.k == 50)]
    wide = frame.pivot(index="playlist", columns="system", values="value")
    told = json.loads((run / run_directory.COMPARISONS).read_text())
    row = next(r for r in told if (r["system"], r["slice"], r["metric"], r["k"]) == ("ease", "all", "recall", 50))
    difference = significance.paired_difference(
        wide["ease"].to_numpy(), wide["item-knn"].to_numpy(), np.arange(len(wide)), seed=0
    )
    assert row["reference"] == "item-knn" and row["n"] == len(wide)
    assert row["difference"] == pytest.approx(difference.value, abs=1e-8) and "p_holm" in row
    assert {r["slice"] for r in rows_of(run)} >= {"all", "warm"} and any(":" in r["slice"] for r in rows_of(run))


def test_report_and_compare_read_a_pooled_run(run: Path, recipe: Path) -> None:
    page = (run / run_directory.REPORT).read_text()
    assert (
        "item-knn" in page
        and "test_fold: all" in page
        and "each tested once, in 3 folds with a training of their own" in page
    )
    assert "Best on validation, whose playlists other folds test, " in page and "Chosen on validation" not in page
    assert "Chosen on validation, " in (run / "fold-0" / run_directory.REPORT).read_text()
    found = segue("compare", str(run), str(run / "fold-0"))
    assert found.exit_code == 0 and "different" in found.output
    with pytest.raises(
        InputError, match=r"pools several folds and holds no model: use the folder of a fold, such as .*fold-0"
    ):
        Continuation.load(run)
    assert Continuation.load(run / "fold-0")


def test_only_missing_folds_run_again(run: Path, recipe: Path, tiny_cache: Path) -> None:
    def stamps(fold: int) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (run / f"fold-{fold}").rglob("stages/*.json")}

    before, rows = [stamps(fold) for fold in range(3)], rows_of(run)
    pipeline.run(load(recipe), run, cache=tiny_cache)
    assert [stamps(fold) for fold in range(3)] == before
    (run / "fold-1" / run_directory.METRICS).unlink()
    pipeline.run(load(recipe), run, cache=tiny_cache)
    assert stamps(0) == before[0] and stamps(2) == before[2] and stamps(1) != before[1]
    assert rows_of(run) == rows


def test_missing_fold_file_is_rewritten_and_a_damaged_file_raises(run: Path, recipe: Path, tiny_cache: Path) -> None:
    rows, values, of_fold = (
        rows_of(run),
        run / "fold-1" / run_directory.PER_PLAYLIST,
        run / "fold-1" / run_directory.TIMINGS,
    )
    for lost in (values, of_fold, run / run_directory.FOLDS):
        lost.unlink()
    pipeline.run(load(recipe), run, cache=tiny_cache)
    assert rows_of(run) == rows and run.joinpath(run_directory.FOLDS).exists()
    values.write_text("no table")
    (run / run_directory.REPORT).unlink()
    with pytest.raises(
        RunDirectoryError,
        match=r"fold-1/per_playlist.parquet cannot be read .*: delete the file and run the same command again",
    ):
        pipeline.run(load(recipe), run, cache=tiny_cache)
    values.unlink()
    pipeline.run(load(recipe), run, cache=tiny_cache)
    assert rows_of(run) == rows


@pytest.mark.parametrize("content", ["{}", "[]", "[1]"])
def test_damaged_folds_json_raises(run: Path, tmp_path: Path, content: str) -> None:
    for name in (run_directory.RECIPE, run_directory.FOLDS, run_directory.SYSTEMS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / run_directory.FOLDS).write_text(content)
    with pytest.raises(
        RunDirectoryError, match=r"folds.json is damaged \(.*\): delete the file and run the same command again"
    ):
        Continuation.load(tmp_path)


def test_empty_fold_raises_before_training(recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fold-\d+: the test split is empty"):
        pipeline.run(load(recipe, ["evaluation.split.folds=500"]), tmp_path / "run", cache=tiny_cache)
    assert not (tmp_path / "run" / "fold-0").exists()


def test_reproduce_of_a_run_over_folds_gives_identical_metrics(run: Path, tmp_path: Path) -> None:
    found = reproduce(run, tmp_path / "again")
    assert found.same and not found.manifest


def test_bench_tunes_each_fold_separately(recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    found = tune_baselines.bench(
        load(recipe), tmp_path, baselines=["popularity", "item-knn", "ease"], budget=3, cache=tiny_cache
    )
    by_name = {row["system"]: row for row in found["rows"]}
    assert {"popularity", "item-knn", "ease", "upper-bound"} == set(by_name)
    tried = by_name["ease"]["tried"]
    assert [one["fold"] for one in tried] == [0] * 3 + [1] * 3 + [2] * 3
    best = [
        max((one for one in tried if one["fold"] == fold), key=lambda one: one["value"])["params"] for fold in range(3)
    ]
    told = by_name["ease"]["params"].get("regularisation", "default")
    assert (told if isinstance(told, list) else [told] * 3) == [one.get("regularisation", "default") for one in best]
    n = sum(
        json.loads((tmp_path / f"fold-{fold}" / "run" / run_directory.DATA).read_text())["split"]["test"]
        for fold in range(3)
    )
    assert found["data"]["split"]["test"] == n and found["comparisons"]
    value, low, high = by_name["ease"]["values"]["test all recall@50"]
    assert low < value < high
    with pytest.raises(
        RunDirectoryError,
        match=r"pools the folds of a bench, which have different settings: reproduce a single fold, such as .*fold-0",
    ):
        reproduce(tmp_path / "run", tmp_path / "again")
    page = (tmp_path / "run" / run_directory.REPORT).read_text()
    assert "segue reproduce fold-0/run" in page and "segue reproduce run" not in page
    one = load(recipe, ["evaluation.split.test_fold=0"])
    with pytest.raises(RunDirectoryError, match=r"is a bench over several folds: pass a different --out"):
        tune_baselines.bench(one, tmp_path, baselines=["popularity", "item-knn"], budget=3, cache=tiny_cache)


def test_bench_in_a_folder_with_different_folds_raises(recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    names: dict[str, Any] = {"baselines": ["popularity", "item-knn"], "budget": 1, "cache": tiny_cache}
    tune_baselines.bench(load(recipe, ["evaluation.split.test_fold=0"]), tmp_path, **names)
    with pytest.raises(
        RunDirectoryError, match=r"belongs to another recipe \(evaluation.split.test_fold was 0, is 'all'\)"
    ):
        tune_baselines.bench(load(recipe), tmp_path, **names)
    assert not (tmp_path / "fold-0").exists()


RICH = """\
name: rich
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 120, fields: [lyrics]}}
encoders: {lyrics: {encoder: tfidf, field: lyrics}}
models: [{type: sasrec, name: mm, hidden_size: 16, epochs: 1}]
baselines: [popularity]
evaluation:
  {k: [5, 20], metrics: [ndcg, coverage], bootstrap: 50, attribution: true,
   split: {min_tracks: 5, by: hash, folds: 2, test_fold: all}}
seeds: [1, 2]
report: {examples: 0, map: 0, similar: 0}
threads: 1
"""


def test_seeds_attribution_and_coverage_are_pooled_over_folds(tiny_cache: Path, tmp_path: Path) -> None:
    """Compare with deviation and attribution computed from all scores and with mean coverage."""
    path, out = tmp_path / "rich.yaml", tmp_path / "out"
    path.write_text(RICH)
    rows = pipeline.run(load(path), out, cache=tiny_cache).metrics

    def tested(name: str) -> list[Scores]:
        return [
            unpacked(out / f"fold-{fold}" / run_directory.STAGES / f"evaluate-{name}-test.npz") for fold in range(2)
        ]

    def values(name: str) -> np.ndarray:
        return np.concatenate([scores.values["all", "ndcg", 20] for scores in tested(name)])

    seeds = [values("mm"), values("mm~seed2")]
    by_key = {(row["system"], row["split"], row["slice"], row["metric"], row["k"]): row for row in rows}
    told = by_key["mm", "test", "all", "ndcg", 20]
    assert told["seeds"] == 2 and told["value"] == pytest.approx(np.mean(seeds), abs=1e-8)
    assert told["sd"] == pytest.approx(np.std([each.mean() for each in seeds], ddof=1), abs=1e-8)
    assert "sd" not in by_key["popularity", "test", "all", "ndcg", 20]
    covered = by_key["popularity", "test", "all", "coverage", 20]
    assert covered["value"] == pytest.approx(
        np.mean([scores.overall["coverage", 20] for scores in tested("popularity")])
    )
    assert covered["n"] == told["n"] and covered["ci_low"] is None
    found = json.loads((out / run_directory.ATTRIBUTION).read_text())["differences"]
    for way, name in (("left out", "mm~lyrics"), ("shuffled", "mm~shuffled~lyrics")):
        row = next(row for row in found if (row["way"], row["slice"], row["k"]) == (way, "all", 20))
        assert (
            row["difference"] == pytest.approx((np.mean(seeds, axis=0) - values(name)).mean(), abs=1e-8)
            and row["n"] == told["n"]
        )
    page = (out / run_directory.REPORT).read_text()
    assert "± " in page and "What each modality adds" in page
    order = json.loads((out / run_directory.SYSTEMS).read_text())
    reached = {entry["system"]: entry["value"] for entry in order["systems"]}
    assert reached["mm"] == by_key["mm", "valid", "all", "ndcg", 20]["value"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["evaluation.split={type: leave_last_out, test_fold: all}", "evaluation.reference=null"],
            "evaluation.split.test_fold is not a key",
        ),
        (
            ["evaluation.split.test_fold=ALL"],
            "evaluation.split.test_fold: 'ALL' must be a fold number >= 0 or all",
        ),
        (["evaluation.split.test_fold=-1"], "must be a fold number >= 0 or all"),
        (["evaluation.split.test_fold=1.5"], "must be a fold number >= 0 or all"),
        (["evaluation.split.test_fold=3"], "test_fold=3 must be < folds=3"),
    ],
)
def test_invalid_test_fold_raises(recipe: Path, given: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as found:
        load(recipe, given)
    assert message in str(found.value)


def test_sweep_over_all_folds_raises(recipe: Path) -> None:
    given = [
        "sweep={over: {baselines.2.params.regularisation: [10, 100]}}",
        "baselines.2={name: ease, params: {regularisation: 10}}",
    ]
    with pytest.raises(
        RecipeError, match=r"test_fold=all can be used only with `segue run` and `segue bench`: set one fold"
    ):
        load(recipe, given)
    assert load(recipe, [*given, "evaluation.split.test_fold=1"]).sweep is not None


def test_by_fold_returns_one_recipe_per_fold_or_nothing_for_a_single_fold(recipe: Path) -> None:
    assert folds.by_fold(load(recipe, ["evaluation.split.test_fold=1"])) == {}
    assert [one.evaluation.split.test_fold for one in folds.by_fold(load(recipe)).values()] == [0, 1, 2]

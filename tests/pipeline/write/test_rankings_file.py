"""Tests of the files with test rankings and hidden tracks, from which metrics can be recomputed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from toolkit import pipeline, run_directory
from toolkit.evaluation.metrics import ndcg_at, recall_at
from toolkit.pipeline.run.fit_systems import unpacked
from toolkit.pipeline.write import rankings_file
from toolkit.recipe import load

RECIPE = """\
name: kept
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 120, fields: []}}
models: [{type: sasrec, name: ids, hidden_size: 16, epochs: 1, select: ndcg@5}]
baselines: [popularity, item-knn]
evaluation:
  {split: {min_tracks: 5}, k: [5, 50], metrics: [recall, ndcg, recall_all, rprec_artist_list], bootstrap: 10,
   slices: []}
report: {examples: 0, map: 0, similar: 0}
threads: 1
"""
KEYS = ["system", "slice", "metric", "k"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rankings") / "kept.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path, tiny_cache: Path) -> Path:
    pipeline.run(load(recipe), recipe.parent / "run", cache=tiny_cache)
    return recipe.parent / "run"


def frames(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return parquet.read_table(run / run_directory.RANKINGS).to_pandas(), parquet.read_table(
        run / run_directory.HIDDEN
    ).to_pandas()


def recomputed(run: Path, ks: tuple[int, ...], length: int) -> dict[tuple[str, str, str, int], float]:
    """Return mean recall and NDCG by (system, slice, metric, k), computed from the two files."""
    rankings, hidden = frames(run)
    found = {}
    for name, wanted in (("all", hidden), ("warm", hidden[hidden.warm]), ("cold", hidden[~hidden.warm])):
        if not len(wanted):
            continue
        sizes = wanted.groupby("playlist").size()
        rows = {playlist: row for row, playlist in enumerate(sizes.index)}
        matches = rankings.merge(wanted, on=["playlist", "track"])
        for system in rankings.system.unique():
            hits = np.zeros((len(rows), length), bool)
            mine = matches[matches.system == system]
            hits[mine.playlist.map(rows), mine["rank"] - 1] = True
            for k in ks:
                for metric, compute in (("recall", recall_at), ("ndcg", ndcg_at)):
                    found[system, name, metric, k] = float(np.mean(compute(hits, sizes.to_numpy(), k)))
    return found


def reported(run: Path) -> dict[tuple[str, str, str, int], float]:
    rows = json.loads((run / run_directory.METRICS).read_text())
    slices, metrics = ("all", "warm", "cold"), ("recall", "ndcg")
    kept = [row for row in rows if row["split"] == "test" and row["slice"] in slices and row["metric"] in metrics]
    return {tuple(row[key] for key in KEYS): row["value"] for row in kept}


def test_recall_and_ndcg_recomputed_from_rankings_equal_the_metrics(run: Path) -> None:
    expected, found = reported(run), recomputed(run, (5, 50), 200)
    assert found.keys() == expected.keys() and len(expected) >= 3 * 2 * 2
    assert found == {key: pytest.approx(value, abs=1e-8) for key, value in expected.items()}


def test_rankings_have_ranks_from_one_and_descending_scores(run: Path) -> None:
    rankings, hidden = frames(run)
    assert list(rankings.columns) == ["system", "playlist", "rank", "track", "score", "hit"]
    assert list(hidden.columns) == ["playlist", "track", "warm"]
    assert rankings.score.dtype == np.float32 and rankings["rank"].dtype == np.int32 and rankings.hit.dtype == bool
    assert list(rankings.system.unique()) == ["ids", "popularity", "item-knn", "upper-bound"]
    keys = set(zip(hidden.playlist, hidden.track, strict=True))
    assert [pair in keys for pair in zip(rankings.playlist, rankings.track, strict=True)] == rankings.hit.tolist()
    for _, one in rankings.groupby(["system", "playlist"]):
        assert one["rank"].tolist() == list(range(1, len(one) + 1)) and one.score.is_monotonic_decreasing
    assert rankings.groupby(["system", "playlist"]).size().max() <= 200  # never more than the catalogue
    ids = pd.read_feather(run / run_directory.TRACKS).id
    assert set(rankings.track) | set(hidden.track) <= set(ids)


def test_writing_rankings_does_not_change_metrics(run: Path, recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    for kept in (0, 7):
        out = tmp_path / str(kept)
        pipeline.run(load(recipe, [f"evaluation.rankings={kept}"]), out, cache=tiny_cache)
        assert (out / run_directory.METRICS).read_bytes() == (run / run_directory.METRICS).read_bytes()
        assert (out / run_directory.RANKINGS).exists() == (out / run_directory.HIDDEN).exists() == bool(kept)
    rankings, whole = frames(tmp_path / "7")[0], frames(run)[0]
    pd.testing.assert_frame_equal(
        rankings, whole[whole["rank"] <= 7].reset_index(drop=True), check_exact=False, rtol=1e-5
    )


def test_metrics_with_one_hidden_track_do_not_depend_on_rankings(
    recipe: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    last = ["evaluation={split: leave_last_out, k: [5, 50], metrics: [recall, ndcg], bootstrap: 10, slices: []}"]
    for kept in (500, 0):
        pipeline.run(load(recipe, [*last, f"evaluation.rankings={kept}"]), tmp_path / str(kept), cache=tiny_cache)
    assert (tmp_path / "500" / run_directory.METRICS).read_bytes() == (
        tmp_path / "0" / run_directory.METRICS
    ).read_bytes()
    expected = {key: pytest.approx(value, abs=1e-8) for key, value in reported(tmp_path / "0").items()}
    assert recomputed(tmp_path / "500", (5, 50), 200) == expected


def test_missing_ranking_files_are_rewritten(run: Path, recipe: Path, tiny_cache: Path) -> None:
    before = {name: (run / name).read_bytes() for name in (run_directory.RANKINGS, run_directory.HIDDEN)}
    for name in before:
        (run / name).unlink()
    pipeline.run(load(recipe), run, cache=tiny_cache)
    assert {name: (run / name).read_bytes() for name in before} == before


def test_rankings_of_all_folds_share_one_file(recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    dealt = [
        "evaluation.split={min_tracks: 5, by: hash, folds: 2, test_fold: all}",
        "models=[]",
        "evaluation.metrics=[recall, ndcg, coverage]",
    ]
    pipeline.run(load(recipe, dealt), tmp_path, cache=tiny_cache)
    assert recomputed(tmp_path, (5, 50), 200) == {
        key: pytest.approx(value, abs=1e-8) for key, value in reported(tmp_path).items()
    }
    rankings, hidden = frames(tmp_path)
    folds = [frames(tmp_path / f"fold-{fold}") for fold in range(2)]
    assert len(rankings) == sum(len(each[0]) for each in folds) and len(hidden) == sum(len(each[1]) for each in folds)


def test_rankings_are_written_only_for_the_first_seed(recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    pipeline.run(load(recipe, ["seeds=[1, 2]", "baselines=[random]", "models=[]"]), tmp_path, cache=tiny_cache)
    rankings, _ = frames(tmp_path)
    assert list(rankings.system.unique()) == ["random", "upper-bound"]
    first = unpacked(tmp_path / run_directory.STAGES / "evaluate-random-test.npz").values["all", "recall", 5]
    assert recomputed(tmp_path, (5,), 200)["random", "all", "recall", 5] == pytest.approx(np.nanmean(first), abs=1e-8)


def test_ids_in_memory_are_bounded_while_files_are_written(
    run: Path, recipe: Path, tiny_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rankings_file, "BYTES_AT_ONCE", 500)
    pipeline.run(load(recipe), tmp_path / "bounded", cache=tiny_cache)
    for name in (run_directory.RANKINGS, run_directory.HIDDEN):
        usual, bounded = (parquet.read_table(folder / name) for folder in (run, tmp_path / "bounded"))
        assert bounded.equals(usual)
        about = parquet.ParquetFile(tmp_path / "bounded" / name).metadata
        rows = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        longest = sum(max(map(len, usual[key].to_pylist())) for key in ("playlist", "track"))
        assert len(rows) > 3 and max(rows) * longest <= 500

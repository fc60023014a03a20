"""Tests that the scripts of docs/python.md run and give the same results as the equivalent recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.api import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "python.md"

RECIPE = """\
name: same
data:
  reader: csv
  path: playlists.csv
  options: {fields: {lyrics: lyrics}, features: {audio: [tempo, energy]}}
  permission: {allowed: true, reason: made up}
encoders:
  lyrics: {encoder: sentence-bert, field: lyrics}
  mine: {encoder: vectors, params: {file: mine.npz}}
fusion: {join: gated}
models:
  - {type: sasrec, loss: {type: gbce, negatives: 256}, epochs: 12}
baselines: [item-knn]
evaluation:
  split: {type: playlist_disjoint, folds: 5, test_fold: 0, shown: 0.7}
report: {examples: 0, map: 0, similar: 0}
"""


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("script")
    catalogue.write(made / "playlists.csv")
    ids, matrix = catalogue.vectors()
    np.savez(made / "mine.npz", ids=np.array(ids), matrix=matrix)
    return made


@pytest.fixture(scope="module")
def names(folder: Path) -> dict[str, Any]:
    """Return the namespace after the first script."""
    ids, matrix = catalogue.vectors()
    space: dict[str, Any] = {"ids": ids, "matrix": matrix}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.warns(UserWarning, match="csv does not state whether training on 'lyrics' is allowed"):
            exec(compile(blocks()[0], str(PAGE), "exec"), space)
    return space


def test_script_returns_frames_with_external_ids(names: dict[str, Any]) -> None:
    result, model = names["result"], names["model"]
    frame = result.to_frame()
    assert {(row.metric, row.k) for row in frame.itertuples()} == {("recall", 20), ("ndcg", 20)}
    whole = frame[(frame["slice"] == "all") & (frame["metric"] == "recall")].iloc[0]
    each = result.per_playlist()
    mean = each[(each["slice"] == "all") & (each["metric"] == "recall")]["value"].mean()
    assert whole["value"] == pytest.approx(mean, abs=1e-8) and whole["ci_low"] <= whole["value"] <= whole["ci_high"]
    assert whole["value"] > 0.5, "four moods of thirty tracks each are easy"
    ranked = result.rankings()
    assert ranked["track"].str.startswith("local:t").all()
    assert set(ranked["playlist"]) <= {str(playlist) for playlist in range(catalogue.PLAYLISTS)}
    found = model.continue_playlist(["local:t1", "local:t2"], k=10)
    assert list(found.columns) == ["id", "title", "artist", "score"] and len(found) == 10
    assert found["score"].is_monotonic_decreasing and not set(found["id"]) & {"local:t1", "local:t2"}


def test_recall_can_be_computed_from_stored_rankings(names: dict[str, Any]) -> None:
    result, held_out = names["result"], names["split"].test
    hidden = held_out.hidden().groupby("playlist")["track"].agg(set)
    first = result.rankings().query("rank <= 20").groupby("playlist")["track"].agg(set)
    recall = {name: len(first.get(name, set()) & tracks) / min(20, len(tracks)) for name, tracks in hidden.items()}
    given = result.per_playlist().query("slice == 'all' and metric == 'recall'").set_index("playlist")["value"]
    assert given.to_dict() == pytest.approx(recall)


def test_saved_model_ranks_identically(names: dict[str, Any], folder: Path) -> None:
    import segue

    again = segue.load(folder / "my-model")
    seeds = ["local:t1", "local:t5", "local:t9"]
    pd.testing.assert_frame_equal(again.continue_playlist(seeds, k=7), names["model"].continue_playlist(seeds, k=7))
    assert not list((folder / "my-model").rglob("*.pkl"))


def test_python_model_equals_recipe_model_exactly(
    names: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import segue

    monkeypatch.chdir(folder)

    (folder / "recipe.yaml").write_text(RECIPE)
    run = segue.run(folder / "recipe.yaml", folder / "run")
    theirs = run.model("sasrec-multimodal").ranker.model.state_dict()
    ours = names["model"].ranker.model.state_dict()
    assert theirs.keys() == ours.keys()
    for name, tensor in ours.items():
        assert np.array_equal(tensor.cpu().numpy(), theirs[name].cpu().numpy(), equal_nan=True), name
    rows = run.metrics.query(
        "system == 'sasrec-multimodal' and split == 'test' and k == 20 and metric in ('recall', 'ndcg')"
    )
    own = names["result"].to_frame()
    keys = ["slice", "metric"]
    both = own.merge(rows, on=keys, suffixes=("", "_run"))
    assert len(both) >= 2
    for column in ("value", "ci_low", "ci_high"):
        assert both[column].equals(both[f"{column}_run"]), column


def test_compare_uses_common_metrics(names: dict[str, Any]) -> None:
    import segue

    split, result = names["split"], names["result"]
    other = segue.evaluate(segue.ItemKNN().fit(split.train), split.test)
    rows = segue.compare(result, other).query("slice == 'all'")
    assert {(row.metric, row.k) for row in rows.itertuples()} == {("recall", 20), ("ndcg", 20)}
    assert set(rows["system"]) == {"item-knn"} and set(rows["reference"]) == {"sasrec-multimodal"}
    means = {
        each.system: each.to_frame().query("slice == 'all' and metric == 'recall' and k == 20")["value"].iloc[0]
        for each in (result, other)
    }
    recall = rows.query("metric == 'recall'").iloc[0]
    assert recall["difference"] == pytest.approx(means["item-knn"] - means["sasrec-multimodal"], abs=1e-7)


def test_documented_run_and_continuation_work(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import segue

    (tmp_path / "runs").mkdir()
    shutil.copytree(tiny_run, tmp_path / "runs" / "quickstart")
    (tmp_path / "recipe.yaml").write_text(
        "name: small\ndata: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150}}\n"
        "baselines: [popularity]\nevaluation: {split: {min_tracks: 5}}\n"
    )
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"segue": segue}
    exec(compile(blocks()[1].replace("demo:track:992", "demo:track:99"), str(PAGE), "exec"), space)
    run = space["run"]
    assert {"system", "metric", "value"} <= set(run.metrics.columns)
    assert isinstance(run.comparisons, pd.DataFrame) and isinstance(run.coverage, pd.DataFrame)
    assert (tmp_path / "runs" / "small" / "metrics.json").exists()


def test_documented_rankers_can_be_created(
    names: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "my_ideas.py").write_text(LAST_SEEDS)
    monkeypatch.chdir(folder)
    try:
        exec(compile(blocks()[2], str(PAGE), "exec"), dict(names))
    finally:
        sys.modules.pop("my_ideas", None)


LAST_SEEDS = '''
import numpy as np
from toolkit.baselines.baseline import Baseline, BaselineParams


class LastSeedsParams(BaselineParams):
    length: int = 2


class LastSeeds(Baseline):
    """Ranks by how often a track follows one of the last seeds."""

    name = "last-seeds"
    Params = LastSeedsParams

    def learn(self, data):
        return {"counts": data.train.counts().astype(np.float32)}

    def scorer(self, queries):
        counts = self.state["counts"]
        return lambda items: np.tile(counts[items], (len(queries), 1))
'''


def test_import_segue_is_fast_and_does_not_load_torch() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import segue; "
        "print(time.perf_counter() - start, 'torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, torch, pandas = done.stdout.split()
    assert (torch, pandas) == ("False", "False") and float(seconds) < 1, (
        "0.1 s on a quiet machine: benchmarks/startup.py"
    )


def test_readme_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.write(tmp_path / "playlists.csv")
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"```python\n(.*?)```", (PAGE.parents[1] / "README.md").read_text(encoding="utf-8"), re.S)[0]
    space: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), space)
    assert len(space["result"].to_frame()) >= 2

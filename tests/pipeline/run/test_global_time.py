"""Tests of runs with the split `global_time`, on made-up and real data."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import pipeline, run_directory
from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.readers.recbole_atomic import RecboleParams, RecboleReader
from toolkit.corpus import time_split
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.splits import Split
from toolkit.errors import InputError, RecipeError, SegueError
from toolkit.evaluation import leaks
from toolkit.evaluation.protocols.global_time import GlobalTime
from toolkit.recipe import Evaluation, load

RECIPE = """\
data: {reader: csv, path: log.csv, options: {playlist: user, track: song, time: played}}
models: [{type: sasrec, hidden_size: 8, heads: 1, layers: 1, epochs: 1, select: recall@5}]
baselines: [popularity, item-knn]
evaluation:
  split: {type: global_time, valid_from: 2020-07-01, test_from: 2020-09-01, min_tracks: 4}
  k: [5]
  metrics: [recall]
  slices: []
  bootstrap: 20
threads: 1
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recipe and a year of plays by 120 listeners with four tastes; songs 41 to 48 appear in September."""
    folder, rng = tmp_path_factory.mktemp("log"), np.random.default_rng(4)
    rows = []
    for user in range(120):
        begin = rng.integers(0, 300)
        for day in np.sort(begin + rng.integers(0, 90, 14)):
            songs = [song for song in range(1, 49) if song % 4 == user % 4 and (song <= 40 or day >= 244)]
            rows.append((int(day), f"u{user},s{rng.choice(songs)},{np.datetime64('2020-01-01') + day}"))
    lines = [line for _, line in sorted(rows)]
    (folder / "log.csv").write_text("\n".join(["user,song,played", *lines]) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    pipeline.run(load(recipe, parameters=True), recipe.parent / "run", cache=recipe.parent / "cache")
    return recipe.parent / "run"


def test_global_time_run_writes_metrics_and_cuts(run: Path) -> None:
    rows = json.loads((run / run_directory.METRICS).read_text())
    value = {(row["system"], row["slice"]): (row["value"], row["n"]) for row in rows if row["split"] == "test"}
    assert (
        value["item-knn", "all"][0] > value["popularity", "all"][0] + 0.1
    )  # tastes are told apart by what was played before
    counts = {name: value["item-knn", f"playlist:{name}"][1] for name in ("continued", "new")}
    assert min(counts.values()) > 5 and sum(counts.values()) == value["item-knn", "all"][1]
    # songs of September are cold in a training that ends in June
    assert value["item-knn", "cold"] == (0.0, value["item-knn", "cold"][1]) and value["item-knn", "cold"][1] > 5
    data = json.loads((run / run_directory.DATA).read_text())
    assert data["cuts"] == {"valid": "2020-07-01", "test": "2020-09-01"} and data["tracks_not_in_training"] >= 8
    told = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert "validation begins 2020-07-01, the test 2020-09-01" in [line.get("text") for line in told]
    assert "2020-09-01" in (run / run_directory.REPORT).read_text()


def test_split_that_ignores_the_cut_raises(run: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = time_split.global_time

    def uncut(corpus: Corpus, **settings: Any) -> Split:
        made = kept(corpus, **settings)
        ends = np.asarray(made.train.corpus.offsets)[made.train.rows + 1]
        return replace(made, train=replace(made.train, ends=ends))

    monkeypatch.setattr(time_split, "global_time", uncut)
    with pytest.raises(
        SegueError,
        match=r"the split leaks, because 'u\d+' has an entry of 2020-\d\d-\d\d in training, which must end"
        r" before 2020-07-01",
    ):
        pipeline.run(load(recipe), recipe.parent / "uncut", cache=recipe.parent / "cache")


def test_global_time_without_timestamps_raises_with_a_cure(run: Path, recipe: Path) -> None:
    untimed = load(recipe, ["data.options={playlist: user, track: song}"])
    with pytest.raises(
        InputError, match=r"global_time` requires times, but the corpus has none: set .*data\.options\.time"
    ):
        pipeline.run(untimed, recipe.parent / "untimed", cache=recipe.parent / "cache")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "evaluation.split.valid_from=1.5",
            r"valid_from: 1\.5 must be a date such as 2020-07-01, or a share of playlist entries between 0 and 1",
        ),
        ("evaluation.split.valid_from=summer", "'summer' must be a date"),
        ("evaluation.split.valid_from='1593561600'", "'1593561600' must be a date"),
        ("evaluation.split.valid_from=true", "must be a number"),
        (
            "baselines=[transrec]",
            "transrec' ranks only for training playlists, but global_time holds out other playlists: use"
            " transrec-global",
        ),
    ],
)
def test_invalid_global_time_settings_raise_at_load(override: str, message: str, recipe: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        load(recipe, [override], parameters=True)


def test_cut_can_be_a_date_a_time_or_a_share(recipe: Path) -> None:
    for given, kept in (
        ("2020-08-01", "2020-08-01"),
        ("2020-08-01T06:00:00", "2020-08-01T06:00:00"),
        ("0.8", 0.8),
        ("'2020-08-01'", "2020-08-01"),
    ):
        found = load(recipe, [f"evaluation.split.valid_from={given}"])
        assert found.evaluation.split.valid_from == kept
        assert found.model_validate(found.model_dump(mode="json")) == found
    cut = GlobalTime.model_json_schema()["properties"]["test_from"]
    assert cut["anyOf"] == [{"type": "number"}, {"type": "string"}] and cut["default"] == 0.9


@pytest.mark.skipif(find_spec("recbole") is None, reason="no RecBole, in whose package the log lies")
def test_global_time_split_of_movielens_does_not_leak(tmp_path: Path) -> None:
    """Split the MovieLens 100k log that is part of RecBole."""
    spec = find_spec("recbole")
    assert spec is not None and spec.submodule_search_locations
    place = Path(spec.submodule_search_locations[0]) / "dataset_example" / "ml-100k" / "ml-100k.inter"
    corpus = build(RecboleReader(place, RecboleParams(time="timestamp")), None, tmp_path / "corpus")
    parts = Evaluation(split="global_time").split.split(corpus)
    assert corpus.times is not None and parts.cuts is not None
    learned = int(parts.train.lengths.sum())
    assert learned == int((corpus.times < parts.cuts[0]).sum()) and 0.79 * len(corpus.items) < learned <= 0.8 * len(
        corpus.items
    )
    hidden = int((corpus.times >= parts.cuts[1]).sum())
    assert (
        0.5 * hidden < int(np.diff(parts.test.hidden()[1]).sum()) <= hidden
    )  # the rest is shown of listeners who came later


@pytest.mark.data
def test_global_time_split_of_playlist_versions_does_not_leak(shared_data: Path, tmp_path: Path) -> None:
    corpus = build(ArchiveReader(shared_data / "playlists-spa"), None, tmp_path / "corpus")
    asked = Evaluation(
        split={"type": "global_time", "valid_from": "2020-07-01", "test_from": "2021-01-01", "equal_lists": "drop"}
    )
    parts = asked.split.split(corpus)
    assert corpus.playlist_times is not None and corpus.times is None
    assert (
        corpus.playlist_times[parts.train.rows].max() < parts.cuts[0] <= corpus.playlist_times[parts.valid.rows].min()
    )  # type: ignore[index]
    assert corpus.playlist_times[parts.valid.rows].max() < parts.cuts[1] <= corpus.playlist_times[parts.test.rows].min()
    assert len(parts.test) > 500 and set(parts.test.labels["playlist"].tolist()) == {"continued", "new"}
    leaks.check_in_time(parts)

"""Tests that what a system requires of the split is checked before any work, and that the suggested cure helps."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

import segue as api
from segue import plugin
from tests.command import segue
from toolkit import pipeline, ranker_registry, run_directory
from toolkit.errors import InputError
from toolkit.pipeline.programs.sweep_settings import sweep
from toolkit.pipeline.programs.tune_baselines import bench
from toolkit.progress import PlainReporter
from toolkit.ranker import unmet
from toolkit.recipe import load

RECIPE = """\
name: cut
data: {{reader: archive, path: {path}, permission: {{allowed: true, reason: a test}}}}
baselines:
  - popularity
  - item-knn
  - {{name: two-stage, params: {{rounds: 5}}}}
evaluation: {{split: {{min_tracks: 5, by: hash, valid_fraction: 0.02}}, k: [20], bootstrap: 20}}
report: {{examples: 1, example_length: 3, map: 0, similar: 0}}
threads: 1
"""
UNMET = "two-stage' requires at least 2 different validation playlists (versions of a playlist count once)"


@pytest.fixture(scope="module")
def cut(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe over at most three versions of 53 real playlists, of which one is held out to validate."""
    folder, counts = tmp_path_factory.mktemp("cut"), Counter[str]()
    with gzip.open(shared_data / "playlists-spa/playlists.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    firsts = [row for row in rows if row["split"] == "train"][:40]
    rest = {row["playlist_id"]: 0 for row in rows if row["split"] == "test"}
    chosen = [*firsts, *(row for row in rows if row["playlist_id"] in list(rest)[:15])]
    with gzip.open(folder / "playlists.jsonl.gz", "wt") as file:
        for row in chosen:
            counts[row["playlist_id"]] += 1
            if counts[row["playlist_id"]] <= 3:
                file.write(json.dumps({key: value for key, value in row.items() if key != "split"}) + "\n")
    shutil.copy(shared_data / "playlists-spa/tracks.csv.gz", folder)
    (folder / "cut.yaml").write_text(RECIPE.format(path=folder))
    return folder / "cut.yaml"


@pytest.fixture(autouse=True)
def cache(tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    return tiny_cache


def cure_of(text: str) -> str:
    return text.rpartition(": set ")[2].partition(", or remove")[0]


@pytest.mark.data
def test_two_stage_with_one_validation_group_is_refused_before_any_fit_and_the_cure_helps(
    cut: Path, tmp_path: Path
) -> None:
    found = segue("run", cut, "--out", tmp_path / "run")
    assert found.exit_code == 2
    line = found.stderr.splitlines()[-1]
    assert f"cut.yaml:6: baselines.2='{UNMET}, but there is 1: set evaluation.split.valid_fraction=" in line
    assert line.endswith(", or remove two-stage") and not (tmp_path / "run" / run_directory.STAGES).exists()
    cured = segue("run", cut, "--out", tmp_path / "run", "--set", cure_of(line))
    assert cured.exit_code == 0 and "two-stage" in cured.stdout, cured.output
    without = ["--set", "baselines=[popularity, item-knn]", "--out", tmp_path / "without"]
    assert segue("run", cut, *without).exit_code == 0


@pytest.mark.data
def test_all_folds_are_checked_before_the_first_is_fitted_and_the_cure_holds_in_all(cut: Path, tmp_path: Path) -> None:
    folds = ["evaluation.split.test_fold=all", "evaluation.split.folds=4"]
    with pytest.raises(InputError, match=r"baselines\.2='two-stage' \(fold-\d\) requires") as caught:
        pipeline.run(load(cut, folds), tmp_path / "run")
    assert not list((tmp_path / "run").glob("fold-*"))
    results = pipeline.run(load(cut, [*folds, cure_of(str(caught.value))]), tmp_path / "cured")
    assert "two-stage" in results.timings and not results.failed


@pytest.mark.data
def test_minimum_length_is_lowered_where_all_other_shares_are_taken(cut: Path, tmp_path: Path) -> None:
    keys = {"min_tracks": 96, "valid_fraction": 0.5, "folds": 3}
    long = [f"evaluation.split.{key}={value}" for key, value in keys.items()]
    with pytest.raises(InputError, match="requires at least 2 different validation playlists") as caught:
        pipeline.run(load(cut, long), tmp_path / "run")
    assert cure_of(str(caught.value)).startswith("evaluation.split.min_tracks=")
    results = pipeline.run(load(cut, [*long, cure_of(str(caught.value))]), tmp_path / "run")
    assert "two-stage" in results.timings


@pytest.mark.data
def test_bench_leaves_out_and_sweep_and_fit_refuse_the_same(
    cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench(load(cut), tmp_path / "bench", baselines=["popularity", "two-stage"], progress=PlainReporter())
    assert [row["system"] for row in table["rows"]] == ["popularity"] and not table["failed"]
    assert "two-stage is left out: requires at least 2 different validation playlists" in capsys.readouterr().err
    swept = load(cut, ["sweep={over: {baselines.2.params.rounds: [3, 5]}, select: recall@20}"])
    with pytest.raises(InputError, match=re.escape(UNMET)):
        sweep(swept, tmp_path / "sweep")
    data = api.read_playlists(cut.parent, reader="archive", permission="a test")
    split = data.split(min_tracks=5, by="hash", valid_fraction=0.02)
    known = api.ItemKNN().fit(split.train)
    with pytest.raises(InputError, match="two-stage requires at least 2 .* but there is 1: hold out more validation"):
        api.TwoStage().fit(split.train, split.valid, systems=[known])


@pytest.mark.data
@pytest.mark.parametrize("name", ["spa", "mpd5k"])
def test_real_playlists_meet_what_listed_rankers_require(name: str, shared_data: Path) -> None:
    recipe = load(Path(__file__).parents[3] / "recipes" / f"{name}.yaml")
    options = recipe.data.options
    path = shared_data / f"playlists-{name}" / ("" if name == "spa" else "playlists.csv.gz")
    data = api.read_playlists(path, reader=recipe.data.reader, permission="a test", **options)
    split = data.split()
    labels = {kind for kind in ("artist", "album", "genre") if split.train.labels([kind])}
    inputs = plugin.FitInputs(split.train.playlists, split.valid.playlists, ["audio"], labels, ["item-knn"])
    refused = {ranker for ranker in ranker_registry.listed() if unmet(ranker_registry.ranker_class(ranker)(), inputs)}
    # transrec ranks for training playlists; the playlists of mpd5k have neither titles nor genres
    lacking = {"title-knn", "title-mix", "genre-popularity", "genre-centroid"} if name == "mpd5k" else set()
    assert refused == {"transrec"} | lacking


DEMO = """\
name: short
data: {reader: demo, options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features]}}
encoders: {audio: {encoder: features, field: audio_features}}
models: [{type: sasrec, epochs: 1, hidden_size: 16, select: ndcg@20}]
baselines: [popularity]
evaluation: {split: {min_tracks: 5}, k: [20], bootstrap: 20}
report: {examples: 0, map: 0, similar: 0}
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("models.0.head=untied", r"models\.0='sasrec-multimodal': `head: untied` cannot rank the \d+ tracks"),
        ("models.0.batch_tokens=1000000000000", None),
        ("models.0.hidden_size=4000000", r"hidden_size=4000000.* reduce the sizes"),
        (
            "baselines.0={name: content-centroid, params: {modalities: [sound]}}",
            "'sound' is not a modality: use one of",
        ),
        ("baselines.0={name: genre-popularity}", "requires tracks with genre labels that may be trained on, but"),
        ("baselines.0={name: two-stage, params: {systems: [item-nn]}}", "'item-nn' is not a fitted system of this run"),
        ("baselines.0={name: recbole-sasrec, params: {memory_gb: 1.0e-9}}", "prefix rows of this split take"),
        ("baselines.0={name: recbole-bert4rec, params: {max_length: 500}}", "must be larger than max_length=500"),
        (
            "coldstart={systems: [{system: attribute-knn, modalities: [audio, words]}]}",
            "requires exactly 1 modality, but 2 are set",
        ),
    ],
)
def test_known_requirements_are_checked_before_encoding(change: str, message: str | None, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(DEMO)
    words = "encoders.words={encoder: features, field: audio_features}"
    recipe = load(tmp_path / "short.yaml", [words, change])
    if message is None:
        pipeline.run(recipe, tmp_path / "run")
        return
    with pytest.raises(InputError, match=message):
        pipeline.run(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / run_directory.STAGES).exists()
    assert not (tmp_path / "run" / run_directory.COVERAGE).exists()

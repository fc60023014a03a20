"""Tests of the documented cold-start recipe, from catalogue to table, for tracks and artists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import pipeline, run_directory
from toolkit.coldstart.factorisation import FactorStore
from toolkit.continuation import Continuation
from toolkit.corpus.arrays import Corpus
from toolkit.errors import RecipeError
from toolkit.progress import Reporter
from toolkit.recipe import load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coldstart.md"


class Notes(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text, *_ = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    path = tmp_path_factory.mktemp("coldstart") / "cold.yaml"
    path.write_text(text)
    return path


def _auc(run: Path) -> dict[str, float]:
    rows = json.loads((run / run_directory.METRICS).read_text())
    return {
        row["system"]: row["value"]
        for row in rows
        if (row["split"], row["slice"], row["metric"]) == ("test", "all", "auc")
    }


def test_documented_content_auc_is_between_random_and_upper_bound(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    factorise = FactorStore._factorise
    monkeypatch.setattr(FactorStore, "_factorise", lambda self, spec: made.append(spec) or factorise(self, spec))
    notes, run = Notes(), tmp_path / "run"
    pipeline.run(load(recipe, parameters=True), run, cache=tmp_path / "cache", progress=notes)
    auc = _auc(run)
    assert auc["random-factors"] < 0.6 < auc["ridge-lyrics"] and auc["ridge"] < auc["factor-upper-bound"] > 0.9
    assert len(made) == 2  # once for the four systems together, once for the bound, which sees everything
    entries = {entry["system"]: entry for entry in json.loads((run / run_directory.SYSTEMS).read_text())["systems"]}
    assert [name for name, entry in entries.items() if entry["oracle"]] == ["factor-upper-bound"]
    data = json.loads((run / run_directory.DATA).read_text())
    assert data["left_out"]["test_tracks"] + data["left_out"]["valid_tracks"] <= data["tracks_not_in_training"]
    tracks = json.loads((run / run_directory.EXAMPLES).read_text())[0]
    assert Continuation.load(run, "ridge").continue_playlist([tracks["seeds"][0]["id"]], k=3)


def test_artist_level_recipe_runs_end_to_end(recipe: Path, tmp_path: Path) -> None:
    changes = ["data.level=artist", "evaluation.split.min_tracks=2", "evaluation.k=[5]", "models=[]", "baselines=[]"]
    pipeline.run(
        load(recipe, [*changes, "data.options.artists=120"], parameters=True),
        tmp_path / "run",
        cache=tmp_path / "cache",
    )
    auc = _auc(tmp_path / "run")
    assert auc["random-factors"] < 0.65 < auc["ridge"] < auc["factor-upper-bound"]
    assert json.loads((tmp_path / "run" / run_directory.DATA).read_text())["tracks"] <= 120
    (folder,) = (tmp_path / "cache" / "corpora").glob("*/artists")
    artists = Corpus.load(folder)
    assert (
        artists.plays is not None
        and artists.plays.max() > 1
        and artists.tracks["id"][0].as_py().startswith("demo:artist:")
    )
    for row in range(len(artists)):
        held = artists.items[artists.offsets[row] : artists.offsets[row + 1]]
        assert len(np.unique(held)) == len(held)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("coldstart.systems.0.system=rigde", "coldstart.systems.0.system='rigde' is not a ranker: did you mean ridge?"),
        ("coldstart.systems.0.modalities=[lyric]", "coldstart.systems.0.modalities.0='lyric' is not an encoder"),
        (
            "coldstart.systems.0.params={penalty: 1}",
            "coldstart.systems.0.params.penalty is not a key: did you mean penalties?",
        ),
        ("coldstart.systems.1.name=ridge", "repeats the system name ridge: set different names"),
        ("evaluation={split: {field: part}}", "evaluation.split.field is not a key"),
        ("coldstart.factors.alpha=0", "coldstart.factors.alpha=0 must be greater than 0"),
    ],
)
def test_invalid_coldstart_settings_raise_with_key(change: str, message: str, recipe: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe, [change], parameters=True)
    assert message in str(caught.value)


def test_triplets_recipe_with_artist_table_and_split_file_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 2, 40)
    lines = [
        f"u{user}\tS{song}\t{rng.integers(1, 9)}"
        for user in range(60)
        for song in rng.choice(np.flatnonzero(taste == user % 2), 8, replace=False)
    ]
    (tmp_path / "train_triplets.txt").write_text("\n".join(lines) + "\n")
    songs = [f"S{song}\tSong {song}\tArtist {song}\tA{song}" for song in range(40)]
    (tmp_path / "songs.tsv").write_text("song_id\ttitle\tartist\tartist_id\n" + "\n".join(songs) + "\n")
    words = (["loud guitars", "loud drums"], ["quiet piano", "quiet strings"])
    parts = ["train", "train", "valid", "test"]
    rows = [
        f"A{song}\t{words[taste[song]][song % 2]} play here\t{parts[song % 4]}" for song in range(39)
    ]  # the last has no text
    (tmp_path / "artists.tsv").write_text("artist_id\tbiography\tpart\n" + "\n".join(rows) + "\n")
    (tmp_path / "plays.yaml").write_text(PLAYS)
    pipeline.run(
        load(tmp_path / "plays.yaml", [f"data.path={tmp_path / 'train_triplets.txt'}"]),
        tmp_path / "run",
        cache=tmp_path / "cache",
    )
    auc = _auc(tmp_path / "run")
    assert auc["random-factors"] < 0.75 < 0.8 < auc["ridge"]  # tracks of one taste say the same and tie
    data = json.loads((tmp_path / "run" / run_directory.DATA).read_text())
    assert data["left_out"]["tracks_without_split"] == 1 and data["left_out"]["test_tracks"] == 9
    assert data["left_out_examples"]["tracks_without_split"] == ["local:S39"]
    (folder,) = (tmp_path / "cache" / "corpora").glob("*/corpus")
    plays = Corpus.load(folder).plays
    assert plays is not None and plays.max() > 1


PLAYS = """\
name: plays
data:
  reader: triplets
  permission: {allowed: true, reason: made up for a test}
  options:
    tracks: {file: songs.tsv, track: song_id}
    artists: {file: artists.tsv, fields: {biography: biography, part: part}}
encoders:
  biography: {encoder: tfidf, field: biography, params: {dim: 4}}
coldstart: {factors: {k: 4}, systems: [{system: ridge}, {system: random-factors}]}
baselines: []
evaluation: {split: {type: artist_disjoint, field: part, min_tracks: 2}, k: [5], metrics: [ndcg, auc], bootstrap: 20}
report: {examples: 0}
threads: 1
"""

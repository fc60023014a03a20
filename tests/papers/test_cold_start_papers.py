"""Tests of the recipes of Oramas et al. 2017, with runs of two rows at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit import pipeline, run_directory
from toolkit.recipe import Recipe, load

PAPERS = Path(__file__).parents[2] / "recipes" / "papers"
TINY = [
    "data.options={tracks: 300, artists: 150, playlists: 600, fields: [biography, tags]}",
    "threads=1",
    "evaluation.bootstrap=50",
    "evaluation.k=[5]",
    "evaluation.split.valid_fraction=0.3",
]
ROWS = {
    "artist_cold_start.yaml": {
        "A-TEXT", "A-SEM", "A-W2V", "A-W2V-GOO", "A-TAGS", "TAGS-ITEMKNN", "TEXT-RF", "RANDOM", "UPPER-BOUND",
    },
    "track_cold_start.yaml": {
        "AUDIO", "SEM-VSM", "SEM-EMB", "TAGS-VSM", "TAGS-EMB", "MM-LF-LIN", "MM-LF-H1", "MM", "RANDOM",
        "UPPER-BOUND",
    },
}  # fmt: skip


def recipe(name: str, *overrides: str, only: tuple[str, ...] = ()) -> Recipe:
    """Return a recipe, or some of its rows with the first row as reference."""
    made = load(PAPERS / name, overrides, parameters=True)
    if not only:
        return made
    systems = [system for system in made.coldstart.systems if system.name in only]
    evaluation = made.evaluation.model_copy(update={"reference": only[0]})
    return made.model_copy(
        update={"coldstart": made.coldstart.model_copy(update={"systems": systems}), "evaluation": evaluation}
    )


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


@pytest.mark.parametrize("name", ROWS)
def test_recipe_contains_every_row_of_the_published_table(name: str) -> None:
    made = recipe(name)
    assert {system.name for system in made.coldstart.systems} == ROWS[name]
    assert made.data.level == ("artist" if name.startswith("artist") else "track")


@pytest.mark.parametrize(
    ("name", "base"), [(f"{level}_cold_start_spa.yaml", f"{level}_cold_start.yaml") for level in ("artist", "track")]
)
def test_cold_start_recipe_for_real_playlists_is_valid(name: str, base: str) -> None:
    made = recipe(name)
    assert len({system.name for system in made.coldstart.systems} & ROWS[base]) >= 4
    assert made.evaluation.split.type == ("item_cold" if made.data.level == "artist" else "artist_disjoint")


def auc(run: Path) -> dict[str, float]:
    return {
        row["system"]: row["value"]
        for row in read(run, run_directory.METRICS)
        if (row["split"], row["metric"], row["slice"]) == ("test", "auc", "all")
    }


def test_recipe_runs_with_two_artist_rows(tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    monkeypatch.chdir(PAPERS.parents[1])
    small = [
        f"encoders.{name}.{key}"
        for name in ("a_sem", "a_tags")
        for key in ("targets.factors=40", "params.hidden=[32]", "params.lr=0.005")
    ]
    made = recipe("artist_cold_start.yaml", *TINY, *small, only=("A-SEM", "TAGS-ITEMKNN", "RANDOM", "UPPER-BOUND"))
    pipeline.run(made, tmp_path / "run", cache=tiny_cache)
    found = auc(tmp_path / "run")
    assert found["RANDOM"] < found["A-SEM"] < found["UPPER-BOUND"]
    rows = {row["modality"]: row for row in read(tmp_path / "run", run_directory.COVERAGE)}
    assert (
        set(rows) == {"a_sem", "tags"}
        and rows["a_sem"]["targets"]["factors"] == 40
        and rows["a_sem"]["texts_enriched"] > 0.9
    )
    assert rows["a_sem"]["absent"]["examples"][0].startswith("demo:artist:")


def test_recipe_runs_with_two_track_rows(tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    monkeypatch.chdir(PAPERS.parents[1])
    encoders = ("sem_vsm", "tags_embedding")
    small = [
        f"encoders.{name}.{key}"
        for name in encoders
        for key in ("targets.factors=40", "params.hidden=[32]", "params.epochs=30", "params.lr=0.005")
    ]
    made = recipe("track_cold_start.yaml", *TINY, *small, only=("TAGS-EMB", "SEM-VSM", "RANDOM", "UPPER-BOUND"))
    pipeline.run(made, tmp_path / "run", cache=tiny_cache)
    found = auc(tmp_path / "run")
    assert (
        found["RANDOM"] < min(found["TAGS-EMB"], found["SEM-VSM"])
        and max(found["TAGS-EMB"], found["SEM-VSM"]) < found["UPPER-BOUND"]
    )
    assert {row["modality"]: row["dim"] for row in read(tmp_path / "run", run_directory.COVERAGE)} == {
        "sem_vsm": 40,
        "tags_embedding": 32,
    }

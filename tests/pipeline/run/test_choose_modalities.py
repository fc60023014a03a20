"""Tests of modalities that are the best of several encoders on validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import RecipeError
from toolkit.pipeline.run.fit_systems import unpacked
from toolkit.recipe import Recipe

SMALL: dict[str, Any] = {
    "data": {
        "reader": "demo",
        "permission": {"allowed": True, "reason": "the demo is made up"},
        "options": {
            "tracks": 200,
            "artists": 40,
            "playlists": 150,
            "fields": ["audio_features", "lyrics", "signal_free"],
        },
    },
    "encoders": {
        "audio": {"encoder": "features", "field": "audio_features"},
        "words": {"encoder": "tfidf", "field": "lyrics", "params": {"dim": 16}},
        "nothing": {"encoder": "features", "field": "signal_free"},
    },
    "choices": {"text": ["words", "nothing"]},
    "fusion": {"id_embedding": False},
    "defaults": {"type": "sasrec", "epochs": 2, "hidden_size": 16, "select": "ndcg@20"},
    "models": [
        {"name": "words", "modalities": ["words"]},
        {"name": "nothing", "modalities": ["nothing"]},
        {"name": "both", "modalities": ["audio", "text"]},
    ],
    "baselines": ["popularity"],
    "evaluation": {"k": [20], "bootstrap": 20, "split": {"min_tracks": 5}, "attribution": ["both"]},
    "report": {"examples": 0, "map": 0, "similar": 0},
    "threads": 1,
}


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def ndcg(run: Path, name: str, part: str) -> np.ndarray:
    return unpacked(run / run_directory.STAGES / f"evaluate-{name}-{part}.npz").values["all", "ndcg", 20]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> Path:
    run = tmp_path_factory.mktemp("chosen") / "run"
    pipeline.run(Recipe(**SMALL), run, cache=tiny_cache)
    return run


def test_choice_is_the_encoder_with_the_best_model_on_validation(chosen: Path) -> None:
    values = {name: float(ndcg(chosen, name, "valid").mean()) for name in ("words", "nothing")}
    (row,) = [row for row in read(chosen, run_directory.COVERAGE) if row["modality"] == "text"]

    assert row["tried"] == pytest.approx(values, abs=1e-6)
    assert row["chosen"] == max(values, key=values.__getitem__)


def test_model_of_a_choice_equals_the_model_of_the_chosen_encoder(
    chosen: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    (row,) = [row for row in read(chosen, run_directory.COVERAGE) if row["modality"] == "text"]
    named = [*SMALL["models"][:2], {"name": "both", "modalities": ["audio", row["chosen"]]}]
    evaluation = {**SMALL["evaluation"], "attribution": False}
    pipeline.run(
        Recipe(**{**SMALL, "choices": {}, "models": named, "evaluation": evaluation}), tmp_path, cache=tiny_cache
    )

    np.testing.assert_allclose(ndcg(chosen, "both", "test"), ndcg(tmp_path, "both", "test"), atol=1e-9)


def test_attribution_of_a_list_measures_only_these_models_with_the_choice(chosen: Path) -> None:
    rows = read(chosen, run_directory.ATTRIBUTION)["differences"]

    assert {row["system"] for row in rows} == {"both"}
    assert {(row["modality"], row["way"]) for row in rows} == {
        (modality, way) for modality in ("audio", "text") for way in ("left out", "shuffled")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": {"text": ["words", "wrds"]}}, r"must read 'wrds' alone|'wrds' is not an encoder"),
        ({"models": SMALL["models"][1:]}, "a model above it must read 'words' alone"),
        ({"models": [SMALL["models"][2], *SMALL["models"][:2]]}, "a model above it must read 'words' alone"),
        ({"choices": {"audio": ["words", "nothing"]}}, "is also the name of an encoder|is not an encoder"),
        ({"choices": {**SMALL["choices"], "more": ["words", "nothing"]}}, "is not read by a model"),
        ({"evaluation": {**SMALL["evaluation"], "attribution": ["bth"]}}, "'bth' is not a model of this recipe"),
    ],
)
def test_recipe_with_an_impossible_choice_raises_recipe_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe(**{**SMALL, **change})

"""Tests of attribution by models that were trained without a modality or queried with shuffled vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import RecipeError
from toolkit.pipeline.run.fit_systems import unpacked
from toolkit.recipe import load
from toolkit.report.claims import shown

FOUR = ["titles=null", "models.0.titles=false", "fusion={join: sum}", "baselines=[popularity]"]


@pytest.fixture(scope="module")
def attributed(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path, tiny_run: Path) -> Path:
    folder = tmp_path_factory.mktemp("attribution")
    recipe = load(tiny_run.parent / "tiny.yaml", [*FOUR, "evaluation.attribution=true", "models.0.match=true"])
    pipeline.run(recipe, folder / "run", cache=tiny_cache)
    return folder / "run"


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def values(run: Path, name: str) -> np.ndarray:
    return unpacked(run / run_directory.STAGES / f"evaluate-{name}-test.npz").values["all", "ndcg", 20]


@pytest.mark.parametrize(
    ("way", "variant"), [("left out", "sasrec-multimodal~{}"), ("shuffled", "sasrec-multimodal~shuffled~{}")]
)
def test_attribution_difference_is_the_mean_over_paired_playlists(attributed: Path, way: str, variant: str) -> None:
    rows = read(attributed, run_directory.ATTRIBUTION)["differences"]
    for modality in ("audio", "lyrics"):
        key = {"modality": modality, "way": way, "slice": "all", "metric": "ndcg", "k": 20}
        (row,) = [row for row in rows if all(row[name] == value for name, value in key.items())]
        wanted = values(attributed, "sasrec-multimodal") - values(attributed, variant.format(modality))
        assert row["difference"] == pytest.approx(wanted.mean(), abs=1e-8)
        assert row["ci_low"] <= row["difference"] <= row["ci_high"] and row["n"] == len(wanted)
        assert wanted.any()


def test_model_without_a_modality_equals_one_trained_by_a_recipe_without_it(
    attributed: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    recipe = load(
        attributed / run_directory.RECIPE,
        ["evaluation.attribution=false", "models.0.modalities=[lyrics]", "models.0.name=sasrec-multimodal"],
    )
    pipeline.run(recipe, tmp_path / "less", cache=tiny_cache)
    assert not (tmp_path / "less" / run_directory.ATTRIBUTION).exists()
    assert np.array_equal(values(tmp_path / "less", "sasrec-multimodal"), values(attributed, "sasrec-multimodal~audio"))


def test_attribution_variants_are_not_listed_as_systems(attributed: Path) -> None:
    assert {row["system"] for row in read(attributed, run_directory.METRICS)} == {
        "sasrec-multimodal",
        "popularity",
        "upper-bound",
    }
    assert not any("~" in entry["system"] for entry in read(attributed, run_directory.SYSTEMS)["systems"])
    lines = [json.loads(line) for line in (attributed / run_directory.LOG).read_text().splitlines()]
    fits = [
        line["stage"]
        for line in lines
        if line["event"] == "stage" and line["stage"].startswith("fit-") and line["state"] == "finished"
    ]
    assert fits == [
        "fit-sasrec-multimodal",
        "fit-popularity",
        "fit-upper-bound",
        "fit-sasrec-multimodal~audio",
        "fit-sasrec-multimodal~lyrics",
    ]


def test_finished_attribution_is_not_recomputed(attributed: Path, tiny_cache: Path) -> None:
    before = (attributed / run_directory.ATTRIBUTION).read_bytes()
    (attributed / run_directory.ATTRIBUTION).unlink()
    (attributed / run_directory.METRICS).unlink()
    (attributed / run_directory.LOG).unlink()
    pipeline.run(load(attributed / run_directory.RECIPE), attributed, cache=tiny_cache)
    lines = [json.loads(line) for line in (attributed / run_directory.LOG).read_text().splitlines()]
    assert not [
        line
        for line in lines
        if line.get("state") == "started" and line.get("stage", "").startswith(("fit", "evaluate"))
    ]
    assert (attributed / run_directory.ATTRIBUTION).read_bytes() == before


def test_report_has_a_table_of_what_each_modality_adds(attributed: Path) -> None:
    page = (attributed / run_directory.REPORT).read_text()
    assert "What each modality adds" in page and "trained without it" in page and "its vectors shuffled" in page
    weights = read(attributed, run_directory.ATTRIBUTION)["weights"]
    assert [(row["modality"], row["of"]) for row in weights] == [
        (name, of) for of in ("sum", "match") for name in ("audio", "lyrics")
    ]
    assert sum(row["value"] for row in weights if row["of"] == "sum") == pytest.approx(1.0, abs=1e-5)
    assert "share of a track" in page and "weight in the match head" in page


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_only_informative_modality_improves_recommendations(tmp_path: Path) -> None:
    """Run the recipe for the table in `docs/fusion.md`, which adds a field of random values to the demo catalogue."""
    pipeline.run(
        load(Path(__file__).parents[3] / "recipes" / "attribution.yaml"), tmp_path / "run", cache=tmp_path / "cache"
    )
    found = read(tmp_path / "run", run_directory.ATTRIBUTION)
    rows = {
        (row["modality"], row["way"], row["slice"]): row
        for row in found["differences"]
        if (row["metric"], row["k"]) == ("ndcg", 50)
    }
    for way in ("left out", "shuffled"):
        for part in ("all", "warm", "cold"):
            assert not shown(rows["nothing", way, part])
    helpful = [(name, "shuffled", "all") for name in ("audio", "lyrics", "biography")]
    helpful += [(name, "left out", "cold") for name in ("lyrics", "biography")]
    assert all(rows[key]["difference"] > 0 and shown(rows[key]) for key in helpful)
    weights = {row["modality"]: row["value"] for row in found["weights"]}
    assert min(weights, key=lambda name: weights[name]) == "nothing"


def test_jointly_reduced_modalities_are_not_shuffled(tiny_recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    changes = [*FOUR, "fusion={reduce_joint: pca:8}", "evaluation.attribution=true", "models.0.epochs=1"]
    pipeline.run(load(tiny_recipe, changes), tmp_path / "run", cache=tiny_cache)
    found = read(tmp_path / "run", run_directory.ATTRIBUTION)
    assert {row["way"] for row in found["differences"]} == {"left out"} and found["weights"] == []


def test_attribution_without_modalities_raises(tiny_recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"evaluation\.attribution=true requires a model with a modality"):
        load(tiny_recipe, ["models.0.modalities=[]", "evaluation.attribution=true"])

"""Tests that the recipes of Oramas et al. 2017 have the rows, inputs and sizes that the paper prints."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from toolkit import pipeline, plugins, run_directory
from toolkit.encoders.contract import registry
from toolkit.recipe import Recipe, load

ROOT = Path(__file__).parents[2]
PAPERS, PRINTED = ROOT / "recipes" / "papers", ROOT / "benchmarks" / "printed"
RECIPES = {"Table 1": "artist_cold_start", "Table 2": "track_cold_start"}
NETWORKS = {
    ("VSM", "biography"): ("tfidf-mlp", "biography"),
    ("VSM", "biography, enriched"): ("tfidf-semantic-mlp", "biography"),
    ("VSM", "tags"): ("tfidf-mlp", "tags"),
    ("w2v-pretrain", "biography"): ("text-cnn", "biography"),
    ("w2v-trained", "biography"): ("text-cnn", "biography"),
}
INPUTS = {
    "Sem Bio": {("tfidf-semantic-mlp", "biography"), ("tfidf-semantic", "biography")},
    "Tags": {("tfidf-mlp", "tags")},
    "A-SEM": {("tfidf-semantic-mlp", "biography")},
    "A-TAGS": {("tfidf-mlp", "tags")},
    "audio spec": {("cqt-cnn", "audio"), ("cqt", "audio")},
    "AUDIO emb": {("cqt-cnn", "audio")},
}


def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of printed values."""
    with (PRINTED / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recipe(name: str, *overrides: str) -> Recipe:
    return load(PAPERS / f"{name}.yaml", overrides, parameters=True)


def printed_sizes() -> dict[tuple[str, str], Any]:
    """Return the sizes of the paper by section and name, a list for several numbers."""
    found: dict[tuple[str, str], Any] = {}
    for row in table("oramas_sizes"):
        numbers = [float(number) for number in row["value"].split()]
        found[row["section"], row["what"]] = numbers if len(numbers) > 1 else numbers[0]
    return found


def params(made: Recipe, name: str) -> Any:
    """Return the parameters of an encoder of a recipe, with defaults."""
    encoder = made.encoders[name]
    return registry.create(encoder.encoder, encoder.params, seed=0, device="cpu").params


def transform(found: Any) -> list[float]:
    """Return the settings of a constant-Q transform."""
    return [found.bins, found.per_octave, found.rate, found.hop, found.seconds]


def systems(made: Recipe) -> dict[str, Any]:
    return {system.system_name: system for system in made.coldstart.systems}


@pytest.mark.parametrize("suffix", ["", "_full"])
def test_every_printed_row_is_an_entry_and_no_other(suffix: str) -> None:
    for part, name in RECIPES.items():
        printed = [row["row"] for row in table("oramas_rows") if row["table"] == part]
        assert sorted(systems(recipe(name + suffix))) == sorted(printed)
        assert sorted(row["row"] for row in table("oramas") if row["part"] == part) == sorted(printed)


def test_every_entry_and_recipe_of_the_audit_exists() -> None:
    for row in table("oramas"):
        assert row["verdict"] in ("faithful", "differs", "missing")
        assert bool(row["difference"]) == (row["verdict"] != "faithful"), row["row"]
        assert bool(row["metric"]) == bool(row["printed"]) == row["part"].startswith("Table")
        if row["recipe"]:
            made = recipe(row["recipe"].removesuffix(".yaml"))
            assert not row["entry"] or row["entry"] in systems(made), row["row"]


@pytest.mark.parametrize("suffix", ["", "_full"])
def test_artist_rows_read_the_printed_inputs_by_the_printed_architecture(suffix: str) -> None:
    made = recipe("artist_cold_start" + suffix)
    for row in table("oramas_rows"):
        if row["table"] != "Table 1":
            continue
        system, model = systems(made)[row["row"]], row["second input or data model"]
        read = [made.encoders[name] for name in system.modalities or []]
        if row["architecture"] in ("FF", "CNN"):
            assert system.system == "predicted-factors"
            assert [(one.encoder, one.field) for one in read] == [NETWORKS[model, row["first input"]]]
            assert params(made, system.modalities[0]).output == "prediction"
        else:
            assert (
                system.system
                == {
                    "itemKnn": "attribute-knn",
                    "RF": "random-forest",
                    "": {"RANDOM": "random-factors", "UPPER-BOUND": "factor-upper-bound"}.get(row["row"]),
                }[row["architecture"]]
            )
            assert [one.field for one in read] == ([row["first input"]] if row["first input"] else [])
        if row["architecture"] == "CNN":
            found = params(made, system.modalities[0])
            assert found.vectors == ("file" if model == "w2v-pretrain" else "corpus")
            assert not any(found.clean.model_dump().values()), "the paper does not clean biographies"


@pytest.mark.parametrize("suffix", ["", "_full"])
def test_track_rows_read_the_printed_inputs(suffix: str) -> None:
    made = recipe("track_cold_start" + suffix)
    for row in table("oramas_rows"):
        first, second = row["first input"], row["second input or data model"]
        if row["table"] != "Table 2" or (first in ("", "rnd emb") and not second):
            continue
        system = systems(made)[row["row"]]
        names = list(system.modalities)
        read = {(made.encoders[name].encoder, made.encoders[name].field) for name in names}
        wanted = [INPUTS[one] for one in (first, second) if one]
        assert len(names) == len(wanted) and all(read & each for each in wanted), row["row"]
        for name in names:
            embedding = getattr(params(made, name), "output", "") == "embedding"
            assert embedding == (system.system == "late-fusion")
            level = getattr(made.encoders[name].targets, "level", None)
            assert (level == "artist") == (first in ("A-SEM", "A-TAGS") and made.encoders[name].field != "audio")
    assert systems(made)["RANDOM"].system == "random-embeddings"
    assert systems(made)["MM"].system == "joint-network"


def test_full_artist_recipe_has_the_sizes_of_the_paper() -> None:
    sizes, made = printed_sizes(), recipe("artist_cold_start_full")
    assert made.coldstart.factors.k == sizes["2", "factors"]
    assert sizes["6.2", "cut"] in made.evaluation.k and "map" in made.evaluation.metrics
    for name in ("a_text", "a_sem", "a_tags"):
        found = params(made, name)
        assert (found.max_features, found.hidden, found.batch) == (
            sizes["3.1", "terms"],
            sizes["3.1", "dense"],
            sizes["2", "batch"],
        )
        assert found.loss == "cosine" and found.hidden[-1] == sizes["6.2", "artist embedding"]
    for name in ("a_w2v", "a_w2v_goo"):
        found = params(made, name)
        assert (found.widths, found.filters, found.dropout, found.batch) == (
            sizes["3.2", "widths of Kim"],
            sizes["3.2", "filters of Kim"],
            sizes["3.2", "dropout of Kim"],
            sizes["2", "batch"],
        )
        assert found.vector_dim == sizes["3.2", "vector dimension of Kim"] and found.tune
    assert all(
        one.targets.factors == sizes["2", "factors"] for one in made.encoders.values() if one.targets is not None
    )
    assert "knowledge" in made.encoders["a_sem"].params["enrich"]


def test_full_track_recipe_has_the_sizes_of_the_paper() -> None:
    sizes, made = printed_sizes(), recipe("track_cold_start_full")
    sound = [sizes["4", name] for name in ("bins", "bins per octave", "rate", "hop", "seconds")]
    assert made.coldstart.factors.k == sizes["2", "factors"]
    assert sizes["6.2", "cut"] in made.evaluation.k and "map" in made.evaluation.metrics
    for name in ("audio", "audio_embedding"):
        found = params(made, name)
        assert transform(found) == sound
        assert (found.filters, found.pool, found.dropout) == (
            sizes["4", "filters"],
            sizes["4", "pool"],
            sizes["4", "dropout"],
        )
        assert found.frames_left() * found.filters[-1] == sizes["4", "embedding"]
    assert transform(params(made, "cqt")) == sound
    for name in ("sem_vsm", "sem_embedding", "tags_vsm", "tags_embedding"):
        found = params(made, name)
        assert (found.max_features, found.hidden) == (sizes["3.1", "terms"], sizes["3.1", "dense"])
    assert params(made, "sem").max_features == sizes["3.1", "terms"]
    assert all(
        one.targets.factors == sizes["2", "factors"] for one in made.encoders.values() if one.targets is not None
    )
    rows = {
        name: plugins.load("segue.rankers", system.system)(**system.params) for name, system in systems(made).items()
    }
    assert rows["MM-LF-H1"].params.hidden == sizes["5", "hidden units"]
    for name in ("MM-LF-LIN", "MM-LF-H1", "SEM-EMB", "TAGS-EMB", "RANDOM"):
        assert (rows[name].params.dropout, rows[name].params.batch) == (sizes["5", "dropout"], sizes["2", "batch"])
    assert rows["MM-LF-LIN"].params.hidden is None
    assert rows["RANDOM"].params.width == sizes["6.2", "artist embedding"]
    assert (rows["MM"].params.filters, rows["MM"].params.hidden) == (sizes["4", "filters"], sizes["3.1", "dense"])


def test_full_recipes_keep_tracks_with_the_content_that_the_paper_requires() -> None:
    sizes = {name: printed_sizes()["6.1", name] for name in ("least seconds", "least characters", "least tags")}
    text = {"biography": (sizes["least characters"], None, None), "tags": (None, sizes["least tags"], None)}
    for name, wanted in (
        ("artist_cold_start_full", text),
        ("track_cold_start_full", {"audio": (None, None, sizes["least seconds"]), **text}),
    ):
        required = recipe(name).data.filters.require
        found = {field: (rule.min_length, rule.min_count, rule.min_seconds) for field, rule in required.items()}
        assert found == wanted


ONE_EPOCH = ["threads=1", "evaluation.bootstrap=20", "evaluation.split.valid_fraction=0.3"]
FULL = {
    "artist_cold_start_full": [
        "data.options={tracks: 300, artists: 150, playlists: 200, fields: [biography, tags]}",
        *(f"encoders.{name}.params.epochs=1" for name in ("a_text", "a_sem", "a_w2v", "a_w2v_goo", "a_tags")),
        "coldstart.systems.4.params.trees=2",
    ],
    "track_cold_start_full": [
        "data.options={tracks: 200, artists: 100, playlists: 120, fields: [audio, biography, tags]}",
        *(
            f"encoders.{name}.params.epochs=1"
            for name in ("audio", "audio_embedding", "sem_vsm", "sem_embedding", "tags_vsm", "tags_embedding")
        ),
        "coldstart.systems.7.params.epochs=1",
    ],
}


@pytest.mark.parametrize("name", FULL)
def test_recipe_with_the_sizes_of_the_paper_runs(
    name: str, tmp_path: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    monkeypatch.chdir(ROOT)
    made = recipe(name, *ONE_EPOCH, *FULL[name])
    # the network of AUDIO is that of its embedding, which MM-LF-LIN reads
    kept = [system for system in made.coldstart.systems if system.system_name != "AUDIO"]
    made = made.model_copy(update={"coldstart": made.coldstart.model_copy(update={"systems": kept})})
    pipeline.run(made, tmp_path / "run", cache=tiny_cache)
    rows = {
        row["system"]: row["value"]
        for row in json.loads((tmp_path / "run" / run_directory.METRICS).read_text())
        if (row["split"], row["metric"], row["slice"], row["k"]) == ("test", "map", "all", 500)
    }
    part = next(part for part, base in RECIPES.items() if name.startswith(base))
    assert set(rows) == {row["row"] for row in table("oramas_rows") if row["table"] == part} - {"A-W2V-GOO", "AUDIO"}
    assert rows["RANDOM"] < rows["UPPER-BOUND"]
    dims = {row["modality"]: row["dim"] for row in json.loads((tmp_path / "run" / run_directory.COVERAGE).read_text())}
    if part == "Table 2":
        assert (dims["audio_embedding"], dims["sem_embedding"], dims["sem_vsm"]) == (4096, 2048, 200)

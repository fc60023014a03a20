"""The recipes of the multimodal BERT4Rec report (USC) against its printed tables, typed from the report."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.encoders.contract import registry
from toolkit.encoders.features.features_vae import FeaturesVaeParams
from toolkit.fusion.item_table import ItemTable
from toolkit.modality import Modality
from toolkit.recipe import EncoderSpec, ModelSpec, Recipe, as_baseline, load

ROOT = Path(__file__).parents[2]
PAPERS, PRINTED = ROOT / "recipes" / "papers", ROOT / "benchmarks" / "printed"
SIZES = {"all-MiniLM-L6-v2": ("minilm", 384), "all-mpnet-base-v2": ("mpnet", 768)}
WORD_VECTORS = 300
"""Numbers of the GloVe and word2vec vectors that the report names."""


def printed(name: str) -> list[dict[str, str]]:
    with open(PRINTED / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


ROWS = printed("usc_rows.csv")
RECIPES = {name: load(PAPERS / name, parameters=True) for name in ("modalities_frozen.yaml", "modalities_learned.yaml")}


def entry(row: dict[str, str]) -> tuple[Recipe, ModelSpec]:
    recipe = RECIPES[row["recipe"]]
    return recipe, next(model for model in recipe.models if model.name == row["entry"])


def encoded(spec: EncoderSpec) -> tuple[str, int]:
    """Return the description of an encoder, as the data has it, and the number of columns of its vectors."""
    params = registry.create(spec.encoder, spec.params).params
    if spec.encoder in ("features-vae", "image-vae"):
        latent, output = params.latent, params.output  # type: ignore[attr-defined]
        return f"{spec.encoder} {output}", 2 * latent if output == "mu+sigma" else latent
    if spec.encoder == "image-ae":
        return spec.encoder, params.latent  # type: ignore[attr-defined]
    if spec.encoder == "word-vectors":
        return spec.encoder, WORD_VECTORS
    name, width = SIZES[params.model]  # type: ignore[attr-defined]
    return f"{spec.encoder} {name}", width


def described(recipe: Recipe, model: ModelSpec, name: str) -> str:
    """Return encoder, output and columns of a modality in a row, such as `features-vae mu 128`."""
    what, width = encoded(recipe.encoders[name])
    kind, _, size = (model.fusion or recipe.fusion).reduction(name).partition(":")
    if what.startswith("image-vae") and kind == "pca":
        return f"{what} {width} pca {size}"
    return f"{what} {min(width, int(size)) if kind == 'pca' else width}"


def test_tables_have_the_number_of_printed_rows() -> None:
    assert [sum(row["table"] == table for row in ROWS) for table in ("Table 6", "Table 7")] == [9, 32]


def test_recipes_have_exactly_the_printed_rows() -> None:
    beyond = {"modalities_frozen.yaml": set(), "modalities_learned.yaml": {"audio-art-300"}}  # section 7.3
    for name, recipe in RECIPES.items():
        entries = {row["entry"] for row in ROWS if row["recipe"] == name}
        assert {model.name for model in recipe.models} == entries | beyond[name]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table'][-1]}-{row['entry']}")
def test_row_has_the_printed_inputs_sizes_and_settings(row: dict[str, str]) -> None:
    recipe, model = entry(row)
    fusion = model.fusion or recipe.fusion
    inputs = model.inputs(recipe.fusion, recipe.encoders)

    # the order of the printed row is that of the sum or of the concatenation
    assert sorted(described(recipe, model, name) for name in inputs) == sorted(filter(None, row["inputs"].split(" + ")))
    assert (model.hidden_size, model.layers) == (int(row["dim"]), int(row["layers"]))  # type: ignore[attr-defined]
    assert (fusion.normalise, fusion.reduce_joint) == (row["normalise"], row["joint"])
    assert model.train == ("frozen" if row["table"] == "Table 6" else "finetune")
    assert fusion.architecture == ("late" if row["late"] == "yes" else "early")
    assert fusion.regularise is (row["regularised"] == "yes")
    assert model.dropout == (0.4 if row["regularised"] == "yes" else 0.2)
    assert model.type == "bert4rec" and model.head == "untied" and not fusion.id_embedding


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["inputs"] and row["late"] == "no"], ids=lambda row: row["table"] + row["entry"]
)
def test_concatenated_columns_are_the_printed_size_or_are_projected_to_it_once(row: dict[str, str]) -> None:
    recipe, model = entry(row)
    widths = {name: encoded(recipe.encoders[name])[1] for name in model.inputs(recipe.fusion, recipe.encoders)}
    draw = np.random.default_rng(0)
    tracks = 1 + max(*widths.values(), 600)
    content = {
        name: Modality(name, draw.normal(size=(tracks, width)).astype(np.float32), np.arange(tracks) > 0)
        for name, width in widths.items()
    }

    table = ItemTable(
        content,
        model.fusion or recipe.fusion,
        hidden_size=model.hidden_size,
        train="frozen",
        played=np.arange(tracks) > 0,
        dropout=0.0,
    )

    projection = table.projections["joined"]
    linear = "linear to 300" in row["row"]
    assert projection.in_features == (sum(widths.values()) if linear else int(row["dim"]))
    assert projection.out_features == int(row["dim"])
    assert len(table.reductions) == 0, "the projection alone reduces: a second one would add nothing"
    assert table(torch.arange(1, 4)).shape == (3, int(row["dim"]))


def test_weight_of_the_kl_term_is_stated_in_the_recipe() -> None:
    specs = [spec for spec in RECIPES["modalities_learned.yaml"].encoders.values() if spec.encoder == "features-vae"]
    assert [spec.params["beta"] for spec in specs] == [FeaturesVaeParams().beta] * 3


def test_lyrics_are_cleaned_by_every_encoder() -> None:
    specs = {name: spec for name, spec in RECIPES["modalities_learned.yaml"].encoders.items() if spec.field == "lyrics"}
    assert len(specs) == 4
    for spec in specs.values():
        clean = registry.create(spec.encoder, spec.params).params.clean  # type: ignore[attr-defined]
        assert clean.artefacts and clean.dropped_g and clean.misspellings and clean.stop_words


def test_baselines_are_the_printed_rows_and_metrics() -> None:
    recipe, table = load(PAPERS / "usc_baselines.yaml", parameters=True), printed("usc_baselines.csv")
    names = [as_baseline(baseline).name for baseline in recipe.baselines]
    assert {row["entry"] for row in table} <= set(names)
    measured = {f"{metric}@{k}" for metric in recipe.evaluation.metrics for k in recipe.evaluation.k}
    assert {row["metric"] for row in table} == measured
    assert recipe.evaluation.split.type == "leave_last_out"


@pytest.mark.parametrize("corpus", printed("usc_corpora.csv"), ids=lambda row: row["corpus"])
def test_commands_of_the_corpora_have_the_filters_of_the_report(corpus: dict[str, str]) -> None:
    head = (PAPERS / "usc_baselines.yaml").read_text().split("name:")[0]
    name = {"log": "listening log"}.get(corpus["corpus"], corpus["corpus"])
    order = ["small", "freq", "listening log", "large", "The four"]
    start = head.index(f"#   {name}")
    command = head[start : head.index(order[order.index(name) + 1], start + 8)]
    sets = [word for word in command.split() if word.startswith("data.filters.")]
    filters = load(PAPERS / "usc_baselines.yaml", sets).data.filters
    assert filters.min_track_plays == int(corpus["min_track_plays"])
    assert filters.min_playlist_length == int(corpus["min_playlist_length"])
    assert filters.repeats == corpus["repeats"]

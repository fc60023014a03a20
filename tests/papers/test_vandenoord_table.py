"""Tests of the recipes of van den Oord et al. 2013 against the sizes and rows that the paper prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue_papers.encoders.mel_cnn import MelCnnParams
from segue_papers.encoders.mfcc_words import MfccWordsParams
from tests.papers.audio_tables import check_form, params, printed, recipe, short_run, sizes
from toolkit.errors import RecipeError


def test_printed_table_has_its_form_and_every_entry_exists() -> None:
    check_form("vandenoord")


def test_every_row_of_both_tables_is_an_entry() -> None:
    found = {(row["part"], row["row"]): row["entry"] for row in printed("vandenoord") if row["metric"] == "map@500"}
    assert {row for part, row in found if part == "Table 2"} == {
        "MLR", "linear regression", "MLP", "CNN with MSE", "CNN with WPE",
    }  # fmt: skip
    assert {row for part, row in found if part == "Table 3"} == {
        "random", "linear regression", "CNN with MSE", "upper bound",
    }  # fmt: skip
    assert all(found.values())


@pytest.mark.parametrize(
    ("name", "table"), [("factor_prediction_subset.yaml", "Table 2"), ("factor_prediction_full.yaml", "Table 3")]
)
def test_large_recipes_have_the_printed_sizes(name: str, table: str) -> None:
    of, size = recipe(name), sizes("vandenoord")
    assert of.coldstart.factors.k == size[table, "factors"]
    used = {modality for system in of.coldstart.systems for modality in system.modalities or []}
    bag = params(of, "bag")
    assert isinstance(bag, MfccWordsParams)
    assert (bag.words, bag.coefficients, bag.fft, bag.hop, bag.rate, bag.seconds, bag.variance) == tuple(
        size["Table 2", name] for name in ("words", "mfccs", "fft", "hop", "rate", "clip seconds", "variance")
    )
    assert {"cnn_squared"} <= used
    for encoder, loss in (("cnn_squared", "squared"), ("cnn_weighted", "weighted")):
        if encoder not in used:
            continue
        cnn, targets = params(of, encoder), of.encoders[encoder].targets
        assert isinstance(cnn, MelCnnParams) and targets is not None
        assert targets.factors == size[table, "factors"]
        assert (cnn.loss, cnn.output, cnn.dropout) == (loss, "prediction", 0)
        assert (cnn.fft, cnn.hop, cnn.rate, cnn.bands, cnn.window) == tuple(
            size["Table 2", name] for name in ("fft", "hop", "rate", "mel bands", "window seconds")
        )
    assert of.evaluation.k == [size["Table 2", "cutoff"]] and {"map", "auc"} <= set(of.evaluation.metrics)
    assert of.evaluation.split.type == "item_cold"
    assert 1 / of.evaluation.split.folds == pytest.approx(
        size["Table 2", "test songs"] / size["Table 2", "songs"], abs=0.01
    )


def test_perceptron_has_the_printed_hidden_units_and_tags_their_number() -> None:
    of, size = recipe("factor_prediction_subset.yaml"), sizes("vandenoord")
    (mlp,) = [system for system in of.coldstart.systems if system.system_name == "mlp-1000"]
    assert mlp.params["hidden"] == [size["Table 2", "hidden units"]] and mlp.params["loss"] == "squared"
    assert of.coldstart.tags is not None and of.coldstart.tags.most == size["5.1", "tags"]
    assert {row.vectors for row in of.coldstart.tags.rows} == {"factors", "bag"}


@pytest.mark.parametrize(("name", "rows"), [
    ("factor_prediction_subset.yaml", {"cnn-weighted", "linear-regression"}),
    ("factor_prediction_full.yaml", {"cnn-squared", "random"}),
])  # fmt: skip
def test_large_recipe_runs_for_one_epoch(name: str, rows: set[str], tmp_path: Path, tiny_cache: Path) -> None:
    # 4,000 words need as many frames, of which little data has few in the time of a test
    found = short_run(name, rows, tmp_path, tiny_cache, "encoders.bag.params.frames=5000")
    assert set(found) == rows and all(0 <= value <= 1 for value in found.values())


def test_another_number_of_factors_is_refused_before_any_work() -> None:
    with pytest.raises(
        RecipeError, match=r"encoders\.cnn_squared\.targets\.factors=400 must be 200.*that cnn-squared reads"
    ):
        recipe("factor_prediction_full.yaml", "coldstart.factors.k=200")
    with pytest.raises(RecipeError, match=r"encoders\.cnn_squared\.params\.output must be prediction"):
        recipe("factor_prediction_full.yaml", "encoders.cnn_squared.params.output=embedding")

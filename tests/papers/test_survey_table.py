"""Tests of the recipes of the survey's hybrids against the sizes and rows that the survey prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue_papers.encoders.mfcc_tags import MfccTagsParams
from segue_papers.encoders.spectrogram_dbn import SpectrogramDbnParams
from tests.papers.audio_tables import check_form, entries, params, printed, recipe, short_run, sizes


def test_printed_table_has_its_form_and_every_entry_exists() -> None:
    check_form("survey")


def test_every_printed_number_is_an_entry_of_its_scenario() -> None:
    rows = [row for row in printed("survey") if row["printed"]]
    assert {row["printed"] for row in rows} == {
        "0.707", "0.500", "0.323", "0.478", "0.325", "0.495", "0.255", "0.288", "0.161", "0.143",
    }  # fmt: skip
    for row in rows:
        assert ("warm" in row["recipe"]) == ("cold start" not in row["row"]) and row["entry"], row
    assert {"one-half", "coin", "random-factors"} <= entries("hybrids.yaml")
    assert {"one-half", "coin", "pmf", "random"} <= entries("hybrids_warm.yaml")


@pytest.mark.parametrize("name", ["hybrids_full.yaml", "hybrids_warm_full.yaml"])
def test_large_recipes_have_the_printed_sizes(name: str) -> None:
    of, size = recipe(name), sizes("survey")
    dbn, network = params(of, "dbn"), params(of, "tag_network")
    assert isinstance(dbn, SpectrogramDbnParams) and isinstance(network, MfccTagsParams)
    wang = {what: value for (work, what), value in size.items() if work == "Wang and Wang"}
    assert (dbn.bands, dbn.window * 1000, dbn.clip, dbn.frames(), dbn.components) == tuple(
        wang[what] for what in ("bands", "frame milliseconds", "clip seconds", "frames", "components")
    )
    liang = {what: value for (work, what), value in size.items() if work == "Liang et al."}
    targets = of.encoders["tag_network"].targets
    assert targets is not None and targets.most == liang["tags"]
    assert (len(network.hidden), network.hidden[-1]) == (liang["layers"], liang["units of the last layer"])
    assert of.coldstart.factors.k == size["van den Oord et al.", "factors"]
    assert {system.system_name for system in of.coldstart.systems} == {
        system.system_name for system in recipe(name.replace("_full", "")).coldstart.systems
    }


def test_network_of_van_den_oord_has_the_sizes_of_the_survey() -> None:
    cnn = recipe("factor_prediction_subset.yaml").encoders["cnn_squared"].params
    size = {what: value for (work, what), value in sizes("survey").items() if work == "van den Oord et al."}
    assert (cnn["bands"], cnn["window"]) == (size["mel bands"], size["clip seconds"])
    found = params(recipe("factor_prediction_subset.yaml"), "cnn_squared").model_dump()
    # 1,024 samples at 22,050 Hz, the sizes of the paper itself, are 46 ms: the 23 ms of both texts are the hop
    assert round(1000 * found["hop"] / found["rate"]) == size["frame milliseconds"]
    assert 100 * (1 - found["hop"] / found["fft"]) == size["overlap percent"]


@pytest.mark.parametrize(("name", "rows"), [
    ("hybrids_full.yaml", {"hldbn", "tag-prior", "coin"}),
    ("hybrids_warm_full.yaml", {"hldbn-pmf", "wmf"}),
])  # fmt: skip
def test_large_recipe_runs_for_one_epoch(name: str, rows: set[str], tmp_path: Path, tiny_cache: Path) -> None:
    # the choice of penalties does not depend on the sizes
    given = ["coldstart.systems.1.params={k: 50, ridges: [10], factor_ridges: [3], iterations: 2}"]
    given += [f"encoders.{encoder}.params.frames=5000" for encoder in ("bag", "tag_network")]
    found = short_run(name, rows, tmp_path, tiny_cache, *given)
    assert set(found) == rows and all(0 <= value <= 1 for value in found.values())

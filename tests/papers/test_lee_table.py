"""Tests of the recipes of Lee et al. 2018 against the sizes and rows that the paper prints."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from segue_papers.encoders.log_mel import LogMelParams
from segue_papers.encoders.mel_cnn_1d import MelCnn1dParams
from segue_papers.rankers.content_user import ContentUserParams
from tests.papers.audio_tables import check_form, entries, params, printed, recipe, short_run, sizes
from toolkit.encoders.learning import train_network


def test_printed_table_has_its_form_and_every_entry_exists() -> None:
    check_form("lee")


def test_every_row_of_the_tables_is_an_entry() -> None:
    found = {row["row"]: row["entry"] for row in printed("lee") if row["part"] in ("Table 1", "5.1")}
    assert set(found) == {
        "popularity", "WMF", "WMF + regression", "content-user embedding", "tracks by id in place of audio",
    }  # fmt: skip
    assert all(found.values()) and "id-item" in entries("content_user_warm_full.yaml")
    tags = recipe("content_user_full.yaml").coldstart.tags
    assert tags is not None and tags.most == sizes("lee")["3.2", "tags"]
    assert [(row.vectors, row.method) for row in tags.rows] == [
        ("factors", "mlp"), ("cnn", "mlp"), ("content-user", "mlp"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["content_user_full.yaml", "content_user_warm_full.yaml"])
def test_large_recipes_have_the_printed_sizes(name: str) -> None:
    of, size = recipe(name), {what: value for (_, what), value in sizes("lee").items()}
    sound, cnn = params(of, "sound"), params(of, "cnn")
    assert isinstance(sound, LogMelParams) and isinstance(cnn, MelCnn1dParams)
    for spectrogram in (sound, cnn):
        assert (spectrogram.fft, spectrogram.hop, spectrogram.rate, spectrogram.bands, spectrogram.window) == tuple(
            size[what] for what in ("fft", "hop", "rate", "mel bands", "window seconds")
        )
    system = next(system for system in of.coldstart.systems if system.system_name == "content-user")
    given = ContentUserParams.model_validate(system.params)
    assert (given.negatives, given.margin, given.decay) == (size["negatives"], size["margin"], size["decay"])
    assert (given.score, given.loss) == ("cosine", "margin")
    assert len(given.filters) == len(cnn.filters) == size["convolutions"] and given.filters == cnn.filters
    assert f"momentum={size['momentum']}, nesterov=True" in inspect.getsource(train_network.train)


@pytest.mark.parametrize(("name", "rows"), [
    ("content_user_full.yaml", {"content-user", "wmf-regression"}),
    ("content_user_warm_full.yaml", {"id-item", "wmf-regression"}),
])  # fmt: skip
def test_large_recipe_runs_for_one_epoch(name: str, rows: set[str], tmp_path: Path, tiny_cache: Path) -> None:
    given = ["coldstart.systems.0.params={epochs: 1}", "coldstart.systems.2.params={epochs: 1}"]
    found = short_run(name, rows, tmp_path, tiny_cache, *given)
    assert set(found) == rows and all(0 <= value <= 1 for value in found.values())

"""Tests of `models` entries in the form of earlier versions."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import InputError, OldForm
from toolkit.recipe import FactorMap, ModelSpec, Recipe, load
from toolkit.recipe.old_model_forms import modern
from toolkit.sequential.losses.chunked import Chunked
from toolkit.sequential.losses.gbce import GBCE
from toolkit.sequential.losses.sampled import Sampled
from toolkit.sequential.models.bert4rec import BERT4Rec
from toolkit.sequential.models.sasrec import SASRec

RESOLVED = {"negatives": 4096, "negatives_from": "uniform", "batch_negatives": True, "log_q": True, "gbce_t": 0.75}
"""What every resolved entry held beside its loss."""
OF_BERT4REC = {"mask_ratio": 0.2, "last_item_epochs": 0, "strict_recbole": False}


@pytest.mark.parametrize(
    ("entry", "loss", "note"),
    [
        (
            {"loss": "gbce", "negatives": 256, "gbce_t": 0.5},
            GBCE(negatives=256, t=0.5),
            "loss: {type: gbce, negatives: 256, t: 0.5}",
        ),
        ({"loss": "sampled", "negatives": 64}, Sampled(negatives=64), "write `loss: {type: sampled, negatives: 64}`"),
        (
            {"loss": "sampled", "negatives_from": "popularity", "batch_negatives": False, "log_q": False},
            Sampled(negatives_from="popularity", batch_negatives=False, log_q=False),
            "`negatives_from: popularity, batch_negatives: false, log_q: false` is the old form",
        ),
        (
            {"loss": {"type": "gbce", "negatives": 32}, "negatives": 64},
            GBCE(negatives=64),
            "write `loss: {type: gbce, negatives: 64}`",
        ),
    ],
)
def test_old_loss_keys_are_converted_to_loss_fields(entry: dict[str, Any], loss: Any, note: str) -> None:
    written, notes = modern({"type": "sasrec", **entry})
    assert len(notes) == 1 and note in notes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ModelSpec.of(written).loss == loss
    with pytest.warns(OldForm, match="is the old form"):
        assert SASRec(**entry).loss == loss


@pytest.mark.parametrize("loss", ["full", "chunked", "sampled", "gbce"])
def test_resolved_entry_of_an_earlier_version_loads_without_warning(loss: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = ModelSpec.of({"type": "sasrec", "loss": loss, "layers": 3, **RESOLVED, **OF_BERT4REC})
    assert spec == SASRec(loss=loss, layers=3)  # type: ignore[arg-type]


def test_saved_entry_drops_unknown_keys() -> None:
    spec = ModelSpec.saved(
        {"type": "bert4rec", "loss": "chunked", **RESOLVED, "negatives": 2048, **OF_BERT4REC, "mask_ratio": 0.4}
    )
    assert spec == BERT4Rec(loss=Chunked(), mask_ratio=0.4)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            {"loss": "full", "log_q": False},
            "can be set only with `loss: sampled`, not `full`: remove `log_q`, or write `loss: {type: sampled,"
            " log_q: false}`",
        ),
        ({"negatives": 3}, "can be set only with `loss: gbce or sampled`, not `chunked`"),
        ({"mask_ratio": 0.3}, "can be set only with `type: bert4rec`, not `sasrec`: remove `mask_ratio`"),
        ({"loss": {"type": "full", "negatives": 3}}, "loss.negatives\n  is not a key: use one of type"),
    ],
)
def test_keys_for_another_loss_or_model_raise(entry: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        ModelSpec.of({"type": "sasrec", **entry})


def test_shared_defaults_are_dropped_from_entries_that_do_not_read_them() -> None:
    data = {"reader": "demo"}
    given = {
        "defaults": {"mask_ratio": 0.4, "layers": 3},
        "models": [{"type": "sasrec"}, {"type": "bert4rec"}, {"type": "gru4rec"}],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = Recipe(data=data, **given)  # type: ignore[arg-type]
    assert [getattr(model, "layers") for model in recipe.models] == [3, 3, 3]  # noqa: B009
    assert recipe.models[1] == BERT4Rec(mask_ratio=0.4, layers=3)
    assert "mask_ratio" not in recipe.models[0].model_dump()


def test_old_form_warning_has_the_line_number_of_the_entry(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "data: {reader: demo}\nmodels:\n  - &s {type: sasrec, loss: sampled, negatives: 64}\n  - {<<: *s, type:"
        " bert4rec, loss: chunked}\n"
    )
    with pytest.warns(
        OldForm, match=r"r\.yaml:3: `negatives: 64` is the old form: write `loss: {type: sampled, negatives: 64}`$"
    ):
        recipe = load(tmp_path / "r.yaml")
    assert [model.loss for model in recipe.models] == [Sampled(negatives=64), Chunked()]


def test_adam_rows_without_a_sampled_loss_raises() -> None:
    with pytest.raises(InputError, match="SASRec: `adam: rows` requires `loss: sampled` or `gbce`"):
        SASRec(adam="rows")
    assert SASRec(adam="rows", loss=GBCE()).loss.samples


def test_strict_recbole_with_popularity_negatives_raises() -> None:
    with pytest.raises(InputError, match="because popularity never draws unplayed tracks"):
        BERT4Rec(strict_recbole=True, loss=Sampled(negatives_from="popularity"))


def test_importing_losses_and_models_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from toolkit.recipe import Recipe;"
        "r = Recipe(data={'reader': 'demo'}, models=[{'type': name, 'loss': loss} for name, loss in"
        " (('sasrec', 'gbce'), ('bert4rec', 'full'), ('gru4rec', 'sampled'), ('hstu', 'chunked'), ('ligr', 'gbce'))],"
        " baselines=[]);"
        "assert 'torch' not in sys.modules and 'recbole' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_old_key_looking_is_converted_to_factor_map(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "data: {reader: demo}\nencoders: {cnn: {encoder: tfidf, field: lyrics}}\ncoldstart:\n  looking: {predicted:"
        " cnn, tracks: 20}\n"
    )
    with pytest.warns(OldForm, match=r"r\.yaml:4: `looking: …` is the old form: write `factor_map: …`$"):
        recipe = load(tmp_path / "r.yaml")
    assert recipe.coldstart.factor_map == FactorMap(predicted="cnn", tracks=20)
    with pytest.raises(InputError, match=r"r\.yaml:4: coldstart\.looking"):
        (tmp_path / "r.yaml").write_text(
            "data: {reader: demo}\ncoldstart:\n  factor_map: {predicted: cnn}\n  looking: {predicted: cnn}\n"
        )
        load(tmp_path / "r.yaml")

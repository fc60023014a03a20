"""Tests of recipes with many models that share defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipe_file import write
from toolkit.errors import RecipeError
from toolkit.recipe import load
from toolkit.recipe.resolved_recipes import to_yaml

GRID = """\
data: {reader: demo}
encoders:
  audio: {encoder: features, field: audio_features}
  lyrics: {encoder: tfidf, field: lyrics}
fusion: {missing: zero, reduce: {audio: "pca:4"}}
defaults: {type: bert4rec, epochs: 3, group: Rows}
models:
  - {name: plain, modalities: [audio]}
  - {name: own, epochs: 4, group: Others, fusion: {normalise: after, reduce: none}}
baselines: [popularity]
"""


def test_model_entries_override_defaults_and_common_fusion(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GRID), ["defaults.lr=0.01"])
    plain, own = recipe.models
    assert (plain.type, plain.epochs, plain.group, plain.lr, plain.fusion) == ("bert4rec", 3, "Rows", 0.01, None)
    assert (own.type, own.epochs, own.group, own.lr) == ("bert4rec", 4, "Others", 0.01)
    assert own.fusion == recipe.fusion.model_copy(update={"normalise": "after", "reduce": "none"})
    late = load(write(tmp_path, GRID), ["models.1.fusion={architecture: late}"]).models[1].fusion
    assert late is not None and (late.architecture, late.join.type, late.missing.type, late.reduce) == (
        "late",
        "sum",
        "zero",
        {"audio": "pca:4"},
    )


def test_resolved_grid_round_trips(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GRID), ["models.1.fusion={architecture: late}"])
    (tmp_path / "resolved.yaml").write_bytes(to_yaml(recipe.model_dump(mode="json")))
    assert load(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 3", "epcohs: 3", "6: models.0.epcohs is not a key: did you mean epochs?"),
        ("epochs: 3", "epochs: none", "6: models.0.epochs='none' must be a valid integer"),
        ("{type: bert4rec, epochs: 3, group: Rows}", "3", "6: defaults=3 must be a mapping of keys to values"),
        ("normalise: after", "normalize: after", "9: models.1.fusion.normalize is not a key: did you mean normalise?"),
        (
            "normalise: after",
            "normalise: later",
            "9: models.1.fusion.normalise='later' must be 'none', 'before' or 'after'",
        ),
        (
            "normalise: after",
            "join: sum, normalise: after",
            "9: models.1.fusion: `normalise: after` requires a join that projects all modalities together",
        ),
        (
            "normalise: after",
            "join: gated, missing: em",
            "9: models.1.fusion: `missing: em` cannot be used with `join: gated`",
        ),
        (
            "reduce: none",
            "reduce: {lyrcis: none}",
            "9: models.1.fusion.reduce.lyrcis is not an encoder of this recipe: did you mean lyrics?",
        ),
        (
            "reduce: none",
            "modalities: [audoi]",
            "9: models.1.fusion.modalities.0='audoi' is not an encoder of this recipe",
        ),
        (
            "fusion: {normalise: after, reduce: none}",
            "fusion: 3",
            "9: models.1.fusion=3 must be a mapping of keys to values",
        ),
        (
            "missing: zero",
            "missing: zreo",
            "5: fusion.missing='zreo' is not a missing-value policy: did you mean 'zero'?",
        ),
        (
            "baselines:",
            "on_missing_weights: ignore\nbaselines:",
            "10: on_missing_weights='ignore' must be 'stop' or 'skip'",
        ),
    ],
)
def test_error_in_a_grid_has_the_line_number_of_the_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, GRID.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{message}") and "\n" not in str(caught.value)

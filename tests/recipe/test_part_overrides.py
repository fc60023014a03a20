"""Tests of overriding recipe parts by `extends` and `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recipe_file import write
from toolkit.errors import RecipeError
from toolkit.recipe import Recipe, load

BASE = """\
data: {reader: demo}
encoders: {audio: {encoder: features, field: audio_features}}
fusion:
  join: {type: sum}
  missing: {type: em, rank: 8}
defaults:
  epochs: 2
  loss: {type: gbce, negatives: 7, t: 0.5}
  fusion: {missing: {type: em, rank: 4}}
models: [{type: sasrec}]
evaluation:
  split: {type: playlist_disjoint, folds: 4, shown: 0.5}
"""


def part(recipe: Recipe, dotted: str) -> dict[str, Any]:
    """Return the type of a part and the parameters that were set."""
    found: Any = recipe
    for step in dotted.split("."):
        found = found[int(step)] if step.isdecimal() else getattr(found, step)
    dumped: dict[str, Any] = found.model_dump(exclude_defaults=True)
    return {"type": found.type, **dumped}


def over(tmp_path: Path, base: str, text: str) -> Recipe:
    """Write a recipe `text` that extends a recipe `base`."""
    (tmp_path / "base.yaml").write_text(base)
    return load(write(tmp_path, f"extends: base.yaml\n{text}"))


@pytest.mark.parametrize(
    ("text", "dotted", "found"),
    [
        ("evaluation: {split: {type: leave_last_out}}", "evaluation.split", {"type": "leave_last_out"}),
        ("evaluation: {split: leave_last_out}", "evaluation.split", {"type": "leave_last_out"}),
        (
            "evaluation: {split: {folds: 3}}",
            "evaluation.split",
            {"type": "playlist_disjoint", "folds": 3, "shown": 0.5},
        ),
        (
            "evaluation: {split: {type: playlist_disjoint, folds: 3}}",
            "evaluation.split",
            {"type": "playlist_disjoint", "folds": 3, "shown": 0.5},
        ),
        ("defaults: {loss: {type: sampled}}", "models.0.loss", {"type": "sampled"}),
        ("defaults: {loss: {type: gbce, t: 0.25}}", "models.0.loss", {"type": "gbce", "negatives": 7, "t": 0.25}),
        ("defaults: {loss: {negatives: 9}}", "models.0.loss", {"type": "gbce", "negatives": 9, "t": 0.5}),
        ("fusion: {join: {type: concat}}", "fusion.join", {"type": "concat"}),
        ("fusion: {missing: {type: mean}}", "fusion.missing", {"type": "mean"}),
        ("fusion: {missing: {rank: 2}}", "fusion.missing", {"type": "em", "rank": 2}),
        ("fusion: {missing: {type: zero}}", "models.0.fusion.missing", {"type": "em", "rank": 4}),
        ("defaults: {fusion: {missing: {type: mask_token}}}", "models.0.fusion.missing", {"type": "mask_token"}),
        ("defaults: {fusion: {missing: {type: em}}}", "models.0.fusion.missing", {"type": "em", "rank": 4}),
    ],
)
def test_part_with_a_different_type_replaces_the_extended_part(
    tmp_path: Path, text: str, dotted: str, found: dict[str, Any]
) -> None:
    assert part(over(tmp_path, BASE, text), dotted) == found


@pytest.mark.parametrize(
    ("below", "above", "found"),
    [
        ("{folds: 4}", "{type: leave_last_out}", {"type": "leave_last_out"}),
        (
            "{folds: 4}",
            "{type: playlist_disjoint, shown: 0.5}",
            {"type": "playlist_disjoint", "folds": 4, "shown": 0.5},
        ),
        ("item_cold", "{folds: 4}", {"type": "item_cold", "folds": 4}),
        ("item_cold", "{type: playlist_disjoint}", {"type": "playlist_disjoint"}),
    ],
)
def test_split_without_a_type_completes_the_extended_split(
    tmp_path: Path, below: str, above: str, found: dict[str, Any]
) -> None:
    recipe = over(
        tmp_path, f"data: {{reader: demo}}\nevaluation: {{split: {below}}}", f"evaluation: {{split: {above}}}"
    )
    assert part(recipe, "evaluation.split") == found


@pytest.mark.parametrize(
    ("overrides", "dotted", "found"),
    [
        (["evaluation.split.type=leave_last_out"], "evaluation.split", {"type": "leave_last_out"}),
        (["evaluation.split.type=item_cold"], "evaluation.split", {"type": "item_cold", "folds": 4}),
        (["evaluation.split={type: leave_last_out}"], "evaluation.split", {"type": "leave_last_out"}),
        (["evaluation.split.shown=0.4"], "evaluation.split", {"type": "playlist_disjoint", "folds": 4, "shown": 0.4}),
        (["fusion.missing.type=mean"], "fusion.missing", {"type": "mean"}),
        (["fusion.join.type=concat"], "fusion.join", {"type": "concat"}),
        (["defaults.loss.type=full"], "models.0.loss", {"type": "full"}),
        (["defaults.loss.type=sampled"], "models.0.loss", {"type": "sampled", "negatives": 7}),
        (
            ["models.0.loss=sampled", "models.0.loss.t=0.25", "models.0.loss.type=gbce"],
            "models.0.loss",
            {"type": "gbce", "t": 0.25},
        ),
    ],
)
def test_set_replaces_a_part_by_changing_its_type(
    tmp_path: Path, overrides: list[str], dotted: str, found: dict[str, Any]
) -> None:
    assert part(load(write(tmp_path, BASE), overrides), dotted) == found


def test_setting_a_key_that_the_new_type_does_not_have_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(write(tmp_path, BASE), ["fusion.missing.rank=3", "fusion.missing.type=mean"])
    assert str(caught.value) == "--set fusion.missing.rank=3: fusion.missing.rank is not a key: use one of type"


def test_errors_in_a_replaced_part_do_not_name_the_extended_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        over(tmp_path, BASE, "evaluation: {split: {type: leave_last_out, fold: 3}}")
    assert str(caught.value).startswith(f"{tmp_path / 'r.yaml'}:2: evaluation.split.fold is not a key")


def test_alias_of_an_extending_recipe_is_completed_at_each_place_alone(tmp_path: Path) -> None:
    base = """\
data: {reader: demo}
encoders:
  first: {encoder: tfidf, field: lyrics, params: {min_df: 2}}
  second: {encoder: char-ngrams, field: title}
models: [{type: sasrec}]
"""
    recipe = over(tmp_path, base, "encoders:\n  first: &dim {params: {dim: 8}}\n  second: *dim\n")
    assert [(one.encoder, one.field, one.params) for one in recipe.encoders.values()] == [
        ("tfidf", "lyrics", {"min_df": 2, "dim": 8}),
        ("char-ngrams", "title", {"dim": 8}),
    ]

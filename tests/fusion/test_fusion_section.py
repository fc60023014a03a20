"""Tests of the recipe section `fusion`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from toolkit.errors import OldForm
from toolkit.fusion.joins.gated import Gated
from toolkit.fusion.joins.sum import Sum
from toolkit.fusion.missing.em import Em
from toolkit.fusion.missing.mean import Mean
from toolkit.recipe import Fusion, load
from toolkit.recipe.fusion_section import modern
from toolkit.recipe.yaml_file import with_settings

BASE = "data: {reader: demo}\nencoders: {audio: {encoder: features, field: audio_features}}\nmodels: [{type: sasrec}]\n"


class Estimate(Mean):
    """Policy that declares that missing vectors are imputed."""

    fills: ClassVar[bool] = True


class Present(Sum):
    """Join that declares that presence is read."""

    needs_presence: ClassVar[bool] = True


@pytest.mark.parametrize("given", ["gated", {"type": "gated"}, Gated(), "toolkit.fusion.joins.gated:Gated"])
def test_join_can_be_a_name_mapping_object_or_class(given: Any) -> None:
    fusion = Fusion.model_validate({"join": given})
    assert isinstance(fusion.join, Gated)
    assert Fusion.model_validate(fusion.model_dump(mode="json")) == fusion


def test_policy_parameters_are_read_from_the_recipe() -> None:
    assert Fusion.model_validate({"missing": {"type": "em", "rank": 8}}).missing == Em(rank=8)
    assert Fusion.model_validate({"missing": "em"}).missing == Em(rank=32)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Fusion.model_validate({"missing": {"type": "em", "rank": 0}})
    with pytest.raises(ValidationError, match="is not a key: did you mean rank"):
        Fusion.model_validate({"missing": {"type": "em", "rnk": 8}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"join": "gated", "missing": Estimate()}, "cannot be used with `join: gated`"),
        (
            {"join": Present(), "reduce_joint": "linear:2"},
            "`reduce_joint: linear:2` requires a join that projects all modalities together",
        ),
        (
            {"join": Present(), "normalise": "after"},
            "`normalise: after` requires a join that projects all modalities together",
        ),
        (
            {"reduce_joint": "pca:2", "missing": "mask_token"},
            "`missing: mask_token` requires separate modalities",
        ),
    ],
)
def test_allowed_join_and_policy_combinations_depend_on_declarations(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Fusion.model_validate(given)


def test_late_fusion_accepts_any_join_with_streams() -> None:
    assert isinstance(Fusion.model_validate({"architecture": "late", "join": Present()}).join, Present)
    assert isinstance(Fusion.model_validate({"architecture": "late"}).join, Sum)


@pytest.mark.parametrize(
    ("old", "new", "notes"),
    [
        ({"missing": "em", "em_rank": 8}, {"missing": {"type": "em", "rank": 8}}, 1),
        ({"missing": {"type": "em", "rank": 32}, "em_rank": 8}, {"missing": {"type": "em", "rank": 8}}, 1),
        ({"missing": "em", "em_rank": 32}, {"missing": {"type": "em", "rank": 32}}, 0),
        ({"missing": "mean", "em_rank": 32}, {"missing": "mean"}, 0),
        ({"em_rank": 32}, {}, 0),
        ({"em_rank": 8}, {"em_rank": 8}, 0),
        ({"join": "sum"}, {"join": "sum"}, 0),
    ],
)
def test_old_fusion_keys_are_converted(old: dict[str, Any], new: dict[str, Any], notes: int) -> None:
    given = dict(old)
    found, said = modern(given)
    assert (found, len(said), given) == (new, notes, old)


def test_old_fusion_form_warns_with_the_new_form() -> None:
    with pytest.warns(
        OldForm, match=r"`missing: em, em_rank: 8` is the old form: write `missing: \{type: em, rank: 8\}`"
    ):
        fusion = Fusion.model_validate({"missing": "em", "em_rank": 8})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Fusion.model_validate({"missing": {"type": "em", "rank": 8}}) == fusion
        assert Fusion.model_validate({"missing": "mean", "em_rank": 32}) == Fusion()


def test_model_with_another_policy_ignores_the_old_em_rank(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(BASE + "fusion: {missing: em, em_rank: 8}\n")
    overrides = ["models=[{type: sasrec, fusion: {missing: mean}}, {type: bert4rec, fusion: {em_rank: 4}}]"]
    with pytest.warns(OldForm):
        found = load(recipe, overrides)
    assert found.fusion.missing == Em(rank=8)
    assert [model.fusion.missing for model in found.models if model.fusion is not None] == [Mean(), Em(rank=4)]


@pytest.mark.parametrize("key", ["fusion.missing.rank", "fusion.em_rank"])
@pytest.mark.filterwarnings("ignore::toolkit.errors.OldForm")
def test_sweep_sets_the_em_rank_by_new_and_old_key(tmp_path: Path, key: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(BASE + "fusion: {missing: em}\n")
    assert with_settings(load(recipe), {key: 8}).recipe().fusion.missing == Em(rank=8)

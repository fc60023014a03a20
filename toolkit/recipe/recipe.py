"""Whole recipe, checked completely before a run starts.

The error for an unknown key contains its line and the nearest known key.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SerializeAsAny, ValidationError, model_validator

from toolkit.errors import OldForm, RecipeError
from toolkit.parameters import Once, Parameters
from toolkit.parts import Chosen
from toolkit.recipe import cross_checks, unused_settings
from toolkit.recipe.baseline_section import BaselineSpec
from toolkit.recipe.coldstart_section import ColdStart
from toolkit.recipe.data_section import Data, EncoderSpec
from toolkit.recipe.evaluation_section import Evaluation
from toolkit.recipe.fusion_section import Fusion
from toolkit.recipe.model_defaults import spread
from toolkit.recipe.model_section import ModelSpec
from toolkit.recipe.old_model_forms import modern_models
from toolkit.recipe.sweep_section import Sweep
from toolkit.validation import explain


class Report(Parameters):
    """Settings of the report page."""

    examples: int = Field(10, ge=0)
    example_length: int = Field(10, ge=1)
    map: int = Field(
        500,
        ge=0,
        le=5000,
        description="tracks on the map of what the best sequential model, or else the encoders, know; 0: no map",
    )
    map_by: Literal["tsne", "umap"] = "tsne"
    similar: int = Field(5, ge=0, le=100, description="most played tracks whose most similar ones are listed; 0: none")


class Recipe(Parameters):
    """Recipe of a whole run. Only `data` is required.

    Recipes built in Python pass the same checks as recipes in files. Raises `RecipeError` with key, value and rule,
    also for values that are never read.
    """

    name: str = Field("run", description="of the run; default: the file's")
    data: Data
    collect: dict[str, object] | None = Field(
        None, description="what to collect and from where, checked by the stage of that name"
    )
    encoders: dict[str, EncoderSpec] = {}
    engine: Literal["local", "ray"] = Field(
        "local", description="where inputs are encoded: in this process, or over Ray's (`RAY_ADDRESS`)"
    )
    workers: int | None = Field(None, ge=1, description="processes under `engine: ray`; default: one a processor")
    titles: EncoderSpec | None = Field(None, description="encoder of playlist titles, for models with `titles: true`")
    choices: dict[str, Annotated[list[str], Field(min_length=2), Once]] = Field(
        {},
        description="modalities that are the best of several encoders, {name: encoders}: the one whose model without"
        " other modalities has the best `select` on validation, chosen in each fold",
    )
    fusion: Fusion = Fusion()
    defaults: dict[str, object] = Field({}, description="what every entry of `models` says unless it says otherwise")
    models: list[Annotated[SerializeAsAny[ModelSpec], Chosen("segue.models", short=False)]] = []
    on_missing_weights: Literal["stop", "skip"] = Field(
        "stop",
        description="skip: models whose encoder's pretrained weights are not here stand in the tables as not run",
    )
    coldstart: ColdStart = ColdStart()
    baselines: list[str | BaselineSpec] = ["popularity", "item-knn", "content-centroid"]
    evaluation: Evaluation = Evaluation()
    sweep: Sweep | None = Field(None, description="settings that `segue sweep` searches on validation")
    report: Report = Report()
    seed: int = Field(0, ge=0)
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2), Once] | None = Field(
        None,
        description="every system that draws is fitted once a seed: mean and standard deviation stand in the tables",
    )
    device: str = "auto"
    threads: int | None = Field(None, ge=1, le=1024)

    if not TYPE_CHECKING:  # type checkers read pydantic's signature, with the type of every key

        def __init__(self, **values: object) -> None:
            values, sentences = modern_models(spread(values), unused_settings.TRIED.get())
            for sentence in sentences:
                warnings.warn(sentence, OldForm, stacklevel=2)
            try:
                super().__init__(**values)
            except ValidationError as error:
                where, rule = explain(error, values)
                raise RecipeError(rule, where) from None
            cross_checks.check(self)
            unused_settings.check(self)

    @property
    def reads_fields(self) -> bool:
        """Whether the recipe reads fields of the catalogue."""
        cold = self.coldstart
        return bool(self.encoders or cold.tags or cold.factor_map or self.evaluation.split.reads_field)

    def model_alone(self, modality: str) -> tuple[str, ModelSpec]:
        """Return name and entry of the first model that reads one modality alone. Raises `KeyError` without one."""
        for model in self.models:
            if model.inputs(self.fusion, self.encoders) == [modality]:
                return model.system_name(self.fusion, self.encoders), model
        raise KeyError(modality)

    @model_validator(mode="after")
    def _defaults(self) -> Recipe:
        """Fill in values that depend on other keys: the first seed, baselines without content, and a measured `select`.

        An explicit `select` is kept, and checked later.
        """
        if self.seeds is not None:
            if "seed" in self.model_fields_set and self.seed != self.seeds[0]:
                raise ValueError(f"seed={self.seed} must be the first of seeds={self.seeds}: remove `seed` or `seeds`")
            self.seed = self.seeds[0]
        if "baselines" not in self.model_fields_set and not self.encoders:
            self.baselines = [name for name in self.baselines if name != "content-centroid"]
        metrics, lengths = [name for name in self.evaluation.metrics if name in ("recall", "ndcg")], self.evaluation.k
        for model in self.models:
            if "select" not in model.model_fields_set and metrics and not ("ndcg" in metrics and 50 in lengths):
                model.select = (
                    f"{'ndcg' if 'ndcg' in metrics else metrics[0]}@{min(lengths, key=lambda k: abs(k - 50))}"
                )
        return self

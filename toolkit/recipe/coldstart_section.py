"""Section `coldstart` of a recipe: factors of the training playlists, and systems that predict factors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from toolkit.errors import OldForm
from toolkit.parameters import Once, Parameters
from toolkit.ranker_registry import row_name


class FactorSpec(Parameters):
    """Settings of weighted matrix factorisation. r plays have confidence 1 + alpha · log(1 + r / epsilon)."""

    k: int = Field(200, ge=1, le=4096)
    alpha: float = Field(2.0, gt=0)
    epsilon: float = Field(1e-6, gt=0)
    iterations: int = Field(15, ge=1)
    regularisation: float = Field(10.0, gt=0, description="λ of the squared lengths of users and items")
    solver: Literal["conjugate-gradient", "cholesky"] = Field(
        "conjugate-gradient",
        description="of each step: three steps of conjugate gradients, or exact and some times slower (CPU)",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the run's, where `implicit` can use it")


class ColdSystem(Parameters):
    """Cold-start system: the name of a ranker, its modalities and its parameters."""

    system: str
    name: str | None = Field(None, description="its row in the tables; default: the system's")
    group: str | None = Field(None, min_length=1, description="heading under which tables put it")
    modalities: Annotated[list[str], Once] | None = Field(None, description="default: every encoder of the recipe")
    params: dict[str, object] = {}

    @property
    def system_name(self) -> str:
        return self.name or row_name(self.system)


class TagRow(Parameters):
    """Vectors for the prediction of tags."""

    vectors: str = Field(
        description="`factors` of the training split, an encoder of the recipe, or a cold-start system by its row"
    )
    method: Literal["logistic", "mlp"] = Field(
        "logistic", description="logistic: ten folds; mlp: two layers, 70 % train, 10 % stop, 20 % test"
    )


class TagPrediction(Parameters):
    """Settings for the prediction of tags from track vectors, measured by the area under the ROC curve."""

    field: str = Field(description="texts of the catalogue, such as tags or genre")
    source: str | None = None
    separator: str | None = Field(
        ",", min_length=1, description="what a list of tags is split on; null: a text is one tag"
    )
    most: int = Field(50, ge=2, description="tags that are predicted, the commonest")
    rows: Annotated[list[TagRow], Field(min_length=1), Once]


class FactorMap(Parameters):
    """Settings for the predicted factors in the report: a map, neighbours, and the artists at both ends of a factor."""

    predicted: str = Field(description="the encoder that predicts factors")
    genre: str | None = Field(None, description="field whose first label colours the map")
    tracks: int = Field(1000, ge=4, le=10_000, description="on the map")
    queries: int = Field(5, ge=0, description="tracks whose neighbours are listed")
    similar: int = Field(5, ge=1)
    factors: int = Field(3, ge=0, description="whose ends are listed")
    artists: int = Field(5, ge=1, description="at each end")


class ColdStart(Parameters):
    """Settings of systems that rank tracks without training interactions."""

    factors: FactorSpec = FactorSpec()
    systems: list[ColdSystem] = []
    tags: TagPrediction | None = None
    factor_map: FactorMap | None = None

    @model_validator(mode="before")
    @classmethod
    def _modern(cls, given: object) -> object:
        """Rename the former key `looking` to `factor_map`."""
        if not isinstance(given, Mapping) or "looking" not in given or "factor_map" in given:
            return given
        if given["looking"] is not None:
            warnings.warn("`looking: …` is the old form: write `factor_map: …`", OldForm, stacklevel=2)
        return {"factor_map" if key == "looking" else key: value for key, value in given.items()}

"""The section `fusion` of a recipe: how modalities become one item table."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from toolkit.recipe.section import Section

REDUCTION = re.compile(r"none|(pca|linear|mlp):[1-9]\d*")


class Fusion(Section):
    """How modalities become one item table."""

    architecture: Literal["early", "late"] = Field(
        "early", description="early: modalities joined before one transformer; late: a stack each, their last layers added"
    )
    regularise: bool = Field(
        True,
        description="LayerNorm, dropout and small initialisation of projected content, LayerNorm and dropout of reductions; false: bare",
    )
    modalities: list[str] | None = Field(None, description="default: every encoder of the recipe")
    missing: Literal["mean", "zero", "linear", "em", "mask_token"] = Field(
        "mean", description="linear, em: predicted from the modalities a track has; mask_token: a learned vector"
    )
    em_rank: int = Field(32, ge=1, description="factors of the Gaussian of `missing: em`")
    reduce: str | dict[str, str] = Field("none", description="none, pca:N, linear:N or mlp:N, for all or by modality")
    reduce_joint: str = Field("none", description="none, pca:N, linear:N or mlp:N, of the joined vector")
    normalise: Literal["none", "before", "after"] = "before"
    join: Literal["concat", "sum", "gated"] = Field("concat", description="under `architecture: late` sum or gated")
    id_embedding: bool = True
    id_dropout: float = Field(0.0, ge=0, lt=1, description="chance that a track's free id vector is left out of a training step")
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    table: Literal["float32", "bfloat16", "int8"] = Field(
        "float32", description="how frozen content is kept in memory: int8 takes a quarter of float32, with a scale a track and modality"
    )
    table_in: Literal["memory", "file"] = Field(
        "memory", description="file: frozen content stays on disk and is read by rows, for tables that memory does not hold (CPU)"
    )
    match_modalities: list[str] | None = Field(None, description="modalities of the match head; default: all")

    @field_validator("reduce", "reduce_joint")
    @classmethod
    def _reductions(cls, given: str | dict[str, str]) -> str | dict[str, str]:
        for value in given.values() if isinstance(given, dict) else [given]:
            if not REDUCTION.fullmatch(value):
                raise ValueError(f"{value!r} must be none, pca:N, linear:N or mlp:N")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Fusion:
        if self.architecture == "late" and self.join == "concat":
            if "join" in self.model_fields_set:
                raise ValueError("join: concat is for architecture: early (late keeps modalities apart): use join: sum, or leave it out")
            self.join = "sum"
        if self.join != "concat" and self.normalise == "after":
            raise ValueError(
                f"normalise: after is for join: concat (under {self.join} modalities are normalised one by one): use normalise: before"
            )
        if self.join != "concat" and self.reduce_joint != "none":
            raise ValueError(f"reduce_joint is for join: concat (under {self.join} nothing is joined before the model): use reduce")
        if self.join == "gated" and self.missing in ("linear", "em", "mask_token"):
            raise ValueError(f"missing: {self.missing} fills in what join: gated leaves out: use missing: mean, or join: sum")
        if self.reduce_joint.startswith("pca"):
            for key, set_ in (("missing: mask_token", self.missing == "mask_token"), ("modality_dropout", self.modality_dropout > 0)):
                if set_:
                    raise ValueError(
                        f"{key} is for modalities that the model sees apart, and reduce_joint: pca joins them before: use reduce"
                    )
        return self

    def reduction(self, modality: str) -> str:
        """How one modality is reduced: `none`, `pca:N`, `linear:N` or `mlp:N`."""
        return self.reduce.get(modality, "none") if isinstance(self.reduce, dict) else self.reduce

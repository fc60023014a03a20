"""Section `fusion` of a recipe: the settings that combine modalities into one item table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, ValidationError, field_validator, model_validator

from toolkit.contracts.join import Join
from toolkit.contracts.missing_policy import Missing
from toolkit.errors import OldForm
from toolkit.parameters import Once, Parameters, fault
from toolkit.parts import Chosen

REDUCTION = re.compile(r"none|(pca|linear|mlp):[1-9]\d*")

JOINS, MISSING = Chosen("segue.joins"), Chosen("segue.missing")

EM_RANK = 32
"""Default of the old key `em_rank`."""


def modern(entry: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Return a `fusion` section with old keys converted to the current form, and a warning for each converted key.

    A non-default `em_rank` with a policy other than `em` is kept, and raises an error later. The default value gives no
    warning, because resolved recipes of earlier versions contain it.
    """
    if "em_rank" not in entry:
        return dict(entry), []
    missing, rank = entry.get("missing", "mean"), entry["em_rank"]
    rest = {key: value for key, value in entry.items() if key != "em_rank"}
    policy = {"type": missing} if isinstance(missing, str) else missing
    if isinstance(policy, Mapping) and policy.get("type") == "em":
        old = f"`missing: em, em_rank: {rank}` is the old form: write `missing: {{type: em, rank: {rank}}}`"
        return {**rest, "missing": {**policy, "rank": rank}}, [old] if rank != EM_RANK else []
    return rest if rank == EM_RANK else dict(entry), []


class Fusion(Parameters):
    """Settings that combine modalities into one item table."""

    architecture: Literal["early", "late"] = Field(
        "early",
        description="early: modalities joined before one transformer; late: a stack each, their last layers added",
    )
    late_norm: Literal["sum", "each"] = Field(
        "sum",
        description="LayerNorm of late fusion: of the weighted sum of the last layers, or of each last layer, whose"
        " gains then are the weights",
    )
    regularise: bool = Field(
        True,
        description="LayerNorm, dropout and small initialisation of projected content, LayerNorm and dropout of"
        " reductions; false: bare",
    )
    modalities: Annotated[list[str], Once] | None = Field(None, description="default: every encoder of the recipe")
    missing: Annotated[SerializeAsAny[Missing], MISSING] = Field(
        default_factory=partial(MISSING.part, "mean"),
        description="what a track without a modality has instead; linear, em: predicted from the modalities it has;"
        " mask_token: a learned"
        " vector; default: mean",
    )
    reduce: str | dict[str, str] = Field("none", description="none, pca:N, linear:N or mlp:N, for all or by modality")
    reduce_joint: str = Field("none", description="none, pca:N, linear:N or mlp:N, of the joined vector")
    normalise: Literal["none", "before", "after"] = "before"
    join: Annotated[SerializeAsAny[Join], JOINS] = Field(
        default_factory=partial(JOINS.part, "concat"),
        description="how modalities become one vector; default: concat, under `architecture: late` sum",
    )
    id_embedding: bool = True
    id_dropout: float = Field(
        0.0, ge=0, lt=1, description="chance that a track's free id vector is left out of a training step"
    )
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    table: Literal["float32", "bfloat16", "int8"] = Field(
        "float32",
        description="how frozen content is kept in memory: int8 takes a quarter of float32, with a scale a track and"
        " modality",
    )
    table_in: Literal["memory", "file"] = Field(
        "memory",
        description="file: frozen content stays on disk and is read by rows, for tables that memory does not hold"
        " (CPU)",
    )
    match_modalities: Annotated[list[str], Once] | None = Field(
        None, description="modalities of the match head; default: all"
    )

    @field_validator("reduce", "reduce_joint")
    @classmethod
    def _reductions(cls, reduce: str | dict[str, str]) -> str | dict[str, str]:
        for value in reduce.values() if isinstance(reduce, dict) else [reduce]:
            if not REDUCTION.fullmatch(value):
                raise ValueError(f"{value!r} must be none, pca:N, linear:N or mlp:N: set a reduction such as pca:128")
        return reduce

    @model_validator(mode="before")
    @classmethod
    def _modern(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        entry, sentences = modern(values)
        for sentence in sentences:
            warnings.warn(sentence, OldForm, stacklevel=2)
        if "em_rank" in entry:
            missing = entry.get("missing", "mean")
            policy = missing.type if isinstance(missing, Missing) else missing
            rule = (
                f"can be set only with `missing: em`, not `{policy}`:"
                f" remove `em_rank`, or set the default value, {EM_RANK}"
            )
            raise ValidationError.from_exception_data(
                cls.__name__, [fault("unread", rule, ("em_rank",), entry["em_rank"])]
            )
        return entry

    @model_validator(mode="after")
    def _consistent(self) -> Fusion:
        if self.late_norm == "each" and not (self.architecture == "late" and self.regularise):
            raise ValueError(
                "`late_norm: each` requires `architecture: late` and `regularise: true`:"
                " set both, or remove `late_norm`"
            )
        if self.architecture == "late" and not self.join.streams:
            if "join" in self.model_fields_set:
                raise ValueError(
                    f"`join: {self.join.type}` requires `architecture: early`, because late fusion keeps modalities"
                    " separate: set `join: sum`, or remove `join`"
                )
            self.join = JOINS.part("sum")
        self._check_join(self.join)
        if self.reduce_joint.startswith("pca"):
            self._check_joint_axes()
        return self

    def _check_join(self, join: Join) -> None:
        """Raise `ValueError` for settings that the join does not allow."""
        if join.keeps_apart and self.normalise == "after":
            raise ValueError(
                "`normalise: after` requires a join that projects all modalities together, such as `concat`,"
                f" but `join: {join.type}` projects each modality: set `normalise: before`"
            )
        if join.keeps_apart and self.reduce_joint != "none":
            raise ValueError(
                f"`reduce_joint: {self.reduce_joint}` requires a join that projects all modalities together, such as"
                f" `concat`, but `join: {join.type}` projects each modality: set `reduce` instead"
            )
        if join.leaves_out and self.missing.fills:
            raise ValueError(
                f"`missing: {self.missing.type}` cannot be used with `join: {join.type}`, which excludes missing"
                " modalities: set `missing: mean`, or a join such as `sum`"
            )

    def _check_joint_axes(self) -> None:
        """Raise `ValueError` if a joint PCA is combined with settings that require separate modalities."""
        for key, apart in (
            (f"missing: {self.missing.type}", self.missing.learned),
            (f"join: {self.join.type}", self.join.needs_presence),
            ("modality_dropout", self.modality_dropout > 0),
        ):
            if apart:
                raise ValueError(
                    f"`{key}` requires separate modalities, but `reduce_joint: pca` combines all modalities:"
                    " set `reduce` instead"
                )

    def reduction(self, modality: str) -> str:
        """Return the reduction of a modality: `none`, `pca:N`, `linear:N` or `mlp:N`."""
        return self.reduce.get(modality, "none") if isinstance(self.reduce, dict) else self.reduce

"""The section `sweep` of a recipe: settings to be searched on validation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from toolkit.parameters import Parameters, fault, yaml_text


class Range(Parameters):
    """Numbers from low to high, both included; whole numbers if both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="drawn evenly by logarithm")
    step: int | float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be < high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs low > 0, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log: true and step exclude each other: take one out")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step={self.step} must be whole, as low and high are")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


class Sweep(Parameters):
    """What is searched, how, and by which validation metric. Test playlists are not used."""

    search: Literal["grid", "optuna"] = Field(
        "grid", description="grid: every combination; optuna: a tree-structured Parzen estimator"
    )
    trials: int = Field(20, ge=1, description="settings that are tried; a grid may not have more")
    select: str = Field("ndcg@50", description="validation metric; higher is better")
    system: str | None = Field(
        None, description="whose metric it is; default: the system inside which all of `over` lies"
    )
    over: dict[str, list[object] | Range] = Field(
        min_length=1, description="by dotted key, such as models.0.lr, the values to try, or from where to where"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Sweep:
        size = 1
        for key, values in self.over.items():
            if isinstance(values, Range) and self.search == "grid":
                raise ValueError(f"{key} is a range, a grid needs a list of values: give one, or use search: optuna")
            if values == []:
                raise ValueError(f"{key} has no value to try: give at least one")
            if isinstance(values, list):
                size *= len(values)
                if twice := [value for value in values if values.count(value) > 1]:
                    rule = f"lists {yaml_text(twice[0])} twice: take one out"
                    raise ValidationError.from_exception_data("Sweep", [fault("twice", rule, ("over", key), values)])
        if self.search == "grid" and size > self.trials:
            raise ValueError(
                f"the grid has {size} settings, trials={self.trials}: raise it, try fewer values, or use search: optuna"
            )
        return self

    @property
    def first(self) -> dict[str, object]:
        """The first setting of the sweep: first values, and lower ends of ranges."""
        return {key: values.low if isinstance(values, Range) else values[0] for key, values in self.over.items()}

"""Section `sweep` of a recipe: settings to search on validation playlists."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from toolkit.parameters import Parameters, fault, yaml_text


class Range(Parameters):
    """Numbers from low to high, both included. All numbers are whole if low and high are whole."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="drawn evenly by logarithm")
    step: int | float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be < high={self.high}: reduce low, or raise high")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low} must be > 0 with `log: true`: raise low, or remove `log`")
        if self.log and self.step is not None:
            raise ValueError(f"`log: true` and step={self.step} must not both be set: remove `log` or `step`")
        if self.whole and isinstance(self.step, float):
            raise ValueError(
                f"step={self.step} must be a whole number because low and high are whole: set a whole step"
            )
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


class Sweep(Parameters):
    """Search space, search strategy and validation metric of a sweep. Test playlists are not used."""

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
                raise ValueError(
                    f"{key} is a range, but a grid requires a list of values: set a list, or `search: optuna`"
                )
            if values == []:
                raise ValueError(f"{key}=[] must contain at least one value: add a value")
            if isinstance(values, list):
                size *= len(values)
                if twice := [value for value in values if values.count(value) > 1]:
                    rule = f"lists {yaml_text(twice[0])} twice: remove the duplicate"
                    raise ValidationError.from_exception_data("Sweep", [fault("twice", rule, ("over", key), values)])
        if self.search == "grid" and size > self.trials:
            raise ValueError(
                f"the grid has {size} settings, more than trials={self.trials}: raise trials, remove values,"
                " or set `search: optuna`"
            )
        return self

    @property
    def first(self) -> dict[str, object]:
        """The first setting of the sweep: first values of lists, and low ends of ranges."""
        return {key: values.low if isinstance(values, Range) else values[0] for key, values in self.over.items()}

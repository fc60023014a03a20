"""An entry of `baselines` in a recipe."""

from __future__ import annotations

from typing import Any

from toolkit.ranker_registry import row_name
from toolkit.recipe.section import Section


class BaselineSpec(Section):
    """A baseline with parameters; in a recipe a bare name does too."""

    name: str
    params: dict[str, Any] = {}

    @property
    def system_name(self) -> str:
        """Its row in the tables: the ranker's name, also of one given as `module:Class`."""
        return row_name(self.name)


def as_baseline(baseline: str | BaselineSpec) -> BaselineSpec:
    """A bare name is a baseline with default parameters."""
    return BaselineSpec(name=baseline) if isinstance(baseline, str) else baseline

"""An entry of `baselines` in a recipe."""

from __future__ import annotations

from typing import Any

from toolkit.recipe.section import Section


class BaselineSpec(Section):
    """A baseline with parameters; in a recipe a bare name does too."""

    name: str
    params: dict[str, Any] = {}


def as_baseline(baseline: str | BaselineSpec) -> BaselineSpec:
    """A bare name is a baseline with default parameters."""
    return BaselineSpec(name=baseline) if isinstance(baseline, str) else baseline

"""An entry of `baselines` in a recipe."""

from __future__ import annotations

from toolkit.parameters import Parameters
from toolkit.ranker_registry import row_name


class BaselineSpec(Parameters):
    """A baseline with parameters. A recipe may also list the name alone."""

    name: str
    params: dict[str, object] = {}

    @property
    def system_name(self) -> str:
        """Its name in tables: the name of the ranker, also for `module:Class`."""
        return row_name(self.name)


def as_baseline(baseline: str | BaselineSpec) -> BaselineSpec:
    """The same baseline as a `BaselineSpec`. A name alone has default parameters."""
    return BaselineSpec(name=baseline) if isinstance(baseline, str) else baseline

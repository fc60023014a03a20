"""Entry of the section `baselines` in a recipe."""

from __future__ import annotations

from toolkit.parameters import Parameters
from toolkit.ranker_registry import row_name


class BaselineSpec(Parameters):
    """Baseline with parameters. A recipe may also list only the name of a baseline."""

    name: str
    params: dict[str, object] = {}

    @property
    def system_name(self) -> str:
        """The system name in tables, which is the ranker name, also for `module:Class`."""
        return row_name(self.name)


def as_baseline(baseline: str | BaselineSpec) -> BaselineSpec:
    """Return a baseline as a `BaselineSpec`. A bare name gets the default parameters."""
    return BaselineSpec(name=baseline) if isinstance(baseline, str) else baseline

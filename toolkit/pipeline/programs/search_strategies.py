"""Search strategies of sweeps: all combinations in a grid, or suggestions by Optuna."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import product
from types import ModuleType

from toolkit.errors import require
from toolkit.packages import OPTUNA
from toolkit.recipe import Range, Sweep
from toolkit.result_types import Settings

Search = Generator[Settings, float | None, None]
"""Yields settings and is sent the value of each, or None if they failed. The same values lead to the same settings."""


def grid(spec: Sweep, seed: int) -> Search:
    """Yield every combination of values. The last key varies fastest."""
    for values in product(*(each for each in spec.over.values() if isinstance(each, list))):
        yield dict(zip(spec.over, values, strict=True))


def optuna(spec: Sweep, seed: int) -> Search:
    """Yield suggestions by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) with a seed."""
    library = require("optuna", install=OPTUNA.install)
    library.logging.set_verbosity(library.logging.WARNING)
    study = library.create_study(direction="maximize", sampler=library.samplers.TPESampler(seed=seed % 2**32))
    space = {key: _distribution(library.distributions, values) for key, values in spec.over.items()}
    for _ in range(spec.trials):
        suggested = study.ask(space)
        value = yield {key: _value(spec.over[key], suggested.params[key]) for key in spec.over}
        study.tell(suggested, value, state=library.trial.TrialState.FAIL if value is None else None)


SEARCHES: dict[str, Callable[[Sweep, int], Search]] = {"grid": grid, "optuna": optuna}


def _distribution(distributions: ModuleType, values: list[object] | Range) -> object:
    if isinstance(values, list):  # by place, because Optuna takes no lists as values
        return distributions.CategoricalDistribution(range(len(values)))
    kind = distributions.IntDistribution if values.whole else distributions.FloatDistribution
    return kind(values.low, values.high, log=values.log, step=values.step or (1 if values.whole else None))


def _value(values: list[object] | Range, drawn: float) -> object:
    return values[int(drawn)] if isinstance(values, list) else drawn

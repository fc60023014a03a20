"""Which settings a sweep tries next: every combination of a grid, or what Optuna makes of the trials so far."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import product
from typing import Any

from toolkit.errors import require
from toolkit.packages import OPTUNA
from toolkit.recipe import Range, Sweep

Settings = dict[str, Any]
"""A value by dotted key."""

Search = Generator[Settings, float, None]
"""Yields settings and is sent what each reached; the same answers lead to the same settings."""


def grid(spec: Sweep, seed: int) -> Search:
    """Every combination, the last key fastest."""
    for values in product(*(each for each in spec.over.values() if isinstance(each, list))):
        yield dict(zip(spec.over, values, strict=True))


def optuna(spec: Sweep, seed: int) -> Search:
    """A tree-structured Parzen estimator (Bergstra et al. 2011) as Optuna has it, drawn by the seed."""
    library: Any = require("optuna", install=OPTUNA.install)
    library.logging.set_verbosity(library.logging.WARNING)
    study = library.create_study(direction="maximize", sampler=library.samplers.TPESampler(seed=seed % 2**32))
    space = {key: _distribution(library, values) for key, values in spec.over.items()}
    for _ in range(spec.trials):
        asked = study.ask(space)
        study.tell(asked, (yield {key: _value(spec.over[key], asked.params[key]) for key in spec.over}))


SEARCHES: dict[str, Callable[[Sweep, int], Search]] = {"grid": grid, "optuna": optuna}


def _distribution(library: Any, values: list[Any] | Range) -> Any:
    if isinstance(values, list):  # by place, for Optuna takes no lists as values
        return library.distributions.CategoricalDistribution(range(len(values)))
    if values.whole:
        return library.distributions.IntDistribution(values.low, values.high, log=values.log, step=values.step or 1)
    return library.distributions.FloatDistribution(values.low, values.high, log=values.log, step=values.step)


def _value(values: list[Any] | Range, drawn: Any) -> Any:
    return values[drawn] if isinstance(values, list) else drawn

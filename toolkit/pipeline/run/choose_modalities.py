"""Choice of one encoder for a modality on validation, among encoders that models of the recipe have tried alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toolkit.errors import SegueError
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.pipeline.write.write_results import Outcome
from toolkit.recipe import ModelSpec


def with_choices(context: Context, system: System, material: Material, outcomes: Sequence[Outcome]) -> Material:
    """Return the material with the modalities of a system that are choices, under the names of the choices.

    - outcomes: results of the systems that were fitted before.

    Raises `SegueError` if no candidate could be tried.
    """
    for name in system.modalities:
        if name in context.recipe.choices and name not in material.encoded:
            material = _with_choice(context, name, material, outcomes)
    return material


def _with_choice(context: Context, name: str, material: Material, outcomes: Sequence[Outcome]) -> Material:
    values = {
        candidate: _value(spec, outcome)
        for candidate in context.recipe.choices[name]
        for spec, outcome in _alone(context, candidate, outcomes)
    }
    if not values:
        raise SegueError(f"choices.{name} requires a candidate that could be tried: see why the models of each failed")
    best = max(values, key=values.__getitem__)
    tried = ", ".join(f"{candidate} {value:.4f}" for candidate, value in values.items())
    context.reporter.note(f"{name}: {best} is the best on validation ({tried})")
    aligned = material.encoded[best].aligned
    chosen = replace(
        material.encoded[best], name=name, aligned=None if aligned is None else replace(aligned, name=name)
    )
    rows = [
        {**row, "modality": name, "chosen": best, "tried": values}
        for row in material.coverage
        if row["modality"] == best
    ]
    return replace(
        material,
        encoded={**material.encoded, name: chosen},
        content={**material.content, name: material.content[best]},
        coverage=[*material.coverage, *rows],
    )


def _alone(context: Context, candidate: str, outcomes: Sequence[Outcome]) -> list[tuple[ModelSpec, Outcome]]:
    """Return the first model of the recipe that reads this encoder alone, and its results, if it has any."""
    recipe = context.recipe
    name, spec = recipe.model_alone(candidate)
    return [(spec, outcome) for outcome in outcomes if outcome.system.name == name]


def _value(spec: ModelSpec, outcome: Outcome) -> float:
    """Return the mean on validation of the metric by which the model chose its epoch."""
    metric, _, k = spec.select.partition("@")
    return round(float(np.nanmean(outcome.scores["valid"].values["all", metric, int(k)])), 6)

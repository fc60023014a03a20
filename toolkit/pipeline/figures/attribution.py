"""What each modality adds to each model: trained again without it, and asked with its vectors shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.evaluation import result_rows
from toolkit.evaluation.evaluator import Scores
from toolkit.pipeline.run import fit_systems, systems
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material
from toolkit.pipeline.write.write_results import Outcome
from toolkit.recipe import Recipe
from toolkit.seeds import derived_seed

LEFT_OUT, SHUFFLED = "left out", "shuffled"
VARIANTS = {LEFT_OUT: systems.less, SHUFFLED: systems.shuffled}
"""What each way calls a model's variant."""


def measure(context: Context, material: Material, outcomes: Sequence[Outcome]) -> dict[str, list[dict[str, Any]]]:
    """The content of `attribution.json`.

    differences: on test playlists, the model less its variant, paired by playlist: system, modality, way (`left out`: another
    training of the same budget; `shuffled`: the same weights, vectors dealt out anew), slice, metric, k, difference, ci_low,
    ci_high, p, n, resampled. weights: system, modality, of, label, value (`Ranker.modality_weights`).
    """
    reduced = systems.reduced(context)
    differences: list[dict[str, Any]] = []
    weights: list[dict[str, Any]] = []
    for outcome in outcomes:
        system = outcome.system
        if not system.capabilities.attributable or not system.modalities:
            continue
        weights += [{"system": system.name, **row} for row in fit_systems.fitted(context, system).modality_weights()]
        for modality in system.modalities:
            context.reporter.stage(f"{system.name} without {modality}")
            found = {}
            if (less := reduced.get((system.name, modality))) is not None:
                fit_systems.fit(context, less, material)
                found[LEFT_OUT] = fit_systems.score(context, less, material, "test")[0]
            if (shuffled := fit_systems.score_shuffled(context, system, material, modality)) is not None:
                found[SHUFFLED] = shuffled
            for way, scores in found.items():
                differences += differences_of(
                    context.recipe,
                    system.name,
                    modality,
                    way,
                    outcome.scores["test"],
                    scores,
                    material.split.test.groups(),
                )
    return {"differences": differences, "weights": weights}


def differences_of(
    recipe: Recipe, system: str, modality: str, way: str, whole: Scores, less: Scores, groups: np.ndarray
) -> list[dict[str, Any]]:
    """Rows of `differences` for one variant. groups: int64 [n], of the playlists that both were asked about."""
    rows = result_rows.comparisons(
        {system: whole, "less": less},
        "less",
        groups=groups,
        bootstrap=recipe.evaluation.bootstrap,
        seed=derived_seed(recipe.seed, "evaluation"),
    )
    about = {"system": system, "modality": modality, "way": way}
    return [about | {key: value for key, value in row.items() if key not in ("system", "reference")} for row in rows]

"""Contribution of each modality to each model, measured by training without it and by shuffling its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from toolkit.evaluation import result_rows
from toolkit.evaluation.evaluator import Scores
from toolkit.pipeline.run import fit_systems, systems
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.system_failures import Failures
from toolkit.pipeline.write.write_results import Outcome
from toolkit.recipe import Recipe
from toolkit.result_types import Attribution, AttributionRow, ComparisonRow, Weight
from toolkit.seeds import derived_seed

LEFT_OUT, SHUFFLED = "left out", "shuffled"
VARIANTS = {LEFT_OUT: systems.name_without, SHUFFLED: systems.name_shuffled}
"""The name of a model's variant, by the way it was made."""


def measure(
    context: Context, material: systems.Material, outcomes: Sequence[Outcome], failures: Failures
) -> Attribution:
    """Return the content of `attribution.json`.

    - differences: each model minus its variant without a modality, on test playlists, paired by playlist. The variant
      `left out` is trained again with the same budget. The variant `shuffled` has the same weights.
    - weights: `Ranker.modality_weights` of each model.

    A model whose variant fails is left out, and its error is postponed.
    """
    without = systems.models_without(context)
    differences: list[AttributionRow] = []
    weights: list[Weight] = []
    for outcome in outcomes:
        system = outcome.system
        wanted = context.recipe.evaluation.attributes(system.name)
        if wanted and system.capabilities.attributable and system.modalities:
            with failures.until_the_end(f"attribution of {system.name}"):
                learned = fit_systems.fitted(context, system).modality_weights()
                differences += _differences(context, material, outcome, without)
                weights += [{"system": system.name, **row} for row in learned]
    correct(differences)
    return {"differences": differences, "weights": weights}


def correct(differences: Sequence[AttributionRow]) -> None:
    """Correct the p-values of each model for all of its modalities, separately for each kind of variant."""
    result_rows.correct(differences, lambda row: (row["system"], row["way"]))


def _differences(
    context: Context,
    material: systems.Material,
    outcome: Outcome,
    without: Mapping[tuple[str, str], systems.System],
) -> list[AttributionRow]:
    """Return the rows of a model, for each of its modalities and each way."""
    system, differences = outcome.system, list[AttributionRow]()
    for modality in system.modalities:
        context.reporter.stage(f"{system.name} without {modality}")
        variants = {}
        if (variant := without.get((system.name, modality))) is not None:
            fit_systems.fit(context, variant, material)
            variants[LEFT_OUT] = fit_systems.score(context, variant, material, "test")[0]
        if (shuffled := fit_systems.score_shuffled(context, system, material, modality)) is not None:
            variants[SHUFFLED] = shuffled
        for way, scores in variants.items():
            pair = (outcome.scores["test"], scores)
            groups = material.split.test.groups()
            differences += differences_of(context.recipe, system.name, modality, way, pair, groups)
    return differences


def differences_of(
    recipe: Recipe, system: str, modality: str, way: str, pair: tuple[Scores, Scores], groups: np.ndarray
) -> list[AttributionRow]:
    """Return the rows of `differences` for one variant.

    - pair: scores of the model and its variant, on the same playlists.
    - groups: int64 [n], the group of each playlist.
    """
    rows = result_rows.comparisons(
        {system: pair[0], "less": pair[1]},
        "less",
        groups=groups,
        bootstrap=recipe.evaluation.bootstrap,
        seed=derived_seed(recipe.seed, "evaluation"),
    )
    about: dict[str, str] = {"system": system, "modality": modality, "way": way}
    return [cast(AttributionRow, {**_without(row, "reference"), **about}) for row in rows]


def _without(row: ComparisonRow, key: str) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != key}

"""Prediction of track tags from the vectors in a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from toolkit.baselines.baseline import Baseline
from toolkit.catalogue.store import Catalogue
from toolkit.coldstart.tag_probe import predict_new, predict_tags
from toolkit.errors import InputError
from toolkit.ingest.encoder_targets import labels
from toolkit.ingest.read_data import Ingested
from toolkit.ingest.training_permission import permitted
from toolkit.pipeline.run import fit_systems
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.recipe import TagRow, Targets
from toolkit.result_types import NewTagScores, TagScores
from toolkit.seeds import derived_seed

DIGITS = 8
LEAST_NEW = 8
"""Fewest tracks on which results on new tracks are measured."""


def measure(
    context: Context, ingested: Ingested, material: Material, systems: Sequence[System], failed: Collection[str] = ()
) -> list[TagScores]:
    """Return the content of `tags.json`, with one row for each row in the recipe.

    - failed: names of systems that failed, whose rows are left out.

    All rows are measured on the same tracks, which have tags and a vector for every row. A row with vectors of
    tracks without plays is measured on those too, after training on the training tracks (`new`).

    Raises `InputError` if these tracks are too few, or if a system has no track vectors.
    """
    spec = context.recipe.coldstart.tags
    assert spec is not None and ingested.catalogue is not None
    context.reporter.stage("tags")
    rows = [row for row in spec.rows if row.vectors not in material.missing and row.vectors not in failed]
    vectors = {row.vectors: _vectors(context, material, systems, row.vectors) for row in rows}
    ids = ingested.corpus.tracks["id"].to_pylist()
    with Catalogue.open(ingested.catalogue) as catalogue:
        permitted(catalogue, spec.field, spec.source, ids, context.recipe.data.permission)
        targets = Targets(field=spec.field, source=spec.source, separator=spec.separator, most=spec.most)
        tags = labels(catalogue, targets, ids, np.ones(len(ids), bool))
    tested = tags.matrix.any(axis=1) & np.all([present[1:] for _, present in vectors.values()], axis=0)
    seed = derived_seed(context.recipe.seed, "tags")
    # all vectors of new tracks are made without their plays, except factors
    rest = [present[1:] for name, (_, present) in vectors.items() if name != "factors"]
    played = material.train.counts[1:] > 0
    new = np.flatnonzero(tags.matrix.any(axis=1) & ~played & np.all([~played, *rest], axis=0))
    table: list[TagScores] = []
    for row in rows:
        scores = predict_tags(vectors[row.vectors][0][1:][tested], tags.matrix[tested], method=row.method, seed=seed)
        table.append(
            {
                "vectors": row.vectors,
                "method": row.method,
                "field": spec.field,
                "asked": len(tags.names),
                "tracks": int(tested.sum()),
                "tested": scores.tested,
                "auc": _number(scores.mean),
                "interval": [_number(end) for end in scores.interval],
                "new": _new(row, vectors[row.vectors][0][1:], tags.matrix, np.flatnonzero(tested & played), new, seed),
                "by_tag": {name: _number(auc) for name, auc in zip(tags.names, scores.auc, strict=True)},
            }
        )
        context.reporter(len(table), len(rows), f"tags from {row.vectors}")
    return table


def _new(
    row: TagRow, vectors: np.ndarray, tags: np.ndarray, fitted: np.ndarray, tested: np.ndarray, seed: int
) -> NewTagScores | None:
    """Return the results on new tracks, or None if the vectors need plays or there are no such tracks."""
    if row.vectors == "factors" or len(tested) < LEAST_NEW or len(fitted) < LEAST_NEW:
        return None
    scores = predict_new(vectors, tags, fitted, tested, method=row.method, seed=seed)
    return {
        "auc": _number(scores.mean),
        "interval": [_number(end) for end in scores.interval],
        "tested": scores.tested,
    }


def _number(value: float) -> float | None:
    """Return a rounded number, or None for NaN, which JSON cannot represent."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def _vectors(
    context: Context, material: Material, systems: Sequence[System], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors [V + 1, d] and a mask bool [V + 1] for tracks with a vector."""
    if name == "factors":
        assert material.train.store is not None
        factors = material.train.store()
        return factors.items, factors.known
    if name in material.modalities:
        return material.modalities[name].matrix, material.modalities[name].present
    system = next((system for system in systems if system.name == name), None)
    ranker = fit_systems.fitted(context, system) if system is not None else None
    if not isinstance(ranker, Baseline) or not {"items", "ranked"} <= set(ranker.state):
        raise InputError(
            f"coldstart.tags requires track vectors, but {name} has no track vectors: "
            "set `factors`, an encoder, or a system that scores by inner products"
        )
    return ranker.state["items"], ranker.state["ranked"]

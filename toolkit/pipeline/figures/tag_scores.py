"""Tags of tracks predicted from the vectors that a run has of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.baselines.baseline import Baseline
from toolkit.catalogue.store import Catalogue
from toolkit.coldstart.tag_probe import predict_tags
from toolkit.errors import InputError
from toolkit.ingest.encoder_targets import labels
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.run import fit_systems
from toolkit.pipeline.run.encode_modalities import permitted
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.recipe import Targets
from toolkit.seeds import derived_seed

DIGITS = 8


def measure(context: Context, ingested: Ingested, material: Material, chosen: Sequence[System]) -> list[dict[str, Any]]:
    """The content of `tags.json`, a row for each of the recipe's: vectors, method, field, asked (tags), tracks, tested, auc (mean over
    tags) and by_tag.

    All rows are measured on the same tracks: those with tags that have every row's vectors. Raises `InputError` where those are too few,
    or a system has no vectors of tracks.
    """
    spec = context.recipe.coldstart.tags
    assert spec is not None and ingested.catalogue is not None
    context.reporter.stage("tags")
    rows = [row for row in spec.rows if row.vectors not in material.missing]
    found = {row.vectors: _vectors(context, material, chosen, row.vectors) for row in rows}
    ids = ingested.corpus.tracks["id"].to_pylist()
    with Catalogue.open(ingested.catalogue) as catalogue:
        permitted(catalogue, spec.field, spec.source, ids, context.recipe.data.permission)
        targets = Targets(field=spec.field, source=spec.source, separator=spec.separator, most=spec.most)
        told = labels(catalogue, targets, ids, np.ones(len(ids), bool))
    asked = told.matrix.any(axis=1) & np.all([present[1:] for _, present in found.values()], axis=0)
    seed, lines = derived_seed(context.recipe.seed, "tags"), []
    for place, row in enumerate(rows):
        scores = predict_tags(found[row.vectors][0][1:][asked], told.matrix[asked], method=row.method, seed=seed)
        by_tag = {
            name: None if np.isnan(auc) else round(float(auc), DIGITS)
            for name, auc in zip(told.names, scores.auc, strict=True)
        }
        mean = None if np.isnan(scores.mean) else round(scores.mean, DIGITS)
        head = {"vectors": row.vectors, "method": row.method, "field": spec.field, "asked": len(told.names)}
        lines.append({**head, "tracks": int(asked.sum()), "tested": scores.tested, "auc": mean, "by_tag": by_tag})
        context.reporter(place + 1, len(rows), f"tags from {row.vectors}")
    return lines


def _vectors(
    context: Context, material: Material, chosen: Sequence[System], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [V + 1, d], and bool [V + 1], who has one."""
    if name == "factors":
        assert material.factors is not None
        factors = material.factors()
        return factors.items, factors.known
    if name in material.modalities:
        return material.modalities[name].matrix, material.modalities[name].present
    system = next((system for system in chosen if system.name == name), None)
    ranker = fit_systems.fitted(context, system) if system is not None else None
    if not isinstance(ranker, Baseline) or not {"items", "ranked"} <= set(ranker.state):
        raise InputError(
            f"coldstart.tags: {name} has no vectors of tracks: name factors, an encoder, or a system that scores by products"
        )
    return ranker.state["items"], ranker.state["ranked"]

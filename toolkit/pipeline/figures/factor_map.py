"""Figures of predicted factors for `factor_map.json`: a map, neighbours, and the artists at both ends of a factor."""

from __future__ import annotations

from collections import Counter

import numpy as np

from toolkit.coldstart.factor_extremes import factor_ends
from toolkit.coldstart.factorisation import Factors
from toolkit.coldstart.usage_patterns import usage_vectors
from toolkit.errors import InputError
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.figures.example_playlists import Names
from toolkit.pipeline.figures.projection import on_a_plane
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material
from toolkit.result_types import FactorEnds, FactorMap
from toolkit.seeds import derived_seed
from toolkit.topk import nearest_by_cosine

COLOURS = 8
"""Genres with a colour of their own on the map; the others share one."""


def factor_map(context: Context, ingested: Ingested, material: Material) -> FactorMap:
    """Return the content of `factor_map.json`.

    Tracks are compared by the cosine of their usage patterns. The map shows predictions for tracks without training
    interactions, if enough such tracks exist. Neighbours by true and by predicted factors are those of tracks with
    training interactions, because only these have true factors: the encoder may have been trained on them. Neighbours
    of tracks without training interactions are by predicted factors alone, among all tracks.

    Raises `InputError` if the encoder does not predict factors, or if fewer than two tracks have both predicted and
    true factors.
    """
    spec = context.recipe.coldstart.factor_map
    assert spec is not None and material.train.store is not None
    if spec.predicted in material.missing:
        return {}
    context.reporter.stage("factor map")
    predicted = material.modalities[spec.predicted]
    factors = _factors(context, material, spec.predicted)
    # the section was called `looking`: its draws stay as they were
    rng = np.random.default_rng(derived_seed(context.recipe.seed, "looking"))
    both = np.flatnonzero(factors.known & predicted.present)
    if len(both) < 2:
        raise InputError(
            f"coldstart.factor_map requires at least 2 tracks with both factors and {spec.predicted}, not {len(both)}:"
            " predict factors for training tracks, or remove `coldstart.factor_map`"
        )
    cold = np.flatnonzero(predicted.present & ~factors.known)
    shown = cold if len(cold) >= 4 else both
    shown = np.sort(rng.choice(shown, min(len(shown), spec.tracks), replace=False))
    encoded = np.flatnonzero(predicted.present)
    patterns = np.zeros_like(predicted.matrix)
    patterns[encoded] = usage_vectors(predicted.matrix[encoded], factors.users)
    points = on_a_plane(patterns[shown], seed=derived_seed(context.recipe.seed, "map"))
    names, genres = Names(ingested.corpus), _genres(spec.genre, ingested, shown)
    common = [
        genre for genre, _ in Counter(genres[item] for item in shown.tolist() if item in genres).most_common(COLOURS)
    ]
    queries = np.sort(rng.choice(len(both), min(len(both), spec.queries), replace=False))
    true = nearest_by_cosine(usage_vectors(factors.items[both], factors.users), queries, spec.similar)
    near = nearest_by_cosine(patterns[both], queries, spec.similar)
    unplayed = np.sort(rng.choice(cold, min(len(cold), spec.queries), replace=False))
    around = nearest_by_cosine(patterns[encoded], np.searchsorted(encoded, unplayed), spec.similar)
    return {
        "map": {
            "vectors": spec.predicted,
            "genres": common,
            "points": [
                (
                    round(float(x), 4),
                    round(float(y), 4),
                    common.index(genres[item]) if genres.get(item) in common else -1,
                )
                for item, (x, y) in zip(shown.tolist(), points, strict=True)
            ],
            "tracks": [names(item) for item in shown.tolist()],
        },
        "similar": [
            {
                "track": names(int(both[row])),
                "true": [names(int(both[other])) for other in true[place]],
                "predicted": [names(int(both[other])) for other in near[place]],
            }
            for place, row in enumerate(queries)
        ],
        "unplayed": [
            {
                "track": names(int(item)),
                "true": [],
                "predicted": [names(int(encoded[other])) for other in around[place]],
            }
            for place, item in enumerate(unplayed)
        ],
        "ends": _ends(ingested, factors.items[both], both, spec.factors, spec.artists),
    }


def _factors(context: Context, material: Material, name: str) -> Factors:
    """Return the true factors that an encoder predicts. Raises `InputError` if it does not predict factors."""
    store, modality = material.train.store, material.encoded[name]
    assert store is not None
    own, targets = context.recipe.coldstart.factors, modality.targets or {}
    k = material.modalities[name].dim
    if k not in (own.k, targets.get("factors")):
        raise InputError(
            f"coldstart.factor_map.predicted={name!r} has {k} numbers a track and must have k={own.k} factors:"
            " name an encoder with `targets: {factors: …}` and `output: prediction`"
        )
    return store(own.model_copy(update={"k": k}))


def _ends(ingested: Ingested, vectors: np.ndarray, items: np.ndarray, factors: int, artists: int) -> list[FactorEnds]:
    credits = ingested.corpus.tracks["artist"].to_pylist()
    names = [credits[item - 1] or "" for item in items.tolist()]
    named = np.array([bool(name) for name in names])
    if not named.any():
        return []
    kinds, owners = np.unique(np.array(names)[named], return_inverse=True)
    ends = factor_ends(vectors[named], owners, factors=factors, count=artists)
    return [{"factor": factor, "low": kinds[low].tolist(), "high": kinds[high].tolist()} for factor, low, high in ends]


def _genres(field: str | None, ingested: Ingested, items: np.ndarray) -> dict[int, str]:
    if field is None:
        return {}
    labels = first_labels(ingested, field, items)
    if labels is None:
        raise InputError(
            f"coldstart.factor_map.genre={field!r} must be a text field: set a field of texts, such as genre"
        )
    return labels


def first_labels(ingested: Ingested, field: str, items: np.ndarray) -> dict[int, str] | None:
    """Return the first label of each track in a text field, or None if the field has values that are not texts.

    - items: int [n].
    """
    ids = ingested.corpus.tracks["id"].take(items - 1).to_pylist()
    with ingested.open() as catalogue:
        present, values = catalogue.field_values(field, ids)
    if values and not isinstance(values[0], str):
        return None
    firsts = [text.split(",")[0].strip() for text in values]
    return {item: genre for item, genre in zip(items[present].tolist(), firsts, strict=True) if genre}

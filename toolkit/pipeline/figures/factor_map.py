"""What there is to see of predicted factors: a map, neighbours and ends, as `looking.json`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from toolkit.coldstart.nearest_factors import ends, nearest_to
from toolkit.errors import InputError
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.figures.example_playlists import Names
from toolkit.pipeline.figures.projection import on_a_plane
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material
from toolkit.seeds import derived_seed

COLOURS = 8
"""Genres told apart on the map; the others are one."""


def look(context: Context, ingested: Ingested, material: Material) -> dict[str, Any]:
    """map: vectors, genres, and points of x, y and the genre's place (−1: none of them) · similar: track, and the nearest by true and by
    predicted factors · ends: factor, and the artists lowest and highest in it.

    The map shows predictions for tracks without placements in training, where there are any; neighbours are sought among tracks with
    placements, which alone have true factors. Raises `InputError` where no track has both.
    """
    spec = context.recipe.coldstart.looking
    assert spec is not None and material.factors is not None
    if spec.predicted in material.missing:
        return {}
    context.reporter.stage("looking")
    factors, predicted = material.factors(), material.modalities[spec.predicted]
    rng = np.random.default_rng(derived_seed(context.recipe.seed, "looking"))
    both = np.flatnonzero(factors.known & predicted.present)
    if len(both) < 2:
        told = f"coldstart.looking: {len(both)} tracks have both factors and {spec.predicted}, and two are needed"
        raise InputError(f"{told}: predict for tracks of the training playlists, or take it out")
    cold = np.flatnonzero(predicted.present & ~factors.known)
    shown = cold if len(cold) >= 4 else both
    shown = np.sort(rng.choice(shown, min(len(shown), spec.tracks), replace=False))
    points = on_a_plane(predicted.matrix[shown], seed=derived_seed(context.recipe.seed, "map"))
    named, genres = Names(ingested.corpus), _genres(spec.genre, ingested, shown)
    common = [
        genre for genre, _ in Counter(genres[item] for item in shown.tolist() if item in genres).most_common(COLOURS)
    ]
    asked = np.sort(rng.choice(len(both), min(len(both), spec.queries), replace=False))
    near = {
        name: nearest_to(table[both], asked, spec.similar)
        for name, table in (("true", factors.items), ("predicted", predicted.matrix))
    }
    return {
        "map": {
            "vectors": spec.predicted,
            "genres": common,
            "points": [
                [
                    round(float(x), 4),
                    round(float(y), 4),
                    common.index(genres[item]) if genres.get(item) in common else -1,
                ]
                for item, (x, y) in zip(shown.tolist(), points, strict=True)
            ],
            "tracks": [named(item) for item in shown.tolist()],
        },
        "similar": [
            {"track": named(int(both[row]))}
            | {name: [named(int(both[other])) for other in rows[place]] for name, rows in near.items()}
            for place, row in enumerate(asked)
        ],
        "ends": _ends(ingested, factors.items[both], both, spec.factors, spec.artists),
    }


def _ends(
    ingested: Ingested, vectors: np.ndarray, items: np.ndarray, factors: int, artists: int
) -> list[dict[str, Any]]:
    credits = ingested.corpus.tracks["artist"].to_pylist()
    names = [credits[item - 1] or "" for item in items.tolist()]
    told = np.array([bool(name) for name in names])
    if not told.any():
        return []
    kinds, owners = np.unique(np.array(names)[told], return_inverse=True)
    found = ends(vectors[told], owners, factors=factors, count=artists)
    return [{"factor": factor, "low": kinds[low].tolist(), "high": kinds[high].tolist()} for factor, low, high in found]


def _genres(field: str | None, ingested: Ingested, items: np.ndarray) -> dict[int, str]:
    if field is None:
        return {}
    found = first_labels(ingested, field, items)
    if found is None:
        raise InputError(f"coldstart.looking: field {field!r} holds no texts, and genres are texts: name another field")
    return found


def first_labels(ingested: Ingested, field: str, items: np.ndarray) -> dict[int, str] | None:
    """The first label of each of `items` int [n] in a field of texts, of those that have one; None where it holds other values."""
    ids = ingested.corpus.tracks["id"].take(items - 1).to_pylist()
    with ingested.open() as catalogue:
        present, values = catalogue.field_values(field, ids)
    if values and not isinstance(values[0], str):
        return None
    firsts = [text.split(",")[0].strip() for text in values]
    return {item: genre for item, genre in zip(items[present].tolist(), firsts, strict=True) if genre}

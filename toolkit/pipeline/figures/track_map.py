"""Where tracks lie to each other in what a run has learned or encoded: the content of `map.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit import run_directory
from toolkit.coldstart.nearest_factors import nearest_to
from toolkit.ingest.label_matrices import FIELDS
from toolkit.ingest.read_data import Ingested
from toolkit.pipeline.figures.example_playlists import Names
from toolkit.pipeline.figures.factor_map import first_labels
from toolkit.pipeline.figures.projection import By, on_a_plane
from toolkit.pipeline.run.fit_systems import fitted
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.seeds import derived_seed

AMONG = 20_000
"""Tracks among which similar ones are sought, the most played: what is held at once is no wider than that."""

NEAREST = 5
SPACES = 4
"""Kinds of vectors beside each other: more would not fit a page."""

COLOURS = 8


@dataclass(frozen=True)
class Space:
    """Vectors float32 [n, d] of the tracks that are looked at, and which of them have one, bool [n]."""

    name: str
    vectors: np.ndarray
    present: np.ndarray


def track_map(context: Context, ingested: Ingested, material: Material, chosen: Sequence[System]) -> dict[str, Any]:
    """vectors: whose the map shows · method: `tsne` or `umap` · by, groups: what colours it · points: track, plays, x, y and group, −1 for
    none of them · among: how many tracks similar ones are sought among · similar: track, and by each kind of vectors (`near`) its nearest.

    The map is of the best ranker on validation that has vectors of tracks; without one, of all modalities joined. It shows the most
    played tracks. Empty where a run has neither, or fewer than two tracks. To be called when `model/systems.json` is written.
    """
    spec, counts = context.recipe.report, material.split.train.counts()
    if not (spec.map or spec.similar):
        return {}
    seed = derived_seed(context.recipe.seed, "track map")
    mixed = 1 + np.random.default_rng(seed).permutation(len(counts) - 1)
    items = mixed[np.argsort(-counts[mixed], kind="stable")][:AMONG]
    learned, encoded = _learned(context, chosen, items), _encoded(material, items)
    drawn = learned or _joined(encoded)
    if not drawn or drawn[0].present.sum() < 2:
        return {}
    context.reporter.stage("map")
    known = np.flatnonzero(drawn[0].present)
    return {
        "vectors": drawn[0].name,
        "method": spec.map_by,
        **_points(ingested, drawn[0].vectors, items, counts, known[: spec.map], seed=seed, by=spec.map_by),
        "among": len(items),
        "similar": _similar([*learned, *encoded][:SPACES], items, known[: spec.similar], Names(ingested.corpus)),
    }


def _learned(context: Context, chosen: Sequence[System], items: np.ndarray) -> list[Space]:
    """Vectors by which the best ranker that has any compares the tracks that it ranks; none where no ranker has."""
    systems = {system.name: system for system in chosen if system.capabilities.embeds}
    for name in (
        entry["system"] for entry in context.run.read(run_directory.SYSTEMS)["systems"] if entry["system"] in systems
    ):
        if (vectors := fitted(context, systems[name]).item_vectors(items)) is not None:
            return [Space(name, vectors, np.isfinite(vectors).all(axis=1))]
    return []


def _encoded(material: Material, items: np.ndarray) -> list[Space]:
    return [
        Space(name, np.asarray(each.matrix[items], np.float32), each.present[items])
        for name, each in material.modalities.items()
    ]


def _joined(spaces: Sequence[Space]) -> list[Space]:
    """Modalities beside each other, each of length one or, where a track lacks it, zero."""
    if not spaces:
        return []
    lengths = [np.linalg.norm(space.vectors, axis=1, keepdims=True) for space in spaces]
    parts = [
        np.divide(space.vectors, length, out=np.zeros_like(space.vectors), where=(length > 0) & space.present[:, None])
        for space, length in zip(spaces, lengths, strict=True)
    ]
    present = np.logical_or.reduce([space.present for space in spaces])
    return [Space(", ".join(space.name for space in spaces), np.concatenate(parts, axis=1), present)]


def _points(
    ingested: Ingested,
    vectors: np.ndarray,
    items: np.ndarray,
    counts: np.ndarray,
    shown: np.ndarray,
    *,
    seed: int,
    by: By,
) -> dict[str, Any]:
    if not len(shown):
        return {"points": []}
    tracks, named = items[shown], Names(ingested.corpus)
    coloured, groups, places = _groups(ingested, tracks, counts[tracks])
    drawn = zip(tracks.tolist(), on_a_plane(vectors[shown], seed=seed, by=by).tolist(), places, strict=True)
    points = [
        {**named(item), "plays": int(counts[item]), "x": round(x, 4), "y": round(y, 4), "group": place}
        for item, (x, y), place in drawn
    ]
    return {"by": coloured, "groups": groups, "points": points}


def _groups(ingested: Ingested, tracks: np.ndarray, plays: np.ndarray) -> tuple[str, list[str], list[int]]:
    """What colours the tracks, the names of its groups, and each track's: the commonest genres, or else quarters of the tracks by plays."""
    field, genres = _genres(ingested, tracks)
    told = [genres.get(item) for item in tracks.tolist()]
    if common := [genre for genre, _ in Counter(genre for genre in told if genre).most_common(COLOURS)]:
        return field, common, [common.index(genre) if genre in common else -1 for genre in told]
    edges = np.unique(np.quantile(plays, [0.25, 0.5, 0.75], method="higher"))
    found, places = np.unique(-np.searchsorted(edges, plays, side="right"), return_inverse=True)
    parts = [plays[places == place] for place in range(len(found))]
    ends = [(int(part.min()), int(part.max())) for part in parts]
    names = [
        (f"{low:,} to {high:,}" if low < high else f"{low:,}") + (" play" if high == 1 == low else " plays")
        for low, high in ends
    ]
    return "plays in training", names, places.tolist()


def _genres(ingested: Ingested, tracks: np.ndarray) -> tuple[str, dict[int, str]]:
    """The first of the catalogue's fields of genres that holds texts, and the first label of each track in it."""
    if ingested.catalogue is not None:
        with ingested.open() as catalogue:
            fields = [field for field in FIELDS["genre"] if field in catalogue.counts()["fields"]]
        for field in fields:
            if (found := first_labels(ingested, field, tracks)) is not None:
                return field, found
    return "", {}


def _similar(spaces: Sequence[Space], items: np.ndarray, asked: np.ndarray, named: Names) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"track": named(int(items[row])), "near": {}} for row in asked]
    for space in spaces:
        there = np.flatnonzero(space.present)
        able = np.flatnonzero(space.present[asked])
        near: Any = (
            nearest_to(space.vectors[there], np.searchsorted(there, asked[able]), NEAREST)
            if len(there) > 1 and len(able)
            else []
        )
        for row in rows:
            row["near"][space.name] = []
        for place, others in zip(able.tolist(), near, strict=True):
            rows[place]["near"][space.name] = [named(int(items[there[other]])) for other in others]
    return rows

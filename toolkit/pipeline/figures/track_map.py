"""Map and neighbours of tracks for `map.json`, from learned or encoded vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit import run_directory
from toolkit.ingest.label_matrices import FIELDS
from toolkit.ingest.read_data import Ingested
from toolkit.packages import REPORT_SKLEARN
from toolkit.pipeline.figures.example_playlists import Names
from toolkit.pipeline.figures.factor_map import first_labels
from toolkit.pipeline.figures.projection import on_a_plane
from toolkit.pipeline.run.fit_systems import fitted
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.result_types import Dot, Neighbours, TrackMap
from toolkit.seeds import derived_seed
from toolkit.topk import nearest_by_cosine

AMONG = 20_000
"""Similar tracks are sought among so many of the most played, which bounds the memory."""

NEAREST = 5
SPACES = 4
"""Kinds of vectors next to each other: more would not fit the page."""

COLOURS = 8


@dataclass(frozen=True)
class Space:
    """Vectors of one kind: float32 [n, d] for the tracks on the map, and a mask bool [n] for tracks with a vector."""

    name: str
    vectors: np.ndarray
    present: np.ndarray


def track_map(context: Context, ingested: Ingested, material: Material, systems: Sequence[System]) -> TrackMap:
    """Return the content of `map.json`: the most played tracks, by the best ranker on validation with track vectors.

    If no ranker has track vectors, the map uses all modalities concatenated. The result is empty for a run without any
    vectors, or with fewer than two tracks. `model/systems.json` must exist.
    """
    spec, counts = context.recipe.report, material.split.train.counts()
    if not (spec.map or spec.similar):
        return {}
    seed = derived_seed(context.recipe.seed, "track map")
    mixed = 1 + np.random.default_rng(seed).permutation(len(counts) - 1)
    items = mixed[np.argsort(-counts[mixed], kind="stable")][:AMONG]
    learned, encoded = _learned(context, systems, items), _encoded(material, items)
    drawn = learned or _concatenated(encoded)
    if not drawn or drawn[0].present.sum() < 2:
        return {}
    context.reporter.stage("map")
    map_size = 0 if spec.map_by == "tsne" and REPORT_SKLEARN.fault else spec.map
    known, names = np.flatnonzero(drawn[0].present), Names(ingested.corpus)
    shown = known[:map_size]
    if not len(shown):
        about: TrackMap = {"points": []}
    else:
        tracks = items[shown]
        field, groups, members = _groups(ingested, tracks, counts[tracks])
        plane = on_a_plane(drawn[0].vectors[shown], seed=seed, by=spec.map_by).tolist()
        points: list[Dot] = [
            {**names(item), "plays": int(counts[item]), "x": round(x, 4), "y": round(y, 4), "group": group}
            for item, (x, y), group in zip(tracks.tolist(), plane, members, strict=True)
        ]
        about = {"by": field, "groups": groups, "points": points}
    return {
        "vectors": drawn[0].name,
        "method": spec.map_by,
        **about,
        "among": len(items),
        "similar": _similar([*learned, *encoded][:SPACES], items, known[: spec.similar], names),
    }


def _learned(context: Context, systems: Sequence[System], items: np.ndarray) -> list[Space]:
    """Return the vectors of the best ranker with track vectors, or an empty result."""
    able = {system.name: system for system in systems if system.capabilities.embeds}
    for entry in context.run.read(run_directory.SYSTEMS)["systems"]:
        name = entry["system"]
        if name in able and (vectors := fitted(context, able[name]).item_vectors(items)) is not None:
            return [Space(name, vectors, np.isfinite(vectors).all(axis=1))]
    return []


def _encoded(material: Material, items: np.ndarray) -> list[Space]:
    return [
        Space(name, np.asarray(each.matrix[items], np.float32), each.present[items])
        for name, each in material.modalities.items()
    ]


def _concatenated(spaces: Sequence[Space]) -> list[Space]:
    """Return all modalities side by side, each with unit norm, or zero for a missing modality."""
    if not spaces:
        return []
    lengths = [np.linalg.norm(space.vectors, axis=1, keepdims=True) for space in spaces]
    parts = [
        np.divide(space.vectors, length, out=np.zeros_like(space.vectors), where=(length > 0) & space.present[:, None])
        for space, length in zip(spaces, lengths, strict=True)
    ]
    present = np.logical_or.reduce([space.present for space in spaces])
    return [Space(", ".join(space.name for space in spaces), np.concatenate(parts, axis=1), present)]


def _groups(ingested: Ingested, tracks: np.ndarray, plays: np.ndarray) -> tuple[str, list[str], list[int]]:
    """Return the field for the colours, the group names, and the group of each track, -1 for no group.

    Groups are the most frequent genres, or quartiles of tracks by plays if the genres are unknown.
    """
    field, genres = _genres(ingested, tracks)
    labels = [genres.get(item) for item in tracks.tolist()]
    if common := [genre for genre, _ in Counter(genre for genre in labels if genre).most_common(COLOURS)]:
        return field, common, [common.index(genre) if genre in common else -1 for genre in labels]
    edges = np.unique(np.quantile(plays, [0.25, 0.5, 0.75], method="higher"))
    quarters, places = np.unique(-np.searchsorted(edges, plays, side="right"), return_inverse=True)
    parts = [plays[places == place] for place in range(len(quarters))]
    names = [
        (f"{low:,} to {high:,}" if low < high else f"{low:,}") + (" play" if high == 1 == low else " plays")
        for low, high in [(int(part.min()), int(part.max())) for part in parts]
    ]
    return "plays in training", names, places.tolist()


def _genres(ingested: Ingested, tracks: np.ndarray) -> tuple[str, dict[int, str]]:
    """Return the first genre field in the catalogue that has texts, and the first label of each track in this field."""
    if ingested.catalogue is not None:
        with ingested.open() as catalogue:
            fields = [field for field in FIELDS["genre"] if field in catalogue.counts()["fields"]]
        for field in fields:
            if (labels := first_labels(ingested, field, tracks)) is not None:
                return field, labels
    return "", {}


def _similar(spaces: Sequence[Space], items: np.ndarray, rows: np.ndarray, names: Names) -> list[Neighbours]:
    """Return the nearest tracks among `items` to each of `rows`, for each kind of vectors."""
    similar: list[Neighbours] = [{"track": names(int(items[row])), "near": {}} for row in rows]
    for space in spaces:
        present, able = np.flatnonzero(space.present), np.flatnonzero(space.present[rows])
        for neighbours in similar:
            neighbours["near"][space.name] = []
        if len(present) > 1 and len(able):
            near = nearest_by_cosine(space.vectors[present], np.searchsorted(present, rows[able]), NEAREST)
            for place, others in zip(able.tolist(), near, strict=True):
                similar[place]["near"][space.name] = [names(int(items[present[other]])) for other in others]
    return similar

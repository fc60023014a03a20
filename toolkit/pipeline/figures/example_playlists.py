"""A few test playlists with what each system would play next, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.pipeline.run.fit_systems import fitted
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.seeds import derived_seed


def examples(context: Context, material: Material, systems: Sequence[System]) -> list[dict[str, Any]]:
    """Rows of `examples.json`: drawn test playlists, at most one of each group, with the first tracks of every ranking."""
    test, length = material.split.test, context.recipe.report.example_length
    rows = draw(test, context.recipe.report.examples, seed=context.recipe.seed)
    if not len(rows):
        return []
    chosen = test.take(rows)
    queries, (tracks, offsets) = chosen.queries(), chosen.hidden()
    hidden = [tracks[offsets[row] : offsets[row + 1]] for row in range(len(chosen))]
    named = Names(test.corpus)
    found = [_shown(named, chosen, row, hidden[row]) for row in range(len(chosen))]
    for system in systems:
        ids, scores = fitted(context, system).rank(
            queries, length, allow_repeats=context.recipe.evaluation.allow_repeats
        )
        for row, example in enumerate(found):
            ranked = zip(ids[row].tolist(), scores[row].tolist(), strict=True)
            hits = set(hidden[row].tolist())
            example["systems"][system.name] = [
                {**named(item), "score": round(score, 6), "hit": item in hits} for item, score in ranked if item
            ]
    return found


def draw(test: HeldOut, count: int, *, seed: int) -> np.ndarray:
    """Places of `count` playlists of different groups, in the test set's order: int64."""
    rng = np.random.default_rng(derived_seed(seed, "examples"))
    order = rng.permutation(len(test))
    first = np.unique(test.groups()[order], return_index=True)[1]
    return np.sort(order[np.sort(first)][:count])


class Names:
    """An item as id, title and artist."""

    def __init__(self, corpus: Corpus) -> None:
        self.tracks = corpus.tracks.select(["id", "title", "artist"])

    def __call__(self, item: int) -> dict[str, Any]:
        row: dict[str, Any] = self.tracks.slice(item - 1, 1).to_pylist()[0]
        return row


def _shown(named: Names, chosen: HeldOut, row: int, hidden: np.ndarray) -> dict[str, Any]:
    seeds = chosen.items[chosen.starts[row] : chosen.cuts[row]]
    playlist = chosen.corpus.playlists.slice(int(chosen.rows[row]), 1).to_pylist()[0]
    return {
        "playlist": playlist["id"],
        "title": playlist["title"],
        "seeds": [named(item) for item in seeds.tolist()],
        "hidden": [named(item) for item in hidden.tolist()],
        "systems": {},
    }

"""Example test playlists with the first tracks from the ranking of each system."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.pipeline.run.fit_systems import fitted
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, System
from toolkit.result_types import Example, RankedTrack, Track
from toolkit.seeds import derived_seed


def examples(context: Context, material: Material, systems: Sequence[System]) -> list[Example]:
    """Return the rows of `examples.json`: random test playlists from different groups, with the first ranked tracks."""
    test, length = material.split.test, context.recipe.report.example_length
    rows = draw(test, context.recipe.report.examples, seed=context.recipe.seed)
    if not len(rows):
        return []
    chosen, names = test.take(rows), Names(test.corpus)
    queries, (tracks, offsets) = chosen.queries(), chosen.hidden()
    hidden = [tracks[offsets[row] : offsets[row + 1]].tolist() for row in range(len(chosen))]
    ranked: list[dict[str, list[RankedTrack]]] = [{} for _ in hidden]
    for system in systems:
        ids, scores = fitted(context, system).rank(
            queries, length, allow_repeats=context.recipe.evaluation.allow_repeats
        )
        for row, held in enumerate(hidden):
            ranked[row][system.name] = [
                {**names(item), "score": round(score, 6), "hit": item in held}
                for item, score in zip(ids[row].tolist(), scores[row].tolist(), strict=True)
                if item
            ]
    return [_example(names, chosen, row, hidden[row], ranked[row]) for row in range(len(chosen))]


def draw(test: HeldOut, count: int, *, seed: int) -> np.ndarray:
    """Return the positions of `count` random playlists from different groups, int64, in test set order."""
    order = np.random.default_rng(derived_seed(seed, "examples")).permutation(len(test))
    first = np.unique(test.groups()[order], return_index=True)[1]
    return np.sort(order[np.sort(first)][:count])


class Names:
    """Id, title and artist of each track in a corpus, by item id."""

    def __init__(self, corpus: Corpus) -> None:
        self.tracks = corpus.tracks.select(["id", "title", "artist"])

    def __call__(self, item: int) -> Track:
        track: Track = self.tracks.slice(item - 1, 1).to_pylist()[0]
        return track


def _example(
    names: Names, chosen: HeldOut, row: int, hidden: Sequence[int], systems: dict[str, list[RankedTrack]]
) -> Example:
    seeds = chosen.items[chosen.starts[row] : chosen.cuts[row]]
    playlist = chosen.corpus.playlists.slice(int(chosen.rows[row]), 1).to_pylist()[0]
    return {
        "playlist": playlist["id"],
        "title": playlist["title"],
        "seeds": [names(item) for item in seeds.tolist()],
        "hidden": [names(item) for item in hidden],
        "systems": systems,
    }

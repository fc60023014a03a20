"""Best possible ranking of the demo catalogue, computed from the known latent variables.

The hidden tracks depend only on the true taste mix, walk, length and seeds of a
playlist. For a fixed number of hidden tracks, expected Recall@k and expected
NDCG@k (binary relevance) are sums over ranks of a probability times a weight
that decreases with the rank. Ranking by each track's probability to be hidden
therefore maximises both metrics at every k (probability ranking principle:
Robertson 1977, J. Documentation 33(4)). A system can exceed the bound by luck
on a few playlists, but not in expectation.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_story import Story
from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.queries import Queries
from toolkit.errors import InputError, RunDirectoryError
from toolkit.ranker import Capabilities, Scorer, TrainingData


class UpperBoundParams(DemoParams, BaselineParams):
    """Options of the demo reader that generated the corpus."""


class UpperBound(Baseline):
    """Ranks tracks by their true probability of being hidden, as an oracle for the demo catalogue.

    The ranker reads the story instead of the hidden tracks. The story is not available to other systems, so the ranker
    is an `oracle`. Queries must be playlists of the corpus (`rows`), shown from their beginning.

    State: track_of_item int64 [V + 1] (row 0 is -1) and playlist_of_row int64 [P], which are indices of the story, and
    the story's digest, uint8.
    """

    name = "upper-bound"
    capabilities = Capabilities(cold_tracks=True, oracle=True, deterministic=True)
    Params = UpperBoundParams

    @cached_property
    def story(self) -> Story:
        return Story(DemoParams(**self.params.model_dump()))

    def learn(self, data: TrainingData) -> State:
        """Match the corpus's tracks and playlists with the story, without training."""
        return _matched(self.story, data.train.corpus)

    def restore(self, directory: Path, *, device: str) -> None:
        """Generate the story again. Raises `RunDirectoryError` if it differs from the saved story."""
        if self.story.digest != self.state["digest"].tobytes().hex():
            raise RunDirectoryError(
                f"{directory} was written by a version with a different demo catalogue: run the recipe again"
            )

    def scorer(self, queries: Queries) -> Scorer:
        """Return a scorer. Raises `InputError` unless queries are corpus playlists, shown from their beginning."""
        if queries.rows is None:
            raise InputError(
                "upper-bound requires queries with corpus rows (playlists of the demo corpus): remove upper-bound"
            )
        scores = np.full((len(queries), self.n_items + 1), -np.inf, dtype=np.float32)
        for b, row in enumerate(queries.rows):
            seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
            scores[b, 1:] = self._probabilities(int(row), seeds)
        return lambda items: scores[:, items]

    def _probabilities(self, row: int, seeds: np.ndarray) -> np.ndarray:
        """Return the probability of items 1…V to be hidden in corpus row `row`: float64 [V]."""
        playlist, track_of_item = int(self.state["playlist_of_row"][row]), self.state["track_of_item"]
        shown = track_of_item[seeds]
        if not np.array_equal(_kept(self.story, playlist, track_of_item)[: len(shown)], shown):
            raise InputError(
                f"upper-bound requires {self.story.playlist_id(playlist)} to be shown in order from the first track"
            )
        tracks = self.story.lists.tracks[playlist]
        position = int(np.flatnonzero(tracks == shown[-1])[0]) + 1 if len(shown) else 0
        return self.story.inclusion(playlist, position)[track_of_item[1:]]


def _matched(story: Story, corpus: Corpus) -> State:
    """Return the corpus's tracks and playlists as indices of the story, after comparing every playlist."""
    tracks = {story.track_id(track): track for track in range(story.world.n_tracks)}
    playlists = {story.playlist_id(playlist): playlist for playlist in range(len(story.lists))}
    track_of_item = np.array([-1, *_indices(corpus.tracks["id"].to_pylist(), tracks, story)], dtype=np.int64)
    playlist_of_row = np.array(_indices(corpus.playlists["id"].to_pylist(), playlists, story), dtype=np.int64)
    for row, playlist in enumerate(playlist_of_row.tolist()):
        held = track_of_item[corpus.items[corpus.offsets[row] : corpus.offsets[row + 1]]]
        if not np.array_equal(_kept(story, playlist, track_of_item), held):
            raise InputError(
                f"{story.playlist_id(playlist)} must have the tracks of the demo catalogue with {_options(story)}:"
                " read that catalogue to use upper-bound"
            )
    digest = np.frombuffer(bytes.fromhex(story.digest), dtype=np.uint8)
    return {"track_of_item": track_of_item, "playlist_of_row": playlist_of_row, "digest": digest}


def _kept(story: Story, playlist: int, track_of_item: np.ndarray) -> np.ndarray:
    """Return the playlist's tracks in order, without tracks that a filter removed from the corpus."""
    tracks = story.lists.tracks[playlist]
    return tracks[np.isin(tracks, track_of_item)]


def _indices(ids: list[str], known: dict[str, int], story: Story) -> list[int]:
    """Return the index of each id in the story."""
    unknown = next((id_ for id_ in ids if id_ not in known), None)
    if unknown is not None:
        raise InputError(
            f"{unknown!r} is not in the demo catalogue with {_options(story)}: read that catalogue to use upper-bound"
        )
    return [known[id_] for id_ in ids]


def _options(story: Story) -> str:
    params = story.params
    return f"tracks={params.tracks}, artists={params.artists}, playlists={params.playlists}, seed={params.seed}"

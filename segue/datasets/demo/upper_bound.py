"""The best ranking that is possible on the demo catalogue, whose story is known.

Given the true taste mix, walk and length of a playlist, and its seeds, the
hidden tracks depend on nothing else. For a fixed number of them, expected
Recall@k and expected NDCG@k (binary relevance) are both sums over ranks of a
probability times a weight that falls with the rank. Ranking by each track's
probability to be hidden therefore maximises both at every k (probability
ranking principle: Robertson 1977, J. Documentation 33(4)). A system can beat
it by luck on a few playlists, but not in the mean.
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
    """The options of the demo reader that the corpus was read with."""


class UpperBound(Baseline):
    """Ranks tracks by their true probability of being hidden, known only for the demo catalogue: an oracle.

    It reads the story, not the hidden tracks. It is an `oracle` all the same, since no system has the story. Queries
    must be playlists of the corpus (`rows`), shown from their beginning.

    State: track_of_item int64 [V + 1] (row 0 is -1) and playlist_of_row int64 [P], indices of the story; its digest,
    uint8.
    """

    name = "upper-bound"
    capabilities = Capabilities(cold_tracks=True, oracle=True, deterministic=True)
    Params = UpperBoundParams

    @cached_property
    def story(self) -> Story:
        return Story(DemoParams(**self.params.model_dump()))

    def learn(self, data: TrainingData) -> State:
        """Find the corpus's tracks and playlists in the story. There is nothing to learn."""
        return _matched(self.story, data.train.corpus)

    def restore(self, directory: Path, *, device: str) -> None:
        """Draw the story again. Raises `RunDirectoryError` if it differs from the one that was saved."""
        if self.story.digest != self.state["digest"].tobytes().hex():
            raise RunDirectoryError(
                f"{directory} was written by a version that draws another demo catalogue: run the recipe again"
            )

    def scorer(self, queries: Queries) -> Scorer:
        """Raises `InputError` for queries that are not playlists of the corpus, shown from their beginning."""
        if queries.rows is None:
            raise InputError(
                "upper-bound ranks only playlists of the demo corpus, and these queries have no rows: leave it out"
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
                f"upper-bound needs {self.story.playlist_id(playlist)} shown from its beginning, in its order"
            )
        tracks = self.story.lists.tracks[playlist]
        position = int(np.flatnonzero(tracks == shown[-1])[0]) + 1 if len(shown) else 0
        return self.story.inclusion(playlist, position)[track_of_item[1:]]


def _matched(story: Story, corpus: Corpus) -> State:
    """Return the corpus's tracks and playlists as indices of the story. Every playlist is compared."""
    tracks = {story.track_id(track): track for track in range(story.world.n_tracks)}
    playlists = {story.playlist_id(playlist): playlist for playlist in range(len(story.lists))}
    track_of_item = np.array([-1, *_indices(corpus.tracks["id"].to_pylist(), tracks, story)], dtype=np.int64)
    playlist_of_row = np.array(_indices(corpus.playlists["id"].to_pylist(), playlists, story), dtype=np.int64)
    for row, playlist in enumerate(playlist_of_row.tolist()):
        held = track_of_item[corpus.items[corpus.offsets[row] : corpus.offsets[row + 1]]]
        if not np.array_equal(_kept(story, playlist, track_of_item), held):
            raise InputError(
                f"{story.playlist_id(playlist)} holds other tracks than in the demo catalogue with {_options(story)}"
            )
    digest = np.frombuffer(bytes.fromhex(story.digest), dtype=np.uint8)
    return {"track_of_item": track_of_item, "playlist_of_row": playlist_of_row, "digest": digest}


def _kept(story: Story, playlist: int, track_of_item: np.ndarray) -> np.ndarray:
    """Return the playlist's tracks in order, without those that a filter kept out of the corpus."""
    tracks = story.lists.tracks[playlist]
    return tracks[np.isin(tracks, track_of_item)]


def _indices(ids: list[str], known: dict[str, int], story: Story) -> list[int]:
    """Return the index of each id in the story."""
    unknown = next((id_ for id_ in ids if id_ not in known), None)
    if unknown is not None:
        raise InputError(
            f"{unknown!r} is not in the demo catalogue with {_options(story)}: upper-bound needs that catalogue"
        )
    return [known[id_] for id_ in ids]


def _options(story: Story) -> str:
    params = story.params
    return f"tracks={params.tracks}, artists={params.artists}, playlists={params.playlists}, seed={params.seed}"

"""Neighbouring playlists that know the order of tracks: what VSKNN, STAN and VSTAN share.

A query meets a training playlist in every seed that both hold. From where a seed stands in the query and in
the playlist come the weights by which the playlists most like the query speak for their tracks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from toolkit.baselines.baseline import Baseline, State
from toolkit.baselines.sparse_products import packed, unpacked
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.item_similarity import by_item, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.ranker import Scorer, TrainingData

BLOCK_ENTRIES = 4_000_000
"""Meetings, and placements of neighbours, that are held at once: about 50 bytes each."""


@dataclass(frozen=True)
class Meetings:
    """Seeds that queries share with training playlists, one entry each, by query and playlist, the query's last such seed last.

    row: query. playlist. item. back: how many seeds stand behind it in the query, from 0. place: its place in the playlist, from 1.
    length: of the query. All [m].
    """

    row: np.ndarray
    playlist: np.ndarray
    item: np.ndarray
    back: np.ndarray
    place: np.ndarray
    length: np.ndarray


class SessionNeighbours(Baseline):
    """Score of track i: the sum over the query's nearest playlists n of similarity(q, n) times `speaks` for i in n, times i's idf.

    Subclasses say what a shared seed counts (`counts`), how the sum over them becomes a similarity (`similar`), what a neighbour's
    word is worth by its latest shared seed (`trust`) and how far from that seed its tracks are heard (`reach`, in tracks).
    Equally similar playlists: the earlier one. A track that no neighbour holds cannot be ranked (-inf).
    State: plays, tracks by playlists, each placement's place in its playlist from 1; idf float32 [V + 1].
    """

    def learn(self, data: TrainingData) -> State:
        items, offsets = data.train.flat()
        lengths = np.diff(offsets)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        places = np.arange(len(items)) - np.repeat(offsets[:-1], lengths) + 1
        # a repeated track stands where it stood last
        key = rows * (data.n_items + 1) + items
        last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
        shape = (len(lengths), data.n_items + 1)
        plays = sp.csr_matrix((places[last].astype(np.float32), (rows[last], items[last])), shape)
        held = np.bincount(items[last], minlength=shape[1])
        idf = (
            np.log(max(1, len(lengths)) / np.maximum(held, 1)) + 1.0
            if getattr(self.params, "idf", False)
            else np.ones(shape[1])
        )
        return packed(by_item(plays), "plays") | {"idf": idf.astype(np.float32)}

    @abstractmethod
    def counts(self, met: Meetings) -> np.ndarray:
        """What each shared seed adds to the similarity: float64 [m]."""

    @abstractmethod
    def similar(self, sums: np.ndarray, query: np.ndarray, playlist: np.ndarray) -> np.ndarray:
        """Similarity of pairs, from the sums of `counts` and the lengths of both: float64 [p]."""

    def trust(self, back: np.ndarray) -> np.ndarray | float:
        """Weight of a neighbour by how many seeds stand behind the last shared one: [p]."""
        return 1.0

    @property
    def reach(self) -> float | None:
        """Tracks over which a neighbour's word falls to 1/e on both sides of the last shared seed; None: all count alike."""
        return None

    def scorer(self, queries: Queries) -> Scorer:
        plays = unpacked(self.state, "plays")  # (V + 1, P), places
        of_playlist = plays.T.tocsr()
        parts = [part for block in self._blocks(queries, plays) for part in self._scores(block, plays, of_playlist)]
        whole = sp.vstack(parts, format="csc") if parts else sp.csc_matrix((0, self.n_items + 1), dtype=np.float32)
        idf = self.state["idf"]

        def score(items: np.ndarray) -> np.ndarray:
            scores = np.asarray(whole[:, items].toarray(), np.float32) * idf[items]
            scores[scores == 0] = -np.inf
            return scores

        return score

    def _blocks(self, queries: Queries, plays: sp.csr_matrix) -> Iterator[Queries]:
        met = np.diff(plays.indptr)[queries.seeds]
        costs = (
            np.add.reduceat(np.append(met, 0), queries.offsets[:-1]) * (queries.lengths > 0)
            if len(queries)
            else np.zeros(0)
        )
        return (queries.part(start, stop) for start, stop in blocks_of(costs, BLOCK_ENTRIES))

    def _scores(self, queries: Queries, plays: sp.csr_matrix, of_playlist: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
        """Scores of every track that a neighbour holds, float32 [b, V + 1], for a few queries at a time."""
        met = meetings(queries, plays)
        key = met.row * plays.shape[1] + met.playlist
        pairs, first = np.unique(key, return_index=True)
        last = np.append(first[1:], len(key)) - 1
        row, playlist = np.divmod(pairs, plays.shape[1])
        sums = np.add.reduceat(self.counts(met), first) if len(first) else np.zeros(0)
        similarity = self.similar(sums, met.length[first], np.diff(of_playlist.indptr)[playlist])
        near = top_per_row(
            sp.csr_matrix((similarity, (row, playlist)), (len(queries), plays.shape[1])), self.params.neighbours
        )
        # the entry of each neighbour's latest shared seed
        rows = np.repeat(np.arange(len(queries)), np.diff(near.indptr))
        latest = last[np.searchsorted(pairs, rows * plays.shape[1] + near.indices)]
        weights = near.data * self.trust(met.back[latest])
        sizes = np.diff(of_playlist.indptr)[near.indices]
        costs = np.bincount(rows, weights=sizes, minlength=len(queries))
        for start, stop in blocks_of(costs, BLOCK_ENTRIES):
            part = slice(near.indptr[start], near.indptr[stop])
            bounds = near.indptr[start : stop + 1] - part.start
            spoken = sp.csr_matrix((weights[part], near.indices[part], bounds), (stop - start, plays.shape[1]))
            yield self._heard(spoken, met.place[latest[part]], of_playlist).astype(np.float32)

    def _heard(self, weights: sp.csr_matrix, place: np.ndarray, of_playlist: sp.csr_matrix) -> sp.csr_matrix:
        """What neighbours of `weights` [b, P] say of tracks; `place` [entries] is where the latest shared seed stands in each."""
        sizes = np.diff(of_playlist.indptr)[weights.indices]
        entry = np.repeat(np.arange(len(sizes)), sizes)
        at = (
            np.arange(len(entry))
            - np.repeat(np.cumsum(sizes) - sizes, sizes)
            + np.repeat(of_playlist.indptr[weights.indices], sizes)
        )
        values = weights.data[entry]
        if self.reach is not None:
            values = values * np.exp(-np.abs(of_playlist.data[at] - place[entry]) / self.reach)
        bounds = np.concatenate([[0], np.cumsum(sizes)])[weights.indptr]
        heard = sp.csr_matrix((values, of_playlist.indices[at], bounds), (weights.shape[0], of_playlist.shape[1]))
        heard.sum_duplicates()
        return heard


def meetings(queries: Queries, plays: sp.csr_matrix) -> Meetings:
    """Where the queries' seeds stand in the training playlists `plays` [V + 1, P]; a repeated seed counts where it stood last."""
    lengths = queries.lengths
    rows = np.repeat(np.arange(len(queries)), lengths)
    back = np.repeat(queries.offsets[1:], lengths) - 1 - np.arange(len(queries.seeds))
    key = rows * plays.shape[0] + queries.seeds
    last = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    item = queries.seeds[last].astype(np.int64)
    counts = np.diff(plays.indptr)[item]
    seed = np.repeat(last, counts)
    at = np.arange(len(seed)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(plays.indptr[item], counts)
    playlist = plays.indices[at].astype(np.int64)
    order = np.lexsort((-back[seed], playlist, rows[seed]))
    seed, at, playlist = seed[order], at[order], playlist[order]
    return Meetings(
        rows[seed], playlist, queries.seeds[seed].astype(np.int64), back[seed], plays.data[at], lengths[rows[seed]]
    )

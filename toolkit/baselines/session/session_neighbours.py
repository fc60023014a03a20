"""Base class of VSKNN, STAN and VSTAN, in which similar training playlists vote for their tracks.

Each seed that a query shares with a training playlist adds to their similarity, by its position in the query. The
tracks of the most similar playlists are scored by their distance to the last shared seed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from toolkit.baselines.baseline import State
from toolkit.baselines.sparse_products import column_scorer, packed, unpacked
from toolkit.baselines.sparse_ranker import SparseRanker
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, floats
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.item_similarity import by_item, top_per_row
from toolkit.corpus.queries import Queries
from toolkit.ranker import Scorer, TrainingData

BLOCK_ENTRIES = 4_000_000
"""Shared seeds, and placements of neighbours, that are held at once: about 50 bytes each."""


@dataclass(frozen=True)
class SharedSeeds:
    """Seeds that queries share with training playlists, with an entry for each shared seed.

    Entries are sorted by query, playlist and position in the query. All arrays are [m].

    - row: query.
    - playlist: training playlist.
    - back: number of seeds that follow in the query, from 0.
    - position: position in the training playlist, from 1.
    - length: number of seeds of the query.
    """

    row: np.ndarray
    playlist: np.ndarray
    back: np.ndarray
    position: np.ndarray
    length: np.ndarray


class SessionNeighbours(SparseRanker):
    """Base class of rankers that sum similarity · trust · decay · idf over the nearest playlists with a track.

    Subclasses define the summand of a shared seed (`counts`), the similarity from the sum (`similar`), the weight of a
    neighbour by its last shared seed (`trust`) and the decay of its tracks with the distance from that seed (`reach`).

    Ties between playlists are broken by order. A track that is in no neighbour cannot be ranked (-inf).

    State: plays, tracks by playlists, with the position of each track in its playlist from 1; idf float32 [V + 1].
    """

    def learn(self, data: TrainingData) -> State:
        items, offsets = data.train.flat()
        lengths = np.diff(offsets)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        positions = np.arange(len(items)) - np.repeat(offsets[:-1], lengths) + 1
        last = _last_occurrences(rows * (data.n_items + 1) + items)  # a repeated track counts where it was last
        shape = (len(lengths), data.n_items + 1)
        plays = sp.csr_matrix((positions[last].astype(np.float32), (rows[last], items[last])), shape)
        idf = np.ones(shape[1])
        if getattr(self.params, "idf", False):
            playlists = np.bincount(items[last], minlength=shape[1])
            idf = np.log(max(1, len(lengths)) / np.maximum(playlists, 1)) + 1.0
        return packed(by_item(plays), "plays") | {"idf": idf.astype(np.float32)}

    @abstractmethod
    def counts(self, shared: SharedSeeds) -> np.ndarray:
        """Return the summand of each shared seed in the similarity: float64 [m]."""

    @abstractmethod
    def similar(self, sums: np.ndarray, query: np.ndarray, playlist: np.ndarray) -> np.ndarray:
        """Return the similarity of pairs, from the sums of `counts` and the lengths of both playlists: float64 [p]."""

    def trust(self, back: np.ndarray) -> np.ndarray | float:
        """Return the weight of a neighbour by the number of seeds that follow the last shared seed: [p]."""
        return 1.0

    @property
    def reach(self) -> float | None:
        """Distance in tracks from the last shared seed at which weights fall to 1/e; None for no decay."""
        return None

    def layout(self, names: Collection[str]) -> Layout:
        return {"plays": Sparse(TRACKS, "playlists"), "idf": floats(TRACKS)}

    def scorer(self, queries: Queries) -> Scorer:
        parts = list(self._votes(queries))
        whole = sp.vstack(parts, format="csc") if parts else sp.csc_matrix((0, self.n_items + 1), dtype=np.float32)
        return column_scorer(whole, self.state["idf"])

    def sparse_scores(self, queries: Queries, most: int) -> Iterator[sp.csr_matrix]:
        for part in self._votes(queries):
            part.data *= self.state["idf"][part.indices]
            yield part

    def _votes(self, queries: Queries) -> Iterator[sp.csr_matrix]:
        """Yield scores of consecutive queries before `idf`: float32 [b, V + 1]."""
        plays = unpacked(self.state, "plays")  # (V + 1, P), positions
        of_playlist = plays.T.tocsr()
        for block in _blocks(queries, plays):
            yield from self._scores(block, plays, of_playlist)

    def _scores(self, queries: Queries, plays: sp.csr_matrix, of_playlist: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
        """Yield the scores of all tracks in neighbours, float32 [b, V + 1], for a few queries at a time."""
        shared = shared_seeds(queries, plays)
        key = shared.row * plays.shape[1] + shared.playlist
        pairs, first = np.unique(key, return_index=True)
        last = np.append(first[1:], len(key)) - 1
        row, playlist = np.divmod(pairs, plays.shape[1])
        sums = np.add.reduceat(self.counts(shared), first) if len(first) else np.zeros(0)
        similarity = self.similar(sums, shared.length[first], np.diff(of_playlist.indptr)[playlist])
        near = top_per_row(
            sp.csr_matrix((similarity, (row, playlist)), (len(queries), plays.shape[1])), self.params.neighbours
        )
        # the entry of each neighbour's last shared seed
        rows = np.repeat(np.arange(len(queries)), np.diff(near.indptr))
        latest = last[np.searchsorted(pairs, rows * plays.shape[1] + near.indices)]
        weights = near.data * self.trust(shared.back[latest])
        costs = np.bincount(rows, weights=np.diff(of_playlist.indptr)[near.indices], minlength=len(queries))
        for start, stop in blocks_of(costs, BLOCK_ENTRIES):
            part = slice(near.indptr[start], near.indptr[stop])
            bounds = near.indptr[start : stop + 1] - part.start
            votes = sp.csr_matrix((weights[part], near.indices[part], bounds), (stop - start, plays.shape[1]))
            yield self._summed(votes, shared.position[latest[part]], of_playlist).astype(np.float32)

    def _summed(self, weights: sp.csr_matrix, position: np.ndarray, of_playlist: sp.csr_matrix) -> sp.csr_matrix:
        """Sum the votes of neighbours for tracks: [b, V + 1].

        - weights: weights of neighbours, [b, P].
        - position: position of the last shared seed in each stored neighbour, [entries].
        """
        entry, at = _entries_of_rows(of_playlist, weights.indices)
        values = weights.data[entry]
        if self.reach is not None:
            values = values * np.exp(-np.abs(of_playlist.data[at] - position[entry]) / self.reach)
        bounds = np.concatenate([[0], np.cumsum(np.diff(of_playlist.indptr)[weights.indices])])[weights.indptr]
        scores = sp.csr_matrix((values, of_playlist.indices[at], bounds), (weights.shape[0], of_playlist.shape[1]))
        scores.sum_duplicates()
        return scores


def shared_seeds(queries: Queries, plays: sp.csr_matrix) -> SharedSeeds:
    """Return the queries' seeds in the training playlists `plays` [V + 1, P].

    A repeated seed counts at its last position.
    """
    lengths = queries.lengths
    rows = np.repeat(np.arange(len(queries)), lengths)
    back = np.repeat(queries.offsets[1:], lengths) - 1 - np.arange(len(queries.seeds))
    last = _last_occurrences(rows * plays.shape[0] + queries.seeds)
    entry, at = _entries_of_rows(plays, queries.seeds[last].astype(np.int64))
    seed, playlist = last[entry], plays.indices[at].astype(np.int64)
    order = np.lexsort((-back[seed], playlist, rows[seed]))
    seed, at, playlist = seed[order], at[order], playlist[order]
    return SharedSeeds(rows[seed], playlist, back[seed], plays.data[at], lengths[rows[seed]])


def _blocks(queries: Queries, plays: sp.csr_matrix) -> Iterator[Queries]:
    """Yield blocks of queries with a bounded number of shared seeds."""
    playlists = np.append(np.diff(plays.indptr)[queries.seeds], 0)
    costs = np.zeros(0)
    if len(queries):
        costs = np.add.reduceat(playlists, queries.offsets[:-1]) * (queries.lengths > 0)
    return (queries.part(start, stop) for start, stop in blocks_of(costs, BLOCK_ENTRIES))


def _last_occurrences(keys: np.ndarray) -> np.ndarray:
    """Return the index of the last occurrence of each distinct key, in ascending order of keys."""
    return np.asarray(len(keys) - 1 - np.unique(keys[::-1], return_index=True)[1])


def _entries_of_rows(matrix: sp.csr_matrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored entries of some rows, row by row, as an index into `rows` and into `matrix.data`."""
    sizes = np.diff(matrix.indptr)[rows]
    entry = np.repeat(np.arange(len(rows)), sizes)
    return entry, np.arange(len(entry)) - (np.cumsum(sizes) - sizes)[entry] + matrix.indptr[rows][entry]

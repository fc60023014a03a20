"""Mean log rank of hidden tracks, a measure of the whole ranking for validation sets with few hits.

It is the logarithm of the geometric mean rank (Hoyt, Berrendorf, Galkin, Tresp and Gyori, "A Unified Framework for
Rank-based Evaluation Metrics for Link Prediction in Knowledge Graphs", 2022, section 3). A rank that halves counts the
same anywhere in the ranking. A mean of ranks would depend mostly on the worst ranks, and a mean of reciprocal ranks on
the first ones, of which a small validation set has almost none. Unlike the validation loss it does not depend on the
scale of scores. Ranks are counted, not sorted. A tie counts against the hidden track: the pessimistic rank of
Berrendorf, Faerman, Vermue and Tresp, "On the Ambiguity of Rank-Based Evaluation of Entity Alignment or Link Prediction
Methods", 2020. Thus a model that gives every track the same score is the worst.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.early_stopping import FEW_HITS, counted
from toolkit.evaluation.metrics.hits import hits
from toolkit.ranker import Ranker
from toolkit.topk import Scorer, row_counts, score_blocks

SCORES = 2**22
"""Scores in memory at once."""


@dataclass
class HitCount:
    """Hits in the rankings of validation playlists, and log ranks of their hidden tracks as long as hits are few.

    - k: length of the rankings in which hits are counted.
    - known: bool [V + 1], tracks that the ranker has learned about. The ranks of other hidden tracks are left out,
      because their scores are all equal or come from random vectors, and would hide how the others improve.
    """

    ranker: Ranker
    k: int
    known: np.ndarray
    hits: int = 0
    means: list[np.ndarray] = field(default_factory=list)

    def add(self, part: HeldOut, queries: Queries, ids: np.ndarray) -> None:
        """Count the hits of a block of playlists. ids: int [B, K], rankings for `queries`, of which the first k count.

        With few hits so far, the hidden tracks are ranked as well.
        """
        self.hits += int(hits(ids[:, : self.k], *part.hidden()).sum())
        if self.hits < FEW_HITS:
            self.means.append(playlist_log_ranks(self.ranker, part, queries, self.known))

    def values(self) -> dict[str, float]:
        """Return what `early_stopping.merits` requires of an epoch besides its metric.

        `hits`, and if they are few `log_rank`: the mean natural logarithm of ranks within playlists, then over
        playlists, lower is better. `log_rank` is left out if no hidden track is known.
        """
        means = np.concatenate([np.zeros(0), *self.means])
        return counted(self.hits, None if np.isnan(means).all() else float(np.nanmean(means)))


def playlist_log_ranks(ranker: Ranker, part: HeldOut, queries: Queries, known: np.ndarray) -> np.ndarray:
    """Return the mean log rank of each playlist's known hidden tracks, float64 [B], NaN without one."""
    tracks, offsets = part.hidden()
    owners, chosen = np.repeat(np.arange(len(part)), np.diff(offsets)), known[tracks]
    tracks, owners = tracks[chosen], owners[chosen]
    sizes = np.bincount(owners, minlength=len(part))
    logs = np.log(hidden_ranks(ranker, part, queries, tracks, owners))
    return np.where(sizes > 0, np.bincount(owners, logs, minlength=len(part)) / np.maximum(sizes, 1), np.nan)


def hidden_ranks(ranker: Ranker, part: HeldOut, queries: Queries, tracks: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the rank of hidden tracks among the candidates except seeds, from 1: int64 [h]. Ties rank before them.

    - tracks: int [h], and owners: int [h], ascending, their playlists in `part`.

    A track that cannot be ranked (−∞) comes last.
    """
    sizes, scorer = np.bincount(owners, minlength=len(part)), ranker.scorer(queries)
    block = max(1, SCORES // max(1, len(part)))
    own, ranks = _own_scores(scorer, tracks, owners, block), np.ones(len(tracks), np.int64)
    # one pass for the nth hidden track of every playlist: playlists with the most hidden tracks come first
    order, firsts = np.argsort(-sizes, kind="stable"), np.cumsum(sizes) - sizes
    place_of = np.argsort(order)
    for items, scores, seeds in score_blocks(scorer, queries, ranker.n_items, block=block, candidates=part.candidates):
        ordered = scores[order]
        ordered[place_of[seeds[0]], seeds[1]] = np.nan
        for nth in range(int(sizes.max(initial=0))):
            rows = order[: int((sizes > nth).sum())]
            at = firsts[rows] + nth
            ranks[at] += row_counts(ordered[: len(rows)] >= own[at, None])
        # a track does not count for itself: a product of another shape may round its score differently
        inside = np.flatnonzero((tracks >= items[0]) & (tracks <= items[-1]))
        place = np.minimum(np.searchsorted(items, tracks[inside]), len(items) - 1)
        there = items[place] == tracks[inside]
        inside, place = inside[there], place[there]
        ranks[inside] -= scores[owners[inside], place] >= own[inside]
    return ranks


def _own_scores(scorer: Scorer, tracks: np.ndarray, owners: np.ndarray, block: int) -> np.ndarray:
    """Return the score of each track for its playlist, float32 [h], −∞ instead of NaN."""
    columns, column = np.unique(tracks, return_inverse=True)
    own = np.full(len(tracks), -np.inf, np.float32)
    for start in range(0, len(columns), block):
        inside = np.flatnonzero((column >= start) & (column < start + block))
        own[inside] = scorer(columns[start : start + block].astype(np.int32))[owners[inside], column[inside] - start]
    return np.fmax(own, np.float32(-np.inf))

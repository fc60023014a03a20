"""Mean log rank of hidden tracks, a measure of the whole ranking for validation sets with few hits.

It is the logarithm of the geometric mean rank (Hoyt, Berrendorf, Galkin, Tresp and Gyori, "A Unified Framework for
Rank-based Evaluation Metrics for Link Prediction in Knowledge Graphs", 2022, section 3). A rank that halves counts the
same anywhere in the ranking. A mean of ranks would depend on the worst ranks alone, and a mean of reciprocal ranks on
the first ones, of which a small validation set has almost none. Unlike the validation loss it does not depend on the
scale of scores. Ranks are counted, not sorted. A tie counts against the hidden track: the pessimistic rank of
Berrendorf, Faerman, Vermue and Tresp, "On the Ambiguity of Rank-Based Evaluation of Entity Alignment or Link Prediction
Methods", 2020. Thus a model that gives every track the same score is the worst.
"""

from __future__ import annotations

import numpy as np

from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.choose_weight import sample_evenly
from toolkit.ranker import Ranker
from toolkit.topk import row_counts, score_blocks

MOST_PLAYLISTS = 500
"""Playlists that are ranked, at most: they hold thousands of hidden tracks, which is precise enough."""

ROWS = 256
"""Playlists ranked at once."""


def mean_log_rank(ranker: Ranker, held_out: HeldOut, known: np.ndarray) -> float | None:
    """Return the mean natural logarithm of the ranks of hidden tracks, lower is better.

    - known: bool [V + 1], tracks that the ranker has learned about. Other hidden tracks are left out: their scores are
      all equal, or those of random vectors, and would hide how the others improve.

    The mean is computed within playlists first, then over playlists, at most `MOST_PLAYLISTS` of them, evenly spaced.
    Returns None if no hidden track is known.
    """
    sample, means = sample_evenly(held_out, MOST_PLAYLISTS), []
    for start in range(0, len(sample), ROWS):
        part = sample.part(start, start + ROWS)
        tracks, offsets = part.hidden()
        owners, chosen = np.repeat(np.arange(len(part)), np.diff(offsets)), known[tracks]
        tracks, owners = tracks[chosen], owners[chosen]
        counts = np.bincount(owners, minlength=len(part))
        sums = np.bincount(owners, np.log(hidden_ranks(ranker, part, tracks, owners)), minlength=len(part))
        means.append(sums[counts > 0] / counts[counts > 0])
    every = np.concatenate([np.zeros(0), *means])
    return float(every.mean()) if len(every) else None


def hidden_ranks(ranker: Ranker, part: HeldOut, tracks: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the rank of hidden tracks among the candidates except seeds, from 1: int64 [h]. Ties rank before them.

    - tracks: int [h], and owners: int [h], ascending, their playlists in `part`.

    A track that cannot be ranked (−∞) comes last.
    """
    queries, sizes = part.queries(), np.bincount(owners, minlength=len(part))
    scorer = ranker.scorer(queries)
    columns, column = np.unique(tracks, return_inverse=True)
    own = np.fmax(scorer(columns.astype(np.int32))[owners, column], np.float32(-np.inf)) if len(tracks) else np.zeros(0)
    ranks = np.ones(len(tracks), np.int64)
    # the nth hidden track of every playlist that has one at a time: playlists with the most come first
    order, firsts = np.argsort(-sizes, kind="stable"), np.cumsum(sizes) - sizes
    place_of = np.argsort(order)
    for items, scores, seeds in score_blocks(scorer, queries, ranker.n_items, candidates=part.candidates):
        ordered = scores[order]
        ordered[place_of[seeds[0]], seeds[1]] = np.nan
        for nth in range(int(sizes.max(initial=0))):
            rows = order[: int((sizes > nth).sum())]
            at = firsts[rows] + nth
            ranks[at] += row_counts(ordered[: len(rows)] >= own[at, None])
        # not the track itself, whose score a matrix product of another shape may round differently
        inside = np.flatnonzero((tracks >= items[0]) & (tracks <= items[-1]))
        place = np.minimum(np.searchsorted(items, tracks[inside]), len(items) - 1)
        there = items[place] == tracks[inside]
        inside, place = inside[there], place[there]
        ranks[inside] -= scores[owners[inside], place] >= own[inside]
    return ranks

"""Candidates of several rankers with their features, as a table for gradient boosting.

All features of a candidate depend on its own playlist alone. They are rounded, because scores have rounding errors that
depend on the other queries of a block and could cross a tree's threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from toolkit.corpus.label_rows import label_profile, unit_rows
from toolkit.corpus.queries import Queries
from toolkit.ranker import Ranker
from toolkit.topk import blocked_top_k

QUERIES = 64
"""Queries whose features are computed at once."""

STEPS = 4096.0
"""Distinct values of a score between 0 and 1."""


@dataclass(frozen=True)
class Content:
    """Known properties of tracks in addition to their scores.

    - plays: number of training playlists, float32 [V + 1].
    - labels: zeros and ones [V + 1, L] by kind.
    - vectors: rows with unit norm, float32 [V + 1, d] by modality, zero if missing.
    """

    plays: np.ndarray
    labels: Mapping[str, sp.csr_matrix]
    vectors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Candidates:
    """Candidate tracks of queries.

    - row: query, int64 [n], ascending.
    - item: int64 [n], ascending for each query.
    - features: float32 [n, f], in the order of `feature_names`.
    """

    row: np.ndarray
    item: np.ndarray
    features: np.ndarray


def feature_names(systems: Mapping[str, Ranker], content: Content) -> list[str]:
    """Return the names of the features, in the order of `Candidates.features`."""
    of_systems = [f"{system} {feature}" for system in systems for feature in ("score", "place")]
    of_labels = [f"{kind} {feature}" for kind in content.labels for feature in ("cosine", "share of seeds")]
    of_vectors = [
        f"{name} {feature}" for name in content.vectors for feature in ("to the seeds' mean", "to the nearest seed")
    ]
    return [*of_systems, *of_labels, *of_vectors, "plays", "seeds", "share of seeds played"]


def candidate_blocks(
    systems: Mapping[str, Ranker], content: Content, queries: Queries, *, n: int
) -> Iterator[Candidates]:
    """Yield the union of each system's n best tracks for each query, in blocks of queries.

    `Candidates.row` counts over all queries.
    """
    for start in range(0, len(queries), QUERIES):
        block = _with_features(systems, content, queries.part(start, min(start + QUERIES, len(queries))), n)
        yield Candidates(block.row + start, block.item, block.features)


def _with_features(systems: Mapping[str, Ranker], content: Content, queries: Queries, n: int) -> Candidates:
    width = len(content.plays)
    scorers = [ranker.scorer(queries) for ranker in systems.values()]
    top = [blocked_top_k(scorer, queries, width - 1, min(n, width - 1))[0] for scorer in scorers]
    keys = [(np.arange(len(queries))[:, None] * width + ids)[ids > 0] for ids in top]
    row, item = np.divmod(np.unique(np.concatenate([np.zeros(0, np.int64), *keys])), width)
    distinct, column = np.unique(item, return_inverse=True)
    columns = []
    for scorer in scorers:
        scores = scorer(distinct.astype(np.int32))[row, column] if len(distinct) else np.zeros(0, np.float32)
        scaled = _scaled(scores, row, len(queries))
        columns += [scaled, _log_ranks(scaled, row)]
    seeds = queries.matrix(width - 1)
    for labels in content.labels.values():
        columns += _shared_labels(seeds, labels, row, item)
    for vectors in content.vectors.values():
        columns += _cosines(queries, seeds, vectors, row, item)
    lengths = np.maximum(np.diff(seeds.indptr), 1)
    played = np.asarray((seeds @ (content.plays > 0).astype(np.float32)) / lengths)
    columns += [np.log1p(content.plays[item]), np.log(lengths)[row], _rounded(played)[row]]
    return Candidates(row, item, np.stack(columns, axis=1).astype(np.float32))


def _scaled(scores: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """Scale the scores of each query's candidates to 0…1. NaN for candidates that the system does not rank."""
    ranked = np.isfinite(scores)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, row[ranked], scores[ranked])
    np.maximum.at(high, row[ranked], scores[ranked])
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):
        return np.where(ranked, _rounded((scores - low[row]) / width[row]), np.nan)


def _log_ranks(scaled: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return log(1 + rank) of each candidate for a system, with ranks from 0 and NaN if not ranked.

    Candidates with equal scores have the same rank, the best of their ranks.
    """
    order = np.lexsort((-scaled, row))  # NaN last
    sorted_row, sorted_score = row[order], scaled[order]
    at = np.arange(len(order))
    begins = np.ones(len(order), bool)
    begins[1:] = sorted_row[1:] != sorted_row[:-1]
    changes = begins.copy()
    changes[1:] |= sorted_score[1:] != sorted_score[:-1]
    first, tied = (np.maximum.accumulate(np.where(starts, at, 0)) for starts in (begins, changes))
    ranks = np.empty(len(order))
    ranks[order] = np.log1p(tied - first)
    return np.where(np.isnan(scaled), np.nan, ranks)


def _shared_labels(seeds: sp.csr_matrix, labels: sp.csr_matrix, row: np.ndarray, item: np.ndarray) -> list[np.ndarray]:
    """Return the cosine of a candidate's labels with the seeds' summed labels, and the mean number of shared labels."""
    profile, own = label_profile(seeds, labels), unit_rows(labels)
    cosine = np.asarray(profile[row].multiply(own[item]).sum(axis=1)).ravel()
    counted = (seeds @ labels).tocsr()[row].multiply(labels[item]).sum(axis=1)
    share = np.asarray(counted).ravel() / np.maximum(np.diff(seeds.indptr), 1)[row]
    return [_rounded(cosine), _rounded(share)]


def _cosines(
    queries: Queries, seeds: sp.csr_matrix, vectors: np.ndarray, row: np.ndarray, item: np.ndarray
) -> list[np.ndarray]:
    """Return a candidate's cosine with the mean of the seeds, and its highest cosine with a single seed.

    NaN if the candidate or all seeds do not have the modality.
    """
    present = np.asarray(vectors.any(axis=1))
    mean = np.asarray(seeds @ vectors)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    to_mean, to_nearest = np.empty(len(row)), np.empty(len(row))
    bounds = np.searchsorted(row, np.arange(len(queries) + 1))
    for b in range(len(queries)):  # over playlists: a query's candidates against its seeds are one product
        span = slice(bounds[b], bounds[b + 1])
        shown = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        shown = shown[present[shown]]
        candidates = vectors[item[span]]
        to_mean[span] = candidates @ mean[b] if len(shown) else np.nan
        to_nearest[span] = (candidates @ vectors[shown].T).max(axis=1) if len(shown) else np.nan
    return [np.where(present[item], _rounded(column), np.nan) for column in (to_mean, to_nearest)]


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(np.asarray(values, np.float64) * STEPS) / STEPS)

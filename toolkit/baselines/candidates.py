"""Candidates of several rankers, and what is known of each: the first stage's output as a table that gradient boosting reads.

Every number of a candidate is of its own playlist alone, and rounded, so that the float noise of scores computed beside other queries
cannot take it to the other side of a tree's threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from toolkit.baselines.label_popularity import label_profile, unit_rows
from toolkit.corpus.queries import Queries
from toolkit.ranker import Ranker
from toolkit.topk import blocked_top_k

QUERIES = 64
"""Queries whose candidates are described at once."""

STEPS = 4096.0
"""Values that a score between 0 and 1 may take."""


@dataclass(frozen=True)
class Content:
    """What is known of the tracks besides their scores.

    plays: training playlists, float32 [V + 1]. labels: rows of zeros and ones [V + 1, L] by kind. vectors: rows of length one
    float32 [V + 1, d] by modality, zero where it is missing.
    """

    plays: np.ndarray
    labels: Mapping[str, sp.csr_matrix]
    vectors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Candidates:
    """Tracks that may come next, by query: row int64 [n] ascending, item int64 [n] ascending within it, features float32 [n, f]."""

    row: np.ndarray
    item: np.ndarray
    features: np.ndarray


def names(systems: Mapping[str, Ranker], content: Content) -> list[str]:
    """Of the features, in the order of `Candidates.features`."""
    of_systems = [f"{system} {what}" for system in systems for what in ("score", "place")]
    of_labels = [f"{kind} {what}" for kind in content.labels for what in ("cosine", "share of seeds")]
    of_vectors = [
        f"{name} {what}" for name in content.vectors for what in ("to the seeds' mean", "to the nearest seed")
    ]
    return [*of_systems, *of_labels, *of_vectors, "plays", "seeds", "share of seeds played"]


def blocks(systems: Mapping[str, Ranker], content: Content, queries: Queries, *, n: int) -> Iterator[Candidates]:
    """The union of the n best of each system for each query, a block of queries at a time; `row` counts from the first of all."""
    for start in range(0, len(queries), QUERIES):
        part = queries.part(start, min(start + QUERIES, len(queries)))
        found = _described(systems, content, part, n)
        yield Candidates(found.row + start, found.item, found.features)


def _described(systems: Mapping[str, Ranker], content: Content, queries: Queries, n: int) -> Candidates:
    width = len(content.plays)
    scorers = [ranker.scorer(queries) for ranker in systems.values()]
    chosen = [blocked_top_k(scorer, queries, width - 1, min(n, width - 1))[0] for scorer in scorers]
    keys = [np.arange(len(queries))[:, None] * width + ids for ids in chosen]
    pairs = (
        np.unique(np.concatenate([key[ids > 0] for key, ids in zip(keys, chosen, strict=True)]))
        if keys
        else np.zeros(0, np.int64)
    )
    row, item = np.divmod(pairs, width)
    asked, place = np.unique(item, return_inverse=True)
    columns = []
    for scorer in scorers:
        scores = scorer(asked.astype(np.int32))[row, place] if len(asked) else np.zeros(0, np.float32)
        scaled = _scaled(scores, row, len(queries))
        columns += [scaled, _places(scaled, row)]
    seeds = queries.matrix(width - 1)
    for labels in content.labels.values():
        columns += _shared(seeds, labels, row, item)
    for vectors in content.vectors.values():
        columns += _near(queries, seeds, vectors, row, item)
    lengths = np.maximum(np.diff(seeds.indptr), 1)
    played = np.asarray((seeds @ (content.plays > 0).astype(np.float32)) / lengths)
    columns += [np.log1p(content.plays[item]), np.log(lengths)[row], _rounded(played)[row]]
    return Candidates(row, item, np.stack(columns, axis=1).astype(np.float32))


def _scaled(scores: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """Scores of each query's candidates from 0 to 1, NaN where the system does not rank one."""
    ranked = np.isfinite(scores)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, row[ranked], scores[ranked])
    np.maximum.at(high, row[ranked], scores[ranked])
    width = np.where(high > low, high - low, 1.0)
    with np.errstate(invalid="ignore"):
        return np.where(ranked, _rounded((scores - low[row]) / width[row]), np.nan)


def _places(scaled: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Log of each candidate's place among its query's by one system, equals at the best of theirs; NaN where not ranked."""
    order = np.lexsort((-scaled, row))  # NaN last
    sorted_row, sorted_score = row[order], scaled[order]
    at = np.arange(len(order))
    begins = np.ones(len(order), bool)
    begins[1:] = sorted_row[1:] != sorted_row[:-1]
    changes = begins.copy()
    changes[1:] |= sorted_score[1:] != sorted_score[:-1]
    first = np.maximum.accumulate(np.where(begins, at, 0)) if len(at) else at
    tied = np.maximum.accumulate(np.where(changes, at, 0)) if len(at) else at
    places = np.empty(len(order))
    places[order] = np.log1p(tied - first)
    return np.where(np.isnan(scaled), np.nan, places)


def _shared(seeds: sp.csr_matrix, labels: sp.csr_matrix, row: np.ndarray, item: np.ndarray) -> list[np.ndarray]:
    """Cosine of a candidate's labels with the seeds' together, and the mean over seeds of how many of its labels each has."""
    profile, own = label_profile(seeds, labels), unit_rows(labels)
    cosine = np.asarray(profile[row].multiply(own[item]).sum(axis=1)).ravel()
    counted = (seeds @ labels).tocsr()[row].multiply(labels[item]).sum(axis=1)
    share = np.asarray(counted).ravel() / np.maximum(np.diff(seeds.indptr), 1)[row]
    return [_rounded(cosine), _rounded(share)]


def _near(
    queries: Queries, seeds: sp.csr_matrix, vectors: np.ndarray, row: np.ndarray, item: np.ndarray
) -> list[np.ndarray]:
    """Cosine of a candidate with the seeds' mean, and the highest with one of them; NaN where it or all of them lack the modality."""
    there = np.asarray(vectors.any(axis=1))
    mean = np.asarray(seeds @ vectors)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    to_mean, to_one = np.empty(len(row)), np.empty(len(row))
    bounds = np.searchsorted(row, np.arange(len(queries) + 1))
    for b in range(len(queries)):  # over playlists: a query's candidates against its seeds are one product
        span = slice(bounds[b], bounds[b + 1])
        shown = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        shown = shown[there[shown]]
        candidates = vectors[item[span]]
        to_mean[span] = candidates @ mean[b] if len(shown) else np.nan
        to_one[span] = (candidates @ vectors[shown].T).max(axis=1) if len(shown) else np.nan
    return [np.where(there[item], _rounded(column), np.nan) for column in (to_mean, to_one)]


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(np.asarray(values, np.float64) * STEPS) / STEPS)

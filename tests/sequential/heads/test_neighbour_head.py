"""Tests of the neighbour head against item-kNN and a slow loop, and of the choice of its weight."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, ring, spec
from toolkit.baselines.item_knn import ItemKNN
from toolkit.corpus.queries import Queries
from toolkit.evaluation.metrics import hits, ndcg_at
from toolkit.ranker import Scorer, TrainingData
from toolkit.sequential.heads.neighbour_head import WEIGHTS, Neighbours
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.objectives import Objective

PLAYS = Queries.of([[1, 2, 3], [2, 3], [3, 4, 1], [5], [2, 3, 5, 4]]).matrix(6)
DATA, VALID = ring()
EVERY = np.arange(1, DATA.n_items + 1)


def test_neighbour_scores_equal_slow_loop() -> None:
    near = replace(Neighbours.of(PLAYS, 2), weight=1.5)
    holders = [{row for row in range(PLAYS.shape[0]) if PLAYS[row, item]} for item in range(7)]
    cosine = [
        [len(a & b) / math.sqrt(len(a) * len(b)) if a & b and a is not b else 0.0 for b in holders] for a in holders
    ]
    unit = float(np.mean([max(row) for row in cosine if any(row)]))
    queries = Queries.of([[2, 5], [6], [1, 2, 4]])
    found = near.scores(queries.seeds, queries.offsets).toarray()
    for row, seeds in enumerate([[2, 5], [6], [1, 2, 4]]):
        wanted = np.zeros(7)
        for seed in seeds:
            for track in sorted(range(7), key=lambda other: (-cosine[seed][other], other))[:2]:
                wanted[track] += 1.5 * cosine[seed][track] / unit / math.sqrt(len(seeds))
        np.testing.assert_allclose(found[row], wanted, atol=1e-6)


def test_ranking_with_all_neighbours_equals_item_knn() -> None:
    near, queries = Neighbours.of(DATA.train.matrix(), DATA.n_items), VALID.queries()
    found = near.scores(queries.seeds, queries.offsets)[:, EVERY].toarray()
    knn = ItemKNN().fit(DATA).score(queries, EVERY)
    ratio = found[knn > 0] / (knn / np.sqrt(queries.lengths)[:, None])[knn > 0]
    assert ratio.std() < 1e-5 * ratio.mean()
    assert not found[knn == 0].any()


def test_neighbour_score_is_zero_without_shared_playlist() -> None:
    unplayed = np.flatnonzero(DATA.train.counts() == 0)
    near, queries = Neighbours.of(DATA.train.matrix(), 10), VALID.queries()
    assert not near.scores(queries.seeds, queries.offsets)[:, unplayed].nnz or not near.similarity[unplayed].any()
    alone = Queries.of([unplayed[1:3].tolist(), []])
    assert not near.scores(alone.seeds, alone.offsets).count_nonzero()


def test_neighbour_count_is_limited_to_cooccurring_tracks() -> None:
    assert Neighbours.of(PLAYS, 10**9).ids.shape == (7, 4)  # track 3 shares playlists with four others


def test_playlists_of_one_track_have_no_neighbours() -> None:
    near = Neighbours.of(Queries.of([[1], [2]]).matrix(3), 4)
    assert not near.similarity.any() and np.isfinite(near.similarity).all()


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_neighbour_weight_has_best_validation_ranking(kind: str) -> None:
    ranker = SequentialRanker(spec(kind, neighbours=8), fusion()).fit(DATA)
    reached = []
    assert ranker.neighbours is not None
    chosen = ranker.neighbours
    for weight in WEIGHTS:
        ranker.neighbours = replace(chosen, weight=weight)
        ids, _ = ranker.rank(VALID.queries(), 10)
        hidden = VALID.hidden()
        reached.append(float(np.mean(ndcg_at(hits(ids, *hidden), np.diff(hidden[1]), 10))))
    assert chosen.weight == WEIGHTS[int(np.argmax(reached))]
    assert max(reached) > reached[0]  # a ring of tracks: neighbours know something


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_choosing_neighbour_weight_encodes_each_playlist_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = SequentialRanker(spec(kind, neighbours=8), fusion()).fit(DATA)
    assert ranker.neighbours is not None
    chosen, read = ranker.neighbours, []
    objective = type(ranker.model.objective)
    query = objective.query

    def spy(self: Objective, items: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        read.append(len(items))
        return query(self, items, *rest)

    monkeypatch.setattr(objective, "query", spy)
    ranker._weight_neighbours(replace(chosen, weight=3.0), VALID)
    assert read == [len(VALID)]
    assert ranker.neighbours.weight == chosen.weight


def test_choosing_neighbour_weight_scores_only_candidates() -> None:
    ranker = SequentialRanker(spec(neighbours=8), fusion()).fit(DATA)
    assert ranker.neighbours is not None
    asked: list[int] = []
    scorer, cold = ranker._scorer, np.flatnonzero(DATA.train.counts()[1:] == 0) + 1

    def noted(*encoded: Any) -> Scorer:
        score = scorer(*encoded)
        return lambda items: (asked.extend(items.tolist()), score(items))[1]

    ranker._scorer = noted  # type: ignore[method-assign]
    ranker._weight_neighbours(ranker.neighbours, replace(VALID, candidates=cold.astype(np.int32)))
    assert asked == cold.tolist() * len(WEIGHTS)
    assert ranker.neighbours.weight == 0  # neighbours have nothing to say of them


def test_neighbours_do_not_change_trained_weights() -> None:
    """The transformer is trained without its neighbours."""
    blind = TrainingData(DATA.train, None, {}, seed=DATA.seed)
    plain = SequentialRanker(spec(), fusion()).fit(blind)
    near = SequentialRanker(spec(neighbours=8), fusion()).fit(blind)
    assert near.neighbours is not None and near.neighbours.weight == 4.0  # nobody to choose it on
    played = np.flatnonzero(DATA.train.counts())  # ids alone rank no others
    added = near.neighbours.scores(VALID.queries().seeds, VALID.queries().offsets)[:, played].toarray()
    np.testing.assert_allclose(
        near.score(VALID.queries(), played) - plain.score(VALID.queries(), played), added, atol=1e-5
    )


@pytest.mark.parametrize("head", ["neighbours", "match"])
def test_heads_read_every_seed_and_layers_read_the_last_seeds(head: str) -> None:
    chosen = {"neighbours": 8} if head == "neighbours" else {"match": True}
    data = replace(DATA, modalities={}) if head == "neighbours" else DATA
    ranker = SequentialRanker(spec(max_length=3, epochs=1, **chosen), fusion()).fit(data)
    played = np.flatnonzero(DATA.train.counts())
    long, short = Queries.of([[1, 2, 3, 4, 5, 6]]), Queries.of([[4, 5, 6]])
    if ranker.neighbours is not None:
        ranker.neighbours = replace(ranker.neighbours, weight=1.0)
        heads = [ranker.neighbours.scores(query.seeds, query.offsets)[:, played].toarray() for query in (long, short)]
    else:
        match = ranker.model.match
        bags = [match.bags(torch.tensor(query.seeds), torch.tensor(query.offsets)) for query in (long, short)]
        heads = [(bag @ match.rows(torch.tensor(played)).T).detach().numpy() for bag in bags]
    assert not np.allclose(*heads, atol=1e-3)
    np.testing.assert_allclose(ranker.score(long, played) - heads[0], ranker.score(short, played) - heads[1], atol=1e-5)

"""Tests of VSKNN, STAN and VSTAN against a slow loop."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from toolkit.baselines.session import session_neighbours
from toolkit.baselines.session.session_neighbours import SessionNeighbours
from toolkit.baselines.session.stan import STAN, VSTAN
from toolkit.baselines.session.vsknn import VSKNN
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.ranker import TrainingData

Small = tuple[TrainingData, HeldOut]


def slow(data: TrainingData, queries: Queries, params: dict[str, Any], kind: type[SessionNeighbours]) -> np.ndarray:
    """Return the scores of tracks 1…90 by loops over playlists and seeds."""
    items, offsets = data.train.flat()
    playlists = [items[a:b].tolist() for a, b in pairwise(offsets)]
    held = np.array([sum(track in one for one in playlists) for track in range(91)])
    idf = np.log(len(playlists) / np.maximum(held, 1)) + 1 if params.get("idf") else np.ones(91)
    scores = np.zeros((len(queries), 91))
    for b in range(len(queries)):
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]].tolist()
        near = []
        for number, one in enumerate(playlists):
            shared = [place for place, seed in enumerate(seeds) if seed in one]
            if shared:
                near.append((round(_similar(kind, params, seeds, one, shared), 12), -number, one, shared[-1]))
        for similarity, _, one, last in sorted(near, key=lambda each: each[:2], reverse=True)[: params["neighbours"]]:
            back, at = len(seeds) - 1 - last, one.index(seeds[last])
            for place, track in enumerate(one):
                scores[b, track] += similarity * _trust(params, back) * _near(params, abs(place - at)) * idf[track]
    scores[scores == 0] = -np.inf
    return scores[:, 1:]


def _similar(
    kind: type[SessionNeighbours], params: dict[str, Any], seeds: list[int], one: list[int], shared: list[int]
) -> float:
    if kind is VSKNN:
        power = {"same": 0, "linear": 1, "quadratic": 2}[params["weighting"]]
        return sum(((place + 1) / len(seeds)) ** power for place in shared) / math.sqrt(len(one))
    reach = params["position"] or math.inf
    return sum(math.exp((place - len(seeds) + 1) / reach) for place in shared) / math.sqrt(len(seeds) * len(one))


def _trust(params: dict[str, Any], back: int) -> float:
    if params.get("decay") == "reciprocal":
        return 1 / (back + 1)
    return math.exp(-back / params["latest"]) if params.get("latest") else 1.0


def _near(params: dict[str, Any], distance: int) -> float:
    return math.exp(-distance / params["nearby"]) if params.get("nearby") else 1.0


CASES: list[tuple[type[SessionNeighbours], dict[str, Any]]] = [
    (VSKNN, {"neighbours": 5, "weighting": "linear", "decay": "reciprocal", "idf": True}),
    (VSKNN, {"neighbours": 200, "weighting": "quadratic", "decay": "same", "idf": False}),
    (STAN, {"neighbours": 7, "position": 2.0, "nearby": 3.0}),
    (STAN, {"neighbours": 7, "position": None, "nearby": None}),
    (VSTAN, {"neighbours": 7, "position": 4.0, "nearby": 2.0, "latest": 1.5, "idf": True}),
]


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_session_neighbour_scores_equal_slow_loop(
    kind: type[SessionNeighbours], params: dict[str, Any], small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held_out = small
    monkeypatch.setattr(session_neighbours, "BLOCK_ENTRIES", 120)  # a query or two at a time
    whole = HeldOut(held_out.corpus, held_out.rows, held_out.starts, held_out.ends, held_out.ends)
    found = kind(**params).fit(data).score(whole.queries(), np.arange(1, 91))
    np.testing.assert_allclose(found, slow(data, whole.queries(), params, kind), rtol=1e-5)


def test_query_without_known_seeds_has_scores_of_minus_infinity(small: Small) -> None:
    ids, _ = VSTAN().fit(small[0]).rank(Queries.of([[], [85], [1]]), 3)
    assert not ids[:2].any() and ids[2].all()

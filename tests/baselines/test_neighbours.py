"""Tests of popularity, item-kNN, session-kNN and EASE against hand-computed values and slow loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from toolkit.baselines import ease
from toolkit.baselines.baseline import Baseline
from toolkit.baselines.ease import EASE
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.popularity import Popularity
from toolkit.baselines.session import session_knn
from toolkit.baselines.session.session_knn import SessionKNN
from toolkit.corpus import item_similarity
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.ranker import TrainingData

Training = Callable[..., TrainingData]

NONE = -math.inf
LISTS = [[1, 2, 3], [1, 2], [2, 3, 3], [4, 5]]
ALL = np.arange(1, 7)
Small = tuple[TrainingData, HeldOut]


def test_popularity_counts_a_repeated_track_once_per_playlist(training: Training) -> None:
    ranker = Popularity().fit(training(LISTS, 6))
    assert ranker.score(Queries.of([[4]]), ALL).tolist() == [[2, 3, 2, 1, 1, 0]]
    assert ranker.rank(Queries.of([[2]]), 6)[0].tolist() == [[1, 3, 4, 5, 6, 0]]


def test_item_knn_sums_cosines(training: Training) -> None:
    scores = ItemKNN().fit(training(LISTS, 6)).score(Queries.of([[1], [1, 3], [1, 1]]), ALL)
    # playlists: 1 in {a, b}, 2 in {a, b, c}, 3 in {a, c}
    near = 2 / math.sqrt(6)
    one, both = [NONE, near, 1 / 2, NONE, NONE, NONE], [1 / 2, 2 * near, 1 / 2, NONE, NONE, NONE]
    np.testing.assert_allclose(scores, [one, both, one], rtol=1e-6)


def test_item_knn_applies_shrink_and_neighbours(training: Training) -> None:
    data, query = training(LISTS, 6), Queries.of([[1]])
    shrunk = ItemKNN(shrink=2.0).fit(data).score(query, ALL)
    np.testing.assert_allclose(shrunk, [[NONE, 2 / (math.sqrt(6) + 2), 1 / 4, NONE, NONE, NONE]], rtol=1e-6)
    cut = ItemKNN(neighbours=1).fit(data).score(query, ALL)
    np.testing.assert_allclose(cut, [[NONE, 2 / math.sqrt(6), NONE, NONE, NONE, NONE]], rtol=1e-6)


@pytest.mark.parametrize(("neighbours", "shrink"), [(None, 0.0), (4, 0.0), (None, 3.0), (6, 1.5)])
def test_item_knn_equals_slow_loop(
    neighbours: int | None, shrink: float, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held_out = small
    monkeypatch.setattr(item_similarity, "BLOCK_ENTRIES", 500)  # many blocks
    plays = data.train.matrix().toarray()[:, 1:].astype(float)
    similar = np.zeros((90, 90))
    for i in range(90):
        for j in range(90):
            if i != j and plays[:, i].any() and plays[:, j].any():
                similar[i, j] = plays[:, i] @ plays[:, j] / (math.sqrt(plays[:, i].sum() * plays[:, j].sum()) + shrink)
        similar[i, np.argsort(-similar[i].astype(np.float32), kind="stable")[neighbours or 90 :]] = 0
    expected = held_out.queries().matrix(90).toarray()[:, 1:] @ similar
    expected[expected == 0] = NONE
    found = ItemKNN(neighbours=neighbours, shrink=shrink).fit(data).score(held_out.queries(), np.arange(1, 91))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_item_knn_raises_above_max_entries(small: Small) -> None:
    with pytest.raises(InputError, match="more than max_entries=300 similarities: set neighbours"):
        ItemKNN(max_entries=300).fit(small[0])


def test_session_knn_weighs_playlists_by_cosine(training: Training) -> None:
    data = training(LISTS, 6)
    # query {1, 3}: a 2/√6, b 1/2, c 1/2 (its set is {2, 3})
    a, b = 2 / math.sqrt(6), 1 / 2
    found = SessionKNN().fit(data).score(Queries.of([[1, 3]]), ALL)
    np.testing.assert_allclose(found, [[a + b, a + 2 * b, a + b, NONE, NONE, NONE]], rtol=1e-6)
    # of the two at 1/2, the earlier playlist stays
    found = SessionKNN(neighbours=2).fit(data).score(Queries.of([[1, 3]]), ALL)
    np.testing.assert_allclose(found, [[a + b, a + b, a, NONE, NONE, NONE]], rtol=1e-6)


@pytest.mark.parametrize("neighbours", [1, 5, 200])
def test_session_knn_equals_slow_loop(neighbours: int, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    data, held_out = small
    monkeypatch.setattr(session_knn, "BLOCK_ENTRIES", 150)  # two queries at a time
    playlists = [set(np.flatnonzero(row)) for row in data.train.matrix().toarray()]
    queries = held_out.queries()
    expected = np.zeros((len(queries), 91))
    for b, shown in enumerate(set(np.flatnonzero(row)) for row in queries.matrix(90).toarray()):
        cosines = [len(shown & tracks) / math.sqrt(len(shown) * len(tracks)) for tracks in playlists]
        for row in sorted(range(60), key=lambda row: (-round(cosines[row], 12), row))[:neighbours]:
            expected[b, list(playlists[row])] += cosines[row]
    expected[expected == 0] = NONE
    found = SessionKNN(neighbours=neighbours).fit(data).score(queries, np.arange(1, 91))
    np.testing.assert_allclose(found, expected[:, 1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("playlists", "form"), [(60, "kernel"), (30, "kernel"), (600, "weights")])
def test_both_forms_of_ease_equal_the_closed_form(
    playlists: int, form: str, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "BLOCK_ENTRIES", 400)
    generator = np.random.default_rng(1)
    lists = [
        (generator.choice(75, size=generator.integers(3, 12), replace=False) + 1).tolist() for _ in range(playlists)
    ]
    data, queries = training(lists, 80), Queries.of([[1, 2, 3], [70], [5, 79], [80]])
    plays = data.train.matrix().toarray().astype(float)
    inverse = np.linalg.inv(plays.T @ plays + 20 * np.eye(81))
    weights = np.eye(81) - inverse / np.diag(inverse)[None, :]
    ranker = EASE(regularisation=20).fit(data)
    assert form in ranker.state
    found = ranker.score(queries, np.arange(1, 81))
    expected, played = (queries.matrix(80) @ weights)[:, 1:], plays[:, 1:].any(axis=0)
    expected[:, ~played] = NONE
    expected[3] = NONE  # its one seed was never played
    assert not played[75:].any() and np.isfinite(expected[:3, played]).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [ItemKNN, SessionKNN, EASE, lambda: EASE(regularisation=1.0)])
@pytest.mark.parametrize("lists", [LISTS, LISTS * 3], ids=["few", "many"])  # EASE in its dual and its primal form
def test_tracks_without_evidence_score_minus_infinity(
    make: Callable[[], Baseline], lists: list[list[int]], training: Training
) -> None:
    ranker = make().fit(training(lists, 8))
    queries = Queries.of([[6], [], [6, 7], [6, 1]])
    ids, scores = ranker.rank(queries, 7)
    assert not ids[:3].any() and np.isneginf(scores[:3]).all(), "unplayed seeds, or none, say nothing"
    assert ids[3, 0] == 2 and not np.isin([6, 7, 8], ids[3]).any(), "unplayed tracks have no evidence"


@pytest.mark.parametrize("regularisation", [5.0, 200.0])
def test_all_forms_of_ease_give_equal_scores(regularisation: float, small: Small) -> None:
    data, held_out = small
    every = np.arange(1, 91)
    fitted = {
        form: EASE(regularisation=regularisation, form=form, rank=60).fit(data)
        for form in ("primal", "dual", "low-rank")
    }
    assert [ranker.form for ranker in fitted.values()] == list(fitted)
    primal, dual, low_rank = (ranker.score(held_out.queries(), every) for ranker in fitted.values())
    np.testing.assert_allclose(dual, primal, rtol=0, atol=1e-6)
    # 59 of 60 singular vectors are all but exact
    ranked = np.isfinite(primal)
    assert (np.isfinite(low_rank) == ranked).all() and np.abs(low_rank[ranked] - primal[ranked]).max() < 0.03


@pytest.mark.parametrize(("max_size", "form"), [(60, "dual"), (59, "low-rank")])
def test_ease_with_form_auto_uses_low_rank_only_above_max_size(max_size: int, form: str, small: Small) -> None:
    assert EASE(max_size=max_size).fit(small[0]).form == form


def test_item_knn_refuses_a_playlist_whose_pairs_exceed_the_bound_before_it_is_fitted(training: Training) -> None:
    lists = [[1, 2], list(range(1, 1002)), [3, 3, 4]]
    data = training(lists, 1001)
    rule = "a training playlist of 1,001 tracks alone has 1,001,000 similarities, 0.0 GB, above max_entries=1,000,000"
    assert ItemKNN(max_entries=1_000_000).memory_problem(data.train, "cpu").startswith(rule)
    with pytest.raises(InputError, match="set neighbours \\(such as 200\\), or split the playlist"):
        ItemKNN(max_entries=1_000_000).fit(data)
    for ranker in (ItemKNN(), ItemKNN(max_entries=1_000_000, neighbours=200)):
        assert ranker.memory_problem(data.train, "cpu") == ""
    repeated = training([[5] * 3000, [1, 2]], 5)
    assert ItemKNN(max_entries=1_000).memory_problem(repeated.train, "cpu") == ""

"""Tests of the mean log rank against a slow twin that sorts, with ties, seeds, candidates and unknown tracks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.fixed_rankers import Fixed, by_id, scattered
from tests.sequential.small_models import corpus
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation import log_rank
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.log_rank import HitCount, hidden_ranks
from toolkit.ranker import Ranker

V = 300


def held_out(playlists: int = 40, seed: int = 0, shown: int = 3) -> HeldOut:
    """Return playlists of 4 to 30 tracks, some of them repeated, with the first three shown."""
    rng = np.random.default_rng(seed)
    made = corpus([rng.integers(1, V + 1, rng.integers(shown + 1, 30)).tolist() for _ in range(playlists)], V)
    return HeldOut(
        made, np.arange(playlists), made.offsets[:-1], made.offsets[:-1] + shown, made.offsets[1:].astype(np.int64)
    )


def sorted_ranks(ranker: Ranker, part: HeldOut) -> list[list[int]]:
    """Return the ranks of each playlist's hidden tracks by sorting. Equal scores rank before a hidden track."""
    items = np.arange(1, ranker.n_items + 1) if part.candidates is None else part.candidates
    scores = ranker.score(part.queries(), items)
    tracks, offsets = part.hidden()
    queries, ranks = part.queries(), []
    for row in range(len(part)):
        seeds = set(queries.seeds[queries.offsets[row] : queries.offsets[row + 1]].tolist())
        value = {item: score for item, score in zip(items.tolist(), scores[row].tolist(), strict=True)}
        value = {item: score for item, score in value.items() if item not in seeds and score == score}
        mine = []
        for track in tracks[offsets[row] : offsets[row + 1]].tolist():
            own = value.get(track, float(ranker.score(part.queries().part(row, row + 1), np.array([track]))[0, 0]))
            own = own if own == own else -np.inf
            order = sorted((item for item in value if item != track), key=lambda item: -value[item])
            mine.append(1 + sum(value[item] >= own for item in order))
        ranks.append(mine)
    return ranks


def ranks_of(ranker: Ranker, part: HeldOut) -> list[list[int]]:
    tracks, offsets = part.hidden()
    found = hidden_ranks(ranker, part, part.queries(), tracks, np.repeat(np.arange(len(part)), np.diff(offsets)))
    return [found[a:b].tolist() for a, b in itertools.pairwise(offsets)]


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "distinct": lambda sums, items: (items * (2 * sums + 7919)) % 65_537,
    "ties": lambda sums, items: (items * (2 * sums + 7919)) % 7,
    "all equal": lambda sums, items: 0.0 * (sums + items),
    "unranked": lambda sums, items: np.where(items % 3 == 0, -np.inf, (items * (2 * sums + 7919)) % 11),
    "nan": lambda sums, items: np.where(items % 5 == 0, np.nan, (items * (2 * sums + 7919)) % 11),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("limited", [False, True])
def test_hidden_ranks_equal_ranks_by_sorting(score: str, limited: bool) -> None:
    part = held_out()
    if limited:
        part = replace(part, candidates=np.arange(1, V + 1, 2, dtype=np.int32))
    ranker = Fixed(V, SCORES[score])
    assert ranks_of(ranker, part) == sorted_ranks(ranker, part)


def test_hidden_ranks_of_small_blocks_equal_ranks_by_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rank, "SCORES", 40 * 37)
    for score in SCORES.values():
        assert ranks_of(Fixed(V, score), held_out()) == sorted_ranks(Fixed(V, score), held_out())


def test_hidden_ranks_of_a_catalogue_of_several_blocks_equal_ranks_by_sorting() -> None:
    made = corpus([[5, 16_384, 16_385, 40_000, 7], [40_000, 1, 2, 16_384]], 40_000)
    part = HeldOut(made, np.arange(2), made.offsets[:-1], made.offsets[:-1] + 1, made.offsets[1:])
    assert ranks_of(scattered(40_000), part) == sorted_ranks(scattered(40_000), part)


def test_hidden_ranks_do_not_change_the_scores_of_a_ranker() -> None:
    part, kept = held_out(), np.arange(V, 0, -1, dtype=np.float32)
    kept.setflags(write=False)

    class Cached(Fixed):
        def scorer(self, queries: object) -> Callable[[np.ndarray], np.ndarray]:
            return lambda items: np.broadcast_to(kept[items - 1], (len(part), len(items)))

    assert ranks_of(Cached(V, SCORES["ties"]), part) == ranks_of(by_id(V), part)


def test_constant_scores_have_the_worst_rank() -> None:
    part = held_out()
    seeds = [len(set(each)) for each in np.split(part.queries().seeds, part.queries().offsets[1:-1])]
    assert ranks_of(Fixed(V, SCORES["all equal"]), part) == [
        [V - size] * len(mine) for size, mine in zip(seeds, ranks_of(by_id(V), part), strict=True)
    ]


def counts(ranker: Ranker, part: HeldOut, known: np.ndarray, k: int = 5, **options: int) -> dict[str, float]:
    count = HitCount(ranker, k, known)
    evaluate(ranker, part, ks=[k], metrics=["recall"], train_counts=known * 1, watch=count.add, **options)
    return count.values()


def two_playlists() -> HeldOut:
    """Return playlists that hide the tracks 2 and 8, and 4, after the track 9."""
    made = corpus([[9, 2, 8], [9, 4]], 9)
    return HeldOut(made, np.arange(2), made.offsets[:-1], made.offsets[:-1] + 1, made.offsets[1:])


def test_log_rank_is_a_mean_within_playlists_first() -> None:
    found = counts(by_id(9), two_playlists(), np.ones(10, bool))
    assert found["log_rank"] == pytest.approx(((np.log(2) + np.log(8)) / 2 + np.log(4)) / 2)
    assert found["hits"] == 2  # ranks 2, 8 and 4, of which the first 5 count


def test_log_rank_leaves_out_unknown_tracks_and_hits_do_not() -> None:
    known = np.ones(10, bool)
    known[[8, 4]] = False  # the first playlist has track 2 left, and the second none
    assert counts(by_id(9), two_playlists(), known) == {"hits": 2, "log_rank": pytest.approx(np.log(2))}
    known[2] = False
    assert counts(by_id(9), two_playlists(), known) == {"hits": 2}


@pytest.mark.parametrize("memory_mb", [1, 256])
def test_hits_and_log_rank_of_blocks_equal_those_by_sorting(memory_mb: int) -> None:
    part, known = held_out(40), np.ones(V + 1, bool)
    ranks = sorted_ranks(scattered(V), part)
    found = counts(scattered(V), part, known, k=5, memory_mb=memory_mb)
    assert found["hits"] == sum(rank <= 5 for each in ranks for rank in each) < 50
    assert found["log_rank"] == pytest.approx(np.mean([np.log(each).mean() for each in ranks if each]))


def test_hidden_tracks_are_not_ranked_once_hits_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = []
    monkeypatch.setattr(log_rank, "playlist_log_ranks", lambda ranker, part, *_: ranked.append(len(part)))
    count, part = HitCount(by_id(V), V, np.ones(V + 1, bool)), held_out(40)
    every = np.tile(np.arange(1, V + 1, dtype=np.int32), (40, 1))
    count.add(part.part(0, 4), part.part(0, 4).queries(), every[:4])
    few = count.hits
    assert 0 < few < 50
    count.add(part.part(4, 40), part.part(4, 40).queries(), every[4:])
    assert count.hits == len(part.hidden()[0]) > 50
    assert ranked == [4]

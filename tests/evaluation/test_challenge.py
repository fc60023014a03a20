"""Tests of challenge metrics against hand-computed values, plain loops, RecBole and trec_eval."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tests.evaluation.fixed_rankers import by_id
from toolkit.contracts.metric import Block
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.metrics import hits, ndcg_at, recall_at
from toolkit.evaluation.metrics.clicks import Clicks
from toolkit.evaluation.metrics.ndcg_challenge import NDCGOfChallenge
from toolkit.evaluation.metrics.ndcg_hits import NDCGOfHits
from toolkit.evaluation.metrics.novelty import Novelty, information
from toolkit.evaluation.metrics.recall_all import RecallOfAll
from toolkit.evaluation.metrics.rprec import RPrecision
from toolkit.evaluation.metrics.rprec_artist import RPrecisionWithArtists
from toolkit.evaluation.metrics.rprec_artist_list import RPrecisionWithArtistList
from toolkit.evaluation.metrics.rprec_artist_set import RPrecisionWithArtistSet
from toolkit.sequential.recbole import bridge  # noqa: F401 (RecBole's metrics need the names it adds to NumPy)

ARTISTS = np.array([-1, 0, 0, 1, 1, 2, 2, 3, -1])
"""Tracks 1 and 2 are of one artist, 3 and 4, 5 and 6, 7 alone; 8 of nobody known."""

R_PRECISIONS = (RPrecision(), RPrecisionWithArtists(), RPrecisionWithArtistSet(), RPrecisionWithArtistList())


def block(ranked: list[list[int]], hidden: list[list[int]], counts: list[int] | None = None) -> Block:
    tracks = np.array([track for each in hidden for track in each], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in hidden])]).astype(np.int64)
    lists = np.array(ranked, np.int32)
    told = information(np.array(counts)) if counts is not None else np.zeros(len(ARTISTS))
    return Block(lists, hits(lists, tracks, offsets), tracks, offsets, ARTISTS, told)


@pytest.mark.parametrize(
    ("ranked", "hidden", "plain", "late", "set_", "list_"),
    [
        # R = 2: track 2 misses, but is of the artist of hidden track 1
        ([2, 5, 1, 7], [1, 3], 0, 0.25 / 2, 0.25 / 2, 0.25 / 2),
        # both of one artist miss: counted once; a third hidden artist's track stands outside R
        ([3, 4, 7, 6], [1, 5, 8], 0, 0, 0, 0.25 / 3),
        ([3, 4, 2, 6], [1, 5, 8], 0, 0.25 / 3, 0.25 / 3, 0.5 / 3),
        # 1 hits; 2, of the same artist, misses: the late rules count it, once; the set counts the artist once too
        ([1, 2, 7, 4], [1, 3], 1 / 2, 1.25 / 2, 1.25 / 2, 1.5 / 2),
        # all found: only the two that count hits' artists go beyond 1
        ([1, 3, 7, 8], [1, 3], 1, 1, 1.25, 1.25),
        # unknown artists are nobody's, and an empty place is nobody's track
        ([8, 0, 0, 0], [7, 3], 0, 0, 0, 0),
        ([1, 2, 3, 4], [], math.nan, math.nan, math.nan, math.nan),
    ],
)
def test_r_precision_matches_hand_computed_values(
    ranked: list[int], hidden: list[int], plain: float, late: float, set_: float, list_: float
) -> None:
    both = block([ranked, ranked[::-1]], [hidden, []])
    found = [float(metric.values(both, 0)[0]) for metric in R_PRECISIONS]
    assert found == pytest.approx([plain, late, set_, list_], nan_ok=True)


def test_r_precision_of_too_short_ranking_raises() -> None:
    with pytest.raises(ValueError, match="ranking length 2 must be at least the number of hidden tracks, 3"):
        RPrecision().values(block([[1, 2]], [[3, 4, 5]]), 0)


@pytest.mark.parametrize(
    ("place", "k", "expected"), [(0, 500, 0), (9, 500, 0), (10, 500, 1), (499, 500, 49), (None, 500, 51), (12, 12, 2)]
)
def test_clicks_match_hand_computed_values(place: int | None, k: int, expected: int) -> None:
    found = np.zeros((2, 500), bool)
    if place is not None:
        found[0, place] = True
    empty = block([[1]], [[2]])
    made = Block(empty.ranked, found, np.array([1]), np.array([0, 1, 1]), ARTISTS, empty.information)
    pages = Clicks().values(made, k)
    assert pages[0] == expected and math.isnan(pages[1])


def test_novelty_matches_hand_computed_value() -> None:
    counts = [0, 7, 3, 0, 0, 1, 0, 0, 5]  # 16 placements and 8 tracks: 24
    made = block([[1, 2, 3], [3, 0, 0], [0, 0, 0]], [[4], [4], [4]], counts)
    bits = [math.log2(24 / 8), math.log2(24 / 4), math.log2(24 / 1)]
    assert Novelty().values(made, 2).tolist() == pytest.approx([sum(bits[:2]) / 2, bits[2], 0])
    assert Novelty().values(made, 3)[0] == pytest.approx(sum(bits) / 3)


def test_metric_variants_match_hand_computed_values() -> None:
    found, sizes = np.array([[False, True, False, True], [False] * 4, [True, True, False, False]]), np.array([5, 3, 2])
    made = Block.of_hits(found, sizes)
    assert RecallOfAll().values(made, 4).tolist() == pytest.approx([2 / 5, 0, 1])
    assert NDCGOfHits().values(made, 4).tolist() == pytest.approx(
        [(1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3)), 0, 1]
    )
    assert NDCGOfChallenge().values(made, 4).tolist() == pytest.approx([(1 + 1 / 2) / 2, 0, 1])
    nothing_first = Block.of_hits(found, np.array([0, 1, 1]))
    assert all(
        math.isnan(metric.values(nothing_first, 4)[0]) for metric in (RecallOfAll(), NDCGOfHits(), NDCGOfChallenge())
    )


@pytest.fixture(scope="module")
def rankings() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scores float [60, 80] without ties, their ranking, and 1 to 40 hidden tracks per row."""
    generator = np.random.default_rng(5)
    scores = generator.permuted(np.tile(np.arange(1.0, 81), (60, 1)), axis=1)
    hidden = [generator.choice(80, size=generator.integers(1, 41), replace=False) + 1 for _ in range(60)]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in hidden])])
    return scores, np.argsort(-scores, axis=1).astype(np.int32) + 1, np.concatenate(hidden), offsets


def test_r_precision_equals_plain_loops(rankings: tuple[np.ndarray, ...]) -> None:
    _, ranked, hidden, offsets = rankings
    artists = np.concatenate([[-1], np.random.default_rng(2).integers(-1, 25, size=80)])
    made = Block(ranked, hits(ranked, hidden, offsets), hidden, offsets, artists, np.zeros(81))
    found = [metric.values(made, 0) for metric in R_PRECISIONS]
    for b in range(60):
        wanted = hidden[offsets[b] : offsets[b + 1]].tolist()
        of_wanted, top = {int(artists[track]) for track in wanted} - {-1}, ranked[b, : len(wanted)].tolist()
        exact = len(set(top) & set(wanted))
        missed = {int(artists[track]) for track in top if track not in wanted}
        first, every = {int(artists[track]) for track in top}, {int(artists[track]) for track in ranked[b].tolist()}
        expected = [exact, *(exact + 0.25 * len(each & of_wanted) for each in (missed, first, every))]
        assert [each[b] for each in found] == pytest.approx([each / len(wanted) for each in expected], abs=1e-12)


@pytest.mark.parametrize("k", [1, 10, 30, 80])
def test_metrics_equal_recbole(k: int, rankings: tuple[np.ndarray, ...]) -> None:
    from recbole.evaluator import metrics as theirs

    _, ranked, hidden, offsets = rankings
    found, sizes = hits(ranked, hidden, offsets), np.diff(offsets)
    settings = {"topk": [k], "metric_decimal_place": 12}
    assert RecallOfAll().values(Block.of_hits(found, sizes), k) == pytest.approx(
        theirs.Recall(settings).metric_info(found[:, :k], sizes)[:, -1], abs=1e-9
    )
    assert ndcg_at(found, sizes, k) == pytest.approx(
        theirs.NDCG(settings).metric_info(found[:, :k], sizes)[:, -1], abs=1e-9
    )


@pytest.mark.parametrize("k", [1, 10, 30, 80])
def test_metrics_equal_trec_eval(k: int, rankings: tuple[np.ndarray, ...]) -> None:
    pytrec_eval = pytest.importorskip(
        "pytrec_eval", reason="trec_eval is not installed: pip install pytrec-eval-terrier"
    )
    scores, ranked, hidden, offsets = rankings
    found, sizes = hits(ranked, hidden, offsets), np.diff(offsets)
    wanted = {f"q{b}": {f"t{track}": 1 for track in hidden[offsets[b] : offsets[b + 1]].tolist()} for b in range(60)}
    run = {f"q{b}": {f"t{track}": float(scores[b, track - 1]) for track in range(1, 81)} for b in range(60)}
    judged = pytrec_eval.RelevanceEvaluator(wanted, {f"recall.{k}", f"ndcg_cut.{k}", f"P.{k}", "Rprec"}).evaluate(run)
    column = {
        name: np.array([judged[f"q{b}"][name] for b in range(60)])
        for name in (f"recall_{k}", f"ndcg_cut_{k}", f"P_{k}", "Rprec")
    }
    made = Block(ranked, found, hidden, offsets, np.full(81, -1), np.zeros(81))
    assert RecallOfAll().values(made, k) == pytest.approx(column[f"recall_{k}"], abs=1e-9)
    assert recall_at(found, sizes, k) == pytest.approx(column[f"P_{k}"] * k / np.minimum(k, sizes), abs=1e-9)
    assert ndcg_at(found, sizes, k) == pytest.approx(column[f"ndcg_cut_{k}"], abs=1e-9)
    assert RPrecision().values(made, 0) == pytest.approx(column["Rprec"], abs=1e-9)


def test_evaluator_measures_coverage_and_novelty(corpus_of: Callable[..., Corpus]) -> None:
    plain = corpus_of([[1, 2, 6, 4], [5, 4, 3]], 8)
    corpus = Corpus(
        plain.items, plain.offsets, plain.tracks.append_column("artist", pa.array([*"aabbccd", None])), plain.playlists
    )
    part = HeldOut(corpus, np.arange(2), corpus.offsets[:-1], corpus.offsets[:-1] + 1, corpus.offsets[1:])
    counts = np.array([0, 7, 3, 0, 0, 1, 0, 0, 5])
    asked = ["rprec", "rprec_artist", "clicks", "coverage", "novelty", "recall_all"]
    found = evaluate(by_id(8), part, ks=[1, 2], metrics=asked, train_counts=counts)
    # 2 3 4 5 … of {2, 6, 4}: ranked as far as R = 3 though the cutoffs end at 2; then 1 2 … of {4, 3}
    assert found.values["all", "rprec", 0].tolist() == pytest.approx([2 / 3, 0])
    assert found.values["all", "rprec_artist", 0].tolist() == pytest.approx([2.25 / 3, 0])
    assert found.values["all", "clicks", 1].tolist() == [0, 1]
    assert found.values["cold", "rprec", 0].tolist() == pytest.approx([0, 0])  # R = 2: ranks 2 3 hold neither 6 nor 4
    assert found.values["all", "recall_all", 2].tolist() == pytest.approx([1 / 3, 0])
    assert found.overall == {("coverage", 1): 2 / 8, ("coverage", 2): 3 / 8}
    assert ("cold", "novelty", 1) not in found.values and found.values["all", "novelty", 1][1] == pytest.approx(
        math.log2(24 / 8)
    )


def test_coverage_and_novelty_with_one_hidden_track_use_full_ranking(corpus_of: Callable[..., Corpus]) -> None:
    corpus = corpus_of([[1, 2], [3, 4]], 6)
    part = HeldOut(corpus, np.arange(2), corpus.offsets[:-1], corpus.offsets[:-1] + 1, corpus.offsets[1:])
    found = evaluate(by_id(6), part, ks=[2], metrics=["recall", "coverage"], train_counts=np.ones(7, np.int64))
    assert found.overall == {("coverage", 2): 3 / 6}

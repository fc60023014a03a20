"""Conformance suite for rankers. Call `check_ranker(MyRanker)` in the tests of a plug-in.

All built-in rankers pass the suite, baselines and neural models alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from segue.checks.check_capabilities import check_capabilities
from segue.checks.example_data import example_data
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.ranker import Ranker, TrainingData


def check_ranker(
    make: Callable[[], Ranker],
    data: TrainingData | None = None,
    held_out: HeldOut | None = None,
    *,
    k: int = 10,
    tolerance: float = 1e-5,
) -> None:
    """Check a ranker against the contract `Ranker`. Raises `AssertionError` at the first violated rule.

    - make: the ranker's class, or a function that returns the same unfitted ranker each time.
    - data, held_out: at least four training playlists, and at least two others with seeds; default: `example_data`.
    - k: length of the rankings.
    - tolerance: relative and absolute tolerance of scores. Rankings may differ only between scores that are equal
      within this tolerance.
    """
    example = example_data()
    data, held_out = example[0] if data is None else data, example[1] if held_out is None else held_out
    queries = held_out.queries()
    ranker = make().fit(data)
    _check_scores(ranker, data, queries, tolerance)
    _check_ranking(ranker, queries, k, tolerance)
    _check_blocks(ranker, queries, k, tolerance)
    _check_target_ranks(ranker, queries, k, tolerance)
    _check_small_inputs(ranker, queries, k, tolerance)
    _check_fits(make, ranker, data, queries, k)
    _check_files(ranker, queries, k)
    check_capabilities(make, ranker, data, queries, k, tolerance)


def brute_force(
    ranker: Ranker, queries: Queries, k: int, *, allow_repeats: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rank like `Ranker.rank`, but slowly and simply: score every item, drop seeds, sort by score and id."""
    scores = np.array(ranker.score(queries, np.arange(1, ranker.n_items + 1)), np.float32)
    ids, best = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), -np.inf, np.float32)
    for b in range(len(queries)):
        seeds = set() if allow_repeats else set(queries.seeds[queries.offsets[b] : queries.offsets[b + 1]].tolist())
        order = sorted((-float(scores[b, i - 1]), i) for i in range(1, ranker.n_items + 1) if i not in seeds)
        for place, (negated, item) in enumerate(order[:k]):
            if negated < np.inf:
                ids[b, place], best[b, place] = item, -negated
    return ids, best


def _check_scores(ranker: Ranker, data: TrainingData, queries: Queries, tolerance: float) -> None:
    assert ranker.n_items == data.n_items, (
        f"n_items={ranker.n_items} must be the number of tracks in the corpus, {data.n_items}"
    )
    items = np.arange(1, data.n_items + 1)
    scores = ranker.score(queries, items)
    assert scores.shape == (len(queries), len(items)), (
        f"score returned shape {scores.shape} and must return {(len(queries), len(items))}"
    )
    assert scores.dtype == np.float32, f"score returned {scores.dtype} and must return float32"
    assert not np.isnan(scores).any() and not np.isposinf(scores).any(), (
        "scores must not be NaN or +inf: return -inf for items that cannot be ranked"
    )
    chosen = items[::-3]
    _close(
        ranker.score(queries, chosen),
        scores[:, chosen - 1],
        tolerance,
        "scores must not depend on the other items or on their order",
    )


def _check_ranking(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    for repeats in (False, True):
        ids, scores = ranker.rank(queries, k, allow_repeats=repeats)
        assert ids.shape == scores.shape == (len(queries), k), (
            f"rank returned shape {ids.shape} and must return {(len(queries), k)}"
        )
        assert ids.dtype == np.int32 and scores.dtype == np.float32, (
            f"rank returned {ids.dtype} and {scores.dtype} and must return int32 and float32"
        )
        _same_ranking(
            ranker,
            queries,
            (ids, scores),
            brute_force(ranker, queries, k, allow_repeats=repeats),
            tolerance,
            "rank must order items by score",
        )
    every, _ = ranker.rank(queries, ranker.n_items + 1)
    for b, row in enumerate(every):
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        listed = row[row > 0]
        assert not np.isin(listed, seeds).any(), f"query {b}: seeds must not be ranked"
        assert len(np.unique(listed)) == len(listed), f"query {b}: items must be ranked once"
        assert not row[len(listed) :].any(), f"query {b}: id 0 must come after all ranked items"


def _check_blocks(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    whole = ranker.rank(queries, k)
    for block in (1, 7, ranker.n_items):
        _same_ranking(
            ranker,
            queries,
            ranker.rank(queries, k, block=block),
            whole,
            tolerance,
            f"block={block} must not change the ranking",
        )


def _check_target_ranks(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    """Check that `target_ranks` matches the ranking, except between scores equal within `tolerance`."""
    ids, scores = ranker.rank(queries, ranker.n_items)
    rows = np.arange(len(queries))
    for place in (0, k // 2, k):
        targets = np.where(ids[:, place] > 0, ids[:, place], 1).astype(np.int64)
        for limit in (None, k):
            ranks = ranker.target_ranks(queries, targets, limit=limit)
            assert ranks.dtype == np.int64 and ranks.shape == rows.shape, (
                f"target_ranks returned {ranks.dtype} {ranks.shape} and must return int64 ({len(rows)},)"
            )
            ranked = (ids[:, place] > 0) & (ranks > 0)
            _close(
                scores[rows, ranks - 1][ranked],
                scores[:, place][ranked],
                tolerance,
                "target_ranks must match the ranking of rank",
            )
            if limit is None or place < k // 2:
                assert (ranks[ids[:, place] > 0] > 0).all(), (
                    f"target_ranks must return a rank for every ranked item (limit={limit})"
                )
    held = queries.lengths > 0
    seeds = queries.seeds[queries.offsets[:-1][held]].astype(np.int64)
    targets = np.ones(len(queries), np.int64)
    targets[held] = seeds
    assert not ranker.target_ranks(queries, targets)[held].any(), "target_ranks must return 0 for seeds"


def _check_small_inputs(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    ids, scores = ranker.rank(queries, k)
    for b in range(len(queries)):
        alone = ranker.rank(queries.part(b, b + 1), k)
        _same_ranking(
            ranker,
            queries.part(b, b + 1),
            alone,
            (ids[b : b + 1], scores[b : b + 1]),
            tolerance,
            f"query {b}: the ranking must not depend on other queries",
        )
    none = ranker.rank(queries.part(0, 0), k)[0]
    assert none.shape == (0, k), f"rank of an empty batch returned {none.shape} and must return (0, {k})"
    single = _first_seed(queries)
    ranked, _ = ranker.rank(single, k)
    assert not (ranked == single.seeds[:, None]).any(), "a single seed must not be ranked"


def _check_fits(make: Callable[[], Ranker], ranker: Ranker, data: TrainingData, queries: Queries, k: int) -> None:
    expected = ranker.rank(queries, k)
    _identical(make().fit(data).rank(queries, k), expected, "fits with equal seeds must be identical")
    other = make().fit(_half(data))
    _identical(
        other.fit(data).rank(queries, k), expected, "a second fit must not depend on the first: reset the state in fit"
    )


def _check_files(ranker: Ranker, queries: Queries, k: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ranker.save(Path(folder) / "model")
        names = [path.name for path in (Path(folder) / "model").rglob("*") if path.is_file()]
        strange = [name for name in names if not name.endswith((".json", ".safetensors"))]
        assert names and not strange, f"save wrote {strange or 'nothing'} and must write only JSON and safetensors"
        loaded = _loaded(type(ranker), Path(folder) / "model")
        assert loaded.n_items == ranker.n_items, f"n_items={loaded.n_items} after load must equal {ranker.n_items}"
        _identical(
            loaded.rank(queries, k),
            ranker.rank(queries, k),
            "a loaded ranker must rank identically: save the whole state",
        )


def _loaded(cls: type[Ranker], directory: Path) -> Ranker:
    try:
        return cls.load(directory, device="cpu")
    except TypeError as error:
        raise AssertionError(f"load must accept (directory, *, device='cpu'): {error}") from error


def _first_seed(queries: Queries) -> Queries:
    """Return the queries that have seeds, each with the first seed only."""
    keep = queries.offsets[:-1][queries.lengths > 0]
    rows = queries.rows[queries.lengths > 0] if queries.rows is not None else None
    titles = (
        [title for title, n in zip(queries.titles, queries.lengths, strict=True) if n]
        if queries.titles is not None
        else None
    )
    return Queries(queries.seeds[keep], np.arange(len(keep) + 1, dtype=np.int64), titles, rows=rows)


def _half(data: TrainingData) -> TrainingData:
    """Return every second training playlist, without a checkpoint folder."""
    train, half = data.train, slice(None, None, 2)
    part = PlaylistSet(train.corpus, train.rows[half], train.starts[half], train.ends[half])
    return replace(data, train=part, workdir=None)


def _same_ranking(
    ranker: Ranker,
    queries: Queries,
    found: tuple[np.ndarray, np.ndarray],
    expected: tuple[np.ndarray, np.ndarray],
    tolerance: float,
    rule: str,
) -> None:
    """Check that scores are equal at each rank. Ids may differ between scores equal within `tolerance`."""
    _close(found[1], expected[1], tolerance, rule)
    differ = found[0] != expected[0]
    if differ.any():
        scores = ranker.score(queries, np.arange(1, ranker.n_items + 1))
        ids = np.where(found[0] > 0, found[0], 1)
        own = np.take_along_axis(scores, ids.astype(np.int64) - 1, axis=1)
        assert (found[0][differ] > 0).all() and (expected[0][differ] > 0).all(), f"{rule} (id 0 is at a different rank)"
        _close(own[differ], expected[1][differ], tolerance, rule)


def _close(found: np.ndarray, expected: np.ndarray, tolerance: float, rule: str) -> None:
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance), rule


def _identical(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], rule: str) -> None:
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1]), rule

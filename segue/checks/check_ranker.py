"""The ranker contract as a test suite: call `check_ranker(MyRanker)` in your plug-in's tests.

Every built-in ranker passes it, baselines and neural ones alike.
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
    """Check a ranker against the contract of `Ranker`. Raises `AssertionError` for the first rule that it breaks.

    - make: the ranker's class, or a function that returns the same unfitted ranker each time.
    - data, held_out: at least four training playlists, and at least two others with seeds; default: `example_data`.
    - k: length of the rankings.
    - tolerance: relative and absolute, for scores that are computed in another order. Rankings may only differ where
      scores are that close.
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
    """Like `Ranker.rank`, but slow and simple: score everything, drop seeds, sort by score and id."""
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
    assert ranker.n_items == data.n_items, f"n_items is {ranker.n_items}, the corpus has {data.n_items} tracks"
    items = np.arange(1, data.n_items + 1)
    scores = ranker.score(queries, items)
    assert scores.shape == (len(queries), len(items)), (
        f"score gave {scores.shape} for {len(queries)} queries and {len(items)} items"
    )
    assert scores.dtype == np.float32, f"scores are {scores.dtype}, not float32"
    assert not np.isnan(scores).any() and not np.isposinf(scores).any(), (
        "scores hold NaN or +inf; what cannot be ranked is -inf"
    )
    chosen = items[::-3]
    _close(
        ranker.score(queries, chosen),
        scores[:, chosen - 1],
        tolerance,
        "scores depend on which other items are scored, or in what order",
    )


def _check_ranking(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    for repeats in (False, True):
        ids, scores = ranker.rank(queries, k, allow_repeats=repeats)
        assert ids.shape == scores.shape == (len(queries), k), (
            f"rank gave {ids.shape} for {len(queries)} queries and k={k}"
        )
        assert ids.dtype == np.int32 and scores.dtype == np.float32, (
            f"rank gave {ids.dtype} and {scores.dtype}, not int32 and float32"
        )
        _same_ranking(
            ranker,
            queries,
            (ids, scores),
            brute_force(ranker, queries, k, allow_repeats=repeats),
            tolerance,
            "rank is not the order of score",
        )
    every, _ = ranker.rank(queries, ranker.n_items + 1)
    for b, row in enumerate(every):
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        listed = row[row > 0]
        assert not np.isin(listed, seeds).any(), f"query {b}: a seed is ranked"
        assert len(np.unique(listed)) == len(listed), f"query {b}: an item is ranked twice"
        assert not row[len(listed) :].any(), f"query {b}: id 0 is before ranked items"


def _check_blocks(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    whole = ranker.rank(queries, k)
    for block in (1, 7, ranker.n_items):
        _same_ranking(
            ranker,
            queries,
            ranker.rank(queries, k, block=block),
            whole,
            tolerance,
            f"block={block} changes the ranking",
        )


def _check_target_ranks(ranker: Ranker, queries: Queries, k: int, tolerance: float) -> None:
    """The ranks of targets are those in the ranking, except for scores as close as `tolerance`."""
    ids, scores = ranker.rank(queries, ranker.n_items)
    rows = np.arange(len(queries))
    for place in (0, k // 2, k):
        targets = np.where(ids[:, place] > 0, ids[:, place], 1).astype(np.int64)
        for limit in (None, k):
            ranks = ranker.target_ranks(queries, targets, limit=limit)
            assert ranks.dtype == np.int64 and ranks.shape == rows.shape, (
                f"target_ranks gave {ranks.dtype} {ranks.shape} for {len(rows)} queries"
            )
            ranked = (ids[:, place] > 0) & (ranks > 0)
            _close(
                scores[rows, ranks - 1][ranked],
                scores[:, place][ranked],
                tolerance,
                "target_ranks differ from the ranking",
            )
            if limit is None or place < k // 2:
                assert (ranks[ids[:, place] > 0] > 0).all(), f"a ranked item has no rank (limit={limit})"
    held = queries.lengths > 0
    seeds = queries.seeds[queries.offsets[:-1][held]].astype(np.int64)
    targets = np.ones(len(queries), np.int64)
    targets[held] = seeds
    assert not ranker.target_ranks(queries, targets)[held].any(), "a seed has a rank"


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
            f"query {b} alone has another ranking than among others",
        )
    none = ranker.rank(queries.part(0, 0), k)[0]
    assert none.shape == (0, k), f"no query gave {none.shape}"
    single = _first_seed(queries)
    ranked, _ = ranker.rank(single, k)
    assert not (ranked == single.seeds[:, None]).any(), "with a single seed, the seed is ranked"


def _check_fits(make: Callable[[], Ranker], ranker: Ranker, data: TrainingData, queries: Queries, k: int) -> None:
    expected = ranker.rank(queries, k)
    _identical(make().fit(data).rank(queries, k), expected, "two fits under the same seed differ")
    other = make().fit(_half(data))
    _identical(other.fit(data).rank(queries, k), expected, "a second fit keeps something of the first")


def _check_files(ranker: Ranker, queries: Queries, k: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ranker.save(Path(folder) / "model")
        names = [path.name for path in (Path(folder) / "model").rglob("*") if path.is_file()]
        strange = [name for name in names if not name.endswith((".json", ".safetensors"))]
        assert names and not strange, f"save wrote {strange or 'nothing'}: safetensors and JSON only"
        loaded = _loaded(type(ranker), Path(folder) / "model")
        assert loaded.n_items == ranker.n_items, f"n_items is {loaded.n_items} after load, {ranker.n_items} before"
        _identical(loaded.rank(queries, k), ranker.rank(queries, k), "load does not give back what was saved")


def _loaded(cls: type[Ranker], directory: Path) -> Ranker:
    try:
        return cls.load(directory, device="cpu")
    except TypeError as error:
        raise AssertionError(f"load(directory, *, device='cpu') cannot be called so: {error}") from error


def _first_seed(queries: Queries) -> Queries:
    """The queries that have seeds, with the first seed only."""
    keep = queries.offsets[:-1][queries.lengths > 0]
    rows = queries.rows[queries.lengths > 0] if queries.rows is not None else None
    titles = (
        [title for title, n in zip(queries.titles, queries.lengths, strict=True) if n]
        if queries.titles is not None
        else None
    )
    return Queries(queries.seeds[keep], np.arange(len(keep) + 1, dtype=np.int64), titles, rows=rows)


def _half(data: TrainingData) -> TrainingData:
    """Every second training playlist, without the folder of checkpoints."""
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
    """Equal scores rank by rank; ids may only differ where their scores are as close."""
    _close(found[1], expected[1], tolerance, rule)
    differ = found[0] != expected[0]
    if differ.any():
        scores = ranker.score(queries, np.arange(1, ranker.n_items + 1))
        ids = np.where(found[0] > 0, found[0], 1)
        own = np.take_along_axis(scores, ids.astype(np.int64) - 1, axis=1)
        assert (found[0][differ] > 0).all() and (expected[0][differ] > 0).all(), f"{rule}: id 0 at another rank"
        _close(own[differ], expected[1][differ], tolerance, rule)


def _close(found: np.ndarray, expected: np.ndarray, tolerance: float, rule: str) -> None:
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance), rule


def _identical(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], rule: str) -> None:
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1]), rule

"""Conformance suite for metrics, for authors of plug-ins. The built-in metrics pass it too.

    from segue.plugin import check_metric

    def test_contract():
        check_metric(HitRate)

The message of a failed assert names the violated rule of `toolkit.contracts.metric`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np

from toolkit.contracts.metric import AllScores, Block, Cutoff, Metric, Reads, SystemMetric
from toolkit.evaluation.metrics.hits import hits
from toolkit.evaluation.metrics.novelty import information

PLAYLISTS, TRACKS, LENGTH = 12, 40, 30


def check_metric(cls: type[Metric]) -> None:
    """Check a metric against its contract. Raises `AssertionError` at the first violated rule."""
    _check_declaration(cls)
    metric, block = cls(), example()
    for k in (1, 10) if metric.cutoff == "k" else (0,):
        if isinstance(metric, SystemMetric):
            _check_system(metric, block, k)
        else:
            _check_values(metric, block, k)
            _check_reading(metric, block, k)
            _check_direction(metric, block, k)


def example(*, seed: int = 0) -> Block:
    """Return random rankings of a few playlists with 1 to 8 hidden tracks each. The last playlist hides nothing."""
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.linspace(0.02, 0.98, TRACKS), (PLAYLISTS, 1)), axis=1).astype(np.float32)
    sizes = np.append(generator.integers(1, 9, size=PLAYLISTS - 1), 0)
    hidden = np.concatenate([np.sort(generator.choice(TRACKS, size=size, replace=False)) + 1 for size in sizes]).astype(
        np.int32
    )
    artists = np.concatenate([[-1], generator.integers(-1, 12, size=TRACKS)])
    return block_of(scores, hidden, np.concatenate([[0], np.cumsum(sizes)]), artists)


def block_of(scores: np.ndarray, hidden: np.ndarray, offsets: np.ndarray, artists: np.ndarray) -> Block:
    """Return a block that ranks all tracks by their scores, float32 [B, V]."""
    ranked = (np.argsort(-scores, axis=1, kind="stable") + 1).astype(np.int32)[:, :LENGTH]
    owners = np.repeat(np.arange(len(scores)), np.diff(offsets))
    every = AllScores(scores, hidden - 1, offsets, np.ones(len(hidden), bool), owners)
    bits = information(np.arange(scores.shape[1] + 1))
    return Block(ranked, hits(ranked, hidden, offsets), hidden, offsets, artists, bits, scores.shape[1], every)


def _check_declaration(cls: type[Metric]) -> None:
    assert issubclass(cls, Metric), f"{cls.__name__} must be a subclass of segue.plugin.Metric"
    assert isinstance(getattr(cls, "name", None), str) and cls.name.isprintable() and cls.name, (
        f"{cls.__name__}.name must be a printable, non-empty string"
    )
    assert not set(cls.name) & set("@|"), f"name={cls.name!r} must not contain '@' or '|': remove them"
    assert isinstance(getattr(cls, "label", None), str) and cls.label, (
        f"{cls.__name__}.label must be a non-empty string: set the heading of table columns"
    )
    assert cls.higher_is_better in (True, False, None), (
        f"higher_is_better={cls.higher_is_better!r} must be True, False or None"
    )
    assert isinstance(cls.decimals, int) and 0 <= cls.decimals <= 8, (
        f"decimals={cls.decimals!r} must be an integer from 0 to 8"
    )
    assert cls.cutoff in get_args(Cutoff), f"cutoff={cls.cutoff!r} must be one of {', '.join(get_args(Cutoff))}"
    assert cls.reads in get_args(Reads), f"reads={cls.reads!r} must be one of {', '.join(get_args(Reads))}"
    low, high = cls.value_range
    assert low < high, f"value_range={cls.value_range} must be (lowest value, highest value)"
    assert (cls.__doc__ or "").strip(), (
        f"{cls.__name__} must have a docstring: add a sentence, which `segue list metrics` prints"
    )


def _check_values(metric: Metric, block: Block, k: int) -> None:
    before = [each.copy() for each in (block.ranked, block.hits, block.tracks, block.offsets)]
    results = metric.values(block, k)
    assert isinstance(results, np.ndarray) and results.shape == (PLAYLISTS,), (
        f"values returned shape {np.shape(results)} and must return one value per playlist, ({PLAYLISTS},)"
    )
    assert results.dtype == np.float64, f"values returned {results.dtype} and must return float64"
    after = (block.ranked, block.hits, block.tracks, block.offsets)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)), (
        "values must not change the block: copy arrays before you write to them"
    )
    nothing = block.n_hidden == 0
    assert np.isnan(results[nothing]).all(), "a playlist without hidden tracks must have the value NaN"
    assert np.isfinite(results[~nothing]).all(), "a playlist with hidden tracks must have a finite value"
    _check_range(metric, results[~nothing])
    for row in range(PLAYLISTS):
        alone = metric.values(_row(block, row), k)
        assert np.allclose(alone, results[row], equal_nan=True), "values must not depend on other playlists"


def _check_range(metric: Metric, results: np.ndarray) -> None:
    low, high = metric.value_range
    assert ((results >= low - 1e-9) & (results <= high + 1e-9)).all(), (
        f"values {results.min()}…{results.max()} must be in value_range={metric.value_range}"
    )


def _check_reading(metric: Metric, block: Block, k: int) -> None:
    """Check that the metric reads only what it declares."""
    results = metric.values(block, k)
    if metric.reads == "hits":
        bare = replace(Block.of_hits(block.hits, block.n_hidden), n_candidates=block.n_candidates)
        assert np.allclose(metric.values(bare, k), results, equal_nan=True), (
            'reads="hits" permits only hits and n_hidden: set reads="tracks"'
        )
    if metric.reads != "scores":
        assert np.allclose(metric.values(replace(block, all_scores=None), k), results, equal_nan=True), (
            f'reads={metric.reads!r} does not permit scores: set reads="scores"'
        )
    if metric.reads == "list":
        other = replace(block, hits=~block.hits & False, tracks=(block.tracks % TRACKS + 1).astype(np.int32))
        assert np.allclose(metric.values(other, k), results, equal_nan=True), (
            'reads="list" does not permit hidden tracks: set reads="tracks"'
        )
    if metric.cutoff == "k":
        short = replace(block, ranked=block.ranked[:, :k], hits=block.hits[:, :k])
        assert np.allclose(metric.values(short, k), results, equal_nan=True), (
            f"the value at k={k} must not depend on tracks after rank {k}"
        )


def _check_direction(metric: Metric, block: Block, k: int) -> None:
    """Check that a ranking with the hidden tracks first is better than a ranking with them last."""
    if metric.higher_is_better is None:
        return
    every, hidden = block.all_scores, np.zeros((PLAYLISTS, TRACKS), bool)
    assert every is not None
    hidden[np.repeat(np.arange(PLAYLISTS), block.n_hidden), every.columns] = True
    ramp = np.tile(np.linspace(0.0, 0.1, TRACKS, dtype=np.float32), (PLAYLISTS, 1))
    best, worst = (
        block_of(ramp + np.float32(0.9) * mask, block.tracks, block.offsets, block.artists)
        for mask in (hidden, ~hidden)
    )
    good, bad = (np.nanmean(metric.values(each, k)) for each in (best, worst))
    direction = "higher" if metric.higher_is_better else "lower"
    better = good > bad if metric.higher_is_better else good < bad
    assert better, (
        f"higher_is_better={metric.higher_is_better} requires a {direction} value with hidden tracks first ({good})"
        f" than last ({bad})"
    )


def _check_system(metric: SystemMetric, block: Block, k: int) -> None:
    halves = [_rows(block, 0, PLAYLISTS // 2), _rows(block, PLAYLISTS // 2, PLAYLISTS)]
    whole = metric.total(metric.tally(block, k), block.n_candidates)
    assert isinstance(whole, float), f"total returned {whole!r} and must return a float"
    first, second = (metric.tally(half, k) for half in halves)
    assert first.shape == second.shape, (
        f"tallies of shapes {first.shape} and {second.shape} must have the same shape for every block"
    )
    assert np.isclose(metric.total(first + second, block.n_candidates), whole), (
        "tallies of two blocks must sum to the tally of the joint block"
    )
    _check_range(metric, np.array([whole]))


def _row(block: Block, row: int) -> Block:
    return _rows(block, row, row + 1)


def _rows(block: Block, start: int, stop: int) -> Block:
    """Return playlists `start` to `stop` − 1 of a block."""
    low, high = int(block.offsets[start]), int(block.offsets[stop])
    offsets, every = block.offsets[start : stop + 1] - low, block.all_scores
    owners = np.repeat(np.arange(stop - start), np.diff(offsets))
    if every is not None:
        every = AllScores(every.scores[start:stop], every.columns[low:high], offsets, every.chosen[low:high], owners)
    parts = (block.ranked[start:stop], block.hits[start:stop], block.tracks[low:high], offsets)
    return Block(*parts, block.artists, block.information, block.n_candidates, every)

"""Comparison of a ranker's behaviour with its declared `Capabilities`, as a part of `check_ranker`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.packages import check_requires
from toolkit.ranker import Capabilities, FitInputs, Ranker, TrainingData

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Make = Callable[[], Ranker]


def check_capabilities(
    make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float
) -> None:
    """Raise `AssertionError` if a fitted ranker behaves differently from what its `capabilities` declare."""
    cls, able = type(ranker), ranker.capabilities
    assert isinstance(able, Capabilities), (
        f"capabilities of {cls.__name__} must be a segue.plugin.Capabilities, not {able!r}"
    )
    assert isinstance(cls.name, str) and NAME.fullmatch(cls.name), (
        f"name={cls.name!r} must consist of letters, digits, '.', '_' and '-'"
    )
    check_requires(cls)
    assert not able.labels_required or able.labels, (
        "labels_required=True requires labels: list the label kinds that the ranker reads"
    )
    assert isinstance(ranker.memory_problem(data.train, "cpu"), str), (
        "memory_problem must return a string: return '' if memory is sufficient"
    )
    assert not (problem := ranker.input_problem(FitInputs.of(data))), (
        f"input_problem returned {problem!r} for data to which the ranker was fitted: return ''"
    )
    _check_required(make, data)
    _check_unread(make, ranker, data, queries, k, tolerance)
    _check_seed(make, ranker, data, queries, k, tolerance)
    _check_cold_tracks(ranker, data, queries)
    _check_vectors(ranker)


def _check_required(make: Make, data: TrainingData) -> None:
    """Check that `fit` raises `InputError` for data without a required input."""
    able = make().capabilities
    incomplete = {
        "content='required'": replace(data, modalities={}) if able.content == "required" else None,
        "titles='required'": _untitled(data) if able.titles == "required" else None,
        "labels_required=True": replace(data, labels={}) if able.labels_required else None,
        f"modalities={able.modalities}": replace(data, modalities={}) if able.modalities else None,
        f"validation_groups={able.validation_groups}": replace(data, valid=None) if able.validation_groups else None,
    }
    for rule, rest in incomplete.items():
        if rest is None:
            continue
        try:
            make().fit(replace(rest, workdir=None))
        except InputError:
            continue
        raise AssertionError(
            f"{rule} requires fit to raise InputError if the data lack this input: raise it, or declare 'optional'"
        )


def _check_unread(make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float) -> None:
    """Check that undeclared inputs do not change the rankings."""
    able = ranker.capabilities
    expected = ranker.rank(queries, k)
    if able.titles == "none":
        untitled = replace(queries, titles=None)
        _same(
            ranker.rank(untitled, k),
            expected,
            tolerance,
            "titles='none' requires rankings independent of query titles: set titles='optional' or 'required'",
        )
    labels = {kind: matrix for kind, matrix in data.labels.items() if kind in able.labels}
    modalities = {} if able.content == "none" else data.modalities
    if len(labels) == len(data.labels) and len(modalities) == len(data.modalities):
        return
    rest = replace(data, labels=labels, modalities=modalities, workdir=None)
    rule = "undeclared modalities or labels must not change the ranking: declare them in content and labels"
    try:
        fitted = make().fit(rest)
    except InputError as error:
        raise AssertionError(
            f"fit must not require undeclared modalities or labels ({error}): declare them in content and labels"
        ) from None
    _same(fitted.rank(queries, k), expected, tolerance, rule)


def _check_seed(make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float) -> None:
    if ranker.capabilities.deterministic:
        other = make().fit(replace(data, seed=data.seed + 1, workdir=None))
        _same(
            other.rank(queries, k),
            ranker.rank(queries, k),
            tolerance,
            "deterministic=True requires the same ranking for every seed: set deterministic=False",
        )


def _check_cold_tracks(ranker: Ranker, data: TrainingData, queries: Queries) -> None:
    """Check that a ranker with `cold_tracks` and required content scores at least one cold track."""
    able, cold = ranker.capabilities, np.flatnonzero(data.train.counts()[1:] == 0) + 1
    if able.cold_tracks and able.content == "required" and len(cold):
        scores = ranker.score(queries, cold)
        assert np.isfinite(scores).any(), (
            "cold_tracks=True requires a score for tracks without training entries: set cold_tracks=False"
        )


def _check_vectors(ranker: Ranker) -> None:
    items = np.array([1, ranker.n_items])
    vectors = ranker.item_vectors(items)
    if not ranker.capabilities.embeds:
        assert vectors is None, "embeds=False requires item_vectors to return None: set embeds=True"
        return
    assert vectors is not None and vectors.ndim == 2 and len(vectors) == 2, (
        "embeds=True requires item_vectors to return one row per item: set embeds=False, or return [n, d]"
    )
    assert vectors.dtype == np.float32, f"item_vectors returned {vectors.dtype} and must return float32"


def _untitled(data: TrainingData) -> TrainingData:
    """Return the same data without playlist titles."""
    corpus, train = data.train.corpus, data.train
    place = corpus.playlists.column_names.index("title")
    playlists = corpus.playlists.set_column(place, "title", pa.nulls(len(corpus), pa.string()))
    return replace(data, train=replace(train, corpus=replace(corpus, playlists=playlists)))


def _same(
    found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], tolerance: float, rule: str
) -> None:
    """Check that scores are equal at each rank. Ids may differ where scores tie."""
    assert np.allclose(found[1], expected[1], rtol=tolerance, atol=tolerance), rule

"""The part of `check_ranker` that compares what a ranker does with its `Capabilities`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from toolkit.corpus.queries import Queries
from toolkit.errors import InputError
from toolkit.packages import check_requires
from toolkit.ranker import Capabilities, Ranker, TrainingData

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Make = Callable[[], Ranker]


def check_capabilities(
    make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float
) -> None:
    """Raise `AssertionError` if a fitted ranker does not do what its `capabilities` declare."""
    cls, able = type(ranker), ranker.capabilities
    assert isinstance(able, Capabilities), (
        f"capabilities of {cls.__name__} must be a segue.plugin.Capabilities, not {able!r}"
    )
    assert isinstance(cls.name, str) and NAME.fullmatch(cls.name), (
        f"name={cls.name!r} must be of letters, digits, '.', '_' and '-'"
    )
    check_requires(cls)
    assert not able.labels_required or able.labels, "labels_required=True needs labels: name the kinds that it reads"
    assert isinstance(ranker.memory_problem(data.train, "cpu"), str), (
        "memory_problem must return a string, empty for no problem"
    )
    _check_required(make, data)
    _check_unread(make, ranker, data, queries, k, tolerance)
    _check_seed(make, ranker, data, queries, k, tolerance)
    _check_cold_tracks(ranker, data, queries)
    _check_vectors(ranker)


def _check_required(make: Make, data: TrainingData) -> None:
    """`fit` refuses data that lacks what the ranker requires."""
    able = make().capabilities
    incomplete = {
        "content='required'": replace(data, modalities={}) if able.content == "required" else None,
        "titles='required'": _untitled(data) if able.titles == "required" else None,
        "labels_required=True": replace(data, labels={}) if able.labels_required else None,
    }
    for rule, rest in incomplete.items():
        if rest is None:
            continue
        try:
            make().fit(replace(rest, workdir=None))
        except InputError:
            continue
        raise AssertionError(f"{rule}, but fit accepts data without it: raise InputError, or declare it optional")


def _check_unread(make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float) -> None:
    """Inputs that the ranker does not declare do not change its rankings."""
    able = ranker.capabilities
    expected = ranker.rank(queries, k)
    if able.titles == "none":
        untitled = replace(queries, titles=None)
        _same(
            ranker.rank(untitled, k),
            expected,
            tolerance,
            "titles='none', but titles of queries change the ranking: declare them",
        )
    labels = {kind: matrix for kind, matrix in data.labels.items() if kind in able.labels}
    modalities = {} if able.content == "none" else data.modalities
    if len(labels) == len(data.labels) and len(modalities) == len(data.modalities):
        return
    rest = replace(data, labels=labels, modalities=modalities, workdir=None)
    rule = "modalities or labels that it does not declare (content, labels) change the ranking"
    try:
        fitted = make().fit(rest)
    except InputError as error:
        raise AssertionError(
            f"it needs modalities or labels that it does not declare (content, labels): {error}"
        ) from None
    _same(fitted.rank(queries, k), expected, tolerance, rule)


def _check_seed(make: Make, ranker: Ranker, data: TrainingData, queries: Queries, k: int, tolerance: float) -> None:
    if ranker.capabilities.deterministic:
        other = make().fit(replace(data, seed=data.seed + 1, workdir=None))
        _same(
            other.rank(queries, k),
            ranker.rank(queries, k),
            tolerance,
            "deterministic=True, but another seed changes the ranking",
        )


def _check_cold_tracks(ranker: Ranker, data: TrainingData, queries: Queries) -> None:
    """A ranker of cold tracks that requires content gives a score to at least one of them."""
    able, cold = ranker.capabilities, np.flatnonzero(data.train.counts()[1:] == 0) + 1
    if able.cold_tracks and able.content == "required" and len(cold):
        scores = ranker.score(queries, cold)
        assert np.isfinite(scores).any(), "cold_tracks=True, but no track without a training placement has a score"


def _check_vectors(ranker: Ranker) -> None:
    items = np.array([1, ranker.n_items])
    vectors = ranker.item_vectors(items)
    if not ranker.capabilities.embeds:
        assert vectors is None, "item_vectors gives vectors, but capabilities has embeds=False"
        return
    assert vectors is not None and vectors.ndim == 2 and len(vectors) == 2, (
        "embeds=True: item_vectors must give one row an item"
    )
    assert vectors.dtype == np.float32, f"item_vectors gives {vectors.dtype}, not float32"


def _untitled(data: TrainingData) -> TrainingData:
    """The same data without a title."""
    corpus, train = data.train.corpus, data.train
    place = corpus.playlists.column_names.index("title")
    playlists = corpus.playlists.set_column(place, "title", pa.nulls(len(corpus), pa.string()))
    return replace(data, train=replace(train, corpus=replace(corpus, playlists=playlists)))


def _same(
    found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], tolerance: float, rule: str
) -> None:
    """Equal scores rank by rank. Ids may differ where scores tie."""
    assert np.allclose(found[1], expected[1], rtol=tolerance, atol=tolerance), rule

"""Tests of mean factors of artists and genres: values by slow loops, AUC, and tracks without a mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from segue.checks.check_ranker import check_ranker
from tests.coldstart.planted_content import FACTORS, TRACKS, Planted, plant
from toolkit import plugins
from toolkit.errors import InputError
from toolkit.ranker import Ranker, TrainingData

KINDS = {"same-artist": "artist", "genre-centroid": "genre"}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def labels(planted: Planted) -> dict[str, sp.csr_matrix]:
    """Return an artist in the track's taste, its genre, and a random genre.

    The last track shares no label with a warm track.
    """
    rng = np.random.default_rng(0)
    artist, genre = np.zeros((TRACKS + 1, 19), np.float32), np.zeros((TRACKS + 1, 9), np.float32)
    rows = np.arange(1, TRACKS + 1)
    artist[rows, planted.kinds * 3 + rng.integers(0, 3, TRACKS)] = 1
    genre[rows, planted.kinds] = genre[rows, 6 + rng.integers(0, 2, TRACKS)] = 1
    artist[-1], genre[-1] = 0, 0
    artist[-1, 18] = genre[-1, 8] = 1
    genre[-2, 8] = 1
    return {"artist": sp.csr_matrix(artist), "genre": sp.csr_matrix(genre)}


def _fitted(name: str, data: TrainingData) -> Ranker:
    return plugins.load("segue.rankers", name)(factors=FACTORS.model_dump()).fit(data)


@pytest.mark.parametrize("name", KINDS)
def test_cold_track_factors_are_mean_of_label_centroids(
    name: str, planted: Planted, labels: dict[str, sp.csr_matrix]
) -> None:
    items = _fitted(name, replace(planted.data, labels=labels, device="cpu")).state["items"][1:]
    has = labels[KINDS[name]].toarray()[1:] > 0
    for track in np.flatnonzero(~planted.warm)[:-1]:
        sharing = [has[:, label] & planted.warm for label in np.flatnonzero(has[track])]
        expected = np.mean([planted.factors[rows].mean(axis=0) for rows in sharing if rows.any()], axis=0)
        np.testing.assert_allclose(items[track], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(items[planted.warm], planted.factors[planted.warm])


@pytest.mark.parametrize("name", KINDS)
def test_label_mean_auc_is_between_random_and_upper_bound(
    name: str, planted: Planted, labels: dict[str, sp.csr_matrix]
) -> None:
    ranker = _fitted(name, replace(planted.data, labels=labels, device="cpu"))
    reached = planted.aucs(ranker).mean()
    assert planted.chance.mean() + 0.2 < reached < planted.bound.mean()
    # nobody has played anything of the last track's label
    assert np.isneginf(ranker.score(planted.test.queries(), np.array([TRACKS]))).all()


@pytest.mark.parametrize("name", KINDS)
def test_label_means_pass_check_ranker(name: str, planted: Planted, labels: dict[str, sp.csr_matrix]) -> None:
    make = plugins.load("segue.rankers", name)
    check_ranker(
        lambda: make(factors=FACTORS.model_dump()), replace(planted.data, labels=labels, device="cpu"), planted.test
    )


def test_label_means_without_labels_raise_input_error(planted: Planted) -> None:
    with pytest.raises(InputError, match="same-artist requires tracks with artist labels that may be trained on"):
        _fitted("same-artist", planted.data)

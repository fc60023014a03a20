"""Tests of artist and genre popularity against hand-computed values, and of the content mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from toolkit.baselines.content_mix import ContentMix
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.label_popularity import ArtistPopularity, GenrePopularity
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import InputError
from toolkit.ranker import TrainingData

NONE = -np.inf
ALL = np.arange(1, 6)
LISTS = [[1, 2], [1, 3], [1, 2, 4]]
# tracks 1 and 2 are by artist 0, 3 and 5 by artist 1, 4 by nobody known
ARTISTS = sp.csr_matrix(np.array([[0, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 1]], np.float32))
GENRES = sp.csr_matrix(np.array([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0], [0, 1]], np.float32))


@pytest.fixture
def labelled(training: Callable[..., TrainingData]) -> TrainingData:
    return replace(training(LISTS, 5), labels={"artist": ARTISTS, "genre": GENRES})


def test_artist_popularity_scores_tracks_of_seed_artists_by_plays(labelled: TrainingData) -> None:
    found = ArtistPopularity(power=1.0).fit(labelled).score(Queries.of([[1], [3, 1, 2], [4]]), ALL)
    both = np.array([2, 1]) / np.sqrt(5)
    expected = [[4, 3, NONE, NONE, NONE], [4 * both[0], 3 * both[0], 2 * both[1], NONE, both[1]], [NONE] * 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_genre_popularity_scores_by_cosine_with_and_without_idf(labelled: TrainingData) -> None:
    half = 1 / np.sqrt(2)
    found = GenrePopularity(power=0.0).fit(labelled).score(Queries.of([[2]]), ALL)
    np.testing.assert_allclose(found, [[half, 1, NONE, NONE, NONE]], rtol=1e-6)
    # genre 0 has 2 of the 4 labelled tracks, genre 1 has 3
    rare, common = np.log1p(4 / 2), np.log1p(4 / 3)
    found = GenrePopularity(power=0.0, idf=True).fit(labelled).score(Queries.of([[2]]), ALL)
    np.testing.assert_allclose(found[0, 0], rare / np.hypot(rare, common), rtol=1e-6)


def test_label_popularity_without_labels_raises_input_error(training: Callable[..., TrainingData]) -> None:
    with pytest.raises(
        InputError,
        match="artist-popularity requires tracks with artist labels that may be trained on",
    ):
        ArtistPopularity().fit(training(LISTS, 5))


def test_content_mix_with_zero_weights_equals_item_knn(small: tuple[TrainingData, HeldOut]) -> None:
    data, held_out = small
    mix = ContentMix(genre=0.0, artist=0.0).fit(data).score(held_out.queries(), np.arange(1, 91))
    alone = ItemKNN().fit(data).score(held_out.queries(), np.arange(1, 91))
    lengths = held_out.queries().lengths[:, None]
    np.testing.assert_allclose(mix, alone / lengths, rtol=1e-5)


def test_content_mix_adds_weighted_cosines(labelled: TrainingData) -> None:
    # 1 shares both playlists of 2's with it: 2 / sqrt(6); genre cosine with idf, artist 1
    mix = ContentMix(genre=0.5, artist=0.25).fit(labelled)
    rare, common = np.log1p(4 / 2), np.log1p(4 / 3)
    expected = 2 / np.sqrt(6) + 0.5 * rare / np.hypot(rare, common) + 0.25
    assert mix.score(Queries.of([[2]]), np.array([1]))[0, 0] == pytest.approx(expected, rel=1e-6)
    assert mix.score(Queries.of([[3]]), np.array([5]))[0, 0] == pytest.approx(0.75)  # never played, the same labels


@pytest.mark.parametrize("telling", ["genre", "artist"])
def test_content_mix_weights_have_the_best_validation_recall(telling: str) -> None:
    from tests.baselines.conftest import corpus_of

    # what is hidden has one label in common with the seeds; the other label, and co-playing, point elsewhere
    rng = np.random.default_rng(0)
    kind = np.arange(201) % 20
    lists = [rng.choice(200, 6, replace=False).tolist() for _ in range(60)]
    lists += [(20 * rng.permutation(10)[:8] + number % 20 + 1).tolist() for number in range(40)]
    corpus = corpus_of([[item if item else 1 for item in one] for one in lists], 200)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    right = sp.csr_matrix((np.ones(200, np.float32), (np.arange(1, 201), (kind[1:] + 19) % 20)), (201, 20))
    wrong = sp.csr_matrix((np.ones(200, np.float32), (np.arange(1, 201), rng.integers(0, 20, 200))), (201, 20))
    labels = {telling: right, ({"genre", "artist"} - {telling}).pop(): wrong}
    train = PlaylistSet(corpus, np.arange(60), starts[:60], ends[:60])
    valid = HeldOut(corpus, np.arange(60, 100), starts[60:], starts[60:] + 4, ends[60:])
    weights = ContentMix().fit(TrainingData(train, valid, labels=labels)).weights
    assert weights[telling] > 0 and weights[telling] >= weights[({"genre", "artist"} - {telling}).pop()]


def test_content_mix_without_validation_and_weights_raises_input_error(small: tuple[TrainingData, HeldOut]) -> None:
    with pytest.raises(
        InputError,
        match="content-mix: validation playlists are required to choose weights, but there are 0: set genre and artist",
    ):
        ContentMix().fit(small[0])

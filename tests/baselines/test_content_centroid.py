"""Tests of the content centroid against hand-computed values and a slow loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.baselines.content_centroid import ContentCentroid
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.ranker import TrainingData

Training = Callable[..., TrainingData]

Small = tuple[TrainingData, HeldOut]


def modality(name: str, rows: list[list[float] | None]) -> Modality:
    """Return a modality with rows for tracks 1…V, None if missing. The values of missing rows must have no effect."""
    width = len(next(row for row in rows if row))
    matrix = np.array([[9.0] * width, *(row or [9.0] * width for row in rows)], np.float32)
    return Modality(name, matrix, np.array([True, *(row is not None for row in rows)]))


def test_content_centroid_scores_cosine_with_mean_seed(training: Training) -> None:
    audio = modality("audio", [[2, 0], [0, 5], [1, 1], [-1, 0], None])
    ranker = ContentCentroid().fit(training([[1, 2]], 5, {"audio": audio}))
    found = ranker.score(Queries.of([[1], [1, 2], [1, 5]]), np.arange(1, 6))
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found[0], [1, 0, half, -1, -np.inf], atol=1e-6)
    np.testing.assert_allclose(found[1], [half, half, 1, -half, -np.inf], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)
    assert ranker.rank(Queries.of([[1]]), 5)[0].tolist() == [[3, 2, 4, 0, 0]]


def test_modality_counts_only_if_track_and_seed_have_it(training: Training) -> None:
    audio = modality("audio", [[1, 0], [0, 1], [1, 0], None])
    lyrics = modality("lyrics", [[1, 0], [1, 0], None, [0, 1]])
    ranker = ContentCentroid().fit(training([[1, 2]], 4, {"audio": audio, "lyrics": lyrics}))
    found = ranker.score(Queries.of([[1], [3]]), np.arange(1, 5))
    np.testing.assert_allclose(found, [[1, 0.5, 1, 0], [1, 0, 1, -np.inf]], atol=1e-6)


def test_seeds_without_content_score_minus_infinity(training: Training) -> None:
    ranker = ContentCentroid().fit(training([[1, 2]], 4, {"audio": modality("audio", [[1, 0], [0, 1], [1, 0], None])}))
    assert not ranker.rank(Queries.of([[4], []]), 4)[0].any()


def test_content_centroid_equals_slow_loop(small: Small) -> None:
    data, held_out = small
    queries, expected = held_out.queries(), np.zeros((len(held_out), 90))
    for b in range(len(held_out)):
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        for item in range(1, 91):
            cosines = []
            for each in data.modalities.values():
                shown = [each.matrix[s] / np.linalg.norm(each.matrix[s]) for s in seeds if each.present[s]]
                if shown and each.present[item]:
                    centre = np.mean(shown, axis=0)
                    cosines.append(
                        centre @ each.matrix[item] / np.linalg.norm(centre) / np.linalg.norm(each.matrix[item])
                    )
            expected[b, item - 1] = np.mean(cosines) if cosines else -np.inf
    np.testing.assert_allclose(ContentCentroid().fit(data).score(queries, np.arange(1, 91)), expected, atol=1e-5)


def test_content_centroid_uses_only_selected_modalities(small: Small) -> None:
    data, held_out = small
    only = TrainingData(data.train, modalities={"lyrics": data.modalities["lyrics"]})
    chosen = ContentCentroid(modalities=["lyrics"]).fit(data).rank(held_out.queries(), 20)
    np.testing.assert_array_equal(chosen[0], ContentCentroid().fit(only).rank(held_out.queries(), 20)[0])


def test_content_centroid_without_modality_raises_input_error(small: Small) -> None:
    with pytest.raises(InputError, match="'lyric' is not a modality: did you mean 'lyrics'"):
        ContentCentroid(modalities=["lyric"]).fit(small[0])
    with pytest.raises(InputError, match="requires a modality, but there are 0: add encoders"):
        ContentCentroid().fit(TrainingData(small[0].train))

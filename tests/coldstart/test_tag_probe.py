"""Tests of tag prediction against scikit-learn, and of tags that vectors contain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from toolkit.coldstart import tag_probe
from toolkit.coldstart.tag_probe import areas, predict_new, predict_tags
from toolkit.errors import InputError


def planted(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors [n, 6] and four tags.

    The first two columns contain the first two tags. The third tag is random, and all tracks have the fourth.
    """
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 6))
    tags = np.stack(
        [vectors[:, 0] > 0.5, vectors[:, 1] + 0.3 * rng.normal(size=n) > 0, rng.random(n) < 0.4, np.ones(n)], axis=1
    )
    return vectors.astype(np.float32), tags.astype(np.float32)


def test_auc_equals_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores, tags = rng.integers(0, 6, (50, 3)).astype(float), rng.random((50, 3)) < 0.4
    tags[:, 2] = False
    found = areas(scores, tags)
    assert np.allclose(found[:2], [roc_auc_score(tags[:, t], scores[:, t]) for t in range(2)]) and np.isnan(found[2])


def test_joint_logistic_regressions_equal_scikit_learn() -> None:
    vectors, tags = planted()
    taught, asked = np.arange(200), np.arange(200, 240)
    found = tag_probe._logistic(vectors, tags, taught, asked)
    scaled = tag_probe._scaled(vectors, taught)
    for tag in range(3):
        one = LogisticRegression(C=1 / tag_probe.PENALTY, tol=1e-8, max_iter=1000).fit(
            scaled[taught], tags[taught, tag]
        )
        assert np.allclose(found[:, tag], one.decision_function(scaled[asked]), atol=0.02)


@pytest.mark.parametrize(("method", "tested"), [("logistic", 240), ("mlp", 48)])
def test_tags_contained_in_vectors_have_high_auc(method: tag_probe.Method, tested: int) -> None:
    found = predict_tags(*planted(), method=method, seed=1)
    assert found.tested == tested and found.auc.shape == (4,)
    assert found.auc[0] > 0.95 and found.auc[1] > 0.9 and abs(found.auc[2] - 0.5) < 0.2 and np.isnan(found.auc[3])
    assert found.mean == pytest.approx(found.auc[:3].mean())
    assert found.interval[0] < found.mean < found.interval[1] and found.interval[1] - found.interval[0] < 0.3
    again = predict_tags(*planted(), method=method, seed=1)
    assert np.array_equal(again.auc, found.auc, equal_nan=True)


def test_tag_prediction_with_too_few_tracks_raises_input_error() -> None:
    vectors, tags = planted(19)
    with pytest.raises(InputError, match="19 tracks have both vectors and tags, but 10 folds require at least 20"):
        predict_tags(vectors, tags, method="logistic", seed=0)


@pytest.mark.parametrize("method", ["logistic", "mlp"])
def test_tags_of_new_tracks_are_predicted_from_training_tracks_alone(method: tag_probe.Method) -> None:
    vectors, tags = planted()
    fitted, tested = np.arange(180), np.arange(180, 240)
    found = predict_new(vectors, tags, fitted, tested, method=method, seed=1)
    assert found.tested == 60 and found.auc[0] > 0.95 and found.interval[0] < found.mean < found.interval[1]
    changed = tags.copy()
    changed[tested] = 1 - tags[tested]
    other = predict_new(vectors, changed, fitted, tested, method=method, seed=1)
    assert np.allclose(other.auc[:3], 1 - found.auc[:3])

"""Tests of standardised features."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.features.features import FeaturesEncoder
from toolkit.errors import InputError, SegueError


def test_standardised_columns_have_mean_0_and_deviation_1():
    # 1, 2, 6: mean 3, variance (4 + 1 + 9) / 3
    rows = FeaturesEncoder().fit([[1.0], [2.0], [6.0]]).transform([[1.0], [2.0], [6.0], [3.0]])
    np.testing.assert_allclose(rows[:, 0], np.array([-2, -1, 3, 0]) / np.sqrt(14 / 3), rtol=1e-6)


def test_features_equal_sklearn_standard_scaler(features):
    from sklearn.preprocessing import StandardScaler

    moving = features[:, :4]
    np.testing.assert_allclose(
        FeaturesEncoder().fit(moving).transform(moving), StandardScaler().fit_transform(moving), atol=1e-4
    )


def test_constant_column_becomes_zero(features):
    # 0.1 in float32 is not 0.1: rounding must not be blown up into noise
    encoder = FeaturesEncoder().fit(features)
    assert not encoder.transform(features)[:, 4].any()
    moved = features.copy()
    moved[:, 4] = 0.6
    np.testing.assert_allclose(encoder.transform(moved)[:, 4], 0.5, rtol=1e-6)


def test_features_fit_accepts_a_single_row():
    np.testing.assert_array_equal(FeaturesEncoder().fit([[3.0, 7.0]]).transform([[4.0, 7.0]]), [[1.0, 0.0]])


def test_invalid_shapes_and_numbers_raise_error():
    encoder = FeaturesEncoder().fit([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(InputError, match=r"shape \(1, 3\) must have 2 columns as in fit"):
        encoder.transform([[1.0, 2.0, 3.0]])
    with pytest.raises(BadInput, match="input 1 has nan in column 0") as caught:
        encoder.transform([[1.0, 2.0], [float("nan"), 2.0]])
    assert caught.value.index == 1
    with pytest.raises(InputError, match="n >= 1"):
        FeaturesEncoder().fit(np.zeros((0, 3), np.float32))


def test_features_cannot_reconstruct_and_do_not_need_feedback(tmp_path):
    encoder = FeaturesEncoder()
    assert not encoder.reconstructs and not encoder.needs_feedback
    with pytest.raises(SegueError, match="encoder 'features' cannot reconstruct inputs"):
        encoder.reconstructions([[1.0]], tmp_path / "picture.png")

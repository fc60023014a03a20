"""Tests of imputing, centring, normalising and reducing vectors, by hand or against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from toolkit.contracts.missing_policy import Start
from toolkit.errors import InputError
from toolkit.fusion import prepare as module
from toolkit.fusion.prepare import Normalise, prepare, unit
from toolkit.modality import Modality

MATRIX = np.array([[9, 9], [1, 2], [7, 7], [3, 6]], np.float32)
PRESENT = np.array([False, True, False, True])


def fill(matrix: np.ndarray, present: np.ndarray, missing: Start) -> np.ndarray:
    return prepare(Modality("audio", matrix, present), missing=missing, reduce="none", normalise="none")


def pca(matrix: np.ndarray, present: np.ndarray, dim: int) -> np.ndarray:
    return prepare(Modality("audio", matrix, present), missing="mean", reduce=f"pca:{dim}", normalise="none")


def with_gaps(n: int = 500, dim: int = 12) -> Modality:
    """Return vectors far from the origin, of which about a third are missing."""
    generator = np.random.default_rng(0)
    present = generator.random(n + 1) < 0.7
    present[0] = False
    return Modality("audio", generator.normal(3, 1, (n + 1, dim)).astype(np.float32) * present[:, None], present)


def test_missing_rows_get_the_mean_of_present_rows() -> None:
    assert fill(MATRIX, PRESENT, "mean").tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]
    assert fill(MATRIX, PRESENT, "zero").tolist() == [[0, 0], [1, 2], [0, 0], [3, 6]]
    assert MATRIX[0].tolist() == [9, 9]  # the given matrix is not written to


def test_mean_of_many_rows_is_exact_to_float32() -> None:
    """Average two million values, for which a float32 running sum has an error above 1 %."""
    matrix = np.full((2_000_001, 2), 0.1, np.float32)
    present = np.ones(len(matrix), bool)
    present[:2] = False
    assert fill(matrix, present, "mean")[1].tolist() == [np.float32(0.1)] * 2


@pytest.mark.parametrize("reduce", ["none", "pca:4"])
@pytest.mark.parametrize("normalise", ["none", "before"])
def test_prepared_vectors_do_not_depend_on_block_size(
    reduce: str, normalise: Normalise, monkeypatch: pytest.MonkeyPatch
) -> None:
    modality = with_gaps()
    whole = module.Prepared(modality, missing="mean", reduce=reduce, normalise=normalise)
    wanted = whole[0:501]
    assert np.array_equal(np.concatenate([whole[start : start + 100] for start in range(0, 501, 100)]), wanted)
    monkeypatch.setattr(module, "BLOCK", 64)
    assert [part.stop - part.start for part in module.row_slices(501)] == [64] * 7 + [53]
    assert prepare(modality, missing="mean", reduce=reduce, normalise=normalise) == pytest.approx(wanted, abs=1e-6)


def test_normalised_rows_have_unit_norm_and_zero_rows_stay_zero() -> None:
    assert unit(np.array([[0, 0], [3, 4]], np.float32)) == pytest.approx(np.array([[0, 0], [0.6, 0.8]]))


@pytest.mark.parametrize("reduce", ["none", "pca:4"])
def test_missing_row_is_exactly_zero_after_centring(reduce: str) -> None:
    """Require exact zeros, because normalising would turn a rounding error into a shared direction."""
    modality = with_gaps()
    table = prepare(modality, missing="mean", reduce=reduce, normalise="before")
    assert not table[~modality.present].any()
    assert np.linalg.norm(table[modality.present], axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(table, prepare(modality, missing="zero", reduce=reduce, normalise="before"))


def test_only_the_mean_policy_fills_uncentred_missing_rows() -> None:
    modality = with_gaps()
    mean = prepare(modality, missing="mean", reduce="none", normalise="none")
    zero = prepare(modality, missing="zero", reduce="none", normalise="after")
    wanted = modality.matrix[modality.present].mean(axis=0, dtype=np.float64)
    absent = np.flatnonzero(~modality.present)[1:]
    assert mean[absent] == pytest.approx(np.tile(wanted, (len(absent), 1)), abs=1e-6)
    assert not zero[~modality.present].any()
    for table in (mean, zero):
        assert np.array_equal(table[modality.present], modality.matrix[modality.present])
        assert not table[0].any()
        assert table.dtype == np.float32


def test_centred_unit_vectors_equal_a_slow_loop() -> None:
    modality = with_gaps(40, 3)
    table = prepare(modality, missing="mean", reduce="none", normalise="before")
    mean = modality.matrix[modality.present].astype(np.float64).mean(axis=0)
    for item in np.flatnonzero(modality.present):
        row = modality.matrix[item] - mean
        assert table[item] == pytest.approx(row / np.sqrt((row**2).sum()), abs=1e-6)


def test_pca_equals_scikit_learn_up_to_the_sign_of_an_axis() -> None:
    modality = with_gaps()
    rows = modality.matrix[modality.present].astype(np.float64)
    wanted = PCA(5, svd_solver="full").fit_transform(rows)
    found = pca(modality.matrix, modality.present, 5)[modality.present]
    signs = np.sign((found * wanted).sum(axis=0))
    assert found * signs == pytest.approx(wanted, abs=1e-4)


def test_pca_ignores_missing_rows() -> None:
    modality = with_gaps()
    other = np.where(modality.present[:, None], modality.matrix, 1000.0).astype(np.float32)
    assert np.array_equal(pca(other, modality.present, 3), pca(modality.matrix, modality.present, 3))


def test_largest_loading_of_an_axis_is_positive() -> None:
    modality = with_gaps()
    found, rows = (
        pca(modality.matrix, modality.present, 6)[modality.present],
        modality.matrix[modality.present].astype(np.float64),
    )
    axes = np.linalg.lstsq(rows - rows.mean(axis=0), found, rcond=None)[0]  # (12, 6)
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(6)]
    assert (largest > 0).all()
    assert pca(MATRIX, PRESENT, 1) == pytest.approx(np.array([[0], [-np.sqrt(5)], [0], [np.sqrt(5)]]), abs=1e-6)


def test_more_pca_axes_than_present_tracks_raise() -> None:
    with pytest.raises(InputError, match=r"pca:3 must have dim <= 2"):
        pca(np.ones((4, 3), np.float32), PRESENT, 3)


def test_more_pca_axes_than_dimensions_keep_all_dimensions() -> None:
    assert prepare(with_gaps(), missing="mean", reduce="pca:64", normalise="none").shape == (501, 12)


@pytest.mark.parametrize("normalise", ["none", "before", "after"])
def test_modality_missing_for_all_tracks_is_zero(normalise: Normalise) -> None:
    nobody = Modality("cover", np.ones((4, 3), np.float32), np.zeros(4, bool))
    assert not prepare(nobody, missing="mean", reduce="none", normalise=normalise).any()

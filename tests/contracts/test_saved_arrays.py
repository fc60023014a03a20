"""Tests of the rules for arrays of saved rankers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from toolkit.baselines.sparse_products import packed, unpacked
from toolkit.contracts.saved_arrays import TRACKS, Layout, Sparse, check, flags, floats, integers
from toolkit.errors import DataError

MATRIX = sp.csr_matrix(np.array([[0, 1, 2], [3, 0, 0], [0, 0, 0]], np.float32))
LAYOUT: Layout = {
    "m": Sparse(TRACKS, TRACKS),
    "v": floats(TRACKS, "k"),
    "f": flags(TRACKS),
    "i": integers(2, below="k"),
}


def _state() -> dict[str, np.ndarray]:
    arrays = {"v": np.ones((3, 4), np.float32), "f": np.ones(3, bool), "i": np.array([0, 3])}
    return packed(MATRIX, "m") | arrays


def test_state_of_a_fit_is_accepted_and_unpacked_without_a_copy() -> None:
    state = _state()
    check(state, LAYOUT, 2)
    assert (unpacked(state, "m") != MATRIX).nnz == 0 and np.shares_memory(unpacked(state, "m").data, state["m.data"])


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("m.indices", np.array([1, 2**30, 0], np.int32), "indices from 0 to 3 - 1"),
        ("m.indices", np.array([1, -1, 0], np.int32), "indices from 0 to 3 - 1"),
        ("m.indices", np.array([1, 2], np.int32), "an index for each"),
        ("m.indptr", np.array([0, 5, 3, 3], np.int32), "ascending offsets"),
        ("m.indptr", np.array([1, 2, 3, 3], np.int32), "ascending offsets"),
        ("m.indptr", np.array([0, 2, 3, 2**31 - 1], np.int32), "ascending offsets"),
        ("m.indptr", np.array([0, 2, 3], np.int32), "offsets"),
        ("m.indptr", np.array([0, 2, 3, 3], np.float64), "indices of int32"),
        ("m.data", np.array([1, np.nan, 3], np.float32), "finite values"),
        ("m.data", np.array([1, 2, 3], np.float16), "finite values"),
        ("m.shape", np.array([3, 2**40]), "columns for 3 values"),
        ("m.shape", np.array([3, -3]), "two sizes"),
        ("m.shape", np.array([3, 4]), "3 tracks, not 4"),
        ("v", np.full((3, 4), np.inf, np.float32), "finite values"),
        ("v", np.ones((2, 4), np.float32), "3 tracks, not 2"),
        ("v", np.ones((3, 4), np.float64), "float32, not float64"),
        ("f", np.ones((3, 1), bool), "1 dimensions, not 2"),
        ("i", np.array([0, 4]), "must be < 4"),
    ],
)
def test_wild_array_is_refused_with_its_name(name: str, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        check(_state() | {name: array}, LAYOUT, 2)
    assert str(refused.value).startswith(name.partition(".")[0])


def test_matrix_outside_of_a_layout_is_checked_too() -> None:
    with pytest.raises(ValueError, match="indices from 0"):
        check(_state() | {"m.indices": np.array([9, 9, 9], np.int32)}, {}, 2)


def test_unpacked_refuses_wild_indices_in_one_line() -> None:
    with pytest.raises(DataError, match=r"the fitted state is damaged \(m must have indices"):
        unpacked(_state() | {"m.indices": np.array([9, 9, 9], np.int32)}, "m")

from __future__ import annotations

import numpy as np
import pytest

from toolkit.corpus.permutation import Permutation, hashed


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 10_000])
def test_permutation_contains_each_index_once(n: int) -> None:
    assert np.sort(Permutation(n, 5)(np.arange(n))).tolist() == list(range(n))


def test_permutation_of_a_slice_equals_the_slice_of_the_permutation() -> None:
    permutation = Permutation(1000, 5)
    whole = permutation(np.arange(1000))

    assert permutation(np.arange(300, 310)).tolist() == whole[300:310].tolist()


def test_permutation_scatters_neighbours_and_depends_on_the_seed() -> None:
    n = 100_000
    images = Permutation(n, 1)(np.arange(n))

    # of independent draws the mean distance is a third, with a standard error of .00075
    assert np.abs(np.diff(images)).mean() / n == pytest.approx(1 / 3, abs=0.005)
    assert abs(np.corrcoef(np.arange(n), images)[0, 1]) < 0.015
    assert (images == Permutation(n, 2)(np.arange(n))).sum() < 10


def test_hashes_equal_splitmix64() -> None:
    # first outputs of the published generator seeded with 1234567: its state before mixing is seed + n · golden
    golden = 0x9E3779B97F4A7C15
    inverse = pow(golden, -1, 2**64)
    places = np.array([1, 2, 3], np.uint64)

    found = hashed(places, 1234567 * inverse % 2**64)

    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]

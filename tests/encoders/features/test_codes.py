"""Tests of the codes of categories."""

from __future__ import annotations

import numpy as np

from toolkit.encoders.features.codes import CodesEncoder, CodesParams


def test_inner_product_of_codes_is_one_only_for_equal_names():
    rows = (
        CodesEncoder().transform(["ABBA", "Björk", "ABBA"] + [str(number) for number in range(500)]).astype(np.float64)
    )
    products = rows @ rows.T
    np.testing.assert_allclose(np.diag(products), 1, rtol=1e-6)
    np.testing.assert_allclose(products[0, 2], 1, rtol=1e-6)
    others = products[3:, 3:][~np.eye(500, dtype=bool)]
    assert abs(others.mean()) < 0.005
    assert abs(others.std() - 1 / 16) < 0.003  # 1 / sqrt(256)


def test_code_depends_only_on_name_and_seed():
    one, many = CodesEncoder(seed=1).transform(["x"]), CodesEncoder(seed=1).transform(["a", "b", "x"])
    np.testing.assert_array_equal(one[0], many[2])
    assert abs(float(one[0] @ CodesEncoder(seed=2).transform(["x"])[0])) < 0.3


def test_codes_equal_stored_values():
    # a change here is a change of every saved model's codes: raise CodesEncoder.version with it
    rows = CodesEncoder(CodesParams(dim=3)).transform(["ABBA", "Björk"])
    np.testing.assert_allclose(rows, [[0.937147, -0.141370, 0.319013], [0.266198, -0.552954, -0.789544]], atol=1e-6)

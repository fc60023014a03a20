"""Tests of the check of LightGBM's text."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.baselines.tree_text import checked_text

lightgbm = pytest.importorskip("lightgbm")

FEATURES = 5


@pytest.fixture(scope="module", params=["binary", "lambdarank"])
def text(request: pytest.FixtureRequest) -> str:
    draw = np.random.default_rng(0)
    x = draw.random((400, FEATURES))
    x[draw.random(x.shape) < 0.1] = np.nan
    data = lightgbm.Dataset(x, (np.nan_to_num(x[:, 0]) > 0.5).astype(int), group=[20] * 20)
    settings = {"objective": request.param, "num_leaves": 7, "verbosity": -1, "num_threads": 1}
    return str(lightgbm.train(settings, data, 6).model_to_string())


def test_checked_text_gives_the_same_scores_and_gains(text: str) -> None:
    x = np.random.default_rng(1).random((300, FEATURES))
    x[::7, 2] = np.nan
    before, after = (lightgbm.Booster(model_str=each) for each in (text, checked_text(text, FEATURES)))

    assert after.num_trees() == 6 and np.array_equal(before.predict(x), after.predict(x))
    assert np.array_equal(before.feature_importance("gain"), after.feature_importance("gain"))


def _first(text: str, name: str, change: str) -> str:
    """Return the text with the first number of the first line `name` changed."""
    start = text.index(f"\n{name}=") + len(name) + 2
    end = min(place for place in (text.find(" ", start), text.find("\n", start)) if place > 0)
    return text[:start] + change + text[end:]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("split_feature", "99", "split by the numbers"),
        ("split_feature", "-1", "split by the numbers"),
        ("left_child", "1000000", "each node and leaf once"),
        ("left_child", "0", "each node and leaf once"),
        ("left_child", "-1000", "each node and leaf once"),
        ("decision_type", "1", "split by the numbers"),
        ("num_leaves", "1000000000", "numbers"),
        ("num_leaves", "0", "must have a leaf"),
        ("num_cat", "3", "must not be categorical"),
        ("leaf_value", "nan", "leaf_value must have"),
        ("leaf_value", "1 2", "leaf_value must have"),
        ("is_linear", "1", "must not be categorical or linear"),
        ("max_feature_idx", "7", "must have 5 features"),
        ("objective", "custom", "known objective"),
    ],
)
def test_wild_value_is_refused(text: str, name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_text(_first(text, name, value), FEATURES)


def test_circle_of_nodes_is_refused() -> None:
    tree = (
        "num_leaves=4\nnum_cat=0\nsplit_feature=0 0 0\nsplit_gain=1 1 1\nthreshold=1 1 1\ndecision_type=2 2 2\n"
        "left_child=-1 2 1\nright_child=-2 -3 -4\nleaf_value=1 1 1 1\nshrinkage=1\n"
    )
    text = f"tree\nmax_feature_idx=0\nobjective=lambdarank\n\nTree=0\n{tree}\nend of trees\n"
    with pytest.raises(ValueError, match="nodes after their parents"):
        checked_text(text, 1)

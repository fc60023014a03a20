"""Tests of the two-dimensional projection of track vectors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from toolkit import pipeline
from toolkit.errors import MissingPackage, RecipeError
from toolkit.pipeline.figures.projection import By, on_a_plane
from toolkit.recipe import load


@pytest.mark.parametrize("by", ["tsne", "umap"])
def test_map_separates_groups_and_puts_few_tracks_on_a_line(by: By) -> None:
    rng = np.random.default_rng(0)
    group = np.arange(60) % 3
    vectors = np.eye(3)[group] + 0.05 * rng.normal(size=(60, 3))
    found = on_a_plane(vectors, seed=1, by=by)
    assert np.array_equal(found, on_a_plane(vectors, seed=1, by=by)) and np.abs(found).max() == pytest.approx(1)
    middles = np.stack([found[group == each].mean(axis=0) for each in range(3)])
    own = np.linalg.norm(found[:, None] - middles, axis=2)
    assert (own.argmin(axis=1) == group).all()
    assert on_a_plane(vectors[:3], seed=1, by=by).tolist() == [[-1, 0], [0, 0], [1, 0]] and on_a_plane(
        vectors[:0], seed=1, by=by
    ).shape == (0, 2)


@pytest.mark.parametrize(("n", "width"), [(4, 6), (5, 6), (9, 6), (9, 1)])
def test_projection_of_few_or_one_dimensional_vectors_is_finite(n: int, width: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(n, width))
    vectors[0] = 0
    found = on_a_plane(vectors, seed=3, by="umap")
    assert found.shape == (n, 2) and np.isfinite(found).all()


def test_missing_umap_raises_before_the_run_starts(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "umap" else find(name, *rest))
    with pytest.raises(
        MissingPackage,
        match=r"report.map_by=umap requires umap-learn: pip install 'segue\[umap\]', or set `map_by: tsne`",
    ):
        pipeline.run(load(tiny_recipe, ["report.map_by=umap"]), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_unknown_map_method_raises(tiny_recipe: Path) -> None:
    with pytest.raises(
        RecipeError,
        match=r"report.map_by=umap requires a map, but report.map is 0: remove `map_by`, or set the default"
        r" value, tsne",
    ):
        load(tiny_recipe, ["report.map=0", "report.map_by=umap"])

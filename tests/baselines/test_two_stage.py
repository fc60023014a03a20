"""Tests of the two-stage ranker: gain over its systems, cross-fitting on validation, and saving with its systems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from tests.baselines.conftest import corpus_of
from toolkit.baselines.boosted_folds import assign_folds
from toolkit.baselines.candidates import STEPS, candidate_blocks, feature_names
from toolkit.baselines.content_centroid import ContentCentroid
from toolkit.baselines.item_knn import ItemKNN
from toolkit.baselines.popularity import Popularity
from toolkit.baselines.two_stage import TwoStage
from toolkit.baselines.validation_recall import hidden_matrix, recalls
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.errors import InputError
from toolkit.modality import Modality
from toolkit.ranker import Ranker, TrainingData

SMALL = {"candidates": 30, "rounds": 20, "patience": 5, "min_leaf": 5, "leaves": 4, "folds": 3}
Planted = tuple[TrainingData, HeldOut]


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Return playlists with one of ten tastes over 200 tracks, half of which are unplayed and have only vectors."""
    rng = np.random.default_rng(2)
    taste = np.concatenate([[-1], rng.permutation(np.repeat(np.arange(10), 20))])
    cold = np.concatenate([[False], rng.random(200) < 0.5])
    lists = []
    for row in range(220):
        own = np.flatnonzero(taste == row % 10)
        warm, new = own[~cold[own]], own[cold[own]]
        some = rng.choice(warm, size=min(len(warm), 6), replace=False)
        lists.append([*some, *([] if row < 100 else rng.choice(new, size=3, replace=False))])
    corpus = corpus_of(lists, 200)
    starts, ends, held = corpus.offsets[:-1], corpus.offsets[1:], np.arange(100, 220)
    train = PlaylistSet(corpus, np.arange(100), starts[:100], ends[:100])
    part = HeldOut(corpus, held, starts[held], starts[held] + 4, ends[held])
    vectors = np.eye(10, dtype=np.float32)[taste] + rng.normal(0, 0.5, (201, 10)).astype(np.float32)
    modality = Modality("sound", vectors, taste >= 0)
    data = TrainingData(train, part.part(0, 60), {"sound": modality}, seed=1)
    systems = {cls.name: cls().fit(data) for cls in (Popularity, ItemKNN, ContentCentroid)}
    return replace(data, systems=systems), part.part(60, 120)


@pytest.fixture(scope="module")
def fitted(planted: Planted) -> TwoStage:
    return TwoStage(**SMALL).fit(planted[0])


def test_two_stage_passes_check_ranker(planted: Planted) -> None:
    data, held_out = planted
    check_ranker(lambda: TwoStage(**{**SMALL, "rounds": 5}), data, held_out.part(0, 5))


def test_two_stage_recall_is_above_each_of_its_systems(planted: Planted, fitted: TwoStage) -> None:
    data, held_out = planted

    def recall(ranker: Ranker) -> float:
        return recalls(ranker.rank(held_out.queries(), 10)[0], hidden_matrix(held_out)).mean()

    assert recall(fitted) > max(recall(ranker) for ranker in data.systems.values()) + 0.05


def test_importance_sums_to_one_over_features(fitted: TwoStage) -> None:
    shares = fitted.importance()
    assert list(shares) == sorted(shares, key=lambda name: -shares[name]) and sum(shares.values()) == pytest.approx(1.0)
    assert {"item-knn score", "content-centroid place", "sound to the nearest seed", "plays"} <= set(shares)


def test_validation_playlists_are_scored_by_trees_from_other_folds(planted: Planted, fitted: TwoStage) -> None:
    valid = planted[0].valid
    assert valid is not None
    queries, row = valid.queries(), 7
    found = next(candidate_blocks(fitted.systems, fitted.content, queries.part(row, row + 1), n=30))
    fold = int(fitted.state["fold"][row])
    own = [booster.predict(found.features) for booster in fitted.boosters]
    np.testing.assert_allclose(fitted.score(queries, found.item)[row], own[fold], rtol=1e-6)
    stranger = Queries(queries.seeds, queries.offsets)
    np.testing.assert_allclose(fitted.score(stranger, found.item)[row], np.mean(own, axis=0), rtol=1e-6)


def test_versions_of_a_playlist_share_a_fold() -> None:
    groups = np.repeat(np.arange(12), np.arange(1, 13))
    fold = assign_folds(groups, 4, 0)
    assert all(len(set(fold[groups == group])) == 1 for group in range(12))
    assert np.bincount(fold).tolist() == pytest.approx([19.5] * 4, abs=1.5)
    assert set(assign_folds(np.array([5, 5, 9]), 4, 0)) == {0, 1}


def test_candidate_features_equal_hand_computed_values(small: tuple[TrainingData, HeldOut]) -> None:
    data, held_out = small
    data = replace(data, valid=held_out)
    ranker = TwoStage(**SMALL).fit(replace(data, systems={"item-knn": ItemKNN().fit(data)}))
    queries = held_out.queries()
    found = np.concatenate([part.features for part in candidate_blocks(ranker.systems, ranker.content, queries, n=20)])
    (block,) = candidate_blocks(ranker.systems, ranker.content, queries, n=20)
    columns = dict(zip(feature_names(ranker.systems, ranker.content), found.T, strict=True))
    scores, plays = ItemKNN().fit(data).score(queries, np.arange(1, 91)), data.train.counts()
    step = 0.5 / STEPS
    for b in range(len(queries)):
        at, item = np.flatnonzero(block.row == b), block.item[block.row == b]
        seeds = queries.seeds[queries.offsets[b] : queries.offsets[b + 1]]
        assert set(item) == set(ItemKNN().fit(data).rank(queries.part(b, b + 1), 20)[0][0]) - {0}
        own = scores[b, item - 1]
        scaled = (own - own.min()) / max(own.max() - own.min(), 1e-9)
        np.testing.assert_allclose(columns["item-knn score"][at], scaled, atol=step + 1e-6)
        rounded = columns["item-knn score"][at]
        np.testing.assert_allclose(
            columns["item-knn place"][at], [np.log1p((rounded > one).sum()) for one in rounded], rtol=1e-6
        )
        np.testing.assert_allclose(
            columns["plays"][at], np.log1p([sum(1 for _ in range(plays[i])) for i in item]), rtol=1e-6
        )
        np.testing.assert_allclose(columns["share of seeds played"][at], np.mean(plays[seeds] > 0), atol=step)
        artist = data.labels["artist"].toarray()
        shares = [np.mean([artist[i] @ artist[s] for s in seeds]) for i in item]
        np.testing.assert_allclose(columns["artist share of seeds"][at], shares, atol=step)
        there = data.modalities["audio"].present
        unit = data.modalities["audio"].matrix / np.maximum(
            np.linalg.norm(data.modalities["audio"].matrix, axis=1, keepdims=True), 1e-9
        )
        heard = [s for s in seeds if there[s]]
        nearest = [max(unit[i] @ unit[s] for s in heard) if heard and there[i] else np.nan for i in item]
        np.testing.assert_allclose(columns["audio to the nearest seed"][at], nearest, atol=step + 1e-6)


def test_two_stage_without_systems_or_validation_raises_input_error(planted: Planted) -> None:
    data, _ = planted
    with pytest.raises(InputError, match="two-stage: other systems are required, but there are 0"):
        TwoStage().fit(replace(data, systems={}))
    with pytest.raises(
        InputError, match="two-stage: 'item-nn' is not a fitted system of this run: did you mean 'item-knn'?"
    ):
        TwoStage(systems=["item-nn"]).fit(data)
    with pytest.raises(InputError, match="two-stage requires at least 2 different validation playlists .* there are 0"):
        TwoStage().fit(replace(data, valid=None))


def test_damaged_list_of_systems_raises_run_directory_error(fitted: TwoStage, tmp_path: Path) -> None:
    from toolkit.errors import RunDirectoryError

    fitted.save(tmp_path)
    (tmp_path / "systems.json").write_text("[{}]")
    with pytest.raises(RunDirectoryError, match="is not a readable two-stage ranker"):
        TwoStage.load(tmp_path)

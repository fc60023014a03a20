"""Tests of splits without leaks from a recipe's evaluation section."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import InputError, LeakError
from toolkit.evaluation.leaks import check_disjoint
from toolkit.recipe import Evaluation

Build = Callable[..., Corpus]
TEN = list(range(1, 11))


def split(corpus: Corpus, evaluation: Evaluation) -> Split:
    return evaluation.split.split(corpus)


def turned(by: int) -> list[int]:
    """Return the ten tracks in a different order for each number below ten."""
    return TEN[by:] + TEN[:by]


def test_leave_last_out_hides_last_two_tracks(corpus_of: Build) -> None:
    parts = split(corpus_of([[1, 2, 3, 4], [5, 6], [4, 2, 1]], 6), Evaluation(split="leave_last_out"))
    assert parts.train.flat()[0].tolist() == [1, 2, 4]
    assert [parts.valid.hidden()[0].tolist(), parts.test.hidden()[0].tolist()] == [[3, 2], [4, 1]]
    assert parts.test.queries().seeds.tolist() == [1, 2, 3, 4, 2]


def test_playlist_disjoint_uses_recipe_settings(corpus_of: Build) -> None:
    corpus = corpus_of([turned(1), turned(2), TEN, TEN[:4]], 10, splits=["train", "valid", "test", "test"])
    parts = split(corpus, Evaluation(split={"shown": 0.7}))
    assert [parts.train.rows.tolist(), parts.valid.rows.tolist(), parts.test.rows.tolist()] == [[0], [1], [2]]
    assert parts.test.queries().seeds.tolist() == TEN[:7]
    parts = split(corpus, Evaluation(split={"seeds": 2, "min_tracks": 3}))
    assert parts.test.rows.tolist() == [2, 3]
    assert parts.test.queries().lengths.tolist() == [2, 2]


def test_folds_by_hash_test_each_playlist_once(corpus_of: Build) -> None:
    generator = np.random.default_rng(0)
    corpus = corpus_of(
        [generator.permutation(TEN) for _ in range(200)], 10, groups=[f"g{row // 2}" for row in range(200)]
    )
    folds = [split(corpus, Evaluation(split={"by": "hash", "folds": 4, "test_fold": fold})) for fold in range(4)]
    assert sorted(np.concatenate([fold.test.rows for fold in folds]).tolist()) == list(range(200))
    for fold in folds:
        assert not set(corpus.groups[fold.train.rows]) & set(corpus.groups[fold.test.rows])


@pytest.mark.parametrize(
    ("sides", "names"),
    [("train test valid", "p0' in train and 'p1' in test"), ("valid test train", "p0' in valid and 'p1' in test")],
)
def test_versions_in_two_parts_raise_leak_error(sides: str, names: str, corpus_of: Build) -> None:
    corpus = corpus_of(
        [TEN, TEN, TEN, TEN, TEN], 10, groups=["a", "a", "b", None, None], splits=[*sides.split(), "train", "test"]
    )
    with pytest.raises(LeakError, match=f"the split leaks, because '{names} are versions of the same playlist"):
        split(corpus, Evaluation())


def test_identical_playlist_in_training_and_test_raises_leak_error(corpus_of: Build) -> None:
    corpus = corpus_of([turned(1), turned(2), TEN], 10, splits=["train", "valid", "test"])
    parts = split(corpus, Evaluation())
    start = corpus.offsets[:1]
    leaky = Split(parts.train, parts.valid, HeldOut(corpus, np.array([0]), start, start + 7, start + 10))
    with pytest.raises(LeakError, match="'p0' in train and 'p0' in test"):
        check_disjoint(leaky)


def test_empty_part_raises_input_error(corpus_of: Build) -> None:
    with pytest.raises(InputError, match="the valid split is empty"):
        split(corpus_of([TEN, TEN], 10, splits=["train", "test"]), Evaluation())

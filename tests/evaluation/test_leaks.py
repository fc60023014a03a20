"""Leak checks: planted leaks are reported, clean splits pass, and near copies equal those of brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolkit.corpus import near_duplicates as minhash
from toolkit.corpus import splits
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.near_duplicates import near_duplicates
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split, leave_last_out, playlist_disjoint
from toolkit.errors import LeakError
from toolkit.evaluation import leaks
from toolkit.recipe import Evaluation

Build = Callable[..., Corpus]


@pytest.fixture(scope="module")
def corpus(corpus_of: Build) -> Corpus:
    generator = np.random.default_rng(8)
    return corpus_of([generator.permutation(300)[: generator.integers(10, 40)] + 1 for _ in range(300)], 300)


def spans(corpus: Corpus, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(rows), corpus.offsets[rows], corpus.offsets[np.array(rows) + 1]


@pytest.mark.parametrize("make", [playlist_disjoint, leave_last_out])
def test_clean_splits_pass(make: Callable[[Corpus], Split], corpus: Corpus) -> None:
    parts = make(corpus)
    leaks.check_leaks(parts, disjoint=make is playlist_disjoint)
    assert not len(leaks.equal_lists(parts.train.rows, parts.test.rows, corpus)[0])


def test_hidden_placements_in_training_are_a_leak(corpus: Corpus) -> None:
    parts = leave_last_out(corpus)
    longer = replace(parts, train=replace(parts.train, ends=parts.train.ends + 1))
    with pytest.raises(LeakError, match="the split leaks: 'p0' has hidden valid placements in training"):
        leaks.check_leaks(longer, disjoint=False)
    one = parts.train.ends.copy()
    one[7] += 2
    late = replace(parts.valid, **{name: getattr(parts.valid, name)[:7] for name in ("rows", "starts", "cuts", "ends")})
    with pytest.raises(LeakError, match="'p7' has hidden test placements in training"):
        leaks.check_leaks(Split(replace(parts.train, ends=one), late, parts.test), disjoint=False)


def test_tested_playlist_in_training_is_a_leak(corpus: Corpus) -> None:
    parts = playlist_disjoint(corpus)
    row = int(parts.test.rows[3])
    train = PlaylistSet(
        corpus,
        *(
            np.append(getattr(parts.train, name), each)
            for name, each in zip(("rows", "starts", "ends"), spans(corpus, [row]), strict=True)
        ),
    )
    with pytest.raises(LeakError, match=f"'p{row}' has hidden test placements in training"):
        leaks.check_leaks(Split(train, parts.valid, parts.test))


@pytest.mark.parametrize("make", [playlist_disjoint, leave_last_out])
def test_same_hidden_placements_in_validation_and_test_are_a_leak(
    make: Callable[[Corpus], Split], corpus: Corpus
) -> None:
    parts = make(corpus)
    with pytest.raises(LeakError, match="selection on test: 'p.*' hides the same placements in validation and in test"):
        leaks.check_leaks(Split(parts.train, parts.test.part(2, 5), parts.test), disjoint=make is playlist_disjoint)


def copied(corpus_of: Build, sides: list[str]) -> Corpus:
    generator = np.random.default_rng(1)
    lists = [generator.permutation(60)[:12] + 1 for _ in sides]
    lists[-1] = lists[0]
    return corpus_of(lists, 60, splits=sides)


@pytest.mark.parametrize(
    ("sides", "names"),
    [
        ("train valid test", "'p0' in train and 'p2' in test"),
        ("valid train test", "'p0' in valid and 'p2' in test"),
        ("valid test train", "'p2' in train and 'p0' in valid"),
    ],
)
def test_equal_lists_in_two_parts_are_a_leak(sides: str, names: str, corpus_of: Build) -> None:
    with pytest.raises(
        LeakError, match=f"the split leaks: {names} are the same list .* evaluation.split.equal_lists: drop"
    ):
        Evaluation().split.split(copied(corpus_of, sides.split()))


def test_copies_can_be_left_out_of_training(corpus_of: Build) -> None:
    made = copied(corpus_of, ["train", "train", "valid", "valid", "test"])
    parts = Evaluation(split={"equal_lists": "drop"}).split.split(made)
    assert [parts.train.rows.tolist(), parts.valid.rows.tolist(), parts.test.rows.tolist()] == [[1], [2, 3], [4]]
    assert leaks.without_copies(playlist_disjoint(made))[1] == 1


@pytest.mark.parametrize("block", [1, 5, 2**20])
def test_equal_lists_do_not_depend_on_the_block(block: int, monkeypatch: pytest.MonkeyPatch, corpus_of: Build) -> None:
    monkeypatch.setattr(splits, "BLOCK", block)
    made = corpus_of([[1, 2, 3], [4, 5], [6, 1, 2], [2, 3], [4, 5], [1, 2, 3]], 6)
    copies, originals = leaks.equal_lists(np.array([0, 1, 2]), np.array([3, 4, 5]), made)
    assert (copies.tolist(), originals.tolist()) == ([0, 1], [5, 4])


def test_same_tracks_in_another_order_are_not_equal_lists(corpus_of: Build) -> None:
    made = corpus_of([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3], [1, 2, 3, 4]], 4)
    copies, originals = leaks.equal_lists(np.array([0, 1, 2]), np.array([3]), made)
    assert (copies.tolist(), originals.tolist()) == ([0], [3])


def brute(asked: list[list[int]], others: list[list[int]]) -> list[bool]:
    return [max(len(set(a) & set(b)) / len(set(a) | set(b)) for b in others) > 0.5 if a else False for a in asked]


def flat(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([item for each in lists for item in each], np.int32), np.concatenate(
        [[0], np.cumsum([len(each) for each in lists])]
    )


@pytest.mark.parametrize("block", [64, 2**20])
def test_near_copies_equal_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minhash, "BLOCK", block)
    generator = np.random.default_rng(6)
    others = [(generator.permutation(500)[: generator.integers(2, 40)] + 1).tolist() for _ in range(200)]
    asked: list[list[int]] = [[]]
    for _ in range(150):
        base = others[generator.integers(200)]
        share = generator.uniform(0.2, 1.0)
        kept = [track for track in base if generator.random() < share]
        asked.append((generator.permutation(500)[: generator.integers(0, 12)] + 1).tolist() + kept + kept[:2])
    expected = brute(asked, others)
    assert 30 < sum(expected) < 120
    assert near_duplicates(flat(asked), flat(others), 500).tolist() == expected


def test_list_that_shares_half_of_its_tracks_is_not_a_near_copy() -> None:
    asked, others = flat([[1, 2, 3], [1, 2]]), flat([[1, 2, 4], [9, 8]])
    assert near_duplicates(asked, others, 9).tolist() == [False, True]
    assert near_duplicates(asked, (np.zeros(0, np.int32), np.zeros(1, np.int64)), 9).tolist() == [False, False]


def test_near_copies_do_not_depend_on_the_order_of_seeds(corpus_of: Build) -> None:
    lists = [list(range(1, 21)), list(range(30, 50)), list(range(1, 20))]
    made = corpus_of(lists, 60, splits=["train", "valid", "test"])
    parts = Evaluation(split={"shuffle_seeds": True}).split.split(made)
    assert leaks.near_copies(parts, parts.test).tolist() == [True] and leaks.near_copies(
        parts, parts.valid
    ).tolist() == [False]
    assert isinstance(parts.test, HeldOut)

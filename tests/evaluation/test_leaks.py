"""Tests of leak checks with planted leaks, splits without leaks, and near copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
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
def test_splits_without_leaks_pass_checks(make: Callable[[Corpus], Split], corpus: Corpus) -> None:
    parts = make(corpus)
    leaks.check_leaks(parts, disjoint=make is playlist_disjoint)
    assert not len(leaks.equal_lists(parts.train.rows, parts.test.rows, corpus)[0])


def test_hidden_entries_in_training_raise_leak_error(corpus: Corpus) -> None:
    parts = leave_last_out(corpus)
    longer = replace(parts, train=replace(parts.train, ends=parts.train.ends + 1))
    with pytest.raises(LeakError, match="the split leaks, because training contains hidden valid tracks of 'p0'"):
        leaks.check_leaks(longer, disjoint=False)
    one = parts.train.ends.copy()
    one[7] += 2
    late = replace(parts.valid, **{name: getattr(parts.valid, name)[:7] for name in ("rows", "starts", "cuts", "ends")})
    with pytest.raises(LeakError, match="training contains hidden test tracks of 'p7'"):
        leaks.check_leaks(Split(replace(parts.train, ends=one), late, parts.test), disjoint=False)


def test_tested_playlist_in_training_raises_leak_error(corpus: Corpus) -> None:
    parts = playlist_disjoint(corpus)
    row = int(parts.test.rows[3])
    train = PlaylistSet(
        corpus,
        *(
            np.append(getattr(parts.train, name), each)
            for name, each in zip(("rows", "starts", "ends"), spans(corpus, [row]), strict=True)
        ),
    )
    with pytest.raises(LeakError, match=f"training contains hidden test tracks of 'p{row}'"):
        leaks.check_leaks(Split(train, parts.valid, parts.test))


@pytest.mark.parametrize("make", [playlist_disjoint, leave_last_out])
def test_same_hidden_entries_in_validation_and_test_raise_leak_error(
    make: Callable[[Corpus], Split], corpus: Corpus
) -> None:
    parts = make(corpus)
    with pytest.raises(LeakError, match="the split leaks, because 'p.*' hides the same tracks in validation and test"):
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
def test_identical_playlists_in_two_parts_raise_leak_error(sides: str, names: str, corpus_of: Build) -> None:
    with pytest.raises(
        LeakError,
        match=f"the split leaks, because {names} have the same tracks .* `evaluation.split.equal_lists: drop`",
    ):
        Evaluation().split.split(copied(corpus_of, sides.split()))


def test_equal_lists_drop_removes_copies_from_training(corpus_of: Build) -> None:
    made = copied(corpus_of, ["train", "train", "valid", "valid", "test"])
    parts = Evaluation(split={"equal_lists": "drop"}).split.split(made)
    assert [parts.train.rows.tolist(), parts.valid.rows.tolist(), parts.test.rows.tolist()] == [[1], [2, 3], [4]]
    assert leaks.without_copies(playlist_disjoint(made))[1] == 1


@pytest.mark.parametrize("block", [1, 5, 2**20])
def test_identical_playlists_are_found_for_any_block_size(
    block: int, monkeypatch: pytest.MonkeyPatch, corpus_of: Build
) -> None:
    monkeypatch.setattr(splits, "BLOCK", block)
    made = corpus_of([[1, 2, 3], [4, 5], [6, 1, 2], [2, 3], [4, 5], [1, 2, 3]], 6)
    copies, originals = leaks.equal_lists(np.array([0, 1, 2]), np.array([3, 4, 5]), made)
    assert (copies.tolist(), originals.tolist()) == ([0, 1], [5, 4])


def test_same_tracks_in_another_order_are_not_identical_playlists(corpus_of: Build) -> None:
    made = corpus_of([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3], [1, 2, 3, 4]], 4)
    copies, originals = leaks.equal_lists(np.array([0, 1, 2]), np.array([3]), made)
    assert (copies.tolist(), originals.tolist()) == ([0], [3])


def named(made: Corpus, titles: list[str]) -> Corpus:
    """Return a corpus with track titles of one artist."""
    tracks = {"id": made.tracks["id"], "title": titles, "artist": ["A"] * len(titles)}
    return replace(made, tracks=pa.table({**tracks, "album": pa.nulls(len(titles), pa.string())}))


DOUBLED = [*map("song {}".format, range(30)), *map("Song {}!".format, range(30))]
"""Titles of 60 tracks, of which track i + 30 is track i under another id."""


@pytest.mark.parametrize("rows", [(0, 4), (2, 4), (0, 2)])
def test_copies_under_other_ids_raise_leak_error(rows: tuple[int, int], corpus_of: Build) -> None:
    lists = [list(range(low, low + 10)) for low in (1, 5, 11, 15, 21)]
    sides = ["train", "train", "valid", "valid", "test"]
    lists[rows[0]] = [track + 30 if place % 3 else track for place, track in enumerate(lists[rows[1]])]
    made = corpus_of(lists, 60, splits=sides)
    assert Evaluation().split.split(made), "other ids are other tracks without names"
    names = f"'p{rows[0]}' in {sides[rows[0]]} and 'p{rows[1]}' in {sides[rows[1]]}"
    with pytest.raises(
        LeakError, match=f"because {names} have the same tracks, some of them under other ids .*: assign both"
    ):
        Evaluation().split.split(named(made, DOUBLED))
    parts = Evaluation(split={"equal_lists": "drop"}).split.split(named(made, DOUBLED))
    assert rows[0] not in [*parts.train.rows, *parts.valid.rows, *parts.test.rows]


def test_versions_of_a_playlists_tracks_are_not_copies(corpus_of: Build) -> None:
    lists = [list(range(low, low + 10)) for low in (1, 5, 11, 15, 1)]
    lists[4] = [track + 30 for track in lists[0]]
    made = corpus_of(lists, 60, splits=["train", "train", "valid", "valid", "test"])
    titles = [*map("song {}".format, range(30)), *map("song {} - live".format, range(30))]
    assert Evaluation().split.split(named(made, titles)).train.rows.tolist() == [0, 1]


def test_near_copies_under_other_ids_are_found(corpus_of: Build) -> None:
    lists = [list(range(1, 21)), list(range(21, 31)), [*range(31, 46), *range(50, 55)]]
    made = corpus_of(lists, 60, splits=["train", "valid", "test"])
    parts = Evaluation().split.split(made)
    assert leaks.near_copies(parts, parts.test).tolist() == [False]
    parts = Evaluation().split.split(named(made, DOUBLED))
    assert leaks.near_copies(parts, parts.test).tolist() == [True], "15 of 25 recordings"
    assert leaks.near_copies(parts, parts.valid).tolist() == [False]


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


def test_playlist_sharing_half_of_tracks_is_not_near_copy() -> None:
    asked, others = flat([[1, 2, 3], [1, 2]]), flat([[1, 2, 4], [9, 8]])
    assert near_duplicates(asked, others, 9).tolist() == [False, True]
    assert near_duplicates(asked, (np.zeros(0, np.int32), np.zeros(1, np.int64)), 9).tolist() == [False, False]


def test_near_copies_are_independent_of_seed_order(corpus_of: Build) -> None:
    lists = [list(range(1, 21)), list(range(30, 50)), list(range(1, 20))]
    made = corpus_of(lists, 60, splits=["train", "valid", "test"])
    parts = Evaluation(split={"shuffle_seeds": True}).split.split(made)
    assert leaks.near_copies(parts, parts.test).tolist() == [True] and leaks.near_copies(
        parts, parts.valid
    ).tolist() == [False]
    assert isinstance(parts.test, HeldOut)

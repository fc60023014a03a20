"""Tests that a time split trains and selects on older entries than it tests, and that planted leaks raise errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus import time_split
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import PlaylistSet, Split
from toolkit.errors import InputError, SegueError
from toolkit.evaluation import leaks
from toolkit.recipe import Evaluation

Build = Callable[..., Corpus]
DAY = 86_400
ASKED = Evaluation(
    split={"type": "global_time", "valid_from": "1970-04-01", "test_from": "1970-05-01", "min_tracks": 4}
)


@pytest.fixture(scope="module")
def corpus(corpus_of: Build) -> Corpus:
    """Return 150 playlists of 5 to 20 of 400 tracks over 40 of 170 days. Lists 0 and 1 are versions of one playlist."""
    rng = np.random.default_rng(3)
    lists = [rng.permutation(np.arange(3, 401))[: rng.integers(5, 21)] for _ in range(148)]
    made = corpus_of([np.array([1, 2, 3, 4]), np.array([2, 1, 4, 400]), *lists], 400, groups=["v", "v", *[None] * 148])
    days = np.concatenate(
        [[1] * 4, [130] * 4, *(rng.integers(0, 130) + rng.integers(0, 40, len(each)) for each in lists)]
    )
    return replace(made, times=days * DAY)


@pytest.fixture(scope="module")
def parts(corpus: Corpus) -> Split:
    return ASKED.split.split(corpus)


def test_time_split_without_leaks_passes_checks(parts: Split) -> None:
    leaks.check_in_time(parts)
    assert len(parts.train) > 80 and len(parts.valid) > 40 and len(parts.test) > 50
    assert 1 in parts.test.rows and set(parts.test.labels["playlist"].tolist()) == {"continued", "new"}


def test_entry_after_cut_raises_with_playlist_id(parts: Split, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = time_split.global_time

    def uncut(*given: object, **named: object) -> Split:
        made = kept(*given, **named)  # type: ignore[arg-type]
        ordered, rows = made.train.corpus, np.arange(len(corpus))
        whole = PlaylistSet(ordered, rows, np.asarray(ordered.offsets[:-1]), np.asarray(ordered.offsets[1:]))
        return replace(made, train=whole)

    monkeypatch.setattr(time_split, "global_time", uncut)
    with pytest.raises(
        SegueError,
        match=r"the split leaks, because 'p\d+' has an entry of 1970-0.* in training, which must end .* 1970-04-01",
    ):
        ASKED.split.split(corpus)


def test_late_entry_in_training_raises_leak_error(parts: Split) -> None:
    train = parts.train
    place = int(np.flatnonzero(train.ends < train.corpus.offsets[train.rows + 1])[7])
    ends = train.ends.copy()
    ends[place] += 1
    with pytest.raises(
        SegueError, match=f"'p{train.rows[place]}' has an entry of .* in training, which must end before 1970-04-01"
    ):
        leaks.check_in_time(replace(parts, train=replace(train, ends=ends)))


def test_validation_overlapping_training_or_test_raises_leak_error(parts: Split) -> None:
    valid = parts.valid
    later = int(np.flatnonzero(valid.ends < valid.corpus.offsets[valid.rows + 1])[3])
    ends = valid.ends.copy()
    ends[later] += 1
    with pytest.raises(
        SegueError, match=f"'p{valid.rows[later]}' has an entry of .* in validation, which must end before 1970-05-01"
    ):
        leaks.check_in_time(replace(parts, valid=replace(valid, ends=ends)))
    known = int(np.flatnonzero(valid.labels["playlist"] == "continued")[3])
    cuts = valid.cuts.copy()
    cuts[known] -= 1
    with pytest.raises(
        SegueError, match=f"'p{valid.rows[known]}' .* in hidden validation, which must not begin before 1970-04-01"
    ):
        leaks.check_in_time(replace(parts, valid=replace(valid, cuts=cuts)))


def test_test_part_hiding_validation_entries_raises_leak_error(parts: Split) -> None:
    test = parts.test
    known = int(np.flatnonzero(test.labels["playlist"] == "continued")[5])
    cuts = test.cuts.copy()
    cuts[known] -= 1
    with pytest.raises(
        SegueError,
        match=f"'p{test.rows[known]}' has an entry of .* in the hidden test, which must not begin before 1970-05-01",
    ):
        leaks.check_in_time(replace(parts, test=replace(test, cuts=cuts)))


def test_hidden_track_in_earlier_training_version_raises_leak_error(parts: Split) -> None:
    at = int(np.flatnonzero(parts.test.rows == 1)[0])
    assert parts.test.take(np.array([at])).hidden()[0].tolist() == [400]
    cuts = parts.test.cuts.copy()
    cuts[at] -= 1
    with pytest.raises(SegueError, match="'p0' in training contains 't4', which a later version hides in test"):
        leaks.check_in_time(replace(parts, test=replace(parts.test, cuts=cuts)))


def test_later_copy_raises_leak_error_unless_dropped(corpus_of: Build) -> None:
    lists = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6], [1, 2, 3, 4], [5, 9, 1, 2]]
    made = corpus_of(lists, 9)
    days = pa.array([day * DAY for day in (1, 2, 95, 125, 126)], pa.int64())
    made = replace(made, playlists=made.playlists.append_column("time", days))
    with pytest.raises(
        SegueError, match="'p0' in train and 'p3' in test have the same tracks .* `evaluation.split.equal_lists: drop`"
    ):
        ASKED.split.split(made)
    split = ASKED.split.model_copy(update={"equal_lists": "drop"}).split(made)
    assert split.train.rows.tolist() == [1] and split.test.rows.tolist() == [3, 4] and split.cuts is not None


def test_only_new_playlists_are_near_copies(corpus_of: Build) -> None:
    lists = [[1, 2, 3, 4, 5], [5, 6, 7, 8], [1, 2, 3, 4, 9], [6, 7, 1, 3]]
    days = [[1, 1, 1, 1, 130], [1, 1, 1, 95], [130] * 5, [130] * 4]
    made = replace(corpus_of(lists, 9), times=np.concatenate([np.array(each) * DAY for each in days]))
    split = ASKED.split.split(made)
    assert split.test.rows.tolist() == [0, 2, 3] and leaks.near_copies(split, split.test).tolist() == [
        False,
        True,
        False,
    ]


def test_time_split_can_shuffle_seeds(parts: Split, corpus: Corpus) -> None:
    shuffled = ASKED.split.model_copy(update={"shuffle_seeds": True}).split(corpus)
    for part, other in ((parts.test, shuffled.test), (parts.valid, shuffled.valid)):
        assert [each.tolist() for each in part.hidden()] == [each.tolist() for each in other.hidden()]
        assert not np.array_equal(part.queries().seeds, other.queries().seeds)


def test_time_split_without_times_raises_with_cure(corpus_of: Build) -> None:
    with pytest.raises(
        InputError, match=r"^`evaluation.split.type: global_time` requires times, but the corpus has none: set"
    ):
        ASKED.split.split(corpus_of([[1, 2, 3, 4]], 4))

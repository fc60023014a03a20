"""The split reports what few playlists cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split
from toolkit.evaluation.protocols.leave_last_out import LeaveLastOut
from toolkit.evaluation.protocols.playlist_disjoint import PlaylistDisjoint
from toolkit.evaluation.split_size import few_playlists, independent

Build = Callable[..., Corpus]


def parts_of(corpus_of: Build, n_train: int, n_valid: int, n_test: int) -> Split:
    n = n_train + n_valid + n_test
    corpus = corpus_of([np.arange(1, 11) for _ in range(n)], 10)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]

    def held(first: int, stop: int) -> HeldOut:
        return HeldOut(corpus, np.arange(first, stop), starts[first:stop], starts[first:stop] + 7, ends[first:stop])

    train = PlaylistSet(corpus, np.arange(n_train), starts[:n_train], ends[:n_train])
    return Split(train, held(n_train, n_train + n_valid), held(n_train + n_valid, n))


def test_versions_count_as_one_playlist() -> None:
    assert independent(np.array([3, 3, 3, 3])) == 1
    assert independent(np.arange(7)) == 7
    assert independent(np.array([], int)) == 0


def test_one_validation_playlist_and_five_test_playlists_are_reported(corpus_of: Build) -> None:
    withheld, valid, test = few_playlists(parts_of(corpus_of, 10, 1, 5), PlaylistDisjoint())
    assert withheld == ("the split withholds 6 of 16 playlists (38 %) from training: 1 for validation and 5 for test")
    assert valid.startswith("validation has 1 playlist: epochs, settings and the best system are chosen by 3 hidden")
    assert test.startswith("test has 5 playlists: no difference between systems can be shown, because p cannot go")
    assert "below 0.0625" in test and "test_fold: all" in test


@pytest.mark.parametrize(("n_valid", "n_test", "lines"), [(20, 20, 0), (19, 20, 2), (20, 19, 2), (19, 6, 3)])
def test_only_small_parts_are_reported(n_valid: int, n_test: int, lines: int, corpus_of: Build) -> None:
    assert len(list(few_playlists(parts_of(corpus_of, 50, n_valid, n_test), PlaylistDisjoint()))) == lines


def test_playlists_that_are_also_in_training_are_not_called_withheld(corpus_of: Build) -> None:
    lines = list(few_playlists(parts_of(corpus_of, 10, 5, 6), LeaveLastOut()))
    assert len(lines) == 2 and not any("withholds" in line or "split." in line for line in lines)

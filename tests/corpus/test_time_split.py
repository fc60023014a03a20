"""Tests of the global time split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus import cold_splits, time_split
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, Split
from toolkit.corpus.time_split import cut_times, global_time
from toolkit.errors import InputError
from toolkit.timestamps import NO_TIME, to_seconds

DAY = 86_400


def timed(
    lists: Sequence[Sequence[tuple[int, int]]],
    n_items: int,
    *,
    groups: Sequence[str | None] | None = None,
    own: Sequence[int] | None = None,
) -> Corpus:
    """Return a corpus from playlists of (track, day); `own` sets one day per playlist instead."""
    columns = {"id": [f"p{row}" for row in range(len(lists))], "title": [None] * len(lists)}
    columns |= {"group": list(groups or [None] * len(lists)), "split": [None] * len(lists)}
    playlists = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    if own is not None:
        playlists = playlists.append_column(
            "time", pa.array([None if day == NO_TIME else day * DAY for day in own], pa.int64())
        )
    flat = [(track, day if day == NO_TIME else day * DAY) for each in lists for track, day in each]
    return Corpus(
        np.array([track for track, _ in flat], np.int32),
        np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64),
        pa.table({"id": [f"t{item}" for item in range(1, n_items + 1)]}),
        playlists,
        times=np.array([time for _, time in flat], np.int64) if own is None else None,
    )


def asked(part: HeldOut) -> dict[int, tuple[list[int], list[int], str]]:
    """Return seeds, hidden tracks and label by playlist row."""
    queries, (tracks, offsets) = part.queries(), part.hidden()
    seeds = [queries.seeds[a:b].tolist() for a, b in pairwise(queries.offsets)]
    hidden = [tracks[a:b].tolist() for a, b in pairwise(offsets)]
    return dict(zip(part.rows.tolist(), zip(seeds, hidden, part.labels["playlist"].tolist(), strict=True), strict=True))


def learned(split: Split) -> dict[int, list[int]]:
    items, offsets = split.train.flat()
    return dict(zip(split.train.rows.tolist(), [items[a:b].tolist() for a, b in pairwise(offsets)], strict=True))


LOG = [
    [(1, 1), (2, 2), (3, 11), (4, 21)],  # goes on in both parts
    [(5, 3), (6, 4)],  # over before the first cut
    [(1, 12), (7, 13), (8, 14)],  # starts in validation
    [(2, 15), (9, 22)],  # starts in validation, goes on in the test
    [(3, 23), (1, 24), (9, 25)],  # starts in the test
    [(8, 21), (1, 5), (2, 6)],  # the newest first, as some playlists are kept
    [(4, 26)],  # nothing to show
]
CUT = {"valid_from": "1970-01-11", "test_from": "1970-01-21"}
"""Days 10 and 20."""


def test_global_time_split_of_a_small_log_equals_expected_parts() -> None:
    split = global_time(timed(LOG, 9), **CUT, shown=0.7, min_tracks=2)
    assert split.cuts == (10 * DAY, 20 * DAY)
    assert learned(split) == {0: [1, 2], 1: [5, 6], 5: [1, 2]}
    assert asked(split.valid) == {0: ([1, 2], [3], "continued"), 2: ([1, 7], [8], "new")}
    assert asked(split.test) == {
        0: ([1, 2, 3], [4], "continued"),
        3: ([2], [9], "continued"),
        4: ([3, 1], [9], "new"),
        5: ([1, 2], [8], "continued"),
    }
    # what came up only later is cold: no placement in training speaks of it
    assert np.flatnonzero(split.train.counts()[1:] == 0).tolist() == [2, 3, 6, 7, 8]
    assert split.facts == {"playlists_without_times": 0}


def test_playlists_that_start_after_the_cut_can_be_dropped() -> None:
    split = global_time(timed(LOG, 9), **CUT, min_tracks=2, new_playlists="drop")
    assert list(asked(split.valid)) == [0] and list(asked(split.test)) == [0, 3, 5]
    assert split.facts == {"playlists_without_times": 0, "new_valid_playlists": 1, "new_test_playlists": 1}
    assert list(asked(global_time(timed(LOG, 9), **CUT, min_tracks=3).test)) == [0, 4, 5]
    assert asked(global_time(timed(LOG, 9), **CUT, min_tracks=2, seeds=1).test)[4] == ([3], [1, 9], "new")


def test_entry_at_the_cut_time_is_in_the_later_part() -> None:
    split = global_time(timed([[(1, 9), (2, 10), (3, 19), (4, 20)]], 4), **CUT, min_tracks=2)
    assert learned(split) == {0: [1]}
    assert asked(split.valid) == {0: ([1], [2, 3], "continued")} and asked(split.test) == {
        0: ([1, 2, 3], [4], "continued")
    }


def test_replayed_track_is_not_hidden() -> None:
    split = global_time(timed([[(1, 1), (2, 2), (1, 11), (3, 12), (2, 21), (4, 22)]], 4), **CUT, min_tracks=2)
    assert asked(split.valid) == {0: ([1, 2], [3], "continued")}
    assert asked(split.test) == {0: ([1, 2, 1, 3], [4], "continued")}


@pytest.fixture(scope="module")
def many() -> Corpus:
    """Return 200 playlists with 2 to 14 of 120 tracks at unsorted and partly equal times."""
    rng = np.random.default_rng(5)
    lists = []
    for _ in range(200):
        begin, size = rng.integers(0, 90), rng.integers(2, 15)
        tracks, days = rng.integers(1, 121, size).tolist(), (begin + rng.integers(0, 25, size)).tolist()
        lists.append(list(zip(tracks, days, strict=True)))
    return timed(lists, 120)


def slow(corpus: Corpus, first: int, second: int, min_tracks: int) -> tuple[dict, dict, dict]:
    """Return the split computed by a loop over playlists."""
    assert corpus.times is not None
    train, valid, test = {}, {}, {}
    for row, (low, high) in enumerate(pairwise(corpus.offsets)):
        tracks = list(zip(corpus.items[low:high].tolist(), corpus.times[low:high].tolist(), strict=True))
        if old := [track for track, time in tracks if time < first]:
            train[row] = old
        for part, since, until in ((valid, first, second), (test, second, float("inf"))):
            known = sorted([(track, time) for track, time in tracks if time < since], key=lambda each: each[1] >= first)
            later = [(track, time) for track, time in tracks if since <= time < until]
            if not later or len(known) + len(later) < min_tracks:
                continue
            n = len(known) if known else 7 * len(later) // 10
            both = [track for track, _ in known + later]
            hidden = list(dict.fromkeys(track for track in both[n:] if track not in both[:n]))
            if n and hidden:
                part[row] = (both[:n], hidden, "continued" if known else "new")
    return train, valid, test


@pytest.mark.parametrize("block", [7, 2**20])
def test_global_time_split_equals_a_slow_loop(block: int, many: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cold_splits, time_split):
        monkeypatch.setattr(module, "BLOCK", block)
    split = global_time(many, valid_from=0.6, test_from=0.8, min_tracks=4)
    assert split.cuts is not None
    expected = slow(many, *split.cuts, 4)
    assert (learned(split), asked(split.valid), asked(split.test)) == expected
    labels = [label for part in expected[1:] for _, _, label in part.values()]
    assert min(labels.count("new"), labels.count("continued")) > 20


def test_cut_shares_count_playlist_entries() -> None:
    days = [[(1, day), (2, day)] for day in (4, 1, 3, 2, 5)]
    assert cut_times(timed(days, 2), 0.6, 0.8) == (4 * DAY, 5 * DAY)
    # by playlists' own times, of which the longest weighs most
    lists = [[(1, 0)] * 6, [(1, 0)] * 2, [(1, 0)], [(1, 0)]]
    for shares, expected in (((0.1, 0.3), (4, 5)), ((0.5, 0.8), (5, 6)), ((0.79, 0.95), (5, 7))):
        assert cut_times(timed(lists, 1, own=[5, 4, 6, 7]), *shares) == tuple(day * DAY for day in expected)
    assert cut_times(timed(days, 2), 0.4, "1970-02-01T06:00:00+02:00") == (3 * DAY, to_seconds("1970-02-01T04:00"))
    with pytest.raises(
        InputError,
        match="test_from='1970-01-02' is 1970-01-02 and valid_from=0.6 is 1970-01-05: set test_from to a later",
    ):
        cut_times(timed(days, 2), 0.6, "1970-01-02")


def test_held_out_playlists_with_a_single_time_are_new() -> None:
    lists = [[(track, 0) for track in tracks] for tracks in ([1, 2, 3], [2, 3, 4], [1, 3, 5], [2, 4, 6])]
    split = global_time(timed(lists, 6, own=[1, 12, 25, 3]), **CUT, min_tracks=2)
    assert learned(split) == {0: [1, 2, 3], 3: [2, 4, 6]}
    assert asked(split.valid) == {1: ([2, 3], [4], "new")} and asked(split.test) == {2: ([1, 3], [5], "new")}


def test_playlist_version_hides_only_tracks_new_to_the_group() -> None:
    lists = [
        [(track, 0) for track in tracks]
        for tracks in ([1, 2, 3], [4, 2, 1], [5, 4, 1, 2], [3, 1, 2], [6, 7], [8, 6, 7])
    ]
    groups = ["a", "a", "a", "a", "b", "b"]
    split = global_time(timed(lists, 8, groups=groups, own=[1, 12, 25, 26, 2, 13]), **CUT, min_tracks=2)
    assert learned(split) == {0: [1, 2, 3], 4: [6, 7]}
    assert asked(split.valid) == {1: ([2, 1], [4], "continued"), 5: ([6, 7], [8], "continued")}
    # list 3 holds what the playlist held before: nothing of it is to be found
    assert asked(split.test) == {2: ([1, 2, 4], [5], "continued")}


@pytest.mark.parametrize("block", [11, 2**20])
def test_global_time_split_of_versions_equals_a_slow_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cold_splits, time_split):
        monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(9)
    lists = [rng.choice(np.arange(1, 41), rng.integers(3, 12), replace=False).tolist() for _ in range(120)]
    days, owners = (
        rng.integers(1, 31, 120).tolist(),
        [f"g{n}" if n else None for n in rng.integers(0, 25, 120).tolist()],
    )
    split = global_time(
        timed([[(track, 0) for track in each] for each in lists], 40, groups=owners, own=days), **CUT, min_tracks=3
    )
    for part, since, until in ((split.valid, 10, 20), (split.test, 20, 99)):
        expected = {}
        for row, (tracks, day, owner) in enumerate(zip(lists, days, owners, strict=True)):
            like = [row] if owner is None else [other for other in range(120) if owners[other] == owner]
            before = {track for other in like if days[other] < since for track in lists[other]}
            seeds = [track for track in tracks if track in before]
            news = [track for track in tracks if track not in before]
            if since <= day < until and news:
                n = 7 * len(news) // 10
                expected[row] = (seeds, sorted(news), "continued") if seeds else (news[:n], sorted(news[n:]), "new")
        found = {row: (sorted(seeds), sorted(hidden), label) for row, (seeds, hidden, label) in asked(part).items()}
        assert found == {row: (sorted(seeds), hidden, label) for row, (seeds, hidden, label) in expected.items()}
        assert len(found) > 30 and {label for _, _, label in found.values()} == {"continued", "new"}


def test_playlists_without_times_are_excluded_and_counted() -> None:
    log = [*LOG, [(1, NO_TIME), (2, NO_TIME)], [(1, 1), (2, NO_TIME), (3, 22)]]
    split = global_time(timed(log, 9), **CUT, min_tracks=2)
    assert split.facts == {"playlists_without_times": 2}
    assert asked(split.test) == asked(global_time(timed(LOG, 9), **CUT, min_tracks=2).test) and set(learned(split)) == {
        0,
        1,
        5,
    }


def test_corpus_that_cannot_be_split_by_time_raises() -> None:
    plain = timed(LOG, 9)
    with pytest.raises(
        InputError, match=r"global_time` requires times, but the corpus has none: set the column .*data\.options\.time"
    ):
        global_time(Corpus(plain.items, plain.offsets, plain.tracks, plain.playlists))
    with pytest.raises(
        InputError,
        match="the test split is empty: times are from 1970-01-02 to 1970-01-27, .* the test 1980-01-01, min_tracks=2",
    ):
        global_time(plain, valid_from="1970-01-11", test_from="1980-01-01", min_tracks=2)
    with pytest.raises(InputError, match="the train split is empty: .* validation starts 1970-01-01T12:00:00Z"):
        global_time(plain, valid_from="1970-01-01T12:00", test_from="1970-01-21", min_tracks=2)

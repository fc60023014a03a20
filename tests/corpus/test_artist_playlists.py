"""Tests of converting track playlists to artist playlists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.corpus.test_cold_splits import corpus_of
from toolkit.corpus import artist_playlists as module
from toolkit.corpus.artist_playlists import by_artist
from toolkit.errors import InputError

ARTISTS = pa.table(
    {"id": ["a", "b", "c"], "title": ["A", "B", "C"], "artist": ["A", "B", "C"], "album": pa.nulls(3, pa.string())}
)
LISTS = [[1, 2, 3, 4], [4, 5], [5], [2, 1, 3]]
# track 1 is of a · 2 of b · 3 of a and c · 4 of b · 5 of nobody
CREDITS = np.array([0, 1, 2, 2, 3]), np.array([0, 1, 0, 2, 1])


def test_artist_plays_are_summed_in_order_of_first_appearance() -> None:
    corpus = corpus_of(LISTS, ["x"] * 5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    found = by_artist(corpus, *CREDITS, ARTISTS)
    assert found.offsets.tolist() == [0, 3, 4, 4, 7]
    assert found.items.tolist() == [1, 2, 3, 2, 2, 1, 3]
    assert found.plays is not None and found.plays.tolist() == [4, 6, 3, 5, 8, 19, 10]
    assert found.n_items == 3 and found.items.dtype == np.int32


def test_artist_time_is_the_first_track_time() -> None:
    corpus = replace(corpus_of(LISTS, ["x"] * 5), times=np.array([9, 8, 3, 5, 4, 1, 7, 6, 2, 1]))
    found = by_artist(corpus, *CREDITS, ARTISTS)
    assert found.times is not None and found.times.tolist() == [3, 5, 3, 4, 6, 1, 1]


def test_playlist_entry_without_count_is_one_play() -> None:
    found = by_artist(corpus_of(LISTS, ["x"] * 5), *CREDITS, ARTISTS)
    assert found.plays is not None and found.plays.tolist() == [2, 2, 1, 1, 1, 2, 1]


def test_artist_playlists_do_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    lists = [(rng.integers(0, 60, rng.integers(1, 20)) + 1).tolist() for _ in range(80)]
    tracks, of = np.repeat(np.arange(60), 2)[:100], rng.integers(0, 3, 100)
    keep = np.unique(tracks * 3 + of, return_index=True)[1]
    corpus = corpus_of(lists, ["x"] * 60)
    whole = by_artist(corpus, tracks[keep], of[keep], ARTISTS)
    monkeypatch.setattr(module, "BLOCK", 23)
    parts = by_artist(corpus, tracks[keep], of[keep], ARTISTS)
    for name in ("items", "offsets", "plays"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_corpus_without_artists_raises() -> None:
    nobody = np.zeros(0, np.int64)
    with pytest.raises(
        InputError, match="`level: artist` requires tracks with artists: add artists to the data or set `level: track`"
    ):
        by_artist(corpus_of(LISTS, ["x"] * 5), nobody, nobody, ARTISTS)

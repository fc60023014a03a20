"""Tests of splits that hold out tracks or artists."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus import cold_splits
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.cold_splits import PARTS, artist_disjoint, check_cold, item_cold, ordered, prescribed
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split
from toolkit.errors import InputError, LeakError


def corpus_of(lists: list[list[int]], artists: list[str | None], plays: list[float] | None = None) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    nothing = pa.nulls(len(lists), pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": nothing, "group": nothing, "split": nothing}
    )
    tracks = pa.table(
        {"id": [f"local:{i}" for i in range(1, len(artists) + 1)], "artist": pa.array(artists, pa.string())}
    )
    counts = None if plays is None else np.array(plays, np.float32)
    return Corpus(
        np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32), offsets, tracks, playlists, plays=counts
    )


@pytest.fixture(scope="module")
def many() -> Corpus:
    """Return 300 playlists with 3 to 12 of 200 tracks by 40 artists, with collaborations."""
    rng = np.random.default_rng(2)
    lists = [rng.choice(200, rng.integers(3, 13), replace=False) + 1 for _ in range(300)]
    artists = [f"A{i % 40}" + (f", A{(i * 7) % 40}" if i % 9 == 0 else "") for i in range(200)]
    return corpus_of([each.tolist() for each in lists], artists)


def _lists(part: HeldOut) -> list[tuple[list[int], list[int]]]:
    """Return seeds and hidden tracks by playlist."""
    queries, (tracks, offsets) = part.queries(), part.hidden()
    seeds = [queries.seeds[a:b].tolist() for a, b in pairwise(queries.offsets)]
    return list(zip(seeds, [tracks[a:b].tolist() for a, b in pairwise(offsets)], strict=True))


def test_tracks_of_a_playlist_are_sorted_stably_by_part() -> None:
    corpus = corpus_of([[4, 1, 5, 2, 3], [5, 3], [1, 4, 2]], ["x"] * 5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    corpus = replace(corpus, times=np.arange(10) * 100)
    of_item = np.array([3, 0, 1, 2, 0, 2], np.int8)
    found, counts = ordered(corpus, lambda low, high: of_item[corpus.items[low:high]], 4)
    assert found.times is not None and found.times.tolist() == [0, 100, 300, 200, 400, 500, 600, 700, 800, 900]
    assert found.items.tolist() == [4, 1, 2, 5, 3, 5, 3, 1, 4, 2]
    assert found.plays is not None and found.plays.tolist() == [1, 2, 4, 3, 5, 6, 7, 8, 9, 10]
    assert counts.tolist() == [[2, 1, 2, 0], [0, 0, 2, 0], [2, 1, 0, 0]]


def test_item_cold_split_does_not_depend_on_block_size(many: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = item_cold(many)
    monkeypatch.setattr(cold_splits, "BLOCK", 37)
    np.testing.assert_array_equal(item_cold(many).train.corpus.items, whole.train.corpus.items)


@pytest.mark.parametrize("make", [item_cold, artist_disjoint])
def test_cold_split_equals_a_slow_loop(make: Callable[..., Split], many: Corpus) -> None:
    split = make(many, folds=4, test_fold=1, valid_fraction=0.2, min_tracks=4)
    tracks = {name: set(getattr(split, name).candidates.tolist()) for name in PARTS[1:]}
    warm = set(np.flatnonzero(split.train.counts()).tolist())
    assert len(tracks["test"]) > 20 and len(tracks["valid"]) > 10 and not tracks["test"] & tracks["valid"]
    for name in PARTS[1:]:
        expected = []
        for low, high in pairwise(many.offsets):
            items = many.items[low:high].tolist()
            seeds, hidden = [i for i in items if i in warm], [i for i in items if i in tracks[name]]
            if len(items) >= 4 and seeds and hidden:
                expected.append((seeds, hidden))
        assert _lists(getattr(split, name)) == expected
    flat, offsets = split.train.flat()
    trained = [[i for i in many.items[low:high].tolist() if i in warm] for low, high in pairwise(many.offsets)]
    assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [each for each in trained if each]
    part = split.test.part(3, 9)
    assert _lists(part) == _lists(split.test)[3:9] and part.candidates is split.test.candidates


def test_each_track_is_tested_in_one_fold(many: Corpus) -> None:
    folds = [item_cold(many, folds=4, test_fold=fold).test.candidates for fold in range(4)]
    assert sorted(np.concatenate(folds).tolist()) == list(range(1, 201))


def test_artist_disjoint_parts_share_no_artists(many: Corpus) -> None:
    split = artist_disjoint(many)
    artists = [set(name.split(", ")) for name in many.tracks["artist"].to_pylist()]
    sides = [np.flatnonzero(split.train.counts()), split.valid.candidates, split.test.candidates]
    named = [set().union(*(artists[i - 1] for i in side)) for side in sides]
    assert not named[0] & named[1] and not named[0] & named[2] and not named[1] & named[2]
    between = 200 - len(set(np.concatenate([side.tolist() for side in sides]).astype(int)))
    assert split.facts["tracks_between_parts"] == between > 0
    check_cold(split, artists=True)


SPELLINGS = [
    ("DMA’s", "DMA's"),
    ("Beyoncé", "Beyonce"),
    ("Beyonce\u0301", "Beyoncé"),
    ("ＡＢＢＡ", "abba"),
    ("Daft\u00a0Punk", "Daft  Punk"),
    ("AC/DC", "AC-DC"),
    ("Simon & Garfunkel", "Simon and Garfunkel"),
    ("Beatles, The", "The Beatles"),
    ("Queen feat. David Bowie", "Queen"),
    ("Queen ft. David Bowie", "David Bowie"),
    ("Queen, David Bowie", "Queen (featuring Adam Lambert)"),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_spellings_of_one_artist_are_in_one_part(one: str, other: str, many: Corpus) -> None:
    lists = [many.items[low:high].tolist() for low, high in pairwise(many.offsets)]
    artists = [[one, other][i % 2] if i < 20 else f"A{i % 40}" for i in range(200)]
    for fold in range(5):
        split = artist_disjoint(corpus_of(lists, artists), test_fold=fold)
        sides = [np.flatnonzero(split.train.counts()), split.valid.candidates, split.test.candidates]
        assert sum(bool(np.isin(np.arange(1, 21), side).any()) for side in sides) <= 1


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
@pytest.mark.parametrize("part", ["valid", "test"])
def test_spellings_of_one_artist_on_two_sides_of_a_handmade_split_raise(part: str, one: str, other: str) -> None:
    corpus = corpus_of([[1, 2, 3, 4], [5, 6, 7, 4]], [one, "B", "C", "D", "B", other, "C"])
    rows, starts = np.array([0, 1]), corpus.offsets[:-1]
    # items 1, 2 and 5 are in training; item 6 is a candidate of one part, items 3 and 4 of the other
    parts = {
        name: HeldOut(
            corpus, rows, starts, starts + 1, starts + 3, candidates=np.array([6] if name == part else [3, 4], np.int32)
        )
        for name in PARTS[1:]
    }
    split = Split(PlaylistSet(corpus, rows, starts, starts + np.array([2, 1])), **parts)
    check_cold(split, artists=False)
    with pytest.raises(
        LeakError, match=f"is in train and in {part} .* as {re.escape(repr(one))} and {re.escape(repr(other))}"
    ):
        check_cold(split, artists=True)
    apart = replace(corpus, tracks=corpus.tracks.set_column(1, "artist", pa.array([one, "B", "C", "D", "B", "E", "C"])))
    held = {name: replace(part, corpus=apart) for name, part in parts.items()}
    check_cold(Split(replace(split.train, corpus=apart), **held), artists=True)


def test_names_that_only_look_alike_are_different_artists(many: Corpus) -> None:
    _, names, of = cold_splits.credits(corpus_of([[1]], ["The Band", "Band", "!!!", "?", "Мой", "Мои", "A & B", "A"]))
    assert len(names) == 8 and of.tolist() == list(range(8))


def test_artist_disjoint_split_drops_tracks_without_artists(many: Corpus) -> None:
    artists = many.tracks["artist"].to_pylist()
    some = replace(many, tracks=pa.table({"id": many.tracks["id"], "artist": pa.array([None, None, *artists[2:]])}))
    split = artist_disjoint(some)
    assert (
        split.facts["tracks_without_artist"] == 2
        and split.examples["tracks_without_artist"] == many.tracks["id"].to_pylist()[:2]
    )
    assert not {1, 2} & {*np.flatnonzero(split.train.counts()), *split.valid.candidates, *split.test.candidates}
    nobody = replace(many, tracks=pa.table({"id": many.tracks["id"], "artist": pa.nulls(200, pa.string())}))
    with pytest.raises(
        InputError,
        match="artist_disjoint requires tracks with artists: add artists or set evaluation.split.type",
    ):
        artist_disjoint(nobody)


def test_playlists_without_training_tracks_are_not_evaluated(many: Corpus) -> None:
    cold = item_cold(many).test.candidates[:3].tolist()
    lists = [many.items[a:b].tolist() for a, b in pairwise(many.offsets)]
    split = item_cold(corpus_of([*lists, cold], ["x"] * 200))
    name = "test_playlists_without_training_tracks"
    assert split.facts[name] == item_cold(many).facts[name] + 1
    assert split.examples[name] == [*item_cold(many).examples.get(name, []), "p300"][:3]
    assert 300 not in split.test.rows and 300 not in split.train.rows


def test_split_labels_in_the_data_define_the_parts(many: Corpus) -> None:
    given: list[str | None] = [None, None, *(["train", "Valid", "test ", "train"] * 50)][:200]
    split = prescribed(many, given)
    assert split.test.candidates is not None and split.valid.candidates is not None
    assert split.test.candidates.tolist() == list(range(5, 201, 4)) and split.valid.candidates.tolist() == list(
        range(4, 201, 4)
    )
    assert split.facts["tracks_without_split"] == 2 and not split.train.counts()[[1, 2]].any()
    with pytest.raises(LeakError, match="the split leaks: artist "):
        check_cold(split, artists=True)
    with pytest.raises(
        InputError, match="split 'dev' of a track must be train, valid or test: set evaluation.split.field to"
    ):
        prescribed(many, [*given[:-1], "dev"])


def test_empty_part_raises(many: Corpus) -> None:
    with pytest.raises(
        InputError, match="the valid split is empty: 300 playlists, min_tracks=50: reduce evaluation.split.min_tracks"
    ):
        item_cold(many, min_tracks=50)


def test_leak_raises_with_the_track(many: Corpus) -> None:
    good = item_cold(many)
    assert good.test.candidates is not None
    warm = int(np.flatnonzero(good.train.counts())[0])
    leaky = Split(good.train, good.valid, replace(good.test, candidates=np.array([warm], np.int32)))
    with pytest.raises(LeakError, match=f"the split leaks: track 'local:{warm}' is in train and in test"):
        check_cold(leaky, artists=False)
    with pytest.raises(LeakError, match=r"the split leaks: artist 'a\d+' is in train and in test \(\d+ such artists\)"):
        check_cold(good, artists=True)  # tracks alone were drawn: artists stand on both sides

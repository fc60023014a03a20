from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from toolkit.corpus import splits
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, gather, group_hash, leave_last_out, playlist_disjoint
from toolkit.errors import InputError


def corpus(
    lists: list[list[int]],
    *,
    group: list[str | None] | None = None,
    split: list[str | None] | None = None,
    n_items: int = 30,
) -> Corpus:
    n = len(lists)
    tracks = pa.table(
        {
            "id": [f"t:{i}" for i in range(1, n_items + 1)],
            **{name: pa.nulls(n_items, pa.string()) for name in ("title", "artist", "album")},
        }
    )
    playlists = pa.table(
        {
            "id": [f"p:{i}" for i in range(n)],
            "title": [f"P{i}" for i in range(n)],
            "group": pa.array(group or [None] * n, pa.string()),
            "split": pa.array(split or [None] * n, pa.string()),
        }
    )
    flat = [item for items in lists for item in items]
    return Corpus(
        np.array(flat, np.int32),
        np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64),
        tracks,
        playlists,
    )


def unflat(pair: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    flat, offsets = pair
    return [flat[start:end].tolist() for start, end in pairwise(offsets)]


def seeds(part: HeldOut) -> list[list[int]]:
    queries = part.queries()
    return unflat((queries.seeds, queries.offsets))


def test_gather_accepts_spans_in_any_order() -> None:
    flat, offsets = gather(np.arange(10) * 10, np.array([5, 0, 3]), np.array([8, 2, 3]))

    assert unflat((flat, offsets)) == [[50, 60, 70], [0, 10], []]


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_gather_and_counts_do_not_depend_on_block_size(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "BLOCK", block)
    rng = np.random.default_rng(4)
    items = rng.integers(1, 9, 60).astype(np.int32)
    starts = rng.integers(0, 55, 30)
    ends = starts + rng.integers(0, 6, 30)  # empty spans too

    flat, offsets = gather(items, starts, ends)

    spans = [items[start:end] for start, end in zip(starts, ends, strict=True)]
    assert flat.tolist() == np.concatenate(spans).tolist()
    assert flat.dtype == np.int32
    assert np.diff(offsets).tolist() == [len(span) for span in spans]
    tracks = pa.table({"id": [str(number) for number in range(8)]})
    training = PlaylistSet(Corpus(items, np.array([0, 60]), tracks, tracks), np.arange(30), starts, ends)
    assert training.counts().tolist() == [int((np.concatenate(spans) == item).sum()) for item in range(9)]


def test_leave_last_out_hides_the_last_track() -> None:
    split = leave_last_out(corpus([[1, 2, 3, 4], [5, 6], [7, 8, 9]]))

    assert unflat(split.train.flat()) == [[1, 2], [7]]
    assert seeds(split.valid) == [[1, 2], [7]]
    assert unflat(split.valid.hidden()) == [[3], [8]]
    assert seeds(split.test) == [[1, 2, 3], [7, 8]]
    assert unflat(split.test.hidden()) == [[4], [9]]
    assert split.test.rows.tolist() == [0, 2]
    assert split.test.queries().titles == ["P0", "P2"]


def test_leave_last_out_skips_playlists_shorter_than_three_tracks() -> None:
    with pytest.raises(InputError, match="at least 3 tracks"):
        leave_last_out(corpus([[1, 2], [3]]))


TEN = list(range(1, 11))


def test_split_labels_in_the_data_are_used() -> None:
    split = playlist_disjoint(
        corpus([TEN, TEN[:9], [1, 2], TEN, TEN], split=["test", "test", "train", "valid", "train"])
    )

    assert split.test.rows.tolist() == [0]
    assert seeds(split.test) == [[1, 2, 3, 4, 5, 6, 7]]
    assert unflat(split.test.hidden()) == [[8, 9, 10]]
    assert split.valid.rows.tolist() == [3]
    assert split.train.rows.tolist() == [2, 4]
    assert split.train.counts()[[0, 1, 2, 3, 10, 11]].tolist() == [0, 2, 2, 1, 1, 0]


@pytest.mark.parametrize("n", range(2, 60))
@pytest.mark.parametrize("shown", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_number_of_seeds_is_the_exact_floor(n: int, shown: float) -> None:
    tenths = round(shown * 10)
    cut = n * tenths // 10
    lists = [list(range(1, n + 1))] * 3

    made = corpus(lists, split=["train", "valid", "test"], n_items=60)
    if cut == 0:
        with pytest.raises(InputError, match="valid split is empty"):
            playlist_disjoint(made, shown=shown, min_tracks=2)
        return
    assert seeds(playlist_disjoint(made, shown=shown, min_tracks=2).test) == [list(range(1, cut + 1))]


def test_seeds_option_sets_the_number_of_seeds() -> None:
    split = playlist_disjoint(corpus([TEN, TEN, TEN], split=["train", "valid", "test"]), seeds=1)

    assert seeds(split.test) == [[1]]
    assert unflat(split.test.hidden()) == [TEN[1:]]


@pytest.mark.parametrize("seed", range(30))
def test_hidden_tracks_equal_a_slow_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lists = [draw.integers(1, 13, draw.integers(2, 20)).tolist() for _ in range(12)]
    made = corpus(lists)
    starts, ends = made.offsets[:-1], made.offsets[1:]
    cuts = starts + draw.integers(0, ends - starts + 1)
    expected = []
    for start, cut, end in zip(starts, cuts, ends, strict=True):
        found: list[int] = []
        for track in made.items[cut:end].tolist():
            if track not in made.items[start:cut] and track not in found:
                found.append(track)
        expected.append(found)

    assert unflat(HeldOut(made, np.arange(12), starts, cuts, ends).hidden()) == expected


def test_playlists_with_only_seeds_hidden_are_not_evaluated() -> None:
    repeats = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]
    split = playlist_disjoint(corpus([TEN, TEN, TEN, repeats], split=["train", "valid", "test", "test"]))

    assert split.test.rows.tolist() == [2]


def test_hash_folds_test_each_group_once() -> None:
    group = [f"g{row // 3}" for row in range(300)]
    made = corpus([TEN] * 300, group=group)
    splits = [playlist_disjoint(made, by="hash", folds=3, test_fold=fold) for fold in range(3)]

    tested = np.concatenate([split.test.rows for split in splits])
    assert sorted(tested.tolist()) == list(range(300))
    for split in splits:
        parts = [{group[row] for row in part.rows} for part in (split.train, split.valid, split.test)]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_fold_of_a_group_does_not_depend_on_other_playlists() -> None:
    many = corpus([TEN] * 200, group=[f"g{row}" for row in range(200)])
    few = corpus([TEN] * 100, group=[f"g{row}" for row in range(0, 200, 2)])

    in_many = set(playlist_disjoint(many, by="hash").test.rows.tolist())
    in_few = {2 * row for row in playlist_disjoint(few, by="hash").test.rows.tolist()}
    assert in_few == {row for row in in_many if row % 2 == 0}


def test_group_hash_uses_the_number_in_an_id() -> None:
    assert group_hash("7") == 7 * 2654435761 % 2**32 == 1401181143
    assert group_hash("mpd:7") == group_hash("7")
    assert group_hash("seven") != group_hash("eight")
    assert group_hash("9" * 4301) != group_hash("9" * 4302)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "column"}, r"all playlists must have a split \(4 are missing\): set evaluation.split.by to hash"),
        ({"by": "name"}, "by='name' must be auto, column or hash"),
        ({"folds": 3, "test_fold": 3}, "test_fold=3 must be from 0 to folds-1 for folds=3"),
        ({"min_tracks": 11}, "the (valid|test) split is empty: 4 playlists, min_tracks=11"),
    ],
)
def test_impossible_split_raises(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        playlist_disjoint(corpus([TEN] * 4), **options)

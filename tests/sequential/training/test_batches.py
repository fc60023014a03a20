"""Tests of windows and batches against slow loops, in which every next track is a target exactly once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tests.sequential.small_models import training
from toolkit.sequential.training import batches as batching
from toolkit.sequential.training.batches import Batch, Windows, batches, shuffled, windows

LENGTHS = [1, 2, 3, 9, 4, 5, 30, 8, 17, 0, 10]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
V = 40


def slow_windows(length: int, max_length: int, overlap: bool) -> list[tuple[int, int, int]]:
    """Return (first track, tracks, first scored position) of a playlist's windows by a loop over the playlist."""
    found, done, begin, targets = [], 0, 0, length - 1
    while done < targets:
        begin = min(begin, max(targets - max_length, 0))
        end = min(begin + max_length, targets)
        found.append((begin, end - begin + 1, done - begin))
        done, begin = end, begin + (max(1, max_length // 2) if overlap else max_length)
    return found


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("max_length", [1, 2, 3, 4, 7, 8, 29, 50])
def test_windows_equal_slow_loop(max_length: int, overlap: bool) -> None:
    cut = windows(OFFSETS, max_length, overlap=overlap)
    wanted = [
        (row, OFFSETS[row] + begin, size, scored)
        for row, length in enumerate(LENGTHS)
        for begin, size, scored in slow_windows(length, max_length, overlap)
    ]
    found = zip(cut.playlists.tolist(), cut.starts.tolist(), cut.lengths.tolist(), cut.scored.tolist(), strict=True)
    assert list(found) == wanted


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("max_length", range(1, 12))
def test_windows_score_every_next_track_once(max_length: int, overlap: bool, seed: int | None) -> None:
    cut = windows(OFFSETS, max_length, overlap=overlap, rng=None if seed is None else np.random.default_rng(seed))
    scored: Counter[int] = Counter()
    for start, length, first in zip(cut.starts, cut.lengths, cut.scored, strict=True):
        scored.update(range(start + first + 1, start + length))
    wanted = [place for row, length in enumerate(LENGTHS) for place in range(OFFSETS[row] + 1, OFFSETS[row] + length)]
    assert scored == Counter(wanted)
    assert cut.lengths.max() <= max_length + 1


def test_windows_stay_within_their_playlist() -> None:
    cut = windows(OFFSETS, 4)
    assert (cut.starts >= OFFSETS[cut.playlists]).all()
    assert (cut.starts + cut.lengths <= OFFSETS[cut.playlists + 1]).all()


def test_overlapping_windows_give_later_targets_half_a_window_of_context() -> None:
    cut = windows(np.array([0, 1000]), 10)
    assert (cut.scored[1:] + 1 >= 5).all()
    assert cut.scored[0] == 0


def contexts(cut: Windows) -> list[tuple[int, int]]:
    """Return (target, number of tracks before it in its window) for every target of a playlist that starts at 0."""
    spans = zip(cut.starts.tolist(), cut.lengths.tolist(), cut.scored.tolist(), strict=True)
    return [(start + at + 1, at + 1) for start, length, first in spans for at in range(first, length - 1)]


@pytest.mark.parametrize("max_length", [1, 2, 5, 10])
def test_random_windows_give_targets_half_a_window_or_full_history(max_length: int) -> None:
    for seed in range(20):
        found = contexts(windows(np.array([0, 101]), max_length, rng=np.random.default_rng(seed)))
        assert [target for target, _ in found] == list(range(1, 101))
        assert all(min(target, max_length // 2 + 1) <= context <= min(target, max_length) for target, context in found)


def test_random_windows_give_a_target_every_context_over_epochs() -> None:
    """The whole window is included, as in RecBole's prefixes. A distant track is missed in some epochs, not in all."""
    rng = np.random.default_rng(0)
    met: dict[int, Counter[int]] = {target: Counter() for target in range(1, 101)}
    for _ in range(1000):
        for target, context in contexts(windows(np.array([0, 101]), 10, rng=rng)):
            met[target][context] += 1
    assert all(met[target][10] > 100 for target in range(10, 101))
    for target in range(20, 90):
        assert set(met[target]) == {6, 7, 8, 9, 10}
        assert all(abs(count - 200) < 5 * 12.7 for count in met[target].values())  # standard deviation 12.6
    for target in range(1, 6):
        assert met[target] == {target: 1000}
    assert met[100] == {10: 1000}  # the last window ends with the playlist


def test_playlist_shorter_than_window_is_one_window() -> None:
    for seed in range(10):
        cut = windows(np.array([0, 11, 22]), 10, rng=np.random.default_rng(seed))
        assert (cut.starts.tolist(), cut.lengths.tolist(), cut.scored.tolist()) == ([0, 11], [11, 11], [0, 0])


def test_window_cuts_depend_on_the_seed() -> None:
    def starts(seed: int) -> list[int]:
        return windows(np.array([0, 101, 202]), 10, rng=np.random.default_rng(seed)).starts.tolist()

    assert starts(0) == starts(0)
    assert starts(0) != starts(1)


def test_windows_without_overlap_have_minimum_count() -> None:
    assert len(windows(np.array([0, 101]), 10, overlap=False).starts) == 10
    assert len(windows(np.array([0, 101]), 10).starts) == 19


def epoch(*, max_length: int = 6, tokens: int = 64, shuffle: bool = False, seed: int = 0) -> list[Batch]:
    rng = np.random.default_rng(5)
    lists = [(rng.permutation(V)[:length] + 1).tolist() for length in LENGTHS if length]
    return list(
        batches(
            training(lists, V), max_length=max_length, tokens=tokens, shuffle=shuffle, rng=np.random.default_rng(seed)
        )
    )


def scored_positions(made: list[Batch]) -> Counter[tuple[int, int, int]]:
    """Return counts of (playlist, track, track after it) over all scored positions."""
    found: Counter[tuple[int, int, int]] = Counter()
    for batch in made:
        for row, length, first, playlist in zip(
            batch.inputs, batch.lengths, batch.scored, batch.playlists, strict=True
        ):
            found.update((int(playlist), int(row[at]), int(row[at + 1])) for at in range(first, length - 1))
    return found


def test_epoch_scores_every_next_track_once() -> None:
    rng = np.random.default_rng(5)
    lists = [(rng.permutation(V)[:length] + 1).tolist() for length in LENGTHS if length]
    wanted = [(row, *pair) for row, tracks in enumerate(lists) for pair in pairwise(tracks)]
    assert scored_positions(epoch()) == Counter(wanted)


@pytest.mark.parametrize("tokens", [1, 10, 33, 64, 1000])
def test_batch_has_at_most_batch_tokens_or_one_row(tokens: int) -> None:
    made = epoch(tokens=tokens)
    assert all(batch.inputs.size <= tokens or len(batch.inputs) == 1 for batch in made)
    if tokens == 1000:
        assert len(made) == 1
    if tokens == 1:
        assert all(len(batch.inputs) == 1 for batch in made)


def test_batch_rows_are_left_aligned_and_padded_with_0() -> None:
    for batch in epoch():
        columns = np.arange(batch.inputs.shape[1])
        assert np.array_equal(batch.inputs > 0, columns < batch.lengths[:, None])
        assert batch.lengths.max() == batch.inputs.shape[1]
        assert batch.inputs.dtype == np.int64


def test_shuffled_keeps_the_tracks_of_each_playlist() -> None:
    items = np.arange(OFFSETS[-1], dtype=np.int32)
    mixed = shuffled(items, OFFSETS, np.random.default_rng(0))
    for start, end in pairwise(OFFSETS):
        assert sorted(mixed[start:end]) == items[start:end].tolist()
    assert mixed[OFFSETS[6] : OFFSETS[7]].tolist() != items[OFFSETS[6] : OFFSETS[7]].tolist()


def test_shuffled_does_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    items = np.arange(OFFSETS[-1], dtype=np.int32)
    at_once = shuffled(items, OFFSETS, np.random.default_rng(3))
    for size in (1, 7, 40):
        monkeypatch.setattr(batching, "SORTED", size)
        assert shuffled(items, OFFSETS, np.random.default_rng(3)).tolist() == at_once.tolist()


def test_shuffled_orders_are_uniformly_distributed() -> None:
    offsets = np.arange(0, 3 * 6000 + 1, 3)
    orders = Counter(
        map(tuple, (shuffled(np.tile([1, 2, 3], 6000), offsets, np.random.default_rng(1)).reshape(-1, 3)).tolist())
    )
    assert len(orders) == 6
    assert all(abs(count - 1000) < 5 * 29 for count in orders.values())  # standard deviation 28.9


def test_shuffled_epoch_scores_all_tracks_but_one_per_playlist() -> None:
    tracks = Counter((playlist, after) for playlist, _, after in scored_positions(epoch(shuffle=True)).elements())
    straight = Counter((playlist, after) for playlist, _, after in scored_positions(epoch()).elements())
    assert tracks != straight
    assert Counter(playlist for playlist, _ in tracks.elements()) == Counter(
        playlist for playlist, _ in straight.elements()
    )
    assert max(tracks.values()) == 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_depend_on_the_seed(shuffle: bool) -> None:
    def inputs(seed: int) -> list[list[list[int]]]:
        return [batch.inputs.tolist() for batch in epoch(shuffle=shuffle, seed=seed)]

    assert inputs(0) == inputs(0)
    assert inputs(0) != inputs(1)


def test_batches_contain_windows_of_similar_length() -> None:
    """Lengths 2 to 29 in random order would be about half padding."""
    lengths = np.random.default_rng(0).integers(2, 30, 400)
    lists = [list(range(1, length + 1)) for length in lengths]
    made = list(batches(training(lists, V), max_length=29, tokens=256, shuffle=False, rng=np.random.default_rng(0)))
    padding = sum(int((batch.inputs == 0).sum()) for batch in made) / sum(batch.inputs.size for batch in made)
    assert sum(len(batch.inputs) for batch in made) == 400
    assert padding < 0.05


@pytest.mark.parametrize("max_length", [1, 2, 5, 8])
def test_random_windows_without_overlap_read_every_target_once(max_length: int) -> None:
    lengths = np.array([0, 1, 2, 3, 8, 9, 10, 16, 17, 40])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    firsts = set()
    for seed in range(100):
        cut = windows(offsets, max_length, overlap=False, rng=np.random.default_rng(seed))
        targets = np.concatenate(
            [np.arange(start + 1, start + size) for start, size in zip(cut.starts, cut.lengths, strict=True)]
        )
        wanted = np.concatenate([np.arange(offsets[row] + 1, offsets[row + 1]) for row in np.flatnonzero(lengths >= 2)])
        assert targets.tolist() == wanted.tolist()
        assert (cut.lengths.min(), bool((cut.lengths <= max_length + 1).all()), cut.scored.any()) == (2, True, False)
        firsts.add(int(cut.lengths[cut.playlists == 9][0]))
    assert firsts == set(range(2, max_length + 2))

"""Checks that training and model selection cannot use hidden tracks.

The checks read only the split, which is the same for all systems. Oracles read hidden tracks on purpose. They are
marked in every table and never selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.near_duplicates import near_duplicates
from toolkit.corpus.permutation import hashed
from toolkit.corpus.splits import BLOCK, HeldOut, PlaylistSet, Split, gather
from toolkit.corpus.time_split import CONTINUED, KIND
from toolkit.errors import LeakError
from toolkit.timestamps import FIRST, LAST, to_iso

if TYPE_CHECKING:
    from toolkit.contracts.protocol import Protocol

OVERLAP, NEAR, APART = "overlap", "near-duplicate", "distinct"
"""Label kind of held-out playlists: whether a training playlist shares most of the tracks."""


def check_leaks(parts: Split, *, disjoint: bool = True) -> None:
    """Raise `LeakError` with an example if training or model selection can use hidden tracks.

    disjoint: whether whole playlists are held out. Versions and copies of a playlist must then be in the same part.
    """
    check_placements(parts)
    if disjoint:
        check_disjoint(parts)
        check_equal(parts)


def parts_of(protocol: Protocol, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
    """Return the split of any protocol, including protocols that do not check for leaks.

    Raises `LeakError` like `check_placements`.

    Protocols that reorder playlist entries, or that hide only some entries after the seeds, have their own checks.
    """
    parts = protocol.split(corpus, given)
    held = (parts.valid, parts.test)
    if all(part.placements is None and part.hides is None and part.corpus is parts.train.corpus for part in held):
        check_placements(parts)
    return parts


def check_in_time(parts: Split) -> None:
    """Raise `LeakError` with an example if training or model selection uses entries as recent as the hidden tracks.

    According to the timestamps, training must end before validation begins, and validation before the test begins. In
    addition to `check_placements` and `check_equal`, a training playlist must not contain a track that a later version
    of the same playlist hides.
    """
    assert parts.cuts is not None
    (first, second), train, valid, test = parts.cuts, parts.train, parts.valid, parts.test
    _check_period("training", train, until=first)
    _check_period("validation", valid.whole(), until=second)
    _check_period("hidden validation", PlaylistSet(valid.corpus, valid.rows, valid.begins, valid.ends), since=first)
    _check_period("the hidden test", PlaylistSet(test.corpus, test.rows, test.begins, test.ends), since=second)
    for name, part in (("valid", valid), ("test", test)):
        _check_news(train, name, part)
    check_placements(parts)
    check_equal(parts)


def check_placements(parts: Split) -> None:
    """Raise `LeakError` if hidden entries are in training, or hidden test entries are in validation."""
    hidden = {name: _spans(part) for name, part in (("valid", parts.valid), ("test", parts.test))}
    training = (
        parts.train.rows,
        parts.train.starts - parts.train.corpus.offsets[parts.train.rows],
        parts.train.lengths,
    )
    for name, spans in hidden.items():
        if (row := _overlapping(training, spans)) is not None:
            raise LeakError(
                f"the split leaks, because training contains hidden {name} tracks of {_id(parts.train.corpus, row)}:"
                " end the training span before the hidden tracks"
            )
    if (row := _overlapping(hidden["valid"], hidden["test"])) is not None:
        raise LeakError(
            f"the split leaks, because {_id(parts.train.corpus, row)} hides the same tracks in validation and test:"
            " use different playlists for validation"
        )


def check_hidden(train: PlaylistSet, held: HeldOut) -> None:
    """Raise `LeakError` if a playlist of a held-out part from any split hides entries that are in training."""
    training = (train.rows, train.starts - train.corpus.offsets[train.rows], train.lengths)
    if (row := _overlapping(training, _spans(held))) is not None:
        raise LeakError(f"the model was fitted to hidden tracks of {_id(train.corpus, row)}: use parts of one split")


def check_disjoint(parts: Split) -> None:
    """Raise `LeakError` with an example if a playlist or versions of it are in two parts of the split."""
    sides = {"train": parts.train.rows, "valid": parts.valid.rows, "test": parts.test.rows}
    groups = parts.train.corpus.groups
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        shared = np.intersect1d(groups[sides[first]], groups[sides[second]])
        if len(shared):
            rows = [int(side[groups[side] == shared[0]][0]) for side in (sides[first], sides[second])]
            raise LeakError(
                "the split leaks, because "
                f"{_id(parts.train.corpus, rows[0])} in {first} and {_id(parts.train.corpus, rows[1])} in {second}"
                f" are versions of the same playlist ({len(shared)} in total):"
                " move all versions to the same part, or set `evaluation.split.by: hash`"
            )


def check_equal(parts: Split) -> None:
    """Raise `LeakError` with an example if two parts contain playlists with the same recordings in the same order."""
    sides: dict[str, PlaylistSet | HeldOut] = {"train": parts.train, "valid": parts.valid, "test": parts.test}
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        copies, originals = equal_lists(sides[first].rows, sides[second].rows, parts.train.corpus)
        if len(copies):
            corpus = parts.train.corpus
            same = np.array_equal(_items(corpus, copies[0]), _items(corpus, originals[0]))
            under = "" if same else ", some of them under other ids"
            raise LeakError(
                "the split leaks, because "
                f"{_id(corpus, copies[0])} in {first} and {_id(corpus, originals[0])} in {second}"
                f" have the same tracks{under} ({len(copies)} in {first} in total):"
                " assign both to the same group, or set `evaluation.split.equal_lists: drop`"
            )


def without_copies(parts: Split) -> tuple[Split, int]:
    """Return the split without training and validation playlists that are copies of later measured playlists.

    Also returns the number of removed playlists.
    """
    corpus, valid, train = parts.train.corpus, parts.valid, parts.train
    tested = equal_lists(valid.rows, parts.test.rows, corpus)[0]
    valid = valid.take(np.flatnonzero(~np.isin(valid.rows, tested)))
    learned = equal_lists(train.rows, np.concatenate([valid.rows, parts.test.rows]), corpus)[0]
    keep = ~np.isin(train.rows, learned)
    train = PlaylistSet(corpus, train.rows[keep], train.starts[keep], train.ends[keep])
    return replace(parts, train=train, valid=valid), len(tested) + len(learned)


def equal_lists(first: np.ndarray, second: np.ndarray, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of `first` with the recordings of a row of `second` in the same order, and the matching rows.

    Two ids of a recording are equal.
    """
    mine, theirs = _fingerprints(first, corpus), _fingerprints(second, corpus)
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs[order], mine), max(0, len(order) - 1))
    same = theirs[order][place] == mine if len(order) else np.zeros(len(mine), bool)
    pairs = [
        (int(a), int(b))
        for a, b in zip(first[same], second[order][place[same]], strict=True)
        if a != b and _equal(corpus, a, b)
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def near_copies(parts: Split, held_out: HeldOut) -> np.ndarray:
    """Return which held-out playlists share most of their tracks with a training playlist (Jaccard > .5), bool [n].

    Two ids of a recording are one track.
    Playlists that continue a training playlist are ignored, because they share their own beginning.
    """
    chosen = np.flatnonzero(held_out.labels[KIND] != CONTINUED) if parts.cuts is not None else np.arange(len(held_out))
    recordings = parts.train.corpus.recordings.astype(np.int32)
    (held, bounds), (known, known_bounds) = (
        gather(held_out.items, held_out.starts[chosen], held_out.ends[chosen]),
        parts.train.flat(),
    )
    copies = np.zeros(len(held_out), bool)
    lists, others = (recordings[held], bounds), (recordings[known], known_bounds)
    copies[chosen] = near_duplicates(lists, others, parts.train.corpus.n_items)
    return copies


def near_copies_message(copies: int, total: int) -> str:
    return f"{copies:,} of {total:,} test playlists share more than half of their tracks with a training playlist"


def stop_at_near_copies(copies: int, total: int) -> None:
    """Raise `LeakError` if any test playlist shares most of its tracks with a training playlist."""
    if copies:
        raise LeakError(
            f"{near_copies_message(copies, total)}, but `strict_overlap: true` allows none: "
            "split the playlists by group, or set `evaluation.split.strict_overlap: false`"
        )


def _fingerprints(rows: np.ndarray, corpus: Corpus) -> np.ndarray:
    """Return a hash of the ordered recordings of each row, uint64 [n]."""
    starts, ends = np.asarray(corpus.offsets)[rows], np.asarray(corpus.offsets)[rows + 1]
    hashes, recordings = np.zeros(len(rows), np.uint64), corpus.recordings.astype(np.int64)
    for first, last in blocks_of(ends - starts, BLOCK):
        items, offsets = gather(corpus.items, starts[first:last], ends[first:last])
        places = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(hashed(recordings[items] * 2**32 + places, 1))])
        hashes[first:last] = hashed(sums[offsets[1:]] - sums[offsets[:-1]], 2)
    return hashes


def _span_times(
    corpus: Corpus, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last time in each non-empty span, int64 [n] each."""
    if corpus.times is None:
        assert corpus.playlist_times is not None
        return corpus.playlist_times[rows], corpus.playlist_times[rows]
    low, high = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for start, stop in blocks_of(ends - starts, BLOCK):
        times, offsets = gather(corpus.times, starts[start:stop], ends[start:stop])
        low[start:stop], high[start:stop] = (least.reduceat(times, offsets[:-1]) for least in (np.minimum, np.maximum))
    return low, high


def _check_period(what: str, spans: PlaylistSet, *, since: int = FIRST, until: int = LAST) -> None:
    low, high = _span_times(spans.corpus, spans.rows, spans.starts, spans.ends)
    wrong = np.flatnonzero((low < since) | (high >= until))
    if len(wrong):
        when = low[wrong[0]] if low[wrong[0]] < since else high[wrong[0]]
        rule = f"must not begin before {to_iso(since)}" if when < since else f"must end before {to_iso(until)}"
        name = _id(spans.corpus, spans.rows[wrong[0]])
        raise LeakError(f"the split leaks, because {name} has an entry of {to_iso(when)} in {what}, which {rule}")


def _check_news(train: PlaylistSet, name: str, part: HeldOut) -> None:
    corpus, groups = train.corpus, train.corpus.groups
    tracks, offsets = part.hidden()
    width = corpus.n_items + 1
    hidden = np.repeat(part.groups(), np.diff(offsets)) * width + tracks
    versions = np.flatnonzero(
        (np.bincount(groups) > 1)[groups[train.rows]] & np.isin(groups[train.rows], part.groups())
    )
    for start, stop in blocks_of(train.lengths[versions], BLOCK):
        chosen = versions[start:stop]
        held, bounds = gather(corpus.items, train.starts[chosen], train.ends[chosen])
        owners = np.repeat(chosen, np.diff(bounds))
        shared = np.flatnonzero(np.isin(groups[train.rows[owners]] * width + held, hidden))
        if len(shared):
            track = corpus.tracks["id"][int(held[shared[0]]) - 1].as_py()
            raise LeakError(
                f"the split leaks, because {_id(corpus, train.rows[owners[shared[0]]])} in training contains {track!r},"
                f" which a later version hides in {name}: remove the track from training"
            )


def _equal(corpus: Corpus, a: int, b: int) -> bool:
    first, second = (corpus.recordings[_items(corpus, row)] for row in (a, b))
    return bool(np.array_equal(first, second))


def _items(corpus: Corpus, row: int) -> np.ndarray:
    return corpus.items[corpus.offsets[row] : corpus.offsets[row + 1]]


def _spans(part: HeldOut) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, start positions of the hidden entries, and their numbers.

    A part with explicit entries counts as hiding all tracks.
    """
    if part.placements is not None:
        return part.rows, np.zeros(len(part), np.int64), np.diff(part.corpus.offsets)[part.rows]
    return part.rows, part.cuts - part.corpus.offsets[part.rows], part.ends - part.cuts


def _overlapping(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> int | None:
    """Return a row whose spans overlap in both, or None."""
    _, mine, theirs = np.intersect1d(first[0], second[0], return_indices=True)
    begins = np.maximum(first[1][mine], second[1][theirs])
    ends = np.minimum(first[1][mine] + first[2][mine], second[1][theirs] + second[2][theirs])
    overlaps = np.flatnonzero(ends > begins)
    return int(first[0][mine[overlaps[0]]]) if len(overlaps) else None


def _id(corpus: Corpus, row: int) -> str:
    return repr(corpus.playlists["id"][int(row)].as_py())

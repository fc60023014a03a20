"""Checks that training and selection cannot use what the test hides.

The checks read the split alone, which is the same for all systems. Oracles read the hidden tracks on purpose: every
table marks them, and they are never selected.
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
"""Labels of held-out playlists: whether a training playlist shares most of their tracks."""


def check_leaks(parts: Split, *, disjoint: bool = True) -> None:
    """Raise `LeakError` with an example if training or selection can use what is hidden.

    disjoint: whether whole playlists are held out. No version and no copy of one may then be in another part.
    """
    check_placements(parts)
    if disjoint:
        check_disjoint(parts)
        check_equal(parts)


def parts_of(protocol: Protocol, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
    """The split of any protocol, also of one that does not check what it returns.

    Raises `LeakError` like `check_placements`.

    Protocols that change the order of placements, or hide less than what follows the seeds, have their own checks.
    """
    parts = protocol.split(corpus, given)
    held = (parts.valid, parts.test)
    if all(part.placements is None and part.hides is None and part.corpus is parts.train.corpus for part in held):
        check_placements(parts)
    return parts


def check_in_time(parts: Split) -> None:
    """Raise `LeakError` with an example if training or selection uses what is not older than the hidden tracks.

    By the times themselves, training must end before validation begins, and validation before the test. In addition to
    `check_placements` and `check_equal`, no list in training may contain a track that a later list of the same playlist
    hides as new.
    """
    assert parts.cuts is not None
    (first, second), train, valid, test = parts.cuts, parts.train, parts.valid, parts.test
    _check_period("training", train, until=first)
    _check_period("validation", valid.whole(), until=second)
    _check_period("what validation hides", PlaylistSet(valid.corpus, valid.rows, valid.begins, valid.ends), since=first)
    _check_period("what the test hides", PlaylistSet(test.corpus, test.rows, test.begins, test.ends), since=second)
    for name, part in (("valid", valid), ("test", test)):
        _check_news(train, name, part)
    check_placements(parts)
    check_equal(parts)


def check_placements(parts: Split) -> None:
    """Raise `LeakError` if a hidden placement is in training, or a hidden one of the test is in validation."""
    hidden = {name: _spans(part) for name, part in (("valid", parts.valid), ("test", parts.test))}
    training = (
        parts.train.rows,
        parts.train.starts - parts.train.corpus.offsets[parts.train.rows],
        parts.train.lengths,
    )
    for name, spans in hidden.items():
        if (row := _overlapping(training, spans)) is not None:
            raise LeakError(
                f"the split leaks: {_id(parts.train.corpus, row)} has hidden {name} placements in training:"
                " end its training span where they begin"
            )
    if (row := _overlapping(hidden["valid"], hidden["test"])) is not None:
        raise LeakError(
            f"selection on test: {_id(parts.train.corpus, row)} hides the same placements in validation and in test:"
            " choose on other playlists than are tested"
        )


def check_hidden(train: PlaylistSet, held: HeldOut) -> None:
    """Raise `LeakError` if a playlist of a held-out part, of any split, hides a placement that is in training."""
    training = (train.rows, train.starts - train.corpus.offsets[train.rows], train.lengths)
    if (row := _overlapping(training, _spans(held))) is not None:
        raise LeakError(
            f"{_id(train.corpus, row)} hides placements that the model was fitted to: use parts of one split"
        )


def check_disjoint(parts: Split) -> None:
    """Raise `LeakError` with an example if a playlist, or versions of one, are in two parts of the split."""
    sides = {"train": parts.train.rows, "valid": parts.valid.rows, "test": parts.test.rows}
    groups = parts.train.corpus.groups
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        shared = np.intersect1d(groups[sides[first]], groups[sides[second]])
        if len(shared):
            rows = [int(side[groups[side] == shared[0]][0]) for side in (sides[first], sides[second])]
            names = f"{_id(parts.train.corpus, rows[0])} in {first} and {_id(parts.train.corpus, rows[1])} in {second}"
            raise LeakError(
                f"the split leaks: {names} are versions of one playlist ({len(shared)} such playlists):"
                " give both the same split, or set evaluation.split.by: hash"
            )


def check_equal(parts: Split) -> None:
    """Raise `LeakError` with an example if two parts have lists with the same tracks in the same order."""
    sides: dict[str, PlaylistSet | HeldOut] = {"train": parts.train, "valid": parts.valid, "test": parts.test}
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        copies, originals = equal_lists(sides[first].rows, sides[second].rows, parts.train.corpus)
        if len(copies):
            corpus = parts.train.corpus
            names = f"{_id(corpus, copies[0])} in {first} and {_id(corpus, originals[0])} in {second}"
            raise LeakError(
                f"the split leaks: {names} are the same list ({len(copies)} such lists in {first}):"
                " give both one group, or set evaluation.split.equal_lists: drop"
            )


def without_copies(parts: Split) -> tuple[Split, int]:
    """The split less the training and validation playlists that equal a list of a part that is measured later.

    And how many.
    """
    corpus, valid, train = parts.train.corpus, parts.valid, parts.train
    tested = equal_lists(valid.rows, parts.test.rows, corpus)[0]
    valid = valid.take(np.flatnonzero(~np.isin(valid.rows, tested)))
    held = np.concatenate([valid.rows, parts.test.rows])
    learned = equal_lists(train.rows, held, corpus)[0]
    keep = ~np.isin(train.rows, learned)
    train = PlaylistSet(corpus, train.rows[keep], train.starts[keep], train.ends[keep])
    return replace(parts, train=train, valid=valid), len(tested) + len(learned)


def equal_lists(first: np.ndarray, second: np.ndarray, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `first` that equal a row of `second` track for track, and the row that each of them equals."""
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
    """Which held-out playlists share more than half of their tracks with some training playlist (Jaccard > .5): bool
    [n].

    Playlists that continue one of training are left out: they share their own beginning.
    """
    chosen = np.flatnonzero(held_out.labels[KIND] != CONTINUED) if parts.cuts is not None else np.arange(len(held_out))
    lists = gather(held_out.items, held_out.starts[chosen], held_out.ends[chosen])
    copies = np.zeros(len(held_out), bool)
    copies[chosen] = near_duplicates(lists, parts.train.flat(), parts.train.corpus.n_items)
    return copies


def _fingerprints(rows: np.ndarray, corpus: Corpus) -> np.ndarray:
    """Hash of the tracks of each row in their order: uint64 [n]."""
    starts, ends = np.asarray(corpus.offsets)[rows], np.asarray(corpus.offsets)[rows + 1]
    hashes = np.zeros(len(rows), np.uint64)
    for first, last in blocks_of(ends - starts, BLOCK):
        items, offsets = gather(corpus.items, starts[first:last], ends[first:last])
        places = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(hashed(items.astype(np.int64) * 2**32 + places, 1))])
        hashes[first:last] = hashed(sums[offsets[1:]] - sums[offsets[:-1]], 2)
    return hashes


def _span_times(
    corpus: Corpus, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last time in each span: int64 [n] each. No span is empty."""
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
        rule = f"begins {to_iso(since)}" if when < since else f"ends before {to_iso(until)}"
        name = _id(spans.corpus, spans.rows[wrong[0]])
        raise LeakError(f"the split leaks: {name} has a placement of {to_iso(when)} in {what}, which {rule}")


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
                f"the split leaks: {_id(corpus, train.rows[owners[shared[0]]])} in training holds {track!r},"
                f" which a later list of the same playlist hides in {name} as new"
            )


def _equal(corpus: Corpus, a: int, b: int) -> bool:
    first, second = (corpus.items[corpus.offsets[row] : corpus.offsets[row + 1]] for row in (a, b))
    return bool(np.array_equal(first, second))


def _spans(part: HeldOut) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, where in the playlist what is hidden begins, and how long it is.

    A part with its own placements hides all of its tracks.
    """
    if part.placements is not None:
        return part.rows, np.zeros(len(part), np.int64), np.diff(part.corpus.offsets)[part.rows]
    return part.rows, part.cuts - part.corpus.offsets[part.rows], part.ends - part.cuts


def _overlapping(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> int | None:
    """A row whose spans overlap in both; None if there is none."""
    _, mine, theirs = np.intersect1d(first[0], second[0], return_indices=True)
    begins = np.maximum(first[1][mine], second[1][theirs])
    ends = np.minimum(first[1][mine] + first[2][mine], second[1][theirs] + second[2][theirs])
    overlaps = np.flatnonzero(ends > begins)
    return int(first[0][mine[overlaps[0]]]) if len(overlaps) else None


def _id(corpus: Corpus, row: int) -> str:
    return repr(corpus.playlists["id"][int(row)].as_py())

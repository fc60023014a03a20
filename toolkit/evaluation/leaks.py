"""Checks that fail a run whose test could have been learned, or chosen on.

Nothing here knows a model: what is checked is the split that every system is fitted to and measured on. Oracles, which read
the hidden tracks on purpose, are exempt by name: they are marked in every table and never chosen.
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
"""Label of held-out playlists by whether a training playlist shares most of their tracks."""


def check_leaks(parts: Split, *, disjoint: bool = True) -> None:
    """Raise `LeakError`, naming one, where what is hidden can be learned or chosen on.

    disjoint: whole playlists are held out; then no version or equal list of one may stand in another part.
    """
    check_placements(parts)
    if disjoint:
        check_disjoint(parts)
        check_equal(parts)


def parts_of(protocol: Protocol, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
    """The split of any protocol, also of one that does not check what it returns. Raises `LeakError` as `check_placements`.

    Protocols that put placements into another order, or hide less than what follows the seeds, have checks of their own.
    """
    parts = protocol.split(corpus, given)
    held = (parts.valid, parts.test)
    if all(part.placements is None and part.hides is None and part.corpus is parts.train.corpus for part in held):
        check_placements(parts)
    return parts


def check_in_time(parts: Split) -> None:
    """Raise `LeakError`, naming one, where something is learned, or chosen on, that is no older than what is asked after it.

    By the times themselves: training ends before validation begins, validation before the test. Besides what `check_placements` and
    `check_equal` find, no list in training may hold a track that a later list of the same playlist hides as new.
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
    """Raise `LeakError` where a hidden placement is in training, or one of the test in validation: selection would see it."""
    hidden = {name: _spans(part) for name, part in (("valid", parts.valid), ("test", parts.test))}
    training = (
        parts.train.rows,
        parts.train.starts - parts.train.corpus.offsets[parts.train.rows],
        parts.train.lengths,
    )
    for name, spans in hidden.items():
        if (row := _meeting(training, spans)) is not None:
            raise LeakError(
                f"the split leaks: {_named(parts.train.corpus, row)} has hidden {name} placements in training:"
                " end its training span where they begin"
            )
    if (row := _meeting(hidden["valid"], hidden["test"])) is not None:
        raise LeakError(
            f"selection on test: {_named(parts.train.corpus, row)} hides the same placements in validation and in test:"
            " choose on other playlists than are tested"
        )


def check_hidden(train: PlaylistSet, held: HeldOut) -> None:
    """Raise `LeakError` where a playlist of a held-out part, from whatever split, hides a placement that is in training."""
    training = (train.rows, train.starts - train.corpus.offsets[train.rows], train.lengths)
    if (row := _meeting(training, _spans(held))) is not None:
        raise LeakError(
            f"{_named(train.corpus, row)} hides placements that the model was fitted to: use parts of one split"
        )


def check_disjoint(parts: Split) -> None:
    """Raise `LeakError`, naming one, where a playlist or a version of it is in two parts of the split."""
    sides = {"train": parts.train.rows, "valid": parts.valid.rows, "test": parts.test.rows}
    groups = parts.train.corpus.groups
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        shared = np.intersect1d(groups[sides[first]], groups[sides[second]])
        if len(shared):
            rows = [int(side[groups[side] == shared[0]][0]) for side in (sides[first], sides[second])]
            raise LeakError(
                f"the split leaks: {_named(parts.train.corpus, rows[0])} in {first} and {_named(parts.train.corpus, rows[1])} in {second}"
                f" are versions of one playlist ({len(shared)} such playlists): give both the same split, or set evaluation.split.by: hash"
            )


def check_equal(parts: Split) -> None:
    """Raise `LeakError`, naming one, where two parts hold the same tracks in the same order."""
    sides: dict[str, PlaylistSet | HeldOut] = {"train": parts.train, "valid": parts.valid, "test": parts.test}
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        copies, originals = equal_lists(sides[first].rows, sides[second].rows, parts.train.corpus)
        if len(copies):
            corpus = parts.train.corpus
            raise LeakError(
                f"the split leaks: {_named(corpus, copies[0])} in {first} and {_named(corpus, originals[0])} in {second} are the same list"
                f" ({len(copies)} such lists in {first}): give both one group, or set evaluation.split.equal_lists: drop"
            )


def without_copies(parts: Split) -> tuple[Split, int]:
    """The split less the training and validation playlists that equal a list of a part that is measured later; and how many."""
    corpus, valid, train = parts.train.corpus, parts.valid, parts.train
    tested = equal_lists(valid.rows, parts.test.rows, corpus)[0]
    valid = valid.take(np.flatnonzero(~np.isin(valid.rows, tested)))
    held = np.concatenate([valid.rows, parts.test.rows])
    learned = equal_lists(train.rows, held, corpus)[0]
    keep = ~np.isin(train.rows, learned)
    train = PlaylistSet(corpus, train.rows[keep], train.starts[keep], train.ends[keep])
    return replace(parts, train=train, valid=valid), len(tested) + len(learned)


def equal_lists(first: np.ndarray, second: np.ndarray, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `first` that equal a row of `second` track for track, and one that each equals."""
    mine, theirs = _fingerprints(first, corpus), _fingerprints(second, corpus)
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs[order], mine), max(0, len(order) - 1))
    same = theirs[order][place] == mine if len(order) else np.zeros(len(mine), bool)
    pairs = [
        (int(a), int(b))
        for a, b in zip(first[same], second[order][place[same]], strict=True)
        if a != b and _equal(corpus, a, b)
    ]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def near_copies(parts: Split, held_out: HeldOut) -> np.ndarray:
    """Which held-out playlists share more than half of their tracks with some training playlist (Jaccard > .5): bool [n].

    None that continues one of training: it shares its own past.
    """
    chosen = np.flatnonzero(held_out.labels[KIND] != CONTINUED) if parts.cuts is not None else np.arange(len(held_out))
    asked = gather(held_out.items, held_out.starts[chosen], held_out.ends[chosen])
    found = np.zeros(len(held_out), bool)
    found[chosen] = near_duplicates(asked, parts.train.flat(), parts.train.corpus.n_items)
    return found


def _fingerprints(rows: np.ndarray, corpus: Corpus) -> np.ndarray:
    """A number for the tracks of each row in their order: uint64 [n]."""
    starts, ends = np.asarray(corpus.offsets)[rows], np.asarray(corpus.offsets)[rows + 1]
    found = np.zeros(len(rows), np.uint64)
    for first, last in blocks_of(ends - starts, BLOCK):
        items, offsets = gather(corpus.items, starts[first:last], ends[first:last])
        places = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(hashed(items.astype(np.int64) * 2**32 + places, 1))])
        found[first:last] = hashed(sums[offsets[1:]] - sums[offsets[:-1]], 2)
    return found


def _span_times(
    corpus: Corpus, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last time in each span, none of them empty: int64 [n] each."""
    if corpus.times is None:
        assert corpus.moments is not None
        return corpus.moments[rows], corpus.moments[rows]
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
        raise LeakError(
            f"the split leaks: {_named(spans.corpus, spans.rows[wrong[0]])} has a placement of {to_iso(when)} in {what}, which {rule}"
        )


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
        met = np.flatnonzero(np.isin(groups[train.rows[owners]] * width + held, hidden))
        if len(met):
            raise LeakError(
                f"the split leaks: {_named(corpus, train.rows[owners[met[0]]])} in training holds"
                f" {corpus.tracks['id'][int(held[met[0]]) - 1].as_py()!r}, which a later list of the same playlist hides in {name} as new"
            )


def _equal(corpus: Corpus, a: int, b: int) -> bool:
    first, second = (corpus.items[corpus.offsets[row] : corpus.offsets[row + 1]] for row in (a, b))
    return bool(np.array_equal(first, second))


def _spans(part: HeldOut) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, where in the playlist what is hidden begins, and how long it is. A part with placements of its own hides what it shows not."""
    if part.placements is not None:
        return part.rows, np.zeros(len(part), np.int64), np.diff(part.corpus.offsets)[part.rows]
    return part.rows, part.cuts - part.corpus.offsets[part.rows], part.ends - part.cuts


def _meeting(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> int | None:
    """A row whose spans meet in both; None where there is none."""
    _, mine, theirs = np.intersect1d(first[0], second[0], return_indices=True)
    begins = np.maximum(first[1][mine], second[1][theirs])
    ends = np.minimum(first[1][mine] + first[2][mine], second[1][theirs] + second[2][theirs])
    met = np.flatnonzero(ends > begins)
    return int(first[0][mine[met[0]]]) if len(met) else None


def _named(corpus: Corpus, row: int) -> str:
    return repr(corpus.playlists["id"][int(row)].as_py())

"""Two moments of the calendar cut the corpus: what was placed before the first is learned, what follows up to the second is
validation, and the rest is the test.

The temporal global split of Meng et al. 2020, "Exploring data splitting strategies for the evaluation of recommendation models"
(RecSys). Why: under a split of each playlist by itself, such as the last track of each, training holds what was placed after the
tested tracks, and models recommend from it (Ji et al. 2023, "A critical study on data leakage in recommender system offline
evaluation", ACM TOIS 41, 3).

A playlist that holds something when its part begins is continued: that is shown, in the playlist's own order, and what came later is
hidden. One that starts later is new: a model that knows playlists by their users could say nothing of it and studies of users drop
it (Meng et al.); here any playlist can be asked about by its first tracks, as sessions are (Ludewig and Jannach 2018, "Evaluation of
session-based recommendation algorithms"), so that `shown` of it is shown, and the choice is left to `new_playlists`.

Lists of one group are one playlist at several times: what an earlier one holds is not new to a later one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.cold_splits import ordered
from toolkit.corpus.splits import BLOCK, HeldOut, PlaylistSet, Split, beginnings, gather
from toolkit.errors import InputError
from toolkit.timestamps import NO_TIME, to_iso, to_seconds

KIND, CONTINUED, NEW = "playlist", "continued", "new"
"""Label of held-out playlists by whether they hold anything when their part begins."""

PERIODS = 3
"""Before the first cut, between the two, after the second."""
UNKNOWN = PERIODS * PERIODS
"""The part of placements of a playlist in which a time is not known."""

NO_TIMES = (
    "evaluation.split.type: global_time needs times, and the corpus has none: name the column that has them"
    " (data.options.time of readers csv, jsonl and recbole), or take another protocol"
)


def global_time(
    corpus: Corpus,
    *,
    valid_from: float | str = 0.8,
    test_from: float | str = 0.9,
    shown: float = 0.7,
    seeds: int | None = None,
    min_tracks: int = 10,
    new_playlists: str = "shown",
) -> Split:
    """Learn from what was placed before `valid_from`, hide what was placed from there to `test_from`, and from there on.

    valid_from, test_from: ISO 8601, or the share of all placements that comes before. shown, seeds: of new playlists.
    min_tracks: playlists that are shorter, what is hidden included, are not asked about. new_playlists: `shown` or `drop`.
    `Split.facts` counts playlists without times, which are in no part. Raises `InputError` for a corpus without times, cuts in the
    wrong order and an empty part.
    """
    if not corpus.timed:
        raise InputError(NO_TIMES)
    cuts = cut_times(corpus, valid_from, test_from)
    periods = _periods(corpus, cuts)
    parts = np.where(periods == PERIODS, UNKNOWN, PERIODS * periods + _first_held(corpus, periods)).astype(np.int8)
    made, counts = ordered(corpus, lambda low, high: parts[low:high], UNKNOWN + 1)
    starts = np.asarray(made.offsets[:-1])
    ends = starts[:, None] + np.cumsum(counts[:, :UNKNOWN], axis=1)
    train = np.flatnonzero(counts[:, 0])
    facts = {"playlists_without_times": int((counts[:, UNKNOWN] > 0).sum())}
    held = []
    for period in (1, 2):
        # parts in order: (period of the list, period in which its playlist first held the track); hidden is what is of this period in both
        stops = ends[:, PERIODS * period + period]
        hides = ends[:, PERIODS * period + period - 1]
        rows = np.flatnonzero((stops > hides) & (stops - starts >= min_tracks))
        part = _asked(made, rows, starts[rows], hides[rows], stops[rows], shown, seeds)
        if new_playlists == "drop":
            known = part.labels[KIND] == CONTINUED
            facts[f"new_{('valid', 'test')[period - 1]}_playlists"] = int((~known).sum())
            part = part.take(np.flatnonzero(known))
        held.append(part)
    for name, size in (("train", len(train)), ("valid", len(held[0])), ("test", len(held[1]))):
        if not size:
            raise InputError(_empty(name, corpus, cuts, min_tracks))
    return Split(PlaylistSet(made, train, starts[train], ends[train, 0]), held[0], held[1], facts, cuts=cuts)


def cut_times(corpus: Corpus, valid_from: float | str, test_from: float | str) -> tuple[int, int]:
    """When validation begins and when the test. A share f of n placements means the time of the ⌊f·n⌋-th, from 0."""
    shares = [cut for cut in (valid_from, test_from) if not isinstance(cut, str)]
    of_share = dict(zip(shares, _at_shares(corpus, shares), strict=True))
    first, second = (of_share[cut] if not isinstance(cut, str) else _moment(cut) for cut in (valid_from, test_from))
    if first >= second:
        raise InputError(
            f"evaluation.split.test_from={test_from!r} is {to_iso(second)} and valid_from={valid_from!r} is {to_iso(first)}:"
            " the test must begin after validation"
        )
    return first, second


def span(corpus: Corpus) -> tuple[int, int]:
    """The first and the last time that is known. Raises `InputError` where none is."""
    times = corpus.times if corpus.times is not None else corpus.moments
    known = np.zeros(0, np.int64) if times is None else times[times != NO_TIME]
    if not len(known):
        raise InputError(NO_TIMES)
    return int(known.min()), int(known.max())


def _moment(text: str) -> int:
    when = to_seconds(text)
    assert when is not None  # the recipe was checked
    return when


def _at_shares(corpus: Corpus, shares: list[float]) -> list[int]:
    """The times before which so large shares of the placements were made."""
    if not shares:
        return []
    if corpus.times is not None:
        known = corpus.times[corpus.times != NO_TIME]
        places = [int(share * len(known)) for share in shares]
        return [int(time) for time in np.partition(known, places)[places]]
    assert corpus.moments is not None
    order = np.argsort(corpus.moments, kind="stable")
    order = order[corpus.moments[order] != NO_TIME]
    before = np.cumsum(np.diff(corpus.offsets)[order])
    places = [int(share * before[-1]) for share in shares]
    return [int(time) for time in corpus.moments[order][np.searchsorted(before, places, side="right")]]


def _blocks(corpus: Corpus) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of playlists, and of their placements, of about `BLOCK` placements."""
    offsets = np.asarray(corpus.offsets)
    cuts = np.unique(np.append(np.searchsorted(offsets, np.arange(0, len(corpus.items), BLOCK)), len(corpus)))
    for first, last in pairwise(cuts.tolist()):
        yield first, last, int(offsets[first]), int(offsets[last])


def _periods(corpus: Corpus, cuts: tuple[int, int]) -> np.ndarray:
    """int8 [placements]: the period in which each was made; `PERIODS` throughout a playlist in which one is not known."""
    found = np.empty(len(corpus.items), np.int8)
    for first, last, low, high in _blocks(corpus):
        times = corpus.placed(first, last)
        rows = np.repeat(np.arange(last - first), np.diff(corpus.offsets[first : last + 1]))
        lacking = np.zeros(last - first, bool)
        lacking[rows[times == NO_TIME]] = True
        found[low:high] = np.where(lacking[rows], PERIODS, np.searchsorted(cuts, times, side="right"))
    return found


def _first_held(corpus: Corpus, periods: np.ndarray) -> np.ndarray:
    """int8 [placements]: the period in which the first list of the same playlist held the track; of a single list, its own."""
    found, groups = periods.copy(), corpus.groups
    rows = np.flatnonzero(np.bincount(groups)[groups] > 1)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    starts, ends = np.asarray(corpus.offsets)[rows], np.asarray(corpus.offsets)[rows + 1]
    first = np.flatnonzero(np.diff(groups[rows], prepend=-1))
    bounds = np.append(first, len(rows))
    placements = np.concatenate([[0], np.cumsum(ends - starts)])
    for a, b in blocks_of(np.diff(placements[bounds]), BLOCK):
        part = slice(bounds[a], bounds[b])
        items, offsets = gather(corpus.items, starts[part], ends[part])
        lengths = np.diff(offsets)
        places = np.arange(len(items)) + np.repeat(starts[part] - offsets[:-1], lengths)
        keys = np.repeat(groups[rows[part]], lengths) * (corpus.n_items + 1) + items
        distinct, of = np.unique(keys, return_inverse=True)
        least = np.full(len(distinct), PERIODS, np.int8)
        np.minimum.at(least, of, periods[places])
        found[places] = least[of]
    return found


def _asked(
    corpus: Corpus,
    rows: np.ndarray,
    starts: np.ndarray,
    hides: np.ndarray,
    stops: np.ndarray,
    shown: float,
    seeds: int | None,
) -> HeldOut:
    """Playlists that show what stands before `hides`, or a beginning where nothing does; those with nothing to find are left out."""
    new = hides == starts
    cuts = np.where(new, starts + beginnings(stops - starts, shown, seeds), hides)
    part = HeldOut(corpus, rows, starts, cuts, stops, labels={KIND: np.where(new, NEW, CONTINUED)})
    hidden = np.diff(part.hidden()[1]) if len(rows) else np.zeros(0, int)
    return part.take(np.flatnonzero((hidden > 0) & (cuts > starts)))


def _empty(name: str, corpus: Corpus, cuts: tuple[int, int], min_tracks: int) -> str:
    first, last = map(to_iso, span(corpus))
    return (
        f"the {name} split is empty: times go from {first} to {last}, validation begins {to_iso(cuts[0])} and the test"
        f" {to_iso(cuts[1])}, min_tracks={min_tracks}: move evaluation.split.valid_from and test_from,"
        " or lower evaluation.split.min_tracks"
    )

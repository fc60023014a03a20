"""Global time split with earlier playlist entries for training and later entries for validation and testing.

This is the temporal global split of Meng et al. 2020, "Exploring data splitting strategies for the evaluation of
recommendation models" (RecSys). With a split by playlist, such as leave-last-out, training contains entries that are
later than the tested tracks, and models recommend from them (Ji et al. 2023, "A critical study on data leakage in
recommender system offline evaluation", ACM TOIS 41, 3).

A playlist with tracks before the start of a part is continued. The earlier tracks are shown in playlist order, and the
later tracks are hidden. A playlist that starts later is new. Studies of users drop new playlists, because a model that
identifies playlists by users cannot rank for them (Meng et al.). Here the share `shown` of a new playlist is shown, as
for sessions (Ludewig and Jannach 2018, "Evaluation of session-based recommendation algorithms"), unless
`new_playlists` is `drop`.

Playlists with the same group are versions of one playlist. Tracks of an earlier version are not new in a later version.
"""

from __future__ import annotations

import numpy as np

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.block_ranges import blocks_of
from toolkit.corpus.cold_splits import ordered
from toolkit.corpus.splits import BLOCK, HeldOut, PlaylistSet, Split, beginnings, gather
from toolkit.errors import InputError
from toolkit.timestamps import NO_TIME, to_iso, to_seconds

KIND, CONTINUED, NEW = "playlist", "continued", "new"
"""Label of held-out playlists, by whether they have tracks when their part begins."""

PERIODS = 3  # before the first cut, between the two, after the second
UNKNOWN = PERIODS * PERIODS  # part of the placements of a playlist with an unknown time

NO_TIMES = (
    "`evaluation.split.type: global_time` requires times, but the corpus has none: set the column with times"
    " (data.options.time of readers csv, jsonl and recbole), or set another split"
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
    """Return a split with training before `valid_from`, validation before `test_from` and testing after it.

    - valid_from, test_from: ISO 8601 times, or shares of all playlist entries.
    - shown, seeds: seeds of new playlists, as in `playlist_disjoint`.
    - min_tracks: shorter playlists, with hidden tracks included, are not evaluated.
    - new_playlists: `shown` to continue new playlists, or `drop`.

    `Split.facts` counts playlists without times, which are excluded. Raises `InputError` for a corpus without times,
    for cuts in the wrong order and for an empty part.
    """
    if not corpus.has_times:
        raise InputError(NO_TIMES)
    cuts = cut_times(corpus, valid_from, test_from)
    periods = _periods(corpus, cuts)
    parts = np.where(periods == PERIODS, UNKNOWN, PERIODS * periods + _first_held(corpus, periods)).astype(np.int8)
    by_part, counts = ordered(corpus, lambda low, high: parts[low:high], UNKNOWN + 1)
    starts = np.asarray(by_part.offsets[:-1])
    ends = starts[:, None] + np.cumsum(counts[:, :UNKNOWN], axis=1)
    train = np.flatnonzero(counts[:, 0])
    facts = {"playlists_without_times": int((counts[:, UNKNOWN] > 0).sum())}
    held = []
    for period in (1, 2):
        # parts are ordered by (period of the list, period of the track's first list); hidden tracks have this one twice
        stops = ends[:, PERIODS * period + period]
        hides = ends[:, PERIODS * period + period - 1]
        rows = np.flatnonzero((stops > hides) & (stops - starts >= min_tracks))
        part = _answerable(by_part, rows, starts[rows], hides[rows], stops[rows], shown, seeds)
        if new_playlists == "drop":
            known = part.labels[KIND] == CONTINUED
            facts[f"new_{('valid', 'test')[period - 1]}_playlists"] = int((~known).sum())
            part = part.take(np.flatnonzero(known))
        held.append(part)
    for name, size in (("train", len(train)), ("valid", len(held[0])), ("test", len(held[1]))):
        if not size:
            raise InputError(_empty(name, corpus, cuts, min_tracks))
    return Split(PlaylistSet(by_part, train, starts[train], ends[train, 0]), held[0], held[1], facts, cuts=cuts)


def cut_times(corpus: Corpus, valid_from: float | str, test_from: float | str) -> tuple[int, int]:
    """Return the start times of validation and test. A share f of n entries means the time of entry ⌊f·n⌋, from 0."""
    shares = [cut for cut in (valid_from, test_from) if not isinstance(cut, str)]
    of_share = dict(zip(shares, _at_shares(corpus, shares), strict=True))
    first, second = (of_share[cut] if not isinstance(cut, str) else _moment(cut) for cut in (valid_from, test_from))
    if first >= second:
        raise InputError(
            f"evaluation.split.test_from={test_from!r} is {to_iso(second)} and valid_from={valid_from!r} is"
            f" {to_iso(first)}: set test_from to a later time than valid_from"
        )
    return first, second


def span(corpus: Corpus) -> tuple[int, int]:
    """Return the first and the last known time. Raises `InputError` without times."""
    times = corpus.times if corpus.times is not None else corpus.playlist_times
    known = np.zeros(0, np.int64) if times is None else times[times != NO_TIME]
    if not len(known):
        raise InputError(NO_TIMES)
    return int(known.min()), int(known.max())


def _moment(text: str) -> int:
    when = to_seconds(text)
    assert when is not None  # the recipe was checked
    return when


def _at_shares(corpus: Corpus, shares: list[float]) -> list[int]:
    """Return the times at which these shares of the entries are reached."""
    if not shares:
        return []
    if corpus.times is not None:
        known = corpus.times[corpus.times != NO_TIME]
        places = [int(share * len(known)) for share in shares]
        return [int(time) for time in np.partition(known, places)[places]]
    assert corpus.playlist_times is not None
    order = np.argsort(corpus.playlist_times, kind="stable")
    order = order[corpus.playlist_times[order] != NO_TIME]
    before = np.cumsum(np.diff(corpus.offsets)[order])
    places = [int(share * before[-1]) for share in shares]
    return [int(time) for time in corpus.playlist_times[order][np.searchsorted(before, places, side="right")]]


def _periods(corpus: Corpus, cuts: tuple[int, int]) -> np.ndarray:
    """Return the period of each entry, int8 [placements], or `PERIODS` in playlists with unknown times."""
    found = np.empty(len(corpus.items), np.int8)
    for first, last, low, high in corpus.blocks(BLOCK):
        times = corpus.placement_times(first, last)
        rows = np.repeat(np.arange(last - first), np.diff(corpus.offsets[first : last + 1]))
        unknown = np.zeros(last - first, bool)
        unknown[rows[times == NO_TIME]] = True
        found[low:high] = np.where(unknown[rows], PERIODS, np.searchsorted(cuts, times, side="right"))
    return found


def _first_held(corpus: Corpus, periods: np.ndarray) -> np.ndarray:
    """Return the earliest period in which a version of the playlist has the track, int8 [placements]."""
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


def _answerable(
    corpus: Corpus,
    rows: np.ndarray,
    starts: np.ndarray,
    hides: np.ndarray,
    stops: np.ndarray,
    shown: float,
    seeds: int | None,
) -> HeldOut:
    """Return playlists with hidden tracks, which show the tracks before `hides` or, if none, their first tracks."""
    new = hides == starts
    cuts = np.where(new, starts + beginnings(stops - starts, shown, seeds), hides)
    part = HeldOut(corpus, rows, starts, cuts, stops, labels={KIND: np.where(new, NEW, CONTINUED)})
    hidden = np.diff(part.hidden()[1]) if len(rows) else np.zeros(0, int)
    return part.take(np.flatnonzero((hidden > 0) & (cuts > starts)))


def _empty(name: str, corpus: Corpus, cuts: tuple[int, int], min_tracks: int) -> str:
    first, last = map(to_iso, span(corpus))
    return (
        f"the {name} split is empty: times are from {first} to {last}, validation starts {to_iso(cuts[0])} and the test"
        f" {to_iso(cuts[1])}, min_tracks={min_tracks}: change evaluation.split.valid_from or test_from,"
        " or reduce evaluation.split.min_tracks"
    )

"""Filters of playlist entries, which choose playlists and tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.recipe import Filters


@dataclass(frozen=True)
class Kept:
    """Playlist entries that pass the filters.

    - items, lengths: int32, new ids, and lengths of kept playlists.
    - rows, tracks: old indices of playlists and tracks, from 0.
    - plays, times: float32 and int64, by item, if the data has counts or times.
    """

    items: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    tracks: np.ndarray
    plays: np.ndarray | None = None
    times: np.ndarray | None = None


def filtered(
    placements: np.ndarray,
    lengths: np.ndarray,
    n_tracks: int,
    filters: Filters,
    counts: np.ndarray | None = None,
    times: np.ndarray | None = None,
    *,
    allowed: np.ndarray | None = None,
) -> Kept:
    """Apply the filters: content, the most played tracks, the most active playlists, and then minimum plays and
    minimum lengths repeatedly until nothing changes.

    - placements: int32, track numbers from 1, negative for repeated tracks in a playlist.
    - counts, times: float32 play counts and int64 times by entry.
    - allowed: bool [n_tracks], tracks with the required content; None if nothing is required.

    The plays of a track are the number of playlists that contain it. A track with too few plays is removed;
    a track without plays is treated according to the filter `unplayed`.
    """
    whole = allowed is None and filters.most_played_tracks is None and filters.most_active_playlists is None
    if whole and filters.min_track_plays == 1 and filters.unplayed == "keep":
        return _long_enough(placements, lengths, n_tracks, filters.min_playlist_length, counts, times)
    items, first = np.abs(placements), placements > 0
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    ever_played = np.zeros(n_tracks + 1, bool)
    ever_played[items] = True
    good = np.ones(n_tracks + 1, bool)
    if allowed is not None:
        good[1:] = allowed
    if filters.most_played_tracks is not None:
        good = _largest(np.bincount(items[first & good[items]], minlength=n_tracks + 1), filters.most_played_tracks)
    active = np.ones(len(lengths), bool)
    if filters.most_active_playlists is not None:
        # without the repetitions, which do not make a playlist larger
        active = _largest(np.bincount(rows[first & good[items]], minlength=len(lengths)), filters.most_active_playlists)
    if not whole:
        keep = good[items] & active[rows]
        items, first, rows = items[keep], first[keep], rows[keep]
        counts, times = (None if column is None else column[keep] for column in (counts, times))
    while True:
        plays = np.bincount(items[first], minlength=n_tracks + 1)
        good_list = np.bincount(rows, minlength=len(lengths)) >= filters.min_playlist_length
        keep = (plays >= filters.min_track_plays)[items] & good_list[rows]
        if keep.all():
            break
        items, first, rows = items[keep], first[keep], rows[keep]
        counts, times = (None if column is None else column[keep] for column in (counts, times))
    good_track = np.where(ever_played & (filters.min_track_plays > 1), plays >= filters.min_track_plays, True)
    good_track &= good
    if filters.unplayed == "drop":
        good_track &= plays > 0
    good_track[0] = False
    renumbered = np.cumsum(good_track, dtype=np.int32)
    left = np.bincount(rows, minlength=len(lengths))[good_list]
    return Kept(renumbered[items], left, np.flatnonzero(good_list), np.flatnonzero(good_track) - 1, counts, times)


def _largest(sizes: np.ndarray, n: int) -> np.ndarray:
    """Return a mask of the n largest sizes above 0, and of equal sizes the first."""
    order = np.argsort(-sizes, kind="stable")[:n]
    chosen = np.zeros(len(sizes), bool)
    chosen[order[sizes[order] > 0]] = True
    return chosen


def _long_enough(
    placements: np.ndarray,
    lengths: np.ndarray,
    n_tracks: int,
    least: int,
    counts: np.ndarray | None,
    times: np.ndarray | None,
) -> Kept:
    """Filter like `filtered` if only short playlists are removed, without unnecessary copies."""
    items = np.abs(placements) if placements.min(initial=0) < 0 else placements
    good = lengths >= least
    if good.all():
        return Kept(items, lengths, np.arange(len(lengths)), np.arange(n_tracks), counts, times)
    keep = np.repeat(good, lengths)
    counts, times = (None if column is None else column[keep] for column in (counts, times))
    return Kept(items[keep], lengths[good], np.flatnonzero(good), np.arange(n_tracks), counts, times)

"""Conversion of track playlists to artist playlists with summed plays.

The time of an artist is the earliest of its tracks' times.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import BLOCK
from toolkit.errors import InputError


def by_artist(corpus: Corpus, tracks: np.ndarray, of: np.ndarray, artists: pa.Table) -> Corpus:
    """Return the corpus with artists instead of tracks.

    - artists: table with id, title, artist and album.
    - tracks, of: int64 [c], rows of the track table and of `artists` for each credit. A track counts for
      all of its artists. Tracks without an artist are dropped.

    Raises `InputError` if no track has an artist.
    """
    order = np.argsort(tracks, kind="stable")
    of, sizes = of[order], np.bincount(tracks, minlength=corpus.n_items)
    firsts = np.cumsum(sizes) - sizes
    offsets = np.asarray(corpus.offsets)
    parts, lengths = [], np.zeros(len(corpus), np.int64)
    for first, last, low, high in corpus.blocks(BLOCK):
        rows = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
        placed = corpus.items[low:high].astype(np.int64) - 1
        plays = np.ones(len(placed)) if corpus.plays is None else corpus.plays[low:high]
        times = None if corpus.times is None else corpus.times[low:high]
        parts.append(_summed(rows, *_credited(placed, firsts, sizes, of), plays, times, len(artists)))
        lengths[first:last] = np.bincount(parts[-1][0], minlength=last - first)
    items = np.concatenate([part[1] for part in parts]).astype(np.int32) + 1
    if not len(items):
        raise InputError("`level: artist` requires tracks with artists: add artists to the data or set `level: track`")
    plays = np.concatenate([part[2] for part in parts]).astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = None if corpus.times is None else np.concatenate([part[3] for part in parts])
    return Corpus(items, bounds, artists, corpus.playlists, plays=plays, times=times)


def _credited(
    placed: np.ndarray, firsts: np.ndarray, sizes: np.ndarray, of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the playlist entry, int64 [m], and the artist, int64 [m], of each credit."""
    counts = sizes[placed]
    owners = np.repeat(np.arange(len(placed)), counts)
    nth = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owners, of[firsts[placed][owners] + nth]


def _summed(
    rows: np.ndarray,
    owners: np.ndarray,
    artists: np.ndarray,
    plays: np.ndarray,
    times: np.ndarray | None,
    n_artists: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return row, artist, plays and first time of the artists in each row, in order of first appearance."""
    keys = rows[owners] * n_artists + artists
    distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    totals = np.bincount(inverse, plays[owners], minlength=len(distinct))
    order = np.argsort(first, kind="stable")  # first places ascend within and between rows
    earliest = None
    if times is not None:
        earliest = np.full(len(distinct), np.iinfo(np.int64).max)
        np.minimum.at(earliest, inverse, times[owners])
        earliest = earliest[order]
    return distinct[order] // n_artists, distinct[order] % n_artists, totals[order], earliest

"""Building of a corpus, and optionally a catalogue, from a reader in one pass.

Placements are written to a flat temporary file. Memory holds the ids, the names and, at the end, 4 bytes a placement,
or 30 if a filter removes tracks. Without a catalogue, a reader of tables yields columns instead of records: see
`ColumnIndexer`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.column_indexer import ColumnIndexer
from toolkit.corpus.record_indexer import RecordIndexer
from toolkit.errors import DataError, InputError, SegueError
from toolkit.recipe import Filters

EVERY = 1000  # records between two calls of `progress`


def build(
    reader: Reader,
    catalogue: Catalogue | None,
    directory: Path,
    *,
    filters: Filters | None = None,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Read all records once, and write playlists to a corpus at `directory` and tracks to `catalogue`.

    - catalogue: catalogue to fill, or None. The corpus always has titles, artists and albums.
    - progress: function that is called with the number of records or rows so far.

    Equal input gives equal arrays, with ids 1…V in order of first occurrence. A corpus at `directory` is
    replaced when the new corpus is complete. Raises `DataError` for input that cannot be read, `InputError` if the
    filters remove all playlists or `directory` contains other files.
    """
    filters = filters or Filters()
    _check_target(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as work:
            with (Path(work) / "placements").open("w+b") as spool:
                indexer = _indexed(reader, catalogue, Path(work), spool, filters, progress)
                kept = filtered(
                    indexer.placements(), indexer.lengths(), len(indexer), filters, indexer.plays(), indexer.times()
                )
                _refuse_empty(kept, indexer, filters, reader)
                tracks, playlists = _rows(indexer.tracks(), kept.tracks), _rows(indexer.playlists(), kept.rows)
                offsets = np.concatenate([[0], np.cumsum(kept.lengths)]).astype(np.int64)
                corpus = Corpus(kept.items, offsets, tracks, playlists, plays=kept.plays, times=kept.times)
                corpus.save(Path(work) / "corpus")
            _replace(directory, Path(work))
    except OSError as error:
        raise SegueError(
            f"the corpus cannot be written to {directory} ({error.strerror or error}): free disk space"
        ) from None
    return Corpus.load(directory)


def _indexed(
    reader: Reader,
    catalogue: Catalogue | None,
    work: Path,
    spool: IO[bytes],
    filters: Filters,
    progress: Callable[[int], None] | None,
) -> RecordIndexer | ColumnIndexer:
    """Index columns if the reader supports them and there is no catalogue, otherwise records."""
    drop = filters.repeats == "drop"
    blocks = reader.blocks() if catalogue is None else None
    if blocks is not None:
        columns = ColumnIndexer(work, reader, drop_repeats=drop)
        for rows in columns.through(blocks):
            if progress is not None:
                progress(rows)
        return columns
    indexer = RecordIndexer(spool, reader, drop_repeats=drop)
    if catalogue is not None:
        catalogue.add(indexer.through(reader.read()), progress)
        return indexer
    for done, _ in enumerate(indexer.through(reader.brief()), start=1):
        if progress is not None and done % EVERY == 0:
            progress(done)
    return indexer


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
) -> Kept:
    """Apply minimum plays and minimum lengths repeatedly until nothing changes.

    - placements: int32, track numbers from 1, negative for repeated tracks in a playlist.
    - counts, times: float32 play counts and int64 times by entry.

    The plays of a track are the number of playlists that contain it. A track with too few plays is removed;
    a track without plays is treated according to the filter `unplayed`.
    """
    if filters.min_track_plays == 1 and filters.unplayed == "keep":
        return _long_enough(placements, lengths, n_tracks, filters.min_playlist_length, counts, times)
    items, first = np.abs(placements), placements > 0
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    ever_played = np.zeros(n_tracks + 1, bool)
    ever_played[items] = True
    good_list = np.ones(len(lengths), bool)
    while True:
        plays = np.bincount(items[first], minlength=n_tracks + 1)
        good_list = np.bincount(rows, minlength=len(lengths)) >= filters.min_playlist_length
        keep = (plays >= filters.min_track_plays)[items] & good_list[rows]
        if keep.all():
            break
        items, first, rows = items[keep], first[keep], rows[keep]
        counts, times = (None if column is None else column[keep] for column in (counts, times))
    good_track = np.where(ever_played & (filters.min_track_plays > 1), plays >= filters.min_track_plays, True)
    if filters.unplayed == "drop":
        good_track &= plays > 0
    good_track[0] = False
    renumbered = np.cumsum(good_track, dtype=np.int32)
    left = np.bincount(rows, minlength=len(lengths))[good_list]
    return Kept(renumbered[items], left, np.flatnonzero(good_list), np.flatnonzero(good_track) - 1, counts, times)


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


def _rows(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Return ascending rows of a table, without a copy if all rows are kept."""
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def _refuse_empty(kept: Kept, indexer: RecordIndexer | ColumnIndexer, filters: Filters, reader: Reader) -> None:
    """Raise an error with the strictest filter if all playlists are removed."""
    lengths = indexer.lengths()
    if len(kept.rows):
        return
    if not len(lengths):
        raise DataError(
            f"{reader.path} must have a valid playlist ({reader.skipped.count} bad records skipped): correct them"
        )
    short = int((lengths < filters.min_playlist_length).sum())
    raise InputError(
        f"the filters remove all {len(lengths)} playlists: min_playlist_length={filters.min_playlist_length} removes"
        f" {short} and min_track_plays={filters.min_track_plays} the other {len(lengths) - short}:"
        " reduce min_playlist_length or min_track_plays"
    )


def _check_target(directory: Path) -> None:
    """Raise `InputError` if a corpus would overwrite other files, such as a home folder."""
    if not directory.exists() or (directory / "corpus.json").is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise InputError(f"{directory} must be empty, missing or a corpus: set the path to another folder")


def _replace(directory: Path, work: Path) -> None:
    """Move the finished corpus into place and then remove the old corpus."""
    if directory.exists():
        directory.rename(work / "old")
    try:
        (work / "corpus").rename(directory)
    except OSError:
        if (work / "old").exists():
            (work / "old").rename(directory)
        raise
    shutil.rmtree(work / "old", ignore_errors=True)

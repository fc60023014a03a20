"""From a reader to a corpus, and to a filled catalogue where one is wanted, in one pass over the file.

Placements go to a flat temporary file; memory holds the ids, the names and, at the end, 4 bytes a
placement, or 30 where a filter takes a track. A reader of tables gives columns instead of records where no catalogue is wanted:
see `ColumnIntake`.
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
from toolkit.corpus.column_intake import ColumnIntake
from toolkit.corpus.intake import Intake
from toolkit.errors import DataError, InputError, SegueError
from toolkit.recipe import Filters

EVERY = 1000
"""Records between two calls of `progress`."""


def build(
    reader: Reader,
    catalogue: Catalogue | None,
    directory: Path,
    *,
    filters: Filters | None = None,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Read everything once: playlists into a corpus at `directory`, and all that is said of tracks into `catalogue` (None: nowhere).

    Titles, artists and albums stand in the corpus either way. The same input
    gives the same arrays; ids 1…V follow the first mention in
    the file. A corpus that stands at `directory` is replaced when the new one
    is complete, and not before. progress: called with the records, or rows of columns, so far.
    Raises `DataError` for what the reader cannot read, `InputError` where the
    filters leave no playlist or `directory` holds something else.
    """
    filters = filters or Filters()
    _check_target(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as work:
            with (Path(work) / "placements").open("w+b") as spool:
                intake = _taken(reader, catalogue, Path(work), spool, filters, progress)
                kept = filtered(
                    intake.placements(), intake.lengths(), len(intake), filters, intake.plays(), intake.times()
                )
                _refuse_empty(kept, intake, filters, reader)
                _corpus(kept, intake).save(Path(work) / "corpus")
            _replace(directory, Path(work))
    except OSError as error:
        raise SegueError(f"the corpus cannot be written to {directory}: {error.strerror or error}") from None
    return Corpus.load(directory)


def _taken(
    reader: Reader,
    catalogue: Catalogue | None,
    work: Path,
    spool: IO[bytes],
    filters: Filters,
    progress: Callable[[int], None] | None,
) -> Intake | ColumnIntake:
    """Everything that the reader gives: as columns where it has them and no catalogue is filled, else as records."""
    drop = filters.repeats == "drop"
    blocks = reader.blocks() if catalogue is None else None
    if blocks is not None:
        columns = ColumnIntake(work, reader, drop_repeats=drop)
        for rows in columns.through(blocks):
            if progress is not None:
                progress(rows)
        return columns
    intake = Intake(spool, reader, drop_repeats=drop)
    if catalogue is not None:
        catalogue.add(intake.through(reader.read()), progress)
        return intake
    for done, _ in enumerate(intake.through(reader.brief()), start=1):
        if progress is not None and done % EVERY == 0:
            progress(done)
    return intake


@dataclass(frozen=True)
class Kept:
    """What the filters leave. items: int32 of new ids; lengths: per kept playlist; rows and tracks: their old places (from 0); plays:
    float32 of the items, where they are counted; times: int64 of the items, where any is known."""

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
    """Apply minimum plays and lengths until neither takes anything more.

    placements: int32, track numbers from 1, negative where the playlist has
    held the track already. A track's plays are the playlists it is in; one
    that is played in the file but not often enough goes, one that nobody plays
    is governed by `unplayed`. counts: float32, how often each placement was played; times: int64, when it was made.
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
        counts, times = (None if each is None else each[keep] for each in (counts, times))
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
    """What is left where only short playlists go: no track goes with them, and nothing is copied that stays as it is."""
    items = np.abs(placements) if placements.min(initial=0) < 0 else placements
    good = lengths >= least
    if good.all():
        return Kept(items, lengths, np.arange(len(lengths)), np.arange(n_tracks), counts, times)
    keep = np.repeat(good, lengths)
    counts, times = (None if each is None else each[keep] for each in (counts, times))
    return Kept(items[keep], lengths[good], np.flatnonzero(good), np.arange(n_tracks), counts, times)


def _corpus(kept: Kept, intake: Intake | ColumnIntake) -> Corpus:
    tracks, playlists = _rows(intake.tracks(), kept.tracks), _rows(intake.playlists(), kept.rows)
    offsets = np.concatenate([[0], np.cumsum(kept.lengths)]).astype(np.int64)
    return Corpus(kept.items, offsets, tracks, playlists, plays=kept.plays, times=kept.times)


def _rows(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Those rows, ascending, of a table; all of them cost nothing."""
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def _refuse_empty(kept: Kept, intake: Intake | ColumnIntake, filters: Filters, reader: Reader) -> None:
    """Raises where nothing is left, naming the filter to loosen."""
    lengths = intake.lengths()
    if len(kept.rows):
        return
    if not len(lengths):
        raise DataError(f"{reader.path} holds no usable playlist ({reader.skipped.count} bad records left out)")
    short = int((lengths < filters.min_playlist_length).sum())
    raise InputError(
        f"no playlist of {len(lengths)} is left: min_playlist_length={filters.min_playlist_length} took {short} at once, "
        f"min_track_plays={filters.min_track_plays} with it the other {len(lengths) - short}: lower one of them"
    )


def _check_target(directory: Path) -> None:
    """Raises where a corpus would overwrite something else, such as a mistyped home folder."""
    if not directory.exists() or (directory / "corpus.json").is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise InputError(f"{directory} holds something other than a corpus: choose another place")


def _replace(directory: Path, work: Path) -> None:
    """Put the finished corpus in place; the old one leaves only at that moment."""
    if directory.exists():
        directory.rename(work / "old")
    try:
        (work / "corpus").rename(directory)
    except OSError:
        if (work / "old").exists():
            (work / "old").rename(directory)
        raise
    shutil.rmtree(work / "old", ignore_errors=True)

"""Building of a corpus, and optionally a catalogue, from a reader in one pass.

Placements are written to a flat temporary file. Memory holds the ids, the names and, at the end, 4 bytes a placement,
or 30 if a filter removes tracks. Without a catalogue, a reader of tables yields columns instead of records: see
`ColumnIndexer`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.column_indexer import ColumnIndexer
from toolkit.corpus.placement_filters import Kept, filtered
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
    has_content: Callable[[list[str]], np.ndarray] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Read all records once, and write playlists to a corpus at `directory` and tracks to `catalogue`.

    - catalogue: catalogue to fill, or None. The corpus always has titles, artists and albums.
    - has_content: function that returns which tracks have the content that the filter `require` demands, bool [n]. It
      is called with the ids of all tracks when the catalogue is filled.
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
                tracks = indexer.tracks()
                allowed = None if has_content is None else has_content(tracks["id"].to_pylist())
                kept = filtered(
                    indexer.placements(),
                    indexer.lengths(),
                    len(indexer),
                    filters,
                    indexer.plays(),
                    indexer.times(),
                    allowed=allowed,
                )
                _refuse_empty(kept, indexer, filters, reader)
                tracks, playlists = _rows(tracks, kept.tracks), _rows(indexer.playlists(), kept.rows)
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
    limits = [
        f"{name}={value}"
        for name in ("require", "most_played_tracks", "most_active_playlists")
        if (value := getattr(filters, name))
    ]
    if limits:
        named = ", ".join(limits)
        raise InputError(
            f"the filters leave none of {len(lengths)} playlists with min_playlist_length={filters.min_playlist_length}"
            f" tracks: change {named}, or reduce min_playlist_length or min_track_plays"
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

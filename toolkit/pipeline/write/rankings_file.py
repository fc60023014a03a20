"""Files with the first tracks of each test ranking and the hidden tracks, by external ids, for any later metric.

The rankings of each system are in a separate file until the run has all rankings. Files are read and written in blocks
of playlists.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit import run_directory
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.evaluator import Keep
from toolkit.evaluation.metrics.hits import hits
from toolkit.files import replacing

BYTES_AT_ONCE = 128 << 20
"""Bytes of ids in memory at once while files are written. A row of the files takes two ids."""
ROWS_AT_ONCE = 1 << 20
"""Rows of a group of `hidden.parquet`, unless its ids take more than `BYTES_AT_ONCE`."""

NUMBERS = pa.schema(
    [("place", pa.int32()), ("rank", pa.int32()), ("item", pa.int32()), ("score", pa.float32()), ("hit", pa.bool_())]
)
"""Columns of one system's rankings: playlists by their places in the test part, tracks by their item ids."""

RANKINGS = pa.schema(
    [
        ("system", pa.string()),
        ("playlist", pa.string()),
        ("rank", pa.int32()),
        ("track", pa.string()),
        ("score", pa.float32()),
        ("hit", pa.bool_()),
    ]
)
"""Columns of `rankings.parquet`. rank counts from 1; hit: whether the track is hidden in the playlist."""

HIDDEN = pa.schema([("playlist", pa.string()), ("track", pa.string()), ("warm", pa.bool_())])
"""Columns of `hidden.parquet`: every hidden track of every test playlist. warm: whether it has a training placement."""


def stage_file(run: run_directory.RunDirectory, name: str) -> Path:
    """Return the file of one system's test rankings, used until all rankings are merged."""
    return run.path(f"{run_directory.STAGES}/rankings-{name}.parquet")


@contextlib.contextmanager
def writer(path: Path, held: HeldOut) -> Iterator[Keep]:
    """Yield a writer for the rankings of one system, with a row group for each block of playlists.

    The file is renamed into place when it is complete.
    """
    with replacing(path) as unfinished, parquet.ParquetWriter(unfinished, NUMBERS, compression="zstd") as file:

        def keep(start: int, ids: np.ndarray, scores: np.ndarray) -> None:
            rows, ranks = np.nonzero(ids)
            columns = (
                start + rows,
                ranks + 1,
                ids[rows, ranks],
                scores[rows, ranks],
                hits(ids, *held.part(start, start + len(ids)).hidden())[rows, ranks],
            )
            arrays = [
                pa.array(column.astype(field.type.to_pandas_dtype()))
                for column, field in zip(columns, NUMBERS, strict=True)
            ]
            file.write_table(pa.Table.from_arrays(arrays, schema=NUMBERS), row_group_size=max(1, len(rows)))

        yield keep


def write(run: run_directory.RunDirectory, held: HeldOut, train_counts: np.ndarray, names: Sequence[str]) -> None:
    """Write `rankings.parquet`, with the systems in the order of `names`, and `hidden.parquet`."""
    playlists, tracks = _ids(held.corpus.playlists.select(["id"]).take(pa.array(held.rows))), _ids(held.corpus.tracks)
    most = max(1, BYTES_AT_ONCE // max(1, _longest(playlists) + _longest(tracks)))
    with (
        replacing(run.path(run_directory.RANKINGS)) as unfinished,
        parquet.ParquetWriter(unfinished, RANKINGS, compression="zstd") as writer,
    ):
        for name in names:
            for table in _slices(_groups(stage_file(run, name)), most):
                columns = [
                    pa.repeat(pa.scalar(name), len(table)),
                    playlists.take(table["place"]),
                    table["rank"],
                    tracks.take(pc.subtract(table["item"], 1)),
                    table["score"],
                    table["hit"],
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=RANKINGS), row_group_size=max(1, len(table)))
    items, offsets = held.hidden()
    owners = np.repeat(np.arange(len(held)), np.diff(offsets))
    numbers = pa.table({"owner": owners, "track": items - 1, "warm": train_counts[items] > 0})
    with (
        replacing(run.path(run_directory.HIDDEN)) as unfinished,
        parquet.ParquetWriter(unfinished, HIDDEN, compression="zstd") as writer,
    ):
        for table in _slices([numbers], min(most, ROWS_AT_ONCE)):
            columns = [playlists.take(table["owner"]), tracks.take(table["track"]), table["warm"]]
            writer.write_table(pa.Table.from_arrays(columns, schema=HIDDEN), row_group_size=max(1, len(table)))


def join(run: run_directory.RunDirectory, folds: Sequence[run_directory.RunDirectory], names: Collection[str]) -> None:
    """Write both files of a cross-validation from the files of its folds, in order, for the systems `names`."""
    with (
        replacing(run.path(run_directory.RANKINGS)) as unfinished,
        parquet.ParquetWriter(unfinished, RANKINGS, compression="zstd") as writer,
    ):
        for fold in folds:
            for table in _groups(fold.path(run_directory.RANKINGS)):
                kept = table.filter(pc.field("system").isin(list(names)))
                writer.write_table(kept, row_group_size=max(1, len(kept)))
    run.write_table(run_directory.HIDDEN, pa.concat_tables([fold.read_table(run_directory.HIDDEN) for fold in folds]))


def forget(run: run_directory.RunDirectory) -> None:
    """Remove ranking files from an interrupted run."""
    for name in (run_directory.RANKINGS, run_directory.HIDDEN):
        run.path(name).unlink(missing_ok=True)


def _groups(path: Path) -> Iterator[pa.Table]:
    """Yield the row groups of a file. Raises `RunDirectoryError` if the file is missing or damaged."""
    try:
        with parquet.ParquetFile(path) as file:
            for place in range(file.num_row_groups):
                yield file.read_row_group(place)
    except (pa.ArrowInvalid, OSError) as error:
        raise run_directory.unreadable(path, error) from None


def _slices(tables: Iterable[pa.Table], most: int) -> Iterator[pa.Table]:
    """Yield the tables in parts of at most `most` rows. An empty table is one part."""
    return (table.slice(start, most) for table in tables for start in range(0, max(1, len(table)), most))


def _longest(ids: pa.Array) -> int:
    """Return the bytes of the longest id."""
    return pc.max(pc.binary_length(ids)).as_py() or 0


def _ids(table: pa.Table) -> pa.Array:
    return table["id"].combine_chunks().cast(pa.string())

"""The first tracks of every test ranking and the hidden tracks, by outside ids: any metric can be computed from them.

Each system's rankings are in a file of their own until the run has all of them. They are read and written a block of
playlists at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from toolkit import run_directory
from toolkit.corpus.splits import HeldOut
from toolkit.evaluation.metrics.hits import hits
from toolkit.files import replacing
from toolkit.run_directory import STAGES, RunDirectory, unreadable

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


def stage_file(run: RunDirectory, name: str) -> Path:
    """The file of one system's test rankings, until all are written to one."""
    return run.path(f"{STAGES}/rankings-{name}.parquet")


class Kept:
    """Writes the rankings of one system, a row group for each block of playlists."""

    def __init__(self, held: HeldOut, writer: parquet.ParquetWriter) -> None:
        self.held, self.writer = held, writer

    @classmethod
    @contextlib.contextmanager
    def into(cls, path: Path, held: HeldOut) -> Iterator[Kept]:
        """A writer of rankings whose file appears only when it is complete."""
        with replacing(path) as unfinished, parquet.ParquetWriter(unfinished, NUMBERS, compression="zstd") as writer:
            yield cls(held, writer)

    def __call__(self, start: int, ids: np.ndarray, scores: np.ndarray) -> None:
        """Add the rankings int [B, t] of playlists from place `start` on, and their scores float [B, t]."""
        part = self.held.part(start, start + len(ids))
        rows, ranks = np.nonzero(ids)
        columns = (
            start + rows,
            ranks + 1,
            ids[rows, ranks],
            scores[rows, ranks],
            hits(ids, *part.hidden())[rows, ranks],
        )
        arrays = [
            pa.array(column.astype(field.type.to_pandas_dtype()))
            for column, field in zip(columns, NUMBERS, strict=True)
        ]
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=NUMBERS), row_group_size=max(1, len(rows)))


def write(run: RunDirectory, held: HeldOut, train_counts: np.ndarray, names: Sequence[str]) -> None:
    """Write `rankings.parquet`, system by system in the order of `names`, and `hidden.parquet`."""
    playlists, tracks = _ids(held.corpus.playlists.select(["id"]).take(pa.array(held.rows))), _ids(held.corpus.tracks)
    with (
        replacing(run.path(run_directory.RANKINGS)) as unfinished,
        parquet.ParquetWriter(unfinished, RANKINGS, compression="zstd") as writer,
    ):
        for name in names:
            for table in _groups(stage_file(run, name)):
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
    hidden = [playlists.take(pa.array(owners)), tracks.take(pa.array(items - 1)), pa.array(train_counts[items] > 0)]
    run.write_table(run_directory.HIDDEN, pa.Table.from_arrays(hidden, schema=HIDDEN))


def join(run: RunDirectory, folds: Sequence[RunDirectory], names: Collection[str]) -> None:
    """Write both files of a cross-validation: those of its folds one after the other, of the systems `names`."""
    with (
        replacing(run.path(run_directory.RANKINGS)) as unfinished,
        parquet.ParquetWriter(unfinished, RANKINGS, compression="zstd") as writer,
    ):
        for fold in folds:
            for table in _groups(fold.path(run_directory.RANKINGS)):
                kept = table.filter(pc.field("system").isin(list(names)))
                writer.write_table(kept, row_group_size=max(1, len(kept)))
    hidden = [fold.read_table(run_directory.HIDDEN) for fold in folds]
    run.write_table(run_directory.HIDDEN, pa.concat_tables(hidden))


def forget(run: RunDirectory) -> None:
    """Remove the files of rankings that an earlier try kept."""
    for name in (run_directory.RANKINGS, run_directory.HIDDEN):
        run.path(name).unlink(missing_ok=True)


def _groups(path: Path) -> Iterator[pa.Table]:
    """A file's row groups, one at a time. Raises `RunDirectoryError` if it is missing or damaged."""
    try:
        with parquet.ParquetFile(path) as file:
            for place in range(file.num_row_groups):
                yield file.read_row_group(place)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from None


def _ids(table: pa.Table) -> pa.Array:
    return table["id"].combine_chunks().cast(pa.string())

"""Reader for a stored corpus.

Titles, artists and albums are all that a corpus has of its tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from toolkit.catalogue.readers.reader import FileReader, OnError, ReaderParams
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.corpus.arrays import FIELD, PLAYS, Corpus
from toolkit.timestamps import NO_TIME

BLOCK = 10_000  # rows that are converted to records at once


class CorpusReader(FileReader):
    """Reader for a corpus that segue stored, which is a folder with `corpus.json`.

    Tracks are read first, in id order, and then playlists.
    """

    name = "corpus"

    def __init__(self, path: Path, params: ReaderParams | None = None, *, on_error: OnError = "stop") -> None:
        super().__init__(path, params, on_error=on_error)
        self.counts = (self.path / PLAYS).exists()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "corpus.json").is_file()

    def fields_offered(self) -> set[str]:
        return {"title", "artist", "album"}

    def _read(self) -> Iterator[Record]:
        corpus = Corpus.load(self.path, mapped=False)
        for columns in _blocks(corpus.tracks):
            for track, title, artist, album in zip(*columns, strict=True):
                yield TrackRecord(track, title, (artist,) if artist else (), album=album)
        ids, start = corpus.tracks["id"], 0
        for columns in _blocks(corpus.playlists):
            ends = corpus.offsets[start : start + len(columns[0]) + 1]
            held = ids.take(pa.array(corpus.items[ends[0] : ends[-1]] - 1)).to_pylist()
            spans = (ends - ends[0]).tolist()
            plays = None if corpus.plays is None else corpus.plays[ends[0] : ends[-1]].tolist()
            times = None if corpus.times is None else corpus.times[ends[0] : ends[-1]].tolist()
            fields = _fields(corpus.playlists.slice(start, len(columns[0])))
            for row, (playlist, title, group, split) in enumerate(zip(*columns[:4], strict=True)):
                span = slice(spans[row], spans[row + 1])
                yield PlaylistRecord(
                    playlist,
                    held[span],
                    title,
                    None,
                    group,
                    split,
                    plays=None if plays is None else plays[span],
                    times=None if times is None else times[span],
                    time=NO_TIME if corpus.playlist_times is None else int(corpus.playlist_times[start + row]),
                    fields={name: values[row] for name, values in fields.items()},
                )
            start += len(columns[0])


def _fields(playlists: pa.Table) -> dict[str, list[str | None]]:
    """Return the playlist fields by name."""
    names = [name for name in playlists.column_names if name.startswith(FIELD)]
    return {name.removeprefix(FIELD): playlists[name].to_pylist() for name in names}


def _blocks(table: pa.Table) -> Iterator[list[list[str | None]]]:
    """Yield columns of a table as lists in batches of rows."""
    for start in range(0, table.num_rows, BLOCK):
        yield [column.to_pylist() for column in table.slice(start, BLOCK).columns]

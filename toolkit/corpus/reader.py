"""A corpus's own arrays as playlists, so that what holds one can be looked at, converted and run on.

Titles, artists and albums are what the corpus keeps beside its arrays; nothing else is known of its tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from toolkit.catalogue.readers.base import Reader
from toolkit.catalogue.readers.files import some
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.corpus.arrays import Corpus

BLOCK = 10_000
"""Rows turned into records at once."""


class CorpusReader(Reader):
    """A folder with `corpus.json`: tracks in the order of their ids, then playlists."""

    name = "corpus"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / "corpus.json").is_file()

    def read(self) -> Iterator[Record]:
        return some(self._read(), self.path)

    def _read(self) -> Iterator[Record]:
        corpus = Corpus.load(self.path)
        for columns in _blocks(corpus.tracks):
            for track, title, artist, album in zip(*columns, strict=True):
                yield TrackRecord(track, title, (artist,) if artist else (), album=album)
        ids, start = corpus.tracks["id"], 0
        for columns in _blocks(corpus.playlists):
            ends = corpus.offsets[start : start + len(columns[0]) + 1]
            held = ids.take(pa.array(corpus.items[ends[0] : ends[-1]] - 1)).to_pylist()
            spans = (ends - ends[0]).tolist()
            for row, (playlist, title, group, split) in enumerate(zip(*columns, strict=True)):
                yield PlaylistRecord(playlist, held[spans[row] : spans[row + 1]], title, None, group, split)
            start += len(columns[0])


def _blocks(table: pa.Table) -> Iterator[list[list[str | None]]]:
    """Columns of a table as lists, some rows at a time."""
    for start in range(0, table.num_rows, BLOCK):
        yield [column.to_pylist() for column in table.slice(start, BLOCK).columns]

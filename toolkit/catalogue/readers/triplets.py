"""Reader for play counts in rows of `user<TAB>song<TAB>plays` without a header, optionally gzipped.

    reader: triplets
    path: train_triplets.txt
    options:
      tracks: {file: songs.tsv, track: song_id}
      artists: {file: artists.tsv, id: artist_id, fields: {biography: biography, tags: tags}}

The formats are those of the Echo Nest Taste Profile subset of the Million Song Dataset (three columns) and of Last.fm's
360K users (four columns: user, artist's id, artist's name, plays; the items are then artists). Users become playlists,
in the order of the file. The other tables are tab-separated with a header, such as MSD-A's biographies and tags of
artists.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from pydantic import Field as Option

from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import BLANKS, Encoding, existing, lines
from toolkit.catalogue.readers.reader import FileReader, ReaderParams, shortened
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, number_or_nan, stripped
from toolkit.catalogue.readers.tables.playlist_spool import Placement, PlaylistSpool
from toolkit.catalogue.readers.tables.row_files import (
    RowFile,
    check_columns,
    described_tracks,
    offered_fields,
    open_rows,
)
from toolkit.catalogue.readers.tables.track_columns import TrackOrigin, TrackParser, TrackTable
from toolkit.catalogue.records import LARGEST, SMALLEST, Field, PlaylistRecord, Record, TrackRecord

LEAST = 3  # the least number of columns in the file


class ArtistTable(ReaderParams):
    """Second file with one artist per row; `id` is a column and `fields` maps text fields to columns."""

    file: Path
    id: str = "artist_id"
    fields: dict[str, str] = Option({"biography": "biography", "tags": "tags"}, min_length=1)


class TripletsParams(TrackOrigin):
    delimiter: str = Option("\t", min_length=1, max_length=1)
    encoding: Encoding = "auto"
    tracks: TrackTable | None = None
    artists: ArtistTable | None = None
    source: str = "triplets"


class TripletsReader(FileReader):
    """Reader for play counts with one user, song and count per line. Each user becomes a playlist.

    Counts of repeated (user, song) rows are summed. The summary reports the number of such rows, and of artists
    and songs with contradictory descriptions.
    """

    name = "triplets"
    Params = TripletsParams
    params: TripletsParams
    counts = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_file() and path.name.removesuffix(".gz").endswith(
            ("triplets.txt", "triplets.tsv", "artname-plays.tsv")
        )

    def check_source(self) -> None:
        existing(self.path)
        if self.params.artists is not None:
            self._artist_table(self.params.artists)
        if self.params.tracks is not None:
            self._track_table(self.params.tracks)

    def fields_offered(self) -> set[str]:
        artists = {*self.params.artists.fields} if self.params.artists is not None else set[str]()
        if self.params.tracks is None:
            return {"title", "artist", "artist_id", *artists}  # a file with names has these
        return offered_fields(self._track_table(self.params.tracks), self.params.tracks) | artists

    def _read(self) -> Iterator[Record]:
        existing(self.path)
        artists = {} if self.params.artists is None else self._artists(self.params.artists)
        if self.params.tracks is not None:
            yield from self._tracks(self.params.tracks, artists)
        named: dict[str, str | None] = {}
        with PlaylistSpool() as spool:
            for user, item, name, plays in self._rows():
                named.setdefault(item, name)
                spool.add(Placement(user, qualified(item, self.params.scheme), 0.0, plays=plays))
            if self.params.tracks is None:
                yield from (self._item(item, name, artists.get(item, {})) for item, name in named.items())
            for record in spool.playlists():
                yield self._once(record)

    def _rows(self) -> Iterator[tuple[str, str, str | None, float]]:
        """Yield user, item, item name if present, and plays."""
        for number, line in enumerate(lines(self.path, self.bad, self.params.encoding), start=1):
            if not line.strip(BLANKS):
                continue
            where, cells = f"{self.path}, line {number}", [stripped(cell) for cell in line.split(self.params.delimiter)]
            if not LEAST <= len(cells) <= LEAST + 1:
                self.bad(
                    where,
                    f"has {len(cells)} columns and must have user, item, plays (or user, item, name, plays):"
                    " set options.delimiter",
                )
                continue
            user, name, plays = cells[0], cells[2] if len(cells) > LEAST else None, number_or_nan(cells[-1])
            item = cells[1] or name or ""  # Last.fm leaves out ids that it does not know
            if not user or not item:
                self.bad(where, f"must have a value for {'item' if user else 'user'}")
            elif not SMALLEST <= plays <= LARGEST:
                self.bad(where, f"plays {shortened(cells[-1])} must be a number above 0 and within {LARGEST:.1e}")
            else:
                yield user, item, name, plays

    def _once(self, record: PlaylistRecord) -> PlaylistRecord:
        """Return each item once with summed plays."""
        assert record.plays is not None
        total: dict[str, float] = {}
        for item, plays in zip(record.tracks, record.plays, strict=True):
            total[item] = total.get(item, 0.0) + plays
        if repeated := len(record.tracks) - len(total):
            self.doubles.add(
                f"{self.path}, user {record.id!r}: {repeated} items are listed more than once: their plays are summed"
            )
        # a sum of counts near the largest float32 can be infinite
        return PlaylistRecord(record.id, list(total), plays=[min(plays, LARGEST) for plays in total.values()])

    def _item(self, item: str, name: str | None, fields: dict[str, Field]) -> TrackRecord:
        """Return an item without a track table, with artist fields if the item is an artist."""
        params = self.params
        artists, ids = ((name,), (qualified(item, params.scheme, "artist"),)) if name else ((), ())
        return TrackRecord(
            qualified(item, params.scheme),
            name,
            artists,
            ids,
            fields={key: msgspec.structs.replace(field, entity="track") for key, field in fields.items()},
            source=params.source,
            train_allowed=params.train_allowed,
        )

    def _track_table(self, table: TrackTable) -> RowFile:
        """Return the track file. Raises `InputError` for a missing column."""
        file = open_rows(table, self.path.parent, self.bad)
        check_columns(file, table)
        return file

    def _tracks(self, table: TrackTable, artists: dict[str, dict[str, Field]]) -> Iterator[TrackRecord]:
        params, file = self.params, self._track_table(table)
        parser = TrackParser(table, file.path.parent, params, self.bad, self.files)
        waiting = {qualified(artist, params.scheme, "artist"): fields for artist, fields in artists.items()}
        for record in described_tracks(file, parser, self.doubles):
            # an artist's fields are stored once, with the artist's first track
            record.fields.update(waiting.pop(record.artist_ids[0], {}) if record.artist_ids else {})
            yield record

    def _artist_table(self, table: ArtistTable) -> tuple[DelimitedFile, int, dict[str, int]]:
        """Return the artist file and the columns of ids and fields. Raises `InputError` for a missing column."""
        file = DelimitedFile(self.path.parent / table.file, self.bad, quoted=False)
        if file.delimiter != "\t":  # between tabs, quotation marks are part of a biography
            file = DelimitedFile(self.path.parent / table.file, self.bad)
        fields = table.fields.items()
        return file, file.needed("artists.id", table.id), {n: file.needed(f"artists.fields.{n}", c) for n, c in fields}

    def _artists(self, table: ArtistTable) -> dict[str, dict[str, Field]]:
        """Return fields by artist from the first row, and report later rows with different values."""
        params, (file, place, columns) = self.params, self._artist_table(table)
        found: dict[str, dict[str, Field]] = {}
        for line, row in file.rows():
            fields = {
                name: Field(text, params.source, "artist", train_allowed=params.train_allowed)
                for name, column in columns.items()
                if (text := stripped(row[column]))
            }
            if not (artist := stripped(row[place])):
                self.bad(file.where(line), f"must have a value for {table.id}")
            elif found.setdefault(artist, fields) != fields:
                self.doubles.add(
                    f"{file.where(line)}: artist {artist!r} came before with other {', '.join(columns)}:"
                    " the first stays"
                )
        return found

"""Reader and writer for RecBole atomic files, `.inter` with an optional `.item`.

Format: https://recbole.io/docs/user_guide/data/atomic_files.html. Columns are `name:type`, tab-separated and never
quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field as Option

from toolkit.catalogue.readers.ids import qualified
from toolkit.catalogue.readers.open_files import existing, has_ending
from toolkit.catalogue.readers.reader import shortened
from toolkit.catalogue.readers.tables.delimited import DelimitedFile, number_or_nan, stripped
from toolkit.catalogue.readers.tables.playlist_spool import LARGEST_POSITION, POSITION_RULE, Placement, collected
from toolkit.catalogue.readers.tables.track_columns import NAMES, TrackColumns, TrackOrigin, TrackParser
from toolkit.catalogue.readers.tables.track_content import ContentOptions, ContentReader
from toolkit.catalogue.records import Record, TrackRecord
from toolkit.errors import DataError, InputError
from toolkit.timestamps import NO_TIME, TIME_RULE, to_seconds

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus

_ORDERS = ("position", "timestamp")


class RecboleParams(TrackOrigin, ContentOptions):
    """Column names without types, by default the first two tokens in `.inter`, and `position` or `timestamp`."""

    playlist: str | None = None
    track: str | None = None
    position: str | None = None
    time: str | None = Option(
        None, description="when each track was added or played, such as `timestamp`: seconds since 1970"
    )
    source: str = "recbole"


class RecboleReader(ContentReader):
    """Reader for RecBole data sets, from an `.inter` file or the folder that contains it.

    Text and numeric columns in the `.item` file become fields.
    """

    name = "recbole"
    Params = RecboleParams
    params: RecboleParams

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, ".inter") or (path.is_dir() and any(path.glob("*.inter")))

    def check_source(self) -> None:
        table, (_, track, _, _) = self._placed()
        if (item := _item_file(table.path)).is_file():
            self._described(item, table.header[track])
        super().check_source()

    @classmethod
    def beside(cls, path: Path) -> tuple[Path, ...]:
        return () if path.is_dir() else (_item_file(path),)

    def fields_offered(self) -> set[str]:
        table, (_, track, _, _) = self._placed()
        content = super().fields_offered()
        if not (item := _item_file(table.path)).is_file():
            return content
        described, _, columns = self._described(item, table.header[track])
        return columns.offered(described.header) | content

    def id_scheme(self) -> str:
        return self.params.scheme

    def _read(self) -> Iterator[Record]:
        table, columns = self._placed()
        item = _item_file(table.path)
        if item.is_file():
            yield from self._items(item, table.header[columns[1]])
        yield from collected(self._placements(table, *columns))

    def _placed(self) -> tuple[DelimitedFile, tuple[int, int, int | None, int | None]]:
        """Return the `.inter` file and its columns of playlist, track, position and time, or raise `InputError`."""
        table, types = self._table(self._inter())
        tokens = [name for name in table.header if types[name] == "token"]
        if len(tokens) < 2:
            raise DataError(
                f"{table.path} has {len(tokens)} token columns and must have at least 2, for playlist and track:"
                " add `:token` columns"
            )
        playlist = table.needed("playlist", self.params.playlist or tokens[0])
        track = table.needed(
            "track", self.params.track or next(token for token in tokens if token != table.header[playlist])
        )
        order = next((column for column in _ORDERS if column in table.header), None)
        return table, (
            playlist,
            track,
            table.column("position", self.params.position, order),
            table.column("time", self.params.time),
        )

    def _described(self, path: Path, track: str) -> tuple[DelimitedFile, dict[str, str], TrackColumns]:
        """Return the track file, its column types and their meaning."""
        table, types = self._table(path)
        table.needed("track", track)
        own = {*NAMES, track}
        texts = {name: name for name, kind in types.items() if kind.startswith("token") and name not in own}
        numbers: dict[str, list[str]] = {
            name: [name] for name, kind in types.items() if kind.startswith("float") and name not in own
        }
        return table, types, TrackColumns(track=track, fields=texts, features=numbers)

    def _inter(self) -> Path:
        if existing(self.path).is_file():
            return self.path
        files = sorted(self.path.glob("*.inter"))
        if len(files) != 1:
            raise InputError(f"{self.path} has {len(files)} .inter files and must have exactly 1: set `path` to a file")
        return files[0]

    def _table(self, path: Path) -> tuple[DelimitedFile, dict[str, str]]:
        """Return the file with plain column names, and the column types."""
        table = DelimitedFile(path, self.bad, delimiter="\t", quoted=False)
        types: dict[str, str] = {}
        for column in table.header:
            name, colon, kind = column.strip().rpartition(":")
            if not colon or kind not in ("token", "token_seq", "float", "float_seq"):
                raise DataError(
                    f"{path}, line 1: column {column!r} must be name:type with token, token_seq, float or float_seq"
                )
            types[name] = kind
        table.header = list(types)
        return table, types

    def _placements(
        self, table: DelimitedFile, playlist: int, track: int, place: int | None, time: int | None
    ) -> Iterator[Placement]:
        for line, row in table.rows():
            name, identifier = stripped(row[playlist]), stripped(row[track])
            if not name or not identifier:
                self.bad(table.where(line), "must have a playlist and a track")
                continue
            if not abs(position := 0.0 if place is None else number_or_nan(row[place])) <= LARGEST_POSITION:
                self.bad(table.where(line), f"position {shortened(row[place or 0])} {POSITION_RULE}")
                continue
            when = None
            if time is not None and (when := to_seconds(row[time])) is None:
                self.bad(table.where(line), f"time {shortened(row[time])} {TIME_RULE}")
                continue
            yield Placement(name, qualified(identifier, self.params.scheme), position, time=when)

    def _items(self, path: Path, track: str) -> Iterator[TrackRecord]:
        table, types, columns = self._described(path, track)
        parser = TrackParser(columns, path.parent, self.params, self.bad, self.files)
        for line, row in table.rows():
            cells = {
                name: cell.split(" ") if types[name] == "float_seq" else cell
                for name, cell in table.mapping(row).items()
            }
            if (record := parser.record(cells, table.where(line))) is not None:
                yield record


def write_atomic(corpus: Corpus, directory: Path, name: str) -> Path:
    """Write a corpus as RecBole data set `name` and return the folder `directory/name`.

    RecBole loads it with `data_path: directory` and `dataset: name`. Columns of `.inter` are playlist_id:token,
    track_id:token, position:float and, if the time of every placement (or of its playlist) is known, timestamp:float.
    Columns of `.item` are track_id:token, title:token_seq, artist:token_seq and album:token_seq. Tabs, line ends and
    double quotes, which RecBole cannot escape, become spaces in names. Raises `DataError` for an id that contains one.
    """
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    tracks = [_token(track) for track in corpus.tracks["id"].to_pylist()]
    playlists = [_token(playlist) for playlist in corpus.playlists["id"].to_pylist()]
    timed = corpus.has_times and all(
        (corpus.placement_times(row, row + 1) != NO_TIME).all() for row in range(len(corpus))
    )
    with (folder / f"{name}.inter").open("w", encoding="utf-8", newline="\n") as file:
        file.write("playlist_id:token\ttrack_id:token\tposition:float" + "\ttimestamp:float" * timed + "\n")
        for row, (playlist, start, end) in enumerate(
            zip(playlists, corpus.offsets[:-1], corpus.offsets[1:], strict=True)
        ):
            items = np.asarray(corpus.items[start:end]).tolist()
            times = (
                [f"\t{when}" for when in corpus.placement_times(row, row + 1).tolist()] if timed else [""] * len(items)
            )
            file.writelines(
                f"{playlist}\t{tracks[item - 1]}\t{place}{times[place]}\n" for place, item in enumerate(items)
            )
    columns = [
        [_words(value) for value in corpus.tracks[column].to_pylist()] for column in ("title", "artist", "album")
    ]
    with (folder / f"{name}.item").open("w", encoding="utf-8", newline="\n") as file:
        file.write("track_id:token\ttitle:token_seq\tartist:token_seq\talbum:token_seq\n")
        file.writelines("\t".join(row) + "\n" for row in zip(tracks, *columns, strict=True))
    return folder


def _token(identifier: str) -> str:
    if any(mark in identifier for mark in '\t\r\n"'):
        raise DataError(f"id {identifier!r} must not contain tabs, line ends or quotes: rename the track or playlist")
    return identifier


def _words(text: str | None) -> str:
    return " ".join((text or "").replace('"', " ").split())


def _item_file(path: Path) -> Path:
    """Return the path of the tracks of a file of placements."""
    return path.with_suffix(".item")

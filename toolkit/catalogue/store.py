"""Catalogue of tracks, artists, albums and playlists, with the source of each value.

SQLite by default, any PostgreSQL URL otherwise, through SQLAlchemy Core. Every batch is one transaction: after a kill,
everything that was committed is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar

from numpy import ndarray
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError

from toolkit.catalogue import field_lookup, record_writer
from toolkit.catalogue.blobs import BlobStore, BlobValues
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, DIALECTS, FIELDS, PLAYLISTS, TRACKS, create_tables
from toolkit.catalogue.named_files import NamedFiles
from toolkit.catalogue.records import Field, Record
from toolkit.catalogue.templates import Template, is_template
from toolkit.errors import DataError, InputError, SegueError

BATCH = 5_000  # records per transaction
LOOKED_UP = 10_000
"""Tracks whose values are in memory while sources are counted. More than twice as many read the whole field."""

Progress = Callable[[int], None]  # progress(records so far)

T = TypeVar("T")


class Counts(TypedDict):
    """Number of entities by kind, and of entities by field."""

    tracks: int
    artists: int
    albums: int
    playlists: int
    fields: dict[str, int]


class Catalogue:
    """Open catalogue, to be used as a context manager or closed with `close`."""

    def __init__(self, engine: Engine, blobs: BlobStore | None) -> None:
        self.engine = engine
        self._blobs = blobs
        self.files = NamedFiles()
        """Files that were stored by their path since the catalogue was opened."""

    @classmethod
    def open(cls, where: str | Path, *, blobs: Path | None = None, create: bool = True) -> Self:
        """Open a catalogue, which is created if missing unless `create` is false.

        - where: a SQLite file or a SQLAlchemy URL (SQLite or PostgreSQL).
        - blobs: folder for covers and audio, by default `<name>.blobs` next to a SQLite file.

        Raises `InputError` for an invalid URL, `DataError` for a file that is not a catalogue.
        """
        url = str(where) if "://" in str(where) else f"sqlite:///{where}"
        engine = _engine(url)
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file and file != ":memory:":
            if create:
                _make_folder(Path(file).parent)
            blobs = blobs or Path(file).with_suffix(".blobs")
        catalogue = cls(engine, BlobStore(blobs) if blobs else None)
        if create:
            create_tables(catalogue._transaction)
        return catalogue

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def blobs(self) -> BlobStore:
        """Return the store of covers and audio. Raises `InputError` if a database server was opened without `blobs`."""
        if self._blobs is None:
            raise InputError(f"{self} requires a folder for covers and audio: open the catalogue with blobs=<folder>")
        return self._blobs

    def __str__(self) -> str:
        return f"catalogue {self.engine.url.render_as_string(hide_password=True)}"

    def add(self, records: Iterable[Record], progress: Progress | None = None) -> int:
        """Write tracks with fields, and playlist metadata, and return the number of records.

        A known track keeps values that are missing in the new record. A field from the same source is replaced. Blobs
        are stored before their rows. Raises `DataError` for a vector with NaN or infinity.
        """
        return self._write(records, record_writer.prepare, progress)

    def add_fields(self, items: Iterable[tuple[str, str, Field]]) -> int:
        """Write fields, given as (entity id, field name, field), and return the number of fields."""
        return self._write(items, record_writer.prepare_fields, None)

    def _write(
        self,
        items: Iterable[T],
        prepare: Callable[[list[T], record_writer.PutBlob], record_writer.RowBatch],
        progress: Progress | None,
    ) -> int:
        stream, done = iter(items), 0
        while batch := list(islice(stream, BATCH)):
            rows = prepare(batch, self._put)
            with self._transaction() as connection:
                record_writer.write(connection, rows)
            done += len(batch)
            if progress:
                progress(done)
        return done

    def field_values(
        self, field: str, track_ids: Sequence[str], *, source: str | None = None
    ) -> tuple[ndarray, Sequence[Any]]:
        """Return values of a field or template for tracks.

        - field: `title`, `artist` (joined by ", "), `album`, `artist_id` (the first), `album_id`, `duration` (seconds)
          and `id` are read from the track table. Any other name is looked up for the track, then its album, then its
          artists in order.
        - source: use only values of this source and its copies (`spotify` includes `spotify/p93all`). With several
          sources, the highest `match_score` (None counts as 1) and then the newest value is used.

        Returns `present` bool [n], aligned with `track_ids`, and the values of the present tracks in the same order:
        str, float (`duration`), float32 arrays [d], or the bytes of covers and audio, which are read when indexed.

        Raises `InputError` for an unknown field or source, and for vectors from several sources, whose scales differ,
        unless `source` is set.
        """
        if is_template(field):
            return self._fill(Template(field), track_ids, source)
        values = self._lookup(field, track_ids, source)
        field_lookup.check_one_kind(field, values)
        present, there = field_lookup.present(values), [value for value in values if value is not None]
        if any(value.kind == "blob" for value in there):
            return present, BlobValues(self.blobs, [str(value.value) for value in there])
        return present, [value.value for value in there]

    def provenance(
        self, field: str, track_ids: Sequence[str] | None = None, *, source: str | None = None
    ) -> list[field_lookup.Provenance]:
        """Return sorted sources of the values of a field or template, by default for all tracks."""
        names = dict.fromkeys(Template(field).parts) if is_template(field) else [field]
        ids = self.track_ids() if track_ids is None else track_ids

        def values(name: str) -> Iterator[field_lookup.SourcedValue | None]:
            for start in range(0, max(1, len(ids)), LOOKED_UP):
                yield from self._lookup(name, ids[start : start + LOOKED_UP], source)

        return [row for name in names for row in field_lookup.provenance(name, values(name))]

    def has(self, table: Table) -> bool:
        """Return whether the database has this table."""
        with self._transaction() as connection:
            return inspect(connection).has_table(table.name)

    def track_ids(self) -> list[str]:
        """Return all track ids, sorted."""
        with self._transaction() as connection:
            return list(connection.scalars(select(TRACKS.c.id).order_by(TRACKS.c.id)))

    def counts(self) -> Counts:
        """Return the number of tracks, artists, albums and playlists, and of entities by field."""
        per_field = select(FIELDS.c.field, FIELDS.c.entity, FIELDS.c.entity_id).distinct().subquery()
        name = per_field.c.field
        with self._transaction() as connection:
            tracks, artists, albums, playlists = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (TRACKS, ARTISTS, ALBUMS, PLAYLISTS)
            )
            rows = connection.execute(select(name, func.count()).group_by(name).order_by(name))
            fields = {row[0]: int(row[1]) for row in rows}
        return {"tracks": tracks, "artists": artists, "albums": albums, "playlists": playlists, "fields": fields}

    def _lookup(
        self, field: str, track_ids: Sequence[str], source: str | None
    ) -> list[field_lookup.SourcedValue | None]:
        with self._transaction() as connection:
            return field_lookup.lookup(connection, field, list(track_ids), source)

    def _fill(self, template: Template, track_ids: Sequence[str], source: str | None) -> tuple[ndarray, list[str]]:
        columns = {name: field_lookup.as_texts(name, self._lookup(name, track_ids, source)) for name in template.parts}
        filled = [template.fill({name: columns[name][row] for name in columns}) for row in range(len(track_ids))]
        return field_lookup.present(filled), [text for text in filled if text is not None]

    def _put(self, value: bytes | Path) -> str:
        return self.blobs.put(value) if isinstance(value, bytes) else self.files.store(value, self.blobs.put_file)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            reason = str(error.orig).strip().splitlines()[0]
            if "malformed" in reason:
                raise DataError(
                    f"{self} is damaged ({reason}): restore a copy, or delete the file if it is in the cache"
                ) from None
            raise (DataError if "not a database" in reason else SegueError)(f"{self}: {reason}") from None
        except SQLAlchemyError as error:
            raise SegueError(f"{self}: {error}") from error


def _engine(url: str) -> Engine:
    try:
        name = make_url(url).get_backend_name()
        if name not in DIALECTS:
            raise InputError(f"database {name!r} must be one of {', '.join(DIALECTS)}: change the URL")
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise InputError(
            "the catalogue URL is invalid: use a file name or postgresql+psycopg://user@host/name"
        ) from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"this database requires {error.name}, which is not installed: pip install {error.name}"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _use_wal)
    return engine


def _use_wal(connection: DBAPIConnection, _: object) -> None:
    """Enable the write-ahead log of SQLite.

    Readers then do not wait for the writer, and a killed writer leaves the last commit intact.
    """
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.cursor().execute(f"PRAGMA {pragma}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}): correct path or permissions") from None

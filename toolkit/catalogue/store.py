"""The catalogue: what every track, artist, album and playlist is, and where each fact came from.

SQLite by default, any PostgreSQL URL otherwise, through SQLAlchemy Core.
Every batch is one transaction: a kill loses nothing committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError

from toolkit.catalogue import field_choice, record_rows
from toolkit.catalogue.blobs import BlobStore, BlobValues
from toolkit.catalogue.database_schema import ALBUMS, ARTISTS, DIALECTS, FIELDS, PLAYLISTS, TRACKS, create_tables
from toolkit.catalogue.records import Field, Record
from toolkit.catalogue.templates import Template, is_template
from toolkit.errors import DataError, InputError, SegueError

BATCH = 5_000
"""Records a transaction."""

Progress = Callable[[int], None]
"""progress(records so far)"""


class Catalogue:
    """A catalogue that is open; use it as a context manager or `close` it."""

    def __init__(self, engine: Engine, blobs: BlobStore | None) -> None:
        self.engine = engine
        self._blobs = blobs

    @classmethod
    def open(cls, where: str | Path, *, blobs: Path | None = None, create: bool = True) -> Self:
        """Open a catalogue, creating it where there is none unless `create` is false.

        where: a SQLite file or a SQLAlchemy URL (SQLite or PostgreSQL).
        blobs: folder of covers and audio; for a SQLite file `<name>.blobs` beside it.
        Raises `InputError` for a URL that cannot be used, `DataError` for a file that is no catalogue.
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
        """Covers and audio. Raises `InputError` for a database server opened without a folder for them."""
        if self._blobs is None:
            raise InputError(f"{self} has no folder for covers and audio: open it with blobs=<folder>")
        return self._blobs

    def __str__(self) -> str:
        return f"catalogue {self.engine.url.render_as_string(hide_password=True)}"

    def add(self, records: Iterable[Record], progress: Progress | None = None) -> int:
        """Write tracks with their fields, and playlists' metadata; returns how many records.

        A track that is there already keeps what the new record leaves out; a
        field of the same source is replaced. Blobs are stored before the rows
        that name them. Raises `DataError` for a vector with NaN or infinity.
        """
        stream, done = iter(records), 0
        while batch := list(islice(stream, BATCH)):
            prepared = record_rows.prepare(batch, self._put)
            with self._transaction() as connection:
                record_rows.write(connection, prepared)
            done += len(batch)
            if progress:
                progress(done)
        return done

    def add_fields(self, items: Iterable[tuple[str, str, Field]]) -> int:
        """Write fields of entities that are known already: (entity id, field name, field); returns how many."""
        stream, done = iter(items), 0
        while batch := list(islice(stream, BATCH)):
            prepared = record_rows.prepare_fields(batch, self._put)
            with self._transaction() as connection:
                record_rows.write(connection, prepared)
            done += len(batch)
        return done

    def field_values(
        self, field: str, track_ids: Sequence[str], *, source: str | None = None
    ) -> tuple[Any, Sequence[Any]]:
        """Values of one field or template for the given tracks.

        Returns `present` bool [n], aligned with `track_ids`, and the values of
        the present tracks in that order: str, a float32 array [d] per feature
        vector, float (`duration`), or the bytes of covers and audio, read when indexed.
        `title`, `artist` (joined by ", "), `album`, `artist_id` (the first),
        `album_id` and `duration` (seconds) are the track's own, as is `id`; any other name
        is looked up for the track, then its album, then its artists in order.
        Of several sources the highest `match_score` wins (none counts as 1),
        then the newest. source: only values of this source or of its branches
        (`spotify` takes `spotify/p93all`).
        Raises `InputError` for an unknown field or source, and for vectors of
        several sources, which do not share a scale, unless `source` chooses.
        """
        if is_template(field):
            return self._fill(Template(field), track_ids, source)
        chosen = self._choices(field, track_ids, source)
        field_choice.check_one_kind(field, chosen)
        values = [choice.value for choice in chosen if choice is not None]
        if any(choice is not None and choice.kind == "blob" for choice in chosen):
            return field_choice.present(chosen), BlobValues(self.blobs, values)
        return field_choice.present(chosen), values

    def provenance(
        self, field: str, track_ids: Sequence[str] | None = None, *, source: str | None = None
    ) -> list[dict[str, Any]]:
        """Where the values of a field or template come from: `field`, `source`, `train_allowed`, `n` tracks, sorted.

        track_ids: default all tracks of the catalogue.
        """
        names = dict.fromkeys(Template(field).parts) if is_template(field) else [field]
        ids = self.track_ids() if track_ids is None else track_ids
        return [row for name in names for row in field_choice.provenance(name, self._choices(name, ids, source))]

    def has(self, table: Table) -> bool:
        """Whether the database has this table."""
        with self._transaction() as connection:
            return inspect(connection).has_table(table.name)

    def track_ids(self) -> list[str]:
        """Every track's id, sorted."""
        with self._transaction() as connection:
            return list(connection.scalars(select(TRACKS.c.id).order_by(TRACKS.c.id)))

    def counts(self) -> dict[str, Any]:
        """How much there is: `tracks`, `artists`, `albums`, `playlists`, and `fields` by name (entities that have one)."""
        tables = {"tracks": TRACKS, "artists": ARTISTS, "albums": ALBUMS, "playlists": PLAYLISTS}
        per_field = select(FIELDS.c.field, FIELDS.c.entity, FIELDS.c.entity_id).distinct().subquery()
        with self._transaction() as connection:
            totals: dict[str, Any] = {
                name: connection.scalar(select(func.count()).select_from(table)) for name, table in tables.items()
            }
            counted = connection.execute(
                select(per_field.c.field, func.count()).group_by(per_field.c.field).order_by(per_field.c.field)
            )
            totals["fields"] = {name: n for name, n in counted}
        return totals

    def _choices(self, field: str, track_ids: Sequence[str], source: str | None) -> list[field_choice.Choice | None]:
        with self._transaction() as connection:
            return field_choice.choices(connection, field, list(track_ids), source)

    def _fill(self, template: Template, track_ids: Sequence[str], source: str | None) -> tuple[Any, list[str]]:
        columns = {name: field_choice.texts(name, self._choices(name, track_ids, source)) for name in template.parts}
        filled = [template.fill({name: columns[name][row] for name in columns}) for row in range(len(track_ids))]
        return field_choice.present(filled), [text for text in filled if text is not None]

    def _put(self, value: bytes | Path) -> str:
        return self.blobs.put(value) if isinstance(value, bytes) else self.blobs.put_file(value)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            reason = str(error.orig).strip().splitlines()[0]
            if "malformed" in reason:
                raise DataError(
                    f"{self} is damaged ({reason}): bring back a copy; one in a cache can be deleted, and is made again"
                ) from None
            kind = DataError if "not a database" in reason else SegueError
            raise kind(f"{self}: {reason}") from None
        except SQLAlchemyError as error:
            raise SegueError(f"{self}: {error}") from error


def _engine(url: str) -> Engine:
    try:
        name = make_url(url).get_backend_name()
        if name not in DIALECTS:
            raise InputError(f"a catalogue cannot live in {name}: use one of {', '.join(DIALECTS)}")
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise InputError(
            "the catalogue's URL cannot be read: use a file name or postgresql+psycopg://user@host/name"
        ) from None
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing, which this database needs: pip install {error.name}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _wal)
    return engine


def _wal(connection: Any, _: object) -> None:
    """Readers do not wait for the writer, writers wait for each other, and a killed writer leaves the last commit intact."""
    connection.execute("PRAGMA busy_timeout=60000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}") from None

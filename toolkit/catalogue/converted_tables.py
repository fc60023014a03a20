"""Conversion of the playlists of any reader to two tables, of playlists and of tracks with all their content.

Playlists are written as they are read. Tracks are kept in a temporary catalogue on disk, because their values may come
in several records, and are written at the end. Memory holds one batch of each.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from toolkit.catalogue.blobs import BlobValues
from toolkit.catalogue.field_lookup import NATIVE
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.catalogue.table_writers import Form, Kind, OutRow, WriteRows, table_writer, vector_columns
from toolkit.catalogue.track_names import NAME_COLUMNS, TrackNames
from toolkit.errors import InputError
from toolkit.timestamps import NO_TIME

BATCH = 500
"""Tracks that are in memory at once, with their texts and vectors."""

PLACED = 10_000
"""Placements that are written at once."""

IMAGES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}
SOUNDS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3"}
"""Suffixes by first bytes. WebP and WAV begin alike; bytes 8 to 12 differ."""


@dataclass
class Converted:
    """Result of a conversion.

    - path, options: path and options with which `reader` reads the tables.
    - left_out: playlists without tracks, which only JSON Lines can hold.
    """

    reader: Form
    path: Path
    options: dict[str, object]
    playlists: int = 0
    tracks: int = 0
    placements: int = 0
    left_out: int = 0


def convert(reader: Reader, out: Path, form: Form, *, progress: Callable[[int], None] | None = None) -> Converted:
    """Write `playlists.FORM` and `tracks.FORM` to the folder `out`, and pictures and sounds to a folder for each field.

    All records are written, without filters. Values of artists and albums become values of their tracks. The terms of
    the tables are the strictest of all values. Raises `InputError` for play counts, which the tables cannot hold.
    """
    if reader.counts:
        raise InputError(f"{reader.path} has play counts, which {form} files of playlists cannot hold: use it as it is")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".convert-") as work, ExitStack() as stack:
        catalogue = stack.enter_context(Catalogue.open(Path(work) / "catalogue.db"))
        names = stack.enter_context(TrackNames(Path(work) / "names.db"))
        converted = Converted(form, out / f"playlists.{form}", {})
        with ExitStack() as files:
            lists = _Lists(converted, files)
            catalogue.add(_through(reader.read(), lists, names), progress)
            lists.flush()
        converted.options = lists.options() | _write_tracks(catalogue, names, out, form)
        converted.tracks = len(names)
    return converted


def _through(records: Iterator[Record], lists: _Lists, names: TrackNames) -> Iterator[TrackRecord]:
    """Write the playlists, and yield the tracks for the catalogue."""
    for record in records:
        if isinstance(record, PlaylistRecord):
            lists.add(record)
        else:
            names.add(record)
            yield record
    names.flush()


@dataclass
class _Lists:
    """Writer of the playlist table. The first playlist decides which fields it has."""

    converted: Converted
    files: ExitStack
    timed: bool = True
    columns: dict[str, str] = field(default_factory=dict)
    waiting: list[OutRow] = field(default_factory=list)
    write: WriteRows | None = None

    def add(self, record: PlaylistRecord) -> None:
        if self.write is None:
            self.columns = {name: f"field_{name}" for name in record.fields}
            kinds: dict[str, Kind] = {"playlist_id": "text", "track_id": "text", "position": "integer"}
            kinds |= {"time": "integer", **dict.fromkeys(("playlist_title", "description", "group", "split"), "text")}
            kinds |= dict.fromkeys(self.columns.values(), "text")
            path = self.converted.path
            self.write = self.files.enter_context(
                table_writer(self.converted.reader, path, kinds, sizes={}, separator="")
            )
        lines = self.converted.reader == "jsonl"
        self.converted.left_out += not (record.tracks or lines)
        self.converted.playlists += bool(record.tracks or lines)
        self.converted.placements += len(record.tracks)
        times = record.times if record.times is not None else [record.time] * len(record.tracks)
        own = [None if when == NO_TIME else when for when in times]
        self.timed &= None not in own
        about: dict[str, object] = {
            "title" if lines else "playlist_title": record.title,
            "description": record.description,
            "group": record.group,
            "split": record.split,
            **{column: record.fields.get(name) for name, column in self.columns.items()},
        }
        if lines:
            latest = max((when for when in own if when is not None), default=None)
            self.waiting.append({"id": record.id, **about, "time": latest, "tracks": record.tracks})
        else:
            rows = enumerate(zip(record.tracks, own, strict=True))
            common = {"playlist_id": record.id, **about}
            self.waiting += [{**common, "track_id": track, "position": n, "time": when} for n, (track, when) in rows]
        if len(self.waiting) >= PLACED:
            self.flush()

    def flush(self) -> None:
        if self.write is not None:
            self.write(self.waiting)
        self.waiting = []

    def options(self) -> dict[str, object]:
        found: dict[str, object] = {"time": "time"} if self.timed and self.converted.placements else {}
        return found | ({"playlist_fields": self.columns} if self.columns else {})


def _write_tracks(catalogue: Catalogue, names: TrackNames, out: Path, form: Form) -> dict[str, object]:
    """Write the track table and return the options that describe it."""
    fields = {name: _kind(catalogue, names, name) for name in catalogue.counts()["fields"]}
    sizes = {_column(name): size for name, (kind, size) in fields.items() if kind == "vector"}
    track, separator = "id" if form == "jsonl" else "track_id", names.separator()
    columns: dict[str, Kind] = {track: "text", **NAME_COLUMNS}
    columns |= {_column(name): "vector" if kind == "vector" else "text" for name, (kind, _) in fields.items()}
    with table_writer(form, out / f"tracks.{form}", columns, sizes=sizes, separator=separator) as write:
        for chunk in names.batches(BATCH):
            rows: list[dict[str, object]] = [{track: name, **values} for name, values in chunk]
            for name, (kind, size) in fields.items():
                present, values = catalogue.field_values(name, [each for each, _ in chunk])
                for place, value in zip(
                    np.flatnonzero(present).tolist(), _out(values, kind, size, name, out), strict=True
                ):
                    rows[place][_column(name)] = value
            write(rows)
    table: dict[str, object] = {"file": f"tracks.{form}"}
    table |= {"artist_separator": separator} if separator != ";" and form == "csv" else {}
    for option, kind in (("fields", "text"), ("images", "image"), ("audio", "sound")):
        table |= {option: chosen} if (chosen := {n: _column(n) for n, (k, _) in fields.items() if k == kind}) else {}
    vectors = {
        name: vector_columns(_column(name), size) if form == "csv" else [_column(name)]
        for name, (kind, size) in fields.items()
        if kind == "vector"
    }
    return {"tracks": table | ({"features": vectors} if vectors else {}), **_terms(catalogue, names, [*fields])}


def _column(name: str) -> str:
    """Return the column of a field, which must not have the name of another column."""
    return f"field_{name}" if name in (*NATIVE, "id", "track_id") else name


def _kind(catalogue: Catalogue, names: TrackNames, name: str) -> tuple[str, int]:
    """Return text, image, sound or vector, and the length of a vector, by the first value of a field."""
    for chunk in names.batches(BATCH):
        _, values = catalogue.field_values(name, [track for track, _ in chunk])
        if len(values):
            first = values[0]
            if isinstance(values, BlobValues):
                return ("image" if _suffix(values.path(0), IMAGES) else "sound"), 0
            return ("text", 0) if isinstance(first, str) else ("vector", len(first))
    return "text", 0


def _out(values: Sequence[object], kind: str, size: int, name: str, out: Path) -> Iterator[object]:
    """Yield the values of a field as cells. Files are copied to the folder `out/name`."""
    if not isinstance(values, BlobValues):
        for value in values:
            if kind == "vector" and len(np.atleast_1d(np.asarray(value))) != size:
                raise InputError(f"field {name!r} must have vectors of one length ({size}): remove the others")
            yield value.tolist() if isinstance(value, np.ndarray) else value
        return
    folder = out / name
    folder.mkdir(exist_ok=True)
    for place, key in enumerate(values.keys):
        source = values.path(place)
        suffix = _suffix(source, IMAGES if kind == "image" else SOUNDS) or ".bin"
        target = folder / f"{key[:32]}{suffix}"
        if not target.exists():
            shutil.copyfile(source, target)
        yield f"{name}/{target.name}"


def _suffix(path: Path, suffixes: dict[bytes, str]) -> str | None:
    """Return the suffix for the first bytes of a file, or None if they are unknown."""
    with path.open("rb") as file:
        start = file.read(12)
    if start.startswith(b"RIFF") and (start[8:12] == b"WEBP") is (suffixes is SOUNDS):
        return None
    return next((suffix for magic, suffix in suffixes.items() if start.startswith(magic)), None)


def _terms(catalogue: Catalogue, names: TrackNames, fields: Sequence[str]) -> dict[str, object]:
    """Return the source and the strictest terms of all values."""
    found = set(names.terms)
    found |= {(row["source"], row["train_allowed"]) for name in fields for row in catalogue.provenance(name)}
    allowed = {allowed for _, allowed in found}
    strictest = False if False in allowed else None if None in allowed or not allowed else True
    sources = "+".join(sorted({source for source, _ in found if source}))
    return ({"source": sources} if sources else {}) | ({} if strictest is None else {"train_allowed": strictest})

"""Export of a library field as Parquet or CSV, with the terms of the sources."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from collectors.engine.ledger import Ledger
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.files import replacing, write_json
from toolkit.terminal import cell

BATCH = 500
"""Tracks whose covers or clips are in memory at once."""
COLUMNS = ("id", "title", "artist", "value")

Columns = list[list[object]]
"""The values of some tracks, by `COLUMNS`."""
Write = Callable[[Columns], None]


def export(library: Catalogue, field: str, out: Path, *, source: str | None = None) -> int:
    """Write a table of a field with the columns `id`, `title`, `artist` and `value`, and return the number of rows.

    - field: a name, or a template such as `{title} {lyrics}`.
    - out: a `.parquet` or `.csv` file. A value is a string, float, list of float32 (JSON in CSV), or bytes (Parquet
      only). In CSV, texts that look like formulas are quoted by `terminal.cell`.
    - source: source of the exported values, by default all.

    Returns the number of rows. The sources' terms are in the Parquet schema's metadata under `segue`, or in
    `<name>.csv-metadata.json` next to the file (CSV on the Web, https://www.w3.org/TR/tabular-metadata).
    Raises `InputError` for an unknown field or ending, covers and audio in CSV, and a file that cannot be written.
    """
    opened = WRITERS.get(out.suffix.lower())
    if opened is None:
        raise InputError(f"{out} must end in {' or '.join(WRITERS)}: rename the file")
    terms = {row.source: row.columns() for row in Ledger(library).stored_terms()}
    origins = [{**row, "terms": terms.get(row["source"])} for row in library.provenance(field, source=source)]
    written = 0
    with ExitStack() as stack:
        try:
            part = stack.enter_context(replacing(out))
        except OSError as error:
            raise InputError(f"{out} must be writable ({error.strerror}): pass --out with a writable path") from None
        with opened(part, out, {"field": field, "sources": origins}) as write:
            for columns in _columns(library, field, source):
                write(columns)
                written += len(columns[0])
    return written


def _columns(library: Catalogue, field: str, source: str | None) -> Iterator[Columns]:
    track_ids = library.track_ids()
    for start in range(0, len(track_ids), BATCH):
        batch = track_ids[start : start + BATCH]
        present, values = library.field_values(field, batch, source=source)
        ids = [track_id for track_id, has in zip(batch, present, strict=True) if has]
        plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
        if ids:
            yield [[*ids], _optional(library, "title", ids), _optional(library, "artist", ids), plain]


def _optional(library: Catalogue, name: str, ids: list[str]) -> list[object]:
    """Return field values in track order, or None for tracks without a value."""
    present, values = library.field_values(name, ids)
    remaining = iter(values)
    return [next(remaining) if has else None for has in present]


@contextmanager
def _parquet(part: Path, out: Path, about: Mapping[str, object]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {b"segue": json.dumps(about, ensure_ascii=False).encode()}
    writer: pq.ParquetWriter | None = None

    def write(columns: Columns) -> None:
        nonlocal writer
        *names, values = columns
        value = pa.array(values, pa.list_(pa.float32())) if isinstance(values[0], list) else pa.array(values)
        table = pa.table([*(pa.array(column, pa.string()) for column in names), value], COLUMNS)
        writer = writer or pq.ParquetWriter(part, table.schema.with_metadata(metadata))
        writer.write_table(table.cast(writer.schema))

    try:
        yield write
        if writer is None:
            pq.write_table(pa.table({name: pa.array([], pa.string()) for name in COLUMNS}, metadata=metadata), part)
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _csv(part: Path, out: Path, about: Mapping[str, object]) -> Iterator[Write]:
    with part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        yield lambda columns: rows.writerows(
            map(cell, row) for row in zip(*columns[:-1], map(_text, columns[-1]), strict=True)
        )
    notes = {"@context": "http://www.w3.org/ns/csvw", "url": out.name, "notes": [about]}
    write_json(out.with_name(f"{out.name}-metadata.json"), notes)


def _text(value: object) -> object:
    if isinstance(value, bytes):
        raise InputError(f"a value of {len(value)} bytes cannot be written to CSV: pass --out NAME.parquet")
    return json.dumps(value) if isinstance(value, list) else value


WRITERS: dict[str, Callable[[Path, Path, Mapping[str, object]], AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
}

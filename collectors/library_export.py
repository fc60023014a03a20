"""A field of a library as a table: Parquet, or CSV. The sources' terms go with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from collectors.engine.ledger import Ledger
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.files import write_json

BATCH = 500
"""Tracks whose covers or clips are in memory at once."""
COLUMNS = ("id", "title", "artist", "value")

Columns = list[list[Any]]
"""The values of some tracks, by `COLUMNS`."""
Writer = Callable[[Columns], None]


def export(library: Catalogue, field: str, out: Path, *, source: str | None = None) -> int:
    """Write a field of all tracks that have it to `.parquet` or `.csv`: `id`, `title`, `artist`, `value`; how many rows.

    value: string, float, list of float32 (JSON in CSV), or bytes (Parquet alone). The sources' terms are in the schema's metadata under
    `segue`, or in `<name>.csv-metadata.json` beside the file (CSV on the Web, https://www.w3.org/TR/tabular-metadata).
    Raises `InputError` for an unknown field or ending, covers and audio in CSV, and where the file cannot be written.
    """
    form = FORMS.get(out.suffix.lower())
    if form is None:
        raise InputError(f"{out} must end in {' or '.join(FORMS)}, which says what is written")
    terms = {row["source"]: row for row in Ledger(library).terms()}
    origins = [{**row, "terms": terms.get(row["source"])} for row in library.provenance(field, source=source)]
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): give --out a file that can") from None
    written = 0
    try:
        with form(part, out, {"field": field, "sources": origins}) as write:
            for columns in _columns(library, field, source):
                write(columns)
                written += len(columns[0])
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return written


def _columns(library: Catalogue, field: str, source: str | None) -> Iterator[Columns]:
    ids = library.track_ids()
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        present, values = library.field_values(field, some, source=source)
        there = [one for one, has in zip(some, present, strict=True) if has]
        plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
        if there:
            yield [there, _names(library, "title", there), _names(library, "artist", there), plain]


def _names(library: Catalogue, name: str, ids: list[str]) -> list[str | None]:
    present, values = library.field_values(name, ids)
    given = iter(values)
    return [next(given) if there else None for there in present]


@contextmanager
def _parquet(part: Path, out: Path, about: dict[str, Any]) -> Iterator[Writer]:
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
            pq.write_table(
                pa.table([pa.array([], pa.string())] * len(COLUMNS), COLUMNS).replace_schema_metadata(metadata), part
            )
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _csv(part: Path, out: Path, about: dict[str, Any]) -> Iterator[Writer]:
    with part.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def write(columns: Columns) -> None:
            rows.writerows(zip(*columns[:-1], map(_text, columns[-1]), strict=True))

        yield write
    notes = {"@context": "http://www.w3.org/ns/csvw", "url": out.name, "notes": [about]}
    write_json(out.with_name(f"{out.name}-metadata.json"), notes)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        raise InputError("covers and audio are not text for a CSV file: give --out a name that ends in .parquet")
    return json.dumps(value) if isinstance(value, list) else value


FORMS: dict[str, Callable[[Path, Path, dict[str, Any]], AbstractContextManager[Writer]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
}

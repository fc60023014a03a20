"""Reports about the state, the coverage and the troubles of a library."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy import func, select

from collectors.engine.ledger import LEASE, LEDGER, Ledger, entries_of
from collectors.engine.outcomes import STATUSES
from collectors.engine.process_lock import is_running
from toolkit.catalogue.database_schema import TRACK_ARTISTS, TRACKS
from toolkit.catalogue.store import Catalogue
from toolkit.progress import duration
from toolkit.terminal import cell

COVERAGE = ("field", "source", "entity", "entities", *STATUSES, "share", "tracks", "tracks_share")
TERMS = ("source", "train_allowed", "licence", "attribution", "storage_bytes", "storage_days", "page")

Row = Mapping[str, object]
"""Cells by column."""


def coverage(library: Catalogue) -> list[Row]:
    """Return a row for each field and source, with the columns `COVERAGE`.

    - entities, and one column for each status: number of entities.
    - share: found entities as a share of all entities.
    - tracks: tracks with a value from the track, the album or an artist.
    - tracks_share: `tracks` as a share of all tracks.
    """
    ledger = Ledger(library)
    with ledger.transaction() as connection:
        n_tracks = connection.scalar(select(func.count()).select_from(TRACKS)) or 0
    rows: list[Row] = []
    counts = sorted(ledger.counts(), key=lambda count: (count.field, count.source, count.entity))
    for (field, source, entity), group in groupby(counts, key=lambda count: (count.field, count.source, count.entity)):
        by_status = dict.fromkeys(STATUSES, 0) | {count.status: count.n for count in group}
        total, tracks = sum(by_status.values()), _tracks_with(ledger, source, field, entity)
        shares = {
            "share": _share(by_status["found"], total),
            "tracks": tracks,
            "tracks_share": _share(tracks, n_tracks),
        }
        rows.append({"field": field, "source": source, "entity": entity, "entities": total, **by_status, **shares})
    return rows


def terms(library: Catalogue) -> list[Row]:
    """Return a row for each source that was ever used, with the columns `TERMS`."""
    return [row.columns() for row in Ledger(library).stored_terms()]


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return a Markdown table with shares in per cent."""
    numeric = [bool(rows) and isinstance(rows[0][column], int | float) for column in columns]
    lines = (
        "| " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
        *("| " + " | ".join(_cell(column, row[column]) for column in columns) + " |" for row in rows),
    )
    return "\n".join(lines)


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return a CSV table with shares as fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def status(library: Catalogue) -> list[str]:
    """Return lines about progress by source and field, pauses and running processes."""
    ledger = Ledger(library)
    lines = []
    for (source, name), group in groupby(ledger.counts(), key=lambda count: (count.source, count.field)):
        by_status = {count.status: count.n for count in group}
        total = sum(by_status.values())
        closed = total - by_status.get("pending", 0) - by_status.get("blocked", 0)
        outcomes = ", ".join(f"{by_status[status]:,} {status}" for status in STATUSES if status in by_status)
        lines.append(f"{source:<18} {name:<18} {closed:,}/{total:,} ({100 * closed // max(total, 1)} %)  {outcomes}")
    now = time.time()
    lines += [
        f"{row.source} accepts no requests for another {duration(row.not_before - now)}"
        for row in ledger.stored_terms()
        if row.not_before is not None and row.not_before > now
    ]
    if not lines:
        return ["nothing has been collected yet: run `segue collect` with a recipe, or with --library and --source"]
    return lines + [
        _process(owner, is_running(library, owner), until - now) for owner, until in ledger.owners().items()
    ]


def _process(owner: str, running: bool | None, lease: float) -> str:
    """Return a line about a process; `lease` is the time in seconds until its claims end."""
    if running:
        return f"at work: {owner}"
    if running is None and lease > 0:
        return f"at work elsewhere, or cut off there less than {duration(LEASE)} ago: {owner}"
    return f"cut off: {owner}; the next run takes its work over"


def troubles(library: Catalogue, limit: int = 10) -> list[str]:
    """Return the most frequent reasons why entries failed, are blocked or wait."""
    ledger = Ledger(library)
    columns = (LEDGER.c.source, LEDGER.c.field, LEDGER.c.status, LEDGER.c.note)
    open_ = (LEDGER.c.status.in_(("failed", "blocked", "pending")), LEDGER.c.note.is_not(None))
    query = select(*columns, func.count().label("n")).where(*open_).group_by(*columns)
    with ledger.transaction() as connection:
        rows = connection.execute(query.order_by(func.count().desc()).limit(limit)).all()
    return [f"{row.n:,} {row.status} of {row.source} {row.field}: {row.note}" for row in rows]


def _tracks_with(ledger: Ledger, source: str, field: str, entity: str) -> int:
    """Return the number of tracks with a value of the field."""
    found = (entries_of(source, [field], entity), LEDGER.c.status == "found")
    query = select(func.count()).select_from(LEDGER)
    if entity == "album":
        query = select(func.count()).select_from(TRACKS.join(LEDGER, LEDGER.c.entity_id == TRACKS.c.album_id))
    elif entity == "artist":
        credits = TRACK_ARTISTS.join(LEDGER, LEDGER.c.entity_id == TRACK_ARTISTS.c.artist_id)
        query = select(func.count(TRACK_ARTISTS.c.track_id.distinct())).select_from(credits)
    with ledger.transaction() as connection:
        return connection.scalar(query.where(*found)) or 0


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _cell(column: str, value: object) -> str:
    if value is None:
        return "–"
    if column.endswith("share"):
        return f"{100 * value:.1f} %" if isinstance(value, float) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")

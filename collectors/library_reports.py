"""What a library holds: its state, its coverage as a table, and its terms."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import func, select

from collectors.engine.ledger import LEASE, Ledger
from collectors.engine.ledger_tables import LEDGER
from collectors.engine.outcomes import STATUSES
from collectors.engine.process_lock import living
from toolkit.catalogue.database_schema import TRACK_ARTISTS, TRACKS
from toolkit.catalogue.store import Catalogue
from toolkit.progress import duration

COVERAGE = ("field", "source", "entity", "entities", *STATUSES, "share", "tracks", "tracks_share")


def coverage(library: Catalogue) -> list[dict[str, Any]]:
    """A row a field and source: entities by outcome, the share found, and the tracks that this reaches.

    share: of the entities. tracks: with a value of their own, of their album, or of an artist. tracks_share: of all tracks.
    """
    ledger = Ledger(library)
    with ledger.transaction() as connection:
        tracks = connection.scalar(select(func.count()).select_from(TRACKS)) or 0
    rows = []
    for (source, name, entity), group in groupby(
        ledger.counts(), key=lambda row: (row["source"], row["field"], row["entity"])
    ):
        by_status = {row["status"]: row["n"] for row in group}
        total, found = sum(by_status.values()), by_status.get("found", 0)
        reached = _reached(ledger, source, name, entity)
        counts: dict[str, int] = {str(status): by_status.get(status, 0) for status in STATUSES}
        shares: dict[str, Any] = {
            "share": _share(found, total),
            "tracks": reached,
            "tracks_share": _share(reached, tracks),
        }
        rows.append({"field": name, "source": source, "entity": entity, "entities": total, **counts, **shares})
    return sorted(rows, key=lambda row: (row["field"], row["source"]))


def markdown(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """A Markdown table; shares as per cent."""
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |"]
    lines.append(
        "|"
        + "|".join("---:" if rows and isinstance(rows[0][column], int | float) else "---" for column in columns)
        + "|"
    )
    lines += ["| " + " | ".join(_cell(column, row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """The same as CSV; shares as they are."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def status(library: Catalogue) -> list[str]:
    """Lines that say how far collecting is, of every source and field, and what stands in its way."""
    ledger = Ledger(library)
    lines = []
    for (source, name), group in groupby(ledger.counts(), key=lambda row: (row["source"], row["field"])):
        by_status = {row["status"]: row["n"] for row in group}
        total = sum(by_status.values())
        open_ = by_status.get("pending", 0) + by_status.get("blocked", 0)
        said = ", ".join(f"{by_status[one]:,} {one}" for one in STATUSES if one in by_status)
        lines.append(
            f"{source:<18} {name:<18} {total - open_:,}/{total:,} ({100 * (total - open_) // max(total, 1)} %)  {said}"
        )
    now = time.time()
    lines += [
        f"{row['source']} asked to be left alone for another {duration(row['not_before'] - now)}"
        for row in ledger.terms()
        if (row["not_before"] or 0) > now
    ]
    if not lines:
        return ["nothing was asked for yet: `segue collect` with a recipe, or with --library and --source"]
    return lines + [_at_work(owner, living(library, owner), until - now) for owner, until in ledger.owners().items()]


def _at_work(owner: str, lives: bool | None, lease: float) -> str:
    """lease: seconds that its claims still last, which a process renews while it lives."""
    if lives:
        return f"at work: {owner}"
    if lives is None and lease > 0:
        return f"at work elsewhere, or cut off there less than {duration(LEASE)} ago: {owner}"
    return f"cut off: {owner}; the next run takes its work over"


def troubles(library: Catalogue, most: int = 10) -> list[str]:
    """The commonest reasons of what failed, is blocked, or waits."""
    ledger = Ledger(library)
    columns = (LEDGER.c.source, LEDGER.c.field, LEDGER.c.status, LEDGER.c.note)
    with ledger.transaction() as connection:
        query = select(*columns, func.count().label("n")).where(
            LEDGER.c.status.in_(("failed", "blocked", "pending")), LEDGER.c.note.is_not(None)
        )
        rows = connection.execute(query.group_by(*columns).order_by(func.count().desc()).limit(most)).all()
    return [f"{row.n:,} {row.status} of {row.source} {row.field}: {row.note}" for row in rows]


def _reached(ledger: Ledger, source: str, field: str, entity: str) -> int:
    found = (LEDGER.c.source == source, LEDGER.c.field == field, LEDGER.c.entity == entity, LEDGER.c.status == "found")
    if entity == "track":
        query = select(func.count()).where(*found)
    elif entity == "album":
        query = (
            select(func.count()).select_from(TRACKS.join(LEDGER, LEDGER.c.entity_id == TRACKS.c.album_id)).where(*found)
        )
    else:
        joined = TRACK_ARTISTS.join(LEDGER, LEDGER.c.entity_id == TRACK_ARTISTS.c.artist_id)
        query = select(func.count(TRACK_ARTISTS.c.track_id.distinct())).select_from(joined).where(*found)
    with ledger.transaction() as connection:
        return connection.scalar(query) or 0


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "–"
    if column.endswith("share"):
        return f"{100 * value:.1f} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")

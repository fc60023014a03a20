"""Terms and pauses of the sources that a library was filled from."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select, update

from collectors.engine.ledger import Ledger
from collectors.engine.ledger_tables import SOURCES
from collectors.source import Source, Terms
from toolkit.catalogue.database_schema import upsert


class StoredTerms(NamedTuple):
    """A row of `SOURCES`: a source's name, the end of the pause it asked for (seconds since 1970), and its terms."""

    source: str
    not_before: float | None
    train_allowed: bool | None
    licence: str
    page: str
    attribution: str
    storage_bytes: int | None
    storage_days: float | None


def register(ledger: Ledger, source: Source) -> float:
    """Store a source's terms. Returns the end of its pause, in seconds since 1970; 0 without a pause."""
    row = {name: getattr(source.terms, name) for name in Terms.__slots__}
    with ledger.transaction() as connection:
        upsert(connection, SOURCES, [{"source": source.name, "not_before": None, **row}], merge=True)
        return connection.scalar(select(SOURCES.c.not_before).where(SOURCES.c.source == source.name)) or 0.0


def pause(ledger: Ledger, source: str, until: float) -> None:
    """Store until when this process and later ones must not send requests to a source."""
    with ledger.transaction() as connection:
        connection.execute(update(SOURCES).where(SOURCES.c.source == source).values(not_before=until))


def stored_terms(ledger: Ledger) -> list[StoredTerms]:
    """Terms of every source that was ever used, sorted by name."""
    with ledger.transaction() as connection:
        return [StoredTerms(*row) for row in connection.execute(select(SOURCES).order_by(SOURCES.c.source))]

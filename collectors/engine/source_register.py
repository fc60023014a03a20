"""Terms and pauses of the sources that a library was filled from."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import select, update

from collectors.engine.ledger import SOURCES, Ledger
from collectors.source import Source, Terms
from toolkit.catalogue.database_schema import upsert


class StoredTerms(NamedTuple):
    """A source's name, the end of its pause in seconds since 1970, and its terms."""

    source: str
    not_before: float | None
    terms: Terms

    def columns(self) -> dict[str, object]:
        """The row of `SOURCES`, by column."""
        return {"source": self.source, "not_before": self.not_before, **asdict(self.terms)}


def register(ledger: Ledger, source: Source) -> float:
    """Store a source's terms. Returns the end of its pause, in seconds since 1970; 0 without a pause."""
    with ledger.transaction() as connection:
        upsert(connection, SOURCES, [StoredTerms(source.name, None, source.terms).columns()], merge=True)
        return connection.scalar(select(SOURCES.c.not_before).where(SOURCES.c.source == source.name)) or 0.0


def pause(ledger: Ledger, source: str, until: float) -> None:
    """Store until when this process and later ones must not send requests to a source."""
    with ledger.transaction() as connection:
        connection.execute(update(SOURCES).where(SOURCES.c.source == source).values(not_before=until))


def stored_terms(ledger: Ledger) -> list[StoredTerms]:
    """Terms of every source that was ever used, sorted by name."""
    with ledger.transaction() as connection:
        rows = connection.execute(select(SOURCES).order_by(SOURCES.c.source))
        return [StoredTerms(source, not_before, Terms(*terms)) for source, not_before, *terms in rows]

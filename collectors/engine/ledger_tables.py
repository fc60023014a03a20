"""Tables that `segue collect` adds to the catalogue's database."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, Table, Text

METADATA = MetaData()

LEDGER = Table(
    "collected",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    # pending, found, absent, ambiguous, blocked or failed
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # when it is due, or the end of a claim; null: it is not requested again
    Column("next_try", Float),
    Column("owner", Text),
    Column("http_status", Integer),
    Column("match_score", Float),
    Column("payload", Text),
    Column("note", Text),
    Column("time", Float),
    Index("ix_collected_due", "source", "field", "next_try", "entity_id"),
    Index("ix_collected_status", "source", "field", "entity", "status"),
    Index("ix_collected_owner", "owner"),
)
"""One row for each track, album or artist, field and source."""

APART = Table(
    "collected_apart",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("entity_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("match_score", Float, nullable=False),
    Column("time", Float, nullable=False),
)
"""Values that may belong to another entity. No encoder reads them."""

SOURCES = Table(
    "collected_sources",
    METADATA,
    Column("source", Text, primary_key=True),
    # end of the pause that the host demands
    Column("not_before", Float),
    Column("train_allowed", Boolean),
    Column("licence", Text),
    Column("page", Text),
    Column("attribution", Text),
    Column("storage_bytes", Integer),
    Column("storage_days", Float),
)
"""Terms and pauses of all sources that were ever used, for a machine without their plug-ins."""

IMPORTS = Table(
    "collected_imports", METADATA, Column("key", Text, primary_key=True), Column("time", Float, nullable=False)
)
"""Catalogues that were copied into this one."""

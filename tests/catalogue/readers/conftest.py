"""Fixtures for the reader tests, with small files in every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord


@pytest.fixture
def files() -> Path:
    return Path(__file__).parents[2] / "fixtures" / "readers"


@pytest.fixture
def sorted_out():
    """Return a function that splits records into tracks by id and playlists in order."""

    def split(records: list[Record]) -> tuple[dict[str, TrackRecord], list[PlaylistRecord]]:
        tracks = {record.id: record for record in records if isinstance(record, TrackRecord)}
        return tracks, [record for record in records if isinstance(record, PlaylistRecord)]

    return split

"""Where the readers' fixtures are: small files in each format's own schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord


@pytest.fixture
def files() -> Path:
    return Path(__file__).parents[2] / "fixtures" / "readers"


@pytest.fixture
def sorted_out():
    """Records as (tracks by id, playlists in order)."""

    def split(records: list[Record]) -> tuple[dict[str, TrackRecord], list[PlaylistRecord]]:
        tracks = {record.id: record for record in records if isinstance(record, TrackRecord)}
        return tracks, [record for record in records if isinstance(record, PlaylistRecord)]

    return split

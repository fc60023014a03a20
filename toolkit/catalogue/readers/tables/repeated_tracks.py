"""Handling of repeated track rows in a table."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.catalogue.readers.reader import Tally
from toolkit.catalogue.records import TrackRecord


class FirstRows:
    """Filter that keeps the first row of each track and reports later rows with different values."""

    def __init__(self, doubles: Tally) -> None:
        self._doubles = doubles
        self._hashes: dict[str, int] = {}

    def __call__(self, record: TrackRecord | None, where: str) -> Iterator[TrackRecord]:
        """Yield the record if the track is new."""
        if record is None:
            return
        content = _content_hash(record)
        if record.id not in self._hashes:
            self._hashes[record.id] = content
            yield record
        elif self._hashes[record.id] != content:
            self._doubles.add(f"{where}: track {record.id!r} came before with other values: the first ones stay")


def _content_hash(record: TrackRecord) -> int:
    """Return a hash of the values of a record."""
    fields = {
        name: tuple(field.value) if isinstance(field.value, list) else field.value
        for name, field in record.fields.items()
    }
    names = (record.title, record.artists, record.artist_ids, record.album, record.album_id, record.duration_s)
    return hash((*names, frozenset(fields.items())))

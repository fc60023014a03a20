"""Tracks that a table describes twice."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.catalogue.readers.reader import Tally
from toolkit.catalogue.records import TrackRecord


class FirstRows:
    """Of a track that a table describes more than once the first row counts; another that says otherwise is told of."""

    def __init__(self, doubles: Tally) -> None:
        self._doubles = doubles
        self._said: dict[str, int] = {}

    def __call__(self, record: TrackRecord | None, where: str) -> Iterator[TrackRecord]:
        """The record where its track is new."""
        if record is None:
            return
        said = _said(record)
        if record.id not in self._said:
            self._said[record.id] = said
            yield record
        elif self._said[record.id] != said:
            self._doubles.add(f"{where}: track {record.id!r} came before with other words: the first stay")


def _said(record: TrackRecord) -> int:
    """A number that two records share where they say the same."""
    fields = {
        name: tuple(field.value) if isinstance(field.value, list) else field.value
        for name, field in record.fields.items()
    }
    names = (record.title, record.artists, record.artist_ids, record.album, record.album_id, record.duration_s)
    return hash((*names, frozenset(fields.items())))

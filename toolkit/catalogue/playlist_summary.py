"""Counts of a playlist file from one pass without a catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.timestamps import LAST, NO_TIME, to_iso

EVERY = 1000  # records between two calls of `progress`


@dataclass
class Summary:
    """Counts of one file, with memory for one entry per track and playlist.

    - lengths: number of playlists by length.
    - described: fields of each track, as bits in the order of `names`.
    - fields: number of tracks with each field, by (field, source, train_allowed) of the first record that has it.
    """

    described: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)
    lengths: Counter[int] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    fields: Counter[tuple[str, str, bool | None]] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)
    titled: int = 0
    ids: set[str] = field(default_factory=set)
    repeated: int = 0
    timed: int = 0
    earliest: int = LAST
    latest: int = NO_TIME

    def track(self, record: TrackRecord) -> None:
        own = {"title": record.title, "artist": record.artists, "album": record.album, "duration": record.duration_s}
        keys: list[tuple[str, str, bool | None]] = [(name, "", None) for name, value in own.items() if value]
        keys += [(name, value.source, value.train_allowed) for name, value in record.fields.items()]
        known = self.described.get(record.id, 0)
        for key in keys:
            bit = 1 << self.names.setdefault(key[0], len(self.names))
            if not known & bit:
                self.fields[key] += 1
            known |= bit
        self.described[record.id] = known

    def playlist(self, record: PlaylistRecord) -> None:
        self.repeated += record.id in self.ids
        self.ids.add(record.id)
        self.placed.update(record.tracks)
        self.lengths[len(record.tracks)] += 1
        self.titled += bool(record.title)
        if record.split:
            self.splits[record.split] += 1
        if record.group:
            self.groups.add(record.group)
        if times := [time for time in record.times or [record.time] if time != NO_TIME]:
            self.timed += 1
            self.earliest, self.latest = min(self.earliest, *times), max(self.latest, *times)

    def quantile(self, share: float) -> int:
        """Return the smallest length that `share` of the playlists do not exceed, or 0 without playlists."""
        target, seen = share * self.lengths.total(), 0
        for length, count in sorted(self.lengths.items()):
            seen += count
            if seen >= target:
                return length
        return 0

    def facts(self) -> dict[str, Any]:
        """Return the counts by name for JSON."""
        playlists, tracks = self.lengths.total(), self.described.keys() | self.placed
        placements = sum(length * count for length, count in self.lengths.items())
        return {
            "playlists": playlists,
            # in a run, a playlist whose id came before is a bad record
            "repeated_ids": self.repeated,
            "placements": placements,
            "tracks": len(tracks),
            "sparsity": sparsity(playlists, len(tracks), placements),
            "tracks_placed": len(self.placed),
            "tracks_described": len(self.described),
            "mean_length": round(placements / playlists, 2) if playlists else 0.0,
            "lengths": {
                name: self.quantile(share)
                for name, share in (("min", 0), ("q25", 0.25), ("median", 0.5), ("q75", 0.75), ("max", 1))
            },
            "titled_playlists": self.titled,
            "groups": len(self.groups),
            "splits": dict(self.splits),
            "times": {"first": to_iso(self.earliest), "last": to_iso(self.latest), "playlists": self.timed}
            if self.timed
            else None,
            "fields": [
                {
                    "field": name,
                    "source": source,
                    "train_allowed": allowed,
                    "tracks": count,
                    "coverage": round(count / len(tracks), 4),
                }
                for (name, source, allowed), count in sorted(self.fields.items(), key=lambda item: item[0][:2])
            ],
        }


def sparsity(playlists: int, tracks: int, placements: int) -> float | None:
    """Return the share of empty cells in the matrix of playlists and tracks, or None without cells."""
    cells = playlists * tracks
    return round(1 - placements / cells, 8) if cells else None


def summarise(reader: Reader, *, progress: Callable[[int], None] | None = None) -> Summary:
    """Count the records of `reader`. Raises the `DataError` of the reader."""
    summary = Summary()
    for done, record in enumerate(reader.read(), start=1):
        if isinstance(record, TrackRecord):
            summary.track(record)
        else:
            summary.playlist(record)
        if progress is not None and done % EVERY == 0:
            progress(done)
    return summary

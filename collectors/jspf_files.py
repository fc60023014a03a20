"""Writer of playlists as JSPF files (https://www.xspf.org/jspf) for `reader: jspf`.

A playlist whose file exists is not fetched again, so an interrupted command resumes where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.files import write_bytes

RECORDING = "https://musicbrainz.org/recording/"


class JspfTrack(msgspec.Struct, omit_defaults=True):
    """JSPF track with URLs or ids as `identifier` and `duration` in milliseconds."""

    identifier: list[str] | str = []
    title: str | None = None
    creator: str | None = None
    album: str | None = None
    duration: float | None = None


class JspfPlaylist(msgspec.Struct, omit_defaults=True, kw_only=True):
    identifier: str
    title: str | None = None
    annotation: str | None = None
    track: list[JspfTrack]


def path_of(folder: Path, playlist_id: str) -> Path:
    """Return the path for a playlist, whose name is the id without special characters."""
    return folder / (re.sub(r"[^A-Za-z0-9_-]", "_", playlist_id)[:200] + ".jspf")


def save(records: Iterable[Record], folder: Path) -> int:
    """Write a file for each playlist record, which must follow its tracks, and return the number of files."""
    tracks: dict[str, TrackRecord] = {}
    written = 0
    for record in records:
        if isinstance(record, TrackRecord):
            tracks[record.id] = record
            continue
        write_bytes(path_of(folder, record.id), encode(record, tracks))
        written += 1
        tracks.clear()
    return written


def encode(playlist: PlaylistRecord, tracks: dict[str, TrackRecord]) -> bytes:
    """Return a playlist as JSPF; `tracks` are known track records by id."""
    rows = [_track(track_id, tracks.get(track_id)) for track_id in playlist.tracks]
    jspf = JspfPlaylist(identifier=playlist.id, title=playlist.title, annotation=playlist.description, track=rows)
    return msgspec.json.format(msgspec.json.encode({"playlist": jspf}), indent=1)


def _track(track_id: str, track: TrackRecord | None) -> JspfTrack:
    identifier = RECORDING + track_id.removeprefix("mbid:") if track_id.startswith("mbid:") else track_id
    if track is None:
        return JspfTrack([identifier])
    length = round(1000 * track.duration_s) if track.duration_s else None
    return JspfTrack([identifier], track.title, ", ".join(track.artists) or None, track.album, length)

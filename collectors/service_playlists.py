"""Playlists of a service as JSPF files that `reader: jspf` reads, one file a playlist; the rest of a library is about their tracks.

A playlist whose file is there is not asked for again, so that a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from collectors.engine import host_limits
from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import host_of, user_agent
from collectors.engine.http_client import Client
from collectors.source import Host, Http, Rate, RateLimited, Reply, SourceParams, Transient, Trouble
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.errors import SegueError
from toolkit.files import write_bytes

ENDING = ".jspf"
ATTEMPTS = 6
LONGEST_PAUSE = 120.0
RECORDING = "https://musicbrainz.org/recording/"


def file_of(folder: Path, playlist_id: str) -> Path:
    """The playlist's file: its id with nothing in it that leads anywhere."""
    return folder / (re.sub(r"[^A-Za-z0-9_-]", "_", playlist_id)[:200] + ENDING)


def save(records: Iterable[Record], folder: Path) -> int:
    """Write every playlist, which comes after its tracks; how many."""
    tracks: dict[str, TrackRecord] = {}
    written = 0
    for record in records:
        if isinstance(record, TrackRecord):
            tracks[record.id] = record
            continue
        write_bytes(file_of(folder, record.id), jspf(record, tracks))
        written += 1
        tracks.clear()
    return written


def jspf(playlist: PlaylistRecord, tracks: dict[str, TrackRecord]) -> bytes:
    """A playlist in JSPF (https://www.xspf.org/jspf). tracks: what is known of its tracks, by id."""
    named = [_element(track, tracks.get(track)) for track in playlist.tracks]
    told = {"identifier": playlist.id, "title": playlist.title, "annotation": playlist.description, "track": named}
    document = {"playlist": {name: value for name, value in told.items() if value is not None}}
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _element(track_id: str, track: TrackRecord | None) -> dict[str, Any]:
    identifier = RECORDING + track_id.removeprefix("mbid:") if track_id.startswith("mbid:") else track_id
    about = {"identifier": [identifier]}
    if track is None:
        return about
    length = round(1000 * track.duration_s) if track.duration_s else None
    more = {"title": track.title, "creator": ", ".join(track.artists) or None, "album": track.album, "duration": length}
    return about | {name: value for name, value in more.items() if value is not None}


@contextmanager
def asking(host: Host, params: SourceParams, contact: str) -> Iterator[Http]:
    """An `Http` to one host at its pace that waits and asks again by itself. Raises `SegueError` for what goes wrong for good."""
    url: str = getattr(params, host.url)
    rates = (Rate(1, 1 / params.per_second),) if params.per_second else host.rates
    limit = HostLimit(
        host_of(url), rates, host.concurrency, root=host_limits.folder(), stop=threading.Event(), patience=LONGEST_PAUSE
    )
    client = Client(lambda _: limit, user_agent(contact))
    try:
        yield Patient(client, limit)
    except Trouble as error:
        raise SegueError(f"{error}: what is written so far stays, the same command goes on") from None
    finally:
        client.close()
        limit.close()


class Patient:
    """`Http` that asks again what may go well later, and pauses when the host says that no requests are left."""

    def __init__(self, client: Client, limit: HostLimit) -> None:
        self._client = client
        self._limit = limit
        self.slot, self.session = client.slot, client.session

    def get(self, *args: Any, **more: Any) -> Reply:
        return self._again(lambda: _whole(self._client.get(*args, **more), more))

    def post(self, *args: Any, **more: Any) -> Reply:
        return self._again(lambda: _whole(self._client.post(*args, **more), more))

    def _again(self, ask: Callable[[], Reply]) -> Reply:
        for attempt in range(ATTEMPTS):
            try:
                reply = ask()
                break
            except (RateLimited, Transient) as error:
                # a refusal has told the limit how long to wait
                if attempt + 1 == ATTEMPTS or (
                    isinstance(error, RateLimited) and (error.retry_after or 0.0) > LONGEST_PAUSE
                ):
                    raise
                if isinstance(error, Transient):
                    self._limit.pause(0.5 * 2**attempt)
        left, seconds = reply.headers.get("X-RateLimit-Remaining"), reply.headers.get("X-RateLimit-Reset-In", "")
        if left == "0" and seconds.isdigit():
            self._limit.pause(min(float(seconds), LONGEST_PAUSE))
        return reply


def _whole(reply: Reply, asked: dict[str, Any]) -> Reply:
    """The reply, decoded once here so that a body cut off is asked for again. Raises `Transient`."""
    if asked.get("expect", "json") == "json" and reply.status == 200:
        reply.json()
    return reply

"""Public playlists of ListenBrainz users, whose tracks are MusicBrainz recordings.

Page: https://listenbrainz.readthedocs.io/en/latest/users/api/playlist.html. Rate: headers of the answers give the
requests left in a window; two a second are our choice. Licence: CC0 (https://listenbrainz.org/terms-of-service/).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

import msgspec

from collectors.engine.json_conversion import decode
from collectors.jspf_files import JspfPlaylist, JspfTrack
from collectors.source import Host, Http, Rate, SourceParams
from toolkit.catalogue.readers.ids import by_name, recognised
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord
from toolkit.errors import InputError

NAME = "listenbrainz"
PAGE = 100
MAX_PLAYLISTS = 100_000
"""Maximum number of listed playlists of a user, whatever count the service returns."""
HOST = Host("url", (Rate(2, 1.0),), concurrency=1)
_PLAYLIST = re.compile(
    r"https?://(?:[a-z]+\.)?listenbrainz\.org/playlist/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/?"
)


class ListenBrainzParams(SourceParams):
    url: str = "https://api.listenbrainz.org"


class Track(JspfTrack):
    @property
    def id(self) -> str | None:
        """Return the recording id, or an id derived from the name, or None for a track with neither."""
        identifiers = [self.identifier] if isinstance(self.identifier, str) else self.identifier
        known = next(filter(None, map(recognised, identifiers)), None)
        return known or (by_name(self.title, self.creator) if self.title else None)


class Playlist(JspfPlaylist, kw_only=True):
    track: list[Track] = []  # type: ignore[assignment]

    @property
    def mbid(self) -> str | None:
        match = _PLAYLIST.fullmatch(self.identifier)
        return match[1] if match else None


class PlaylistReply(msgspec.Struct):
    playlist: Playlist


class Listing(msgspec.Struct):
    playlist_count: int
    playlists: list[PlaylistReply]


class ListenBrainz:
    """Client for a ListenBrainz server; `have` returns whether a playlist id can be skipped."""

    def __init__(
        self, http: Http, params: ListenBrainzParams | None = None, *, have: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.http = http
        self.url: str = (params or ListenBrainzParams()).url
        self.have = have

    def of_users(self, users: Sequence[str], *, made_for: bool = False) -> Iterator[Record]:
        """Yield all public playlists by users, or with `made_for` for users, each after its tracks.

        Raises `InputError` for an unknown user.
        """
        for user in users:
            path = f"/1/user/{quote(user, safe='')}/playlists{'/createdfor' if made_for else ''}"
            seen, total = 0, 1
            while seen < total:
                reply = self.http.get(f"{self.url}{path}", {"count": PAGE, "offset": seen})
                if reply.status == 404:
                    raise InputError(
                        f"ListenBrainz has no user {user!r}: copy the name, which is case-sensitive, from the user page"
                    )
                listing = decode(reply, Listing, service=NAME)
                mbids = [row.playlist.mbid for row in listing.playlists]
                yield from self.of_ids([mbid for mbid in mbids if mbid], gone="ignore")
                # an empty page ends a list that has become shorter since it was counted
                seen, total = seen + len(mbids), min(listing.playlist_count, MAX_PLAYLISTS) if mbids else 0

    def of_ids(self, mbids: Sequence[str], *, gone: str = "refuse") -> Iterator[Record]:
        """Yield playlists by id, each after its tracks.

        `gone` sets whether to `ignore` a missing playlist or to `refuse` it with `InputError`.
        """
        for mbid in mbids:
            if self.have(f"{NAME}:{mbid}"):
                continue
            reply = self.http.get(f"{self.url}/1/playlist/{quote(mbid, safe='')}")
            if reply.status != 404:
                yield from _records(mbid, decode(reply, PlaylistReply, service=NAME).playlist)
            elif gone == "refuse":
                raise InputError(f"ListenBrainz has no public playlist {mbid!r}: copy the id of a public playlist")


def _records(mbid: str, playlist: Playlist) -> Iterator[Record]:
    ids = []
    for track in playlist.track:
        if (key := track.id) is not None:
            artists = (track.creator,) if track.creator else ()
            length = track.duration / 1000 if track.duration else None
            yield TrackRecord(key, track.title, artists, (), track.album, None, length, source=NAME, train_allowed=True)
            ids.append(key)
    if ids:
        yield PlaylistRecord(f"{NAME}:{mbid}", ids, playlist.title, playlist.annotation)

"""Playlists owned by a Spotify user, the only playlists whose tracks are visible since February 2026."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import spotipy

from collectors.engine.json_conversion import convert
from collectors.source import Http
from collectors.sources.clients.spotify_api import SpotifyApi
from collectors.sources.spotify import Linked, Spotify, Track
from toolkit.catalogue.records import PlaylistRecord, Record, TrackRecord

PAGE = 50


class Listed(msgspec.Struct):
    id: str
    name: str
    owner: Linked
    description: str | None = None


def playlists(
    secrets: Mapping[str, str],
    http: Http,
    params: Spotify.Params | None = None,
    *,
    have: Callable[[str], bool] = lambda _: False,
) -> Iterator[Record]:
    """Yield playlists of the user, each after its tracks, without local files and episodes.

    - secrets: keys by name in `collectors.sources.clients.spotify_api`.
    - have: function that returns whether a playlist id (`spotify:playlist:…`) can be skipped.

    Raises `InputError` if `SPOTIFY_REFRESH_TOKEN` is missing or rejected.
    """
    servers = params or Spotify.Params()
    api = SpotifyApi(secrets, api_url=servers.api_url, accounts_url=servers.accounts_url, user=True)
    me = convert(api.call(http, lambda client: client.me())[0], Linked, "Spotify")
    for row in api.items(http, lambda client, offset: client.current_user_playlists(limit=PAGE, offset=offset)):
        listed = convert(row, Listed, "Spotify")
        if listed.owner.id != me.id or have(f"spotify:playlist:{listed.id}"):
            continue
        # apps in extended mode still get the name `track`
        items = [row.get("item") or row.get("track") for row in api.items(http, _items_of(listed.id))]
        tracks = [
            convert(item, Track, "Spotify")
            for item in items
            if isinstance(item, dict) and item.get("id") and item.get("type") == "track"
        ]
        yield from map(_record, tracks)
        ids = [f"spotify:track:{track.id}" for track in tracks]
        yield PlaylistRecord(
            f"spotify:playlist:{listed.id}", ids, title=listed.name, description=listed.description or None
        )


def _items_of(playlist_id: str) -> Callable[[spotipy.Spotify, int], object]:
    return lambda client, offset: client.playlist_items(
        playlist_id, limit=PAGE, offset=offset, additional_types=("track",)
    )


def _record(track: Track) -> TrackRecord:
    album = track.album
    return TrackRecord(
        f"spotify:track:{track.id}",
        title=track.name,
        artists=track.names,
        artist_ids=tuple(f"spotify:artist:{artist.id}" for artist in track.artists),
        album=album.name if album else None,
        album_id=f"spotify:album:{album.id}" if album and album.id else None,
        duration_s=track.duration_ms / 1000,
        source=Spotify.name,
        train_allowed=Spotify.terms.train_allowed,
    )

"""Playlists that a Spotify user owns: since February 2026 an app in development mode is shown the tracks of no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import spotipy

from collectors.engine.response_shapes import told
from collectors.source import Http
from collectors.sources.clients.spotify_api import SpotifyApi
from collectors.sources.spotify import Linked, Spotify, SpotifyParams, Track
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
    params: SpotifyParams | None = None,
    *,
    have: Callable[[str], bool] = lambda _: False,
) -> Iterator[Record]:
    """Playlists of the user of `SPOTIFY_REFRESH_TOKEN`, each after its tracks, in their order; local files and episodes left out.

    secrets: by the names in `collectors.sources.clients.spotify_api`. have: whether a playlist of this id (`spotify:playlist:…`) is there
    already and need not be asked for. Raises `InputError` without the token or where Spotify refuses it.
    """
    where = params or SpotifyParams()
    api = SpotifyApi(secrets, api_url=where.api_url, accounts_url=where.accounts_url, user=True)
    me = told(api.ask(http, lambda client: client.me())[0], Linked, "Spotify")
    for row in api.pages(http, lambda client, place: client.current_user_playlists(limit=PAGE, offset=place)):
        listed = told(row, Listed, "Spotify")
        if listed.owner.id != me.id or have(f"spotify:playlist:{listed.id}"):
            continue
        # `track` is the name that apps in extended mode still see
        items = [item.get("item") or item.get("track") or {} for item in api.pages(http, partial(_items, listed.id))]
        tracks = [told(item, Track, "Spotify") for item in items if item.get("id") and item.get("type") == "track"]
        yield from map(_record, tracks)
        ids = [f"spotify:track:{track.id}" for track in tracks]
        yield PlaylistRecord(
            f"spotify:playlist:{listed.id}", ids, title=listed.name, description=listed.description or None
        )


def _items(key: str, client: spotipy.Spotify, place: int) -> Any:
    return client.playlist_items(key, limit=PAGE, offset=place, additional_types=("track",))


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

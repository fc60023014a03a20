"""Artists, albums and tracks of the demo catalogue with their tastes, styles and popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.random_streams import Streams

ALBUM_SIZES = np.array([1, 2, 3, 4, 5, 6])
ALBUM_ODDS = np.array([0.25, 0.2, 0.2, 0.15, 0.1, 0.1])


@dataclass(frozen=True)
class World:
    """Latent variables of A artists, B albums, V tracks (indices from 0) and K tastes.

    - artist_taste [A, K], taste [V, K]: rows sum to 1.
    - artist_style [A], style [V]: 0 (hushed) … 1 (driving), the same axis for every taste.
    - popularity [V]: sums to 1. new [V]: released after the training playlists were made.
    - track_artist [V], track_album [V], album_artist [B]: indices; tracks are in the order of albums.
    """

    artist_taste: np.ndarray
    artist_style: np.ndarray
    track_artist: np.ndarray
    track_album: np.ndarray
    album_artist: np.ndarray
    taste: np.ndarray
    style: np.ndarray
    popularity: np.ndarray
    new: np.ndarray

    @property
    def n_tracks(self) -> int:
        return len(self.style)

    @property
    def n_albums(self) -> int:
        return len(self.album_artist)


def draw_world(params: DemoParams, streams: Streams) -> World:
    """Draw the catalogue of `params`."""
    artist_taste, artist_style = _artists(params, streams.of("artists"))
    track_artist, track_album, album_artist = _discographies(params, streams.of("discographies"))
    taste, style = _tracks(artist_taste, artist_style, track_artist, streams.of("tracks"))
    return World(
        artist_taste,
        artist_style,
        track_artist,
        track_album,
        album_artist,
        taste,
        style,
        _popularity(params.artists, track_artist, streams.of("popularity")),
        _new_releases(track_album, params.new_releases, streams.of("new-releases")),
    )


def _artists(params: DemoParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a main taste per artist, and a second taste for 40 % of the artists."""
    n, k = params.artists, params.tastes
    main = rng.permutation(np.arange(n) % k)
    second = (main + rng.integers(1, k, n)) % k
    weight = np.where(rng.random(n) < 0.4, rng.uniform(0.15, 0.45, n), 0.0)
    taste = np.zeros((n, k))
    taste[np.arange(n), main] = 1 - weight
    taste[np.arange(n), second] += weight
    return taste, rng.uniform(0, 1, n)


def _discographies(params: DemoParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the number of tracks per artist (at least 1) and divide them into albums of one to six tracks."""
    shares = rng.dirichlet(np.full(params.artists, 1.5))
    counts = 1 + rng.multinomial(params.tracks - params.artists, shares)
    albums: list[tuple[int, int]] = []
    for artist, left in enumerate(counts):
        while left > 0:
            albums.append((artist, min(int(rng.choice(ALBUM_SIZES, p=ALBUM_ODDS)), int(left))))
            left -= albums[-1][1]
    album_artist, sizes = np.array(albums).T
    track_album = np.repeat(np.arange(len(sizes)), sizes)
    return album_artist[track_album], track_album, album_artist


def _tracks(
    artist_taste: np.ndarray, artist_style: np.ndarray, track_artist: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the tracks' tastes, mostly a taste of the artist, and styles near the artist's style."""
    mix = artist_taste[track_artist]
    main = (rng.random(len(mix))[:, None] < np.cumsum(mix, axis=1)).argmax(axis=1)
    taste = 0.1 * mix
    taste[np.arange(len(mix)), main] += 0.9
    style = artist_style[track_artist] + rng.normal(0, 0.2, len(mix))
    return taste, 1 - np.abs(1 - np.abs(style) % 2)


def _popularity(artists: int, track_artist: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a Zipf-Mandelbrot popularity by rank. Half of the variance in rank is due to the artist."""
    fame = rng.normal(size=artists)[track_artist] + rng.normal(size=len(track_artist))
    rank = np.empty(len(fame))
    rank[np.argsort(-fame, kind="stable")] = np.arange(len(fame))
    weight: np.ndarray = (rank + 1 + 0.01 * len(fame)) ** -1.1
    weight /= weight.sum()
    return weight


def _new_releases(track_album: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Select whole albums as new releases, up to `share` of the tracks."""
    sizes = np.bincount(track_album)
    order = rng.permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    return np.isin(track_album, order[before < round(share * len(track_album))])

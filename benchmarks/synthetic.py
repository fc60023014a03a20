"""Playlists of any number with the Million Playlist Dataset's sizes: for measuring time and memory, not quality.

What is copied, from the dataset's own `stats.txt` and README unless said otherwise
(Chen et al., RecSys 2018; Zamani et al., "An Analysis of Approaches Taken in the ACM
RecSys Challenge 2018", TIST 2019):

- 1,000,000 playlists of 5 to 250 tracks, 66,346,428 placements (mean 66.35), 2,262,292 tracks, 734,684 albums and
295,860
  artists under 571,629 and 287,740 names, 92,944 titles. Lengths are log-normal within 5…250; the width is
  chosen for the median, 49 in the dataset.
- Popularity is Zipf-Mandelbrot with at least one placement a track. Its two numbers are fitted to two published ones:
the most
  played track is in 45,394 playlists (deezer/APC-RTA, `data_manager.py`), and a tenth of the playlists hold
  681,805 different tracks (here about 679,000). 41 % of the tracks come once.

What is not: tracks are drawn independently of each other, so a playlist says nothing about its next track but
popularity. Repeats within a playlist are left as they fall (0.8 % of placements; 1.3 % in the dataset).

Every number is a function of seed and place: no part depends on how the work is cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.corpus.permutation import Permutation, hashed
from toolkit.errors import InputError
from toolkit.seeds import derived_seed

MPD_TRACKS, MPD_PLAYLISTS, MPD_PLACEMENTS = 2_262_292, 1_000_000, 66_346_428
MPD_ARTISTS, MPD_ARTIST_NAMES = 295_860, 287_740
MPD_ALBUMS, MPD_ALBUM_NAMES = 734_684, 571_629
MPD_TITLES = 92_944
MOST_TRACKS = 2**31 - 2
SHORTEST, LONGEST = 5, 250
LENGTH_SIGMA = 1.02
ZIPF_EXPONENT = 1.3
ZIPF_OFFSET = 475 / MPD_TRACKS
ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)


@dataclass(frozen=True)
class Synthetic:
    """A synthetic dataset: `placements` of `tracks` in `playlists`, each track at least once.

    Tracks, artists and albums are numbers from 0; memory is 8 bytes a playlist and 28 a track.
    Raises `InputError` for sizes that contradict each other.
    """

    playlists: int
    tracks: int
    placements: int
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.playlists, self.tracks) < 1:
            raise InputError(f"playlists={self.playlists} and tracks={self.tracks} must be >= 1")
        if self.tracks > MOST_TRACKS:
            raise InputError(f"tracks={self.tracks} must be <= {MOST_TRACKS}: the arrays hold 32-bit ids")
        if not SHORTEST * self.playlists <= self.placements <= LONGEST * self.playlists:
            raise InputError(
                f"placements={self.placements} must be {SHORTEST} to {LONGEST} per playlist: "
                f"{SHORTEST * self.playlists} to {LONGEST * self.playlists} for playlists={self.playlists}"
            )
        if self.placements < self.tracks:
            raise InputError(
                f"placements={self.placements} must be >= tracks={self.tracks}: every track is played once at least"
            )

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 [playlists + 1]."""
        lengths = np.sort(lengths_of(self.playlists, self.placements))
        shuffled = lengths[self._permutation(self.playlists, "lengths")(np.arange(self.playlists))]
        return np.concatenate([[0], np.cumsum(shuffled)]).astype(np.int64)

    @cached_property
    def _bounds(self) -> np.ndarray:
        """int64 [tracks]: where the placements of each rank of popularity end."""
        return np.cumsum(popularity(self.tracks, self.placements))

    @cached_property
    def _track_at_rank(self) -> np.ndarray:
        return self._permutation(self.tracks, "ranks")(np.arange(self.tracks)).astype(np.int32)

    @cached_property
    def _artist_bounds(self) -> np.ndarray:
        """int64 [artists]: where each artist's tracks end; few artists have many."""
        return np.cumsum(popularity(self._scaled(MPD_ARTISTS), self.tracks))

    @cached_property
    def _album_starts(self) -> np.ndarray:
        """int64 [albums]: the first track of each album; an artist has one at least, the others begin anywhere."""
        starts = np.concatenate([[0], self._artist_bounds[:-1]])
        free = np.ones(self.tracks, bool)
        free[starts] = False
        elsewhere = np.flatnonzero(free)
        more = min(self._scaled(MPD_ALBUMS) - len(starts), len(elsewhere))
        chosen = elsewhere[np.arange(more) * len(elsewhere) // max(more, 1)]
        return np.sort(np.concatenate([starts, chosen]))

    def items(self, start: int, stop: int) -> np.ndarray:
        """Tracks of placements start…stop − 1, playlist after playlist: int32, from 0."""
        places = self._permutation(self.placements, "placements")(np.arange(start, stop))
        return self._track_at_rank[np.searchsorted(self._bounds, places, side="right")]

    def artists(self, tracks: np.ndarray) -> np.ndarray:
        """Artist of each track, from 0."""
        return np.searchsorted(self._artist_bounds, tracks, side="right")

    def albums(self, tracks: np.ndarray) -> np.ndarray:
        """Album of each track, from 0."""
        return np.searchsorted(self._album_starts, tracks, side="right") - 1

    def durations(self, tracks: np.ndarray) -> np.ndarray:
        """Milliseconds: one to six minutes."""
        return (60_000 + hashed(tracks, derived_seed(self.seed, "durations")) % np.uint64(300_000)).astype(np.int64)

    def titles(self, playlists: np.ndarray) -> np.ndarray:
        """Number of each playlist's title, from 0."""
        kinds = max(1, self.playlists * MPD_TITLES // MPD_PLAYLISTS)
        return (hashed(playlists, derived_seed(self.seed, "titles")) % np.uint64(kinds)).astype(np.int64)

    def codes(self, kind: str, numbers: np.ndarray) -> np.ndarray:
        """The 22 letters and digits of a Spotify id, made up: uint8 [n, 22]. kind: track, album or artist."""
        code = np.empty((len(numbers), 22), np.uint8)
        for half in range(2):
            rest = hashed(numbers, derived_seed(self.seed, kind, half))
            for column in range(11):
                rest, digit = np.divmod(rest, np.uint64(62))
                code[:, 11 * half + column] = ALPHABET[digit]
        return code

    def _scaled(self, count: int) -> int:
        """A count of the dataset for this many tracks."""
        return max(1, self.tracks * count // MPD_TRACKS)

    def _permutation(self, n: int, purpose: str) -> Permutation:
        return Permutation(n, derived_seed(self.seed, purpose))


def lengths_of(playlists: int, placements: int) -> np.ndarray:
    """Lengths int64 [playlists] between 5 and 250 that sum to `placements`: evenly spaced quantiles of a truncated
    log-normal."""
    from scipy.special import ndtr, ndtri

    shares = (np.arange(playlists) + 0.5) / playlists

    def quantiles(mu: float) -> np.ndarray:
        low, high = ndtr((np.log([SHORTEST - 0.5, LONGEST + 0.5]) - mu) / LENGTH_SIGMA)
        return np.clip(
            np.rint(np.exp(mu + LENGTH_SIGMA * ndtri(low + shares * (high - low)))), SHORTEST, LONGEST
        ).astype(np.int64)

    # beyond these the tail is too thin for floating point; the remainder below does the rest
    low, high = -3.0, 11.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if quantiles(middle).sum() <= placements else (low, middle)
    lengths = quantiles(low)
    while rest := placements - int(lengths.sum()):
        free = np.flatnonzero(lengths < LONGEST if rest > 0 else lengths > SHORTEST)
        chosen = free[np.arange(min(abs(rest), len(free))) * len(free) // min(abs(rest), len(free))]
        lengths[chosen] += np.sign(rest)
    return lengths


def popularity(kinds: int, total: int) -> np.ndarray:
    """Zipf-Mandelbrot counts int64 [kinds], falling, each at least 1, that sum to `total`."""
    weights = (np.arange(kinds) + max(ZIPF_OFFSET * kinds, 1.0)) ** -ZIPF_EXPONENT

    def counts(scale: float) -> np.ndarray:
        return np.maximum(1, np.rint(scale * weights)).astype(np.int64)

    low, high = 0.0, 2.0 * total / weights.sum()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if counts(middle).sum() <= total else (low, middle)
    found = counts(low)
    each, rest = divmod(total - int(found.sum()), kinds)
    found += each
    found[:rest] += 1
    return found

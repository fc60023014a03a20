"""Latent variables and draws of a demo catalogue, and the true probability of each track at each position."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.lists import Lists, draw_lists, propensities, stations
from segue.datasets.demo.random_streams import Streams
from segue.datasets.demo.world import World, draw_world
from toolkit.errors import InputError

SAMPLES = 2048  # continuations simulated for one playlist's inclusion probabilities


class Story:
    """Tracks and playlists of a demo catalogue with their latent variables. Equal parameters give equal stories."""

    def __init__(self, params: DemoParams | None = None) -> None:
        self.params = params if params is not None else DemoParams()
        self.streams = Streams(self.params.seed)
        self.world: World = draw_world(self.params, self.streams)
        self.lists: Lists = draw_lists(self.params, self.world, self.streams)

    @cached_property
    def digest(self) -> str:
        """Hash of the playlist entries, which detects a change in the generator or in NumPy's random numbers."""
        return hashlib.blake2b(np.concatenate(self.lists.tracks).astype("<i4").tobytes(), digest_size=16).hexdigest()

    def track_id(self, track: int) -> str:
        return f"demo:track:{track}"

    def playlist_id(self, playlist: int) -> str:
        return f"demo:playlist:{playlist}"

    def chances(self, playlist: int) -> np.ndarray:
        """Return the true probability of each track at each position before any draw, float64 [T, V]."""
        lists = self.lists
        path = stations(lists.start[playlist], lists.stop[playlist], len(lists.tracks[playlist]))
        new = lists.split[playlist] != "train"
        return propensities(self.world, lists.mix[playlist], path, new=new, off_taste=self.params.off_taste)

    def inclusion(self, playlist: int, shown: int, *, samples: int = SAMPLES) -> np.ndarray:
        """Return the probability of each track to be hidden after the first `shown` tracks, float64 [V].

        The probability is conditional on the playlist's true taste mix, walk and length and on the first `shown`
        tracks, whose own probability is 0. The probabilities sum to the number of hidden tracks. The function
        `inclusion` computes the estimate. Raises `InputError` if `shown` exceeds the playlist's length.
        """
        tracks = self.lists.tracks[playlist]
        if not 0 <= shown <= len(tracks):
            raise InputError(
                f"shown={shown} must be at most {len(tracks)}, the length of playlist {playlist}: reduce shown"
            )
        chance = self.chances(playlist)[shown:]
        chance[:, tracks[:shown]] = 0.0
        return inclusion(chance, samples=samples, rng=self.streams.of("bound", playlist, shown))


def inclusion(chance: np.ndarray, *, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the probability of each track to be drawn, float64 [V], from weights by position [T, V].

    Sequential draws without replacement, with weights that change by position, have no closed form. Therefore `samples`
    continuations are simulated. A continuation contributes the probability of each track at each position, given the
    earlier draws, instead of the draws themselves (Rao-Blackwellisation: Casella and Robert 1996, Biometrika 83(1)).
    The estimate is unbiased, exact for the first position, and sums to T.
    """
    drawn = np.zeros((samples, len(chance)), dtype=np.int64)
    total = np.zeros(chance.shape[1])
    for position, weight in enumerate(chance):
        taken = drawn[:, :position]
        share = 1 / (samples * (weight.sum() - weight[taken].sum(axis=1)))
        total += weight * share.sum()
        total -= np.bincount(taken.ravel(), (weight[taken] * share[:, None]).ravel(), minlength=len(total))
        drawn[:, position] = _draw(weight, taken, rng)
    return total


def _draw(weight: np.ndarray, taken: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a track per sample by `weight`. Tracks in `taken` are drawn again."""
    edges = np.cumsum(weight)
    pick = np.zeros(len(taken), dtype=np.int64)
    pending = np.arange(len(taken))
    while len(pending):
        pick[pending] = np.searchsorted(edges, rng.random(len(pending)) * edges[-1], side="right")
        pending = pending[(taken[pending] == pick[pending, None]).any(axis=1)]
    return pick

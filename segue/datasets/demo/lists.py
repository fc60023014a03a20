"""Playlists of the demo catalogue, drawn from one or two tastes along a slow walk on the style axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.random_streams import Streams
from segue.datasets.demo.world import World

STATIONS = 25  # points of the style axis a playlist can be at

WIDTH = 0.12  # how far from its station, in units of the style axis, a playlist still picks tracks

SHORTEST, LONGEST = 10, 45


@dataclass(frozen=True)
class Lists:
    """P playlists over V tracks with their latent variables.

    - mix [P, K]: weights of the tastes; rows sum to 1.
    - start, stop [P]: positions of the first and last track on the style axis.
    - split [P]: train, valid or test. tracks: P arrays of distinct track indices.
    """

    mix: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    split: np.ndarray
    tracks: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.tracks)


def draw_lists(params: DemoParams, world: World, streams: Streams) -> Lists:
    """Draw the playlists of `params` over `world`."""
    n = params.playlists
    mix = _mixes(n, params.tastes, streams.of("mixes"))
    start, stop = _paths(n, streams.of("paths"))
    split = _splits(n, streams.of("splits"))
    longest = min(LONGEST, params.tracks // 10)
    lengths = np.clip(streams.of("lengths").gamma(4.0, 5.5, n).astype(int), SHORTEST, longest)
    rng = streams.of("placements")
    tracks = []
    for p in range(n):
        path = stations(start[p], stop[p], lengths[p])
        tracks.append(
            _placements(propensities(world, mix[p], path, new=split[p] != "train", off_taste=params.off_taste), rng)
        )
    return Lists(mix, start, stop, split, tracks)


def stations(start: int, stop: int, length: int) -> np.ndarray:
    """Return the style station at each position, int [length], in even steps from `start` to `stop`."""
    return np.rint(np.linspace(start, stop, length)).astype(int)


def propensities(world: World, mix: np.ndarray, path: np.ndarray, *, new: bool, off_taste: float) -> np.ndarray:
    """Return the probability of each track at each position before any draw, float64 [T, V]; rows sum to 1.

    With probability `off_taste` a track is drawn by popularity alone, otherwise by the product of popularity, taste
    affinity and nearness to the station. new: whether new releases are available.
    """
    popularity = world.popularity * (1 - world.new * (not new))
    places, where = np.unique(path, return_inverse=True)
    near = np.exp(-0.5 * ((world.style - places[:, None] / (STATIONS - 1)) / WIDTH) ** 2)
    liked = popularity * (world.taste @ mix) * near
    chance = (1 - off_taste) * liked / liked.sum(axis=1, keepdims=True) + off_taste * popularity / popularity.sum()
    drawn: np.ndarray = chance[where]
    return drawn


def _placements(chance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one track per position without repetition."""
    drawn = np.empty(len(chance), dtype=np.int64)
    for position, (row, u) in enumerate(zip(chance, rng.random(len(chance)), strict=True)):
        row[drawn[:position]] = 0.0
        edges = np.cumsum(row)
        drawn[position] = np.searchsorted(edges, u * edges[-1], side="right")
    return drawn


def _mixes(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one taste per playlist, or two for 35 % of the playlists."""
    main = rng.integers(0, k, n)
    second = (main + rng.integers(1, k, n)) % k
    weight = np.where(rng.random(n) < 0.35, rng.uniform(0.25, 0.5, n), 0.0)
    mix = np.zeros((n, k))
    mix[np.arange(n), main] = 1 - weight
    mix[np.arange(n), second] += weight
    return mix


def _paths(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a start station and walk 30 to 100 % of the way to the farther end."""
    start = rng.integers(0, STATIONS, n)
    farther = np.where(start < STATIONS // 2, STATIONS - 1, 0)
    return start, np.rint(start + (farther - start) * rng.uniform(0.3, 1.0, n)).astype(int)


def _splits(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the split: 80 % train, 10 % valid and 10 % test."""
    label = np.full(n, "train", dtype=object)
    order = rng.permutation(n)
    label[order[: n // 10]] = "test"
    label[order[n // 10 : 2 * (n // 10)]] = "valid"
    return label
